//! Moving whole trees, and any number of files: `tree`.
//!
//! ```text
//! client                                    server
//!   tree {way: push, data: stream}      ─▶
//!                                       ◀─  accepted {data: stream}
//!   records of entries and contents ═▶  ◀═  answers: what is wanted, what is stored
//!                                       ◀─  outcome {done: summary}
//! ```
//!
//! With `way: pull` the server sends the records and the client the answers; everything else is the same. The end that has the
//! files is the *sender*, the other one the *receiver*. [`crate::tree`] has the records and the answers.

use serde::{Deserialize, Serialize};

use super::{Compress, named, tagged};
use crate::delta::SUMS_LEAST;
use crate::tree::{LARGE, Rule};
use crate::{Fault, Octets};

/// What a `tree` may require of a server of this version.
pub const KNOWN: &[&str] =
    &["way", "sources", "to", "layout", "options", "data", "atomic", "compress", "delta", "delta_small", "resume"];

/// A tree to move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// Which way.
    pub way: Way,
    /// `pull`: the paths on the server. One that ends in a slash means what is in the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Octets>,
    /// `push`: the path on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Octets>,
    /// How the destination's path is meant.
    pub layout: Layout,
    /// What is done.
    #[serde(default)]
    pub options: TreeOptions,
    /// The client's stream: records for a `push`, answers for a `pull`.
    pub data: u64,
    /// How the server compresses what it sends; not at all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compress>,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

named! {
    /// Which way a tree goes.
    pub enum Way {
        /// From the client to the server.
        "push" => Push,
        /// From the server to the client.
        "pull" => Pull,
    }
}

named! {
    /// Where the sources land.
    pub enum Layout {
        /// As `cp`: in the destination if it is a directory; otherwise the only source becomes the destination.
        "copy" => Copy,
        /// In the destination, which is a directory and is made if it isn't there.
        "into" => Into,
    }
}

/// How a tree is moved. The same for both ends, which are sent it by the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeOptions {
    /// Directories are entered. Otherwise each one is reported.
    #[serde(skip_serializing_if = "is_false")]
    pub recursive: bool,
    /// Every file is sent, without asking whether it changed.
    #[serde(skip_serializing_if = "is_false")]
    pub everything: bool,
    /// The time of the last modification is kept, of files.
    #[serde(skip_serializing_if = "is_false")]
    pub times: bool,
    /// The permission bits are kept, and the times of directories and links.
    #[serde(skip_serializing_if = "is_false")]
    pub modes: bool,
    /// Owner and group are kept where the receiver may give them away.
    #[serde(skip_serializing_if = "is_false")]
    pub owners: bool,
    /// Hard links within the tree stay hard links.
    #[serde(skip_serializing_if = "is_false")]
    pub hard_links: bool,
    /// Extended attributes are kept.
    #[serde(skip_serializing_if = "is_false")]
    pub attributes: bool,
    /// Access control lists are kept.
    #[serde(skip_serializing_if = "is_false")]
    pub acls: bool,
    /// Files are compared by content.
    #[serde(skip_serializing_if = "is_false")]
    pub checksum: bool,
    /// What the source doesn't have is deleted at the destination, after everything has arrived.
    #[serde(skip_serializing_if = "is_false")]
    pub delete: bool,
    /// What is excluded is deleted as well.
    #[serde(skip_serializing_if = "is_false")]
    pub delete_excluded: bool,
    /// Nothing is deleted if it would be more than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<u64>,
    /// The destination is replaced as a whole, once everything has come: requests name it in `require`.
    #[serde(skip_serializing_if = "is_false")]
    pub atomic: bool,
    /// Nothing is written: it is reported what would be.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// The receiver names each entry that it makes or changes.
    #[serde(skip_serializing_if = "is_false")]
    pub report: bool,
    /// Large files may come on streams of their own.
    #[serde(skip_serializing_if = "is_false")]
    pub beside: bool,
    /// Of a large file that replaces another one, only what changed is sent: requests name it in `require`.
    #[serde(skip_serializing_if = "is_false")]
    pub delta: bool,
    /// The same of files that are not large: the receiver sends sums of old files along with its answers. Requests name it in `require`.
    #[serde(skip_serializing_if = "is_false")]
    pub delta_small: bool,
    /// The receiver keeps what came of a large file if the transfer breaks off, and goes on from there the next time: requests name
    /// it in `require`. With `everything`, files are sent that are not equal, as without.
    #[serde(skip_serializing_if = "is_false")]
    pub resume: bool,
    /// Rules for names, the first that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// `.gitignore` files are obeyed.
    #[serde(skip_serializing_if = "is_false")]
    pub gitignore: bool,
    /// Changes to the permission bits, as [`Chmod`](crate::tree::Chmod) reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chmod: Option<String>,
    /// Only these paths below the source, and what is in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Octets>,
}

impl TreeOptions {
    /// Whether contents are sent before the receiver has asked for them; but see [`asks`](Self::asks).
    pub fn unasked(&self) -> bool {
        self.everything && !self.resume
    }

    /// Whether the content of a file of this size is sent only once the receiver has asked for it.
    pub fn asks(&self, size: u64) -> bool {
        !self.unasked() || self.delta_small && (SUMS_LEAST..LARGE).contains(&size)
    }

    /// Whether the sender of a large file waits for what the receiver has.
    pub fn waits(&self) -> bool {
        self.beside && (self.delta || self.resume) && !self.dry_run
    }
}

/// What a transfer of a tree has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Entries that the sender sent: files, directories and links.
    pub entries: u64,
    /// Files whose content was sent and stored.
    pub files: u64,
    /// Bytes of their content, without holes.
    pub bytes: u64,
    /// The size of all files of the source.
    pub size: u64,
    /// Files that were there already.
    pub unchanged: u64,
    /// What was deleted, or would be; a directory with all that is in it counts once.
    pub deleted: u64,
    /// What was not done, at both ends. Each was named.
    pub problems: u64,
    /// The digest of all entries and contents, in lower-case hexadecimal, as this end computed it.
    pub blake3: String,
}

/// The streams of a transfer that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The server's stream: answers for a `push`, records for a `pull`.
    pub data: u64,
}

fn is_false(value: &bool) -> bool {
    !value
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// The transfer begins.
        "accepted" => Accepted(Accepted),
        /// The final message of a transfer that was accepted.
        "outcome" => Outcome(Outcome),
        /// The final message of a request that was not: nothing was done.
        "refused" => Refused(Fault),
    }
}

tagged! {
    /// How a transfer of a tree ended.
    pub enum Outcome {
        /// It went to its end. What was not done was reported, and is counted in the summary.
        "done" => Done(Summary),
        /// It broke off. What was reported as stored is in place; nothing was deleted.
        "failed" => Failed(Fault),
    }
}
