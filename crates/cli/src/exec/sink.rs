//! Standard output and standard error, written without ever holding up the link.
//!
//! A reader that stops (a pager, a stopped terminal) must not stop the other stream, the exit status or the heartbeat
//! (promise P4). So pipes are opened anew without blocking, a flag that can't be set on the ones that we share with others;
//! and what can't be opened anew is written on a thread that may block.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use rustix::fs::{FileType, fstat};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::blocking;

/// A place to write bytes to.
pub(crate) enum Sink {
    /// A regular file or a device such as `/dev/null`: a write ends by itself.
    Prompt(OwnedFd),
    /// A pipe of our own opening.
    Pipe(pipe::Sender),
    /// Anything else: a terminal, a socket, a pipe that can't be opened anew.
    Slow(SlowSink),
}

/// A descriptor that is written on a thread of its own, one piece after the other.
pub(crate) struct SlowSink(Sender<(Bytes, oneshot::Sender<io::Result<()>>)>);

impl Sink {
    /// This process's standard output.
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub(crate) fn stdout() -> io::Result<Sink> {
        Sink::of(rustix::stdio::stdout(), "/proc/self/fd/1")
    }

    /// This process's standard error.
    ///
    /// # Errors
    /// The system has no descriptors or threads left.
    pub(crate) fn stderr() -> io::Result<Sink> {
        Sink::of(rustix::stdio::stderr(), "/proc/self/fd/2")
    }

    fn of(descriptor: impl AsFd, path: &str) -> io::Result<Sink> {
        let own = rustix::io::fcntl_dupfd_cloexec(&descriptor, 3)?;
        let kind = FileType::from_raw_mode(fstat(&own)?.st_mode);
        Ok(match kind {
            FileType::RegularFile | FileType::BlockDevice => Sink::Prompt(own),
            FileType::CharacterDevice if !rustix::termios::isatty(&own) => Sink::Prompt(own),
            FileType::Fifo => match open_pipe(path) {
                Ok(pipe) => Sink::Pipe(pipe),
                Err(_) => Sink::Slow(SlowSink::of(own)?),
            },
            _ => Sink::Slow(SlowSink::of(own)?),
        })
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// `BrokenPipe` if nobody reads any more; anything else that the system says.
    pub(crate) async fn write_all(&mut self, data: Bytes) -> io::Result<()> {
        match self {
            Sink::Prompt(file) => write_blocking(file, &data),
            Sink::Pipe(pipe) => write_pipe(pipe, &data).await,
            Sink::Slow(slow) => slow.write_all(data).await,
        }
    }
}

impl SlowSink {
    fn of(file: OwnedFd) -> io::Result<SlowSink> {
        let (sender, pieces) = channel::<(Bytes, oneshot::Sender<io::Result<()>>)>();
        blocking::spawn("unglue-output", move || {
            for (data, written) in pieces {
                // Nobody may be waiting any more.
                let _ = written.send(write_blocking(&file, &data));
            }
        })?;
        Ok(SlowSink(sender))
    }

    async fn write_all(&self, data: Bytes) -> io::Result<()> {
        let gone = || io::Error::other("the thread that writes it has ended");
        let (sender, written) = oneshot::channel();
        self.0.send((data, sender)).map_err(|_| gone())?;
        written.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Opens the pipe behind a descriptor a second time (proc(5)): its flags are then ours alone.
fn open_pipe(path: &str) -> io::Result<pipe::Sender> {
    let pipe = pipe::OpenOptions::new().open_sender(path)?;
    // More room means fewer turns; where it is refused, nothing is lost.
    unglue::widen(&pipe);
    Ok(pipe)
}

async fn write_pipe(pipe: &pipe::Sender, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        // At first without asking whether there is room: mostly there is, and asking costs a turn of the event loop.
        let written = match rustix::io::write(pipe, data) {
            Err(rustix::io::Errno::AGAIN) => {
                pipe.writable().await?;
                pipe.try_write(data)
            }
            written => written.map_err(io::Error::from),
        };
        match written {
            Ok(written) => data = &data[written..],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_blocking(file: &OwnedFd, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        match rustix::io::write(file, data) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_writable(file)?,
            written => data = &data[written?..],
        }
    }
    Ok(())
}

/// Somebody else has set the shared descriptor non-blocking, as some programs do to their terminal.
fn wait_writable(file: &OwnedFd) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(file, PollFlags::OUT)], None)?;
    Ok(())
}
