//! The server's end of a supervisor's socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::socket;
use super::wire::{self, MESSAGE_MAX, REPORT_SIZE, Report};

/// A supervisor, as the server holds it. Dropping it makes the supervisor kill what it runs, and end.
///
/// tokio knows no `SOCK_SEQPACKET`; its datagram socket waits for one just as well, and the messages are our own calls.
#[derive(Debug)]
pub(super) struct Link(UnixDatagram);

impl Link {
    /// Takes a socket of [`socket::pair`]. Must be called within the runtime.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        UnixDatagram::from_std(socket.into()).map(Self)
    }

    /// Sends a small request. Its queue is never full: a job sends a handful, and a flood is refused as `EAGAIN`.
    pub(super) fn send(&self, message: &[u8]) -> rustix::io::Result<()> {
        socket::send(&self.0, message, &[], false)
    }

    /// Sends a spawn request with the command's streams; a large one by way of a memfd.
    pub(super) fn send_spawn(&self, request: &[u8], stdin: bool, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        if request.len() <= MESSAGE_MAX {
            return socket::send(&self.0, request, fds, false);
        }
        let memfd = rustix::fs::memfd_create(c"unglue-request", MemfdFlags::CLOEXEC)?;
        let mut rest = request;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(&memfd, rest))?;
            rest = rest.get(written..).ok_or(Errno::IO)?;
        }
        let mut all = vec![memfd.as_fd()];
        all.extend_from_slice(fds);
        socket::send(&self.0, &wire::memfd_request(stdin), &all, false)
    }

    /// The next report; `None` once the supervisor is gone, or talks nonsense. May be cancelled at any time.
    pub(super) async fn report(&self) -> Option<Report> {
        let mut buffer = [0; REPORT_SIZE];
        let receive = || Ok(socket::receive(&self.0, &mut buffer)?);
        let received = self.0.async_io(Interest::READABLE, receive).await.ok()?;
        Report::decode(&buffer[..received.length])
    }
}
