//! Moving one file: `put` and `get`, both ends of both.
//!
//! The four halves are two functions seen twice: the end that has the source runs `flow::send`, the end that has the
//! destination runs `flow::receive`.

mod client;
mod delta;
mod ends;
pub(in crate::ops) mod offer;
mod rest;
pub(in crate::ops) mod resume;
mod server;
#[cfg(test)]
mod tests;

use unglue_proto::mux::Compression;

use super::pace::Pace;
pub(crate) use client::{get, get_into, put, put_source};
pub use ends::{Download, Upload};
pub(crate) use server::{serve_get, serve_put};

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The bytes moved so far.
    pub bytes: u64,
    /// The bytes that will have been moved at the end, where that is known.
    pub size: Option<u64>,
}

impl Moved {
    /// So many bytes of so many.
    pub fn new(bytes: u64, size: Option<u64>) -> Moved {
        Moved { bytes, size }
    }
}

/// Called as a transfer goes on.
pub type Progress = Box<dyn FnMut(Moved) + Send>;

/// How a file is moved.
///
/// ```
/// use unglue::TransferOptions;
///
/// let options = TransferOptions::default().preserve(true).progress(Some(Box::new(|moved| {
///     println!("{} bytes", moved.bytes);
/// })));
/// ```
#[derive(Default)]
#[non_exhaustive]
pub struct TransferOptions {
    preserve: bool,
    in_place: bool,
    resume: bool,
    whole_file: bool,
    progress: Option<Progress>,
    pace: Pace,
    compression: Compression,
}

impl TransferOptions {
    /// Keep the source's exact mode and its time of the last modification, as `scp -p` does. Otherwise a new file's mode is
    /// what `cp` gives it there, and a file that is replaced keeps its own mode and access control list.
    pub fn preserve(self, preserve: bool) -> TransferOptions {
        TransferOptions { preserve, ..self }
    }

    /// Overwrite the destination where it is, rather than replace it once the new file is complete. A transfer that breaks
    /// off leaves a part then: promise P7 doesn't hold. It is for files that can't be replaced, such as mount points.
    pub fn in_place(self, in_place: bool) -> TransferOptions {
        TransferOptions { in_place, ..self }
    }

    /// Go on where an earlier transfer of this file broke off, and keep what comes if this one does, for 24 hours after the
    /// last write. It is for files of more than 16 MiB: blocks of 16 MiB that are there already, and have the right digest,
    /// are not sent again. What is kept is a hidden file beside the destination. Without effect for readers, writers and
    /// [`in_place`](Self::in_place), and where the receiver's store has no [`Partials`](crate::Partials).
    pub fn resume(self, resume: bool) -> TransferOptions {
        TransferOptions { resume, ..self }
    }

    /// Send the whole file. Otherwise, if a large file replaces another one, only what changed is sent.
    pub fn whole_file(self, whole_file: bool) -> TransferOptions {
        TransferOptions { whole_file, ..self }
    }

    /// Call this as the transfer goes on.
    pub fn progress(self, progress: Option<Progress>) -> TransferOptions {
        TransferOptions { progress, ..self }
    }

    /// At most as fast as this. Several transfers may share one.
    pub fn pace(self, pace: Pace) -> TransferOptions {
        TransferOptions { pace, ..self }
    }

    /// Compress the bytes on their way, in both directions. Off by default.
    pub fn compress(self, compression: Compression) -> TransferOptions {
        TransferOptions { compression, ..self }
    }

    fn reporter(&mut self, size: Option<u64>) -> impl FnMut(u64) + use<> {
        let mut progress = self.progress.take();
        move |bytes| {
            if let Some(progress) = &mut progress {
                progress(Moved { bytes, size });
            }
        }
    }
}
