//! Commands under supervisors, as a server runs them.

mod death;
mod keep;
mod many;
mod ordinary;
mod start;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use unglue_host::process::{
    Command, Descendants, Exit, Left, Limits, Status, SupervisorCommand, Supervisors, login_environment,
    supervise_if_asked,
};

/// Not a test of its own: what the pools of the others start.
#[test]
fn supervisor() {
    supervise_if_asked();
}

fn pool_with(limits: Limits) -> Supervisors {
    Supervisors::new(SupervisorCommand::from_test("process::supervisor"), limits).expect("supervisors start")
}

/// Runs a test on a pool of its own; it fails after a minute.
fn with_pool(test: impl AsyncFnOnce(Supervisors)) {
    with_limits(Limits::default(), test);
}

fn with_limits(limits: Limits, test: impl AsyncFnOnce(Supervisors)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let test = async { test(pool_with(limits)).await };
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test ends within a minute");
    });
}

fn command<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Command {
    Command { env: login_environment(), ..Command::new(argv) }
}

fn shell(script: &str) -> Command {
    command(["sh", "-c", script])
}

/// What came of a command that was run to its end.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    left: Left,
}

impl Ran {
    fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("the output is text")
    }
}

/// Runs a command, kills what it leaves, and reads its streams to their ends.
async fn run(pool: &Supervisors, command: &Command) -> Ran {
    let (mut job, mut pipes) = pool.spawn(command).await.expect("it starts");
    drop(pipes.stdin.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ends = async {
        let exit = job.exited().await.expect("it ends");
        (exit, job.end_tree(Descendants::Kill).await.expect("its tree ends"))
    };
    let ((exit, left), _, _) =
        tokio::join!(ends, pipes.stdout.read_to_end(&mut stdout), pipes.stderr.read_to_end(&mut stderr));
    Ran { exit, stdout, stderr, left }
}

fn code(code: u8) -> Status {
    Status::Exited { code }
}

/// Puts a mark into a command's environment, by which what comes of it is found.
fn marked(mut command: Command, mark: &str) -> (Command, Mark) {
    let value = format!("{mark}-{}", std::process::id());
    command.env.push(("UNGLUE_TEST_MARK".into(), value.clone().into()));
    (command, Mark(value))
}

struct Mark(String);

impl Mark {
    /// The live processes that have it.
    fn alive(&self) -> Vec<i32> {
        let wanted = format!("UNGLUE_TEST_MARK={}", self.0);
        let has_it = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        pids().into_iter().filter(has_it).collect()
    }

    /// Waits until none is left; fails after the two seconds that are promised.
    fn wait_gone(&self) {
        let start = Instant::now();
        while !self.alive().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(2), "still there: {:?}", self.alive());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until so many live.
    async fn wait_count(&self, count: usize) {
        eventually(&format!("{count} processes"), || self.alive().len() == count).await;
    }
}

impl Drop for Mark {
    /// A test that failed leaves nothing either.
    fn drop(&mut self) {
        for pid in self.alive() {
            kill(pid);
        }
    }
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The state and the parent of a process; `None` when there is no such one.
fn stat(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn parent(pid: i32) -> i32 {
    stat(pid).expect("it lives").1
}

/// The children of a process, with their states.
fn children(of: i32) -> Vec<(i32, String)> {
    let child = |pid| stat(pid).filter(|(_, parent)| *parent == of).map(|(state, _)| (pid, state));
    pids().into_iter().filter_map(child).collect()
}

/// Waits up to ten seconds for something to become true.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited 10 s for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
