//! Writing a file so that its name holds the old bytes or all of the new ones, never a part.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, fchmod, fchown, fstat, fsync, futimens};
use rustix::io::Errno;

use super::error::{Op, Problem, StoreError};
use super::partials::Partials;
use super::place::{self, Place};
use super::reach::Reach;
use super::temporary::{self, Temporary};
use super::writeback::Writeback;
use super::{FileId, space};

/// What a file shall be when it is complete.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// The permission bits. Set-id and sticky bits are left out whatever the sender says, as `scp` does: the owner
    /// isn't carried over, and a set-id program under another owner is another program.
    pub mode: u32,
    /// Whether the mode is kept as it is. Otherwise the umask of this process is taken away from it.
    pub keep_mode: bool,
    /// The time of the last modification, in nanoseconds since 1970; without it, the time of writing.
    pub mtime_ns: Option<i64>,
    /// How many bytes will come, as far as is known: a forecast, used only to refuse early what can't fit. 0 says
    /// nothing.
    pub size: u64,
    /// The source, if it lies on this machine: writing onto it is refused.
    pub source: Option<FileId>,
}

/// A file on its way in. Dropping it discards what came and leaves the destination as it was.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    name: OsString,
    replaces: Option<Stat>,
    file: File,
    temporary: Temporary,
    mode: Mode,
    mtime_ns: Option<i64>,
    written: u64,
    writeback: Writeback,
    limit: Option<u64>,
}

impl Incoming {
    /// Finds the place and makes the temporary file there.
    pub(super) fn create(
        reach: &Reach,
        partials: Option<&Partials>,
        umask: u32,
        path: &Path,
        options: WriteOptions,
    ) -> Result<Incoming, StoreError> {
        let resolve = |problem: Problem| StoreError::new(Op::Resolve, path, problem);
        let create = |problem: Problem| StoreError::new(Op::Create, path, problem);
        let place = place::find(reach, path).map_err(resolve)?;
        if options.source.is_some() && options.source == place.replaces.as_ref().map(FileId::of) {
            return Err(resolve(Problem::SameFile));
        }
        space::check(&place.dir, options.size).map_err(create)?;
        let Place { dir, parent, name, replaces } = place;
        let temporary_name = temporary::name(&dir, &name).map_err(|errno| create(errno.into()))?;
        let record = match partials {
            Some(partials) => Some(partials.enter(reach, &parent, &temporary_name)?),
            None => None,
        };
        let (temporary, file) = Temporary::create(dir, temporary_name, record).map_err(|errno| create(errno.into()))?;
        let masked = if options.keep_mode { options.mode } else { options.mode & !umask };
        Ok(Incoming {
            path: path.to_owned(),
            name,
            replaces,
            file,
            temporary,
            mode: Mode::from_raw_mode(masked & 0o777),
            mtime_ns: options.mtime_ns,
            written: 0,
            writeback: Writeback::default(),
            limit: space::file_size_limit(),
        })
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends all of `bytes`. After an error the file can only be discarded.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let needed = self.written + bytes.len() as u64;
        if let Some(limit) = self.limit.filter(|&limit| needed > limit) {
            return Err(self.failed(Op::Write, Problem::TooLarge { needed, limit }));
        }
        if let Err(error) = self.file.write_all(bytes) {
            return Err(self.failed(Op::Write, Errno::from_io_error(&error).unwrap_or(Errno::IO)));
        }
        self.written = needed;
        self.writeback.advance(&self.file, self.written);
        Ok(())
    }

    /// Makes the file complete and durable under its name: mode and times, sync, rename, sync of the folder.
    ///
    /// Errors: up to the rename, the destination is as it was. [`Problem::NotDurable`] alone says that the new file is
    /// in place.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.set_attributes().map_err(|errno| self.failed(Op::SetAttributes, errno))?;
        fsync(&self.file).map_err(|errno| self.failed(Op::Sync, errno))?;
        self.temporary.rename(&self.name).map_err(|errno| self.failed(Op::Rename, errno))?;
        match fsync(self.temporary.dir()) {
            // EINVAL: a file system that has no notion of syncing a folder (fsync(2)).
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(self.failed(Op::Sync, Problem::NotDurable(errno))),
        }
    }

    /// Throws away what came; the same as dropping it.
    pub fn discard(self) {}

    fn set_attributes(&self) -> Result<(), Errno> {
        if let Some(old) = &self.replaces {
            keep_owner(&self.file, old)?;
        }
        fchmod(&self.file, self.mode)?;
        let Some(mtime_ns) = self.mtime_ns else { return Ok(()) };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: timespec(mtime_ns),
        };
        futimens(&self.file, &times)
    }

    fn failed(&self, op: Op, problem: impl Into<Problem>) -> StoreError {
        StoreError::new(op, &self.path, problem)
    }
}

/// Gives the new file the old one's owner and group, as far as the system lets us: a server run by root that
/// replaces a user's file must not take it away from them.
fn keep_owner(file: &File, old: &Stat) -> Result<(), Errno> {
    let new = fstat(file)?;
    let uid = (new.st_uid != old.st_uid).then(|| Uid::from_raw(old.st_uid));
    let gid = (new.st_gid != old.st_gid).then(|| Gid::from_raw(old.st_gid));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    match fchown(file, uid, gid) {
        // Not ours to give; EINVAL: an owner that this user namespace doesn't know.
        Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn timespec(ns: i64) -> Timespec {
    Timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_have_a_positive_fraction() {
        let time = timespec(-1);
        assert_eq!((time.tv_sec, time.tv_nsec), (-1, 999_999_999));
    }
}
