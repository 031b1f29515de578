//! Writing frames.

use crate::{
    EncodeError, Enframer, Framing,
    io::{CHUNK, Error},
};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use std::io::{ErrorKind, IoSlice};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Writes frames to an [`AsyncWrite`]. Frames are gathered until 64 KiB are there or [`flush`](Self::flush) is called.
///
/// All its methods are cancel-safe: a frame is taken in whole before anything is awaited, or not at all, and what was
/// not written yet goes out with the next call.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
    enframer: Enframer,
    waiting: Vec<u8>,
    /// Bytes of `waiting` that were written.
    sent: usize,
    /// Data that follows `waiting`, and what follows it.
    large: Bytes,
    trailer: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer of frames.
    pub fn new(inner: W, framing: Framing) -> FrameWriter<W> {
        FrameWriter {
            inner,
            enframer: Enframer::new(framing),
            waiting: Vec::new(),
            sent: 0,
            large: Bytes::new(),
            trailer: Vec::new(),
        }
    }

    /// Takes a frame in without writing anything: the fastest way for many small ones. Call [`flush`](Self::flush) once
    /// [`is_full`](Self::is_full), and at the end; nothing bounds what is taken in but that.
    ///
    /// # Errors
    /// The message doesn't fit: nothing of it was taken in. Data given to [`write_bytes`](Self::write_bytes) is still
    /// being written, since that call was cancelled or failed: `flush` first.
    #[inline]
    pub fn put(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error> {
        if !self.large.is_empty() {
            return Err(std::io::Error::from(ErrorKind::WouldBlock).into());
        }
        Ok(self.enframer.encode(fields, data, &mut self.waiting)?)
    }

    /// Whether 64 KiB wait to be written.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= CHUNK
    }

    /// Writes a frame with these fields (in the layout's order, lengths left out) and this data, which is copied.
    ///
    /// # Errors
    /// The message doesn't fit: nothing of it was taken in. Writing failed.
    pub async fn write(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error> {
        if self.waiting.len() >= CHUNK || !self.large.is_empty() {
            self.send().await?;
        }
        Ok(self.enframer.encode(fields, data, &mut self.waiting)?)
    }

    /// As [`write`](Self::write), for large data: it isn't copied but held until it is written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_bytes(&mut self, fields: &[u64], data: Bytes) -> Result<(), Error> {
        if data.len() < CHUNK {
            return self.write(fields, &data).await;
        }
        if !self.large.is_empty() {
            self.send().await?;
        }
        match self.enframer.header(fields, data.len() as u64, &mut self.waiting) {
            Ok(()) => {
                self.large = data;
                self.enframer.trailer(fields, &mut self.trailer);
                self.send().await
            }
            Err(EncodeError::NeedsData) => self.write(fields, &data).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what waits, and flushes the writer.
    ///
    /// # Errors
    /// Writing failed. What was not written is kept.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.send().await?;
        Ok(self.inner.flush().await?)
    }

    /// Flushes, and ends the stream.
    ///
    /// # Errors
    /// Writing failed. What was not written is kept.
    pub async fn shutdown(&mut self) -> Result<(), Error> {
        self.flush().await?;
        Ok(self.inner.shutdown().await?)
    }

    async fn send(&mut self) -> Result<(), Error> {
        while self.sent < self.waiting.len() || !self.large.is_empty() {
            let rest = &self.waiting[self.sent..];
            let bytes = if self.large.is_empty() {
                self.inner.write(rest).await?
            } else {
                self.inner.write_vectored(&[IoSlice::new(rest), IoSlice::new(&self.large)]).await?
            };
            if bytes == 0 {
                return Err(std::io::Error::from(ErrorKind::WriteZero).into());
            }
            self.wrote(bytes);
        }
        Ok(())
    }

    /// Moves past what was written. Nothing here awaits: a cancelled call has done all of it or nothing.
    fn wrote(&mut self, bytes: usize) {
        let small = bytes.min(self.waiting.len() - self.sent);
        self.sent += small;
        self.large.advance(bytes - small);
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.sent = 0;
            if self.large.is_empty() {
                self.large = Bytes::new();
                self.waiting.append(&mut self.trailer);
            }
        }
    }

    /// The writer itself.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }
}
