//! Records of temporary files, so that those of a dead process are found and removed.
//!
//! Before a temporary file is made, a record of its path is written into the state directory and locked (flock(2)).
//! The lock ends with the process, however it dies. A [sweep](Partials::sweep) goes through the records whose lock is
//! free and removes exactly the files that they name. Several processes may share one directory.
//!
//! Records are not synced: they are for processes that die, not for machines.
//!
//! The file of a transfer that may be resumed stays when its process dies, and so does its record, which is synced together with
//! the file. A sweep removes both once neither was written for [`KEPT_FOR`]. The file alone would not do: a transfer that is
//! almost complete has given it the time of the source.

mod record;
mod sweep;

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::FileId;
use super::error::{Op, StoreError};
use super::reach::Reach;
use super::tree::VERSION;
pub(super) use record::{Record, RecordSync};
pub use sweep::Swept;

/// The directory below the state directory.
const DIRECTORY: &str = "partials";

/// How long the file of an interrupted transfer that may be resumed stays after the last write to it.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether nothing was written to a file and to its record for [`KEPT_FOR`].
fn is_too_old(file: &Stat, record: &Stat) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let written = u64::try_from(file.st_mtime.max(record.st_mtime)).unwrap_or(0);
    now.saturating_sub(written) > KEPT_FOR.as_secs()
}

/// The records of one state directory.
#[derive(Debug, Clone)]
pub struct Partials {
    /// Opened anew when another directory has taken its place.
    dir: Arc<Mutex<Arc<OwnedFd>>>,
    path: PathBuf,
}

impl Partials {
    /// Uses `state/partials`, made with mode 0700 if it isn't there, `state` too.
    ///
    /// Errors: `EPERM` if it belongs to another user or others may write into it, since the files that it names get deleted.
    pub fn open(state: &Path) -> Result<Partials, StoreError> {
        let path = state.join(DIRECTORY);
        let dir = open(&path).map_err(|errno| StoreError::new(Op::Record, &path, errno))?;
        Ok(Partials { dir: Arc::new(Mutex::new(Arc::new(dir))), path })
    }

    /// The directory. If the state directory was removed or replaced meanwhile, it is made and opened again: a record that
    /// nobody finds would be none.
    fn dir(&self) -> Result<Arc<OwnedFd>, Errno> {
        let mut dir = self.dir.lock().unwrap_or_else(PoisonError::into_inner);
        let open_one = FileId::of(&fstat(&**dir)?);
        match rustix::fs::stat(&self.path) {
            Ok(there) if FileId::of(&there) == open_one => {}
            _ => *dir = Arc::new(open(&self.path)?),
        }
        Ok(dir.clone())
    }

    /// Records that a temporary file `name` is about to be made in `parent`, until the record is dropped.
    pub(super) fn enter(&self, reach: &Reach, parent: &Path, name: &OsStr) -> Result<Record, StoreError> {
        let entry = entry(reach, parent, name, false);
        let entered = self.dir().and_then(|dir| Record::enter(&dir, &entry));
        entered.map_err(|errno| StoreError::new(Op::Record, &self.path, errno))
    }

    /// Records that the temporary file `name` in `parent` is used, and stays. Nothing, if another transfer uses it.
    ///
    /// Files that have stayed for too long are removed first.
    pub(super) fn enter_kept(&self, reach: &Reach, parent: &Path, name: &OsStr) -> Result<Option<Record>, StoreError> {
        if let Err(error) = self.sweep() {
            tracing::debug!(%error, "temporary files were not removed");
        }
        let entry = entry(reach, parent, name, true);
        let entered = self.dir().and_then(|dir| Record::enter_kept(&dir, &entry));
        entered.map_err(|errno| StoreError::new(Op::Record, &self.path, errno))
    }

    /// Records a transfer of a tree: directories are [appended](Record::append) before temporary files with this token are made in
    /// them.
    pub(super) fn enter_tree(&self, reach: &Reach, token: &[u8]) -> Result<Record, StoreError> {
        let root = reach.root().map_or(OsStr::new(""), Path::as_os_str);
        let entered = self.dir().and_then(|dir| {
            let mut record = Record::enter_bytes(&dir, &[])?;
            [VERSION, root.as_bytes(), token].into_iter().try_for_each(|field| record.append(field))?;
            Ok(record)
        });
        entered.map_err(|errno| StoreError::new(Op::Record, &self.path, errno))
    }
}

fn entry(reach: &Reach, parent: &Path, name: &OsStr, kept: bool) -> record::Entry {
    let root = reach.root().map(Path::to_owned);
    record::Entry { root, dir: reach.recorded(parent), name: name.to_owned(), kept }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let dir = openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&dir)?;
    match stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o022 == 0 {
        true => Ok(dir),
        false => Err(Errno::PERM),
    }
}
