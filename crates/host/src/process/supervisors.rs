//! Starting commands.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use tokio::net::unix::pipe;
use unglue_proto::{Code, Fault};

use super::command::Command;
use super::error::SpawnError;
use super::job::{Job, Pipes};
use super::keep::{Keep, Kept, ToKeeper};
use super::link::Link;
use super::pool::{Limits, Pool, Slot};
use super::spawner::SupervisorCommand;
use super::wire::{self, Notice, Step};

/// So many new supervisors are tried in a row before something must be wrong with all of them.
const NEW_SUPERVISORS: usize = 3;

/// The processes that own commands. Clones share them.
///
/// When the last clone and the last [`Job`] are gone, or this process dies in whatever way, they kill what they still
/// run, and end.
#[derive(Clone)]
pub struct Supervisors {
    pool: Arc<Pool>,
}

impl Supervisors {
    /// Starts the first of them. Must be called within the tokio runtime that will use them; it waits for a process to
    /// start, which takes a millisecond or a few.
    pub fn new(command: SupervisorCommand, limits: Limits) -> io::Result<Self> {
        Pool::new(command, limits).map(|pool| Self { pool })
    }

    /// Starts a command, and returns once its program executes. While as many run as the limits allow, it waits, for as long
    /// as [`Limits::turn`].
    ///
    /// Cancelling it kills the command if it has started.
    pub async fn spawn(&self, command: &Command) -> Result<(Job, Pipes), SpawnError> {
        let request = wire::spawn_request(command)?;
        for _ in 0..self.pool.idle() + NEW_SUPERVISORS {
            let slot = self.turn().await?;
            if let Some(started) = self.start(slot, command, &request).await? {
                return Ok(started);
            }
        }
        Err(SpawnError::NeverReady)
    }

    /// Waits until it is this command's turn.
    async fn turn(&self) -> Result<Slot, SpawnError> {
        let after = self.pool.limits().turn;
        let turn = tokio::time::timeout(after, self.pool.acquire()).await.map_err(|_| SpawnError::Crowded { after })?;
        turn.map_err(|source| SpawnError::System { step: "starting a supervisor", source })
    }

    /// Starts a command under this supervisor; `None` if that turns out to be dead, and to have run nothing: it was
    /// killed while it was idle, or before it was born.
    async fn start(&self, mut slot: Slot, command: &Command, request: &[u8]) -> Spawned {
        let Streams { ours, theirs } = match Streams::new(command.stdin) {
            Ok(streams) => streams,
            Err(error) => {
                slot.give_back();
                return Err(SpawnError::System { step: "making pipes", source: error.into() });
            }
        };
        let Some(link) = slot.link_mut() else { return Ok(None) };
        match link.send_spawn(request, &theirs) {
            Ok(()) => drop(theirs),
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(SpawnError::System { step: "asking the supervisor", source: error.into() }),
        }
        let after = self.pool.limits().spawn_deadline;
        match tokio::time::timeout(after, link.notice()).await {
            Ok(Ok(Some(Notice::Started { pid }))) => {
                slot.started();
                let pipes = ours.register().map_err(|source| SpawnError::System { step: "watching pipes", source })?;
                Ok(Some((Job::new(slot, pid), pipes)))
            }
            Ok(Ok(Some(Notice::Refused { step, errno }))) => {
                if step != Step::Supervisor {
                    slot.give_back();
                }
                Err(refused(command, step, errno))
            }
            Ok(Ok(None)) if !link.is_ready() => Ok(None),
            // It may have started the command: another supervisor must not start it again.
            Ok(_) => Err(SpawnError::Lost),
            Err(_) => Err(SpawnError::Deadline { after }),
        }
    }
}

impl Supervisors {
    /// Starts a command under a keeper of its own, and returns, with its process id, once its program executes. What
    /// [`Limits`] says about commands at once holds for its start only.
    ///
    /// Cancelling it kills the command if it has started.
    ///
    /// # Errors
    /// The command did not start, or must not: [`SpawnError::is_unknown`], and [`Kept::find`] tells what has become of it. The
    /// directory can't be used a second time.
    pub async fn keep(&self, keep: &Keep) -> Result<(Kept, u32), SpawnError> {
        let request = wire::keep_request(keep)?;
        for _ in 0..self.pool.idle() + NEW_SUPERVISORS {
            let slot = self.turn().await?;
            if let Some(started) = self.start_kept(slot, keep, &request).await? {
                return Ok(started);
            }
        }
        Err(SpawnError::NeverReady)
    }

    /// As [`Self::start`].
    async fn start_kept(&self, slot: Slot, keep: &Keep, request: &[u8]) -> Result<Option<(Kept, u32)>, SpawnError> {
        let mut asked = Asked { slot: Some(slot), sent: false };
        let Some(link) = asked.link() else { return Ok(None) };
        match link.send_spawn(request, &[]) {
            Ok(()) => asked.sent = true,
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(SpawnError::System { step: "asking the supervisor", source: error.into() }),
        }
        let Some(link) = asked.link() else { return Ok(None) };
        let after = self.pool.limits().spawn_deadline;
        match tokio::time::timeout(after, link.notice()).await {
            Ok(Ok(Some(Notice::Started { pid }))) => {
                let socket = asked.slot.take().and_then(Slot::take).ok_or(SpawnError::Lost)?.into_socket();
                Ok(Some((Kept::over(socket, keep.directory.clone()), pid)))
            }
            Ok(Ok(Some(Notice::Refused { step, errno }))) => Err(refused(&keep.command, step, errno)),
            Ok(Ok(None)) if !link.is_ready() => Ok(None),
            Ok(_) => Err(SpawnError::Lost),
            Err(_) => Err(SpawnError::Deadline { after }),
        }
    }
}

/// A supervisor that was asked to keep a command. Dropped before it has answered, it kills the command should it still start: the
/// end of its socket alone has no such effect on a keeper.
struct Asked {
    slot: Option<Slot>,
    sent: bool,
}

impl Asked {
    fn link(&mut self) -> Option<&mut Link> {
        self.slot.as_mut().and_then(Slot::link_mut)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let sent = self.sent;
        if let Some(link) = self.link().filter(|_| sent) {
            let fault = Fault::user(Code::Cancelled, "the server no longer waited for the command to start");
            // The supervisor is gone: so is the command.
            let _ = link.send(&ToKeeper::Cancel(Box::new(fault)).encode());
        }
    }
}

type Spawned = Result<Option<(Job, Pipes)>, SpawnError>;

impl std::fmt::Debug for Supervisors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisors").field("limits", self.pool.limits()).finish_non_exhaustive()
    }
}

fn refused(command: &Command, step: Step, errno: i32) -> SpawnError {
    let program = || command.argv.first().cloned().unwrap_or_default();
    SpawnError::refused(step, errno, program, || command.cwd.clone())
}

/// A command's streams before it starts: our ends, and the ones it gets.
struct Streams {
    ours: OurEnds,
    theirs: Vec<OwnedFd>,
}

struct OurEnds {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Streams {
    fn new(stdin: bool) -> rustix::io::Result<Self> {
        let mut theirs = Vec::with_capacity(3);
        let stdin = if stdin {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            theirs.push(read);
            Some(write)
        } else {
            None
        };
        let mut output = || {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            theirs.push(write);
            Ok(read)
        };
        let (stdout, stderr) = (output()?, output()?);
        Ok(Self { ours: OurEnds { stdin, stdout, stderr }, theirs })
    }
}

impl OurEnds {
    /// Makes them non-blocking, and known to the runtime.
    fn register(self) -> io::Result<Pipes> {
        Ok(Pipes {
            stdin: self.stdin.map(pipe::Sender::from_owned_fd).transpose()?,
            stdout: pipe::Receiver::from_owned_fd(self.stdout)?,
            stderr: pipe::Receiver::from_owned_fd(self.stderr)?,
        })
    }
}
