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
use core::fmt;
pub use reader::FrameReader;
pub use writer::FrameWriter;

/// Bytes read at once, and bytes gathered before they are written.
pub(crate) const CHUNK: usize = 64 * 1024;

/// The most bytes read at once.
const MOST: usize = 256 * 1024;

/// How many bytes to ask for next: twice as many if all came that were asked for, so that what a stream costs follows
/// from what it sends.
pub(crate) fn next_chunk(asked: usize, came: usize) -> usize {
    if came == asked { (asked * 2).min(MOST) } else { asked }
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

impl core::error::Error for Error {}

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
        match error {
            Error::Io(error) => error,
            Error::Decode(error) if matches!(error.fault, crate::Fault::Truncated { .. }) => {
                std::io::Error::new(ErrorKind::UnexpectedEof, error)
            }
            Error::Decode(error) => std::io::Error::new(ErrorKind::InvalidData, error),
            Error::Encode(error) => std::io::Error::new(ErrorKind::InvalidInput, error),
        }
    }
}
