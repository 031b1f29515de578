//! Frames over the readers and writers of `futures-io`: those of async-std, smol, and of `futures` itself.
//!
//! ```
//! use futures_util::{SinkExt as _, StreamExt as _, io::Cursor};
//! use unglue_frame::{Framing, with_futures::{FrameReader, FrameWriter}};
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let mut writer = FrameWriter::new(Cursor::new(Vec::new()), Framing::netstring());
//! writer.write(&[], b"hello").await?;
//! writer.send(bytes::Bytes::from_static(b"world")).await?; // it is a Sink, too
//! let (wire, _) = writer.into_parts();
//! assert_eq!(wire.get_ref(), b"5:hello,5:world,");
//!
//! let reader = FrameReader::new(Cursor::new(wire.into_inner()), Framing::netstring());
//! let frames: Vec<_> = reader.into_stream().map(|frame| frame.unwrap().data).collect().await;
//! assert_eq!(frames, [&b"hello"[..], b"world"]);
//! # Ok::<(), unglue_frame::io::Error>(())
//! # }).unwrap()?;
//! # Ok::<(), unglue_frame::io::Error>(())
//! ```

use crate::asynchronous::{self, Reads, Writes, sealed::Sealed};
use core::{
    pin::Pin,
    task::{Context, Poll},
};
use futures_io::{AsyncRead, AsyncWrite};
use std::io;

/// The [`AsyncRead`] and [`AsyncWrite`] of `futures-io`.
#[derive(Debug)]
pub enum Futures {}

/// Reads frames from an [`AsyncRead`].
pub type FrameReader<R> = asynchronous::FrameReader<R, Futures>;

/// Writes frames to an [`AsyncWrite`].
pub type FrameWriter<W> = asynchronous::FrameWriter<W, Futures>;

impl Sealed for Futures {}

impl<R: AsyncRead> Reads<R> for Futures {
    fn poll_read(reader: Pin<&mut R>, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        reader.poll_read(context, space)
    }
}

impl<W: AsyncWrite> Writes<W> for Futures {
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
        writer.poll_close(context)
    }
}
