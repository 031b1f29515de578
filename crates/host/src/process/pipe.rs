//! What can be asked of a pipe's end.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec};

/// The size that [`widen`] asks for, in bytes; the most that an ordinary user gets by default
/// (`/proc/sys/fs/pipe-max-size`).
pub const WIDE_PIPE: usize = 1 << 20;

/// Makes a busy pipe hold a megabyte instead of 64 KiB, so that a command that prints a lot is woken less often;
/// returns whether it holds so much then.
///
/// Not for every pipe: an ordinary user's pipes share 64 MiB (`pipe-user-pages-soft`), and beyond that each new one
/// of theirs, in whatever program, holds two pages only. A refusal (`EPERM`) is harmless.
pub fn widen(pipe: impl AsFd) -> bool {
    rustix::pipe::fcntl_setpipe_size(pipe, WIDE_PIPE).is_ok_and(|size| size >= WIDE_PIPE)
}

/// Whether every writer has closed the pipe, though it may still hold bytes (poll(2), POLLHUP).
pub(super) fn is_hung_up(pipe: impl AsFd) -> io::Result<bool> {
    let mut watched = [PollFd::new(&pipe, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, Some(&now)))?;
    Ok(watched[0].revents().contains(PollFlags::HUP))
}
