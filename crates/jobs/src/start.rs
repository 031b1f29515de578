//! Starting a job.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use unglue_host::process::{Command, InputSource, Keep, OutputSink, Pipes, SpawnError, SpoolLimit, Supervisors};
use unglue_proto::life::{Life, Terms};
use unglue_proto::message::exec::Lease;

use crate::claim::Claim;
use crate::job::{Job, Order};
use crate::registry::New;
use crate::task::{self, Attachment};
use crate::warden;

/// A command that runs, and whose streams nobody moves yet. Dropped, it is killed.
pub struct Started {
    process: unglue_host::process::Job,
    pipes: Pipes,
    life: Life,
    claim: Claim,
    orders: mpsc::Receiver<Order>,
}

/// Where a job's streams come from and go to: directly from and to its holder. A holder that reads slowly stalls the command,
/// as a pipe does.
pub struct Stdio<O, I> {
    /// Its input, if it has one.
    pub stdin: Option<I>,
    /// What it prints.
    pub stdout: O,
    /// What it prints to standard error.
    pub stderr: O,
}

/// A command that did not start, or of which that isn't known; see [`SpawnError::is_unknown`].
pub struct NotStarted {
    /// Why.
    pub error: SpawnError,
    /// To be told what became of it.
    pub claim: Claim,
}

/// Starts a command that lives as long as its holder, and returns once its program executes. Cancelled, the command may
/// have started: then it is killed, and the job is recorded as cancelled.
///
/// # Errors
/// It did not start.
pub async fn start(
    supervisors: &Supervisors,
    command: &Command,
    terms: Terms,
    new: New,
) -> Result<Started, NotStarted> {
    let New { mut claim, orders, .. } = new;
    claim.starting();
    match supervisors.spawn(command).await {
        Ok((process, pipes)) => {
            claim.started(process.pid());
            Ok(Started { process, pipes, life: Life::new(terms, Instant::now()), claim, orders })
        }
        Err(error) => Err(NotStarted { error, claim }),
    }
}

/// Starts a command with a keeper, which outlives this process, and returns once its program executes. What it prints is
/// kept in the job's directory; at `limit` bytes it stalls, or is ended. Don't cancel it.
///
/// # Errors
/// It did not start.
pub async fn keep(
    supervisors: &Supervisors,
    command: Command,
    terms: Terms,
    limit: SpoolLimit,
    durable: bool,
    new: New,
) -> Result<Arc<Job>, NotStarted> {
    let New { mut claim, job, orders } = new;
    claim.starting();
    let Some(directory) = job.directory() else {
        let source = io::Error::other("the job has no directory");
        return Err(NotStarted { error: SpawnError::System { step: "keeping its output", source }, claim });
    };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    if let Err(source) = made {
        return Err(NotStarted {
            error: SpawnError::System { step: "making a directory for its output", source },
            claim,
        });
    }
    let keep = match &job.lease {
        Lease::Keep(keep) => Some(Duration::from_millis(keep.ms)),
        // Of a terminal: it ends with its holder.
        Lease::Kill(_) => Some(Duration::ZERO),
        _ => None,
    };
    let asked = Keep { directory: directory.to_owned(), command, terms, keep, durable, spool: limit };
    match supervisors.keep(&asked).await {
        Ok((kept, pid)) => {
            claim.started(pid);
            warden::spawn(kept, job.clone(), claim, orders);
        }
        // It may run, under its keeper.
        Err(error) if error.is_unknown() => warden::find(directory.to_owned(), job.clone(), claim, orders),
        Err(error) => return Err(NotStarted { error, claim }),
    }
    Ok(job)
}

impl Started {
    /// The process id of the command.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Carries the command to its end, on a task of the current runtime.
    pub fn run<O: OutputSink + 'static, I: InputSource + 'static>(self, stdio: Stdio<O, I>) -> Attachment {
        let Started { process, pipes, life, claim, orders } = self;
        task::spawn(process, pipes, life, (claim, orders), stdio)
    }
}
