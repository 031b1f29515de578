//! Who else could have written a file: sshd's StrictModes (sshd_config(5)).

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The bits that let group or others write.
const WRITABLE: u32 = 0o022;

/// The bit that keeps users of a shared directory (such as `/tmp`) from renaming and removing each other's entries.
const STICKY: u32 = 0o1000;

/// Why a file is not trusted. It names the file or directory that is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsafe {
    /// Somebody else owns it.
    #[error("{} belongs to uid {owner} instead of uid {uid} or root. Give it back: chown {uid} {}", .path.display(), .path.display())]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        uid: u32,
    },
    /// Group or others may write to it.
    #[error("{} can be written by others (mode {mode:04o}). Run: chmod go-w {}", .path.display(), .path.display())]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It was exchanged while it was looked at.
    #[error("{} was replaced while it was being checked. Try again; if this goes on, somebody is at work there", .path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It can't be looked at.
    #[error("{} can't be checked: {source}. Let the server's user reach it", .path.display())]
    Unreachable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Checks the open `file` and, on its real path (no symbolic links), each directory above it up to `home`, or up to the
/// root where it is not below `home`: each must belong to `uid` or root, and neither group nor others may write to it.
///
/// One thing is allowed that sshd refuses: directories above it may be writable by all if their sticky bit is set, as
/// that of `/tmp` is, since what belongs to `uid` or root in them can't be exchanged by anybody else.
pub(super) fn check(file: &File, path: &Path, home: &Path, uid: u32) -> Result<(), Unsafe> {
    let unreachable = |path: &Path, source| Unsafe::Unreachable { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(|error| unreachable(path, error))?;
    // A home that isn't there bounds nothing: the check goes up to the root.
    let home = home.canonicalize().ok();
    let opened = file.metadata().map_err(|error| unreachable(&real, error))?;
    let named = real.symlink_metadata().map_err(|error| unreachable(&real, error))?;
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(Unsafe::Replaced { path: real });
    }
    check_one(&real, &opened, uid, false)?;
    for directory in real.ancestors().skip(1) {
        let metadata = directory.symlink_metadata().map_err(|error| unreachable(directory, error))?;
        let is_home = home.as_deref() == Some(directory);
        check_one(directory, &metadata, uid, !is_home)?;
        if is_home {
            break;
        }
    }
    Ok(())
}

fn check_one(path: &Path, metadata: &Metadata, uid: u32, sticky_is_safe: bool) -> Result<(), Unsafe> {
    let owner = metadata.uid();
    if owner != uid && owner != 0 {
        return Err(Unsafe::Owner { path: path.to_owned(), owner, uid });
    }
    let mode = metadata.mode() & 0o7777;
    let shared_safely = sticky_is_safe && metadata.is_dir() && mode & STICKY != 0;
    if mode & WRITABLE != 0 && !shared_safely {
        return Err(Unsafe::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}
