//! A command's tree ends with its connection (P5), however that ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use unglue::{Client, Code, Exec, Outcome, Running};
use unglue_testkit::relay::{Break, Relay};

use crate::daemon::Daemon;
use crate::site::{Site, eventually, soon, within};
use crate::tree::Mark;

/// What is promised for the end of a connection.
const GONE: Duration = Duration::from_secs(2);

/// Six processes: a session of its own, a double fork into another one, and their children.
const ESCAPES: &str = "setsid sleep 300 & (setsid sh -c 'sleep 300 & sleep 300; :' & ) ; sleep 300; :";
const PROCESSES: usize = 6;

/// Starts the tree, and waits until all of it is there.
async fn plant(client: &Client, mark: &Mark) -> Running {
    let running = client.exec(&mark.on(Exec::shell(ESCAPES))).await.expect("it starts");
    mark.count(PROCESSES).await;
    running
}

#[test]
fn the_tree_is_gone_when_the_connection_ends() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        for how in [Break::Reset, Break::End] {
            let relay = Relay::start(serving.address(), 1).await.expect("a relay");
            let client = site.connect(relay.address()).await;
            let mark = Mark::new();
            let mut running = plant(&client, &mark).await;
            relay.break_all(how);
            mark.gone(GONE).await;
            let report = soon(5, "the outcome", running.outcome()).await;
            assert!(matches!(report.outcome, Outcome::LinkLost(_)), "{how:?}: {report:?}");
        }
    });
}

#[test]
fn the_tree_is_gone_when_the_client_is() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let mark = Mark::new();
        let client = site.connect(serving.address()).await;
        let running = plant(&client, &mark).await;
        drop((running, client));
        mark.gone(GONE).await;
    });
}

/// Dropping the operation alone is enough; the link goes on.
#[test]
fn the_tree_is_gone_when_the_operation_is_dropped() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let mark = Mark::new();
        let client = site.connect(serving.address()).await;
        drop(plant(&client, &mark).await);
        mark.gone(GONE).await;
        client.exec(&Exec::new(["true"])).await.expect("the link goes on");
    });
}

#[test]
fn the_tree_is_gone_when_the_server_is_killed() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let mark = Mark::new();
        let mut running = plant(&client, &mark).await;
        daemon.kill();
        mark.gone(GONE).await;
        let report = soon(5, "the outcome", running.outcome()).await;
        assert!(matches!(report.outcome, Outcome::LinkLost(_)), "{report:?}");
    });
}

/// Takes half a minute: the heartbeat's deadline.
#[test]
fn the_tree_is_gone_when_the_network_drops_every_packet() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let mark = Mark::new();
        let mut running = plant(&client, &mark).await;
        relay.fall_silent();
        let silent = Instant::now();
        eventually(45, "the tree's end", || mark.alive().is_empty()).await;
        let after = silent.elapsed().as_secs();
        // What was heard last may have been a heartbeat's interval ago.
        assert!((15..=32).contains(&after), "gone after {after} s");
        match soon(15, "the client's outcome", running.outcome()).await.outcome {
            Outcome::LinkLost(link_lost) => assert_eq!(link_lost.code, Code::LinkLost),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    const NOBODY: &str = "65534";
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: the tests run as an ordinary user anyway");
    }
    if !Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there is no `setpriv` (util-linux) to become an ordinary user with");
    }
    // The binary may lie where only root may look.
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let binary = directory.path().join("tests");
    fs::copy("/proc/self/exe", &binary).expect("it is copied");
    let output = Command::new("timeout")
        .args(["120", "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"])
        .arg(&binary)
        .args(["orphans::the_tree", "--skip", "drops_every_packet", "--test-threads=1"])
        .current_dir("/")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("4 passed"), "{text}");
}
