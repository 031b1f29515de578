//! Messages with descriptors over a `SOCK_SEQPACKET` socket: one send is one receive.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::wire::FDS_MAX;

/// Two sockets that are connected with each other; neither is inherited by programs.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one message; a closed peer is `EPIPE`, and no signal.
pub(super) fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>], wait: bool) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
    rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(message)], &mut control, flags)).map(drop)
}

/// A received message: its length and its descriptors. Length 0 is the end of the connection.
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) fds: Vec<OwnedFd>,
}

/// Receives one message. One that doesn't fit the buffer is `EMSGSIZE`.
///
/// A peer that closes its end without having read everything resets the connection. The kernel reports that once, before the
/// messages that the peer had sent: these come first here, and then the end.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let mut reset = false;
    let got = loop {
        match recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) if !std::mem::replace(&mut reset, true) => {}
            Err(Errno::CONNRESET) => return Ok(Received { length: 0, fds: Vec::new() }),
            result => break result?,
        }
    };
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(Received { length: got.bytes, fds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_a_reset_is_received() {
        let (ours, theirs) = pair().expect("two sockets");
        send(&ours, b"unread", &[], false).expect("it fits");
        send(&theirs, b"first", &[], false).expect("it fits");
        send(&theirs, b"second", &[], false).expect("it fits");
        drop(theirs);
        let mut buffer = [0; 16];
        for expected in [&b"first"[..], b"second", b"", b""] {
            let received = receive(&ours, &mut buffer).expect("it is received");
            assert_eq!(&buffer[..received.length], expected);
        }
    }
}
