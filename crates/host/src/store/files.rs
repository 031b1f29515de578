//! Looking at files, and changing names: `ls`, `stat`, `mkdir`, `mv`, `rm`, `hash`. The calls block.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, mkdirat, readlinkat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;
use unglue_proto::Meter;
use unglue_proto::message::files::{EntryKind, FileEntry};
use unglue_proto::message::{Tally, Time};
use unglue_proto::tree::is_name;

use super::error::{Op, Problem, StoreError};
use super::tree::{Guard, list, remove_all, sync_directory};
use super::{FileId, Store};

/// Bytes of a file that are digested at once.
const PIECE: usize = 256 * 1024;

/// A directory's entries, in the order of their names.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    dir: OwnedFd,
    names: std::vec::IntoIter<OsString>,
    owners: Owners,
}

impl Entries {
    /// At most `count` more. Those that were removed meanwhile are left out.
    ///
    /// # Errors
    /// One can't be looked at.
    pub fn next(&mut self, count: usize) -> Result<Vec<FileEntry>, StoreError> {
        let mut entries = Vec::new();
        for name in self.names.by_ref().take(count) {
            match entry(&self.dir, &name, &name, &mut self.owners) {
                Ok(entry) => entries.push(entry),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(StoreError::new(Op::Open, &self.path.join(name), errno)),
            }
        }
        Ok(entries)
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.names.as_slice().is_empty()
    }
}

/// A name in an open directory.
struct Named {
    dir: OwnedFd,
    name: OsString,
    stat: Option<Stat>,
}

impl Store {
    /// A directory's entries; of anything else, the one entry. A link to a directory is followed.
    ///
    /// # Errors
    /// It isn't there, or can't be read.
    pub fn entries(&self, path: &Path) -> Result<Result<Entries, FileEntry>, StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Open, path, problem);
        let dir = match self.reach.open(path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(Problem::System(Errno::NOTDIR)) => return self.look_at(path).map(Err),
            Err(problem) => return Err(failed(problem)),
        };
        let mut names = list(&dir).map_err(|errno| failed(errno.into()))?;
        names.sort_unstable();
        Ok(Ok(Entries { path: path.to_owned(), dir, names: names.into_iter(), owners: Owners::default() }))
    }

    /// One entry; a link is not followed.
    ///
    /// # Errors
    /// It isn't there.
    pub fn look_at(&self, path: &Path) -> Result<FileEntry, StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Open, path, problem);
        let mut owners = Owners::default();
        let found = match split(path) {
            Some((parent, name)) => {
                let dir = self.reach.open(parent, OFlags::DIRECTORY).map_err(failed)?;
                entry(&dir, name, path.as_os_str(), &mut owners)
            }
            None => {
                let dir = self.reach.open(path, OFlags::DIRECTORY).map_err(failed)?;
                fstat(&dir).map(|stat| described(&stat, path.as_os_str(), None, &mut owners))
            }
        };
        found.map_err(|errno| failed(errno.into()))
    }

    /// Makes a directory, and with `parents` those above it. Gives how many were made.
    ///
    /// # Errors
    /// It can't be made, or (without `parents`) it is there.
    pub fn make_directory(&self, path: &Path, parents: bool) -> Result<u64, StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Make, path, problem);
        if parents && self.reach.open(path, OFlags::DIRECTORY | OFlags::PATH).is_ok() {
            return Ok(0);
        }
        let (parent, name) = split_directory(path).ok_or_else(|| failed(Errno::EXIST.into()))?;
        let mut made = 0;
        if parents
            && !parent.as_os_str().is_empty()
            && matches!(self.reach.open(parent, OFlags::DIRECTORY | OFlags::PATH), Err(Problem::System(Errno::NOENT)))
        {
            made += self.make_directory(parent, true)?;
        }
        let named = self.named(parent, name).map_err(failed)?;
        mkdirat(&named.dir, name, Mode::from_raw_mode(0o777)).map_err(|errno| failed(errno.into()))?;
        sync_directory(&named.dir).map_err(|errno| failed(Problem::NotDurable(errno)))?;
        Ok(made + 1)
    }

    /// Gives a file or a directory another name: in `to` if that is a directory, else `to` itself, in place of a file that has it.
    ///
    /// # Errors
    /// Both are as they were.
    pub fn rename(&self, path: &Path, to: &Path) -> Result<(), StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Move, path, problem);
        let (parent, name) = split_directory(path).ok_or_else(|| failed(Problem::UnusableName))?;
        let from = self.named(parent, name).map_err(failed)?;
        let stat = from.stat.ok_or_else(|| failed(Errno::NOENT.into()))?;
        let at_target = |problem: Problem| StoreError::new(Op::Move, to, problem);
        let target = match self.reach.open(to, OFlags::DIRECTORY) {
            Ok(_) => self.named(to, name),
            Err(Problem::System(Errno::NOENT | Errno::NOTDIR)) => match split_directory(to) {
                Some((parent, name)) => self.named(parent, name),
                None => Err(Errno::NOENT.into()),
            },
            Err(problem) => Err(problem),
        };
        let target = target.map_err(at_target)?;
        match target.stat.as_ref().map(|there| (FileId::of(there) == FileId::of(&stat), is_directory(there))) {
            Some((true, _)) => return Err(at_target(Problem::SameFile)),
            Some((_, true)) => return Err(at_target(Problem::DirectoryInTheWay)),
            _ => {}
        }
        let renamed = match target.stat {
            Some(_) => renameat(&from.dir, &from.name, &target.dir, &target.name),
            // Nothing that appears meanwhile is replaced; not every file system can promise that.
            None => match renameat_with(&from.dir, &from.name, &target.dir, &target.name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => renameat(&from.dir, &from.name, &target.dir, &target.name),
                renamed => renamed,
            },
        };
        renamed.map_err(|errno| at_target(errno.into()))?;
        for dir in [&target.dir, &from.dir] {
            sync_directory(dir).map_err(|errno| at_target(Problem::NotDurable(errno)))?;
        }
        Ok(())
    }

    /// Removes a file; with `recursive`, a directory with everything in it. Gives how many entries were removed.
    ///
    /// # Errors
    /// Something is left.
    pub fn remove(&self, path: &Path, recursive: bool) -> Result<u64, StoreError> {
        let failed = |problem: Problem| StoreError::new(Op::Delete, path, problem);
        let (parent, name) = split_directory(path).ok_or_else(|| failed(Problem::UnusableName))?;
        let named = self.named(parent, name).map_err(failed)?;
        let stat = named.stat.ok_or_else(|| failed(Errno::NOENT.into()))?;
        let mut removed = 0;
        let done = if is_directory(&stat) {
            if !recursive {
                return Err(failed(Problem::NotRecursive));
            }
            let guard = Guard::new(&self.protected);
            remove_all(&named.dir, name, &mut |doomed| {
                guard.check_doomed(doomed)?;
                removed += 1;
                Ok(())
            })
        } else if path.as_os_str().as_bytes().ends_with(b"/") {
            Err(Errno::NOTDIR.into())
        } else {
            removed = 1;
            unlinkat(&named.dir, name, AtFlags::empty()).map_err(Problem::from)
        };
        done.map_err(failed)?;
        sync_directory(&named.dir).map_err(|errno| failed(Problem::NotDurable(errno)))?;
        Ok(removed)
    }

    /// The number of bytes of a file, and their digest.
    ///
    /// # Errors
    /// It can't be read, or it changed meanwhile.
    pub fn digest(&self, path: &Path) -> Result<Tally, StoreError> {
        let mut reading = self.read(path)?;
        let mut meter = Meter::default();
        let mut buffer = vec![0; PIECE];
        loop {
            match reading.read(&mut buffer)? {
                0 => break,
                length => meter.pass(&buffer[..length]),
            }
        }
        reading.finish()?;
        Ok(meter.tally())
    }

    /// A name that may be changed: it doesn't belong to the server.
    fn named(&self, parent: &Path, name: &OsStr) -> Result<Named, Problem> {
        let dir = self.reach.open(parent, OFlags::DIRECTORY)?;
        let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        self.protected.check_write(&dir, name, stat.as_ref())?;
        Guard::new(&self.protected).check(FileId::of(&fstat(&dir)?), name, stat.as_ref().map(FileId::of))?;
        Ok(Named { dir, name: name.to_owned(), stat })
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The directory and the last component; nothing for a path that can only be a directory's.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.ends_with(b"/") {
        true => None,
        false => split_directory(path),
    }
}

/// The same, slashes at the end left out.
fn split_directory(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    let start = bytes[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let (parent, name) = (&bytes[..start], &bytes[start..end]);
    is_name(name).then(|| (Path::new(OsStr::from_bytes(parent)), OsStr::from_bytes(name)))
}

fn entry(dir: &OwnedFd, name: &OsStr, shown: &OsStr, owners: &mut Owners) -> Result<FileEntry, Errno> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let target = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Some(readlinkat(dir, name, Vec::new())?.into_bytes()),
        _ => None,
    };
    Ok(described(&stat, shown, target, owners))
}

// On other machines than x86-64 a count of links has 32 bits.
#[allow(clippy::unnecessary_cast)]
fn described(stat: &Stat, name: &OsStr, target: Option<Vec<u8>>, owners: &mut Owners) -> FileEntry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Link,
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket => EntryKind::Socket,
        _ => EntryKind::Device,
    };
    FileEntry {
        name: name.into(),
        kind,
        mode: stat.st_mode & 0o7777,
        size: stat.st_size as u64,
        modified: Time { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
        uid: stat.st_uid,
        gid: stat.st_gid,
        user: owners.users().get(&stat.st_uid).cloned(),
        group: owners.groups().get(&stat.st_gid).cloned(),
        links: stat.st_nlink,
        target: target.map(Into::into),
    }
}

/// Names of users and groups, as the machine's own files have them.
#[derive(Debug, Default)]
struct Owners {
    users: Option<HashMap<u32, String>>,
    groups: Option<HashMap<u32, String>>,
}

impl Owners {
    fn users(&mut self) -> &HashMap<u32, String> {
        self.users.get_or_insert_with(|| numbered("/etc/passwd"))
    }

    fn groups(&mut self) -> &HashMap<u32, String> {
        self.groups.get_or_insert_with(|| numbered("/etc/group"))
    }
}

/// The lines `name:password:number:…` of passwd(5) and group(5). The first line of a number counts.
fn numbered(file: &str) -> HashMap<u32, String> {
    let text = std::fs::read(file).unwrap_or_default();
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(number)) = (fields.next(), fields.nth(1).and_then(|number| number.parse().ok())) {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}
