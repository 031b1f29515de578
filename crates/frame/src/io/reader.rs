//! Reading frames.

use super::{CHUNK, Error, next_chunk};
use crate::{Deframer, Frame, Frames, Framing};
use alloc::vec::Vec;
use std::io::{ErrorKind, Read};

/// Reads frames from a [`Read`]. It has a buffer of its own: a [`BufReader`](std::io::BufReader) in between only copies.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    deframer: Deframer,
    /// Bytes asked for at once: more once as many came.
    chunk: usize,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// A reader of frames, from where `inner` stands.
    pub fn new(inner: R, framing: Framing) -> FrameReader<R> {
        FrameReader { inner, deframer: Deframer::new(framing), chunk: CHUNK, ended: false }
    }

    /// The next frame, or `None` where the input ends between two frames.
    ///
    /// # Errors
    /// Reading failed: it may be called again. The bytes are no frame, or the input ended inside one: that is final.
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        loop {
            if let Some(found) = self.deframer.locate()? {
                return Ok(Some(self.deframer.located(found)));
            }
            if !self.fill()? {
                return Ok(self.deframer.end()?);
            }
        }
    }

    /// The frames that are there after at most one read, perhaps none: the fastest way. `None` where the input ends
    /// between two frames.
    ///
    /// # Errors
    /// Reading failed, or the input ended inside a frame. Bad bytes are the iterator's last item.
    pub fn batch(&mut self) -> Result<Option<Frames<'_, '_, 'static>>, Error> {
        if !self.deframer.waiting() && !self.fill()? && !self.deframer.close() {
            self.deframer.finish()?;
            return Ok(None);
        }
        Ok(Some(self.deframer.batch()))
    }

    /// Reads once. False at the end of the input.
    fn fill(&mut self) -> Result<bool, Error> {
        while !self.ended {
            let space = &mut self.deframer.space(self.chunk)[..self.chunk];
            match self.inner.read(space) {
                Ok(0) => self.ended = true,
                Ok(bytes) => {
                    self.deframer.filled(bytes);
                    self.chunk = next_chunk(self.chunk, bytes);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The stream offset of the first byte that belongs to no frame taken yet.
    pub fn offset(&self) -> u64 {
        self.deframer.offset()
    }

    /// The reader itself.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader, and the bytes that were read from it and belong to no frame taken yet.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        (self.inner, self.deframer.into_parts())
    }
}
