//! Commands with a terminal: what a program on it sees, what its clients see, and what is kept of it.

mod bounds;
mod links;
mod program;
mod screens;

use std::time::Duration;

use unglue::{Client, Exec, Input, Lease, Output, Report, Running, TerminalSize};

use crate::site::soon;
use crate::tree::Mark;

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// Answers each line that is typed, and tells each new size at once: a trap runs when a `wait` is interrupted. (A `read` with a
/// timeout loses a byte now and then.)
const TYPED_OR_RESIZED: &str = "trap 'stty size' WINCH
{ while read line; do echo \"<$line>\"; done; } <&0 &
echo ready; while kill -0 $!; do wait $!; done";

/// A command with a terminal, as a person would have it.
fn on_terminal(mark: &Mark, script: &str) -> Exec {
    mark.on(Exec::shell(script)).terminal(SIZE).env("TERM", "xterm").lease(Lease::Keep(Duration::from_secs(60)))
}

/// The same in bash.
fn in_bash(script: &str) -> String {
    format!("exec bash -c '{}'", script.replace('\'', r"'\''"))
}

/// A client of a terminal that is typed on, and what it has been shown.
struct Session {
    running: Running,
    input: Option<Input>,
    output: Output,
    seen: Vec<u8>,
}

impl Session {
    async fn start(client: &Client, exec: &Exec) -> Session {
        Session::of(client.exec(exec).await.expect("it is taken")).await
    }

    async fn of(mut running: Running) -> Session {
        let Some(output) = running.stdout.take() else { panic!("{:?}", running.outcome().await) };
        assert!(running.stderr.is_none(), "a terminal has one output");
        Session { input: running.stdin.take(), running, output, seen: Vec::new() }
    }

    async fn types(&mut self, text: impl AsRef<[u8]>) {
        let text = bytes::Bytes::copy_from_slice(text.as_ref());
        self.input.as_mut().expect("it is typed on").write_all(text).await.expect("it is typed");
    }

    /// Reads until this is shown, and forgets what was shown up to its end.
    async fn until(&mut self, text: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.seen.windows(text.len()).position(|window| window == text.as_bytes()) {
                    let before = self.seen.drain(..at + text.len()).collect::<Vec<_>>();
                    return String::from_utf8_lossy(&before).into_owned();
                }
                match self.output.read(65_536).await {
                    Ok(Some(data)) => self.seen.extend_from_slice(&data),
                    end => panic!("{end:?} instead of {text:?} in {:?}", String::from_utf8_lossy(&self.seen)),
                }
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), reading).await {
            Ok(before) => before,
            Err(_) => panic!("no {text:?} in {:?}", String::from_utf8_lossy(&self.seen)),
        }
    }

    /// Reads to the end.
    async fn rest(mut self) -> (Report, Vec<u8>) {
        let reading = async {
            while let Some(data) = self.output.read(65_536).await.expect("it ends in order") {
                self.seen.extend_from_slice(&data);
            }
        };
        soon(30, "the end of the output", reading).await;
        drop(self.output);
        // What was typed may not all have been read.
        drop(self.input);
        (soon(30, "the outcome", self.running.outcome()).await, self.seen)
    }
}
