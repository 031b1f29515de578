//! The one place that registers a terminal with the event loop.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Opens the terminal behind a standard descriptor a second time (proc(5)): its flags are then ours alone. It doesn't block.
///
/// # Errors
/// The system refuses it, as where the terminal belongs to another user.
pub(super) fn reopened(number: u8, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(format!("/proc/self/fd/{number}"), flags, Mode::empty())?)
}

/// Registers such a terminal with the event loop.
///
/// # Errors
/// The system has no room for it.
pub(super) fn registered(terminal: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the `AsyncFd` owns the descriptor, and gives out shared references only, through which it can't be closed or
    // replaced. It stays open until it is taken out of the event loop.
    let registered = unsafe { AsyncFd::register_with_interest(terminal, interest) };
    registered.map_err(io::Error::from)
}
