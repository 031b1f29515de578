//! A server's connection with a keeper.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use unglue_proto::Fault;
use unglue_proto::message::exec::{Outcome, Report, TerminalSize};

use super::found::{Look, look};
use super::{FEED, FEED_TAG, FromKeeper, KeptEvent, Progress, SpoolLimit, ToKeeper, UNSEEN};
use crate::process::error::JobError;
use crate::process::socket;
use crate::process::sys::{self, SIGNAL_MAX};
use crate::process::wire::MESSAGE_MAX;

/// How long the end of a connection may precede the end of its keeper.
const LEAVING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(5);
/// How long after a progress `seen` is sent. It wakes the keeper, which has time: it may send more meanwhile.
const SEEN: Duration = Duration::from_millis(2);

/// A job under a keeper, as a server holds it. Dropping it leaves the job alone: nobody holds it then.
///
/// The requests don't wait. Some hundreds fit the queue of a keeper that doesn't read; the next one is an error.
#[derive(Debug)]
pub struct Kept {
    socket: AsyncFd<OwnedFd>,
    directory: PathBuf,
    /// The exit was given.
    exited: bool,
    progress: Option<Progress>,
    /// So many progresses are to be answered with `seen`, and when.
    owed: Option<(u32, Instant)>,
}

impl Kept {
    /// Takes a connected socket. Must be called within the runtime.
    pub(in crate::process) fn new(socket: OwnedFd, directory: PathBuf) -> io::Result<Self> {
        Ok(Self::over(sys::watched(socket)?, directory))
    }

    /// Takes the connection over which the job was started.
    pub(in crate::process) fn over(socket: AsyncFd<OwnedFd>, directory: PathBuf) -> Self {
        Self { socket, directory, exited: false, progress: None, owed: None }
    }

    /// The job's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The first message of a keeper that was found; `None` if the connection ends.
    pub(super) async fn hello(&mut self) -> Option<Progress> {
        let FromKeeper::Progress(progress) = self.receive().await? else { return None };
        self.exited = progress.exit.is_some();
        Some(progress)
    }

    /// The next event. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`JobError::SupervisorLost`]: its keeper was killed, and left no outcome. [`JobError::System`]: another process has taken
    /// the job over by [`Kept::find`], or its outcome can't be read.
    pub async fn event(&mut self) -> Result<KeptEvent, JobError> {
        loop {
            if let Some(progress) = self.progress.take() {
                if let Some(exit) = progress.exit.clone().filter(|_| !self.exited) {
                    self.exited = true;
                    self.progress = Some(progress);
                    return Ok(KeptEvent::Exited(exit));
                }
                return Ok(KeptEvent::Progress(progress));
            }
            match self.receive().await {
                Some(FromKeeper::Progress(progress)) => self.progress = Some(progress),
                Some(FromKeeper::Ended(report)) => return Ok(KeptEvent::Ended(report)),
                None => {
                    let report = self.end().await?;
                    return Ok(match &report.outcome {
                        Outcome::Ended(exit) if !self.exited => {
                            self.exited = true;
                            KeptEvent::Exited(exit.clone())
                        }
                        _ => KeptEvent::Ended(report),
                    });
                }
            }
        }
    }

    /// Sends a signal to the command's process group. One that comes too late has no effect.
    ///
    /// # Errors
    /// There is no such signal, or the keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn signal(&self, number: i32) -> Result<(), JobError> {
        if !(1..=SIGNAL_MAX).contains(&number) {
            return Err(JobError::NoSuchSignal { signal: number });
        }
        self.ask(&ToKeeper::Signal { number })
    }

    /// Has the command's tree killed, for this reason, unless the command has ended. If it has, only waiting for room on the disk
    /// ends.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn cancel(&self, why: &Fault) -> Result<(), JobError> {
        self.ask(&ToKeeper::Cancel(Box::new(why.clone())))
    }

    /// Says whether somebody holds the job. Its `keep` time counts from the last time that somebody held it: until this was
    /// called with `false`, or the connection ended; and from its start.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn hold(&self, held: bool) -> Result<(), JobError> {
        self.ask(&ToKeeper::Hold { held })
    }

    /// Gives the command input, at most [`FEED`] bytes, whose first is at this offset. What lies before what the keeper has is
    /// ignored, so that input may be sent again after a reconnection. What lies beyond [`Progress::stdin`] and
    /// [`STDIN_WINDOW`](super::STDIN_WINDOW), or leaves a gap, is ignored, too.
    ///
    /// # Errors
    /// `data` is too large, or the keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn feed(&self, offset: u64, data: &[u8]) -> Result<(), JobError> {
        if data.len() > FEED {
            return Err(JobError::System { source: Errno::MSGSIZE.into() });
        }
        let mut message = Vec::with_capacity(9 + data.len());
        message.push(FEED_TAG);
        message.extend_from_slice(&offset.to_le_bytes());
        message.extend_from_slice(data);
        self.send(&message)
    }

    /// The input ends at this offset: the command sees its end once it has been given all before.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn finish_stdin(&self, at: u64) -> Result<(), JobError> {
        self.ask(&ToKeeper::FinishStdin { at })
    }

    /// Sets the limit of the spools anew. A job that waits at its limit goes on, if there is room now.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn limit(&self, spool: SpoolLimit) -> Result<(), JobError> {
        self.ask(&ToKeeper::Limit(spool))
    }

    /// Gives the command's terminal this size.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn resize(&self, size: TerminalSize) -> Result<(), JobError> {
        self.ask(&ToKeeper::Resize(size))
    }

    /// The holder has room for what the command's terminal prints up to this offset. What lies beyond waits in the terminal, as
    /// long as the command is held.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn room(&self, upto: u64) -> Result<(), JobError> {
        self.ask(&ToKeeper::Room { upto })
    }

    /// Says that the terminal's spool holds nothing before this offset any more: it may grow by as much.
    ///
    /// # Errors
    /// The keeper is gone: [`Kept::event`] says how the job has ended.
    pub fn trimmed(&self, before: u64) -> Result<(), JobError> {
        self.ask(&ToKeeper::Trimmed { before })
    }

    fn ask(&self, request: &ToKeeper) -> Result<(), JobError> {
        self.send(&request.encode())
    }

    fn send(&self, message: &[u8]) -> Result<(), JobError> {
        socket::send(&self.socket, message, &[], false).map_err(|error| match error {
            Errno::PIPE | Errno::CONNRESET => JobError::Ended,
            error => JobError::System { source: error.into() },
        })
    }

    /// What the keeper sends next; `None` once the connection has ended.
    async fn receive(&mut self) -> Option<FromKeeper> {
        loop {
            self.answer(Instant::now());
            let received = self.socket.async_io(Interest::READABLE, receive_now);
            let received = match self.owed {
                None => received.await,
                Some((_, due)) => match tokio::time::timeout_at(due.into(), received).await {
                    Ok(received) => received,
                    Err(_) => continue,
                },
            };
            match received.ok()? {
                Received::End => return None,
                Received::Other => {}
                Received::Message(message) => {
                    let (owed, due) = self.owed.unwrap_or((0, Instant::now() + SEEN));
                    self.owed = Some((owed + 1, due));
                    return Some(message);
                }
            }
        }
    }

    /// Sends `seen`, if it is time.
    fn answer(&mut self, now: Instant) {
        let Some((owed @ 1.., due)) = self.owed else { return };
        if due <= now || owed >= UNSEEN / 2 {
            let refused = matches!(self.ask(&ToKeeper::Seen { more: owed - 1 }), Err(JobError::System { .. }));
            self.owed = refused.then_some((owed, now + AGAIN));
        }
    }

    /// The connection has ended: so has the job, or its keeper, or another process has taken the job over.
    async fn end(&self) -> Result<Box<Report>, JobError> {
        let deadline = Instant::now() + LEAVING;
        loop {
            match look(self.directory.clone(), false).await.map_err(|source| JobError::System { source })? {
                Look::Finished(report) => return Ok(report),
                Look::Lost | Look::NeverStarted => return Err(JobError::SupervisorLost),
                // It ends just now.
                Look::Alive | Look::Connected(_) if Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
                Look::Alive | Look::Connected(_) => {
                    let source = io::Error::other("another process has taken the job over");
                    return Err(JobError::System { source });
                }
            }
        }
    }
}

enum Received {
    Message(FromKeeper),
    /// A kind of message that a later version may have.
    Other,
    End,
}

fn receive_now(socket: &OwnedFd) -> io::Result<Received> {
    thread_local! {
        /// For all jobs of a thread: most messages are short, and a new one would be cleared each time.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MESSAGE_MAX]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let received = socket::receive(socket, buffer)?;
        Ok(match FromKeeper::decode(&buffer[..received.length]) {
            Some(message) => Received::Message(message),
            None if received.length == 0 => Received::End,
            None => Received::Other,
        })
    })
}

const _: () = assert!(FEED + 9 <= MESSAGE_MAX);
