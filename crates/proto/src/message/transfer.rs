//! Moving one file: `put` writes it on the server, `get` reads it from there.
//!
//! ```text
//! client                      server        client                      server
//!   put {data: stream}     ─▶                 get                    ─▶
//!   data ════════════════  ─▶                                        ◀─  file {data: stream, size, …}
//!   sent {bytes, blake3}   ─▶                                        ◀─  ════════ data
//!                          ◀─  outcome                               ◀─  outcome {bytes, blake3}
//! ```
//!
//! The receiver compares count and digest before it renames its temporary file to the final name, and a `put`'s
//! outcome says `done` only after file and directory are synced (promise P7). Either side may say `failed` instead.

use serde::{Deserialize, Serialize};

use super::{Tally, tagged};
use crate::{Fault, Octets};

/// What a `put` may require of a server of this version.
pub const PUT_KNOWN: &[&str] = &["path", "name", "size", "mode", "mtime_ns", "data"];

/// What a `get` may require of a server of this version.
pub const GET_KNOWN: &[&str] = &["path"];

/// A file to write on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// Where to: a file's path, or a directory's.
    pub path: Octets,
    /// The source's own name, for a destination that is a directory.
    pub name: Octets,
    /// The size that the source has now, in bytes: a forecast, for progress and free space.
    pub size: u64,
    /// The permission bits (`0o644`).
    pub mode: u32,
    /// Whether the mode is kept as it is, set-id bits apart, rather than cut by the receiver's umask.
    #[serde(default)]
    pub keep_mode: bool,
    /// The time of the last modification, in nanoseconds since 1970, if it shall be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// The client's stream that carries the bytes.
    pub data: u64,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// A file of the server to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// Where from.
    pub path: Octets,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// What a `get` is about to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The server's stream that carries the bytes.
    pub data: u64,
    /// The size that the source has now, in bytes: a forecast.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// The time of the last modification, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

tagged! {
    /// From the client of a `put`, after the request.
    pub enum FromClient {
        /// Everything was sent; this is what it was.
        "sent" => Sent(Tally),
        /// The source failed: discard what came.
        "failed" => Failed(Fault),
    }
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// A `get` found its file.
        "file" => File(File),
        /// The final message of a transfer that was accepted.
        "outcome" => Outcome(Outcome),
        /// The final message of a request that was not: nothing was done.
        "refused" => Refused(Fault),
    }
}

tagged! {
    /// How a transfer ended.
    pub enum Outcome {
        /// A `put`: the file is complete, verified, synced and under its name. A `get`: this is what was sent.
        "done" => Done(Tally),
        /// It is not; the old file, if there was one, is untouched.
        "failed" => Failed(Fault),
    }
}
