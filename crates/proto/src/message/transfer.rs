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
//! With `resume`, the receiver first says what it has: a server in `have`, before the data of a `put`; a client in `have`,
//! after `file`.
//!
//! The receiver compares count and digest before it renames its temporary file to the final name, and a `put`'s
//! outcome is `done` only after file and directory are synced (promise P7). Either side may send `failed` instead.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Compress, Tally, tagged};
use crate::{Fault, Octets};

/// What a `put` may require of a server of this version.
pub const PUT_KNOWN: &[&str] =
    &["path", "name", "size", "mode", "keep_mode", "modified", "in_place", "data", "resume", "delta", "ahead"];

/// What a `get` may require of a server of this version.
pub const GET_KNOWN: &[&str] = &["path", "compress", "resume", "delta"];

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
    /// Whether the server keeps what came if the transfer breaks off, and goes on from there the next time. It answers with
    /// [`FromServer::Have`] then, and the client waits for that before it sends data.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub resume: bool,
    /// Whether the server may offer the file that is to be replaced, in [`FromServer::Have`], so that only what changed is
    /// sent. The client waits for that, too.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub delta: bool,
    /// How many of the file's first bytes the client sends before it waits: at most [`AHEAD`](crate::limits::AHEAD). A server that
    /// has nothing of the file takes them as its beginning; any other one drops them, and the data begin after them.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub ahead: u64,
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
    /// Whether the client may have a part of the file already. It answers `file` with [`FromClient::Have`] then, and the
    /// server waits for that before it sends data.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub resume: bool,
    /// Whether the client may offer the file that is to be replaced, in [`FromClient::Have`]. The server waits for that, too.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub delta: bool,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// What the receiver of a file has of it already: the beginning, from an interrupted transfer.
///
/// If there are any bytes, the data are [blocks](crate::blocks), and the receiver sends the digests of those that it has while
/// the sender sends what is missing. Otherwise the data are the file's bytes, as without `resume`. With `old`, they travel as a
/// delta in both cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// How many bytes: whole blocks of the file only.
    pub bytes: u64,
    /// The receiver's stream with the digests of these blocks, 32 bytes for each. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<u64>,
    /// The file that is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Old>,
}

/// A file that is to be replaced. The data are records of a [delta](crate::delta) then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// How many bytes it has.
    pub size: u64,
    /// The length of its blocks ([`coarse`](crate::delta::coarse)).
    pub block: u32,
    /// The seed of the sums.
    pub seed: u32,
    /// The receiver's stream with the sums of its blocks, and those that the sender asks for.
    pub sums: u64,
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
    /// From the client, after the request.
    pub enum FromClient {
        /// A `get` that may be resumed goes on from here.
        "have" => Have(Have),
        /// A `put`: everything was sent; this is what it was.
        "sent" => Sent(Tally),
        /// A `put`: the source failed, discard what came.
        "failed" => Failed(Fault),
    }
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// A `put` that may be resumed goes on from here.
        "have" => Have(Have),
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
