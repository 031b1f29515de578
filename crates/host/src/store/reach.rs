//! What a store can reach: everything below a root, or whatever the user can.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::error::Problem;

/// Where relative paths start, and whether they may lead elsewhere.
#[derive(Debug)]
pub(super) enum Reach {
    /// Everything lies below `root`; `top` is a handle on it, so that renaming the root changes nothing.
    Confined {
        /// The root's absolute path, for records only.
        root: PathBuf,
        /// The handle through which everything is opened.
        top: Dir,
    },
    /// Relative paths start at `home`; absolute ones are themselves.
    Home {
        /// An absolute path.
        home: PathBuf,
    },
}

impl Reach {
    /// Opens `root` and stays below it.
    pub(super) fn confined(root: &Path) -> Result<Reach, Problem> {
        let root = root.canonicalize().map_err(problem)?;
        let top = Dir::open_ambient_dir(&root, ambient_authority()).map_err(problem)?;
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
            Reach::Confined { top, .. } => {
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

/// What cap-std reports. An attempt to leave the root is the one error of its own, without an error number.
fn problem(error: io::Error) -> Problem {
    match Errno::from_io_error(&error) {
        Some(errno) => Problem::System(errno),
        None if error.kind() == io::ErrorKind::PermissionDenied => Problem::Outside,
        None => Problem::System(Errno::INVAL),
    }
}
