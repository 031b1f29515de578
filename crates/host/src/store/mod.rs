//! The local store: where files land and where they come from.
//!
//! A [`Store`] reads whole files and writes whole files (promise P7), and never leaves its root if it has one (P8).
//!
//! A transfer sees it as a [`Source`] or a [`Sink`], which are asynchronous and which other kinds of stores can implement:
//!
//! - To read: [`Store::source`], then [`Source::next`] until it gives nothing, then [`Source::finish`], which fails if the
//!   file changed meanwhile.
//! - To write: [`Store::sink`], then [`Sink::write`], [`Sink::written`], and [`Sink::commit`] once the tally is the right one.
//!   Until that succeeds the destination holds what it held. [`Sink::discard`] throws away what came; so does dropping the
//!   sink, and [`Store::idle`] waits until that is done.
//! - At the start of a process: [`Partials::open`] and [`Partials::sweep`], which removes what a killed one left.
//!
//! Calls that block on the disk are made by a bounded set of threads of the store's own. None of them waits for a peer. The
//! blocking layer below is public as well ([`Store::read`], [`Store::write`], [`Store::destination`]): call it from a thread
//! that may block.
//!
//! ```
//! use unglue_host::store::{Partials, Sink, Source, Store, WriteOptions};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! # let (root, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let partials = Partials::open(state.path())?;
//! partials.sweep()?;
//! let store = Store::confined(root.path())?.with_partials(partials);
//!
//! let mut sink = store.sink(".".as_ref(), "notes.txt".as_ref(), WriteOptions { mode: 0o640, ..Default::default() }).await?;
//! sink.write("whole or not at all".into()).await?;
//! assert_eq!(sink.written().await?.bytes, 19);
//! sink.commit().await?;
//!
//! let mut source = store.source("notes.txt".as_ref()).await?;
//! assert_eq!(source.next().await?.as_deref(), Some(b"whole or not at all".as_slice()));
//! assert_eq!(source.next().await?, None);
//! assert_eq!(source.finish().await?.bytes, 19);
//! assert!(store.source("../notes.txt".as_ref()).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Paths
//!
//! Paths are bytes; only `/` and NUL mean something. With a root every path is relative to it, and neither `..` nor a
//! symbolic link may leave it, not even one that is swapped while a file is written: the kernel resolves each path
//! beneath the root's handle (`openat2` with `RESOLVE_BENEATH`, by way of cap-std), and a file is written and renamed
//! through the handle of its directory. Links that stay inside are followed; a link to a file is written through, to the
//! file that it names. Without a root, relative paths start at the user's home, and absolute ones are allowed.
//! What isn't a regular file is refused before it is opened. A user who moves a *directory* out of the root while a file in
//! it is written moves that file, too. A root that was removed or replaced while the store is used is opened again, if it
//! belongs to the same user.
//!
//! # What becomes of the old file
//!
//! It is replaced, not rewritten: its other hard links keep the old content. Mode, access control list, extended
//! attributes, owner and group are kept, the last two where the system lets us. A file that its user may not write is not
//! replaced, though its directory would allow it. What can't be replaced, as a mount point, is refused;
//! [`WriteOptions::in_place`] overwrites it.

mod arriving;
mod attributes;
mod disk;
mod error;
mod files;
mod in_place;
mod incoming;
mod partials;
mod place;
mod protected;
mod reach;
mod reading;
mod sink;
mod source;
mod space;
mod temporary;
pub mod tree;
mod trees;
mod writeback;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use disk::Threads;
pub use disk::{BlockSink, BlockSource, DiskSink, DiskSource, Part, Prover, Summed, Working};
pub use error::{Cause, Change, Op, Problem, StoreError};
pub use files::Entries;
pub use incoming::{Incoming, WriteOptions};
pub use partials::{KEPT_FOR, Partials, Swept};
pub use protected::Protected;
use reach::Reach;
pub use reading::Reading;
pub use sink::{Sink, WriterSink};
pub use source::{BytesSource, Facts, ReaderSource, Source};

/// How long a transfer waits for another one that writes to the same file and may be resumed.
const IN_USE: Duration = Duration::from_secs(3);

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

/// Whose interrupted transfers are resumed: two owners never get each other's temporary files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner([u8; 32]);

impl Owner {
    /// The one that has this name.
    pub fn named(name: &[u8]) -> Owner {
        Owner(blake3::hash(name).into())
    }
}

/// A local store. Cheap to clone; any number of files may be read and written at once, from any thread.
#[derive(Debug, Clone)]
pub struct Store {
    reach: Arc<Reach>,
    partials: Option<Partials>,
    protected: Arc<Protected>,
    owner: Owner,
    threads: Threads,
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
        let (owner, threads) = (Owner::named(b""), Threads::new());
        Ok(Store { reach: Arc::new(reach), partials: None, protected: Arc::default(), owner, threads })
    }

    /// Resumes the interrupted transfers of `owner`.
    pub fn owned_by(self, owner: Owner) -> Store {
        Store { owner, ..self }
    }

    /// Records every temporary file in `partials`, so that a sweep finds it if this process dies.
    pub fn with_partials(self, partials: Partials) -> Store {
        Store { partials: Some(partials), ..self }
    }

    /// Never writes to these, and never reads the secrets among them.
    pub fn protecting(self, protected: Protected) -> Store {
        Store { protected: Arc::new(protected), ..self }
    }

    /// Opens a regular file to be sent. A dropped call has no effect.
    pub async fn source(&self, path: &Path) -> Result<DiskSource, StoreError> {
        let (store, path_) = (self.clone(), path.to_owned());
        let opened = self.threads.run(move || store.read(&path_)).await;
        let opened = opened.unwrap_or_else(|errno| Err(StoreError::new(Op::Open, path, errno)));
        Ok(DiskSource::new(self.threads.clone(), opened?))
    }

    /// Begins to write a file that is called `name` at its source, at [`Store::destination`]. A dropped call leaves nothing
    /// behind.
    ///
    /// If another transfer that may be resumed writes to the same file, it waits a moment: that one's connection may just have
    /// been lost, and it ends.
    pub async fn sink(&self, path: &Path, name: &OsStr, options: WriteOptions) -> Result<DiskSink, StoreError> {
        let until = Instant::now() + IN_USE;
        loop {
            let (store, path_, name) = (self.clone(), path.to_owned(), name.to_owned());
            let created = self.threads.run(move || store.write(&store.destination(&path_, &name)?, options)).await;
            match created.unwrap_or_else(|errno| Err(StoreError::new(Op::Create, path, errno))) {
                Err(error) if *error.problem() == Problem::KeptInUse && Instant::now() < until => {
                    tokio::time::sleep(IN_USE / 100).await;
                }
                created => return Ok(DiskSink::new(self.threads.clone(), created?)),
            }
        }
    }

    /// Opens a regular file of which blocks are sent, in any order. A dropped call has no effect.
    pub async fn blocks(&self, path: &Path) -> Result<BlockSource, StoreError> {
        let (store, path_) = (self.clone(), path.to_owned());
        let opened = self.threads.run(move || store.read(&path_)).await;
        let opened = opened.unwrap_or_else(|errno| Err(StoreError::new(Op::Open, path, errno)));
        Ok(BlockSource::new(self.threads.clone(), opened?))
    }

    /// Opens the regular file that a file called `name` would replace at `path`; nothing if there is none that can be
    /// read. A dropped call has no effect.
    pub async fn replaced(&self, path: &Path, name: &OsStr) -> Option<BlockSource> {
        let (store, path, name) = (self.clone(), path.to_owned(), name.to_owned());
        let opened = self.threads.run(move || store.read(&store.destination(&path, &name)?)).await;
        Some(BlockSource::new(self.threads.clone(), opened.ok()?.ok()?))
    }

    /// Waits until nothing is being read, written or removed any more, and what was dropped half-way is discarded. Call it
    /// before a process ends in the middle of a transfer.
    pub async fn idle(&self) {
        self.threads.idle().await;
    }

    /// Where a file called `source_name` lands if it is copied to `path`: below it if `path` is a directory, else at
    /// `path` itself. Of `source_name` the last component counts.
    ///
    /// Blocks. An empty path is the top. A path that can only be a directory's (`dir/`, `..`) must be one: append a slash where
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

    /// Opens a regular file for reading. Blocks.
    pub fn read(&self, path: &Path) -> Result<Reading, StoreError> {
        Reading::open(&self.reach, &self.protected, path)
    }

    /// Begins to write a file, to be complete with [`Incoming::commit`]. The directory must be there. Blocks.
    pub fn write(&self, path: &Path, options: WriteOptions) -> Result<Incoming, StoreError> {
        Incoming::create(&self.reach, self.partials.as_ref(), &self.protected, path, (options, self.owner))
    }
}
