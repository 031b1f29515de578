//! Reading the small files that decide who may do what: never a device or a FIFO, never without a limit.

use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Opens a regular file for reading. `O_NONBLOCK` keeps a FIFO in its place from making us wait.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Opens a regular file for reading; `None` for `/dev/null`, which users name to mean no file.
pub(super) fn open_or_null(path: &Path) -> io::Result<Option<File>> {
    match open(path) {
        Ok((file, _)) => Ok(Some(file)),
        Err(error) => match std::fs::metadata(path) {
            Ok(found) if is_null(&found) => Ok(None),
            _ => Err(error),
        },
    }
}

fn is_null(metadata: &Metadata) -> bool {
    let null = rustix::fs::makedev(1, 3);
    metadata.file_type().is_char_device() && metadata.rdev() == null
}

/// Reads what is left of `file`, at most `limit` bytes; the memory is wiped when it is dropped.
pub(super) fn read(file: &File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Sized once: growing would leave copies of a secret behind.
    let expected = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.min(limit) + 1));
    let mut bounded = file.take(limit as u64 + 1);
    bounded.read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Whether nothing is there under a path that could be read: not an error where a file is optional.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
