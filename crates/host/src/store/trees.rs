//! Where transfers of trees begin and end in a store.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, mkdirat};
use rustix::io::Errno;
use unglue_proto::Fault;
use unglue_proto::message::tree::{Layout, TreeOptions};
use unglue_proto::tree::is_name;

use super::error::{Op, Problem, StoreError};
use super::tree::{
    Assembling, Assembly, Content, Guard, Journal, Keeper, Landing, Staging, TreeRoot, TreeSink, TreeSource, nameless,
};
use super::{BlockSource, DiskSink, FileId, Reading, Store};

impl Store {
    /// Does some work that blocks on the disk, on the store's threads. It is done even if the call is dropped.
    ///
    /// # Errors
    /// There is no thread for it, or it panicked.
    pub async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        self.threads.run(work).await.map_err(|errno| StoreError::nowhere(Op::Read, errno).fault())
    }

    /// Drops something on the store's threads: what it removes from the disk is removed there. [`idle`](Store::idle) waits for it.
    pub fn discard(&self, thing: impl Send + 'static) {
        drop(self.threads.start(move || drop(thing)));
    }

    /// A sink that makes a large file of a tree of its parts; and the file, once the sink was committed.
    pub fn assemble(&self, landing: Box<Landing>) -> (DiskSink, Assembly) {
        let (assembling, assembly) = Assembling::new(landing);
        (DiskSink::new(self.threads.clone(), assembling), assembly)
    }

    /// A large file of a tree, of which parts are sent.
    ///
    /// # Errors
    /// The system gives no other handle.
    pub fn parts(&self, content: &Content) -> Result<BlockSource, StoreError> {
        let reading = content.reading().map_err(|errno| StoreError::nowhere(Op::Open, errno))?;
        Ok(self.old(reading))
    }

    /// A file that another one may have much in common with.
    pub fn old(&self, file: Reading) -> BlockSource {
        BlockSource::new(self.threads.clone(), file)
    }

    /// The sender's end of a transfer of trees. Sources that can't be opened are reported by it. Blocks.
    ///
    /// A source whose path ends in a slash, or in `.` or `..`, means what is in the directory; with
    /// [`everything`](TreeOptions::everything) a slash means nothing, as with `cp`.
    ///
    /// # Errors
    /// The options are not understood.
    pub fn tree_source(&self, sources: &[PathBuf], options: TreeOptions) -> Result<TreeSource, Fault> {
        let (mut roots, mut failed) = (Vec::new(), Vec::new());
        for source in sources {
            match self.tree_root(source, &options) {
                Ok(root) => roots.push(root),
                Err(problem) => failed.push(StoreError::new(Op::Open, source, problem).fault()),
            }
        }
        let mut source = TreeSource::new(roots, options, Guard::new(&self.protected))?;
        failed.into_iter().for_each(|fault| source.failed(fault));
        Ok(source)
    }

    fn tree_root(&self, path: &Path, options: &TreeOptions) -> Result<TreeRoot, Problem> {
        let bytes = path.as_os_str().as_bytes();
        let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        let start = bytes[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let (parent, name) = (&bytes[..start], &bytes[start..end]);
        let slash = end < bytes.len() && !options.everything;
        if slash || !is_name(name) {
            let dir = self.reach.open(path, OFlags::DIRECTORY)?;
            return match options.recursive {
                true => Ok(TreeRoot { dir, name: None }),
                false => Err(Problem::NotRecursive),
            };
        }
        let dir = self.reach.open(Path::new(OsStr::from_bytes(parent)), OFlags::DIRECTORY)?;
        rustix::fs::statat(&dir, OsStr::from_bytes(name), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(TreeRoot { dir, name: Some(OsStr::from_bytes(name).to_owned()) })
    }

    /// The receiver's end of a transfer of trees to `path`. Blocks.
    ///
    /// # Errors
    /// The destination can't be used.
    pub fn tree_sink(&self, path: &Path, layout: &Layout, options: TreeOptions) -> Result<TreeSink, Fault> {
        let failed = |problem: Problem| StoreError::new(Op::Resolve, path, problem);
        if options.atomic && !options.dry_run {
            return self.atomic_sink(path, options);
        }
        let (top, dir, rename) = self.tree_place(path, layout, &options).map_err(failed)?;
        if let Some(dir) = &dir {
            // Whatever leads into what belongs to the server is refused.
            self.protected.check_write(dir, OsStr::new(""), None).map_err(failed)?;
        }
        let journal = Journal::new(self.partials.as_ref(), &self.reach, &top, dir.as_ref())?;
        let keeper = self.partials.clone().filter(|_| options.resume);
        let keeper = keeper.map(|partials| Keeper { partials, reach: self.reach.clone(), owner: self.owner });
        let journal = journal.keeping(keeper);
        let guard = Guard::new(&self.protected);
        let made = TreeSink::new(path.to_owned(), dir, rename, options, (guard, journal, None));
        Ok(made.map_err(|errno| failed(errno.into()))?)
    }

    /// The receiver's end of a transfer that replaces the directory `path` as a whole.
    fn atomic_sink(&self, path: &Path, options: TreeOptions) -> Result<TreeSink, Fault> {
        let failed = |problem: Problem| StoreError::new(Op::Resolve, path, problem);
        let (parent_path, name) = parent_and_name(path);
        if !is_name(name.as_bytes()) {
            return Err(nameless(path));
        }
        let parent = self.reach.open(parent_path, OFlags::DIRECTORY).map_err(failed)?;
        self.protected.check_write(&parent, name, None).map_err(failed)?;
        let guard = Guard::new(&self.protected);
        let mut journal = Journal::new(self.partials.as_ref(), &self.reach, path, Some(&parent))?;
        let parent_path = self.reach.recorded(parent_path);
        let (staging, dir) = Staging::begin((parent, &parent_path), name, path, &mut journal)?;
        if let Some(old) = staging.old() {
            guard.check_whole(old).map_err(failed)?;
        }
        let made = TreeSink::new(path.to_owned(), Some(dir), None, options, (guard, journal, Some(staging)));
        Ok(made.map_err(|errno| failed(errno.into()))?)
    }

    /// The directory in which a transfer's top entries land: its path, the open directory (none if a trial run would make it), and the
    /// name that the only source gets.
    fn tree_place(
        &self,
        path: &Path,
        layout: &Layout,
        options: &TreeOptions,
    ) -> Result<(PathBuf, Option<OwnedFd>, Option<OsString>), Problem> {
        match self.reach.open(path, OFlags::DIRECTORY) {
            Ok(dir) => return Ok((path.to_owned(), Some(dir), None)),
            Err(Problem::System(Errno::NOENT)) => {}
            Err(Problem::System(Errno::NOTDIR)) if *layout == Layout::Copy => {}
            Err(problem) => return Err(problem),
        }
        let (parent, name) = parent_and_name(path);
        let has_slash = path.as_os_str().as_bytes().ends_with(b"/");
        if !is_name(name.as_bytes()) || *layout == Layout::Copy && has_slash && !options.recursive {
            return Err(Problem::System(Errno::NOENT));
        }
        let dir = self.reach.open(parent, OFlags::DIRECTORY)?;
        if *layout == Layout::Copy {
            return Ok((parent.to_owned(), Some(dir), Some(name.to_owned())));
        }
        if options.dry_run {
            return Ok((path.to_owned(), None, None));
        }
        let id = FileId::of(&fstat(&dir)?);
        Guard::new(&self.protected).check(id, name, None)?;
        mkdirat(&dir, name, Mode::from_raw_mode(0o777))?;
        Ok((path.to_owned(), Some(super::tree::open_directory(&dir, name)?), None))
    }
}

/// A path's last part, whatever slashes are behind it, and what is in front.
fn parent_and_name(path: &Path) -> (&Path, &OsStr) {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    let start = bytes[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    (Path::new(OsStr::from_bytes(&bytes[..start])), OsStr::from_bytes(&bytes[start..end]))
}
