//! What a replaced file's successor keeps: owner, mode, access control list, extended attributes.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fchmod, fchown, fremovexattr,
    fsetxattr, fstat, futimens, getxattr, listxattr, openat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use unglue_proto::message::Time;

use super::error::Problem;
use super::place::regular;

/// The access control list (acl(5)), as the kernel names it.
const ACL: &CStr = c"system.posix_acl_access";

/// Attributes that belong to the old content: the kernel takes them away from a file that is written to, or they sign it.
const OF_THE_CONTENT: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];

/// The longest value and the longest list of names (xattr(7)).
const XATTR_MAX: usize = 64 * 1024;

/// The file that has a name now.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) stat: Stat,
    /// Open with `O_PATH`, so that its attributes are those of this very file.
    file: OwnedFd,
}

impl Old {
    /// The regular file under `name`, or nothing.
    pub(super) fn find(dir: &OwnedFd, name: &OsStr) -> Result<Option<Old>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        let stat = fstat(&file)?;
        Ok(regular(&stat).is_ok().then_some(Old { stat, file }))
    }

    /// Gives `new` this file's owner, group and extended attributes, and its mode and access control list unless `mode` says
    /// what the mode becomes.
    pub(super) fn pass_on(&self, new: &File, mode: Option<Mode>) -> Result<(), Errno> {
        let group_kept = keep_owner(new, &self.stat)?;
        self.keep_xattrs(new)?;
        match (mode, self.xattr(ACL)?) {
            (None, Some(list)) => fsetxattr(new, ACL, &list, XattrFlags::empty())?,
            _ => remove_acl(new)?,
        }
        fchmod(new, mode.unwrap_or_else(|| kept_mode(&self.stat, group_kept)))
    }

    fn keep_xattrs(&self, new: &File) -> Result<(), Errno> {
        let mut names = vec![0; XATTR_MAX];
        let length = match listxattr(self.by_descriptor().as_c_str(), &mut names[..]) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            length => length?,
        };
        for name in names[..length].split_inclusive(|&byte| byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if OF_THE_CONTENT.contains(&name.to_bytes()) || name.to_bytes().starts_with(b"system.posix_acl_") {
                continue;
            }
            let kept = self.xattr(name).and_then(|value| match value {
                Some(value) => fsetxattr(new, name, &value, XattrFlags::empty()),
                None => Ok(()), // it was removed meanwhile
            });
            match kept {
                // Labels of a security module and the like are set by the system, where they are not ours to give.
                Err(errno) if !name.to_bytes().starts_with(b"user.") => {
                    tracing::debug!(?name, %errno, "an attribute of a replaced file can't be given to the new one");
                }
                kept => kept?,
            }
        }
        Ok(())
    }

    fn xattr(&self, name: &CStr) -> Result<Option<Vec<u8>>, Errno> {
        let mut value = vec![0; XATTR_MAX];
        match getxattr(self.by_descriptor().as_c_str(), name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A path that leads to this file whatever became of its name: fgetxattr(2) refuses a descriptor with `O_PATH`.
    fn by_descriptor(&self) -> CString {
        CString::new(format!("/proc/self/fd/{}", self.file.as_raw_fd())).unwrap_or_default()
    }
}

/// Gives `new` the mode of a file that is gone by now, and its owner.
pub(super) fn pass_on_stat(old: &Stat, new: &File, mode: Option<Mode>) -> Result<(), Errno> {
    let group_kept = keep_owner(new, old)?;
    remove_acl(new)?;
    fchmod(new, mode.unwrap_or_else(|| kept_mode(old, group_kept)))
}

/// Gives the file exactly these permission bits; a list that its directory gave it would grant others more.
pub(super) fn set_mode(file: &File, mode: Mode) -> Result<(), Errno> {
    remove_acl(file)?;
    fchmod(file, mode)
}

/// Sets the time of the last modification.
///
/// # Errors
/// [`Problem::TimeNotKept`] if the file system can't store it: the kernel would take the nearest one without a word.
pub(super) fn set_modified(file: &File, time: Time) -> Result<(), Problem> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) },
    };
    futimens(file, &times)?;
    let stored = fstat(file)?.st_mtime;
    // Some file systems store even seconds only.
    match stored.abs_diff(time.seconds) {
        0..=2 => Ok(()),
        _ => Err(Problem::TimeNotKept { wanted: time.seconds, stored }),
    }
}

/// Says whether the group was kept. The rest is kept as far as the system lets us: a server run by root that replaces a
/// user's file must not take it away from them.
fn keep_owner(file: &File, old: &Stat) -> Result<bool, Errno> {
    let new = fstat(file)?;
    let allowed = |result| match result {
        Ok(()) => Ok(true),
        // Not ours to give; EINVAL: an owner that this user namespace doesn't know.
        Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    };
    let kept = new.st_gid == old.st_gid || allowed(fchown(file, None, Some(Gid::from_raw(old.st_gid))))?;
    if new.st_uid != old.st_uid {
        allowed(fchown(file, Some(Uid::from_raw(old.st_uid)), None))?;
    }
    Ok(kept)
}

/// The old mode. Set-id bits stay as they do when a file is overwritten: only where root writes. A group that isn't the old
/// one gets no more than everybody.
fn kept_mode(old: &Stat, group_kept: bool) -> Mode {
    let bits = if geteuid().is_root() { 0o7777 } else { 0o1777 };
    let mode = old.st_mode & bits;
    let mode = match group_kept {
        true => mode,
        false => mode & !0o2070 | mode & (mode & 0o007) << 3,
    };
    Mode::from_raw_mode(mode)
}

fn remove_acl(file: &File) -> Result<(), Errno> {
    match fremovexattr(file, ACL) {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => result,
    }
}

/// Whether a name is where something is mounted. Kernels before 5.8 don't report it.
pub(super) fn is_mount_point(dir: &OwnedFd, name: &OsStr) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let attributes = rustix::fs::statx(dir, name, flags, rustix::fs::StatxFlags::empty());
    attributes.is_ok_and(|statx| statx.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_the_old_one_gets_no_more_than_everybody() {
        let mut old = fstat(std::io::stdin()).expect("a descriptor");
        old.st_mode = 0o100_664;
        assert_eq!(kept_mode(&old, true), Mode::from_raw_mode(0o664));
        assert_eq!(kept_mode(&old, false), Mode::from_raw_mode(0o644));
        old.st_mode = 0o100_660;
        assert_eq!(kept_mode(&old, false), Mode::from_raw_mode(0o600));
        old.st_mode = 0o100_646;
        assert_eq!(kept_mode(&old, false), Mode::from_raw_mode(0o646));
    }
}
