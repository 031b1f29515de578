//! Message boundaries over byte streams, without IO.
//!
//! TCP, pipes and serial lines carry bytes, not messages: what was written in one piece arrives in several, and what
//! was written in several arrives in one. A [`Framing`] is a rule for where messages end; this crate
//! compiles it into a [`Deframer`] (bytes in, frames out) and an [`Enframer`] (payloads in, bytes out).
//!
//! The contract of both, whatever the framing:
//!
//! - **Any chunking of the same bytes gives the same frames**, or the same error at the same offset.
//! - Nothing is allocated because a length was announced: buffers grow with bytes received.
//! - A length that doesn't fit its field is an error before a byte is written, never a truncated length.
//! - An error is final: the deframer hands out the frames before it, then that error for ever.
//!
//! ```
//! use unglue_frame::{Deframer, Enframer, Framing};
//!
//! let framing = Framing::u32be().max(1 << 20);
//! let mut wire = Vec::new();
//! let enframer = Enframer::new(framing.clone());
//! enframer.encode(&[], b"hello", &mut wire)?;
//! enframer.encode(&[], b"world", &mut wire)?;
//!
//! let mut deframer = Deframer::new(framing);
//! deframer.feed(&wire[..7]); // a message and a half, cut anywhere
//! assert!(deframer.next()?.is_none());
//! deframer.feed(&wire[7..]);
//! assert_eq!(deframer.next()?.unwrap().data(), b"hello");
//! assert_eq!(deframer.next()?.unwrap().data(), b"world");
//! assert!(deframer.next()?.is_none());
//! deframer.finish()?; // the input ended between two frames
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Rule`] is a framing of one's own, which works with everything here: its documentation has an example.
//!
//! The default build needs `alloc` and nothing else. Features add to it: `std` (blocking readers and writers), `bytes` (owned
//! frames), `tokio` (asynchronous ones, and a `tokio_util` codec), `futures` (the same over `futures-io`), `embedded-io`
//! (readers and writers without std), `checksums`, `json` (headers that tell a body's length)
//! and `memchr` (delimiters found faster). The guide, with the notation, the
//! tables of presets and protocols, and what others decide otherwise, is the module [`guide`].
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
#[macro_use]
extern crate std;

#[cfg(any(feature = "tokio", feature = "futures"))]
pub mod asynchronous;
mod checksum;
#[cfg(feature = "tokio")]
pub mod codec;
mod compiled;
mod custom;
mod deframer;
#[cfg(any(feature = "std", feature = "embedded-io"))]
mod delegate;
mod enframer;
mod error;
mod find;
mod frame;
mod frames;
mod framing;
mod int;
#[cfg(feature = "std")]
pub mod io;
mod layout;
mod looks;
mod notation;
mod output;
#[cfg(feature = "bytes")]
mod owned;
mod protocols;
mod stash;
pub mod typed;
#[cfg(feature = "embedded-io")]
pub mod with_embedded;
#[cfg(feature = "futures")]
pub mod with_futures;
#[cfg(feature = "tokio")]
pub mod with_tokio;

pub use checksum::Checksum;
pub use custom::{Limits, Rule, Step};
pub use deframer::Deframer;
pub use enframer::{Enframer, Mark};
pub use error::{DecodeError, EncodeError, Fault, FieldName};
pub use frame::{Frame, Part};
pub use frames::Frames;
pub use framing::{DEFAULT_MAX, Framing, MAX_DELIMITER, MAX_DELIMITERS, Skipped, TooLong};
pub use int::Int;
pub use layout::{Layout, LayoutError};
pub use looks::Looks;
pub use notation::{NotationError, Preset, Protocol, presets, protocols};
pub use output::Output;
#[cfg(feature = "bytes")]
pub use owned::{BytesDeframer, OwnedFrame};
#[cfg(feature = "derive")]
pub use unglue_derive::Frame;

#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("../docs/framing.md")]
pub mod guide {}

/// The README's examples are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
