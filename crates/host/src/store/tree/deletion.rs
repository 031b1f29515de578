//! Removing what is no longer wanted, without following a link.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, statat, unlinkat};
use rustix::io::Errno;

use super::dirs::open;
use crate::store::FileId;
use crate::store::error::Problem;

/// As many directories of the way down stay open. Those above them are opened again through `..`.
const OPEN: usize = 32;

/// An entry that is about to be removed.
pub(in crate::store) struct Doomed<'a> {
    /// The directory that it is in.
    pub(in crate::store) dir: FileId,
    /// Its name there.
    pub(in crate::store) name: &'a OsStr,
    /// What it is.
    pub(in crate::store) stat: &'a Stat,
    /// The path of its directory, with a slash at its end unless it is empty.
    above: &'a [u8],
}

impl Doomed<'_> {
    /// What has its name.
    pub(in crate::store) fn id(&self) -> FileId {
        FileId::of(self.stat)
    }

    /// Its path, which begins with the name that [`remove_all`] was called for.
    pub(super) fn path(&self) -> OsString {
        OsString::from_vec([self.above, self.name.as_bytes()].concat())
    }
}

/// Asked before each entry is removed: `Err` leaves it.
pub(in crate::store) type May<'a> = dyn FnMut(&Doomed<'_>) -> Result<(), Problem> + 'a;

/// A directory on the way down.
struct Level {
    name: OsString,
    id: FileId,
    /// Closed where the way down is long.
    file: Option<OwnedFd>,
    /// The names that are left in it.
    left: Vec<OsString>,
}

/// Removes an entry, and everything in it if it is a directory. Entries that may not be removed stay, and so do the directories
/// above them; the first problem is given. Neither the stack nor the number of open files bounds the depth.
pub(in crate::store) fn remove_all(dir: &OwnedFd, name: &OsStr, may: &mut May<'_>) -> Result<(), Problem> {
    let mut removal = Removal { dir, top: FileId::of(&fstat(dir)?), way: Vec::new(), path: Vec::new(), first: None };
    if let Some(level) = removal.step(name, may)? {
        removal.enter(level);
    }
    while let Some(level) = removal.way.last_mut() {
        match level.left.pop() {
            None => removal.leave()?,
            Some(next) => match removal.step(&next, may) {
                Ok(None) => {}
                Ok(Some(level)) => removal.enter(level),
                Err(problem) => removal.note(problem),
            },
        }
    }
    removal.first.map_or(Ok(()), Err)
}

struct Removal<'d> {
    dir: &'d OwnedFd,
    top: FileId,
    way: Vec<Level>,
    /// The names of the way down, with a slash behind each.
    path: Vec<u8>,
    /// The first problem.
    first: Option<Problem>,
}

impl Removal<'_> {
    /// The directory that is being emptied.
    fn at(&self) -> &OwnedFd {
        self.way.last().and_then(|level| level.file.as_ref()).unwrap_or(self.dir)
    }

    /// Removes one entry of it, or opens it if it is a directory.
    fn step(&self, name: &OsStr, may: &mut May<'_>) -> Result<Option<Level>, Problem> {
        let at = self.at();
        let stat = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) if !self.way.is_empty() => return Ok(None),
            stat => stat?,
        };
        let dir = self.way.last().map_or(self.top, |level| level.id);
        may(&Doomed { dir, name, stat: &stat, above: &self.path })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(at, name, AtFlags::empty())?;
            return Ok(None);
        }
        let file = open(at, name)?;
        let id = FileId::of(&fstat(&file)?);
        if id != FileId::of(&stat) {
            return Err(Errno::STALE.into());
        }
        let left = list(&file)?;
        Ok(Some(Level { name: name.to_owned(), id, file: Some(file), left }))
    }

    fn enter(&mut self, level: Level) {
        self.path.extend_from_slice(level.name.as_bytes());
        self.path.push(b'/');
        self.way.push(level);
        if let Some(far) = self.way.len().checked_sub(OPEN + 1) {
            self.way[far].file = None;
        }
    }

    /// Removes the directory that is empty now, and goes back to the one above.
    fn leave(&mut self) -> Result<(), Problem> {
        let Some(level) = self.way.pop() else { return Ok(()) };
        self.path.truncate(self.path.len() - level.name.len() - 1);
        if let (Some(above), Some(file)) = (self.way.last_mut(), &level.file)
            && above.file.is_none()
        {
            let opened = open(file, OsStr::new(".."))?;
            // It was moved meanwhile: what is above it now is not ours to touch.
            if FileId::of(&fstat(&opened)?) != above.id {
                return Err(Errno::STALE.into());
            }
            above.file = Some(opened);
        }
        match unlinkat(self.at(), &level.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // What stayed in it was reported.
            Err(Errno::NOTEMPTY | Errno::EXIST) if self.first.is_some() => {}
            Err(errno) => self.note(errno.into()),
        }
        Ok(())
    }

    /// Keeps the first problem. That something is spared is the least of them.
    fn note(&mut self, problem: Problem) {
        if matches!(self.first, None | Some(Problem::Spared)) {
            self.first = Some(problem);
        }
    }
}

/// The names in a directory.
pub(in crate::store) fn list(dir: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&*name, b"." | b"..") {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}
