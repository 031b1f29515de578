//! Reading frames.

use crate::{
    Deframer, Frame, Frames, Framing,
    io::{CHUNK, Error, next_chunk},
};
use alloc::vec::Vec;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads frames from an [`AsyncRead`]. All its methods are cancel-safe: bytes that were read are kept, a frame that has
/// begun goes on with the next call.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    deframer: Deframer,
    /// Bytes asked for at once: more once as many came.
    chunk: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of frames, from where `inner` stands.
    pub fn new(inner: R, framing: Framing) -> FrameReader<R> {
        FrameReader { inner, deframer: Deframer::new(framing), chunk: CHUNK }
    }

    /// The next frame, or `None` where the input ends between two frames.
    ///
    /// # Errors
    /// Reading failed: it may be called again. The bytes are no frame, or the input ended inside one: that is final.
    pub async fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        loop {
            if let Some(found) = self.deframer.locate()? {
                return Ok(Some(self.deframer.located(found)));
            }
            if !self.fill().await? {
                return Ok(self.deframer.end()?);
            }
        }
    }

    /// The frames that are there after at most one read, perhaps none: the fastest way. `None` where the input ends
    /// between two frames.
    ///
    /// # Errors
    /// Reading failed, or the input ended inside a frame. Bad bytes are the iterator's last item.
    pub async fn batch(&mut self) -> Result<Option<Frames<'_, '_, 'static>>, Error> {
        if !self.deframer.waiting() && !self.fill().await? && !self.deframer.close() {
            self.deframer.finish()?;
            return Ok(None);
        }
        Ok(Some(self.deframer.batch()))
    }

    /// Reads once. False at the end of the input.
    async fn fill(&mut self) -> Result<bool, Error> {
        let space = &mut self.deframer.space(self.chunk)[..self.chunk];
        let bytes = self.inner.read(space).await?;
        self.deframer.filled(bytes);
        self.chunk = next_chunk(self.chunk, bytes);
        Ok(bytes > 0)
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
