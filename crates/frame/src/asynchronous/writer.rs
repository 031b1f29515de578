//! Writing frames.

use super::{Writes, spare};
use crate::{
    EncodeError, Enframer, Framing,
    delegate::writer_methods,
    io::{CHUNK, Error, IDLE},
};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::{
    future::poll_fn,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use futures_sink::Sink;
use std::io::{self, ErrorKind, IoSlice};

/// Writes frames. They are gathered until 64 KiB are there or [`flush`](Self::flush) is called. It is also a [`Sink`]: of
/// data, and of fields with data.
///
/// All its methods are cancel-safe: a frame is taken in whole before anything is awaited, or not at all, and what was
/// not written yet goes out with the next call.
#[derive(Debug)]
pub struct FrameWriter<W, K> {
    inner: W,
    enframer: Enframer,
    waiting: Vec<u8>,
    /// Bytes of `waiting` that were written.
    sent: usize,
    /// Data that follows `waiting`, and what follows it.
    large: Bytes,
    trailer: Vec<u8>,
    kind: PhantomData<fn() -> K>,
}

impl<W, K> FrameWriter<W, K> {
    /// A writer of frames.
    pub fn new(inner: W, framing: Framing) -> FrameWriter<W, K> {
        FrameWriter {
            inner,
            enframer: Enframer::new(framing),
            waiting: Vec::new(),
            sent: 0,
            large: Bytes::new(),
            trailer: Vec::new(),
            kind: PhantomData,
        }
    }

    /// A writer of frames behind `bytes`, which weren't written yet.
    pub fn from_parts(inner: W, framing: Framing, bytes: Vec<u8>) -> FrameWriter<W, K> {
        FrameWriter { waiting: bytes, ..FrameWriter::new(inner, framing) }
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
            return Err(io::Error::from(ErrorKind::WouldBlock).into());
        }
        self.borrow();
        Ok(self.enframer.encode(fields, data, &mut self.waiting)?)
    }

    /// As [`put`](Self::put), for bytes that are not a frame, such as those between two phases of a protocol.
    ///
    /// # Errors
    /// As [`put`](Self::put), for the second reason.
    pub fn put_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !self.large.is_empty() {
            return Err(io::Error::from(ErrorKind::WouldBlock).into());
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether 64 KiB wait to be written.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= CHUNK
    }

    /// A buffer to gather frames in, instead of one that grows.
    #[inline]
    fn borrow(&mut self) {
        if self.waiting.capacity() == 0 {
            self.waiting = spare::take();
            self.waiting.clear();
        }
    }

    /// Takes data in that isn't copied. Nothing large must be waiting.
    fn take(&mut self, fields: &[u64], data: Bytes) -> Result<(), Error> {
        self.borrow();
        if data.len() < CHUNK {
            return Ok(self.enframer.encode(fields, &data, &mut self.waiting)?);
        }
        match self.enframer.header(fields, data.len() as u64, &mut self.waiting) {
            Ok(()) => {
                self.large = data;
                self.enframer.trailer(fields, &mut self.trailer);
                Ok(())
            }
            Err(EncodeError::NeedsData) => Ok(self.enframer.encode(fields, &data, &mut self.waiting)?),
            Err(error) => Err(error.into()),
        }
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

    /// The writer itself. What is written to it overtakes what waits here: `flush` first.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The writer. What was not written is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// The writer, and the bytes that wait to be written to it.
    pub fn into_parts(self) -> (W, Vec<u8>) {
        let mut rest = Vec::from(&self.waiting[self.sent..]);
        rest.extend_from_slice(&self.large);
        rest.extend_from_slice(&self.trailer);
        (self.inner, rest)
    }

    writer_methods!(W);
}

impl<W: Unpin, K: Writes<W>> FrameWriter<W, K> {
    /// Writes a frame with these fields (in the layout's order, lengths left out) and this data, which is copied.
    /// Cancelled, it has taken in nothing of the message.
    ///
    /// # Errors
    /// The message doesn't fit: nothing of it was taken in. Writing failed.
    pub async fn write(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error> {
        self.ready().await?;
        self.put(fields, data)
    }

    /// As [`write`](Self::write), for large data: it isn't copied but held until it is written. Cancelled, it has taken
    /// in the whole message or nothing of it. What was taken in and not written yet is written by the next call.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_bytes(&mut self, fields: &[u64], data: Bytes) -> Result<(), Error> {
        self.ready().await?;
        self.take(fields, data)?;
        if self.large.is_empty() { Ok(()) } else { Ok(self.send().await?) }
    }

    /// As [`write`](Self::write), for bytes that are not a frame. Cancelled, it has taken in none of the bytes.
    ///
    /// # Errors
    /// Writing failed.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.ready().await?;
        self.put_raw(bytes)
    }

    /// Writes what waits, and flushes the writer. Cancelling it loses nothing: what was not written is kept.
    ///
    /// # Errors
    /// Writing failed. What was not written is kept.
    pub async fn flush(&mut self) -> Result<(), Error> {
        Ok(poll_fn(|context| self.poll_flushed(context)).await?)
    }

    /// Flushes, and ends the stream. Cancelling it loses nothing: what was not written is kept.
    ///
    /// # Errors
    /// Writing failed. What was not written is kept.
    pub async fn shutdown(&mut self) -> Result<(), Error> {
        self.flush().await?;
        Ok(poll_fn(|context| K::poll_close(Pin::new(&mut self.inner), context)).await?)
    }

    async fn ready(&mut self) -> io::Result<()> {
        if self.is_full() || !self.large.is_empty() { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_send(context)).await
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() || !self.large.is_empty() {
            let parts = [IoSlice::new(&self.waiting[self.sent..]), IoSlice::new(&self.large)];
            let parts = if self.large.is_empty() { &parts[..1] } else { &parts };
            match ready!(K::poll_write(Pin::new(&mut self.inner), context, parts))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                bytes => self.wrote(bytes),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flushed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        if self.waiting.capacity() > IDLE {
            spare::give(mem::take(&mut self.waiting));
        }
        K::poll_flush(Pin::new(&mut self.inner), context)
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_full() || !self.large.is_empty() {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: Unpin, K: Writes<W>> Sink<(Vec<u64>, Bytes)> for FrameWriter<W, K> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_room(context)
    }

    fn start_send(mut self: Pin<&mut Self>, (fields, data): (Vec<u64>, Bytes)) -> Result<(), Error> {
        self.take(&fields, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(ready!(self.poll_flushed(context))?))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_flushed(context))?;
        Poll::Ready(Ok(ready!(K::poll_close(Pin::new(&mut self.inner), context))?))
    }
}

impl<W: Unpin, K: Writes<W>> Sink<Bytes> for FrameWriter<W, K> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_room(context)
    }

    fn start_send(mut self: Pin<&mut Self>, data: Bytes) -> Result<(), Error> {
        self.take(&[], data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<(Vec<u64>, Bytes)>::poll_flush(self, context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<(Vec<u64>, Bytes)>::poll_close(self, context)
    }
}
