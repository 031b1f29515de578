//! What a store can reach: everything below a root, or whatever the user can.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::FileId;
use super::error::Problem;

/// Where relative paths start, and whether they may lead elsewhere.
#[derive(Debug)]
pub(super) enum Reach {
    /// Everything lies below `root`; `top` is a handle on it, so that renaming the root changes nothing.
    Confined {
        /// The root's absolute path.
        root: PathBuf,
        /// The handle through which everything is opened, until another directory takes the root's place.
        top: Mutex<Top>,
    },
    /// Relative paths start at `home`; absolute ones are themselves.
    Home {
        /// An absolute path.
        home: PathBuf,
    },
}

/// An open root.
#[derive(Debug, Clone)]
pub(super) struct Top {
    dir: Arc<Dir>,
    id: FileId,
    owner: u32,
}

impl Top {
    fn open(root: &Path) -> Result<Top, Problem> {
        let dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(problem)?;
        let stat = fstat(&dir)?;
        Ok(Top { dir: Arc::new(dir), id: FileId::of(&stat), owner: stat.st_uid })
    }
}

impl Reach {
    /// Opens `root` and stays below it.
    pub(super) fn confined(root: &Path) -> Result<Reach, Problem> {
        let root = root.canonicalize().map_err(problem)?;
        let top = Mutex::new(Top::open(&root)?);
        Ok(Reach::Confined { root, top })
    }

    /// Starts at `home`, without confinement.
    pub(super) fn home(home: &Path) -> Result<Reach, Problem> {
        Ok(Reach::Home { home: std::path::absolute(home).map_err(problem)? })
    }

    /// Opens what is there, following symbolic links as far as this reach goes. An empty path is the top itself.
    ///
    /// `flags` come on top of read-only and close-on-exec; with `O_PATH` nothing is opened but the name, so that even a
    /// device or a FIFO may be asked what it is.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Problem> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match self {
            Reach::Confined { .. } if path.is_absolute() => Err(Problem::Absolute),
            Reach::Confined { root, top } => {
                let top = current(root, top)?;
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(flags.bits() as i32);
                let file = top.open_with(path, &options).map_err(problem)?;
                Ok(file.into_std().into())
            }
            Reach::Home { home } => Ok(openat(CWD, home.join(path), flags | OFlags::CLOEXEC, Mode::empty())?),
        }
    }

    /// The file that `path` leads to, links followed.
    pub(super) fn stat(&self, path: &Path) -> Result<Stat, Problem> {
        Ok(fstat(self.open(path, OFlags::PATH)?)?)
    }

    /// The root's path, if there is one.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Reach::Confined { root, .. } => Some(root),
            Reach::Home { .. } => None,
        }
    }

    /// `path` as another process can find it again: relative to the root, or absolute.
    pub(super) fn recorded(&self, path: &Path) -> PathBuf {
        match self {
            Reach::Confined { .. } => path.to_owned(),
            Reach::Home { home } => home.join(path),
        }
    }
}

/// The root's handle. A directory of the same user that has taken the root's place is the root from then on: it was removed
/// and made again, or switched to a new version.
///
/// # Errors
/// [`Problem::RootGone`]: it was removed, and nothing has its name. [`Problem::RootReplaced`]: another user's directory has.
fn current(root: &Path, top: &Mutex<Top>) -> Result<Arc<Dir>, Problem> {
    let mut top = top.lock().unwrap_or_else(PoisonError::into_inner);
    match rustix::fs::stat(root) {
        Ok(there) if FileId::of(&there) == top.id => {}
        Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
            let new = Top::open(root)?;
            if new.owner != top.owner && ![0, geteuid().as_raw()].contains(&new.owner) {
                return Err(Problem::RootReplaced);
            }
            *top = new;
        }
        // It was renamed or removed, or the way to it is closed.
        _ if fstat(&*top.dir)?.st_nlink == 0 => return Err(Problem::RootGone),
        _ => {}
    }
    Ok(top.dir.clone())
}

/// What cap-std reports. An attempt to leave the root is the one error of its own, without an error number.
fn problem(error: io::Error) -> Problem {
    match Errno::from_io_error(&error) {
        Some(errno) => Problem::System(errno),
        None if error.kind() == io::ErrorKind::PermissionDenied => Problem::Outside,
        None => Problem::System(Errno::INVAL),
    }
}
