//! Where the bytes of a transfer land.

use std::future::Future;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use unglue_proto::Meter;
use unglue_proto::message::Tally;

use super::error::{Op, StoreError};

/// Takes the bytes of one file, in order, and makes the file of them.
///
/// Call [`write`](Self::write) for all bytes, then [`written`](Self::written), compare its tally with the sender's, and
/// then [`commit`](Self::commit) or [`discard`](Self::discard). A sink that is dropped before its commit discards what came,
/// but nobody learns when that is done.
///
/// A sink counts and digests what it takes with a [`Meter`], on whichever thread that costs least. An implementation holds a
/// bounded number of bytes, and no thread, while no bytes come.
///
/// An object store's sink is a multipart upload: `write` collects a part and starts its upload once it is full, waiting
/// while as many as the bound are under way; `written` uploads the last part and awaits all of them; `commit` completes the
/// upload, which publishes the object at once; `discard` aborts it, which is why it can be awaited. A dropped sink leaves the
/// abort to a task, and the store's rule for incomplete uploads removes what a killed process left.
pub trait Sink: Send {
    /// Takes the next bytes. Returns when there is room for more, which doesn't mean that these are written. After an error
    /// the sink can only be discarded. A dropped call may have taken the bytes or not: discard the sink then.
    ///
    /// # Errors
    /// These bytes or earlier ones can't be written.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Waits until everything is written; gives its number and digest.
    ///
    /// # Errors
    /// Something can't be written.
    fn written(&mut self) -> impl Future<Output = Result<Tally, StoreError>> + Send;

    /// Makes the file complete and durable under its name. A dropped call may still complete.
    ///
    /// # Errors
    /// The destination is as it was, unless the error itself says otherwise.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Throws away what came, and returns when that is done. A dropped call still throws it away.
    fn discard(self) -> impl Future<Output = ()> + Send;

    /// The transfer broke off, and what came is not known to be wrong. A sink that keeps it for the next transfer does so;
    /// any other one discards it. A dropped call still does it.
    fn set_aside(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        self.discard()
    }
}

/// Passes the bytes on to an [`AsyncWrite`].
///
/// The writer gets them before they are verified, and a discarded sink can't take them back: only a transfer that ended
/// well says that they were the right ones. `commit` flushes the writer and leaves it open.
#[derive(Debug)]
pub struct WriterSink<W> {
    writer: W,
    meter: Meter,
}

impl<W: AsyncWrite + Unpin + Send> WriterSink<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> WriterSink<W> {
        WriterSink { writer, meter: Meter::default() }
    }

    fn failed(error: std::io::Error) -> StoreError {
        StoreError::stream(Op::Write, error)
    }
}

impl<W: AsyncWrite + Unpin + Send> Sink for WriterSink<W> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.meter.pass(&bytes);
        self.writer.write_all(&bytes).await.map_err(Self::failed)
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        self.writer.flush().await.map_err(Self::failed)?;
        Ok(self.meter.tally())
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        self.writer.flush().await.map_err(Self::failed)
    }

    async fn discard(self) {}
}
