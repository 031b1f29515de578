//! What a sink writes: a file that becomes complete, whatever it becomes a part of.

use std::fmt::Debug;
use std::fs::File;

use super::error::StoreError;
use super::incoming::Incoming;
use super::temporary::Syncing;

/// A file on its way in. The calls block. Dropped, it is removed, or kept if its transfer may be resumed.
pub(super) trait Arriving: Debug + Send {
    /// How many bytes an earlier transfer left. They have not been compared with anything.
    fn kept(&self) -> u64;

    /// Another handle, to read what was kept or written.
    fn reader(&self) -> Result<File, StoreError>;

    /// Throws away what an earlier transfer left.
    fn restart(&mut self) -> Result<(), StoreError>;

    /// Appends all of `bytes`. After an error the file can only be discarded.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Writes all of `bytes` at an offset, instead of what was kept there. After an error the file can only be discarded.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError>;

    /// Gives the file this length.
    fn cut(&mut self, length: u64) -> Result<(), StoreError>;

    /// What makes the bytes so far survive a power cut, if they stay when the transfer breaks off.
    fn syncing(&self) -> Option<Syncing>;

    /// The content is complete and verified.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Throws away what came.
    fn discard(self: Box<Self>);
}

impl Arriving for Incoming {
    fn kept(&self) -> u64 {
        Incoming::kept(self)
    }

    fn reader(&self) -> Result<File, StoreError> {
        Incoming::reader(self)
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        Incoming::restart(self)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        Incoming::write_all(self, bytes)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        Incoming::write_at(self, bytes, offset)
    }

    fn cut(&mut self, length: u64) -> Result<(), StoreError> {
        Incoming::cut(self, length)
    }

    fn syncing(&self) -> Option<Syncing> {
        Incoming::syncing(self)
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Incoming::commit(*self)
    }

    fn discard(self: Box<Self>) {
        Incoming::discard(*self);
    }
}
