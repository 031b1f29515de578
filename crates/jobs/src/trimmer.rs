//! Keeps the output of a terminal's job short: what is old is replaced by a picture of the terminal.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use unglue_host::process::{Trimmed, terminal_sizes};

use crate::job::Job;
use crate::screen::{RETAINED, note_state};

/// Output beyond what is retained that is dropped when the terminal is quiet, and in any case. Drawing it takes a while, which a
/// program that prints as fast as it can needs itself.
const QUIETLY: u64 = RETAINED;
const ANYWAY: u64 = 16 * RETAINED;
/// What is kept of a terminal's output at most, while a server runs.
pub(crate) const MOST: u64 = RETAINED + ANYWAY;
/// A terminal that has printed nothing for so long is quiet.
const QUIET: Duration = Duration::from_millis(500);
/// How long to wait after a failure: a full disk may have room again.
const AGAIN: Duration = Duration::from_secs(60);

/// Looks after one job's output. Without a terminal, or a directory, it does nothing.
pub(crate) struct Trimmer {
    job: Arc<Job>,
    printed: u64,
    /// When something was printed last, or something failed.
    at: Instant,
    failed: bool,
    work: Option<JoinHandle<io::Result<Trimmed>>>,
}

impl Trimmer {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self { job, printed: 0, at: Instant::now(), failed: false, work: None }
    }

    /// Learns from its directory what an earlier server knew of the job.
    pub(crate) async fn find(&self, directory: &Path) {
        let directory = directory.to_owned();
        let look = move || {
            let terminal = !terminal_sizes(&directory)?.is_empty();
            Ok((terminal, Trimmed::read(&directory)?.map_or(0, |trimmed| trimmed.before)))
        };
        match tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok((terminal, trimmed)) => {
                self.job.update(|snapshot| (snapshot.terminal, snapshot.trimmed) = (terminal, trimmed));
            }
            Err(error) => tracing::warn!(event = "terminal_not_read", id = %self.job.id, %error),
        }
    }

    /// The job has printed so many bytes.
    pub(crate) fn printed(&mut self, bytes: u64, now: Instant) {
        if bytes > self.printed && !self.failed {
            self.at = now;
        }
        self.printed = self.printed.max(bytes);
    }

    /// Drops what is too old, once that is worth it. Gives the offset before which nothing is kept. Cancelling it loses nothing.
    pub(crate) async fn trim(&mut self) -> u64 {
        loop {
            let Some(work) = &mut self.work else {
                self.wait().await;
                self.failed = false;
                let Some(directory) = self.job.directory() else { return std::future::pending().await };
                let (job, directory) = (self.job.clone(), directory.to_owned());
                let before = self.printed.saturating_sub(RETAINED);
                self.work = Some(tokio::spawn(async move {
                    let trimmed = note_state(directory.clone(), before).await?;
                    // Those who read the output see this before they can read what is no longer there.
                    job.update(|snapshot| snapshot.trimmed = trimmed.before);
                    let drop = move || trimmed.drop_older(&directory).map(|()| trimmed);
                    tokio::task::spawn_blocking(drop).await.map_err(io::Error::other)?
                }));
                continue;
            };
            let done = work.await;
            self.work = None;
            match done.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(trimmed) => return trimmed.before,
                Err(error) => {
                    tracing::warn!(event = "terminal_not_trimmed", id = %self.job.id, %error);
                    (self.failed, self.at) = (true, Instant::now());
                }
            }
        }
    }

    /// Waits until it is time to drop something.
    async fn wait(&self) {
        let surplus = {
            let now = self.job.now();
            let kept = self.printed.saturating_sub(now.trimmed);
            if now.terminal { kept.saturating_sub(RETAINED) } else { 0 }
        };
        let pause = match surplus {
            // Until more is printed: this is called again then.
            ..QUIETLY => return std::future::pending().await,
            _ if self.failed => AGAIN,
            ANYWAY.. => return,
            _ => QUIET,
        };
        tokio::time::sleep_until((self.at + pause).into()).await;
    }
}
