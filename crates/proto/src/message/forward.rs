//! Forwarding: the server connects to a place for the client (`connect`), or accepts connections for it (`listen`).
//!
//! ```text
//! client                       server      client                        server
//!   connect {to, data: stream} ─▶            listen {at}                  ─▶
//!   data ════════════════════  ─▶                                         ◀─  listening {port}
//!                              ◀─  connected {data: stream}               ◀─  accepted {connection, data: stream}
//!   ◀════════════════════ data ◀─                                         ◀─  ════════ data
//!                              ◀─  outcome   taken {connection, data: stream} ─▶
//!                                            data ══════════════════════  ─▶
//! ```
//!
//! Each direction of a connection is a stream of its own. Its end is the end of that direction (a half-close), and a stream
//! that is reset or stopped breaks the whole connection. The client may send data behind its `connect` at once: an answer
//! takes one round trip, and the data arrives with it.

use serde::{Deserialize, Serialize};

use super::tagged;
use crate::{Fault, Octets};

/// What a `connect` may require of a server of this version.
pub const CONNECT_KNOWN: &[&str] = &["to"];

/// What a `listen` may require of a server of this version.
pub const LISTEN_KNOWN: &[&str] = &["at"];

tagged! {
    /// Where a connection goes to, or where one is accepted.
    pub enum Place {
        /// A TCP port.
        "tcp" => Tcp(Port),
        /// The path of a unix socket.
        "unix" => Unix(Octets),
    }
}

/// A TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// A name or an address, without brackets. To listen, `localhost` means the addresses of loopback, `*` all addresses.
    pub host: String,
    /// The port; 0 picks a free one to listen on.
    pub port: u16,
}

/// Connect to a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// Where to.
    pub to: Place,
    /// The client's stream, which carries what the place is sent.
    pub data: u64,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// Accept connections at a place. When the client finishes its direction of the control stream, the server accepts no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listen {
    /// Where.
    pub at: Place,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

tagged! {
    /// From the server, about a `connect`.
    pub enum FromServer {
        /// There is a connection.
        "connected" => Connected(Connected),
        /// There is none; nothing was sent.
        "refused" => Refused(Fault),
        /// The final message.
        "outcome" => Outcome(Outcome),
    }
}

/// There is a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The server's stream, which carries what the place sends.
    pub data: u64,
}

tagged! {
    /// How a connection ended.
    pub enum Outcome {
        /// Both directions were closed by those who write on them.
        "closed" => Closed(Carried),
        /// One was not: the connection was reset.
        "broken" => Broken(Fault),
    }
}

/// Bytes of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Those that the server's side of the connection was sent.
    pub sent: u64,
    /// Those that it sent.
    pub received: u64,
}

tagged! {
    /// From the server, about a `listen`.
    pub enum FromListener {
        /// It accepts connections.
        "listening" => Listening(Listening),
        /// There is a connection.
        "accepted" => Accepted(Accepted),
        /// It accepts none; nothing was done.
        "refused" => Refused(Fault),
        /// The final message: it accepts no more, for this reason.
        "outcome" => Outcome(Fault),
    }
}

/// The server accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The port, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A connection to the place where the server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its number, unique in this `listen`.
    pub connection: u64,
    /// The server's stream, which carries what the connection sends.
    pub data: u64,
    /// Where it comes from, for people; empty for a unix socket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

tagged! {
    /// From the client, about a `listen`.
    pub enum FromClient {
        /// The connection goes on.
        "taken" => Taken(Taken),
        /// It doesn't: the server resets it.
        "declined" => Declined(Declined),
    }
}

/// The client has a place for a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which.
    pub connection: u64,
    /// The client's stream, which carries what the connection is sent.
    pub data: u64,
}

/// The client has no place for a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Which.
    pub connection: u64,
    /// Why.
    pub why: Fault,
}
