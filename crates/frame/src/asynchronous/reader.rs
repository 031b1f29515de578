//! Reading frames.

use super::{FrameStream, Reads, spare};
use crate::{
    Deframer, Frame, Frames, Framing,
    delegate::reader_methods,
    io::{Error, Sizes},
};
use core::{
    future::poll_fn,
    marker::PhantomData,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

/// Reads frames. All its methods are cancel-safe: bytes that were read are kept, a frame that has begun goes on with the
/// next call.
///
/// While it waits for input, it holds the bytes of a frame that has begun, and at most 4 KiB beside.
#[derive(Debug)]
pub struct FrameReader<R, K> {
    inner: R,
    deframer: Deframer,
    sizes: Sizes,
    kind: PhantomData<fn() -> K>,
}

impl<R, K> FrameReader<R, K> {
    /// A reader of frames, from where `inner` stands.
    pub fn new(inner: R, framing: Framing) -> FrameReader<R, K> {
        FrameReader { inner, deframer: Deframer::new(framing), sizes: Sizes::default(), kind: PhantomData }
    }

    /// A reader of frames that begin with `bytes`, which were read before, and go on where `inner` stands.
    pub fn from_parts(inner: R, framing: Framing, bytes: &[u8]) -> FrameReader<R, K> {
        let mut reader = FrameReader::new(inner, framing);
        reader.deframer.feed(bytes);
        reader
    }

    /// Asks for so many bytes at once: the fewest at first, and more while all come that were asked for. Unless said, 4
    /// KiB to 256 KiB.
    pub fn with_chunks(mut self, bytes: RangeInclusive<usize>) -> FrameReader<R, K> {
        self.sizes = Sizes::new(bytes);
        self
    }

    /// The bytes between two frames as they are, for a while: a reader of those that belong to no frame taken yet, and
    /// of what follows them.
    pub fn raw(&mut self) -> Raw<'_, R, K> {
        Raw { reader: self }
    }

    /// The frames as a `Stream`, with bytes of their own.
    pub fn into_stream(self) -> FrameStream<R, K> {
        let (deframer, bytes) = self.deframer.into_owning();
        FrameStream::new(self.inner, deframer, bytes, self.sizes)
    }

    reader_methods!(R);
}

impl<R: Unpin, K: Reads<R>> FrameReader<R, K> {
    /// The next frame, or `None` where the input ends between two frames. Cancelling it loses nothing: what was read is
    /// kept for the next call.
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
    /// between two frames. Cancelling it loses nothing: what was read is kept for the next call.
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
        Ok(poll_fn(|context| self.poll_fill(context)).await?)
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let chunk = self.sizes.chunk();
        self.deframer.lend(chunk, spare::take);
        let space = &mut self.deframer.space(chunk)[..chunk];
        let polled = K::poll_read(Pin::new(&mut self.inner), context, space);
        if polled.is_pending() {
            // Nobody knows for how long: what is large is better off elsewhere.
            self.deframer.shed(spare::give);
        }
        let bytes = ready!(polled)?;
        self.deframer.filled(bytes);
        self.sizes.came(bytes);
        Poll::Ready(Ok(bytes > 0))
    }
}

/// The bytes between two frames, as they are; see [`FrameReader::raw`]. It implements the `AsyncRead` of its reader.
#[derive(Debug)]
pub struct Raw<'a, R, K> {
    reader: &'a mut FrameReader<R, K>,
}

impl<R: Unpin, K: Reads<R>> Raw<'_, R, K> {
    fn poll(&mut self, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.reader.deframer.copy_raw(space) {
                Some(0) => break,
                Some(there) => return Poll::Ready(Ok(there)),
                None if !ready!(self.reader.poll_fill(context))? => return Poll::Ready(Ok(0)),
                None => {}
            }
        }
        let bytes = ready!(K::poll_read(Pin::new(&mut self.reader.inner), context, space))?;
        self.reader.deframer.passed(bytes);
        Poll::Ready(Ok(bytes))
    }
}

#[cfg(feature = "tokio")]
impl<R: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Raw<'_, R, crate::with_tokio::Tokio> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.poll(context, space.initialize_unfilled()))?;
        space.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "futures")]
impl<R: futures_io::AsyncRead + Unpin> futures_io::AsyncRead for Raw<'_, R, crate::with_futures::Futures> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(context, space)
    }
}
