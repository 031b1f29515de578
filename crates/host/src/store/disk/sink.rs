//! A file of the local disk that is written behind its writer.

use bytes::Bytes;
use unglue_proto::Meter;
use unglue_proto::blocks::Blocks;
use unglue_proto::message::Tally;

use super::behind::{Behind, Digesting, Writing};
use super::blocks::BlockSink;
use super::threads::Threads;
use crate::store::arriving::Arriving;
use crate::store::error::StoreError;
use crate::store::sink::Sink;

/// A file that is being written on the store's threads.
///
/// At most 512 KiB and one piece wait while a batch is written. When no bytes come, no thread is held.
#[derive(Debug)]
pub struct DiskSink(Behind<InOrder>);

/// Bytes one after the other.
#[derive(Debug)]
struct InOrder;

impl Writing for InOrder {
    type Digest = Meter;

    fn write(&mut self, file: &mut dyn Arriving, bytes: &[u8]) -> Result<(), StoreError> {
        file.restart()?;
        file.write_all(bytes)
    }
}

impl Digesting for Meter {
    fn pass(&mut self, bytes: &[u8]) {
        Meter::pass(self, bytes);
    }
}

impl DiskSink {
    pub(in crate::store) fn new(threads: Threads, file: impl Arriving + 'static) -> DiskSink {
        DiskSink(Behind::new(threads, Box::new(file), InOrder))
    }

    /// The bytes that an earlier transfer left, of which the whole blocks can be used by [`into_blocks`](Self::into_blocks).
    pub fn kept(&self) -> u64 {
        self.0.file().map_or(0, |file| file.kept())
    }

    /// Takes blocks in any order, before anything was written.
    ///
    /// # Errors
    /// Something was written, or the system gives no handle.
    pub fn into_blocks(self, blocks: Blocks) -> Result<BlockSink, StoreError> {
        let threads = self.0.threads().clone();
        BlockSink::new(threads, self.0.untouched()?, blocks)
    }
}

impl Sink for DiskSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.0.push(bytes).await
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        Ok(self.0.resting().await?.digest.tally())
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.0.commit(|file| file.restart()).await
    }

    async fn discard(self) {
        self.0.discard().await;
    }

    async fn set_aside(self) {
        self.0.set_aside().await;
    }
}
