//! A program that is typed to by hand, and whose outputs are looked at while it runs.

use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{Finished, until};

/// A running program. It ends with its test.
pub(super) struct Program {
    child: Child,
    keyboard: Option<ChildStdin>,
    stdout: Heard,
    stderr: Heard,
    started: Instant,
}

impl Program {
    /// Starts it, all three of its streams being pipes.
    pub(super) fn start(command: &mut Command) -> Program {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it starts");
        let keyboard = child.stdin.take();
        let stdout = Heard::of(child.stdout.take().expect("a pipe"));
        let stderr = Heard::of(child.stderr.take().expect("a pipe"));
        Program { child, keyboard, stdout, stderr, started: Instant::now() }
    }

    /// Types a line.
    pub(super) fn types(&mut self, line: &str) {
        let keyboard = self.keyboard.as_mut().expect("its input is open");
        keyboard.write_all(format!("{line}\n").as_bytes()).expect("typed");
    }

    /// Its standard output so far.
    pub(super) fn shown(&self) -> Vec<u8> {
        self.stdout.so_far()
    }

    /// Waits until its standard output is this, and nothing else.
    #[track_caller]
    pub(super) fn shows(&self, wanted: &[u8]) {
        let what = format!("{:?} on standard output", String::from_utf8_lossy(wanted));
        until(&what, || (self.shown() == wanted).then_some(()));
    }

    /// Its standard error so far.
    pub(super) fn told(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Waits until lines that hold these words have come on standard error so often.
    #[track_caller]
    pub(super) fn tells(&self, words: &str, times: usize) {
        let counted = || self.told().lines().filter(|line| line.contains(words)).count();
        until(&format!("{words:?} {times} times on standard error"), || (counted() >= times).then_some(()));
        assert_eq!(counted(), times, "{words:?}: {}", self.told());
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// Ends its input, and waits for its end.
    #[track_caller]
    pub(super) fn finish(mut self) -> Finished {
        drop(self.keyboard.take());
        let status = until("the program's end", || self.child.try_wait().expect("a child of ours"));
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("it ended"));
        let (stdout, stderr) = (self.stdout.all(), self.stderr.all());
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Finished { code, stdout, stderr, took: self.started.elapsed() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came out of a pipe, read on a thread of its own.
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Heard {
    fn of(mut pipe: impl Read + Send + 'static) -> Heard {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // What came before an error is what there is.
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                sink.lock().expect("no panic").extend_from_slice(&buffer[..n]);
            }
        });
        Heard { bytes, thread: Some(thread) }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().expect("no panic").clone()
    }

    fn all(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
        self.so_far()
    }
}
