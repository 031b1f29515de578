//! What is typed: the terminal of standard input, or whatever else that is.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::reopened::{registered, reopened};
use crate::exec::feed::{Piece, read_ahead};

/// Bytes read at once.
const PIECE: usize = 16 * 1024;
/// A terminal that gives less has no more just now: it gives up to 4 KiB at once.
const FEW: usize = 1024;

/// Where keys come from.
pub(super) enum Keyboard {
    /// A terminal of our own opening: a key comes without a detour by another thread.
    Terminal { terminal: AsyncFd<OwnedFd>, buffer: Vec<u8> },
    /// Something that is read by a thread.
    Other(mpsc::Receiver<io::Result<Piece>>),
}

impl Keyboard {
    /// Standard input.
    ///
    /// # Errors
    /// It is closed, or the system has no descriptors or threads left.
    pub(super) fn open(is_terminal: bool) -> io::Result<Keyboard> {
        match is_terminal.then(|| keyboard_of(0)) {
            Some(Ok(terminal)) => Ok(Keyboard::Terminal { terminal, buffer: vec![0; PIECE] }),
            // The terminal may belong to another user, as after su(1).
            _ => Ok(Keyboard::Other(read_ahead(|buffer| rustix::io::read(rustix::stdio::stdin(), buffer))?)),
        }
    }

    /// Waits for keys; `None` is the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// It can't be read any more.
    pub(super) async fn read(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Keyboard::Terminal { terminal, buffer } => loop {
                let mut ready = terminal.readable().await?;
                let read = ready.try_io(|terminal| Ok(rustix::io::read(terminal.get_ref(), &mut *buffer)?));
                match read {
                    Ok(Ok(0)) => return Ok(None),
                    Ok(Ok(n)) => {
                        // All that was typed; the next key is announced.
                        if n < FEW {
                            ready.clear_ready();
                        }
                        return Ok(Some(Bytes::copy_from_slice(&buffer[..n])));
                    }
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The window was closed (tty_ioctl(4): EIO after a hangup).
                    Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Ok(None),
                    Ok(Err(error)) => return Err(error),
                    // Somebody else was faster.
                    Err(_) => {}
                }
            },
            Keyboard::Other(pieces) => match pieces.recv().await {
                Some(Ok(Piece::Data(data))) => Ok(Some(data)),
                Some(Ok(Piece::End)) => Ok(None),
                Some(Err(error)) => Err(error),
                None => Err(io::Error::other("the thread that reads it ended before its end")),
            },
        }
    }
}

fn keyboard_of(number: u8) -> io::Result<AsyncFd<OwnedFd>> {
    registered(reopened(number, OFlags::RDONLY)?, Interest::READABLE)
}

/// The terminal that this process can control, for its size: standard output, input, or error.
pub(super) fn with_size() -> Option<File> {
    let candidates = [rustix::stdio::stdout(), rustix::stdio::stdin(), rustix::stdio::stderr()];
    let terminal = candidates.into_iter().find(|descriptor| rustix::termios::isatty(descriptor))?;
    rustix::io::fcntl_dupfd_cloexec(terminal, 3).ok().map(File::from)
}
