//! The one place that takes a file descriptor by its number.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Duplicates a descriptor that this process inherited.
///
/// # Errors
/// `EBADF` if it isn't open.
pub(super) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow lasts for one fcntl(2), which checks whether the descriptor is open; no descriptor is closed,
    // and -1, the only value that a `BorrowedFd` may not have, was refused.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(inherited, 3)?)
}
