//! Putting complete files in place, many at a time: the device is waited for once.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{RenameFlags, fstat, fsync, renameat, renameat_with, syncfs};
use rustix::io::Errno;

use super::deletion;
use super::guard::Guard;
use super::landing::Landed;
use crate::store::error::Problem;

/// A bundle has at most so many files: each bundle waits for the device once, which takes about 0.1 s whatever is in it,
const FILES: usize = 8192;
/// so many bytes,
const BYTES: u64 = 64 * 1024 * 1024;
/// and so many directories, which are held open.
const DIRECTORIES: usize = 100;
/// A bundle that has come so slowly is put in place as it is: an interruption costs no more.
const AGE: Duration = Duration::from_secs(2);
/// Up to so many files are synced one by one: a sync of the whole file system would wait for what others have written.
const FEW: usize = 4;

/// Complete files under temporary names.
#[derive(Debug, Default)]
pub struct Batch {
    files: Vec<Landed>,
    bytes: u64,
    directories: HashSet<u32>,
    /// When its first file was complete.
    began: Option<Instant>,
    /// A directory in the way of a file is removed, unless it holds something that is guarded.
    in_the_way: Option<Guard>,
    /// Nobody sees the names yet: the device is waited for once, before the whole tree is published.
    staged: bool,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// The bytes of each file that is in place.
    pub(super) files: Vec<u64>,
    /// Those that are not.
    pub(super) failed: Vec<(u32, OsString, Problem)>,
    /// Whether the names are durable; otherwise the next sync of the file system makes them so.
    pub(super) durable: bool,
    /// Whether the names of the batch before are durable by now.
    pub(super) synced_all: bool,
}

impl Batch {
    pub(super) fn new(in_the_way: Option<Guard>, staged: bool) -> Batch {
        Batch { in_the_way, staged, ..Batch::default() }
    }

    pub(super) fn push(&mut self, mut file: Landed) {
        self.began.get_or_insert_with(Instant::now);
        self.bytes += file.data;
        self.directories.insert(file.node);
        if self.files.len() == FEW {
            self.files.iter_mut().for_each(|file| file.file = None);
        }
        if self.files.len() >= FEW {
            file.file = None;
        }
        self.files.push(file);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        let is_old = self.began.is_some_and(|began| began.elapsed() > AGE);
        self.files.len() >= FILES || self.bytes >= BYTES || self.directories.len() >= DIRECTORIES || is_old
    }

    /// Syncs the files, gives them their names. Blocks until the device has them.
    pub fn commit(self) -> Committed {
        let mut committed = Committed::default();
        let few = self.files.len() <= FEW && !self.staged;
        let synced = if few || self.staged { Ok(()) } else { sync_all(self.files.iter().map(|file| &file.temp.dir)) };
        let in_the_way = self.in_the_way;
        let mut renamed: Vec<Arc<OwnedFd>> = Vec::new();
        for mut file in self.files {
            let done = match (&synced, &file.file) {
                (Err(errno), _) => Err(Problem::System(*errno)),
                (Ok(()), Some(open)) if few => fsync(open).map_err(Problem::from),
                (Ok(()), _) => Ok(()),
            };
            match done.and_then(|()| rename(&mut file, in_the_way.as_ref())) {
                Ok(()) => {
                    if renamed.last().is_none_or(|last| !Arc::ptr_eq(last, &file.temp.dir)) {
                        renamed.push(file.temp.dir.clone());
                    }
                    committed.files.push(file.data);
                }
                Err(problem) => committed.failed.push((file.node, file.name.clone(), problem)),
            }
        }
        committed.synced_all = !few && !self.staged && synced.is_ok();
        if few {
            committed.durable = true;
            for dir in &renamed {
                if let Err(errno) = sync_directory(dir) {
                    committed.durable = false;
                    tracing::warn!(%errno, "a directory can't be synced");
                    committed.failed.push((u32::MAX, OsString::new(), Problem::NotDurable(errno)));
                }
            }
        }
        committed
    }
}

fn rename(file: &mut Landed, in_the_way: Option<&Guard>) -> Result<(), Problem> {
    let temp = &mut file.temp;
    let first = match file.exists {
        true => renameat(&temp.dir, &temp.name, &temp.dir, &file.name),
        false => match renameat_with(&temp.dir, &temp.name, &temp.dir, &file.name, RenameFlags::NOREPLACE) {
            // A file system that can't promise it.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(&temp.dir, &temp.name, &temp.dir, &file.name),
            Err(Errno::EXIST) => return Err(Problem::Appeared),
            renamed => renamed,
        },
    };
    let renamed = match (first, in_the_way) {
        (Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY), Some(guard)) => {
            deletion::remove_all(&temp.dir, &file.name, &mut |doomed| guard.check_doomed(doomed))?;
            renameat(&temp.dir, &temp.name, &temp.dir, &file.name)
        }
        (renamed, _) => renamed,
    };
    match renamed {
        Ok(()) => {
            temp.exists = false;
            Ok(())
        }
        Err(Errno::BUSY) => Err(Problem::MountPoint),
        Err(errno) => Err(errno.into()),
    }
}

/// Syncs each file system that one of the directories is on.
pub(super) fn sync_all<'a>(dirs: impl Iterator<Item = &'a Arc<OwnedFd>>) -> Result<(), Errno> {
    let (mut devices, mut seen) = (HashSet::new(), HashSet::new());
    for dir in dirs {
        if seen.insert(dir.as_raw_fd()) && devices.insert(fstat(&**dir)?.st_dev) {
            syncfs(&**dir)?;
        }
    }
    Ok(())
}

/// Syncs a directory's names.
pub(in crate::store) fn sync_directory(dir: &OwnedFd) -> Result<(), Errno> {
    match fsync(dir) {
        // A file system that has no notion of syncing a directory (fsync(2)).
        Err(Errno::INVAL) => Ok(()),
        result => result,
    }
}
