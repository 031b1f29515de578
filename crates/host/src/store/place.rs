//! Where a file lands: an open directory and a name in it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, OFlags, Stat, accessat, fstat, readlinkat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::FileId;
use super::attributes::is_mount_point;
use super::error::Problem;
use super::reach::Reach;
use super::reading::is_made_up;

/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const LINKS: usize = 40;

/// A destination. From here on only `dir` and `name` are used, so that nothing that happens to the path's directories
/// and links afterwards can lead the file elsewhere.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory, open for reading so that it can be synced.
    pub(super) dir: OwnedFd,
    /// The directory's path, as the store's reach understands it.
    pub(super) parent: PathBuf,
    /// One component, neither empty nor `.` nor `..`.
    pub(super) name: OsString,
    /// The regular file that has this name now.
    pub(super) replaces: Option<Stat>,
}

/// What a name in an open directory is.
enum Leaf {
    Nothing,
    File(Stat),
    Link(PathBuf),
}

/// How often a search starts again because something was swapped under it.
const TRIES: usize = 16;

/// Finds the place of `path`. A symbolic link to a file leads to that file's place, as far as `reach` goes.
///
/// Errors: `EAGAIN` if what lies there changes all the time.
pub(super) fn find(reach: &Reach, path: &Path) -> Result<Place, Problem> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Problem::System(Errno::INVAL));
    }
    for _ in 0..TRIES {
        match try_find(reach, path) {
            Err(Problem::System(Errno::AGAIN)) => {}
            found => return found,
        }
    }
    Err(Problem::System(Errno::AGAIN))
}

/// The kernel is asked first where a link leads, since it knows rules that we don't (`fs.protected_symlinks`); the
/// place that is found by hand must be the same file.
fn try_find(reach: &Reach, path: &Path) -> Result<Place, Problem> {
    let mut path = path.to_owned();
    let mut linked: Option<Result<FileId, Problem>> = None;
    for _ in 0..LINKS {
        let (parent, name) = split(&path).ok_or(Problem::Directory)?;
        let dir = reach.open(parent, OFlags::DIRECTORY)?;
        let replaces = match leaf(&dir, name)? {
            // What /proc shows as a link leads to what is open, not to the name that it shows: /dev/stdout ends here.
            Leaf::Link(_) if is_made_up(&dir) => return Err(Problem::OpenFile),
            Leaf::Link(target) => {
                if linked.is_none() {
                    linked = Some(match end_of_link(reach, &path) {
                        // A link of /proc on the way says more.
                        Err(problem @ Problem::Special(_)) => Err(problem),
                        found => Ok(found?),
                    });
                }
                path = parent.join(target);
                continue;
            }
            Leaf::File(stat) => Some(stat),
            Leaf::Nothing => None,
        };
        if let Some(linked) = linked
            && Some(linked?) != replaces.as_ref().map(FileId::of)
        {
            return Err(Problem::System(Errno::AGAIN)); // the link was changed meanwhile
        }
        return Ok(Place { parent: parent.to_owned(), name: name.to_owned(), dir, replaces });
    }
    Err(Problem::System(Errno::LOOP))
}

/// The directory and the last component, or nothing if the path can only be a directory's.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let cut = bytes.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = bytes.split_at(cut);
    let as_path = |bytes| Path::new(OsStr::from_bytes(bytes));
    is_file_name(name).then(|| (as_path(parent), OsStr::from_bytes(name)))
}

/// Whether these bytes can be a file's name in a directory.
pub(super) fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

/// Whether a path can only be a directory's: empty, with a slash at its end, or with `.` or `..` as its last part.
pub(super) fn demands_directory(path: &Path) -> bool {
    split(path).is_none()
}

fn leaf(dir: &OwnedFd, name: &OsStr) -> Result<Leaf, Problem> {
    let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Leaf::Nothing),
        result => result?,
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return match readlinkat(dir, name, Vec::new()) {
            Ok(target) => Ok(Leaf::Link(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::INVAL | Errno::NOENT) => Err(Problem::System(Errno::AGAIN)), // it is no link any more
            Err(errno) => Err(errno.into()),
        };
    }
    regular(&stat)?;
    Ok(Leaf::File(stat))
}

fn end_of_link(reach: &Reach, path: &Path) -> Result<FileId, Problem> {
    match reach.stat(path) {
        Err(Problem::System(Errno::NOENT)) => Err(Problem::DanglingLink),
        Err(problem) => Err(problem),
        Ok(stat) => regular(&stat).map(|()| FileId::of(&stat)),
    }
}

/// Refuses everything but a regular file.
pub(super) fn regular(stat: &Stat) -> Result<(), Problem> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Problem::Directory),
        FileType::Fifo => Err(Problem::Special("a FIFO")),
        FileType::Socket => Err(Problem::Special("a socket")),
        FileType::CharacterDevice | FileType::BlockDevice => Err(Problem::Special("a device")),
        _ => Err(Problem::Special("of an unknown kind")),
    }
}

impl Place {
    /// Refuses what a rename can't replace, or must not.
    ///
    /// A rename would replace a file that its user may not write, as long as the directory is writable. `scp` and `cp` don't,
    /// so neither do we. In a sticky directory (`/tmp`) the rename would fail, but only after everything was sent.
    pub(super) fn may_replace(&self) -> Result<(), Problem> {
        let Some(stat) = &self.replaces else { return Ok(()) };
        if is_mount_point(&self.dir, &self.name) {
            return Err(Problem::MountPoint);
        }
        if is_made_up(&self.dir) {
            return Err(Problem::MadeUp);
        }
        match accessat(&self.dir, &self.name, Access::WRITE_OK, AtFlags::EACCESS) {
            Ok(()) | Err(Errno::NOENT) => {} // ENOENT: it was deleted meanwhile
            Err(errno) => return Err(errno.into()),
        }
        let directory = fstat(&self.dir)?;
        let (sticky, user) = (directory.st_mode & 0o1000 != 0, geteuid());
        if sticky && !user.is_root() && ![directory.st_uid, stat.st_uid].contains(&user.as_raw()) {
            return Err(Problem::System(Errno::PERM));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_at_its_last_slash() {
        let parts = |path| split(Path::new(path)).map(|(parent, name)| (parent.as_os_str(), name));
        assert_eq!(parts("a"), Some((OsStr::new(""), OsStr::new("a"))));
        assert_eq!(parts("/a"), Some((OsStr::new("/"), OsStr::new("a"))));
        assert_eq!(parts("a/../b"), Some((OsStr::new("a/../"), OsStr::new("b"))));
    }

    #[test]
    fn directories_are_told_by_their_spelling() {
        for path in ["", "/", "a/", ".", "..", "a/.", "a/..", "a//"] {
            assert!(demands_directory(Path::new(path)), "{path:?}");
        }
        assert!(!demands_directory(Path::new("a/...")));
    }
}
