//! `tokio_util::codec`: swap `LengthDelimitedCodec` for [`Codec`].
//!
//! ```
//! use tokio_util::codec::Framed;
//! use unglue_frame::{Framing, codec::Codec};
//!
//! # fn wrap(stream: tokio::io::DuplexStream) -> Result<(), unglue_frame::codec::Unmarked> {
//! let framed = Framed::new(stream, Codec::new(Framing::u32be().max(1 << 20))?);
//! # let _: Framed<tokio::io::DuplexStream, Codec> = framed;
//! # Ok(())
//! # }
//! ```
//!
//! The error is [`std::io::Error`], as with tokio-util's own codecs, so that `tokio_serde` and others work over it. The
//! [`io::Error`](crate::io::Error) in it, and from there the [`DecodeError`](crate::DecodeError), is its `source()`, and
//! its `get_ref()` can be downcast.

use crate::{BytesDeframer, Enframer, Framing, OwnedFrame, Skipped, io::Error};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::fmt;
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Decodes to the data of frames, and encodes from it. For layouts with fields see [`FieldCodec`].
///
/// Bytes of an unfinished frame stay in `Framed`'s buffer: its `read_buffer`, `into_parts` and `map_codec` lose nothing.
#[derive(Debug)]
pub struct Codec(FieldCodec);

/// The framing gives frames that aren't whole messages, and their data alone doesn't show that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmarked {
    what: &'static str,
}

impl fmt::Display for Unmarked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with {} a frame's data alone doesn't show whether it is whole: use FieldCodec", self.what)
    }
}

impl core::error::Error for Unmarked {}

impl Codec {
    /// A codec for both directions of one connection.
    ///
    /// # Errors
    /// The framing cuts frames, or gives bodies in pieces.
    pub fn new(framing: Framing) -> Result<Codec, Unmarked> {
        match framing.unmarked() {
            Some(what) => Err(Unmarked { what }),
            None => Ok(Codec(FieldCodec::new(framing))),
        }
    }

    /// Allows another number of bytes of data in a frame, in both directions.
    pub fn set_max(&mut self, bytes: u64) {
        self.0.set_max(bytes);
    }

    /// Goes on with another framing in both directions, from the next frame on.
    ///
    /// # Errors
    /// As [`new`](Self::new): nothing changes.
    pub fn switch(&mut self, framing: Framing) -> Result<(), Unmarked> {
        if let Some(what) = framing.unmarked() {
            return Err(Unmarked { what });
        }
        self.0.switch(framing);
        Ok(())
    }

    /// The frames that were left out so far, since they were too long.
    pub fn skipped(&self) -> Skipped {
        self.0.skipped()
    }
}

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = io::Error;

    #[inline]
    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        self.0.deframer.decode_data(input).map_err(|error| Error::Decode(error).into())
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        self.0.deframer.decode_data_eof(input).map_err(|error| Error::Decode(error).into())
    }
}

impl Encoder<Bytes> for Codec {
    type Error = io::Error;

    #[inline]
    fn encode(&mut self, data: Bytes, out: &mut BytesMut) -> io::Result<()> {
        self.encode(&data[..], out)
    }
}

impl Encoder<BytesMut> for Codec {
    type Error = io::Error;

    #[inline]
    fn encode(&mut self, data: BytesMut, out: &mut BytesMut) -> io::Result<()> {
        self.encode(&data[..], out)
    }
}

impl Encoder<&[u8]> for Codec {
    type Error = io::Error;

    #[inline]
    fn encode(&mut self, data: &[u8], out: &mut BytesMut) -> io::Result<()> {
        self.0.enframer.encode(&[], data, out).map_err(|error| Error::Encode(error).into())
    }
}

/// As [`Codec`], with whole frames in place of their data: the fields, and whether a frame is whole.
#[derive(Debug)]
pub struct FieldCodec {
    deframer: BytesDeframer,
    enframer: Enframer,
}

impl FieldCodec {
    /// A codec for both directions of one connection.
    pub fn new(framing: Framing) -> FieldCodec {
        FieldCodec { deframer: BytesDeframer::new(framing.clone()), enframer: Enframer::new(framing) }
    }

    /// Allows another number of bytes of data in a frame, in both directions.
    pub fn set_max(&mut self, bytes: u64) {
        self.deframer.set_max(bytes);
        self.enframer.set_max(bytes);
    }

    /// Goes on with another framing in both directions, from the next frame on.
    pub fn switch(&mut self, framing: Framing) {
        self.deframer.switch(framing.clone());
        self.enframer = Enframer::new(framing);
    }

    /// The frames that were left out so far, since they were too long.
    pub fn skipped(&self) -> Skipped {
        self.deframer.skipped()
    }
}

impl Decoder for FieldCodec {
    type Item = OwnedFrame;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<OwnedFrame>> {
        self.deframer.decode(input).map_err(|error| Error::Decode(error).into())
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<OwnedFrame>> {
        self.deframer.decode_eof(input).map_err(|error| Error::Decode(error).into())
    }
}

impl Encoder<(Vec<u64>, Bytes)> for FieldCodec {
    type Error = io::Error;

    fn encode(&mut self, (fields, data): (Vec<u64>, Bytes), out: &mut BytesMut) -> io::Result<()> {
        self.enframer.encode(&fields, &data, out).map_err(|error| Error::Encode(error).into())
    }
}
