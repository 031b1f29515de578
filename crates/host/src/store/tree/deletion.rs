//! Removing what is no longer wanted, without following a link.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, statat, unlinkat};
use rustix::io::Errno;

use super::dirs::open;
use crate::store::error::Problem;
use crate::store::{FileId, error};

/// Asked before each entry is removed, with the directory that it is in: `Err` leaves it.
pub(in crate::store) type May<'a> = dyn FnMut(FileId, &OsStr, &Stat) -> Result<(), Problem> + 'a;

/// Removes an entry, and everything in it if it is a directory. Entries that may not be removed stay, and so do the directories
/// above them; the first problem is given. The depth is bounded by memory, not by the stack.
pub(in crate::store) fn remove_all(dir: &OwnedFd, name: &OsStr, may: &mut May<'_>) -> Result<(), Problem> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    may(FileId::of(&fstat(dir)?), name, &stat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(unlinkat(dir, name, AtFlags::empty())?);
    }
    let top = open(dir, name)?;
    if FileId::of(&fstat(&top)?) != FileId::of(&stat) {
        return Err(Problem::System(Errno::STALE));
    }
    let mut first: Option<Problem> = None;
    // Directories on the way down: each with the names that are left in it.
    let mut way = vec![(top, names(dir, name)?, name.to_owned())];
    while let Some((at, left, _)) = way.last_mut() {
        let Some(next) = left.pop() else {
            let (_, _, name) = way.pop().unwrap_or_else(|| unreachable!("there was one"));
            let above = way.last().map_or(dir, |(above, _, _)| above);
            match unlinkat(above, &name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                // What stayed in it was reported.
                Err(Errno::NOTEMPTY | Errno::EXIST) if first.is_some() => {}
                Err(errno) => note(&mut first, errno.into()),
            }
            continue;
        };
        let id = FileId::of(&fstat(&*at)?);
        let entered = step(at, &next, id, may);
        match entered {
            Ok(None) => {}
            Ok(Some((opened, names))) => way.push((opened, names, next)),
            Err(problem) => note(&mut first, problem),
        }
        if way.len() > 512 {
            return Err(Problem::System(Errno::NAMETOOLONG));
        }
    }
    first.map_or(Ok(()), Err)
}

/// Keeps the first problem. That something is spared is the least of them.
fn note(first: &mut Option<Problem>, problem: Problem) {
    if matches!(first, None | Some(Problem::Spared)) {
        *first = Some(problem);
    }
}

/// Removes one entry, or enters it.
fn step(
    at: &OwnedFd,
    name: &OsStr,
    id: FileId,
    may: &mut May<'_>,
) -> Result<Option<(OwnedFd, Vec<OsString>)>, Problem> {
    let stat = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    may(id, name, &stat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        unlinkat(at, name, AtFlags::empty())?;
        return Ok(None);
    }
    let opened = open(at, name)?;
    let names = list(&opened)?;
    Ok(Some((opened, names)))
}

fn names(dir: &OwnedFd, name: &OsStr) -> Result<Vec<OsString>, error::Problem> {
    Ok(list(&open(dir, name)?)?)
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
