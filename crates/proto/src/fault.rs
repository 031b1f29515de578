//! What went wrong, who erred, and what to do: the one error type that travels.
//!
//! A [`Fault`] is two sentences and a [`Code`]. Programs match on the code (and on `errno` and `path`, where the system
//! gave one); people read `what` and `advice`. The [`Blame`] is where to look first.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Octets;

/// A failure, as it is shown and as it travels in a control message.
///
/// ```
/// use unglue_proto::{Code, Fault};
///
/// let fault = Fault::user(Code::NotAllowed, "the server doesn't run commands").advise("start it with --allow exec");
/// assert_eq!(fault.to_string(), "the server doesn't run commands; start it with --allow exec");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind of failure, for programs.
    pub code: Code,
    /// Who erred, from the point of view of the end that made the fault.
    pub blame: Blame,
    /// What happened, with its numbers.
    pub what: String,
    /// What to do about it; empty where there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The system's name for the error (`ENOSPC`), where it was the system that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// The path that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Octets>,
    /// On which side it happened, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// One of the two ends of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

/// Who erred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blame {
    /// This end: a bug of unglue.
    Us,
    /// The other end broke the protocol.
    Peer,
    /// The request can't be served as it was made.
    User,
    /// The machine or the network.
    System,
    /// A value of a later version.
    #[serde(other)]
    Other,
}

/// The kinds of failure. Each has a name in JSON and a number in frames that have no room for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
#[non_exhaustive]
pub enum Code {
    /// The reader or the writer of a stream no longer wants it; no error.
    Cancelled = 1,
    /// A frame that the protocol doesn't allow here.
    BadFrame = 2,
    /// A control message that doesn't parse, or that doesn't belong here.
    BadMessage = 3,
    /// More bytes, streams or tries than a limit allows.
    LimitExceeded = 4,
    /// The request requires something that this end doesn't know.
    Unsupported = 5,
    /// The server's settings don't allow this operation.
    NotAllowed = 6,
    /// The server is stopping.
    GoingAway = 7,
    /// A deadline passed.
    TimedOut = 8,
    /// The link ended before the operation did.
    LinkLost = 9,
    /// Byte counts or digests of the two ends differ.
    Mismatch = 10,
    /// The operating system refused; `errno` has its name.
    System = 11,
    /// A bug.
    Internal = 12,
    /// A file changed, shrank or vanished while it was read.
    SourceChanged = 13,
    /// A path that leads out of the root, or to something that isn't a file.
    PathRefused = 14,
    /// The key, the user or the signature was not accepted.
    Denied = 15,
    /// The server is not the one that is known under this name, or is not known at all.
    UntrustedHost = 16,
    /// There is no connection to the server: it refused, or didn't answer.
    Unreachable = 17,
    /// A cap on what runs at once is reached: the same request may succeed later.
    Busy = 18,
    /// Processes could not be killed.
    Unkillable = 19,
    /// The operation's id belongs to another one.
    IdInUse = 20,
    /// There is no command with this id or name.
    NoSuchJob = 21,
    /// Whether the request was served before can't be known.
    Unknown = 22,
    /// The server can't record the id, and the request needs that.
    NotRecorded = 23,
    /// Another client holds the command.
    Held = 24,
    /// A code of a later version.
    #[serde(other)]
    Other = 0,
}

impl Code {
    /// The code of a number in a frame.
    pub fn from_wire(number: u32) -> Code {
        use Code::*;
        const ALL: [Code; 24] = [
            Cancelled,
            BadFrame,
            BadMessage,
            LimitExceeded,
            Unsupported,
            NotAllowed,
            GoingAway,
            TimedOut,
            LinkLost,
            Mismatch,
            System,
            Internal,
            SourceChanged,
            PathRefused,
            Denied,
            UntrustedHost,
            Unreachable,
            Busy,
            Unkillable,
            IdInUse,
            NoSuchJob,
            Unknown,
            NotRecorded,
            Held,
        ];
        ALL.into_iter().find(|code| *code as u32 == number).unwrap_or(Other)
    }
}

impl Fault {
    fn new(code: Code, blame: Blame, what: impl Into<String>) -> Fault {
        Fault { code, blame, what: what.into(), advice: String::new(), errno: None, path: None, side: None }
    }

    /// A bug of this end.
    pub fn us(what: impl Into<String>) -> Fault {
        Fault::new(Code::Internal, Blame::Us, what).advise("this is a bug in unglue: please report it")
    }

    /// The other end broke the protocol.
    pub fn peer(code: Code, what: impl Into<String>) -> Fault {
        Fault::new(code, Blame::Peer, what)
    }

    /// A request that can't be served as it was made.
    pub fn user(code: Code, what: impl Into<String>) -> Fault {
        Fault::new(code, Blame::User, what)
    }

    /// The machine or the network failed.
    pub fn system(code: Code, what: impl Into<String>) -> Fault {
        Fault::new(code, Blame::System, what)
    }

    /// Adds what to do about it.
    pub fn advise(mut self, advice: impl Into<String>) -> Fault {
        self.advice = advice.into();
        self
    }

    /// Adds the system's name for the error.
    pub fn errno(mut self, errno: impl Into<String>) -> Fault {
        self.errno = Some(errno.into());
        self
    }

    /// Adds the side that it happened on, unless that is known already.
    pub fn on(mut self, side: Side) -> Fault {
        self.side.get_or_insert(side);
        self
    }

    /// Adds the path that it is about.
    pub fn at(mut self, path: impl Into<Octets>) -> Fault {
        self.path = Some(path.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.side == Some(Side::Server) {
            f.write_str("on the server: ")?;
        }
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_a_frame() {
        for number in 1..=24 {
            assert_eq!(Code::from_wire(number) as u32, number);
        }
        assert_eq!(Code::from_wire(99), Code::Other);
    }

    #[test]
    fn a_code_of_a_later_version_still_parses() {
        let fault: Fault = serde_json::from_str(r#"{"code":"on_fire","blame":"system","what":"smoke"}"#).unwrap();
        assert_eq!(fault.code, Code::Other);
    }
}
