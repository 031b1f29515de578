//! Bytes between a command's pipes and its streams.

use std::io;
use std::os::fd::AsFd as _;

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use unglue_host::process::widen;
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::message::exec::{Stream, StreamEnd};
use unglue_proto::{Code, Fault};

use crate::ops::flow::Meter;

/// Bytes that are read from a pipe at once: a pipe's usual capacity.
const READ: usize = 64 * 1024;

/// Whether a command's outputs may still be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// The command runs, or its descendants have their last moment.
    Wait,
    /// Time is up: what the pipe holds now is the last of it.
    Last,
}

/// Sends what a command prints until every writer has closed the pipe, the reader gives up, or `drain` says that what
/// the pipe holds is the last. What the command itself wrote is never cut: only the waiting for more is.
///
/// The pipe is closed at the end, so that whoever prints on learns it; unless somebody holds it who is still to be dealt
/// with.
pub(super) async fn output(
    slot: &mut Option<pipe::Receiver>,
    stream: SendStream,
    drain: watch::Receiver<Drain>,
) -> Stream {
    let mut outflow = Outflow { stream: Some(stream), meter: Meter::default(), widened: false };
    let end = match slot {
        Some(pipe) => outflow.run(pipe, drain).await,
        None => StreamEnd::Eof,
    };
    if end != StreamEnd::HeldOpen {
        *slot = None;
    }
    outflow.close(end)
}

async fn last_call(drain: &mut watch::Receiver<Drain>) {
    if drain.wait_for(|drain| *drain == Drain::Last).await.is_err() {
        std::future::pending().await
    }
}

struct Outflow {
    stream: Option<SendStream>,
    meter: Meter,
    widened: bool,
}

enum Step {
    More,
    Empty,
    End(StreamEnd),
}

impl Outflow {
    /// Moves everything until one of the ends.
    async fn run(&mut self, pipe: &mut pipe::Receiver, mut drain: watch::Receiver<Drain>) -> StreamEnd {
        loop {
            tokio::select! {
                biased;
                // First: the end of file that follows when the holders are killed is not the command's.
                () = last_call(&mut drain) => return self.last(pipe).await,
                _ = pipe.readable() => {}
            }
            if let Step::End(end) = self.step(pipe, READ).await {
                return end;
            }
            // A descendant that prints without end must not keep the caller waiting either.
            if *drain.borrow() == Drain::Last {
                return self.last(pipe).await;
            }
        }
    }

    /// Moves at most `max` bytes.
    async fn step(&mut self, pipe: &mut pipe::Receiver, max: usize) -> Step {
        let mut buffer = BytesMut::with_capacity(max);
        match pipe.try_read_buf(&mut buffer) {
            Ok(0) => Step::End(StreamEnd::Eof),
            Ok(len) => {
                if len == READ && !std::mem::replace(&mut self.widened, true) {
                    // A refusal is harmless.
                    let _ = widen(pipe.as_fd());
                }
                self.send(buffer.freeze()).await
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Empty,
            // A pipe has no other error; were there one, nothing more would come.
            Err(_) => Step::End(StreamEnd::Eof),
        }
    }

    async fn send(&mut self, data: Bytes) -> Step {
        let Some(stream) = &mut self.stream else { return Step::End(StreamEnd::Abandoned) };
        self.meter.pass(&data);
        match stream.write_all(data).await {
            Ok(()) => Step::More,
            Err(_) => Step::End(StreamEnd::Abandoned),
        }
    }

    /// Moves exactly what the pipe holds now, and tells whether a writer is left.
    async fn last(&mut self, pipe: &mut pipe::Receiver) -> StreamEnd {
        // Where none is, the rest can't grow: all of it is taken, to the end of file.
        let mut left = match is_hung_up(pipe) {
            true => u64::MAX,
            false => rustix::io::ioctl_fionread(pipe.as_fd()).unwrap_or(0),
        };
        while left > 0 {
            let before = self.meter.bytes();
            match self.step(pipe, READ.min(usize::try_from(left).unwrap_or(READ))).await {
                Step::More => left -= (self.meter.bytes() - before).min(left),
                // It holds something; the runtime has not heard of it yet.
                Step::Empty if pipe.readable().await.is_ok() => {}
                Step::Empty => break,
                Step::End(end) => return end,
            }
        }
        StreamEnd::HeldOpen
    }

    fn close(mut self, end: StreamEnd) -> Stream {
        if let Some(stream) = self.stream.take() {
            match end {
                StreamEnd::Abandoned => stream.reset(Code::Cancelled),
                _ => stream.finish(),
            }
        }
        Stream { tally: self.meter.tally(), end }
    }
}

/// Whether every writer has closed the pipe, though it may still hold bytes (poll(2), POLLHUP).
fn is_hung_up(pipe: &pipe::Receiver) -> bool {
    let mut watched = [PollFd::new(pipe, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut watched, Some(&now)).is_ok() && watched[0].revents().contains(PollFlags::HUP)
}

/// Feeds a command's input until its end, or until the command reads no more; `meter` sees what it was given.
///
/// # Errors
/// The client broke its input off: what the command has read must not pass for the whole.
pub(super) async fn input(
    mut stream: RecvStream,
    mut pipe: pipe::Sender,
    meter: &mut Meter,
) -> Result<StreamEnd, Fault> {
    loop {
        let data = tokio::select! {
            data = stream.read(READ) => data,
            // The pipe's reader has gone: waiting for more input is in vain.
            _ = pipe.ready(Interest::ERROR) => return Ok(StreamEnd::Abandoned),
        };
        match data {
            Ok(Some(data)) => {
                meter.pass(&data);
                if pipe.write_all(&data).await.is_err() {
                    return Ok(StreamEnd::Abandoned);
                }
            }
            Ok(None) => return Ok(StreamEnd::Eof),
            Err(StreamError::Reset(_)) => {
                let what = format!("the command's input was broken off after {} bytes", meter.bytes());
                return Err(
                    Fault::user(Code::Cancelled, what).advise("the command was killed: it had not seen all of it")
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
}
