//! Frames over blocking readers and writers.
//!
//! ```
//! use unglue_frame::{Framing, io::{FrameReader, FrameWriter}};
//!
//! let mut writer = FrameWriter::new(Vec::new(), Framing::netstring());
//! writer.write(&[], b"hello")?;
//! writer.write(&[], b"world")?;
//! let wire = writer.into_inner()?;
//! assert_eq!(wire, b"5:hello,5:world,");
//!
//! let mut reader = FrameReader::new(&wire[..], Framing::netstring());
//! while let Some(frame) = reader.next()? {
//!     println!("{} bytes at {}", frame.data().len(), frame.offset());
//! }
//! # Ok::<(), unglue_frame::io::Error>(())
//! ```

mod reader;
mod writer;

use crate::{DecodeError, EncodeError};
use core::{fmt, ops::RangeInclusive};
pub use reader::{FrameReader, Raw};
pub use writer::FrameWriter;

/// Bytes gathered before they are written.
pub(crate) const CHUNK: usize = 64 * 1024;

#[cfg(any(feature = "tokio", feature = "futures"))]
pub(crate) use crate::deframer::IDLE;

/// How many bytes to ask for at once: twice as many as before if all came, fewer if few did, so that the memory that a
/// stream costs follows from what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    chunk: usize,
    least: usize,
    most: usize,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes::new(4096..=256 * 1024)
    }
}

impl Sizes {
    pub(crate) fn new(bytes: RangeInclusive<usize>) -> Sizes {
        let least = (*bytes.start()).max(1);
        Sizes { chunk: least, least, most: least.max(*bytes.end()) }
    }

    pub(crate) fn chunk(self) -> usize {
        self.chunk
    }

    /// So many came.
    pub(crate) fn came(&mut self, bytes: usize) {
        if bytes == self.chunk {
            self.chunk = (self.chunk * 2).min(self.most);
        } else if bytes < self.chunk / 8 {
            self.chunk = (self.chunk / 2).max(self.least);
        }
    }
}

/// What ends reading or writing frames.
#[derive(Debug)]
pub enum Error {
    /// The reader or writer failed.
    Io(std::io::Error),
    /// The bytes read are no frame, or end inside one.
    Decode(DecodeError),
    /// The message doesn't fit the framing. Nothing was written.
    Encode(EncodeError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Decode(error) => error.fmt(f),
            Error::Encode(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            Error::Decode(error) => Some(error),
            Error::Encode(error) => Some(error),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Io(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        Error::Decode(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Error {
        Error::Encode(error)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        use std::io::ErrorKind;
        let kind = match &error {
            Error::Decode(error) if matches!(error.fault, crate::Fault::Truncated { .. }) => ErrorKind::UnexpectedEof,
            Error::Decode(_) => ErrorKind::InvalidData,
            Error::Encode(_) => ErrorKind::InvalidInput,
            Error::Io(error) => error.kind(),
        };
        match error {
            Error::Io(error) => error,
            error => std::io::Error::new(kind, error),
        }
    }
}
