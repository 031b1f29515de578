//! Frames over tokio's readers and writers.
//!
//! ```
//! use unglue_frame::{Framing, tokio::{FrameReader, FrameWriter}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unglue_frame::io::Error> {
//! let (near, far) = tokio::io::duplex(64);
//! let mut writer = FrameWriter::new(near, Framing::u32be());
//! writer.write(&[], b"hello").await?;
//! writer.flush().await?;
//! drop(writer);
//!
//! let mut reader = FrameReader::new(far, Framing::u32be());
//! while let Some(frame) = reader.next().await? {
//!     assert_eq!(frame.data(), b"hello");
//! }
//! # Ok(())
//! # }
//! ```

mod reader;
mod writer;

pub use reader::FrameReader;
pub use writer::FrameWriter;
