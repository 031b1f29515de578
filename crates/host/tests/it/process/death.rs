//! The server dies without a word.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use unglue_host::process::{Descendants, Limits};

use super::{Mark, eventually, kill, pool_with, shell};

const VARIABLE: &str = "UNGLUE_TEST_SERVER";

/// Not a test of its own: a server that runs a tree, and lets another go.
#[test]
fn server() {
    let Some(value) = std::env::var_os(VARIABLE) else { return };
    let tree = |name: &str| {
        let mut mark = value.clone();
        mark.push(name);
        let mut command = shell("(setsid sleep 300 &); (setsid sh -c 'sleep 300 & sleep 300' &); echo; exec sleep 300");
        command.env.push(("UNGLUE_TEST_MARK".into(), mark));
        command
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let pool = pool_with(Limits::default());
        let (_owned, mut pipes) = pool.spawn(&tree("owned")).await.expect("it starts");
        pipes.stdout.read_exact(&mut [0]).await.expect("it prints");
        let (mut left, mut pipes) = pool.spawn(&tree("left")).await.expect("it starts");
        pipes.stdout.read_exact(&mut [0]).await.expect("it prints");
        tokio::time::sleep(Duration::from_millis(300)).await;
        left.end_tree(Descendants::Leave).await.expect("it is let go");
        println!("\nlet go");
        // The deadline, should the test that kills it have died.
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
}

#[test]
fn a_killed_server_leaves_no_orphan_but_those_let_go() {
    let mark = |name: &str| Mark(format!("death-{}-{name}", std::process::id()));
    let (owned, left) = (mark("owned"), mark("left"));
    let mut server = Command::new("/proc/self/exe")
        .args(["process::death::server", "--exact", "--nocapture"])
        .env(VARIABLE, format!("death-{}-", std::process::id()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        owned.wait_count(5).await;
        left.wait_count(5).await;
        let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "let go")), "it ended");
        kill(server.id() as i32);
        server.wait().expect("it was killed");
        owned.wait_gone();
        assert_eq!(left.alive().len(), 5);
        left.alive().into_iter().for_each(kill);
        eventually("what was left is gone", || left.alive().is_empty()).await;
    });
}
