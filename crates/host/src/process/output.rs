//! What a command prints: from its pipe to wherever it goes.
//!
//! An [`OutputPump`] reads one pipe until every writer has closed it, its sink wants no more, or [`LastCall`] announces that what
//! the pipe holds now is the last of it. What the command itself wrote is never cut: only the waiting for more is.

use std::future::Future;
use std::io;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use unglue_proto::Meter;
use unglue_proto::message::exec::{StreamEnd, StreamReport};

use super::inlet::{Inlet, READ};
use super::pipe::is_hung_up;

/// Where an output goes.
pub trait OutputSink: Send {
    /// Takes some bytes, waiting for room as long as need be: meanwhile the pipe fills, and the command waits.
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<(), SinkClosed>> + Send;

    /// The output has ended. A sink that is dropped instead has not received all of it.
    fn close(self, end: &StreamEnd);
}

/// The sink wants no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkClosed;

/// Tells pumps when to wait no longer for more output.
#[derive(Debug)]
pub struct LastCall(watch::Sender<bool>);

impl LastCall {
    /// Not yet.
    pub fn new() -> LastCall {
        LastCall(watch::Sender::new(false))
    }

    /// What the pipes hold now is the last of it.
    pub fn announce(&self) {
        self.0.send_replace(true);
    }

    fn listen(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

impl Default for LastCall {
    fn default() -> Self {
        LastCall::new()
    }
}

/// Moves one output of a command, and counts and digests it.
#[derive(Debug)]
pub struct OutputPump {
    /// `None` once it is closed.
    pipe: Option<Inlet>,
    last_call: watch::Receiver<bool>,
}

/// How moving an output ended.
#[derive(Debug)]
pub struct Pumped {
    /// What was moved, and how it ended.
    pub stream: StreamReport,
    /// Why reading it failed, if it did: what was moved isn't all.
    pub failure: Option<io::Error>,
}

impl OutputPump {
    /// A pump for this pipe.
    pub fn new(pipe: pipe::Receiver, last_call: &LastCall) -> OutputPump {
        OutputPump { pipe: Some(Inlet::new(pipe)), last_call: last_call.listen() }
    }

    /// Moves everything. The pipe is closed at the end, so that a process that prints on learns it; unless the output
    /// ends as [`StreamEnd::HeldOpen`]: its holders would die of SIGPIPE before it is decided what becomes of them.
    /// Then it is closed with the pump. Cancelled, it may lose bytes that were read and that the sink has not taken.
    pub async fn run(&mut self, mut sink: impl OutputSink) -> Pumped {
        let Some(pipe) = &mut self.pipe else {
            return Pumped {
                stream: StreamReport { tally: Meter::default().tally(), end: StreamEnd::Eof },
                failure: None,
            };
        };
        let mut pass = Pass { pipe, sink: &mut sink, meter: Meter::default() };
        let ended = pass.run(&mut self.last_call).await;
        let tally = pass.meter.tally();
        let (end, failure) = match ended {
            Ok(end) => (end, None),
            Err(error) => (StreamEnd::Cut, Some(error)),
        };
        if end != StreamEnd::HeldOpen {
            self.pipe = None;
        }
        sink.close(&end);
        Pumped { stream: StreamReport { tally, end }, failure }
    }
}

struct Pass<'a, S> {
    pipe: &'a mut Inlet,
    sink: &'a mut S,
    meter: Meter,
}

enum Step {
    More,
    Empty,
    End(StreamEnd),
}

impl<S: OutputSink> Pass<'_, S> {
    async fn run(&mut self, last_call: &mut watch::Receiver<bool>) -> io::Result<StreamEnd> {
        loop {
            tokio::select! {
                biased;
                // First: the end of file that follows when the holders are killed is not the command's.
                () = announced(last_call) => return self.last().await,
                ready = self.pipe.ready() => ready?,
            }
            if let Step::End(end) = self.step(READ).await? {
                return Ok(end);
            }
            // A descendant that prints without end must not keep the caller waiting either.
            if *last_call.borrow() {
                return self.last().await;
            }
        }
    }

    /// Moves at most `max` bytes.
    async fn step(&mut self, max: usize) -> io::Result<Step> {
        match self.pipe.read(max) {
            Ok(data) if data.is_empty() => Ok(Step::End(StreamEnd::Eof)),
            Ok(data) => Ok(self.send(data).await),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Empty),
            Err(error) => Err(error),
        }
    }

    async fn send(&mut self, data: Bytes) -> Step {
        self.meter.pass(&data);
        match self.sink.write(data).await {
            Ok(()) => Step::More,
            Err(SinkClosed) => Step::End(StreamEnd::Abandoned),
        }
    }

    /// Moves exactly what the pipe holds now, and finds out whether a writer is left.
    async fn last(&mut self) -> io::Result<StreamEnd> {
        // Where none is, the rest can't grow: all of it is taken, to the end of file.
        let mut left = match is_hung_up(&*self.pipe)? {
            true => u64::MAX,
            false => rustix::io::ioctl_fionread(&*self.pipe)?,
        };
        while left > 0 {
            let before = self.meter.bytes();
            match self.step(READ.min(usize::try_from(left).unwrap_or(READ))).await? {
                Step::More => left -= (self.meter.bytes() - before).min(left),
                // It holds something; the runtime has not noticed yet.
                Step::Empty => self.pipe.ready().await?,
                Step::End(end) => return Ok(end),
            }
        }
        Ok(StreamEnd::HeldOpen)
    }
}

async fn announced(last_call: &mut watch::Receiver<bool>) {
    if last_call.wait_for(|last| *last).await.is_err() {
        std::future::pending().await
    }
}
