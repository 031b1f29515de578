//! What is wrong with a capture.

use std::io;

/// Why a capture can't be read any further. What came before it is good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file can't be read.
    #[error("reading failed after {at} bytes: {source}")]
    Io {
        /// How much had been read.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no capture.
    #[error("it is not a capture: {what}")]
    NotACapture {
        /// What stands there.
        what: String,
    },
    /// A length in the file can't be true.
    #[error(
        "packet {packet}, at byte {at}: it claims {claims} bytes, more than any packet has; the file is damaged there"
    )]
    Length {
        /// The packet's number, from 1.
        packet: u64,
        /// Where its header begins.
        at: u64,
        /// What it claims.
        claims: u64,
    },
    /// The file ends inside a packet.
    #[error("the file ends inside packet {packet}, at byte {at}: it was cut; the packets before it are whole")]
    Cut {
        /// The packet's number, from 1.
        packet: u64,
        /// Where the file ends.
        at: u64,
    },
    /// A text that is no hex dump after all.
    #[error("line {line} is not of a hex dump: {what}; --raw takes the file as the bytes themselves")]
    Hex {
        /// Its number, from 1.
        line: usize,
        /// What stands there.
        what: String,
    },
}
