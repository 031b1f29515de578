//! Frames over tokio's readers and writers.
//!
//! ```
//! use unglue_frame::{Framing, with_tokio::{FrameReader, FrameWriter}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unglue_frame::io::Error> {
//! let (near, far) = tokio::io::duplex(64);
//! let mut writer = FrameWriter::new(near, Framing::u32be());
//! writer.write(&[], b"hello").await?;
//! writer.flush().await?;
//! drop(writer);
//!
//! let mut reader = FrameReader::new(far, Framing::u32be());
//! while let Some(frame) = reader.next().await? {
//!     assert_eq!(frame.data(), b"hello");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`FrameReader::into_stream`](crate::asynchronous::FrameReader::into_stream) gives a `Stream` of frames that own their
//! bytes, and a writer is a `Sink`. What a `Framed` of tokio-util needs is in [`codec`](crate::codec).

use crate::asynchronous::{self, Reads, Writes, sealed::Sealed};
use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// tokio's [`AsyncRead`] and [`AsyncWrite`].
#[derive(Debug)]
pub enum Tokio {}

/// Reads frames from an [`AsyncRead`].
pub type FrameReader<R> = asynchronous::FrameReader<R, Tokio>;

/// Writes frames to an [`AsyncWrite`].
pub type FrameWriter<W> = asynchronous::FrameWriter<W, Tokio>;

impl Sealed for Tokio {}

impl<R: AsyncRead> Reads<R> for Tokio {
    fn poll_read(reader: Pin<&mut R>, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        ready!(reader.poll_read(context, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }
}

impl<W: AsyncWrite> Writes<W> for Tokio {
    fn poll_write(
        writer: Pin<&mut W>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bytes {
            [one] => writer.poll_write(context, one),
            bytes => writer.poll_write_vectored(context, bytes),
        }
    }

    fn poll_flush(writer: Pin<&mut W>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_flush(context)
    }

    fn poll_close(writer: Pin<&mut W>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        writer.poll_shutdown(context)
    }
}
