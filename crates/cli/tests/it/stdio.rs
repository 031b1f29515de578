//! `unglue serve --stdio`: the way in that ssh opens.

mod resident;
mod takeover;
mod upgrade;
mod without;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use unglue::{Client, Exec, Exit, Lease, Outcome};

use super::host::{client, lives, working_in};
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

    /// Where this user's state is.
    pub(super) fn state(&self) -> PathBuf {
        self.path().join(".local/state/unglue")
    }

    /// The directory of this machine in it.
    pub(super) fn machine(&self) -> PathBuf {
        self.find_machine().expect("the state was used on this machine")
    }

    fn find_machine(&self) -> Option<PathBuf> {
        Some(fs::read_dir(self.state().join("machines")).ok()?.flatten().next()?.path())
    }

    /// The process that owns the state, if one lives.
    pub(super) fn owner(&self) -> Option<Pid> {
        let lock = fs::read_to_string(self.find_machine()?.join("lock")).ok()?;
        let pid: i32 = lock.lines().next()?.parse().ok()?;
        lives(pid).then(|| Pid::from_raw(pid).expect("a process"))
    }

    /// The processes with this word that name the state.
    pub(super) fn residents(&self) -> Vec<i32> {
        let state = self.state().into_os_string().into_encoded_bytes();
        let processes = fs::read_dir("/proc").expect("proc(5)").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_resident = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
            words.get(1) == Some(&&b"__own"[..]) && words.get(2) == Some(&&state[..]) && lives(*pid)
        };
        pids.filter(is_resident).collect()
    }

    /// Lets commands go on that wait for the file `go`.
    pub(super) fn go(&self) {
        fs::write(self.path().join("go"), "").expect("written");
    }

    /// The processes that `connect` has started, in their order.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.path().join("pids")).unwrap_or_default();
        text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.owner().into_iter().chain(working_in(self.directory.path())) {
            let _ = kill_process(pid, Signal::KILL);
        }
        for pid in self.residents().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// `unglue serve --stdio`, which leaves its process id in the file `pids`.
fn serving(home: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >> pids; exec \"$0\" serve --stdio", UNGLUE]).env("HOME", home).current_dir(home);
    command
}

/// Runs `test` in a runtime, for no longer than two minutes.
pub(super) fn within(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("in time") });
}

/// Waits for what `ask` gives.
pub(super) async fn soon<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(answer) = ask() {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waiting for {what}")
}

/// Prints a line, waits for the file `go`, and prints another one.
pub(super) const WAITS: &str = "echo one; until test -e go; do sleep 0.02; done; echo two";

/// A command that waits, with this lease.
pub(super) fn waiting(lease: Lease) -> Exec {
    Exec::new(["sh", "-c", WAITS]).lease(lease)
}

/// Fails unless the command printed both lines and succeeded.
#[track_caller]
pub(super) fn is_whole(done: &unglue::Collected) {
    assert!(matches!(done.report.outcome, Outcome::Ended(Exit::Exited(0))), "{:?}", done.report);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "one\ntwo\n");
}

pub(super) async fn sh(client: &Client, text: &str) -> unglue::Collected {
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
        let exec = waiting(Lease::Keep(Duration::from_secs(30)));
        let running = client.exec(&exec).await.expect("it starts");
        let owner = home.owner().expect("somebody owns the state");
        // The process that ssh would have started is killed: its link ends, and the client starts another one.
        kill_process(home.processes()[0], Signal::KILL).expect("it lives");
        soon("another process", || (home.processes().len() == 2).then_some(())).await;
        home.go();
        is_whole(&running.collect(1 << 20).await);
        assert_eq!(home.owner(), Some(owner), "the owner is the same");
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
