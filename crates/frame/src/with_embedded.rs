//! Frames over the readers and writers of `embedded-io`, without std.
//!
//! ```
//! use unglue_frame::{Framing, with_embedded::{FrameReader, FrameWriter}};
//!
//! let mut writer = FrameWriter::new(Vec::new(), Framing::cobs());
//! writer.write(&[], b"hello")?;
//! let wire = writer.into_inner();
//! let mut reader = FrameReader::new(&wire[..], Framing::cobs(), 64);
//! assert_eq!(reader.next()?.unwrap().data(), b"hello");
//! # Ok::<(), unglue_frame::with_embedded::Error<core::convert::Infallible>>(())
//! ```

use crate::{
    DecodeError, Deframer, EncodeError, Enframer, Frame, Framing,
    delegate::{reader_methods, writer_methods},
};
use alloc::vec::Vec;
use core::fmt;
use embedded_io::{Read, Write};

/// What ends reading or writing frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The reader or writer failed.
    Io(E),
    /// The bytes read are no frame, or end inside one.
    Decode(DecodeError),
    /// The message doesn't fit the framing. Nothing was written.
    Encode(EncodeError),
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "reading or writing failed: {error:?}"),
            Error::Decode(error) => error.fmt(f),
            Error::Encode(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

impl<E> From<DecodeError> for Error<E> {
    fn from(error: DecodeError) -> Error<E> {
        Error::Decode(error)
    }
}

impl<E> From<EncodeError> for Error<E> {
    fn from(error: EncodeError) -> Error<E> {
        Error::Encode(error)
    }
}

/// Reads frames from a [`Read`].
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    deframer: Deframer,
    chunk: usize,
}

impl<R> FrameReader<R> {
    /// A reader of frames, from where `inner` stands, that asks for `chunk` bytes at once.
    pub fn new(inner: R, framing: Framing, chunk: usize) -> FrameReader<R> {
        FrameReader { inner, deframer: Deframer::new(framing), chunk: chunk.max(1) }
    }

    /// The deframer: to change the framing, to skip bytes or to take raw ones between two frames.
    pub fn deframer(&mut self) -> &mut Deframer {
        &mut self.deframer
    }

    reader_methods!(R);
}

impl<R: Read> FrameReader<R> {
    /// The next frame, or `None` where the input ends between two frames.
    ///
    /// # Errors
    /// Reading failed: it may be called again. The bytes are no frame, or the input ended inside one: that is final.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error<R::Error>> {
        loop {
            if let Some(found) = self.deframer.locate()? {
                return Ok(Some(self.deframer.located(found)));
            }
            let space = &mut self.deframer.space(self.chunk)[..self.chunk];
            match self.inner.read(space).map_err(Error::Io)? {
                0 => return Ok(self.deframer.end()?),
                bytes => self.deframer.filled(bytes),
            }
        }
    }
}

/// Writes frames to a [`Write`], each at once.
#[derive(Debug)]
pub struct FrameWriter<W> {
    inner: W,
    enframer: Enframer,
    frame: Vec<u8>,
}

impl<W> FrameWriter<W> {
    /// A writer of frames.
    pub fn new(inner: W, framing: Framing) -> FrameWriter<W> {
        FrameWriter { inner, enframer: Enframer::new(framing), frame: Vec::new() }
    }

    /// The writer itself: nothing waits here to be written.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.inner
    }

    writer_methods!(W);
}

impl<W: Write> FrameWriter<W> {
    /// Writes a frame with these fields (in the layout's order, lengths left out) and this data.
    ///
    /// # Errors
    /// The message doesn't fit: nothing of it was written. Writing failed: how much was written isn't known.
    pub fn write(&mut self, fields: &[u64], data: &[u8]) -> Result<(), Error<W::Error>> {
        self.frame.clear();
        self.enframer.encode(fields, data, &mut self.frame)?;
        self.inner.write_all(&self.frame).map_err(Error::Io)
    }

    /// Flushes the writer.
    ///
    /// # Errors
    /// Writing failed.
    pub fn flush(&mut self) -> Result<(), Error<W::Error>> {
        self.inner.flush().map_err(Error::Io)
    }
}
