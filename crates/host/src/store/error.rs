//! What can go wrong in a store, with its figures, in words and as a [`Fault`] that travels.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use unglue_proto::{Blame, Code, Fault, Octets};

use crate::errno;

/// What the store was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Opening the root or the home.
    OpenStore,
    /// Finding out where a file lands.
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
    /// Copying something that can't be.
    Copy,
    /// Giving a file another name (a hard link).
    Link,
    /// Deleting.
    Delete,
    /// Deleting the tree that another one has replaced as a whole.
    DeleteOld,
    /// Making a directory.
    Make,
    /// Giving another name.
    Move,
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
            Op::Copy => "copy",
            Op::Link => "link",
            Op::Delete => "delete",
            Op::DeleteOld => "delete_old",
            Op::Make => "make",
            Op::Move => "move",
        }
    }

    /// What could not be done, up to the path.
    fn attempt(self) -> &'static str {
        match self {
            Op::OpenStore => "can't open the directory",
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
            Op::Copy => "can't copy",
            Op::Link => "can't make the hard link",
            Op::Delete => "can't delete",
            Op::DeleteOld => "the new tree is in place, but the old one can't be deleted:",
            Op::Make => "can't make the directory",
            Op::Move => "can't move",
        }
    }
}

/// What went wrong. Sizes and offsets are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system refused.
    System(Errno),
    /// A reader or a writer that isn't a file failed, or a store that isn't the local disk.
    Stream(Cause),
    /// A source gave another number of bytes than it had announced.
    Length {
        /// What it had announced.
        announced: u64,
        /// What it gave, at least.
        given: u64,
    },
    /// Something is mounted on the destination, as a container's `/etc/hosts` is, so it can't be replaced.
    MountPoint,
    /// The destination is a link of `/proc` to an open file, as `/dev/stdout` is.
    OpenFile,
    /// The kernel makes the destination up, as a file in `/proc` or `/sys`, so it can't be replaced.
    MadeUp,
    /// The file may be written, but no file may be made in its directory.
    DirectoryClosed,
    /// It belongs to the server itself: its state, its host key, or the list of keys that may log in.
    Protected,
    /// The store's root was removed.
    RootGone,
    /// Another user's directory has taken the place of the store's root.
    RootReplaced,
    /// The file system can't store this time of modification. Seconds since 1970.
    TimeNotKept {
        /// The source's.
        wanted: i64,
        /// The nearest that the file system can store.
        stored: i64,
    },
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
    /// The source's name can't be a file's name in a directory.
    UnusableName,
    /// Source and destination are one and the same file.
    SameFile,
    /// Another transfer that may be resumed writes to this destination.
    KeptInUse,
    /// The announced size is more than the file system has left.
    NoSpace {
        /// The announced size.
        needed: u64,
        /// What the file system would give this user.
        available: u64,
    },
    /// More new files than the file system can have.
    NoInodes {
        /// How many there would be.
        needed: u64,
        /// How many more the file system would take from this user.
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
    /// The file is complete under its name, but syncing its directory failed: a power cut may bring the old one back.
    NotDurable(Errno),
    /// A record that this version can't read.
    BadRecord,
    /// A directory, where only files are copied.
    NotRecursive,
    /// Something that isn't a directory has the name of one that is to be made.
    NotDirectory,
    /// A directory has the name of something that is to be made.
    DirectoryInTheWay,
    /// The rules of the transfer keep it from being deleted.
    Spared,
    /// Another entry has taken the name since the transfer began, or has it on a file system that ignores case.
    Appeared,
    /// The bytes that came don't have the form that they must have: the other end's fault.
    Malformed(Box<Fault>),
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Problem::System(errno)
    }
}

/// The error of something that isn't the local disk. Two of them are equal if they are the same one.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// Keeps an error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Cause {
        Cause(Arc::from(error.into()))
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cause {}

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
    /// Data that has no path comes from a reader, or goes to a writer.
    path: Option<PathBuf>,
    problem: Problem,
    partly_written: bool,
}

impl StoreError {
    /// A failed operation on a path.
    pub fn new(op: Op, path: &Path, problem: impl Into<Problem>) -> StoreError {
        StoreError { op, path: Some(path.to_owned()), problem: problem.into(), partly_written: false }
    }

    /// A reader or writer without a path has failed.
    pub(super) fn stream(op: Op, error: std::io::Error) -> StoreError {
        StoreError::pathless(op, Problem::Stream(Cause::new(error)))
    }

    /// A source without a path gave another number of bytes than it had announced.
    pub(super) fn length(announced: u64, given: u64) -> StoreError {
        StoreError::pathless(Op::Read, Problem::Length { announced, given })
    }

    /// The bytes that came don't have the form that they must have.
    pub fn malformed(fault: Fault) -> StoreError {
        StoreError::pathless(Op::Write, Problem::Malformed(Box::new(fault)))
    }

    /// The threads that do a store's work have not done it.
    pub(super) fn nowhere(op: Op, errno: Errno) -> StoreError {
        StoreError::pathless(op, Problem::System(errno))
    }

    fn pathless(op: Op, problem: Problem) -> StoreError {
        StoreError { op, path: None, problem, partly_written: false }
    }

    /// The same, for a file that holds a part of the new content by now.
    pub(super) fn partly_written(self) -> StoreError {
        StoreError { partly_written: true, ..self }
    }

    /// What the store was doing.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The path as it was given; empty for data that has none.
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// What went wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What went wrong, for a caller that knows where.
    pub(super) fn into_problem(self) -> Problem {
        self.problem
    }

    /// The name of the system's error number (`ENOSPC`), where the system refused or would have.
    pub fn errno(&self) -> Option<String> {
        match self.problem {
            Problem::System(errno) | Problem::NotDurable(errno) => Some(errno::name(errno)),
            Problem::NoSpace { .. } | Problem::NoInodes { .. } => Some(errno::name(Errno::NOSPC)),
            Problem::TooLarge { .. } => Some(errno::name(Errno::FBIG)),
            Problem::Directory => Some(errno::name(Errno::ISDIR)),
            Problem::MountPoint => Some(errno::name(Errno::BUSY)),
            Problem::DirectoryClosed => Some(errno::name(Errno::ACCESS)),
            Problem::RootGone => Some(errno::name(Errno::NOENT)),
            Problem::NotRecursive => Some(errno::name(Errno::ISDIR)),
            _ => None,
        }
    }

    /// What to do about it; empty where nothing helpful can be said.
    pub fn advice(&self) -> &'static str {
        match self.problem {
            Problem::System(Errno::NOENT) if self.op == Op::Rename => {
                "copy it again: its temporary file, or its directory, was deleted meanwhile"
            }
            // Only who writes could expect that a directory is made.
            Problem::System(Errno::NOENT) if matches!(self.op, Op::Resolve | Op::Create) => {
                "check the path; directories are not created"
            }
            Problem::System(errno) => errno::lookup(errno).map_or("", |entry| entry.advice),
            Problem::Stream(_) => "",
            Problem::Length { .. } => "announce the number of bytes that will come, or none",
            Problem::MountPoint | Problem::MadeUp => {
                "overwrite it where it is with --inplace (a copy that breaks off leaves a part of it), or name another file"
            }
            Problem::OpenFile => "name a file; to print a file of the server, run `unglue exec HOST -- cat FILE`",
            Problem::DirectoryClosed => {
                "overwrite the file where it is with --inplace (a copy that breaks off leaves a part of it), or have the \
                 directory made writable"
            }
            Problem::Protected => "change it on the machine itself",
            Problem::RootGone => "create the root again, or restart the server with another one",
            Problem::RootReplaced => "check who made the new directory, then restart the server",
            Problem::TimeNotKept { .. } => "copy it without -p, or to another file system",
            Problem::Absolute => "give a path relative to the server's root",
            Problem::Outside => "name a path below the root",
            Problem::Directory => "copy a directory with -r",
            Problem::Special(_) => "name a regular file",
            Problem::DanglingLink => "remove the link, or create what it points to",
            Problem::UnusableName => "give the destination's full path, with a name",
            Problem::SameFile => "nothing needs to be copied",
            Problem::KeptInUse => {
                "wait for it to end, which takes 30 s if its connection was lost; or copy it without --resume"
            }
            Problem::NoSpace { .. } => "free some space there, or choose another directory",
            Problem::NoInodes { .. } => {
                "remove files there (df -i shows how many there are), or choose another directory"
            }
            Problem::TooLarge { .. } => "raise the file size limit (ulimit -f) of the process that writes",
            Problem::Changed(_) => "try again when nothing changes the file",
            Problem::NotDurable(_) => "copy it again, and look into the kernel's log (dmesg)",
            Problem::BadRecord => "remove the record by hand if no newer unglue runs on this machine",
            Problem::NotRecursive => "add -r, for the directory and everything in it",
            Problem::NotDirectory => "remove it, or choose another destination",
            Problem::DirectoryInTheWay => "remove the directory, choose another destination, or use sync --delete",
            Problem::Spared | Problem::Malformed(_) => "",
            Problem::Appeared => "rename one of the two, or run it again if another program has made it",
        }
    }

    /// Who erred.
    pub fn blame(&self) -> Blame {
        match self.problem {
            Problem::System(errno) => errno::lookup(errno).map_or(Blame::System, |entry| entry.blame),
            Problem::Malformed(ref fault) => fault.blame,
            Problem::Stream(_)
            | Problem::TimeNotKept { .. }
            | Problem::RootGone
            | Problem::RootReplaced
            | Problem::NoSpace { .. }
            | Problem::NoInodes { .. }
            | Problem::Changed(_)
            | Problem::NotDurable(_)
            | Problem::BadRecord => Blame::System,
            _ => Blame::User,
        }
    }

    /// The kind of failure, as programs see it.
    pub fn code(&self) -> Code {
        match self.problem {
            Problem::Absolute
            | Problem::Outside
            | Problem::Directory
            | Problem::MountPoint
            | Problem::OpenFile
            | Problem::MadeUp
            | Problem::Protected
            | Problem::Special(_)
            | Problem::DanglingLink
            | Problem::UnusableName
            | Problem::NotRecursive
            | Problem::NotDirectory
            | Problem::DirectoryInTheWay
            | Problem::Spared
            | Problem::Appeared
            | Problem::SameFile => Code::PathRefused,
            Problem::Changed(_) | Problem::Length { .. } => Code::SourceChanged,
            Problem::KeptInUse => Code::Busy,
            Problem::Malformed(ref fault) => fault.code,
            _ => Code::System,
        }
    }

    /// The error as it travels to the other end.
    pub fn fault(&self) -> Fault {
        if let Problem::Malformed(fault) = &self.problem {
            return (**fault).clone();
        }
        let fault = match self.blame() {
            Blame::User => Fault::user(self.code(), self.to_string()),
            _ => Fault::system(self.code(), self.to_string()),
        };
        let fault = fault.advise(self.advice());
        let fault = match &self.path {
            Some(path) => fault.at(path.as_os_str()),
            None => fault,
        };
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

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::System(errno) | Problem::NotDurable(errno) => Some(errno),
            Problem::Stream(cause) => Some(&*cause.0),
            _ => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Octets::from(self.path().as_os_str());
        match &self.problem {
            Problem::Changed(change) => write!(f, "\"{path}\" {change}"),
            Problem::NotDurable(errno) => write!(
                f,
                "\"{path}\" is complete and in place, but its directory can't be synced: {}",
                errno::describe(*errno)
            ),
            problem if self.path.is_none() => write!(f, "{} the data: {problem}", self.op.attempt()),
            problem => write!(f, "{} \"{path}\": {problem}", self.op.attempt()),
        }?;
        match self.partly_written {
            true => f.write_str("; it was being overwritten, and holds a part of the new content"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::System(errno) | Problem::NotDurable(errno) => f.write_str(&errno::describe(*errno)),
            Problem::Stream(cause) => cause.0.fmt(f),
            Problem::Length { announced, given } if given > announced => {
                write!(f, "{announced} bytes were announced, and more come")
            }
            Problem::Length { announced, given } => {
                write!(f, "{announced} bytes were announced, and it ends after {given}")
            }
            Problem::MountPoint => f.write_str("it is a mount point, which can't be replaced (EBUSY)"),
            Problem::OpenFile => f.write_str("it is a link to an open file of a process, not a file of its own"),
            Problem::MadeUp => f.write_str("the kernel makes this file up, so it can't be replaced"),
            Problem::DirectoryClosed => {
                f.write_str("the file may be written, but no file may be made in its directory (EACCES)")
            }
            Problem::Protected => {
                f.write_str("it belongs to the server itself (its state, its host key or its authorized keys)")
            }
            Problem::RootGone => f.write_str("the server's root was removed while it ran (ENOENT)"),
            Problem::RootReplaced => f.write_str("another user's directory has taken the place of the server's root"),
            Problem::TimeNotKept { wanted, stored } => write!(
                f,
                "the file system can't store the time {wanted} (seconds since 1970); the nearest that it can is {stored}"
            ),
            Problem::Absolute => f.write_str("the path is absolute, but everything must lie below the root"),
            Problem::Outside => f.write_str("the path leads out of the root"),
            Problem::Directory => f.write_str("it is a directory"),
            Problem::Special(kind) => write!(f, "it is {kind}, not a regular file"),
            Problem::DanglingLink => f.write_str("it is a symbolic link to something that doesn't exist"),
            Problem::UnusableName => f.write_str("this can't be the name of a file in a directory"),
            Problem::SameFile => f.write_str("source and destination are the same file"),
            Problem::KeptInUse => f.write_str("another copy with --resume is writing to it"),
            Problem::NoSpace { needed, available } => {
                write!(f, "{needed} bytes are needed, {available} are free (ENOSPC)")
            }
            Problem::NoInodes { needed, available } => {
                write!(f, "{needed} new files are to come, and the file system has room for {available} (ENOSPC)")
            }
            Problem::TooLarge { needed, limit } => {
                write!(f, "{needed} bytes are needed, the file size limit is {limit} (EFBIG)")
            }
            Problem::Changed(change) => change.fmt(f),
            Problem::BadRecord => f.write_str("it is not a record that this version can read"),
            Problem::NotRecursive => f.write_str("it is a directory"),
            Problem::NotDirectory => f.write_str("something that isn't a directory has its name"),
            Problem::DirectoryInTheWay => f.write_str("a directory has its name"),
            Problem::Spared => f.write_str("the rules exclude it"),
            Problem::Malformed(fault) => f.write_str(&fault.what),
            Problem::Appeared => f.write_str("another entry has this name here, perhaps in upper or lower case"),
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
        assert_eq!(fault.advice, "free some space there, or choose another directory");
    }

    #[test]
    fn a_changed_source_is_reported_with_both_figures() {
        let change = Change::Shrank { from: 10, to: 3 };
        let error = StoreError::new(Op::Read, Path::new("log"), Problem::Changed(change));
        assert_eq!(error.to_string(), "\"log\" shrank from 10 to 3 bytes while it was read");
        assert_eq!(error.code(), Code::SourceChanged);
    }
}
