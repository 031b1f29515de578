//! The first bytes of a connection to the owner of a state.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// What a connection is for. These bytes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preface {
    /// A link follows: its first message is a hello without a proof.
    Link,
    /// A link follows on the two descriptors, an input and an output, that come with these bytes. The connection stays open as
    /// long as the link.
    Descriptors,
    /// The owner is to hand the state over, if it is a resident. Its answer comes once it has done so.
    HandOver,
}

/// The owner takes the connection, or has handed over.
pub(crate) const ACCEPTED: u8 = b'+';
/// The owner doesn't know what the connection is for, or is not a resident.
pub(crate) const REFUSED: u8 = b'-';

/// Descriptors that come with a preface at most.
const MOST: usize = 2;

impl Preface {
    /// How long a preface is.
    const LEN: usize = 8;

    const fn bytes(self) -> [u8; Self::LEN] {
        match self {
            Preface::Link => *b"unglue1L",
            Preface::Descriptors => *b"unglue1D",
            Preface::HandOver => *b"unglue1H",
        }
    }

    /// Nothing where this version doesn't know it.
    fn of(bytes: [u8; Self::LEN]) -> Option<Preface> {
        [Preface::Link, Preface::Descriptors, Preface::HandOver].into_iter().find(|preface| preface.bytes() == bytes)
    }

    /// Sends it, with descriptors, on a socket that blocks.
    pub(super) fn send(self, socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = self.bytes();
        let sent =
            rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL))?;
        // A unix socket that was just opened has room for eight bytes.
        if sent == Self::LEN { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// What a connection is for, and the descriptors that came with it; nothing where the connection ends before it says so, or
    /// says something that this version doesn't know.
    ///
    /// Dropped, it loses what has arrived: the connection is then of no use.
    pub(crate) async fn receive(stream: &UnixStream) -> Option<(Preface, Vec<OwnedFd>)> {
        let (mut bytes, mut length, mut descriptors) = ([0; Self::LEN], 0, Vec::new());
        while length < Self::LEN {
            let read = || receive(stream, &mut bytes[length..], &mut descriptors);
            match stream.async_io(Interest::READABLE, read).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => length += count,
            }
        }
        Preface::of(bytes).map(|preface| (preface, descriptors))
    }
}

/// Reads once. The system closes descriptors beyond those that are expected.
fn receive(stream: &UnixStream, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    descriptors.truncate(MOST);
    Ok(got.bytes)
}
