//! Where the bytes of a transfer come from.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use unglue_proto::Meter;
use unglue_proto::message::{Tally, Time};

use super::error::{Op, StoreError};

/// Bytes that are read at once.
pub(super) const PIECE: usize = 256 * 1024;

/// Gives the bytes of one file, in order.
///
/// Call [`next`](Self::next) until it gives nothing, then [`finish`](Self::finish): only when that succeeds were the bytes
/// those of one unchanged file. A source that is dropped before has no effect.
///
/// A source counts and digests what it gives with a [`Meter`], on whichever thread that costs least. An implementation
/// holds a bounded number of bytes, and no thread, while nobody asks for the next ones.
///
/// An object store's source is a ranged `GET`: `next` awaits the response's next chunk, and `finish` compares the entity
/// tag and the length with those of the first response.
pub trait Source: Send {
    /// What is known of the file before it is read.
    fn facts(&self) -> Facts;

    /// The next bytes, at least one; `None` at the end. A dropped call loses no bytes.
    ///
    /// # Errors
    /// The file can't be read.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;

    /// Has work done that takes a millisecond or more, on a thread where it keeps no other task waiting, if the source has one. It
    /// is done even if the call is dropped.
    ///
    /// # Errors
    /// The work panicked, or the system gives no thread.
    fn apart<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        std::future::ready(Ok(work()))
    }

    /// How many bytes were given, and their digest.
    ///
    /// # Errors
    /// The file changed while it was read.
    fn finish(self) -> impl Future<Output = Result<Tally, StoreError>> + Send;
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The number of bytes that will come; `None` where only the end shows it.
    pub size: Option<u64>,
    /// The permission bits, set-id and sticky bits left out.
    pub mode: u32,
    /// The time of the last modification, where the source has one.
    pub modified: Option<Time>,
}

impl Default for Facts {
    /// Nothing is known. The mode is the one that a shell's `>` gives, before the umask.
    fn default() -> Facts {
        Facts { size: None, mode: 0o666, modified: None }
    }
}

impl Facts {
    /// The same with this size.
    pub fn with_size(self, size: Option<u64>) -> Facts {
        Facts { size, ..self }
    }

    /// The same with these permission bits.
    pub fn with_mode(self, mode: u32) -> Facts {
        Facts { mode: mode & 0o777, ..self }
    }

    /// The same with this time of the last modification.
    pub fn with_modified(self, modified: Option<Time>) -> Facts {
        Facts { modified, ..self }
    }
}

/// Bytes in memory.
#[derive(Debug)]
pub struct BytesSource {
    left: Bytes,
    facts: Facts,
    meter: Meter,
}

impl BytesSource {
    /// Gives `bytes`, whose number overrides the size in `facts`.
    pub fn new(bytes: Bytes, facts: Facts) -> BytesSource {
        let facts = facts.with_size(Some(bytes.len() as u64));
        BytesSource { left: bytes, facts, meter: Meter::default() }
    }
}

impl Source for BytesSource {
    fn facts(&self) -> Facts {
        self.facts
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let piece = self.left.split_to(self.left.len().min(PIECE));
        self.meter.pass(&piece);
        Ok((!piece.is_empty()).then_some(piece))
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        Ok(self.meter.tally())
    }
}

/// Whatever an [`AsyncRead`] gives, up to its end.
#[derive(Debug)]
pub struct ReaderSource<R> {
    reader: R,
    buffer: BytesMut,
    facts: Facts,
    meter: Meter,
}

impl<R: AsyncRead + Unpin + Send> ReaderSource<R> {
    /// Reads `reader` to its end. If `facts` has a size, any other number of bytes is an error.
    pub fn new(reader: R, facts: Facts) -> ReaderSource<R> {
        ReaderSource { reader, buffer: BytesMut::new(), facts, meter: Meter::default() }
    }

    fn failed(error: std::io::Error) -> StoreError {
        StoreError::stream(Op::Read, error)
    }
}

impl<R: AsyncRead + Unpin + Send> Source for ReaderSource<R> {
    fn facts(&self) -> Facts {
        self.facts
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.buffer.reserve(PIECE);
        let mut limited = (&mut self.reader).take(PIECE as u64);
        if limited.read_buf(&mut self.buffer).await.map_err(Self::failed)? == 0 {
            return Ok(None);
        }
        let piece = self.buffer.split().freeze();
        self.meter.pass(&piece);
        match self.facts.size.filter(|&size| self.meter.bytes() > size) {
            None => Ok(Some(piece)),
            Some(size) => Err(StoreError::length(size, self.meter.bytes())),
        }
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        match self.facts.size.filter(|&size| self.meter.bytes() != size) {
            None => Ok(self.meter.tally()),
            Some(size) => Err(StoreError::length(size, self.meter.bytes())),
        }
    }
}
