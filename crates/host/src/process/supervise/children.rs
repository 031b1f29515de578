//! Waiting for the server and for children at once.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, Result};

use crate::process::sys;

/// Becomes readable when a child ends or stops. One per process.
pub(super) struct ChildEvents(BorrowedFd<'static>);

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// The socket holds a message, or has ended.
    pub(super) socket: bool,
    /// A child ended or stopped.
    pub(super) child: bool,
}

impl ChildEvents {
    /// Replaces this process's handler of SIGCHLD. After a fork each side needs its own.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(sys::announce_children(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Waits until there is something to do; both are `false` when the time is over.
    pub(super) fn wait(&self, socket: Option<BorrowedFd<'_>>, time: Option<Duration>) -> Result<Ready> {
        let time = time.map(|time| Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() });
        let mut fds = [
            PollFd::from_borrowed_fd(self.0, PollFlags::IN),
            PollFd::from_borrowed_fd(socket.unwrap_or(self.0), PollFlags::IN),
        ];
        let watched = if socket.is_some() { &mut fds[..] } else { &mut fds[..1] };
        match poll(watched, time.as_ref()) {
            Ok(_) => {}
            // A handler ran; it has made the eventfd readable.
            Err(Errno::INTR) => return Ok(Ready { socket: false, child: self.take() }),
            Err(error) => return Err(error),
        }
        let child = !fds[0].revents().is_empty() && self.take();
        Ok(Ready { socket: socket.is_some() && !fds[1].revents().is_empty(), child })
    }

    /// What becomes readable.
    pub(super) fn fd(&self) -> BorrowedFd<'static> {
        self.0
    }

    /// Whether a child ended or stopped since this was called last.
    pub(super) fn take(&self) -> bool {
        rustix::io::read(self.0.as_fd(), &mut [0_u8; 8]).is_ok()
    }
}
