//! `listxattrat`: the names of a file's extended attributes, by one name in an open directory (Linux 6.13 and later).
//!
//! Without it the way leads through `/proc/self/fd`, which takes three times as long. A synchronisation asks for the names of
//! every file at both ends.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

/// The number of the system call: the same on every architecture (asm-generic/unistd.h).
const LISTXATTRAT: libc::c_long = 465;

/// Whether the kernel, or a filter of system calls, has refused it once.
static MISSING: AtomicBool = AtomicBool::new(false);

/// Writes the names, each with a NUL behind it, into `names`, and gives their length. A symbolic link is not followed. `None`: the
/// system doesn't have the call.
///
/// Errors: those of listxattr(2); `ERANGE` if `names` is too short.
pub(super) fn listxattrat(dir: &OwnedFd, name: &CStr, names: &mut [u8]) -> Option<Result<usize, Errno>> {
    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    // SAFETY: `name` ends with a NUL, and the kernel writes at most `names.len()` bytes into `names`; both live until it returns.
    let length = unsafe {
        libc::syscall(
            LISTXATTRAT,
            dir.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            names.as_mut_ptr(),
            names.len(),
        )
    };
    match usize::try_from(length) {
        Ok(length) => Some(Ok(length.min(names.len()))),
        Err(_) => match Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO) {
            // EPERM is how some filters of system calls refuse what they don't know; the other way has the answer.
            Errno::NOSYS | Errno::PERM => {
                MISSING.store(true, Ordering::Relaxed);
                None
            }
            errno => Some(Err(errno)),
        },
    }
}
