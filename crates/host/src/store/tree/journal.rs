//! Temporary names of a tree, and the record by which the next start finds them if this process dies.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstatvfs, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::deletion;
use super::dirs::{Dirs, Node};
use crate::store::error::{Op, Problem, StoreError};
use crate::store::partials::{Partials, Record};
use crate::store::reach::Reach;
use crate::store::temporary::{self, Kept, RANDOM, Temporary};
use crate::store::{IN_USE, Owner};

/// The first line of this version's records of trees.
pub(in crate::store) const VERSION: &[u8] = b"unglue tree 1";

/// Characters of a temporary name's end that all names of a transfer share. The rest is a count.
const TOKEN: usize = 5;

/// Says whether something with a temporary name could not be removed. Then the record stays when the transfer ends, and the next
/// start tries again.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftover(Arc<AtomicBool>);

impl Leftover {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keeps large files whose transfer broke off, for one owner's next one.
#[derive(Debug, Clone)]
pub(in crate::store) struct Keeper {
    pub(in crate::store) partials: Partials,
    pub(in crate::store) reach: Arc<Reach>,
    pub(in crate::store) owner: Owner,
}

/// Names temporary files, and notes each directory before the first one is made in it.
#[derive(Debug)]
pub(in crate::store) struct Journal {
    record: Option<Record>,
    /// Where large files may stay if the transfer breaks off.
    keeper: Option<Keeper>,
    top: PathBuf,
    token: [u8; TOKEN],
    count: u32,
    noted: HashSet<Node>,
    /// Everything is made in one directory with a temporary name.
    staged: bool,
    leftover: Leftover,
    longest: usize,
    /// Until when files that another transfer uses are waited for.
    until: Option<Instant>,
}

impl Journal {
    /// For a transfer whose top is `path`, open as `dir`.
    pub(in crate::store) fn new(
        partials: Option<&Partials>,
        reach: &Reach,
        path: &Path,
        dir: Option<&OwnedFd>,
    ) -> Result<Journal, StoreError> {
        let token = temporary::random_characters::<TOKEN>();
        let token = token.map_err(|errno| StoreError::new(Op::Create, path, errno))?;
        let record = partials.map(|partials| partials.enter_tree(reach, &token)).transpose()?;
        let longest = dir.and_then(|dir| fstatvfs(dir).ok()).map_or(255, |fs| fs.f_namemax as usize);
        Ok(Journal {
            record,
            keeper: None,
            until: None,
            top: reach.recorded(path),
            token,
            count: 0,
            noted: HashSet::new(),
            staged: false,
            leftover: Leftover::default(),
            longest: longest.min(255),
        })
    }

    /// Large files stay if the transfer breaks off.
    pub(in crate::store) fn keeping(mut self, keeper: Option<Keeper>) -> Journal {
        self.keeper = keeper;
        self
    }

    /// The file for the content of `name` that an earlier transfer has left in a directory, or a new one that a later transfer may go
    /// on with. `None`: nothing is kept here.
    ///
    /// If another transfer uses it, it waits a moment, once for all files: that one's connection may just have been lost.
    pub(super) fn keep(
        &mut self,
        at: (&Dirs, Node),
        dir: &Arc<OwnedFd>,
        name: &OsStr,
        mode: Mode,
    ) -> Result<Option<Kept>, Problem> {
        loop {
            let kept = self.try_keep(at, dir, name, mode);
            if !matches!(kept, Err(Problem::KeptInUse))
                || Instant::now() >= *self.until.get_or_insert_with(|| Instant::now() + IN_USE)
            {
                return kept;
            }
            std::thread::sleep(IN_USE / 100);
        }
    }

    fn try_keep(
        &self,
        (dirs, node): (&Dirs, Node),
        dir: &Arc<OwnedFd>,
        name: &OsStr,
        mode: Mode,
    ) -> Result<Option<Kept>, Problem> {
        let Some(Keeper { partials, reach, owner }) = &self.keeper else { return Ok(None) };
        let kept_name = temporary::kept_name(dir, name, *owner);
        let parent = self.top.join(dirs.path(node, OsStr::new("")));
        let record = partials.enter_kept(reach, &parent, &kept_name).map_err(StoreError::into_problem)?;
        let record = record.ok_or(Problem::KeptInUse)?;
        Ok(Temporary::keep(dir.clone(), kept_name, (mode, true), record)?.ok())
    }

    /// The bytes on the disk of what an earlier transfer has left of a file.
    pub(super) fn kept_room(&self, dir: &OwnedFd, name: &OsStr) -> u64 {
        let Some(Keeper { owner, .. }) = &self.keeper else { return 0 };
        let stat = statat(dir, temporary::kept_name(dir, name, *owner), AtFlags::SYMLINK_NOFOLLOW);
        stat.map_or(0, |stat| (stat.st_blocks as u64).saturating_mul(512))
    }

    /// A new name for a temporary file beside `name` in a directory.
    pub(super) fn name(&mut self, dirs: &Dirs, node: Node, name: &OsStr) -> Result<OsString, Errno> {
        if !self.staged
            && self.noted.insert(node)
            && let Some(record) = &mut self.record
        {
            let path = self.top.join(dirs.path(node, OsStr::new("")));
            record.append(path.as_os_str().as_bytes())?;
        }
        Ok(self.next(name))
    }

    /// A new name beside `name` for a whole tree, in the directory of this path. Names in that tree need no notes of their own.
    pub(super) fn beside(&mut self, parent: &Path, name: &OsStr) -> Result<OsString, Errno> {
        if !std::mem::replace(&mut self.staged, true)
            && let Some(record) = &mut self.record
        {
            record.append(parent.as_os_str().as_bytes())?;
        }
        Ok(self.next(name))
    }

    /// What is reported about something that is left.
    pub(super) fn leftover(&self) -> Leftover {
        self.leftover.clone()
    }

    fn next(&mut self, name: &OsStr) -> OsString {
        self.count = self.count.wrapping_add(1);
        let mut random = [0; RANDOM];
        random[..TOKEN].copy_from_slice(&self.token);
        let digit = |shift: u32| temporary::ALPHABET[(self.count >> shift & 31) as usize];
        random[TOKEN..].copy_from_slice(&[digit(10), digit(5), digit(0)]);
        temporary::named(name, self.longest, &random)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(record) = &mut self.record
            && self.leftover.0.load(Ordering::Relaxed)
        {
            record.leave();
        }
    }
}

/// Removes what a dead process's record of a tree names. Gives the paths of what it removed.
pub(in crate::store) fn sweep_journal(bytes: &[u8]) -> Result<Vec<PathBuf>, StoreError> {
    let mut fields = bytes.split(|&byte| byte == 0);
    let bad = || StoreError::new(Op::Sweep, Path::new(""), Problem::BadRecord);
    if fields.next() != Some(VERSION) {
        return Err(bad());
    }
    let (Some(root), Some(token)) = (fields.next(), fields.next()) else { return Ok(Vec::new()) };
    let reach = match root {
        b"" => Reach::home(Path::new("/")),
        root => Reach::confined(Path::new(OsStr::from_bytes(root))),
    };
    let reach = match reach {
        Ok(reach) => reach,
        Err(Problem::System(Errno::NOENT)) => return Ok(Vec::new()),
        Err(problem) => return Err(StoreError::new(Op::Sweep, Path::new(OsStr::from_bytes(root)), problem)),
    };
    let mut removed = Vec::new();
    // The last field is empty, or a path that was not written whole: nothing was made there.
    let paths: Vec<&[u8]> = fields.collect();
    for path in &paths[..paths.len().saturating_sub(1)] {
        let path = Path::new(OsStr::from_bytes(path));
        let swept = sweep_directory(&reach, path, token, &mut removed);
        match swept {
            Ok(()) | Err(Problem::System(Errno::NOENT | Errno::NOTDIR)) => {}
            Err(problem) => return Err(StoreError::new(Op::Sweep, path, problem)),
        }
    }
    Ok(removed)
}

fn sweep_directory(reach: &Reach, path: &Path, token: &[u8], removed: &mut Vec<PathBuf>) -> Result<(), Problem> {
    let dir = reach.open(path, OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if temporary::is_ours(&name) && name[name.len() - RANDOM..].starts_with(token) && token.len() == TOKEN {
            names.push(OsString::from_vec(name));
        }
    }
    for name in names {
        let stat = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if stat.st_uid != geteuid().as_raw() && !geteuid().is_root() {
            return Err(Problem::System(Errno::PERM));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => deletion::remove_all(&dir, &name, &mut |_| Ok(()))?,
            _ => unlinkat(&dir, &name, AtFlags::empty())?,
        }
        removed.push(path.join(name));
    }
    Ok(())
}
