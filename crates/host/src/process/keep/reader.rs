//! Reading a job's spool while it grows.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use unglue_proto::life::Output;

use super::directory::JobDirectory;
use crate::process::sys;

/// Reads a spool from any offset, also while its keeper writes to it. Clones share the open file.
#[derive(Clone, Debug)]
pub struct SpoolReader {
    file: Arc<OwnedFd>,
}

impl SpoolReader {
    /// Opens the spool of one output of the job with this directory.
    ///
    /// # Errors
    /// `NotFound`: the command never started, or the job was removed.
    pub fn open(directory: &Path, output: Output) -> io::Result<Self> {
        let file = JobDirectory::open(directory)?.open_spool(output)?;
        Ok(Self { file: Arc::new(file) })
    }

    /// How many bytes were written by now, those that were dropped included.
    pub fn written(&self) -> io::Result<u64> {
        Ok(u64::try_from(rustix::fs::fstat(&self.file)?.st_size).unwrap_or_default())
    }

    /// The same as [`SpoolReader::read_at`] on a thread that may wait for the disk.
    pub fn read_now(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        read_at(&self.file, offset, max)
    }

    /// Up to `max` bytes from this offset; none where the spool ends just now.
    ///
    /// What lies in memory is read at once, and anything else by a thread that may wait for the disk. Cancelling it
    /// loses nothing.
    pub async fn read_at(&self, offset: u64, max: usize) -> io::Result<Bytes> {
        match sys::read_cached(&*self.file, offset, max) {
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            result => return Ok(result?.into()),
        }
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || read_at(&file, offset, max)).await;
        Ok(read.map_err(io::Error::other)??.into())
    }
}

fn read_at(file: &OwnedFd, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(max);
    rustix::io::retry_on_intr(|| rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), offset))?;
    Ok(bytes)
}
