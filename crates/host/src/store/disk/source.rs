//! A file of the local disk that is read ahead of its reader.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc;

use bytes::Bytes;
use unglue_proto::Meter;
use unglue_proto::message::Tally;

use super::threads::{Done, Threads};
use crate::store::error::{Op, StoreError};
use crate::store::reading::Reading;
use crate::store::source::{Facts, PIECE, Source};

/// The first piece, so that a peer that takes nothing costs little.
const FIRST: usize = 64 * 1024;
/// From so many bytes on, two pieces are read at a time: fewer hops between threads.
const WARM: u64 = 1024 * 1024;

/// A file that is being read on the store's threads, up to four pieces ahead.
///
/// At most two pieces are read at once while two others wait to be taken. When nobody takes them, no thread is held.
#[derive(Debug)]
pub struct DiskSource {
    threads: Threads,
    facts: Facts,
    ready: VecDeque<Bytes>,
    given: u64,
    reader: State,
}

#[derive(Debug)]
enum State {
    Resting(Box<Reader>),
    Busy(Done<(Box<Reader>, Batch)>),
    /// An error was reported, or a thread's work was lost.
    Failed,
}

/// What one piece of work has read.
#[derive(Debug)]
struct Batch {
    pieces: Vec<Bytes>,
    failed: Option<StoreError>,
}

/// The file, and what belongs to it, wherever it is.
#[derive(Debug)]
struct Reader {
    file: Reading,
    meter: Meter,
    ended: bool,
    /// Where buffers come back to.
    home: mpsc::Sender<Box<[u8]>>,
    returned: mpsc::Receiver<Box<[u8]>>,
}

impl DiskSource {
    pub(crate) fn new(threads: Threads, file: Reading) -> DiskSource {
        let (home, returned) = mpsc::channel();
        let facts = file.facts();
        let reader = Reader { file, meter: Meter::default(), ended: false, home, returned };
        DiskSource { threads, facts, ready: VecDeque::new(), given: 0, reader: State::Resting(Box::new(reader)) }
    }

    /// Begins to read on, unless that is under way, or as much waits to be taken as is read at once.
    fn read_ahead(&mut self) {
        let (count, size) = match self.given {
            0 if self.ready.is_empty() => (1, FIRST),
            given if given < WARM => (1, PIECE),
            _ => (2, PIECE),
        };
        if self.ready.len() >= count {
            return;
        }
        self.reader = match mem::replace(&mut self.reader, State::Failed) {
            State::Resting(mut reader) if !reader.ended => State::Busy(self.threads.start(move || {
                let batch = reader.read(count, size);
                (reader, batch)
            })),
            other => other,
        };
    }
}

impl Source for DiskSource {
    fn facts(&self) -> Facts {
        self.facts
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            self.read_ahead();
            if let Some(piece) = self.ready.pop_front() {
                self.given += piece.len() as u64;
                self.read_ahead();
                return Ok(Some(piece));
            }
            let done = match &mut self.reader {
                State::Resting(_) => return Ok(None),
                State::Failed => return Err(lost(&self.threads)),
                State::Busy(done) => done.await,
            };
            let Ok((reader, batch)) = done else {
                self.reader = State::Failed;
                return Err(lost(&self.threads));
            };
            self.ready.extend(batch.pieces);
            self.reader = State::Resting(reader);
            if let Some(error) = batch.failed {
                self.reader = State::Failed;
                return Err(error);
            }
        }
    }

    async fn apart<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
        self.threads.run(work).await.map_err(|errno| StoreError::nowhere(Op::Read, errno))
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        let State::Resting(reader) = self.reader else { return Err(lost(&self.threads)) };
        let finished = self.threads.run(move || {
            reader.file.finish()?;
            Ok(reader.meter.tally())
        });
        finished.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }
}

fn lost(threads: &Threads) -> StoreError {
    StoreError::nowhere(Op::Read, threads.missing())
}

impl Reader {
    /// Reads and digests at most `count` pieces of at most `size` bytes.
    fn read(&mut self, count: usize, size: usize) -> Batch {
        let mut batch = Batch { pieces: Vec::with_capacity(count), failed: None };
        while batch.pieces.len() < count && !self.ended && batch.failed.is_none() {
            match self.read_piece(size) {
                Ok(Some(piece)) => batch.pieces.push(piece),
                Ok(None) => {}
                Err(error) => batch.failed = Some(error),
            }
        }
        batch
    }

    fn read_piece(&mut self, size: usize) -> Result<Option<Bytes>, StoreError> {
        // A small file gets a small buffer.
        let left = self.file.left().map_or(size, |left| usize::try_from(left).unwrap_or(size));
        let size = size.min(left);
        let mut buffer = match self.returned.try_recv() {
            Ok(buffer) if buffer.len() >= size => buffer,
            _ => vec![0; size].into_boxed_slice(),
        };
        let len = self.file.read(&mut buffer[..size])?;
        self.ended = len == 0 || self.file.left() == Some(0);
        self.meter.pass(&buffer[..len]);
        Ok((len > 0).then(|| Bytes::from_owner(Loan { buffer, len, home: self.home.clone() })))
    }
}

/// A buffer that goes home to be read into again once its bytes are sent. Fresh memory would cost a fault for each page.
struct Loan {
    buffer: Box<[u8]>,
    len: usize,
    home: mpsc::Sender<Box<[u8]>>,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The file may have been read to its end meanwhile.
        let _ = self.home.send(mem::take(&mut self.buffer));
    }
}
