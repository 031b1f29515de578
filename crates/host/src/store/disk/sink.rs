//! A file of the local disk that is written behind its writer.

use std::mem;

use bytes::Bytes;
use unglue_proto::Meter;
use unglue_proto::blocks::Blocks;
use unglue_proto::message::Tally;

use super::blocks::BlockSink;
use super::threads::{Done, Threads};
use crate::store::error::{Op, StoreError};
use crate::store::incoming::Incoming;
use crate::store::sink::Sink;

/// Bytes that are collected before a thread writes them: fewer hops between threads.
const BATCH: usize = 256 * 1024;
/// Bytes that may wait while others are written.
const MOST: usize = 512 * 1024;

/// A file that is being written on the store's threads.
///
/// At most 512 KiB and one piece wait while a batch is written. When no bytes come, no thread is held.
#[derive(Debug)]
pub struct DiskSink {
    threads: Threads,
    waiting: Vec<Bytes>,
    length: usize,
    writer: State,
}

#[derive(Debug)]
enum State {
    Resting(Box<Writer>),
    Busy(Done<Result<Box<Writer>, StoreError>>),
    /// The error was reported, and the file is discarded.
    Failed,
}

/// The file and its meter, wherever they are.
#[derive(Debug)]
struct Writer {
    file: Incoming,
    meter: Meter,
}

impl DiskSink {
    pub(crate) fn new(threads: Threads, file: Incoming) -> DiskSink {
        let writer = State::Resting(Box::new(Writer { file, meter: Meter::default() }));
        DiskSink { threads, waiting: Vec::new(), length: 0, writer }
    }

    /// Has everything that waits written, unless a batch is being written.
    fn start(&mut self) {
        self.writer = match mem::replace(&mut self.writer, State::Failed) {
            State::Resting(writer) if !self.waiting.is_empty() => {
                let batch = mem::take(&mut self.waiting);
                self.length = 0;
                State::Busy(self.threads.start(move || writer.write(batch)))
            }
            other => other,
        };
    }

    /// Waits until no batch is being written.
    async fn rest(&mut self) -> Result<(), StoreError> {
        let State::Busy(done) = &mut self.writer else { return Ok(()) };
        let done = done.await.unwrap_or_else(|_| Err(self.lost()));
        self.settle(done)
    }

    fn settle(&mut self, done: Result<Box<Writer>, StoreError>) -> Result<(), StoreError> {
        match done {
            Ok(writer) => self.writer = State::Resting(writer),
            Err(error) => {
                self.writer = State::Failed;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes note of a batch that has been written meanwhile.
    fn look(&mut self) -> Result<(), StoreError> {
        let State::Busy(done) = &mut self.writer else { return Ok(()) };
        match done.try_recv() {
            Ok(done) => self.settle(done),
            Err(tokio::sync::oneshot::error::TryRecvError::Empty) => Ok(()),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed) => {
                let lost = self.lost();
                self.settle(Err(lost))
            }
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::nowhere(Op::Write, self.threads.missing())
    }

    /// Ends without a file under its name. A batch that fails drops the file by itself.
    async fn end(&mut self, end: impl FnOnce(Incoming) + Send + 'static) {
        if self.rest().await.is_ok()
            && let State::Resting(writer) = mem::replace(&mut self.writer, State::Failed)
        {
            // Where there is no thread left, it is done here and now.
            let _ = self.threads.run(move || end(writer.file)).await;
        }
    }

    /// The bytes that an earlier transfer left, of which the whole blocks can be used by [`into_blocks`](Self::into_blocks).
    pub fn kept(&self) -> u64 {
        match &self.writer {
            State::Resting(writer) => writer.file.kept(),
            _ => 0,
        }
    }

    /// Takes blocks in any order, before anything was written.
    ///
    /// # Errors
    /// Something was written, or the system gives no handle.
    pub fn into_blocks(mut self, blocks: Blocks) -> Result<BlockSink, StoreError> {
        match mem::replace(&mut self.writer, State::Failed) {
            State::Resting(writer) if self.waiting.is_empty() => {
                BlockSink::new(self.threads.clone(), writer.file, blocks)
            }
            _ => Err(self.lost()),
        }
    }

    /// The file, with everything written.
    async fn whole(&mut self) -> Result<Box<Writer>, StoreError> {
        self.rest().await?;
        self.start();
        self.rest().await?;
        match mem::replace(&mut self.writer, State::Failed) {
            State::Resting(writer) => Ok(writer),
            _ => Err(self.lost()),
        }
    }
}

impl Sink for DiskSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.length += bytes.len();
        self.waiting.push(bytes);
        self.look()?;
        if self.length >= BATCH {
            self.start();
        }
        if self.length >= MOST {
            self.rest().await?;
            self.start();
        }
        match self.writer {
            State::Failed => Err(self.lost()),
            _ => Ok(()),
        }
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        let writer = self.whole().await?;
        let tally = writer.meter.tally();
        self.writer = State::Resting(writer);
        Ok(tally)
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        let mut writer = self.whole().await?;
        let committed = self.threads.run(move || writer.file.restart().and_then(|()| writer.file.commit())).await;
        committed.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Sync, errno)))
    }

    async fn discard(mut self) {
        self.waiting.clear();
        self.end(|file| file.discard()).await;
    }

    async fn set_aside(mut self) {
        // What waits has come, too.
        if self.rest().await.is_ok() {
            self.start();
        }
        self.end(drop).await;
    }
}

impl Drop for DiskSink {
    /// Removing a file is a disk's work. While a batch is being written, the thread discards the file behind it, since nobody
    /// takes it back.
    fn drop(&mut self) {
        if let State::Resting(writer) = mem::replace(&mut self.writer, State::Failed) {
            drop(self.threads.start(move || drop(writer)));
        }
    }
}

impl Writer {
    fn write(mut self: Box<Self>, batch: Vec<Bytes>) -> Result<Box<Writer>, StoreError> {
        self.file.restart()?;
        for bytes in batch {
            self.meter.pass(&bytes);
            self.file.write_all(&bytes)?;
        }
        Ok(self)
    }
}
