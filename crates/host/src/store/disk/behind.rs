//! A file that is written on the store's threads while more bytes come: what both sinks of the disk have in common.

use std::fmt::Debug;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::sync::oneshot::error::TryRecvError;
use unglue_proto::blocks::BLOCK;

use super::threads::{Done, Threads};
use crate::store::arriving::Arriving;
use crate::store::error::{Op, StoreError};
use crate::store::temporary::Syncing;

/// Bytes that are collected before a thread writes them: fewer hops between threads.
const BATCH: usize = 256 * 1024;
/// Bytes that may wait while others are written.
const MOST: usize = 512 * 1024;

/// Where the bytes go in the file.
pub(super) trait Writing: Debug + Send + 'static {
    /// What digests them.
    type Digest: Digesting;

    /// Writes some bytes. Blocks.
    fn write(&mut self, file: &mut dyn Arriving, bytes: &[u8]) -> Result<(), StoreError>;
}

/// What digests bytes.
pub(super) trait Digesting: Debug + Default + Send + 'static {
    /// Takes the next ones.
    fn pass(&mut self, bytes: &[u8]);
}

/// A file, how it is written, and what digests what is written, wherever it is.
#[derive(Debug)]
pub(super) struct Writer<W: Writing> {
    pub(super) file: Box<dyn Arriving>,
    pub(super) writing: W,
    pub(super) digest: W::Digest,
}

impl<W: Writing> Writer<W> {
    fn write(&mut self, batch: &[Bytes]) -> Result<(), StoreError> {
        batch.iter().try_for_each(|bytes| self.writing.write(&mut *self.file, bytes))
    }

    fn digest_and_write(mut self: Box<Self>, batch: &[Bytes]) -> Result<Box<Self>, StoreError> {
        batch.iter().for_each(|bytes| self.digest.pass(bytes));
        self.write(batch)?;
        Ok(self)
    }
}

/// A file that is being written. At most 512 KiB and one piece wait while a batch is written. When no bytes come, no thread is held.
#[derive(Debug)]
pub(super) struct Behind<W: Writing> {
    threads: Threads,
    waiting: Vec<Bytes>,
    length: usize,
    state: State<W>,
    durability: Option<Durability>,
}

/// What makes a file that is kept survive a power cut: each block's bytes are synced while the next block's come.
#[derive(Debug)]
struct Durability {
    file: Arc<Syncing>,
    /// Bytes that came since a sync began last.
    since: u64,
    under_way: Option<Done<Result<(), Errno>>>,
}

#[derive(Debug)]
enum State<W: Writing> {
    Resting(Box<Writer<W>>),
    Busy(Done<Result<Box<Writer<W>>, StoreError>>),
    /// The error was reported, and the file was dropped.
    Failed,
}

impl<W: Writing> Behind<W> {
    pub(super) fn new(threads: Threads, file: Box<dyn Arriving>, writing: W) -> Behind<W> {
        let durability = file.syncing().map(|file| Durability { file: Arc::new(file), since: 0, under_way: None });
        let state = State::Resting(Box::new(Writer { file, writing, digest: W::Digest::default() }));
        Behind { threads, waiting: Vec::new(), length: 0, state, durability }
    }

    pub(super) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The file, unless it is being written.
    pub(super) fn file(&self) -> Option<&dyn Arriving> {
        match &self.state {
            State::Resting(writer) => Some(&*writer.file),
            _ => None,
        }
    }

    /// Takes the next bytes; returns when there is room for more. A dropped call may have taken them or not.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.sync(bytes.len() as u64).await?;
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
        match self.state {
            State::Failed => Err(self.lost()),
            _ => Ok(()),
        }
    }

    /// Begins to sync what was written, if that is a block; waits for the sync before.
    async fn sync(&mut self, bytes: u64) -> Result<(), StoreError> {
        let Some(durability) = &mut self.durability else { return Ok(()) };
        durability.since += bytes;
        if durability.since < BLOCK {
            return Ok(());
        }
        self.synced().await?;
        if let Some(durability) = &mut self.durability {
            let file = durability.file.clone();
            durability.since = 0;
            durability.under_way = Some(self.threads.start(move || file.sync()));
        }
        Ok(())
    }

    /// Waits until no sync is under way.
    async fn synced(&mut self) -> Result<(), StoreError> {
        let under_way = self.durability.as_mut().and_then(|durability| durability.under_way.as_mut());
        let Some(under_way) = under_way else { return Ok(()) };
        let synced = under_way.await.unwrap_or_else(|_| Err(self.threads.missing()));
        if let Some(durability) = &mut self.durability {
            durability.under_way = None;
        }
        if let Err(errno) = synced {
            // The device has lost some of it, so nothing of it is used again.
            self.end(|file| file.discard()).await;
            return Err(StoreError::nowhere(Op::Sync, errno));
        }
        Ok(())
    }

    /// The writer, with everything written. A dropped call has no effect.
    pub(super) async fn resting(&mut self) -> Result<&mut Writer<W>, StoreError> {
        self.rest().await?;
        self.start();
        self.rest().await?;
        let lost = self.lost();
        match &mut self.state {
            State::Resting(writer) => Ok(writer),
            _ => Err(lost),
        }
    }

    /// The file, if nothing was written.
    pub(super) fn untouched(mut self) -> Result<Box<dyn Arriving>, StoreError> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Resting(writer) if self.waiting.is_empty() => Ok(writer.file),
            _ => Err(self.lost()),
        }
    }

    /// Makes the file complete after `prepare`.
    pub(super) async fn commit(
        mut self,
        prepare: impl FnOnce(&mut dyn Arriving) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.resting().await?;
        self.synced().await?;
        let State::Resting(mut writer) = mem::replace(&mut self.state, State::Failed) else { return Err(self.lost()) };
        let committed = self.threads.run(move || prepare(&mut *writer.file).and_then(|()| writer.file.commit()));
        committed.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Sync, errno)))
    }

    /// Removes the file, unless it failed and is gone.
    pub(super) async fn discard(mut self) {
        self.waiting.clear();
        self.end(|file| file.discard()).await;
    }

    /// Writes what waits, and keeps the file if it is one that may be kept.
    pub(super) async fn set_aside(mut self) {
        if self.rest().await.is_ok() {
            self.start();
        }
        // An error discards the file.
        let _ = self.synced().await;
        self.end(drop).await;
    }

    async fn end(&mut self, end: impl FnOnce(Box<dyn Arriving>) + Send + 'static) {
        if self.rest().await.is_ok()
            && let State::Resting(writer) = mem::replace(&mut self.state, State::Failed)
        {
            // If no thread can be started, it is done in this one.
            let _ = self.threads.run(move || end(writer.file)).await;
        }
    }

    /// Has everything that waits written, unless a batch is being written.
    fn start(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Failed) {
            State::Resting(writer) if !self.waiting.is_empty() => {
                let (batch, length) = (mem::take(&mut self.waiting), mem::take(&mut self.length));
                State::Busy(match length < BATCH {
                    true => self.threads.start(move || writer.digest_and_write(&batch)),
                    false => self.write_beside(writer, batch),
                })
            }
            other => other,
        };
    }

    /// Has a batch written while another thread digests it.
    fn write_beside(&self, mut writer: Box<Writer<W>>, batch: Vec<Bytes>) -> Done<Result<Box<Writer<W>>, StoreError>> {
        let (same, mut digest, lost) = (batch.clone(), mem::take(&mut writer.digest), self.lost());
        // It is begun first and waits for nothing, so that the thread that waits for it keeps no thread from it.
        let digested = self.threads.start(move || {
            same.iter().for_each(|bytes| digest.pass(bytes));
            digest
        });
        self.threads.start(move || {
            writer.write(&batch)?;
            writer.digest = digested.blocking_recv().map_err(|_| lost)?;
            Ok(writer)
        })
    }

    /// Waits until no batch is being written.
    async fn rest(&mut self) -> Result<(), StoreError> {
        let State::Busy(done) = &mut self.state else { return Ok(()) };
        let done = done.await.unwrap_or_else(|_| Err(self.lost()));
        self.settle(done)
    }

    /// Takes note of a batch that has been written meanwhile.
    fn look(&mut self) -> Result<(), StoreError> {
        let State::Busy(done) = &mut self.state else { return Ok(()) };
        let done = match done.try_recv() {
            Ok(done) => done,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Closed) => Err(self.lost()),
        };
        self.settle(done)
    }

    fn settle(&mut self, done: Result<Box<Writer<W>>, StoreError>) -> Result<(), StoreError> {
        match done {
            Ok(writer) => self.state = State::Resting(writer),
            Err(error) => {
                self.state = State::Failed;
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn lost(&self) -> StoreError {
        StoreError::nowhere(Op::Write, self.threads.missing())
    }
}

impl<W: Writing> Drop for Behind<W> {
    /// Removing a file is a disk's work. While a batch is being written, the thread drops the file after
    /// it: what would take it back is gone.
    fn drop(&mut self) {
        if let State::Resting(writer) = mem::replace(&mut self.state, State::Failed) {
            drop(self.threads.start(move || drop(writer)));
        }
    }
}
