//! How much a pipe may hold.

use std::os::fd::AsFd;

/// Bytes in a pipe that carries a link, instead of Linux's 64 KiB: the two processes at its ends wait for each other less often.
/// Not more, because an ordinary user's pipes share 64 MiB (pipe(7), `pipe-user-pages-soft`).
const ROOM: usize = 256 * 1024;

/// Lets a pipe hold more. A system that refuses, as it does a user with many pipes, leaves it as it is.
pub(super) fn widen(pipe: impl AsFd) {
    if rustix::pipe::fcntl_getpipe_size(&pipe).is_ok_and(|size| size < ROOM) {
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, ROOM);
    }
}
