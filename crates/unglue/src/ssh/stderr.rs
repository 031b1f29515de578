//! What ssh, and the login script of the other side, print on standard error.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use unglue_link::LOGIN_STEPS;

use super::options::Report;

/// How many of the last lines an error may use.
const KEPT: usize = 40;
/// No line is longer.
const LINE: u64 = 1024;
/// How long the last lines may take once ssh has ended: a process that ssh left behind (ControlPersist) may hold the pipe.
const LAST: Duration = Duration::from_millis(200);

/// The lines so far, read by a task until the pipe's end.
pub(super) struct Stderr {
    lines: Arc<Mutex<Lines>>,
    task: JoinHandle<()>,
}

struct Lines {
    kept: VecDeque<String>,
    /// Gets each line while the connection is made.
    report: Option<Report>,
}

impl Stderr {
    /// Also gives the end for the child. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn open(report: Option<Report>) -> io::Result<(Stderr, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let lines = Arc::new(Mutex::new(Lines { kept: VecDeque::new(), report }));
        let task = tokio::spawn(read(reader, lines.clone()));
        Ok((Stderr { lines, task }, writer))
    }

    /// The connection is there: from now on lines are steps for `-v`.
    pub(super) fn connected(&self) {
        lock(&self.lines).report = None;
    }

    /// The last line so far, and whether there will be no more.
    pub(super) fn latest(&self) -> (Option<String>, bool) {
        (lock(&self.lines).kept.back().cloned(), self.task.is_finished())
    }

    /// The last lines, once ssh has ended.
    pub(super) async fn last(mut self) -> Vec<String> {
        let _ = tokio::time::timeout(LAST, &mut self.task).await;
        lock(&self.lines).kept.drain(..).collect()
    }
}

fn lock(lines: &Mutex<Lines>) -> std::sync::MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(reader: pipe::Receiver, lines: Arc<Mutex<Lines>>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            continue;
        }
        let mut lines = lock(&lines);
        match &lines.report {
            Some(report) => report(line),
            None => tracing::debug!(target: LOGIN_STEPS, "ssh: {line}"),
        }
        if lines.kept.len() == KEPT {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line.to_owned());
    }
}
