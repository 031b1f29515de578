//! What goes wrong in the lab, in two sentences.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a dialect's server or client, or a scene, stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A socket, a pipe, a file or a process failed.
    #[error("could not {action}: {source}")]
    Io {
        /// The verb and its object, such as `listen on 127.0.0.1:80`.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever reads the replies takes no more.
    #[error("could not write the reply: {source}")]
    Output {
        /// What the system said.
        source: io::Error,
    },
    /// The other end made no progress for too long.
    #[error("timed out after {} s waiting for {what}", .after.as_secs_f64())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The connection ended in the middle of something.
    #[error("the peer closed the connection after {got} of {wanted} bytes of {what}; what came is not a whole message")]
    Cut {
        /// What was being received.
        what: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        wanted: u64,
    },
    /// The peer sent something that its dialect doesn't have.
    #[error("the peer sent {what}; {advice}")]
    Malformed {
        /// What it sent, with the numbers.
        what: String,
        /// What may be the reason, or what to do.
        advice: String,
    },
    /// The peer broke off.
    #[error("{what}; {advice}")]
    Broken {
        /// When it did.
        what: String,
        /// What that means.
        advice: String,
    },
    /// The user asked for something that can't be.
    #[error("{what}; {advice}")]
    Misuse {
        /// What is wrong.
        what: String,
        /// What to do instead.
        advice: String,
    },
    /// This machine, or this user, lacks what a scene needs.
    #[error("{what}; {advice}")]
    Unavailable {
        /// What failed.
        what: String,
        /// How it can be had.
        advice: String,
    },
    /// A local file could not be sent or stored.
    #[error("{}: {what}; {advice}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The server was shut down meanwhile.
    #[error("the server was shut down")]
    Stopped,
}

impl LabError {
    /// Says what was being done when the system refused.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
        move |source| LabError::Io { action: action.into(), source }
    }

    /// The same for callers that know `io::Error` alone: a deadline is [`io::ErrorKind::TimedOut`], a connection that ended too
    /// early [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            LabError::Io { source, .. } | LabError::Output { source } => source.kind(),
            LabError::Deadline { .. } => io::ErrorKind::TimedOut,
            LabError::Cut { .. } => io::ErrorKind::UnexpectedEof,
            LabError::Malformed { .. } => io::ErrorKind::InvalidData,
            LabError::Broken { .. } | LabError::Stopped => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// What the peer sent, and what to make of it.
    pub(crate) fn malformed(what: impl Into<String>, advice: impl Into<String>) -> LabError {
        LabError::Malformed { what: what.into(), advice: advice.into() }
    }

    /// What the user asked for, and what to ask for instead.
    pub(crate) fn misuse(what: impl Into<String>, advice: impl Into<String>) -> LabError {
        LabError::Misuse { what: what.into(), advice: advice.into() }
    }
}
