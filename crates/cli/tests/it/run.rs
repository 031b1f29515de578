//! Running a program with a deadline, and what came of it.

use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long any program of these tests may take, on a machine that is busy with other tests.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The program under test.
pub(super) const UNGLUE: &str = env!("CARGO_BIN_EXE_unglue");

/// What a program left.
#[derive(Debug)]
pub(super) struct Finished {
    /// The exit code; 128 and the signal's number if a signal ended it.
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Finished {
    /// Standard output as text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is text")
    }

    /// Standard output as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the exit code is this one.
    #[track_caller]
    pub(super) fn expect(self, code: i32) -> Finished {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Fails unless standard error is one line that starts with `unglue:` and holds `words`.
    #[track_caller]
    pub(super) fn complains(self, words: &str) -> Finished {
        assert!(!words.is_empty(), "any failure has no words: say which one is meant");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("unglue: ") && lines[0].contains(words), "{self:?}");
        self
    }
}

/// A program under way, its outputs being read.
pub(super) struct Running {
    child: Child,
    stdout: Reader,
    stderr: Reader,
    started: Instant,
}

/// Starts a program. Its input is `/dev/null` unless the command says otherwise.
pub(super) fn start(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stdout = Reader::of(child.stdout.take().expect("a pipe"));
    let stderr = Reader::of(child.stderr.take().expect("a pipe"));
    Running { child, stdout, stderr, started: Instant::now() }
}

/// Runs a program to its end.
pub(super) fn finish(command: &mut Command) -> Finished {
    start(command.stdin(Stdio::null())).finish()
}

/// Runs a program that is fed `input`.
pub(super) fn finish_with(command: &mut Command, input: &[u8]) -> Finished {
    let mut running = start(command.stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // On a thread of its own: the program may print before it reads.
    thread::spawn(move || stdin.write_all(&input));
    running.finish()
}

/// An output, read on a thread of its own.
struct Reader {
    read: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn of(mut from: impl Read + Send + 'static) -> Reader {
        let read = Arc::new(Mutex::new(Vec::new()));
        let sink = read.clone();
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // What came before an error is what there is.
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                sink.lock().expect("no panic").extend_from_slice(&buffer[..n]);
            }
        });
        Reader { read, thread: Some(thread) }
    }

    fn holds(&self, words: &str) -> bool {
        self.read.lock().expect("no panic").windows(words.len()).any(|window| window == words.as_bytes())
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.read.lock().expect("no panic")).into_owned()
    }

    fn all(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
        std::mem::take(&mut self.read.lock().expect("no panic"))
    }
}

impl Running {
    /// Sends a signal to the program alone.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// What it is fed through, to be fed by hand.
    pub(super) fn keyboard(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    /// Waits until standard output holds these words.
    #[track_caller]
    pub(super) fn shown(&self, words: &str) {
        let started = Instant::now();
        while !self.stdout.holds(words) {
            assert!(started.elapsed() < DEADLINE, "{words:?} is not in {:?}", self.stdout.so_far());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The port in the JSON line that a server has announced itself with.
    pub(super) fn port(&self) -> u16 {
        let line: serde_json::Value = serde_json::from_str(self.stdout.so_far().trim()).expect("a line of JSON");
        let address: std::net::SocketAddr =
            line["address"].as_str().and_then(|at| at.parse().ok()).expect("an address");
        address.port()
    }

    /// Waits for its end; kills it and fails when the deadline passes.
    pub(super) fn finish(mut self) -> Finished {
        use std::os::unix::process::ExitStatusExt as _;
        let status = until("the program's end", || self.child.try_wait().expect("a child of ours"));
        let took = self.started.elapsed();
        let (stdout, stderr) = (self.stdout.all(), self.stderr.all());
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("it ended"));
        Finished { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(super) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{DEADLINE:?} passed, waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A program with a clean environment: no keys, no agent, no terminal settings of whoever runs the tests.
pub(super) fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}
