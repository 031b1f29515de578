//! The local store: where files land and where they come from.
//!
//! A [`Store`] reads whole files and writes whole files (promise P7), and never leaves its root if it has one (P8).
//! Everything here blocks: call it from a thread that may.
//!
//! - To read: [`Store::read`], then [`Source::read`] until it gives 0, then [`Source::finish`], which fails if the
//!   file changed meanwhile.
//! - To write: [`Store::destination`] tells where a file lands (`cp` into a directory keeps the name), then
//!   [`Store::write`], [`Incoming::write_all`], and [`Incoming::commit`]. Until that succeeds the destination holds
//!   what it held; dropping the [`Incoming`] discards what came.
//! - At the start of a process: [`Partials::open`] and [`Partials::sweep`], which removes what a killed one left.
//!
//! ```
//! use unglue_host::store::{Partials, Store, WriteOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (root, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let partials = Partials::open(state.path())?;
//! partials.sweep()?;
//! let store = Store::confined(root.path())?.with_partials(partials);
//!
//! let path = store.destination(".".as_ref(), "notes.txt".as_ref())?;
//! let mut incoming = store.write(&path, WriteOptions { mode: 0o640, ..WriteOptions::default() })?;
//! incoming.write_all(b"whole or not at all")?;
//! incoming.commit()?;
//!
//! let mut source = store.read("notes.txt".as_ref())?;
//! let mut buffer = [0; 100];
//! assert_eq!(source.read(&mut buffer)?, 19);
//! assert_eq!(source.finish()?, 19);
//! assert!(store.read("../notes.txt".as_ref()).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Paths
//!
//! Paths are bytes; only `/` and NUL mean something. With a root every path is relative to it, and neither `..` nor a
//! symbolic link may leave it, not even one that is swapped while a file is written: the kernel resolves each path
//! beneath the root's handle (`openat2` with `RESOLVE_BENEATH`, by way of cap-std), and a file is written and renamed
//! through the handle of its folder. Links that stay inside are followed; a link to a file is written through, to the
//! file that it names. Without a root, relative paths start at the user's home, and absolute ones are allowed.
//! What isn't a regular file is refused before it is opened. Somebody who may move a *folder* out of the root while it
//! is written to moves what is in it, too.
//!
//! # What becomes of the old file
//!
//! It is replaced, not rewritten: its hard links keep the old content; owner and group are kept where the system lets
//! us, extended attributes and ACLs are not. A file that its user may not write is not replaced, though its folder
//! would allow it.

mod errno;
mod error;
mod incoming;
mod partials;
mod place;
mod reach;
mod source;
mod space;
mod temporary;
mod umask;
mod writeback;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

pub use error::{Change, Op, Problem, StoreError};
pub use incoming::{Incoming, WriteOptions};
pub use partials::{Partials, Swept};
use reach::Reach;
pub use source::Source;

/// A file's identity on this machine: the device and the inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(stat: &Stat) -> FileId {
        FileId { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// A local store. Cheap to clone; any number of files may be read and written at once, from any thread.
#[derive(Debug, Clone)]
pub struct Store {
    reach: Arc<Reach>,
    partials: Option<Partials>,
    umask: u32,
}

impl Store {
    /// Everything below `root`, and nothing else.
    pub fn confined(root: &Path) -> Result<Store, StoreError> {
        Store::new(Reach::confined(root), root)
    }

    /// Everything that this user can reach; relative paths start at `home`.
    pub fn home(home: &Path) -> Result<Store, StoreError> {
        Store::new(Reach::home(home), home)
    }

    fn new(reach: Result<Reach, Problem>, top: &Path) -> Result<Store, StoreError> {
        let reach = reach.map_err(|problem| StoreError::new(Op::OpenStore, top, problem))?;
        Ok(Store { reach: Arc::new(reach), partials: None, umask: umask::current() })
    }

    /// Records every temporary file in `partials`, so that a sweep finds it if this process dies.
    pub fn with_partials(self, partials: Partials) -> Store {
        Store { partials: Some(partials), ..self }
    }

    /// Where a file called `source_name` lands if it is copied to `path`: below it if `path` is a directory, else at
    /// `path` itself. Of `source_name` the last component counts.
    ///
    /// An empty path is the top. A path that can only be a directory's (`dir/`, `..`) must be one: append a slash where
    /// several files go to one place.
    pub fn destination(&self, path: &Path, source_name: &OsStr) -> Result<PathBuf, StoreError> {
        let failed = |problem| StoreError::new(Op::Resolve, path, problem);
        match self.reach.open(path, OFlags::DIRECTORY | OFlags::PATH) {
            Ok(_) => {
                let name = source_name.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                if place::is_file_name(name) {
                    Ok(path.join(OsStr::from_bytes(name)))
                } else {
                    Err(StoreError::new(Op::Resolve, Path::new(source_name), Problem::UnusableName))
                }
            }
            Err(Problem::System(Errno::NOENT | Errno::NOTDIR)) if !place::demands_directory(path) => {
                Ok(path.to_owned())
            }
            Err(problem) => Err(failed(problem)),
        }
    }

    /// Opens a regular file for reading.
    pub fn read(&self, path: &Path) -> Result<Source, StoreError> {
        Source::open(&self.reach, path)
    }

    /// Begins to write a file, to be complete with [`Incoming::commit`]. The folder must be there.
    pub fn write(&self, path: &Path, options: WriteOptions) -> Result<Incoming, StoreError> {
        Incoming::create(&self.reach, self.partials.as_ref(), self.umask, path, options)
    }
}
