//! What a transfer of a tree reports while it goes on.

use std::ffi::OsString;

use unglue_proto::Fault;

/// Something that a user may want to know at once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TreeEvent {
    /// An entry was made or changed, or would be in a trial run. The path is relative to the destination; a directory's ends in
    /// a slash.
    Changed(OsString),
    /// An entry of the destination was deleted, or would be in a trial run.
    Deleted(OsString),
    /// Something was not done.
    Problem(Fault),
}

/// How far a transfer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moving {
    /// Entries that are known by now.
    pub entries: u64,
    /// Whether these are all.
    pub complete: bool,
    /// Bytes of the files that are to be sent, as far as they are known.
    pub wanted: u64,
    /// Bytes of content that were sent or received.
    pub moved: u64,
    /// Files whose content was sent or received whole.
    pub files: u64,
    /// The file under way.
    pub current: OsString,
}
