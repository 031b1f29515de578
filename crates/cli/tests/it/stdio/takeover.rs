//! A daemon, and the ways in that lead to it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use unglue::{AttachOptions, Client, Lease, Outcome};

use super::{Home, is_whole, sh, soon, waiting, within};
use crate::host::{Host, client, lives};
use crate::run::{finish, until};

/// A daemon of this home's user, on the unix socket `daemon` there.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn start(home: &Home) -> Daemon {
        Daemon::of(&home.path(), client(&home.path()))
    }

    pub(super) fn of(home: &Path, mut command: std::process::Command) -> Daemon {
        let log = File::options().create(true).append(true).open(home.join("log")).expect("a log");
        command.args(["serve", "--listen", "unix:daemon"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("an announcement");
        assert!(line.starts_with("listening on unix:/"), "{line:?}");
        Daemon(child)
    }

    /// Ends it in order.
    pub(super) fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it lives");
        let status = until("its end", || self.0.try_wait().expect("ours"));
        assert!(status.success(), "{status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) async fn by_socket(home: &Home) -> Client {
    Client::connect_unix(home.path().join("daemon"), None, &Default::default()).await.expect("it listens")
}

#[test]
fn a_daemon_takes_the_state_over_from_a_resident() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let kept = client.exec(&waiting(Lease::Keep(Duration::from_secs(60))).id("kept")).await.expect("it starts");
        let detached = client.exec(&waiting(Lease::Detach).id("detached")).await.expect("it starts");
        let plain = client.exec(&waiting(Lease::Kill)).await.expect("it starts");
        drop(detached);
        let resident = home.owner().expect("an owner");
        let daemon = Daemon::start(&home);
        assert_eq!(home.owner(), Some(Pid::from_child(&daemon.0)));
        assert!(lives(resident.as_raw_nonzero().get()), "a command of its client runs");

        // One journal: what was started over one way is found over the other.
        let other = by_socket(&home).await;
        let found = other.attach("detached", &AttachOptions::default().from_start()).await.expect("it is known");
        let again = home.connect().await;
        assert_eq!(sh(&again, "echo x").await.stdout, b"x\n", "it leads to the daemon");
        assert_eq!(home.residents().len(), 1, "no other one was started");
        home.go();
        is_whole(&found.collect(1 << 20).await);
        is_whole(&kept.collect(1 << 20).await);
        is_whole(&plain.collect(1 << 20).await);
        drop(client);
        soon("the resident's end", || home.residents().is_empty().then_some(())).await;
        let retried = again.exec(&waiting(Lease::Keep(Duration::from_secs(60))).id("kept")).await.expect("it is known");
        is_whole(&retried.collect(1 << 20).await);
        daemon.stop();
    });
}

#[test]
fn commands_under_a_daemon_survive_every_orderly_restart() {
    let home = Home::new();
    within(async {
        let daemon = Daemon::start(&home);
        let client = by_socket(&home).await;
        let running = client.exec(&waiting(Lease::Detach).id("long")).await.expect("it starts");
        drop((running, client));
        daemon.stop();
        // The first one finds what it has not started itself, and so does the second.
        for _ in 0..2 {
            let daemon = Daemon::start(&home);
            let client = by_socket(&home).await;
            let listed = client.jobs(Some("long")).await.expect("it is known");
            assert_eq!(listed.len(), 1, "{listed:?}");
            drop(client);
            daemon.stop();
        }
        let _daemon = Daemon::start(&home);
        let client = by_socket(&home).await;
        let found = client.attach("long", &AttachOptions::default().from_start()).await.expect("a link");
        home.go();
        is_whole(&found.collect(1 << 20).await);
    });
}

#[test]
fn a_second_daemon_does_not_take_the_state_from_the_first() {
    let home = Home::new();
    within(async {
        let _daemon = Daemon::start(&home);
        let refused = finish(client(&home.path()).args(["serve", "--listen", "unix:other"])).expect(125);
        assert!(refused.stderr.contains("which is a server already"), "{refused:?}");
        let client = by_socket(&home).await;
        assert_eq!(sh(&client, "echo x").await.stdout, b"x\n");
    });
}

/// A client of the host's own user, as ssh would bring it.
async fn by_stdio(host: &Host) -> Client {
    let path = host.home();
    let command = move || {
        let mut command = client(&path);
        command.args(["serve", "--stdio", "--state", "state"]);
        command
    };
    Client::connect_command(command, None, &Default::default()).await.expect("it starts")
}

/// Over the network with its keys, and by standard input and output, it is one journal.
#[test]
fn a_command_is_found_over_the_network_and_by_ssh() {
    let host = Host::start();
    within(async {
        let by_stdio = by_stdio(&host).await;
        let done = sh(&by_stdio, "pwd").await;
        let pwd = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        assert_eq!(Path::new(&pwd), host.home(), "the user's own way in has no root");
        let started = by_stdio.exec(&waiting(Lease::Detach).id("by-stdio")).await.expect("it starts");
        drop(started);
        let words = ["exec", "--detach", "--id", "by-net", &host.target(), "--", "sh", "-c", "echo net"];
        finish(host.client(words)).expect(0);
        let net = by_stdio.attach("by-net", &AttachOptions::default().from_start()).await.expect("it is known");
        assert_eq!(net.collect(1 << 20).await.stdout, b"net\n");
        std::fs::write(host.home().join("go"), "").expect("written");
        let waited = finish(host.client(["attach", "--from-start", &host.target(), "by-stdio"])).expect(0);
        assert_eq!(waited.text(), "one\ntwo\n");
    });
    assert!(!host.home().join("state/resident.log").exists(), "no other process was needed");
}

/// What the server's options keep from the network does not concern the user's own ssh.
#[test]
fn a_restricted_daemon_is_no_restriction_for_its_user() {
    let host = Host::start_with(&["--allow", "files"]);
    within(async {
        let by_stdio = by_stdio(&host).await;
        assert_eq!(sh(&by_stdio, "echo x").await.stdout, b"x\n");
    });
    let refused = host.exec(&[], ["true"]).expect(125);
    assert!(refused.stderr.contains("runs no commands"), "{refused:?}");
}

/// A forced command may name less than everything, as `internal-sftp` does.
#[test]
fn a_way_in_may_be_restricted() {
    let home = Home::new();
    let path = home.path();
    within(async {
        let command = move || {
            let mut command = client(&path);
            command.args(["serve", "--stdio", "--allow", "files", "--root", "."]);
            command
        };
        let client = Client::connect_command(command, None, &Default::default()).await.expect("it starts");
        client.put(unglue::Upload::bytes("text"), "file", Default::default()).await.expect("files go");
        let refused = sh(&client, "echo x").await.report.outcome;
        assert!(matches!(&refused, Outcome::Refused(fault) if fault.what.contains("runs no commands")), "{refused:?}");
    });
    assert_eq!(home.residents(), Vec::<i32>::new());
    assert_eq!(std::fs::read(home.path().join("file")).expect("it is there"), b"text");
}
