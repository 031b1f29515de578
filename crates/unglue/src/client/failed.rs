//! Why there is no link, or why what was asked for over one did not come. It stays typed until it is shown: whether to try again
//! is decided by what happened.

use std::time::Duration;

use unglue_link::{ConnectError, LinkError, StreamError};
use unglue_proto::{Code, Fault};

use super::connector::NotConnected;
use crate::ops::ControlError;

/// What failed, seen from a client.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failed {
    /// The link has ended, or could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No file knows the server's key any more.
    #[error("{}", .0.what)]
    UnknownHost(Fault),
    /// The caller's own way of connecting made no connection.
    #[error(transparent)]
    Connector(#[from] NotConnected),
    /// The server gave a stream up.
    #[error("{}", Fault::from(StreamError::Reset(*.0)).what)]
    Reset(Code),
    /// The server answers pings, and not the request.
    #[error("the server did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// What came breaks a rule of the protocol.
    #[error("{}", .0.what)]
    Protocol(Fault),
}

impl Failed {
    /// Whether another link may bring what this one did not.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Failed::Link(error) => error.is_passing(),
            Failed::Connector(error) => matches!(error, NotConnected::Passing(_)),
            Failed::Reset(code) => resets_pass(*code),
            Failed::Silent(_) => true,
            Failed::UnknownHost(_) | Failed::Protocol(_) => false,
        }
    }

    /// Whether the other end broke a rule of the protocol.
    pub(crate) fn is_protocol(&self) -> bool {
        match self {
            Failed::Protocol(_) => true,
            Failed::Link(error) => matches!(error, LinkError::Protocol { .. }),
            _ => false,
        }
    }
}

/// Whether a server that gave a stream up for this reason may take the next one: it is stopping, or had no room.
fn resets_pass(code: Code) -> bool {
    matches!(code, Code::GoingAway | Code::Busy | Code::Cancelled | Code::System | Code::TimedOut | Code::LinkLost)
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Failed {
        match error {
            ConnectError::Failed(error) => Failed::Link(error),
            error => Failed::UnknownHost(error.into()),
        }
    }
}

impl From<StreamError> for Failed {
    fn from(error: StreamError) -> Failed {
        match error {
            StreamError::Lost(error) => Failed::Link(error),
            StreamError::Reset(code) => Failed::Reset(code),
        }
    }
}

impl From<ControlError> for Failed {
    fn from(error: ControlError) -> Failed {
        match error {
            ControlError::Stream(error) => error.into(),
            ControlError::Message(fault) => Failed::Protocol(fault),
        }
    }
}

impl From<Failed> for Fault {
    fn from(error: Failed) -> Fault {
        match error {
            Failed::Link(error) => error.into(),
            Failed::Connector(error) => error.into(),
            Failed::Reset(code) => StreamError::Reset(code).into(),
            Failed::Silent(_) => Fault::peer(Code::TimedOut, error.to_string()),
            Failed::UnknownHost(fault) | Failed::Protocol(fault) => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_go_better_the_next_time_passes() {
        let refused = |code| Failed::Link(LinkError::Refused { fault: Fault::peer(code, "no") });
        let passing = [
            Failed::Link(LinkError::Truncated),
            Failed::Link(LinkError::Closed),
            refused(Code::Busy),
            Failed::Reset(Code::GoingAway),
            Failed::Silent(Duration::from_secs(1)),
            Failed::Connector(NotConnected::Passing(Fault::peer(Code::Unreachable, "away"))),
        ];
        let lasting = [
            Failed::Link(LinkError::NoKey),
            refused(Code::Denied),
            Failed::Reset(Code::NotAllowed),
            Failed::Protocol(Fault::peer(Code::BadMessage, "nonsense")),
            Failed::Connector(NotConnected::Lasting(Fault::peer(Code::Unreachable, "never"))),
        ];
        assert!(passing.iter().all(Failed::is_passing), "{passing:?}");
        assert!(!lasting.iter().any(Failed::is_passing), "{lasting:?}");
    }
}
