//! Frames as a stream of values.

use super::{Reads, spare};
use crate::{
    BytesDeframer, OwnedFrame,
    io::{Error, Sizes},
};
use bytes::BytesMut;
use core::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};
use futures_core::Stream;
use std::io;

/// A [`Stream`] of frames with bytes of their own; see [`FrameReader::into_stream`](super::FrameReader::into_stream). It
/// ends after the first error.
#[derive(Debug)]
pub struct FrameStream<R, K> {
    inner: R,
    deframer: BytesDeframer,
    buffer: BytesMut,
    sizes: Sizes,
    /// The input has ended.
    closed: bool,
    ended: bool,
    kind: PhantomData<fn() -> K>,
}

impl<R, K> FrameStream<R, K> {
    pub(super) fn new(inner: R, deframer: BytesDeframer, buffer: BytesMut, sizes: Sizes) -> FrameStream<R, K> {
        FrameStream { inner, deframer, buffer, sizes, closed: false, ended: false, kind: PhantomData }
    }

    /// The deframer: to change the framing between two frames, and to see what was skipped.
    pub fn deframer(&mut self) -> &mut BytesDeframer {
        &mut self.deframer
    }

    /// The reader itself.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The reader itself. What is read from it is missing here.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The reader. Bytes that were read from it and belong to no frame taken yet are lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The reader, and the bytes that were read from it and belong to no frame taken yet.
    pub fn into_parts(self) -> (R, BytesMut) {
        (self.inner, self.buffer)
    }
}

impl<R: Unpin, K: Reads<R>> FrameStream<R, K> {
    /// Reads once. False at the end of the input.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let (chunk, mut space) = (self.sizes.chunk(), spare::take());
        if space.len() < chunk {
            space.resize(chunk, 0);
        }
        let polled = K::poll_read(Pin::new(&mut self.inner), context, &mut space[..chunk]);
        if let Poll::Ready(Ok(bytes)) = polled {
            self.buffer.extend_from_slice(&space[..bytes]);
            self.sizes.came(bytes);
        }
        spare::give(space);
        if polled.is_pending() && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Poll::Ready(Ok(ready!(polled)? > 0))
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<OwnedFrame>, Error>> {
        loop {
            let found = if self.closed {
                self.deframer.decode_eof(&mut self.buffer)?
            } else {
                self.deframer.decode(&mut self.buffer)?
            };
            if found.is_some() || self.closed {
                return Poll::Ready(Ok(found));
            }
            self.closed = !ready!(self.poll_fill(context))?;
        }
    }
}

impl<R: Unpin, K: Reads<R>> Stream for FrameStream<R, K> {
    type Item = Result<OwnedFrame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let found = ready!(self.poll_frame(context));
        self.ended = !matches!(found, Ok(Some(_)));
        Poll::Ready(found.transpose())
    }
}
