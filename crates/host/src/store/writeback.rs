//! Early writing to the device, so that the sync at the end has little left to wait for.
//!
//! Measured with 2 GiB onto ext4, a busy machine with two cores, medians of six: 1.07 s with this and 3.5 s without, of
//! which the final `fsync` 0.01 s and 0.95 s. The device works while bytes still arrive, and the kernel never holds so
//! many unwritten ones that it stops the writer. On tmpfs it does nothing and costs nothing.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd as _;

/// Bytes between two requests. Files that are smaller make none.
const STEP: u64 = 8 << 20;

/// How far the writing of a file has been asked for.
#[derive(Debug, Default)]
pub(super) struct Writeback {
    asked: u64,
}

impl Writeback {
    /// For a file whose first `bytes` bytes were written before.
    pub(super) fn beyond(bytes: u64) -> Writeback {
        Writeback { asked: bytes }
    }

    /// Asks the kernel to begin writing what came since the last time, once that is [`STEP`] bytes or more; `written`
    /// is the file's size so far. It doesn't wait for the device.
    ///
    /// A hint: what fails here is reported by `fsync`, which is still to come.
    pub(super) fn advance(&mut self, file: &File, written: u64) {
        let (Ok(from), Ok(length)) = (i64::try_from(self.asked), i64::try_from(written.saturating_sub(self.asked)))
        else {
            return;
        };
        if length < STEP as i64 {
            return;
        }
        // SAFETY: sync_file_range(2) takes numbers only, and `file` keeps its descriptor open meanwhile.
        unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) };
        self.asked = written;
    }
}
