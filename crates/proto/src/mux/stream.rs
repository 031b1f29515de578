//! What a stream is: its number, and its two halves.
//!
//! The numbers are QUIC's (RFC 9000 section 2.1): bit 0 is the initiator (0 the client, 1 the server), bit 1 the
//! direction (0 both ways, 1 one way), the rest counts.

use std::fmt;

use super::recv::RecvHalf;
use super::send::SendHalf;
use crate::limits;

/// Which end of the link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

impl Role {
    /// The other end.
    pub fn peer(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}

/// Which ends write on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both: an operation's control stream.
    Bidirectional = 0,
    /// Its initiator alone: one input, output or file.
    Unidirectional = 1,
}

impl Direction {
    /// Both directions, in the order of their numbers.
    pub(super) const BOTH: [Direction; 2] = [Direction::Bidirectional, Direction::Unidirectional];

    pub(super) fn limit(self) -> usize {
        match self {
            Direction::Bidirectional => limits::BIDIRECTIONAL_STREAMS,
            Direction::Unidirectional => limits::UNIDIRECTIONAL_STREAMS,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Bidirectional => "bidirectional",
            Direction::Unidirectional => "unidirectional",
        })
    }
}

/// A stream's number, unique on its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The number of the `ordinal`th stream (from 0) of an initiator and a direction.
    pub(super) fn new(initiator: Role, direction: Direction, ordinal: u64) -> StreamId {
        StreamId(ordinal << 2 | (direction as u64) << 1 | (initiator == Role::Server) as u64)
    }

    /// The end that opened it.
    pub fn initiator(self) -> Role {
        if self.0 & 1 == 0 { Role::Client } else { Role::Server }
    }

    /// Which ends write on it.
    pub fn direction(self) -> Direction {
        if self.0 & 2 == 0 { Direction::Bidirectional } else { Direction::Unidirectional }
    }

    pub(super) fn ordinal(self) -> u64 {
        self.0 >> 2
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// A stream, as one end sees it.
pub(super) struct Stream {
    pub(super) send: Option<SendHalf>,
    pub(super) recv: Option<RecvHalf>,
    /// Whether it stands in line to be sent.
    pub(super) scheduled: bool,
}

impl Stream {
    pub(super) fn new(id: StreamId, role: Role) -> Stream {
        let both = id.direction() == Direction::Bidirectional;
        let ours = id.initiator() == role;
        Stream { send: (both || ours).then(SendHalf::new), recv: (both || !ours).then(RecvHalf::new), scheduled: false }
    }

    pub(super) fn has_output(&self) -> bool {
        self.send.as_ref().is_some_and(SendHalf::has_output) || self.recv.as_ref().is_some_and(RecvHalf::has_output)
    }

    /// Nothing can travel on it any more, in either direction, and its reader has seen the end.
    pub(super) fn is_forgotten(&self) -> bool {
        self.send.as_ref().is_none_or(SendHalf::is_done)
            && self.recv.as_ref().is_none_or(|recv| recv.is_ended() && recv.is_consumed())
    }
}
