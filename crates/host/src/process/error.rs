//! What can go wrong with a command, and whose error it is.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use unglue_proto::message::exec::{Outcome, SpawnFailed, SpawnStep};
use unglue_proto::{Code, Fault};

use super::wire::Step;
use crate::errno::errno_name;

/// Why a command did not start. Nothing of it ran, except where [`SpawnError::is_unknown`] is true.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The caller's mistake: such a command can't be handed to the kernel.
    #[error("the command can't be run: {what}")]
    Invalid {
        /// What is wrong with it.
        what: &'static str,
    },
    /// As many commands ran as there may, and none of them ended within this time.
    #[error("as many commands run as this server allows, and none ended within {} s", after.as_secs())]
    Crowded {
        /// How long the command waited.
        after: Duration,
    },
    /// The program was not found, or the kernel refused to execute it.
    #[error("{program:?} could not be run: {}", errno_text(*errno))]
    Program {
        /// `argv[0]`, as it was given.
        program: OsString,
        /// The error number: `ENOENT` also stands for a script whose interpreter is missing.
        errno: i32,
    },
    /// The working directory can't be entered.
    #[error("the working directory {cwd:?} can't be entered: {}", errno_text(*errno))]
    Cwd {
        /// The directory, as it was given.
        cwd: PathBuf,
        /// The error number.
        errno: i32,
    },
    /// The system refused what a new process needs: pipes, memory, a process.
    #[error("the system refused a new process ({step}): {source}. Free some, or raise the limit that it names.")]
    System {
        /// What was being done.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Several supervisors in a row ended before they were ready.
    #[error(
        "no supervisor could run the command: several in a row ended before they were ready. The program that is \
         started as a supervisor must call supervise_main"
    )]
    NeverReady,
    /// The supervisor died before it answered. Whether the command ran is unknown; it runs no longer.
    #[error("the supervisor died before it answered: whether the command ran is unknown, but it runs no longer")]
    Lost,
    /// The command did not start in time: its program or directory lies on storage that doesn't answer.
    #[error("the command had not started after {} ms; it is killed should it still start", after.as_millis())]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
}

impl SpawnError {
    /// What a supervisor reports, as an error.
    pub(super) fn refused(
        step: Step,
        errno: i32,
        program: impl FnOnce() -> OsString,
        cwd: impl FnOnce() -> PathBuf,
    ) -> Self {
        let system = |step| Self::System { step, source: io::Error::from_raw_os_error(errno) };
        match step {
            Step::Supervisor => system("forking a supervisor"),
            Step::Request => system("passing the command to its supervisor"),
            Step::Process => system("forking the command's process"),
            Step::Directory => system("preparing the job's directory"),
            Step::Cwd => Self::Cwd { cwd: cwd(), errno },
            Step::Program => Self::Program { program: program(), errno },
        }
    }

    /// How a command ended that did not start, or of which that isn't known.
    pub fn outcome(&self) -> Outcome {
        let step = match self {
            Self::Crowded { .. } => {
                let fault = Fault::system(Code::Busy, self.to_string());
                return Outcome::Refused(fault.advise("nothing ran; try again later"));
            }
            Self::Invalid { .. } => return Outcome::Refused(Fault::user(Code::BadMessage, self.to_string())),
            Self::Lost | Self::Deadline { .. } => {
                let fault = Fault::system(Code::Unknown, self.to_string());
                return Outcome::NotKnown(fault.advise("if it started, it was killed: look for what it has done"));
            }
            Self::NeverReady => return Outcome::Failed(Fault::system(Code::System, self.to_string())),
            Self::Program { .. } => SpawnStep::Program,
            Self::Cwd { .. } => SpawnStep::Cwd,
            Self::System { .. } => SpawnStep::Resources,
        };
        let number = self.errno().unwrap_or_default();
        let errno = errno_name(number).map_or_else(|| format!("E{number}"), str::to_owned);
        Outcome::SpawnFailed(SpawnFailed { errno, step, what: self.to_string() })
    }

    /// The error number, where the system gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Program { errno, .. } | Self::Cwd { errno, .. } => Some(*errno),
            Self::System { source, .. } => source.raw_os_error(),
            Self::Crowded { .. } | Self::Invalid { .. } | Self::NeverReady | Self::Lost | Self::Deadline { .. } => None,
        }
    }

    /// Whether the command may have run nevertheless.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Lost | Self::Deadline { .. })
    }
}

/// Why nothing more is known about a command that had started.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The supervisor was killed, perhaps by the command itself. The command's tree is being killed.
    #[error("the command's supervisor was killed: how the command ended is unknown, and what is left of it is killed")]
    SupervisorLost,
    /// The system refused to pass a request to the supervisor: it has not taken the ones before.
    #[error("the command's supervisor takes no more requests: {source}")]
    System {
        /// The system's answer.
        source: io::Error,
    },
    /// The supervisor did not answer in time.
    #[error("the command's supervisor did not answer within {} ms", after.as_millis())]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
    /// The command has ended: there is nobody left to signal.
    #[error("the command has already ended")]
    Ended,
    /// The command was left to run on by itself: nobody waits for it.
    #[error("the command was left running, so that nobody knows how it ends")]
    LetGo,
    /// No such signal.
    #[error("there is no signal {signal}; signals are numbered 1 to 64")]
    NoSuchSignal {
        /// The number that was given.
        signal: i32,
    },
}

fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match errno_name(errno) {
        Some(name) => format!("{name}, {text}"),
        None => text,
    }
}
