//! Looking at the server's files and changing their names: `files`.
//!
//! ```text
//! client                                   server
//!   files {verb: {list: {path: "src"}}} ─▶
//!                                       ◀─  entry {…}                 as many as there are
//!                                       ◀─  outcome {done: {…}}
//! ```

use serde::{Deserialize, Serialize};

use super::{Time, named, tagged};
use crate::{Fault, Octets};

/// What a `files` may require of a server of this version.
pub const KNOWN: &[&str] = &["verb"];

/// A request about files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// What to do.
    pub verb: Verb,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

tagged! {
    /// What to do.
    pub enum Verb {
        /// A directory's entries, in the order of their names' bytes; of anything else, the one entry.
        "list" => List(At),
        /// One entry, symbolic links not followed.
        "stat" => Stat(At),
        /// Make a directory.
        "make" => Make(Make),
        /// Give a file or a directory another name, in place of a file that has it.
        "move" => Move(Move),
        /// Remove a file, or a directory with everything in it.
        "remove" => Remove(Remove),
        /// The BLAKE3 digest of a file's content.
        "hash" => Hash(At),
    }
}

/// A path on the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// Relative to the home directory or to the server's root.
    pub path: Octets,
}

/// A directory to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Make {
    /// Its path.
    pub path: Octets,
    /// Make the directories above it as well; one that is there is not an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parents: bool,
}

/// A new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// What there is.
    pub path: Octets,
    /// What it becomes; in it, if it is a directory.
    pub to: Octets,
}

/// Something to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// Its path.
    pub path: Octets,
    /// A directory with everything in it, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recursive: bool,
}

named! {
    /// What an entry is.
    pub enum EntryKind {
        /// A regular file.
        "file" => File,
        /// A directory.
        "directory" => Directory,
        /// A symbolic link.
        "link" => Link,
        /// A FIFO.
        "fifo" => Fifo,
        /// A socket.
        "socket" => Socket,
        /// A device.
        "device" => Device,
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name; for a path that isn't a directory, the path as it was given.
    pub name: Octets,
    /// What it is.
    pub kind: EntryKind,
    /// The permission bits, set-id and sticky bits included.
    pub mode: u32,
    /// The number of bytes.
    pub size: u64,
    /// The time of the last modification.
    pub modified: Time,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, where the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group's name, where the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many names it has.
    pub links: u64,
    /// What a symbolic link points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Octets>,
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// One entry.
        "entry" => Entry(FileEntry),
        /// The final message of a request that was accepted.
        "outcome" => Outcome(Outcome),
        /// The final message of a request that was not: nothing was done.
        "refused" => Refused(Fault),
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// `list`, `stat`: how many entries were sent. `remove`: how many were removed. `make`: how many were made.
    pub entries: u64,
    /// `hash`: the content's digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// `hash`: its number of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

tagged! {
    /// How it ended.
    pub enum Outcome {
        /// All of it was done, and is durable.
        "done" => Done(Done),
        /// It was not, or not all of it.
        "failed" => Failed(Fault),
    }
}
