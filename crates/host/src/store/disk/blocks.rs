//! A file of the local disk in blocks, in any order: both ends of a transfer that is resumed.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use unglue_proto::blocks::{BlockDigest, Blocks, Hashing};
use unglue_proto::delta::{Sum, sums};

use super::behind::{Behind, Digesting, Writing};
use super::pool::Pool;
use super::source::DiskSource;
use super::threads::{Threads, Working};
use crate::store::arriving::Arriving;
use crate::store::error::{Op, StoreError};
use crate::store::reading::Reading;
use crate::store::source::{Facts, PIECE};

/// Bytes that are read or written at once.
const PART: usize = 4 * PIECE;

/// A file of which blocks are read and digested on the store's threads.
///
/// Each call is one piece of work; several may be under way at once. Clones share the file.
#[derive(Debug, Clone)]
pub struct BlockSource {
    threads: Threads,
    file: Arc<Reading>,
    pool: Arc<Pool>,
}

/// A part of a file, and the encoded [sums](unglue_proto::delta::Sum) of its blocks.
#[derive(Debug)]
pub struct Summed {
    /// The bytes.
    pub bytes: Bytes,
    /// The sums, one after the other.
    pub sums: Bytes,
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
        BlockSource { threads, file: Arc::new(file), pool: Arc::default() }
    }

    /// What is known of the file.
    pub fn facts(&self) -> Facts {
        self.file.facts()
    }

    /// The same file, to be read from its beginning.
    ///
    /// # Errors
    /// A dropped call is still under way, or there is a clone.
    pub fn into_source(self) -> Result<DiskSource, StoreError> {
        let file = Arc::into_inner(self.file).ok_or_else(|| StoreError::nowhere(Op::Read, Errno::BUSY))?;
        Ok(DiskSource::new(self.threads, file))
    }

    /// Begins to digest a block.
    ///
    /// # Errors
    /// The file can't be read, or is shorter than it was.
    pub fn digest(&self, blocks: Blocks, block: u32) -> Working<BlockDigest> {
        let file = self.file.clone();
        let range = blocks.range(block).unwrap_or(0..0);
        self.threads.working(move || digest_of(block, range, |part, at| file.read_exact_at(part, at)))
    }

    /// Begins to read at most 1 MiB from an offset on, up to `end`, which `hashing` takes as well.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub fn read(&self, (at, end): (u64, u64), mut hashing: Hashing) -> Working<Part> {
        let (file, pool) = (self.file.clone(), self.pool.clone());
        self.threads.working(move || {
            let bytes = part_at(&file, &pool, at..end.min(at + PART as u64))?;
            hashing.pass(&bytes);
            Ok(Part { bytes, hashing })
        })
    }

    /// Begins to read a part.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub fn bytes(&self, range: Range<u64>) -> Working<Bytes> {
        let (file, pool) = (self.file.clone(), self.pool.clone());
        self.threads.working(move || part_at(&file, &pool, range))
    }

    /// Begins to read a part, and to sum up its blocks.
    ///
    /// # Errors
    /// As for [`digest`](Self::digest).
    pub fn sums(&self, range: Range<u64>, block: u32, seed: u32) -> Working<Summed> {
        let (file, pool) = (self.file.clone(), self.pool.clone());
        self.threads.working(move || {
            let bytes = part_at(&file, &pool, range)?;
            let sums = sums(&bytes, block, seed).flat_map(|sum| Sum::encode(&sum)).collect();
            Ok(Summed { bytes, sums })
        })
    }

    /// Closes the file on one of the store's threads: if it was replaced, its content is freed then, which takes a while.
    pub fn close(self) {
        drop(self.threads.start(move || drop(self.file)));
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

fn part_at(file: &Reading, pool: &Arc<Pool>, range: Range<u64>) -> Result<Bytes, StoreError> {
    let length = range.end.saturating_sub(range.start);
    pool.filled(usize::try_from(length).unwrap_or(usize::MAX), |buffer| file.read_exact_at(buffer, range.start))
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
    blocks: Blocks,
    reader: Arc<File>,
    behind: Behind<InBlocks>,
}

/// The bytes of a block; the next ones go to this offset.
#[derive(Debug)]
struct InBlocks(u64);

impl Writing for InBlocks {
    type Digest = Option<Hashing>;

    fn write(&mut self, file: &mut dyn Arriving, bytes: &[u8]) -> Result<(), StoreError> {
        file.write_at(bytes, self.0)?;
        self.0 += bytes.len() as u64;
        Ok(())
    }
}

/// Nothing before the first block.
impl Digesting for Option<Hashing> {
    fn pass(&mut self, bytes: &[u8]) {
        if let Some(hashing) = self {
            hashing.pass(bytes);
        }
    }
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
    /// The digest of a block that is there, which is read at once, before the result is awaited; nothing if it can't be read.
    /// A dropped call has no effect.
    pub fn digest(&self, block: u32) -> impl Future<Output = Option<BlockDigest>> + Send + use<> {
        let (file, range) = (self.reader.clone(), self.blocks.range(block).unwrap_or(0..0));
        let digested = self.threads.start(move || digest_of(block, range, |part, at| file.read_exact_at(part, at)));
        async move {
            let failed = match digested.await {
                Ok(Ok(digest)) => return Some(digest),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no thread can be started for it".to_owned(),
            };
            tracing::warn!(block, why = failed, "what an interrupted transfer left can't be read");
            None
        }
    }
}

impl BlockSink {
    pub(super) fn new(threads: Threads, file: Box<dyn Arriving>, blocks: Blocks) -> Result<BlockSink, StoreError> {
        let reader = Arc::new(file.reader()?);
        Ok(BlockSink { blocks, reader, behind: Behind::new(threads, file, InBlocks(0)) })
    }

    /// What digests the blocks that are there.
    pub fn prover(&self) -> Prover {
        Prover { threads: self.behind.threads().clone(), blocks: self.blocks, reader: self.reader.clone() }
    }

    /// Begins to write a block. A dropped call leaves the block before it unfinished: discard the sink then.
    ///
    /// # Errors
    /// Earlier bytes can't be written.
    pub async fn begin(&mut self, block: u32) -> Result<(), StoreError> {
        let start = self.blocks.range(block).unwrap_or(0..0).start;
        let writer = self.behind.resting().await?;
        writer.writing = InBlocks(start);
        writer.digest = Some(Hashing::of(block));
        Ok(())
    }

    /// Takes the next bytes of the block; returns when there is room for more. A dropped call may have taken the bytes or
    /// not: discard the sink then.
    ///
    /// # Errors
    /// These bytes or earlier ones can't be written.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.behind.push(bytes).await
    }

    /// The digest of the block whose bytes have all been given. A dropped call loses it: discard the sink then.
    ///
    /// # Errors
    /// Its bytes can't be written.
    pub async fn end(&mut self) -> Result<BlockDigest, StoreError> {
        let ended = self.behind.resting().await?.digest.take().map(|hashing| hashing.digest());
        ended.ok_or_else(|| self.behind.lost())
    }

    /// Makes the file complete and durable under its name. A dropped call may still complete.
    ///
    /// # Errors
    /// The destination is as it was, unless the error itself says otherwise.
    pub async fn commit(self) -> Result<(), StoreError> {
        let size = self.blocks.size();
        self.behind.commit(move |file| file.cut(size)).await
    }

    /// Removes the file: what is in it is wrong. A dropped call still removes it.
    pub async fn discard(self) {
        self.behind.discard().await;
    }

    /// Keeps the file for the next transfer. A dropped call still keeps it.
    pub async fn set_aside(self) {
        self.behind.set_aside().await;
    }
}
