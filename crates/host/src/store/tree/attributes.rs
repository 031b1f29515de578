//! Attributes of a tree's entries: read at the source, given at the destination.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr,
    flistxattr, fremovexattr, fsetxattr, fstat, futimens, lgetxattr, llistxattr, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use unglue_proto::message::Time;
use unglue_proto::message::tree::TreeOptions;
use unglue_proto::tree::{Attribute, Entry};

use super::listxattrat::listxattrat;
use crate::store::error::Problem;

/// The longest value and the longest list of names (xattr(7)).
const XATTR_MAX: usize = 64 * 1024;
/// Room for the names that most files have.
const NAMES: usize = 1024;

/// Access control lists, as the kernel names them.
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// The time of the last modification.
pub(super) fn modified(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// Whether an attribute travels.
fn travels(name: &[u8], options: &TreeOptions) -> bool {
    match name {
        _ if ACLS.contains(&name) => options.acls,
        _ if name.starts_with(b"system.") => false,
        // What signs a content on one machine is no signature on another.
        b"security.ima" | b"security.evm" | b"security.selinux" => false,
        _ => options.attributes,
    }
}

/// The attributes of `name` in a directory that travel, links not followed.
pub(super) fn read(dir: &OwnedFd, name: &OsStr, options: &TreeOptions) -> Result<Vec<Attribute>, Errno> {
    if !options.attributes && !options.acls {
        return Ok(Vec::new());
    }
    let mut names = [0; NAMES];
    let mut long;
    let names = match list(dir, name, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Ok(length) => &names[..length],
        Err(Errno::RANGE) => {
            long = vec![0; XATTR_MAX];
            let length = list(dir, name, &mut long)?;
            &long[..length]
        }
        Err(errno) => return Err(errno),
    };
    let path = through_proc(dir, name)?;
    let mut found = Vec::new();
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(c_name) = CStr::from_bytes_with_nul(name) else { continue };
        let name = c_name.to_bytes();
        if !travels(name, options) {
            continue;
        }
        let mut value = vec![0; XATTR_MAX];
        match lgetxattr(&*path, c_name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                found.push((name.to_vec(), value));
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(found)
}

/// The names of the attributes of `name` in a directory.
fn list(dir: &OwnedFd, name: &OsStr, names: &mut [u8]) -> Result<usize, Errno> {
    let c_name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    match listxattrat(dir, &c_name, names) {
        Some(listed) => listed,
        None => llistxattr(&*through_proc(dir, name)?, names),
    }
}

/// A path that leads to a name in an open directory.
fn through_proc(dir: &OwnedFd, name: &OsStr) -> Result<CString, Errno> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    CString::new(path).map_err(|_| Errno::INVAL)
}

/// Whether an entry at the destination has all attributes that it is to have.
pub(super) fn are_same(entry: &Entry, stat: &Stat, dir: &OwnedFd, name: &OsStr, options: &TreeOptions) -> bool {
    let mode = !options.modes || stat.st_mode & 0o7777 == entry.mode;
    let owner =
        entry.owner.is_none_or(|(user, group)| group == stat.st_gid && (user == stat.st_uid || !geteuid().is_root()));
    mode && owner
        && (!(options.attributes || options.acls)
            || read(dir, name, options).is_ok_and(|there| there == entry.attributes))
}

/// What an open file or directory has before it is given anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    owner: (u32, u32),
    mode: u32,
    /// It has no attribute and no list.
    bare: bool,
}

impl Birth {
    pub(super) fn of(file: impl AsFd, options: &TreeOptions) -> Result<Birth, Errno> {
        let stat = fstat(&file)?;
        let looks = options.attributes || options.acls || options.modes;
        let bare =
            looks && matches!(flistxattr(&file, &mut [0u8; 0][..]), Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS));
        Ok(Birth { owner: (stat.st_uid, stat.st_gid), mode: stat.st_mode & 0o7777, bare })
    }
}

/// Gives an open file or directory the entry's owner, attributes and mode. The times come later: whatever is written moves them.
/// What it has already is left alone: to look costs less than to write the same again.
pub(super) fn give(file: impl AsFd, entry: &Entry, options: &TreeOptions) -> Result<(), Problem> {
    let birth = Birth::of(&file, options)?;
    give_from(birth, file, entry, options)
}

/// The same where it is known what the file has.
pub(super) fn give_from(birth: Birth, file: impl AsFd, entry: &Entry, options: &TreeOptions) -> Result<(), Problem> {
    let file = file.as_fd();
    let mut touched = false;
    if let Some((user, group)) = entry.owner
        && (user, group) != birth.owner
    {
        give_owner(|user, group| fchown(file, user, group), user, group)?;
        touched = true;
    }
    if (options.attributes || options.acls) && !(birth.bare && entry.attributes.is_empty()) {
        touched |= give_attributes(file, entry, options)?;
    }
    if options.modes {
        let has_list = entry.attributes.iter().any(|(name, _)| name == ACLS[0]);
        // A list that the directory gave it would let others in; where there is one, the mode's group bits are its mask.
        if !has_list && !options.acls && !birth.bare {
            ignore_missing(fremovexattr(file, c"system.posix_acl_access"))?;
        }
        if touched || birth.mode != entry.mode {
            fchmod(file, Mode::from_raw_mode(entry.mode))?;
        }
    }
    Ok(())
}

fn give_owner(
    chown: impl Fn(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    user: u32,
    group: u32,
) -> Result<(), Errno> {
    if geteuid().is_root() {
        return chown(Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
    }
    match chown(None, Some(Gid::from_raw(group))) {
        // A group that this user isn't in.
        Err(Errno::PERM) => Ok(()),
        result => result,
    }
}

/// Says whether anything was written.
fn give_attributes(file: impl AsFd, entry: &Entry, options: &TreeOptions) -> Result<bool, Errno> {
    let mut names = [0; NAMES];
    let mut long;
    let names = match flistxattr(&file, &mut names[..]) {
        Ok(length) => &names[..length],
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => &[],
        Err(Errno::RANGE) => {
            long = vec![0; XATTR_MAX];
            let length = flistxattr(&file, &mut long[..])?;
            &long[..length]
        }
        Err(errno) => return Err(errno),
    };
    let mut touched = false;
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let wanted = entry.attributes.iter().any(|(wanted, _)| wanted == name.to_bytes());
        if travels(name.to_bytes(), options) && !wanted {
            ignore_missing(fremovexattr(&file, name))?;
            touched = true;
        }
    }
    for (name, value) in entry.attributes.iter().filter(|(name, _)| travels(name, options)) {
        let name = CString::new(name.clone()).map_err(|_| Errno::INVAL)?;
        fsetxattr(&file, &*name, value, XattrFlags::empty())?;
        touched = true;
    }
    Ok(touched)
}

/// Gives a new directory the owner, the attributes and the access control lists of another one. Others can't enter it yet: its
/// permission bits come last.
pub(super) fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let (old, new) = (fstat(from)?, fstat(to)?);
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
        match give_owner(|user, group| fchown(to, user, group), old.st_uid, old.st_gid) {
            // Not ours to give; EINVAL: an owner that this user namespace doesn't know.
            Err(Errno::PERM | Errno::INVAL) => {}
            given => given?,
        }
    }
    for name in all_names(to)? {
        match fremovexattr(to, &*name) {
            Err(errno) if ACLS.contains(&name.to_bytes()) => ignore_missing(Err(errno))?,
            _ => {}
        }
    }
    let mut value = vec![0; XATTR_MAX];
    for name in all_names(from)? {
        let length = match fgetxattr(from, &*name, &mut value[..]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            length => length?,
        };
        match fsetxattr(to, &*name, &value[..length], XattrFlags::empty()) {
            // Labels of a security module and the like are set by the system, where they are not ours to give.
            Err(_) if !name.to_bytes().starts_with(b"user.") && !ACLS.contains(&name.to_bytes()) => {}
            set => set?,
        }
    }
    fchmod(to, Mode::from_raw_mode(old.st_mode & 0o7000 | 0o700))
}

/// The names of all attributes of an open directory.
fn all_names(file: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = vec![0; XATTR_MAX];
    let length = match flistxattr(file, &mut names[..]) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => 0,
        length => length?,
    };
    let names = names[..length].split_inclusive(|&byte| byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok().map(CStr::to_owned)).collect())
}

fn ignore_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => result,
    }
}

/// Sets the time of the last modification of an open file or directory.
///
/// # Errors
/// [`Problem::TimeNotKept`] if the file system can't store it.
pub(super) fn set_time(file: impl AsFd, time: Time) -> Result<(), Problem> {
    futimens(&file, &timestamps(time))?;
    // The kernel takes the nearest time that the file system has, without a word. Times of this century fit everywhere.
    if (0..=0x7fff_ffff).contains(&time.seconds) {
        return Ok(());
    }
    let stored = fstat(&file)?.st_mtime;
    match stored.abs_diff(time.seconds) {
        0..=2 => Ok(()),
        _ => Err(Problem::TimeNotKept { wanted: time.seconds, stored }),
    }
}

/// Gives a symbolic link the entry's owner and time.
pub(super) fn give_link(dir: &OwnedFd, name: &OsStr, entry: &Entry, options: &TreeOptions) -> Result<(), Errno> {
    if let Some((user, group)) = entry.owner {
        give_owner(|user, group| chownat(dir, name, user, group, AtFlags::SYMLINK_NOFOLLOW), user, group)?;
    }
    if options.modes && options.times {
        utimensat(dir, name, &timestamps(entry.modified), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn timestamps(time: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) },
    }
}
