//! What is shown: the terminal of standard output, or whatever else that is. It never holds up the link or the keyboard.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::reopened::{registered, reopened};
use crate::exec::sink::Sink;

/// Standard output, and what waits for it.
pub(super) struct Screen {
    waiting: Vec<u8>,
    /// How much of that is written.
    written: usize,
    to: To,
}

enum To {
    /// A terminal of our own opening. The event loop watches it only while it is full: otherwise each byte that it has shown would
    /// wake this process.
    Terminal { terminal: OwnedFd, full: Option<AsyncFd<OwnedFd>> },
    /// Something that a task writes to.
    Other { pieces: mpsc::Sender<Bytes>, task: JoinHandle<io::Result<()>> },
}

impl Screen {
    /// Standard output.
    ///
    /// # Errors
    /// It is closed, or the system has no descriptors or threads left.
    pub(super) fn open() -> io::Result<Screen> {
        let is_terminal = rustix::termios::isatty(rustix::stdio::stdout());
        let to = match is_terminal.then(|| reopened(1, OFlags::WRONLY)) {
            Some(Ok(terminal)) => To::Terminal { terminal, full: None },
            _ => {
                let (pieces, mut inbox) = mpsc::channel::<Bytes>(1);
                let mut sink = Sink::stdout()?;
                let task = tokio::spawn(async move {
                    while let Some(piece) = inbox.recv().await {
                        sink.write_all(piece).await?;
                    }
                    Ok(())
                });
                To::Other { pieces, task }
            }
        };
        Ok(Screen { waiting: Vec::new(), written: 0, to })
    }

    /// Adds bytes to be written.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes what waits. Cancelled, it goes on from there the next time.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Terminal { terminal, full } => {
                while self.written < self.waiting.len() {
                    // At first without asking whether there is room: mostly there is.
                    match rustix::io::write(&*terminal, &self.waiting[self.written..]) {
                        Ok(written) => self.written += written,
                        Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => {
                            let watched = match full.take() {
                                Some(watched) => watched,
                                None => registered(terminal.try_clone()?, Interest::WRITABLE)?,
                            };
                            room(full.insert(watched)).await?;
                        }
                        Err(errno) => return Err(errno.into()),
                    }
                }
                *full = None;
            }
            To::Other { pieces, task } => match pieces.reserve().await {
                Ok(place) => place.send(std::mem::take(&mut self.waiting).into()),
                // Its error is the reason.
                Err(_) => return task.await.map_err(io::Error::other)?,
            },
        }
        self.waiting.clear();
        self.waiting.shrink_to(1 << 20);
        self.written = 0;
        Ok(())
    }

    /// Writes what waits, and waits until it is written.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.write().await?;
        match self.to {
            To::Terminal { .. } => Ok(()),
            To::Other { pieces, task } => {
                drop(pieces);
                task.await.map_err(io::Error::other)?
            }
        }
    }
}

/// Waits until the terminal takes more. What epoll(7) remembers of it may be old, so that is forgotten first.
async fn room(terminal: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut ready = terminal.writable().await?;
    let again = ready.try_io(|terminal| {
        let mut room = [rustix::event::PollFd::new(terminal.get_ref(), rustix::event::PollFlags::OUT)];
        match rustix::event::poll(&mut room, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    });
    match again {
        Ok(done) => done,
        // The readiness was old; the next wait is a real one.
        Err(_) => Ok(()),
    }
}
