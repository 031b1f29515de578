//! Carrying bytes between a pair of descriptors and the socket of an owner that is of an earlier version: later ones take the
//! descriptors. Two threads and no runtime: a process that only carries bytes must start within a millisecond.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Bytes that are moved at once.
const PIECE: usize = 128 * 1024;

/// Carries what `input` gives to the owner, and what the owner sends to `output`, until the owner closes the connection or
/// `output` is closed. The end of `input` is passed on; so the owner ends the link in order.
///
/// # Errors
/// The system has no thread. A connection that breaks is an end like any other: the link's own messages say why.
pub(super) fn carry(input: BorrowedFd<'static>, output: BorrowedFd<'_>, owner: UnixStream) -> io::Result<()> {
    let up = owner.try_clone()?;
    // It may wait for input that never comes: it ends with the process.
    std::thread::Builder::new().name("unglue-up".into()).spawn(move || {
        copy(input, up.as_fd());
        let _ = up.shutdown(Shutdown::Write);
    })?;
    copy(owner.as_fd(), output);
    Ok(())
}

/// Copies bytes until the end of `from`, or until one of the two fails.
///
/// Not by splice(2): it holds the pipe's lock while it waits for the socket, and the ssh server at the other end of the pipe, which
/// serves other sessions too, would wait with it.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match rustix::io::read(from, &mut *buffer) {
            Ok(0) => return,
            Ok(length) => {
                if write(to, &buffer[..length]).is_err() {
                    return;
                }
            }
            Err(Errno::INTR) => {}
            // Another process has set a shared descriptor non-blocking.
            Err(Errno::AGAIN) => wait_for(from, PollFlags::IN),
            Err(_) => return,
        }
    }
}

fn write(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(to, PollFlags::OUT),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn wait_for(fd: BorrowedFd<'_>, what: PollFlags) {
    // An error or the end shows in the next call.
    let _ = poll(&mut [PollFd::new(&fd, what)], None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;

    /// What the owner received, if it sends `reply` once it has that.
    fn carried(input: OwnedFd, output: OwnedFd, reply: &'static [u8]) -> Vec<u8> {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let owner = std::thread::spawn(move || {
            let mut received = Vec::new();
            far.read_to_end(&mut received).expect("read");
            far.write_all(reply).expect("written");
            received
        });
        let input: &'static OwnedFd = Box::leak(Box::new(input));
        carry(input.as_fd(), output.as_fd(), near).expect("a thread");
        owner.join().expect("no panic")
    }

    #[test]
    fn pipes_and_sockets_are_carried_to_their_ends() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let expected = bytes.clone();
        let (input, feed) = rustix::pipe::pipe().expect("a pipe");
        let (out, output) = rustix::pipe::pipe().expect("a pipe");
        let feeder = std::thread::spawn(move || std::fs::File::from(feed).write_all(&bytes).expect("fed"));
        assert!(carried(input, output, b"reply") == expected);
        feeder.join().expect("no panic");
        let mut reply = Vec::new();
        std::fs::File::from(out).read_to_end(&mut reply).expect("read");
        assert_eq!(reply, b"reply");

        let (input, mut feed) = UnixStream::pair().expect("a pair");
        let (mut out, output) = UnixStream::pair().expect("a pair");
        feed.write_all(b"by socket").expect("fed");
        drop(feed);
        assert_eq!(carried(input.into(), output.into(), b"back"), b"by socket");
        let mut reply = Vec::new();
        out.read_to_end(&mut reply).expect("read");
        assert_eq!(reply, b"back");
    }

    #[test]
    fn descriptors_that_do_not_block_are_waited_for() {
        let (input, feed) = rustix::pipe::pipe().expect("a pipe");
        let (mut out, output) = UnixStream::pair().expect("a pair");
        rustix::io::ioctl_fionbio(&input, true).expect("set");
        output.set_nonblocking(true).expect("set");
        let feeder = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::File::from(feed).write_all(b"late").expect("fed");
        });
        let reader = std::thread::spawn(move || {
            let mut reply = Vec::new();
            out.read_to_end(&mut reply).expect("read");
            reply.len()
        });
        static LONG: [u8; 1 << 20] = [7; 1 << 20];
        assert_eq!(carried(input, output.into(), &LONG), b"late");
        feeder.join().expect("no panic");
        assert_eq!(reader.join().expect("no panic"), LONG.len());
    }
}
