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
//! outcome is `done` only after file and directory are synced (promise P7). Either side may send `failed` instead.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Compress, Tally, tagged};
use crate::{Fault, Octets};

/// What a `put` may require of a server of this version.
pub const PUT_KNOWN: &[&str] = &["path", "name", "size", "mode", "keep_mode", "modified", "in_place", "data"];

/// What a `get` may require of a server of this version.
pub const GET_KNOWN: &[&str] = &["path", "compress"];

/// A file to write on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// Where to: a file's path, or a directory's.
    pub path: Octets,
    /// The source's own name, for a destination that is a directory.
    pub name: Octets,
    /// The number of bytes that will come, where the client knows it. The server refuses what can't fit, and a byte
    /// more than announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The permission bits (`0o644`) of a file that is new. One that is replaced keeps its own.
    pub mode: u32,
    /// Whether the file gets exactly `mode`, set-id bits apart, be it new or replaced.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub keep_mode: bool,
    /// The time of the last modification that the file gets; without it, the time of writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Time>,
    /// Whether the file is overwritten where it is, instead of being replaced when the new one is complete.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub in_place: bool,
    /// The client's stream that carries the bytes.
    pub data: u64,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// A file of the server to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Get {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// Where from.
    pub path: Octets,
    /// How the server compresses what it sends; not at all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compress>,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// What a `get` is about to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The server's stream that carries the bytes.
    pub data: u64,
    /// The number of bytes that will come. Left out where the file system makes the file up while it is read (`/proc`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The permission bits.
    pub mode: u32,
    /// The time of the last modification.
    pub modified: Time,
}

/// A point in time: seconds since 1970-01-01 00:00:00 UTC, negative before it, and nanoseconds after that second.
///
/// Parsing refuses nanoseconds of a whole second or more.
///
/// ```
/// use unglue_proto::message::transfer::Time;
///
/// let time: Time = serde_json::from_str(r#"{"seconds":-1,"nanoseconds":999999999}"#).unwrap();
/// assert_eq!(time, Time { seconds: -1, nanoseconds: 999_999_999 });
/// assert!(serde_json::from_str::<Time>(r#"{"seconds":0,"nanoseconds":1000000000}"#).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    #[serde(deserialize_with = "below_a_second")]
    pub nanoseconds: u32,
}

fn below_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let nanoseconds = u32::deserialize(deserializer)?;
    match nanoseconds < 1_000_000_000 {
        true => Ok(nanoseconds),
        false => Err(serde::de::Error::custom(format!("{nanoseconds} nanoseconds are a second or more"))),
    }
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
