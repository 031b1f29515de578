//! Frames over asynchronous readers and writers. Use the names of [`with_tokio`](crate::with_tokio) or
//! [`with_futures`](crate::with_futures), which say whose traits are meant.

mod reader;
mod spare;
mod stream;
mod writer;

use core::{
    pin::Pin,
    task::{Context, Poll},
};
pub use reader::{FrameReader, Raw};
use std::io;
pub use stream::FrameStream;
pub use writer::FrameWriter;

/// Nobody else can say how to read and write.
pub(crate) mod sealed {
    /// Stands for the kinds of readers and writers that this crate knows.
    pub trait Sealed {}
}

/// How an `R` is read.
pub trait Reads<R>: sealed::Sealed {
    /// Reads to the front of `space`.
    #[doc(hidden)]
    fn poll_read(reader: Pin<&mut R>, context: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>>;
}

/// How a `W` is written to.
pub trait Writes<W>: sealed::Sealed {
    /// Writes some of these bytes.
    #[doc(hidden)]
    fn poll_write(writer: Pin<&mut W>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>])
    -> Poll<io::Result<usize>>;

    /// Flushes.
    #[doc(hidden)]
    fn poll_flush(writer: Pin<&mut W>, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the stream.
    #[doc(hidden)]
    fn poll_close(writer: Pin<&mut W>, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}
