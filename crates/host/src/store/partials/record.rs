//! One record: a small locked file that names a temporary file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, fsync, openat, unlinkat};
use rustix::io::Errno;

use crate::store::temporary::random_characters;

/// The end of a record's name.
pub(super) const ENDING: &str = ".record";

/// The first line of this version's records.
const VERSION: &[u8] = b"unglue partial 1";

/// The first line of records of files that stay for a while after their transfer broke off.
const VERSION_KEPT: &[u8] = b"unglue resumable 1";

/// Two processes that start at once may meet a few times, not often.
const TRIES: usize = 16;

/// The content of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The root that must not be left on the way to `dir`, if there is one.
    pub(super) root: Option<PathBuf>,
    /// The directory: relative to the root, or absolute.
    pub(super) dir: PathBuf,
    /// The temporary file's name in it.
    pub(super) name: OsString,
    /// Whether the file stays for a while, so that its transfer can be resumed.
    pub(super) kept: bool,
}

impl Entry {
    /// The version, the root (empty if there is none), the directory and the name, each followed by a NUL.
    fn encode(&self) -> Vec<u8> {
        let root = self.root.as_deref().map_or(OsStr::new(""), Path::as_os_str);
        let version = if self.kept { VERSION_KEPT } else { VERSION };
        let fields = [version, root.as_bytes(), self.dir.as_os_str().as_bytes(), self.name.as_bytes()];
        fields.into_iter().flat_map(|field| field.iter().copied().chain([0])).collect()
    }

    /// Nothing, if the bytes are not those of a whole record.
    pub(super) fn decode(bytes: &[u8]) -> Option<Entry> {
        let mut fields = bytes.strip_suffix(&[0])?.split(|&byte| byte == 0);
        let mut field = || fields.next().map(OsStr::from_bytes);
        let version = field()?.as_bytes();
        let kept = version == VERSION_KEPT;
        (kept || version == VERSION).then_some(())?;
        let root = field().map(PathBuf::from)?;
        let entry = Entry {
            root: (!root.as_os_str().is_empty()).then_some(root),
            dir: field()?.into(),
            name: field()?.to_owned(),
            kept,
        };
        field().is_none().then_some(entry)
    }
}

/// A record of a living process; dropping it removes it.
#[derive(Debug)]
pub(in crate::store) struct Record {
    dir: Arc<OwnedFd>,
    name: String,
    /// Holds the lock.
    file: File,
    /// It stays when it is dropped, unlocked, for the next sweep.
    stays: bool,
}

impl Record {
    /// Makes, locks and writes a new record.
    pub(super) fn enter(dir: &Arc<OwnedFd>, entry: &Entry) -> Result<Record, Errno> {
        Record::enter_bytes(dir, &entry.encode())
    }

    /// Makes and locks a new record that holds `bytes`.
    pub(super) fn enter_bytes(dir: &Arc<OwnedFd>, bytes: &[u8]) -> Result<Record, Errno> {
        for _ in 0..TRIES {
            if let Some(mut record) = Record::create(dir)? {
                record.write(bytes)?;
                return Ok(record);
            }
        }
        Err(Errno::AGAIN)
    }

    /// Makes and locks the record of a file that stays: one for each file, whichever transfers write to it.
    ///
    /// Nothing, if another transfer has it.
    pub(super) fn enter_kept(dir: &Arc<OwnedFd>, entry: &Entry) -> Result<Option<Record>, Errno> {
        let bytes = entry.encode();
        let name = format!("{}{ENDING}", &blake3::hash(&bytes).to_hex()[..32]);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            let file = File::from(openat(dir, &name, flags, Mode::RUSR | Mode::WUSR)?);
            if lock(&file)? {
                let mut record = Record { dir: dir.clone(), name, file, stays: false };
                // Until the file is there, it is found as one that is not.
                record.file.set_len(0).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                record.write(&bytes)?;
                return Ok(Some(record));
            }
            if fstat(&file)?.st_nlink > 0 {
                return Ok(None);
            }
        }
        Err(Errno::AGAIN)
    }

    /// Adds a field to a record of a tree.
    pub(in crate::store) fn append(&mut self, field: &[u8]) -> Result<(), Errno> {
        self.write(&[field, &[0]].concat())
    }

    /// Marks what it names as used now.
    pub(in crate::store) fn touch(&self) {
        // A hint: without it, the file's own time counts.
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// What makes it survive a power cut.
    pub(in crate::store) fn syncing(&self) -> io::Result<RecordSync> {
        Ok(RecordSync { dir: self.dir.clone(), file: self.file.try_clone()? })
    }

    /// What it names could not be removed: the next sweep tries again.
    pub(in crate::store) fn leave(&mut self) {
        self.stays = true;
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.file.write_all(bytes).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Nothing, if a sweep took the new record for a dead process's before it was locked.
    fn create(dir: &Arc<OwnedFd>) -> Result<Option<Record>, Errno> {
        let random = random_characters::<16>()?;
        let name = format!("{}{ENDING}", random.escape_ascii());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(dir, &name, flags, Mode::RUSR | Mode::WUSR)?);
        let record = Record { dir: dir.clone(), name, file, stays: false };
        Ok(lock(&record.file)?.then_some(record))
    }
}

/// Makes a record survive a power cut.
#[derive(Debug)]
pub(in crate::store) struct RecordSync {
    dir: Arc<OwnedFd>,
    file: File,
}

impl RecordSync {
    /// Blocks until it is on the device.
    pub(in crate::store) fn sync(&self) -> Result<(), Errno> {
        [fsync(&self.file), fsync(&*self.dir)].into_iter().try_for_each(|synced| match synced {
            // A file system that has no notion of syncing a directory (fsync(2)).
            Err(Errno::INVAL) => Ok(()),
            synced => synced,
        })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        // What can't be removed now (or was swept already) is left to the next sweep: its file is gone by now.
        let _ = unlinkat(&self.dir, &self.name, AtFlags::empty());
    }
}

/// Takes the record's lock. Fails to (with `false`) if another process has it, or has removed the record since it was
/// opened.
pub(super) fn lock(record: &File) -> Result<bool, Errno> {
    match flock(record, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
        Ok(()) => Ok(fstat(record)?.st_nlink > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_and_a_part_of_it_does_not() {
        let entry = Entry {
            root: Some("/srv/ro\not".into()),
            dir: "a/b".into(),
            name: OsStr::from_bytes(b".\xff.unglue-01234567").to_owned(),
            kept: true,
        };
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Some(entry));
        for end in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..end]), None, "the first {end} bytes");
        }
        let home = Entry { root: None, dir: "/tmp/".into(), name: "n".into(), kept: false };
        assert_eq!(Entry::decode(&home.encode()), Some(home));
    }
}
