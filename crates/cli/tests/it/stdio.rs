//! `unglue serve --stdio`: the way in that ssh opens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use unglue::{Client, Exec, Exit, Lease, Outcome};

use super::host::client;
use super::run::{UNGLUE, finish};

/// A user's home, reached by `serve --stdio`.
pub(super) struct Home {
    directory: TempDir,
}

impl Home {
    pub(super) fn new() -> Home {
        Home { directory: tempfile::Builder::new().prefix("unglue-way-").tempdir().expect("a directory") }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there")
    }

    /// A client over a process that serves on its input and output.
    pub(super) async fn connect(&self) -> Client {
        let home = self.path();
        Client::connect_command(move || serving(&home), None, &Default::default()).await.expect("it starts")
    }

    /// The processes that `connect` has started, in their order.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.path().join("pids")).unwrap_or_default();
        text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }
}

/// `unglue serve --stdio`, which leaves its process id in the file `pids`.
fn serving(home: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >> pids; exec \"$0\" serve --stdio", UNGLUE]).env("HOME", home).current_dir(home);
    command
}

/// Runs `test` in a runtime, for no longer than a minute.
pub(super) fn within(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("in time") });
}

async fn sh(client: &Client, text: &str) -> unglue::Collected {
    client.exec(&Exec::new(["sh", "-c", text])).await.expect("a link").collect(1 << 20).await
}

#[test]
fn a_process_carries_commands_and_files() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let done = sh(&client, "pwd; echo error >&2; exit 7").await;
        assert!(matches!(done.report.outcome, Outcome::Ended(Exit::Exited(7))), "{:?}", done.report);
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), home.path().to_string_lossy());
        assert_eq!(done.stderr, b"error\n");
        let upload = unglue::Upload::bytes("some text");
        client.put(upload, "file", Default::default()).await.expect("it goes");
        assert_eq!(fs::read(home.path().join("file")).expect("it is there"), b"some text");
    });
}

#[test]
fn it_needs_no_keys_and_names_a_user() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let welcome = client.welcome().await.expect("it is let in");
        assert_eq!(welcome.allow, ["exec", "files", "forward"]);
        assert!(welcome.journal.is_some());
        assert!(client.host_key().is_none());
    });
    assert!(!home.path().join(".local/state/unglue/host_key").exists(), "no key is made");
}

#[test]
fn a_kept_command_is_found_again_by_another_process() {
    let home = Home::new();
    within(async {
        let client = home.connect().await;
        let exec = Exec::new(["sh", "-c", "echo one; until test -e go; do sleep 0.05; done; echo two"]);
        let running = client.exec(&exec.lease(Lease::Keep(Duration::from_secs(30)))).await.expect("it starts");
        // What carries the link is killed, as a network is cut.
        kill_process(home.processes()[0], Signal::KILL).expect("it lives");
        fs::write(home.path().join("go"), "").expect("written");
        let done = running.collect(1 << 20).await;
        assert!(matches!(done.report.outcome, Outcome::Ended(Exit::Exited(0))), "{:?}", done.report);
        assert_eq!(done.stdout, b"one\ntwo\n");
        assert_eq!(home.processes().len(), 2, "it was started again");
    });
}

#[test]
fn a_process_that_fails_is_named() {
    within(async {
        let command = || {
            let mut command = Command::new("sh");
            command.args(["-c", "exit 255"]);
            command
        };
        let client = Client::connect_command(command, None, &Default::default()).await.expect("it starts");
        let fault = client.welcome().await.expect_err("there is no server");
        assert!(fault.what.contains("sh ended with exit status: 255"), "{fault}");
    });
}

#[test]
fn what_is_no_pipe_is_refused() {
    let home = Home::new();
    let refused = finish(client(&home.path()).args(["serve", "--stdio"])).expect(125);
    refused.complains("can't carry a client's connection");
    let refused = finish(client(&home.path()).args(["serve", "--stdio", "--listen", "127.0.0.1:0"])).expect(125);
    refused.complains("--stdio");
}
