//! A file of the local disk in blocks, in any order: both ends of a transfer that is resumed.

use std::fs::File;
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use unglue_proto::blocks::{BlockDigest, Blocks, Hashing};
use unglue_proto::delta::{Sum, sums};

use super::source::DiskSource;
use super::threads::{Done, Threads};
use crate::store::error::{Op, StoreError};
use crate::store::incoming::Incoming;
use crate::store::reading::Reading;
use crate::store::source::{Facts, PIECE};

/// Bytes that are read or written at once.
const PART: usize = 4 * PIECE;

/// A file of which blocks are read and digested on the store's threads.
///
/// Each call is one piece of work; several may be under way at once.
#[derive(Debug)]
pub struct BlockSource {
    threads: Threads,
    file: Arc<Reading>,
}

/// A part of a block, as [`BlockSource::read`] goes through it.
#[derive(Debug)]
pub struct Part {
    /// The bytes: at least one.
    pub bytes: Bytes,
    /// What has digested the block up to their end.
    pub hashing: Hashing,
}

impl BlockSource {
    pub(crate) fn new(threads: Threads, file: Reading) -> BlockSource {
        BlockSource { threads, file: Arc::new(file) }
    }

    /// What is known of the file.
    pub fn facts(&self) -> Facts {
        self.file.facts()
    }

    /// The same file, to be read from its beginning.
    ///
    /// # Errors
    /// A dropped call is still under way.
    pub fn into_source(self) -> Result<DiskSource, StoreError> {
        let file = Arc::into_inner(self.file).ok_or_else(|| StoreError::nowhere(Op::Read, Errno::BUSY))?;
        Ok(DiskSource::new(self.threads, file))
    }

    /// The digest of a block. A dropped call has no effect.
    ///
    /// # Errors
    /// The file can't be read, or is shorter than it was.
    pub async fn digest(&self, blocks: Blocks, block: u32) -> Result<BlockDigest, StoreError> {
        let file = self.file.clone();
        let range = blocks.range(block).unwrap_or(0..0);
        let digested = self.threads.run(move || digest_of(block, range, |part, at| file.read_exact_at(part, at)));
        digested.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }

    /// At most 1 MiB from an offset on, up to `end`, which `hashing` takes as well. A dropped call has no effect.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub async fn read(&self, (at, end): (u64, u64), mut hashing: Hashing) -> Result<Part, StoreError> {
        let file = self.file.clone();
        let read = self.threads.run(move || {
            let mut bytes = vec![0; PART.min(usize::try_from(end - at).unwrap_or(PART))];
            file.read_exact_at(&mut bytes, at)?;
            hashing.pass(&bytes);
            Ok(Part { bytes: bytes.into(), hashing })
        });
        read.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }

    /// The bytes of a part. A dropped call has no effect.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub async fn bytes(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let file = self.file.clone();
        let read = self.threads.run(move || part_at(&file, range).map(Bytes::from));
        read.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }

    /// The encoded [sums](unglue_proto::delta::Sum) of the blocks of a part. A dropped call has no effect.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub async fn sums(&self, range: Range<u64>, block: u32) -> Result<Bytes, StoreError> {
        let file = self.file.clone();
        let read = self.threads.run(move || {
            let bytes = part_at(&file, range)?;
            Ok(sums(&bytes, block).iter().flat_map(Sum::encode).collect())
        });
        read.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }

    /// Succeeds if the file is still what it was when it was opened. A dropped call has no effect.
    ///
    /// # Errors
    /// It changed meanwhile.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let file = self.file.clone();
        let finished = self.threads.run(move || file.unchanged());
        finished.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Read, errno)))
    }
}

fn part_at(file: &Reading, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
    let length = range.end.saturating_sub(range.start);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// As much of `buffer` as is left.
fn part_of(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    &mut buffer[..length]
}

/// A temporary file that an earlier transfer has left, of which blocks are written and digested on the store's threads.
///
/// Call [`begin`](Self::begin) for each block, then [`write`](Self::write) for its bytes; and at any time
/// [`prover`](Self::prover), for the digests of blocks that are there. [`set_aside`](Self::set_aside) keeps the file for
/// the next transfer, and so does dropping it.
#[derive(Debug)]
pub struct BlockSink {
    threads: Threads,
    blocks: Blocks,
    reader: Arc<File>,
    waiting: Vec<Bytes>,
    length: usize,
    writer: State,
}

#[derive(Debug)]
enum State {
    Resting(Box<Writer>),
    Busy(Done<Result<Box<Writer>, StoreError>>),
    /// The error was reported, and the file is gone.
    Failed,
}

#[derive(Debug)]
struct Writer {
    file: Incoming,
    /// The block that is being written, and where in the file its next byte goes.
    block: Option<(Hashing, u64)>,
}

/// Reads a block, and digests it.
fn digest_of<E>(
    block: u32,
    range: Range<u64>,
    read: impl Fn(&mut [u8], u64) -> Result<(), E>,
) -> Result<BlockDigest, E> {
    let mut hashing = Hashing::of(block);
    let mut buffer = vec![0; PIECE];
    let mut at = range.start;
    while at < range.end {
        let part = part_of(&mut buffer, range.end - at);
        read(part, at)?;
        hashing.pass(part);
        at += part.len() as u64;
    }
    Ok(hashing.digest())
}

/// Digests blocks of the temporary file.
#[derive(Debug, Clone)]
pub struct Prover {
    threads: Threads,
    blocks: Blocks,
    reader: Arc<File>,
}

impl Prover {
    /// The digest of a block that is there. A dropped call has no effect.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn digest(&self, block: u32) -> Result<BlockDigest, StoreError> {
        let (file, range) = (self.reader.clone(), self.blocks.range(block).unwrap_or(0..0));
        let digested = self.threads.run(move || digest_of(block, range, |part, at| file.read_exact_at(part, at)));
        let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let digested = digested.await.and_then(|digested| digested.map_err(failed));
        digested.map_err(|errno| StoreError::nowhere(Op::Read, errno))
    }
}

impl BlockSink {
    pub(super) fn new(threads: Threads, file: Incoming, blocks: Blocks) -> Result<BlockSink, StoreError> {
        let reader = Arc::new(file.reader()?);
        let writer = State::Resting(Box::new(Writer { file, block: None }));
        Ok(BlockSink { threads, blocks, reader, waiting: Vec::new(), length: 0, writer })
    }

    /// What digests the blocks that are there.
    pub fn prover(&self) -> Prover {
        Prover { threads: self.threads.clone(), blocks: self.blocks, reader: self.reader.clone() }
    }

    /// Begins to write a block. A dropped call leaves the block before it unfinished: discard the sink then.
    ///
    /// # Errors
    /// Earlier bytes can't be written.
    pub async fn begin(&mut self, block: u32) -> Result<(), StoreError> {
        let start = self.blocks.range(block).unwrap_or(0..0).start;
        self.resting().await?.block = Some((Hashing::of(block), start));
        Ok(())
    }

    /// Takes the next bytes of the block; returns when there is room for more. A dropped call may have taken the bytes or
    /// not: discard the sink then.
    ///
    /// # Errors
    /// These bytes or earlier ones can't be written.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.length += bytes.len();
        self.waiting.push(bytes);
        if self.length < PART {
            return Ok(());
        }
        self.rest().await?;
        self.start();
        Ok(())
    }

    /// The digest of the block whose bytes have all been given. A dropped call loses it: discard the sink then.
    ///
    /// # Errors
    /// Its bytes can't be written.
    pub async fn end(&mut self) -> Result<BlockDigest, StoreError> {
        let writer = self.resting().await?;
        let ended = writer.block.take().map(|(hashing, _)| hashing.digest());
        ended.ok_or_else(|| self.lost())
    }

    /// Makes the file complete and durable under its name. A dropped call may still complete.
    ///
    /// # Errors
    /// The destination is as it was, unless the error itself says otherwise.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.resting().await?;
        let State::Resting(mut writer) = mem::replace(&mut self.writer, State::Failed) else { return Err(self.lost()) };
        let size = self.blocks.size();
        let committed = self.threads.run(move || writer.file.cut(size).and_then(|()| writer.file.commit()));
        committed.await.unwrap_or_else(|errno| Err(StoreError::nowhere(Op::Sync, errno)))
    }

    /// Removes the file: what is in it is wrong. A dropped call still removes it.
    pub async fn discard(mut self) {
        self.finish(|file| file.discard()).await;
    }

    /// Keeps the file for the next transfer. A dropped call still keeps it.
    pub async fn set_aside(mut self) {
        self.finish(drop).await;
    }

    async fn finish(&mut self, end: impl FnOnce(Incoming) + Send + 'static) {
        if self.rest().await.is_ok()
            && let State::Resting(writer) = mem::replace(&mut self.writer, State::Failed)
        {
            let _ = self.threads.run(move || end(writer.file)).await;
        }
    }

    /// The writer, with everything written.
    async fn resting(&mut self) -> Result<&mut Writer, StoreError> {
        self.rest().await?;
        self.start();
        self.rest().await?;
        let lost = self.lost();
        match &mut self.writer {
            State::Resting(writer) => Ok(writer),
            _ => Err(lost),
        }
    }

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

    async fn rest(&mut self) -> Result<(), StoreError> {
        let State::Busy(done) = &mut self.writer else { return Ok(()) };
        let done = done.await.unwrap_or_else(|_| Err(self.lost()));
        match done {
            Ok(writer) => self.writer = State::Resting(writer),
            Err(error) => {
                self.writer = State::Failed;
                return Err(error);
            }
        }
        Ok(())
    }

    fn lost(&self) -> StoreError {
        StoreError::nowhere(Op::Write, self.threads.missing())
    }
}

impl Drop for BlockSink {
    fn drop(&mut self) {
        if let State::Resting(writer) = mem::replace(&mut self.writer, State::Failed) {
            drop(self.threads.start(move || drop(writer)));
        }
    }
}

impl Writer {
    fn write(mut self: Box<Self>, batch: Vec<Bytes>) -> Result<Box<Writer>, StoreError> {
        let Some((mut hashing, mut at)) = self.block.take() else { return Ok(self) };
        for bytes in batch {
            hashing.pass(&bytes);
            self.file.write_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        self.block = Some((hashing, at));
        Ok(self)
    }
}
