//! What can go wrong in a store, with its figures, in words and as a [`Fault`] that travels.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use unglue_proto::{Blame, Code, Fault, Octets};

use super::errno;

/// What the store was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Opening the root or the home.
    OpenStore,
    /// Finding out where a file shall land.
    Resolve,
    /// Opening a source.
    Open,
    /// Reading a source.
    Read,
    /// Making the temporary file beside the destination.
    Create,
    /// Writing the temporary file.
    Write,
    /// Setting its mode, owner or times.
    SetAttributes,
    /// Writing it through to the device.
    Sync,
    /// Giving it its final name.
    Rename,
    /// Keeping the records of temporary files.
    Record,
    /// Removing what a dead process left.
    Sweep,
}

impl Op {
    /// The operation's name for programs: `create`.
    pub fn name(self) -> &'static str {
        match self {
            Op::OpenStore => "open_store",
            Op::Resolve => "resolve",
            Op::Open => "open",
            Op::Read => "read",
            Op::Create => "create",
            Op::Write => "write",
            Op::SetAttributes => "set_attributes",
            Op::Sync => "sync",
            Op::Rename => "rename",
            Op::Record => "record",
            Op::Sweep => "sweep",
        }
    }

    /// What could not be done, up to the path.
    fn attempt(self) -> &'static str {
        match self {
            Op::OpenStore => "can't open the folder",
            Op::Resolve => "can't use",
            Op::Open => "can't open",
            Op::Read => "can't read",
            Op::Create => "can't make a temporary file for",
            Op::Write => "can't write",
            Op::SetAttributes => "can't set the mode or the times of",
            Op::Sync => "can't sync",
            Op::Rename => "can't put the complete file in place as",
            Op::Record => "can't keep a record of temporary files in",
            Op::Sweep => "can't remove what a dead process left,",
        }
    }
}

/// What went wrong. Sizes and offsets are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refused.
    System(Errno),
    /// An absolute path, while the store has a root.
    Absolute,
    /// The path leads out of the root, by `..` or by a symbolic link.
    Outside,
    /// A directory where a file is needed.
    Directory,
    /// Neither a file nor a directory: `a FIFO`, `a device`, `a socket`.
    Special(&'static str),
    /// The destination is a symbolic link that points to nothing.
    DanglingLink,
    /// The source's name can't be a file's name in a folder.
    UnusableName,
    /// Source and destination are one and the same file.
    SameFile,
    /// The announced size is more than the file system has left.
    NoSpace {
        /// The announced size.
        needed: u64,
        /// What the file system would give this user.
        available: u64,
    },
    /// More than this process may write into one file (`RLIMIT_FSIZE`, setrlimit(2)).
    TooLarge {
        /// The size that the file would have had.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The source changed while it was read.
    Changed(Change),
    /// The file is complete under its name, but syncing its folder failed: a power cut may bring the old one back.
    NotDurable(Errno),
    /// A record that this version can't read.
    BadRecord,
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Problem::System(errno)
    }
}

/// How a source changed while it was read. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has more bytes than it had at first.
    Grew {
        /// The size at first.
        from: u64,
        /// The size at the end.
        to: u64,
    },
    /// It has fewer bytes than it had at first.
    Shrank {
        /// The size at first.
        from: u64,
        /// The size at the end.
        to: u64,
    },
    /// Bytes or attributes were changed in place: the time of its last change moved.
    Touched,
    /// It was deleted or renamed.
    Vanished,
    /// Another file has taken its name.
    Replaced,
}

/// A failed operation of a store: what was attempted, on which path, and why it failed.
///
/// `Display` gives one sentence, with the path's control characters and invalid bytes escaped; [`advice`](Self::advice)
/// gives the second; [`fault`](Self::fault) gives all of it as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    op: Op,
    path: PathBuf,
    problem: Problem,
}

impl StoreError {
    pub(super) fn new(op: Op, path: &Path, problem: impl Into<Problem>) -> StoreError {
        StoreError { op, path: path.to_owned(), problem: problem.into() }
    }

    /// What the store was doing.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What went wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The name of the system's error number (`ENOSPC`), where the system refused or would have.
    pub fn errno(&self) -> Option<String> {
        match self.problem {
            Problem::System(errno) | Problem::NotDurable(errno) => Some(errno::name(errno)),
            Problem::NoSpace { .. } => Some(errno::name(Errno::NOSPC)),
            Problem::TooLarge { .. } => Some(errno::name(Errno::FBIG)),
            _ => None,
        }
    }

    /// What to do about it; empty where nothing helpful can be said.
    pub fn advice(&self) -> &'static str {
        match self.problem {
            Problem::System(errno) => errno::lookup(errno).map_or("", |entry| entry.advice),
            Problem::Absolute => "give a path relative to the server's root",
            Problem::Outside => "name a path below the root",
            Problem::Directory => "name a file: this release copies no directories",
            Problem::Special(_) => "name a regular file",
            Problem::DanglingLink => "remove the link, or create what it points to",
            Problem::UnusableName => "give the destination's full path, with a name",
            Problem::SameFile => "nothing needs to be copied",
            Problem::NoSpace { .. } => "free some space there, or choose another folder",
            Problem::TooLarge { .. } => "raise the file size limit (ulimit -f) of the process that writes",
            Problem::Changed(_) => "try again when nothing changes the file",
            Problem::NotDurable(_) => "copy it again, and look into the kernel's log (dmesg)",
            Problem::BadRecord => "remove the record by hand if no newer unglue runs on this machine",
        }
    }

    /// Who erred.
    pub fn blame(&self) -> Blame {
        match self.problem {
            Problem::System(errno) => errno::lookup(errno).map_or(Blame::System, |entry| entry.blame),
            Problem::NoSpace { .. } | Problem::Changed(_) | Problem::NotDurable(_) | Problem::BadRecord => {
                Blame::System
            }
            _ => Blame::User,
        }
    }

    /// The kind of failure, as programs see it.
    pub fn code(&self) -> Code {
        match self.problem {
            Problem::Absolute
            | Problem::Outside
            | Problem::Directory
            | Problem::Special(_)
            | Problem::DanglingLink
            | Problem::UnusableName
            | Problem::SameFile => Code::PathRefused,
            Problem::Changed(_) => Code::SourceChanged,
            _ => Code::System,
        }
    }

    /// The error as it is told to the other end.
    pub fn fault(&self) -> Fault {
        let fault = match self.blame() {
            Blame::User => Fault::user(self.code(), self.to_string()),
            _ => Fault::system(self.code(), self.to_string()),
        };
        let fault = fault.advise(self.advice()).at(self.path.as_os_str());
        match self.errno() {
            Some(name) => fault.errno(name),
            None => fault,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        error.fault()
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Octets::from(self.path.as_os_str());
        match self.problem {
            Problem::Changed(change) => write!(f, "\"{path}\" {change}"),
            Problem::NotDurable(errno) => write!(
                f,
                "\"{path}\" is complete and in place, but its folder can't be synced: {}",
                errno::describe(errno)
            ),
            _ => write!(f, "{} \"{path}\": {}", self.op.attempt(), self.problem),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::System(errno) | Problem::NotDurable(errno) => f.write_str(&errno::describe(*errno)),
            Problem::Absolute => f.write_str("the path is absolute, but everything must lie below the root"),
            Problem::Outside => f.write_str("the path leads out of the root"),
            Problem::Directory => f.write_str("it is a directory"),
            Problem::Special(kind) => write!(f, "it is {kind}, not a regular file"),
            Problem::DanglingLink => f.write_str("it is a symbolic link to something that doesn't exist"),
            Problem::UnusableName => f.write_str("this can't be the name of a file in a folder"),
            Problem::SameFile => f.write_str("source and destination are the same file"),
            Problem::NoSpace { needed, available } => {
                write!(f, "{needed} bytes are needed, {available} are free (ENOSPC)")
            }
            Problem::TooLarge { needed, limit } => {
                write!(f, "{needed} bytes are needed, the file size limit is {limit} (EFBIG)")
            }
            Problem::Changed(change) => change.fmt(f),
            Problem::BadRecord => f.write_str("it is not a record that this version can read"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Grew { from, to } => write!(f, "grew from {from} to {to} bytes while it was read"),
            Change::Shrank { from, to } => write!(f, "shrank from {from} to {to} bytes while it was read"),
            Change::Touched => f.write_str("was changed while it was read"),
            Change::Vanished => f.write_str("was deleted or renamed while it was read"),
            Change::Replaced => f.write_str("was replaced by another file while it was read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_path_the_cause_and_the_errno() {
        let error = StoreError::new(Op::Write, Path::new("a\nb"), Errno::NOSPC);
        assert_eq!(error.to_string(), "can't write \"a\\nb\": no space left on the device (ENOSPC)");
        let fault = error.fault();
        assert_eq!((fault.code, fault.blame), (Code::System, Blame::System));
        assert_eq!(fault.errno.as_deref(), Some("ENOSPC"));
        assert_eq!(fault.path, Some(Octets::from("a\nb")));
        assert_eq!(fault.advice, "free some space there, or choose another folder");
    }

    #[test]
    fn a_changed_source_is_told_with_both_figures() {
        let change = Change::Shrank { from: 10, to: 3 };
        let error = StoreError::new(Op::Read, Path::new("log"), Problem::Changed(change));
        assert_eq!(error.to_string(), "\"log\" shrank from 10 to 3 bytes while it was read");
        assert_eq!(error.code(), Code::SourceChanged);
    }
}
