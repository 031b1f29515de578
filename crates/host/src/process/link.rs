//! The server's end of a supervisor's socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::wire::{self, MESSAGE_MAX, NOTICE_SIZE, Notice};
use super::{socket, sys};

/// A supervisor, as the server holds it. Dropping it makes the supervisor kill what it runs, and end.
///
/// It is watched for messages only: watched for room, it would wake the server whenever the supervisor reads one.
#[derive(Debug)]
pub(super) struct Link {
    socket: AsyncFd<OwnedFd>,
    ready: bool,
}

impl Link {
    /// Takes a socket of [`socket::pair`]. Must be called within the runtime.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: sys::watched(socket)?, ready: false })
    }

    /// Sends a small request. Some hundreds fit the queue of a supervisor that doesn't read; the next is `EAGAIN`.
    pub(super) fn send(&self, message: &[u8]) -> rustix::io::Result<()> {
        socket::send(&self.socket, message, &[], false)
    }

    /// Sends a spawn request with the command's streams, or a keep request; a large one by way of a memfd.
    pub(super) fn send_spawn(&self, request: &[u8], fds: &[OwnedFd]) -> rustix::io::Result<()> {
        let fds = fds.iter().map(AsFd::as_fd);
        if request.len() <= MESSAGE_MAX {
            return socket::send(&self.socket, request, &fds.collect::<Vec<_>>(), false);
        }
        let memfd = rustix::fs::memfd_create(c"unglue-request", MemfdFlags::CLOEXEC)?;
        let mut rest = request;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(&memfd, rest))?;
            rest = rest.get(written..).ok_or(Errno::IO)?;
        }
        let all: Vec<_> = std::iter::once(memfd.as_fd()).chain(fds).collect();
        socket::send(&self.socket, &wire::memfd_request(request), &all, false)
    }

    /// The socket itself. Dropping it still ends the supervisor, unless that has become a keeper.
    pub(super) fn into_socket(self) -> AsyncFd<OwnedFd> {
        self.socket
    }

    /// Whether the supervisor has ever sent a notice. If not, it can't have read any request.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The next report; `None` once the supervisor is gone, or its message doesn't parse. May be cancelled at any time.
    ///
    /// # Errors
    /// Receiving failed. The supervisor may well live, and have done what it was asked.
    pub(super) async fn notice(&mut self) -> io::Result<Option<Notice>> {
        loop {
            let mut buffer = [0; NOTICE_SIZE];
            let receive = |socket: &OwnedFd| Ok(socket::receive(socket, &mut buffer)?);
            let received = self.socket.async_io(Interest::READABLE, receive).await?;
            match Notice::decode(&buffer[..received.length]) {
                Some(Notice::Ready) => self.ready = true,
                notice => return Ok(notice),
            }
        }
    }
}
