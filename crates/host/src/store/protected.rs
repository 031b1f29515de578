//! Files that a store never writes, whatever the path that leads to them.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat, stat};
use rustix::io::Errno;

use super::FileId;
use super::error::Problem;

/// Directories and files that a store refuses to write to. They are recognised by what they are, not by their path: `..`,
/// symbolic links, hard links and other mounts of the same directory lead to the same refusal.
///
/// They need not exist. They are looked up anew for each file that is written.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    secrets: Vec<PathBuf>,
}

impl Protected {
    /// Protects everything below a directory from being written.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Protected {
        self.directories.push(path.into());
        self
    }

    /// Protects a file from being written or made.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Protected {
        self.files.push(path.into());
        self
    }

    /// Protects a file from being written, made or read.
    pub fn secret(mut self, path: impl Into<PathBuf>) -> Protected {
        self.secrets.push(path.into());
        self
    }

    /// What is protected with everything below it.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(PathBuf::as_path)
    }

    /// What must not be written.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// What must be neither written nor read.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Path> {
        self.secrets.iter().map(PathBuf::as_path)
    }

    /// Refuses to read a secret.
    pub(super) fn check_read(&self, file: &Stat) -> Result<(), Problem> {
        match self.secrets.iter().any(|secret| is_same(secret, file)) {
            true => Err(Problem::Protected),
            false => Ok(()),
        }
    }

    /// Refuses to write `name` in `dir`, which is `replaces` now.
    pub(super) fn check_write(&self, dir: &OwnedFd, name: &OsStr, replaces: Option<&Stat>) -> Result<(), Problem> {
        if self.files.is_empty() && self.secrets.is_empty() && self.directories.is_empty() {
            return Ok(());
        }
        let here = fstat(dir)?;
        let has_name =
            |path: &Path| path.file_name() == Some(name) && path.parent().is_some_and(|parent| is_same(parent, &here));
        for path in self.files.iter().chain(&self.secrets) {
            // A link in its place must stay, too.
            let target = path.canonicalize();
            let is_file = replaces.is_some_and(|file| is_same(path, file));
            if is_file || has_name(path) || target.is_ok_and(|target| has_name(&target)) {
                return Err(Problem::Protected);
            }
        }
        self.check_directories(dir, &here)
    }

    /// Goes up from `dir`, and refuses if it meets a protected directory.
    fn check_directories(&self, dir: &OwnedFd, here: &Stat) -> Result<(), Problem> {
        let protected: Vec<FileId> =
            self.directories.iter().filter_map(|path| stat(path).ok()).map(|stat| FileId::of(&stat)).collect();
        if protected.is_empty() {
            return Ok(());
        }
        let (mut id, mut above) = (FileId::of(here), open_parent(dir));
        loop {
            if protected.contains(&id) {
                return Err(Problem::Protected);
            }
            // Where the way up is closed, a protected directory, which this process uses itself, can't be.
            let Ok(parent) = above else { return Ok(()) };
            let next = FileId::of(&fstat(&parent)?);
            if next == id {
                return Ok(());
            }
            (id, above) = (next, open_parent(&parent));
        }
    }
}

fn open_parent(dir: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(dir, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_same(path: &Path, file: &Stat) -> bool {
    rustix::fs::statat(CWD, path, rustix::fs::AtFlags::empty())
        .is_ok_and(|there| FileId::of(&there) == FileId::of(file))
}
