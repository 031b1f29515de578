//! Writing frames.

use super::{CHUNK, Error};
use crate::{EncodeError, Enframer, Framing, delegate::writer_methods};
use alloc::vec::Vec;
use std::io::{self, ErrorKind, IoSlice, Write};

/// Writes frames to a [`Write`]. Small ones are gathered until 64 KiB are there or [`flush`](Self::flush) is called;
/// large ones aren't copied, but written together with their header.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
    enframer: Enframer,
    waiting: Vec<u8>,
    /// Bytes of `waiting` that were written.
    sent: usize,
}

impl<W> FrameWriter<W> {
    /// A writer of frames.
    pub fn new(inner: W, framing: Framing) -> FrameWriter<W> {
        FrameWriter { inner, enframer: Enframer::new(framing), waiting: Vec::new(), sent: 0 }
    }

    /// A writer of frames behind `bytes`, which weren't written yet.
    pub fn from_parts(inner: W, framing: Framing, bytes: Vec<u8>) -> FrameWriter<W> {
        FrameWriter { waiting: bytes, ..FrameWriter::new(inner, framing) }
    }

    /// The writer itself. What is written to it overtakes what waits here: `flush` first.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The writer, and the bytes that wait to be written to it.
    pub fn into_parts(mut self) -> (W, Vec<u8>) {
        self.waiting.drain(..self.sent);
        (self.inner, self.waiting)
    }

    writer_methods!(W);
}

impl<W: Write> FrameWriter<W> {
    /// Writes bytes that are no frame, such as those between two phases of a protocol, in order with the frames.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= CHUNK { Ok(self.send()?) } else { Ok(()) }
    }

    /// Writes a frame with these fields (in the layout's order, lengths left out) and this data.
    ///
    /// # Errors
    /// The message doesn't fit: nothing of it was written. Writing failed: call [`flush`](Self::flush) to go on where
    /// it stopped, if the writer allows that; a frame of 64 KiB or more is lost with the error.
    #[inline]
    pub fn write(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error> {
        if data.len() >= CHUNK {
            return self.write_large(fields, data);
        }
        self.enframer.encode(fields, data, &mut self.waiting)?;
        if self.waiting.len() >= CHUNK { Ok(self.send()?) } else { Ok(()) }
    }

    /// Writes the header, the data where it lies, and the trailer.
    #[inline(never)]
    fn write_large(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error> {
        match self.enframer.header(fields, data.len() as u64, &mut self.waiting) {
            Ok(()) => {}
            Err(EncodeError::NeedsData) => {
                self.enframer.encode(fields, data, &mut self.waiting)?;
                return Ok(self.send()?);
            }
            Err(error) => return Err(error.into()),
        }
        let mut written = 0;
        while self.sent < self.waiting.len() && written == 0 {
            let parts = [IoSlice::new(&self.waiting[self.sent..]), IoSlice::new(data)];
            let bytes = once(|| self.inner.write_vectored(&parts))?;
            let head = bytes.min(self.waiting.len() - self.sent);
            self.sent += head;
            written = bytes - head;
        }
        self.forget_sent();
        self.inner.write_all(&data[written..])?;
        self.enframer.trailer(fields, &mut self.waiting);
        Ok(())
    }

    /// Writes what waits, and flushes the writer.
    ///
    /// # Errors
    /// Writing failed. What was not written is kept.
    pub fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.inner.flush()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.waiting.len() {
            self.sent += once(|| self.inner.write(&self.waiting[self.sent..]))?;
        }
        self.forget_sent();
        Ok(())
    }

    fn forget_sent(&mut self) {
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.sent = 0;
        }
    }

    /// The writer, with everything written to it.
    ///
    /// # Errors
    /// Writing failed; what was not written is lost.
    pub fn into_inner(mut self) -> Result<W, Error> {
        self.flush()?;
        Ok(self.inner)
    }
}

/// Calls `write` until a signal doesn't interrupt it. Nothing written is an error.
fn once(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
