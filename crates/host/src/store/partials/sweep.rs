//! Removing what dead processes left.

use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::record::{ENDING, Entry, lock};
use super::{Partials, is_too_old};
use crate::store::error::{Op, Problem, StoreError};
use crate::store::place::regular;
use crate::store::reach::Reach;
use crate::store::temporary;
use crate::store::tree::{VERSION, sweep_journal};

/// The longest record that is read: one of a tree names each of its directories.
const RECORD_MAX: u64 = 256 * 1024 * 1024;

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// The temporary files that it removed.
    pub removed: Vec<PathBuf>,
    /// Records of living processes, left alone.
    pub living: usize,
    /// Files of interrupted transfers that may still be resumed, left alone.
    pub kept: usize,
    /// What it could not remove. The records stay, and the next sweep tries again.
    pub failed: Vec<StoreError>,
}

/// What became of one record.
enum Fate {
    Living,
    Kept,
    Removed(Vec<PathBuf>),
    Nothing,
}

impl Partials {
    /// Removes the temporary files of dead processes, then their records.
    ///
    /// A file is removed only if it has a name as this module makes them, is a regular file and ours (any user's, if
    /// we are root: it may have got the owner of the file that it was to replace), and is reached without leaving the
    /// root that it was made under.
    ///
    /// Errors: only if the records can't be listed; what concerns one record is in [`Swept::failed`].
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let dir = self.dir().map_err(|errno| StoreError::new(Op::Sweep, &self.path, errno))?;
        for item in std::fs::read_dir(&self.path).map_err(|error| self.failed(&self.path, error))? {
            let item = item.map_err(|error| self.failed(&self.path, error))?;
            if !item.file_name().as_bytes().ends_with(ENDING.as_bytes()) {
                continue;
            }
            match self.sweep_record(&dir, &item) {
                Ok(Fate::Living) => swept.living += 1,
                Ok(Fate::Kept) => swept.kept += 1,
                Ok(Fate::Removed(paths)) => swept.removed.extend(paths),
                Ok(Fate::Nothing) => {}
                Err(error) => swept.failed.push(error),
            }
        }
        Ok(swept)
    }

    fn sweep_record(&self, dir: &OwnedFd, item: &DirEntry) -> Result<Fate, StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Sweep, &item.path(), problem);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, item.file_name(), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Fate::Nothing),
            result => File::from(result.map_err(|errno| failed(errno.into()))?),
        };
        if !lock(&file).map_err(|errno| failed(errno.into()))? {
            return Ok(Fate::Living);
        }
        let mut bytes = Vec::new();
        (&file).take(RECORD_MAX).read_to_end(&mut bytes).map_err(|error| self.failed(&item.path(), error))?;
        let fate = match Entry::decode(&bytes) {
            Some(entry) => match remove(&entry, &fstat(&file).map_err(|errno| failed(errno.into()))?)? {
                Fate::Kept => return Ok(Fate::Kept),
                fate => fate,
            },
            None if bytes.starts_with(VERSION) => Fate::Removed(sweep_journal(&bytes)?),
            // Its owner died between making the record and writing it, before there was a file.
            None if !bytes.ends_with(&[0]) => Fate::Nothing,
            None => return Err(failed(Problem::BadRecord)),
        };
        match unlinkat(dir, item.file_name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(fate),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    fn failed(&self, path: &Path, error: io::Error) -> StoreError {
        StoreError::new(Op::Sweep, path, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// Removes the file that a dead process's record names. That there is none is as good: the process died just before
/// it made the file, or just after it renamed it.
fn remove(entry: &Entry, record: &Stat) -> Result<Fate, StoreError> {
    let path = entry.root.as_deref().unwrap_or(Path::new("")).join(&entry.dir).join(&entry.name);
    match try_remove(entry, record) {
        Ok(true) => Ok(Fate::Removed(vec![path])),
        Ok(false) => Ok(Fate::Kept),
        Err(Problem::System(Errno::NOENT | Errno::NOTDIR)) => Ok(Fate::Nothing),
        Err(problem) => Err(StoreError::new(Op::Sweep, &path, problem)),
    }
}

/// Doesn't (and gives `false`) if the file may still be used.
fn try_remove(entry: &Entry, record: &Stat) -> Result<bool, Problem> {
    if !temporary::is_ours(entry.name.as_bytes()) || entry.name.as_bytes().contains(&b'/') {
        return Err(Problem::BadRecord);
    }
    let reach = match &entry.root {
        Some(root) => Reach::confined(root)?,
        None => Reach::home(Path::new("/"))?,
    };
    let dir = reach.open(&entry.dir, OFlags::DIRECTORY)?;
    let stat = statat(&dir, &entry.name, AtFlags::SYMLINK_NOFOLLOW)?;
    regular(&stat)?;
    let user = geteuid();
    if stat.st_uid != user.as_raw() && !user.is_root() {
        return Err(Problem::System(Errno::PERM));
    }
    if entry.kept && !is_too_old(&stat, record) {
        return Ok(false);
    }
    unlinkat(&dir, &entry.name, AtFlags::empty())?;
    Ok(true)
}
