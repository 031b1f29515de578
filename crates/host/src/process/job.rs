//! A command that has started.

use std::future::Future;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::unix::pipe;

use super::command::{Descendants, Exit, Left, Status};
use super::error::JobError;
use super::pool::Slot;
use super::sys;
use super::wire::{self, Notice};

/// How long a supervisor may take to end a tree. It reports the tree as unkillable after a second and a half.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The server's ends of a command's streams. All of them are non-blocking; the command's own ends are not.
///
/// `stdout` and `stderr` end when the last process that holds them does, which may be long after the command.
#[derive(Debug)]
pub struct Pipes {
    /// Where its input goes, if it was asked for. Drop it to end the input.
    pub stdin: Option<pipe::Sender>,
    /// What it prints.
    pub stdout: pipe::Receiver,
    /// What it complains about.
    pub stderr: pipe::Receiver,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// Its own process has ended. Descendants may live on, and hold its streams.
    Exited(Exit),
    /// Its tree has ended, whether it was asked to or nothing was left of it.
    TreeEnded(Left),
}

/// A command that has started, and the tree of processes that comes of it.
///
/// Wait for [`Job::exited`], then call [`Job::end_tree`]; or, to do other things meanwhile, take its events by
/// [`Job::event`] and ask for the tree's end by [`Job::begin_end`]. Dropping a job before its tree has ended kills the
/// tree, without waiting for it.
#[derive(Debug)]
pub struct Job {
    /// `None` once the supervisor is idle again, lost, or left with what still runs.
    slot: Option<Slot>,
    pid: u32,
    exit: Option<Exit>,
    left: Option<Left>,
    /// The supervisor was asked to end the tree, and will report its end, whatever else it reports before.
    ending: bool,
    /// What [`Job::event`] has given.
    given: Given,
}

#[derive(Debug, Default)]
struct Given {
    exit: bool,
    left: bool,
}

impl Job {
    pub(super) fn new(slot: Slot, pid: u32) -> Self {
        Self { slot: Some(slot), pid, exit: None, left: None, ending: false, given: Given::default() }
    }

    /// The command's process id, which is its process group's and session's too.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The next of the two events, each once; the tree may end first. Cancelling it loses nothing.
    ///
    /// # Errors
    /// There will be no more.
    pub async fn event(&mut self) -> Result<JobEvent, JobError> {
        loop {
            if let Some(exit) = self.exit.filter(|_| !self.given.exit) {
                self.given.exit = true;
                return Ok(JobEvent::Exited(exit));
            }
            if let Some(left) = self.left.filter(|_| !self.given.left) {
                self.given.left = true;
                return Ok(JobEvent::TreeEnded(left));
            }
            self.receive().await?;
        }
    }

    /// Whether [`Job::event`] has given both events.
    pub fn is_finished(&self) -> bool {
        self.given.exit && self.given.left
    }

    /// Waits until the command's own process has ended. Descendants may live on, and hold its streams.
    ///
    /// Cancelling it loses nothing; asking again gives the same answer.
    pub async fn exited(&mut self) -> Result<Exit, JobError> {
        loop {
            if let Some(exit) = self.exit {
                return Ok(exit);
            }
            if self.left.is_some() {
                return Err(JobError::LetGo);
            }
            self.receive().await?;
        }
    }

    /// Sends a signal to the command's process group, as long as the command's own process has not been reaped: its
    /// number can't belong to another process.
    pub fn signal(&self, signal: i32) -> Result<(), JobError> {
        let number = u8::try_from(signal).ok().filter(|&number| (1..=sys::SIGNAL_MAX).contains(&number.into()));
        let number = number.ok_or(JobError::NoSuchSignal { signal })?;
        if self.exit.is_some() {
            return Err(JobError::Ended);
        }
        self.ask(&wire::signal_request(number))
    }

    /// Ends the job: kills what is left of its tree, or lets it go. May be called while the command still runs;
    /// with [`Descendants::Kill`], [`Job::exited`] then gives how that ended.
    ///
    /// Where nothing was left when the command ended, which is the rule, this returns at once. Cancelled, the tree
    /// still ends; called again, it waits for that.
    pub async fn end_tree(&mut self, descendants: Descendants) -> Result<Left, JobError> {
        if let Some(left) = self.left {
            return Ok(left);
        }
        self.begin_end(descendants)?;
        within(END_DEADLINE, async {
            loop {
                if let Some(left) = self.left {
                    return Ok(left);
                }
                self.receive().await?;
            }
        })
        .await
    }

    /// Asks for the tree's end, without waiting for it: [`JobEvent::TreeEnded`] follows. What was asked for first counts.
    ///
    /// # Errors
    /// The supervisor is lost, or takes no more requests.
    pub fn begin_end(&mut self, descendants: Descendants) -> Result<(), JobError> {
        if self.left.is_none() && !self.ending {
            self.ask(&wire::end_tree_request(descendants))?;
            self.ending = true;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), JobError> {
        let link = self.slot.as_mut().and_then(Slot::link_mut).ok_or(JobError::SupervisorLost)?;
        match link.notice().await.ok().flatten() {
            Some(Notice::Exited { wait_status, user, system, alone }) => {
                self.exit = Some(Exit { status: Status::of_wait(wait_status), user, system });
                if alone && !self.ending {
                    self.ended(Left::None);
                }
                Ok(())
            }
            Some(Notice::TreeEnded(left)) => {
                self.ended(left);
                Ok(())
            }
            Some(Notice::Ready | Notice::Started { .. } | Notice::Refused { .. }) | None => {
                self.slot = None;
                Err(JobError::SupervisorLost)
            }
        }
    }

    /// Notes the tree's end. The supervisor is free again, unless it stays with what is left.
    fn ended(&mut self, left: Left) {
        self.left = Some(left);
        let slot = self.slot.take();
        if let (Some(slot), Left::None | Left::Killed(_)) = (slot, left) {
            slot.give_back();
        }
    }

    fn ask(&self, request: &[u8]) -> Result<(), JobError> {
        let link = self.slot.as_ref().and_then(Slot::link).ok_or(JobError::SupervisorLost)?;
        link.send(request).map_err(|error| match error {
            Errno::PIPE | Errno::CONNRESET => JobError::SupervisorLost,
            error => JobError::System { source: error.into() },
        })
    }
}

async fn within<T>(after: Duration, work: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
    tokio::time::timeout(after, work).await.unwrap_or(Err(JobError::Deadline { after }))
}
