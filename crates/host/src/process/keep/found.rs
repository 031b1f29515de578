//! Finding the jobs of an earlier process.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use unglue_proto::message::exec::Report;

use super::directory::{Claim, JobDirectory};
use super::{Kept, Progress};

/// How long to wait for a keeper that lives, and doesn't answer: it is being started, or ends just now.
const ANSWER: Duration = Duration::from_secs(10);
/// How long to wait before looking again.
const AGAIN: Duration = Duration::from_millis(5);

/// What has become of a job.
#[derive(Debug)]
pub enum Found {
    /// It runs, and has come so far. Its keeper counts it as not held.
    Running(Box<Kept>, Progress),
    /// It has ended.
    Finished(Box<Report>),
    /// The command never started, and never will in this directory. After a power cut this is certain for a durable job only.
    NeverStarted,
    /// Its keeper was killed when it had started the command, or was just starting it, and before it could put the outcome in its
    /// place; or a power cut damaged the outcome. How the command ended isn't known. What was left of it was killed, unless the process that forks supervisors was killed, too.
    Lost,
}

/// What one look finds.
pub(super) enum Look {
    Connected(OwnedFd),
    Finished(Box<Report>),
    NeverStarted,
    Lost,
    /// A keeper lives, and wasn't connected.
    Alive,
}

impl Kept {
    /// Finds the job with this directory, whatever has become of it. If the command has not started by now, this makes sure that
    /// it never does. A connection that another process had with the keeper is ended.
    ///
    /// A directory that isn't there is [`Found::NeverStarted`], too: make sure that it isn't made again. Cancelled, it
    /// may have made sure of that or not.
    ///
    /// # Errors
    /// The directory could not be read, or its claim not be made. `TimedOut`: the keeper lives, but didn't answer within 10 s:
    /// it is stopped, or waits for its disk.
    pub async fn find(directory: &Path) -> io::Result<Found> {
        let deadline = Instant::now() + ANSWER;
        loop {
            match look(directory.to_owned(), true).await? {
                Look::Finished(report) => return Ok(Found::Finished(report)),
                Look::NeverStarted => return Ok(Found::NeverStarted),
                Look::Lost => return Ok(Found::Lost),
                Look::Connected(socket) => {
                    let mut kept = Kept::new(socket, directory.to_owned())?;
                    let hello = tokio::time::timeout_at(deadline.into(), kept.hello()).await;
                    if let Some(progress) = hello.map_err(|_| no_answer(directory))? {
                        return Ok(Found::Running(Box::new(kept), progress));
                    }
                    // It ended just now.
                }
                Look::Alive => {}
            }
            if Instant::now() >= deadline {
                return Err(no_answer(directory));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn no_answer(directory: &Path) -> io::Error {
    let what = format!(
        "the keeper of the job in {} did not answer within {} s; see whether its process is stopped or waits for its disk",
        directory.display(),
        ANSWER.as_secs()
    );
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Looks on a thread that may wait for the disk. Connecting ends another process's connection.
pub(super) async fn look(directory: PathBuf, connect: bool) -> io::Result<Look> {
    tokio::task::spawn_blocking(move || look_now(&directory, connect)).await.map_err(io::Error::other)?
}

fn look_now(path: &Path, connect: bool) -> io::Result<Look> {
    let directory = match JobDirectory::open(path) {
        Err(Errno::NOENT) => return Ok(Look::NeverStarted),
        directory => directory?,
    };
    match if connect { directory.connect() } else { Ok(None) } {
        Ok(Some(socket)) => return Ok(Look::Connected(socket)),
        Ok(None) => {}
        // Its queue is full: it has not taken those before.
        Err(Errno::AGAIN) => return Ok(Look::Alive),
        Err(error) => return Err(error.into()),
    }
    if let Some(report) = outcome(&directory, path)? {
        return Ok(Look::Finished(report));
    }
    if directory.claim_state()? == Claim::Unmade {
        match directory.claim_never() {
            Ok(()) => return Ok(Look::NeverStarted),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match directory.claim_state()? {
        Claim::Never => Ok(Look::NeverStarted),
        // It was made and removed between two calls.
        Claim::Held | Claim::Unmade => Ok(Look::Alive),
        // The keeper may have put it there after the first look.
        Claim::Released => Ok(outcome(&directory, path)?.map_or(Look::Lost, Look::Finished)),
        Claim::Unstarted => Ok(outcome(&directory, path)?.map_or(Look::NeverStarted, Look::Finished)),
    }
}

/// The outcome, if there is one that can be understood. A power cut may leave another, unless the job was durable.
fn outcome(directory: &JobDirectory, path: &Path) -> io::Result<Option<Box<Report>>> {
    match directory.outcome() {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let directory = path.display();
            tracing::warn!(event = "outcome_damaged", %directory, %error, "how the job ended is not known");
            Ok(None)
        }
        outcome => outcome,
    }
}
