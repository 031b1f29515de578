//! What can go wrong while a scene is played.

use std::io;
use std::time::Duration;

/// A scene that could not be played to its end. The system erred, or the script's own commands did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A socket, a pipe or a process failed.
    #[error("the scene could not {action}: {source}")]
    Io {
        /// The verb, such as `listen on 127.0.0.1`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A step took longer than a scene may.
    #[error("the scene waited {} s for {what}, in vain; use commands that end sooner", .after.as_secs())]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The server's end closed the connection before its replies were complete.
    #[error("the connection closed after {received} bytes of replies; {owed} more were owed")]
    Closed {
        /// Bytes that the client had received.
        received: u64,
        /// Bytes that were still to come.
        owed: u64,
    },
}

impl LabError {
    /// Turns what the system said into an error: a passed deadline of a socket into [`LabError::Deadline`].
    pub(crate) fn of(action: &'static str, after: Duration) -> impl FnOnce(io::Error) -> LabError {
        move |source| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LabError::Deadline { what: action, after },
            _ => LabError::Io { action, source },
        }
    }
}
