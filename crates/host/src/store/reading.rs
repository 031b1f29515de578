//! Reading a file whole, or saying how it changed. The calls block.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, OFlags, Stat, fadvise, fstat, fstatfs};
use rustix::io::Errno;

use unglue_proto::message::Time;

use super::error::{Change, Op, Problem, StoreError};
use super::place::regular;
use super::protected::Protected;
use super::reach::Reach;
use super::{Facts, FileId};

/// File systems whose files the kernel makes up while they are read, so that their size says nothing (statfs(2)):
/// proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs.
const MADE_UP: [u32; 7] = [0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673];

/// A file that is being read.
///
/// Call [`read`](Self::read) until it gives 0, then [`finish`](Self::finish): only when that succeeds were the bytes
/// those of one unchanged file.
#[derive(Debug)]
pub struct Reading {
    /// `None`: the file lies in a directory that is held open.
    reach: Option<Arc<Reach>>,
    path: PathBuf,
    file: File,
    before: Stat,
    read: u64,
    made_up: bool,
}

impl Reading {
    /// Opens a regular file. Anything else is recognised before it is opened for reading, since merely opening some
    /// devices does something, and once more after, in case it was swapped.
    pub(super) fn open(reach: &Arc<Reach>, protected: &Protected, path: &Path) -> Result<Reading, StoreError> {
        Reading::try_open(reach, protected, path).map_err(|problem| StoreError::new(Op::Open, path, problem))
    }

    fn try_open(reach: &Arc<Reach>, protected: &Protected, path: &Path) -> Result<Reading, Problem> {
        regular(&reach.stat(path)?)?;
        let file = File::from(reach.open(path, OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let before = fstat(&file)?;
        regular(&before)?;
        protected.check_read(&before)?;
        let made_up = is_made_up(&file);
        // A hint, for a longer read-ahead: where it is refused, nothing is lost.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(Reading { reach: Some(reach.clone()), path: path.to_owned(), file, before, read: 0, made_up })
    }

    /// A regular file that is open already; `before` is what it is now.
    pub(super) fn of(file: File, before: Stat, path: &Path) -> Reading {
        let made_up = is_made_up(&file);
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Reading { reach: None, path: path.to_owned(), file, before, read: 0, made_up }
    }

    /// The size when it was opened, in bytes. A forecast: files of `/proc` have size 0 whatever is in them.
    pub fn size(&self) -> u64 {
        self.before.st_size as u64
    }

    /// The permission bits (`0o644`), set-id and sticky bits left out: they mean nothing under another owner.
    pub fn mode(&self) -> u32 {
        self.before.st_mode & 0o777
    }

    /// The time of the last modification.
    pub fn modified(&self) -> Time {
        let (seconds, nanoseconds) = mtime(&self.before);
        Time { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
    }

    /// What is known of it before it is read. The size of a file that the kernel makes up isn't.
    pub fn facts(&self) -> Facts {
        let size = (!self.made_up).then(|| self.size());
        Facts::default().with_size(size).with_mode(self.mode()).with_modified(Some(self.modified()))
    }

    /// Bytes up to the size at the start; `None` where the size says nothing.
    pub(super) fn left(&self) -> Option<u64> {
        (!self.made_up).then(|| self.size() - self.read)
    }

    /// Which file it is, for [`WriteOptions::source`](super::WriteOptions::source).
    pub fn id(&self) -> FileId {
        FileId::of(&self.before)
    }

    /// Reads up to `buffer.len()` bytes and returns how many; 0 is the end, unless `buffer` is empty.
    ///
    /// What is appended meanwhile is not read, or a log that grows faster than the link would have no end:
    /// [`finish`](Self::finish) reports it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let left = self.left().unwrap_or(u64::MAX);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        loop {
            match self.file.read(&mut buffer[..wanted]) {
                Ok(n) => {
                    self.read += n as u64;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
            }
        }
    }

    /// Succeeds with the number of bytes read if the file is still the same: size, time of modification and time of
    /// change (which any write, `chmod` or rename moves) are what they were, and its path still leads to it.
    ///
    /// Errors: [`Problem::Changed`], with the difference. It is as strict as `tar`'s "file changed as we read it".
    pub fn finish(self) -> Result<u64, StoreError> {
        let after = fstat(&self.file).map_err(|errno| self.failed(errno))?;
        match self.change(&after, self.read) {
            None => Ok(self.read),
            Some(change) => Err(self.failed(Problem::Changed(change))),
        }
    }

    /// Fills `buffer` with the bytes from an offset on, wherever [`read`](Self::read) is.
    ///
    /// Errors: [`Problem::Changed`] if the file ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let to = fstat(&self.file).map_or(offset, |stat| stat.st_size as u64);
                self.failed(Problem::Changed(Change::Shrank { from: self.size(), to }))
            }
            _ => self.failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        })
    }

    /// [`finish`](Self::finish) for a file that was read by [`read_exact_at`](Self::read_exact_at).
    pub fn unchanged(&self) -> Result<(), StoreError> {
        let after = fstat(&self.file).map_err(|errno| self.failed(errno))?;
        match self.change(&after, self.size()) {
            None => Ok(()),
            Some(change) => Err(self.failed(Problem::Changed(change))),
        }
    }

    fn change(&self, after: &Stat, read: u64) -> Option<Change> {
        let (from, to) = (self.size(), after.st_size as u64);
        if self.made_up {
            return None;
        }
        if to > from {
            return Some(Change::Grew { from, to });
        }
        if to.min(read) < from {
            return Some(Change::Shrank { from, to: to.min(read) });
        }
        if mtime(&self.before) == mtime(after) && ctime(&self.before) == ctime(after) {
            return None;
        }
        let Some(reach) = &self.reach else { return Some(Change::Touched) };
        match reach.stat(&self.path) {
            Ok(now) if FileId::of(&now) == self.id() => Some(Change::Touched),
            Ok(_) => Some(Change::Replaced),
            Err(_) => Some(Change::Vanished),
        }
    }

    fn failed(&self, problem: impl Into<Problem>) -> StoreError {
        StoreError::new(Op::Read, &self.path, problem)
    }
}

/// Whether the kernel makes the file up while it is read.
pub(super) fn is_made_up(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|fs| MADE_UP.contains(&(fs.f_type as u32)))
}

fn mtime(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec as i64)
}

fn ctime(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, stat.st_ctime_nsec as i64)
}
