//! `tokio_util::codec`: swap `LengthDelimitedCodec` for [`Codec`].
//!
//! ```
//! use tokio_util::codec::Framed;
//! use unglue_frame::{Framing, codec::Codec};
//!
//! # fn wrap(stream: tokio::io::DuplexStream) {
//! let framed = Framed::new(stream, Codec::new(Framing::u32be().max(1 << 20)));
//! # let _: Framed<tokio::io::DuplexStream, Codec> = framed;
//! # }
//! ```

use crate::{Deframer, Enframer, Frame, Framing, OwnedFrame, io::Error};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Decodes to the data of frames, and encodes from it. For layouts with fields see [`FieldCodec`].
#[derive(Debug)]
pub struct Codec {
    deframer: Deframer,
    enframer: Enframer,
}

impl Codec {
    /// A codec for both directions of one connection.
    pub fn new(framing: Framing) -> Codec {
        Codec { deframer: Deframer::new(framing.clone()), enframer: Enframer::new(framing) }
    }

    /// Told that the input has ended, with no frame left in it but the last, which may lack its end.
    fn finish<T>(&mut self, input: &mut BytesMut, own: impl FnOnce(&Frame<'_>) -> T) -> Result<Option<T>, Error> {
        self.deframer.feed(&input.split());
        Ok(self.deframer.end()?.map(|frame| own(&frame)))
    }
}

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = Error;

    #[inline]
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, Error> {
        Ok(self.deframer.decode_data(input)?)
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, Error> {
        match self.decode(input)? {
            None => self.finish(input, |frame| frame.data().into()),
            found => Ok(found),
        }
    }
}

impl Encoder<Bytes> for Codec {
    type Error = Error;

    #[inline]
    fn encode(&mut self, data: Bytes, out: &mut BytesMut) -> Result<(), Error> {
        Ok(self.enframer.encode(&[], &data, out)?)
    }
}

impl Encoder<&[u8]> for Codec {
    type Error = Error;

    #[inline]
    fn encode(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), Error> {
        Ok(self.enframer.encode(&[], data, out)?)
    }
}

/// As [`Codec`], with whole frames in place of their data: the fields too.
#[derive(Debug)]
pub struct FieldCodec(Codec);

impl FieldCodec {
    /// A codec for both directions of one connection.
    pub fn new(framing: Framing) -> FieldCodec {
        FieldCodec(Codec::new(framing))
    }
}

impl Decoder for FieldCodec {
    type Item = OwnedFrame;
    type Error = Error;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<OwnedFrame>, Error> {
        Ok(self.0.deframer.decode_bytes(input)?)
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<OwnedFrame>, Error> {
        match self.decode(input)? {
            None => self.0.finish(input, OwnedFrame::copied),
            found => Ok(found),
        }
    }
}

impl Encoder<(Vec<u64>, Bytes)> for FieldCodec {
    type Error = Error;

    fn encode(&mut self, (fields, data): (Vec<u64>, Bytes), out: &mut BytesMut) -> Result<(), Error> {
        Ok(self.0.enframer.encode(&fields, &data, out)?)
    }
}
