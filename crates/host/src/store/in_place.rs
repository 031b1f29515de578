//! Overwriting a file where it is. Nothing here keeps P7: what breaks off leaves a part.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, fcntl_setfl, fstat, fsync, ftruncate, openat, unlinkat};
use rustix::io::Errno;

use super::FileId;
use super::error::Problem;
use super::place::{Place, regular};
use super::reading::is_made_up;

/// A file that is being overwritten.
#[derive(Debug)]
pub(super) struct InPlace {
    dir: OwnedFd,
    /// The name of a file that was made for this, to be removed again unless it is kept.
    made: Option<OsString>,
}

impl InPlace {
    /// Opens the file, or makes it. Its content stays until it is written over.
    pub(super) fn open(place: Place, mode: Mode) -> Result<(File, InPlace), Problem> {
        let Place { dir, name, replaces, .. } = place;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Some(old) = replaces else {
            let file = openat(&dir, &name, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
            return Ok((File::from(file), InPlace { dir, made: Some(name) }));
        };
        let file = openat(&dir, &name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        regular(&stat)?;
        if FileId::of(&stat) != FileId::of(&old) {
            return Err(Problem::System(Errno::AGAIN));
        }
        fcntl_setfl(&file, OFlags::empty())?;
        Ok((File::from(file), InPlace { dir, made: None }))
    }

    /// Takes away what the old content had more.
    pub(super) fn cut(&self, file: &File, length: u64) -> Result<(), Errno> {
        match ftruncate(file, length) {
            // What the kernel makes up has no length of its own.
            Err(_) if is_made_up(file) => Ok(()),
            result => result,
        }
    }

    /// The file stays. Syncs the directory if it is new there.
    pub(super) fn keep(&mut self) -> Result<(), Errno> {
        match self.made.take() {
            Some(_) => fsync(&self.dir),
            None => Ok(()),
        }
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        if let Some(name) = &self.made
            && let Err(errno) = unlinkat(&self.dir, name, AtFlags::empty())
            && errno != Errno::NOENT
        {
            tracing::warn!(?name, %errno, "an incomplete file can't be removed");
        }
    }
}
