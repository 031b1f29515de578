//! Starting a job.

use std::time::Instant;

use unglue_host::process::{Command, InputSource, Job, OutputSink, Pipes, SpawnError, Supervisors};
use unglue_proto::life::{Life, Terms};

use crate::Claim;
use crate::task::{self, Attachment};

/// A command that runs, and whose streams nobody moves yet. Dropped, it is killed.
pub struct Started {
    job: Job,
    pipes: Pipes,
    life: Life,
    claim: Claim,
}

/// Where a job's streams come from and go to.
#[non_exhaustive]
pub enum Stdio<O, I> {
    /// Directly from and to the holder of the job. A holder that reads slowly stalls the command, as a pipe does.
    Direct {
        /// Its input, if it has one.
        stdin: Option<I>,
        /// What it prints.
        stdout: O,
        /// What it prints to standard error.
        stderr: O,
    },
}

/// Starts a command, and returns once its program executes.
///
/// # Errors
/// It did not start; see [`SpawnError::is_unknown`].
pub async fn start(
    supervisors: &Supervisors,
    command: &Command,
    terms: Terms,
    claim: Claim,
) -> Result<Started, SpawnError> {
    let (job, pipes) = supervisors.spawn(command).await?;
    Ok(Started { job, pipes, life: Life::new(terms, Instant::now()), claim })
}

impl Started {
    /// The process id of the command.
    pub fn pid(&self) -> u32 {
        self.job.pid()
    }

    /// Carries the command to its end, on a task of the current runtime.
    pub fn run<O: OutputSink + 'static, I: InputSource + 'static>(self, stdio: Stdio<O, I>) -> Attachment {
        let Started { job, pipes, life, claim } = self;
        task::spawn(job, pipes, life, claim, stdio)
    }
}
