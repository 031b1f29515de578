//! tokio-util's codecs as its tests see them, with unglue-frame inside; the rest is tokio-util's own.

mod delimited;

pub mod codec {
    pub use self::length_delimited::LengthDelimitedCodec;
    pub use crate::delimited::{AnyDelimiterCodec, LinesCodec};
    pub use real::codec::{BytesCodec, Decoder, Encoder, Framed, FramedRead, FramedWrite};

    pub mod length_delimited {
        use bytes::{Bytes, BytesMut};
        use real::codec::{Decoder, Encoder, Framed, FramedRead, FramedWrite};
        use std::io;
        use tokio::io::{AsyncRead, AsyncWrite};
        use unglue_frame::{BytesDeframer, Enframer, Framing, Int, Layout};

        /// The builder's parameters.
        #[derive(Clone, Copy, Debug)]
        pub struct Builder {
            offset: usize,
            width: usize,
            adjust: isize,
            skip: Option<usize>,
            max: usize,
            little: bool,
        }

        impl Default for Builder {
            fn default() -> Builder {
                Builder { offset: 0, width: 4, adjust: 0, skip: None, max: 8 << 20, little: false }
            }
        }

        impl Builder {
            pub fn new() -> Builder {
                Builder::default()
            }

            pub fn big_endian(&mut self) -> &mut Builder {
                self.little = false;
                self
            }

            pub fn little_endian(&mut self) -> &mut Builder {
                self.little = true;
                self
            }

            pub fn native_endian(&mut self) -> &mut Builder {
                self.little = cfg!(target_endian = "little");
                self
            }

            pub fn max_frame_length(&mut self, max: usize) -> &mut Builder {
                self.max = max;
                self
            }

            pub fn length_field_offset(&mut self, offset: usize) -> &mut Builder {
                self.offset = offset;
                self
            }

            pub fn length_field_length(&mut self, width: usize) -> &mut Builder {
                self.width = width;
                self
            }

            pub fn length_adjustment(&mut self, adjust: isize) -> &mut Builder {
                self.adjust = adjust;
                self
            }

            pub fn num_skip(&mut self, skip: usize) -> &mut Builder {
                self.skip = Some(skip);
                self
            }

            pub fn new_codec(&self) -> LengthDelimitedCodec {
                LengthDelimitedCodec::made(*self)
            }

            pub fn new_read<T: AsyncRead>(&self, io: T) -> FramedRead<T, LengthDelimitedCodec> {
                FramedRead::new(io, self.new_codec())
            }

            pub fn new_write<T: AsyncWrite>(&self, io: T) -> FramedWrite<T, LengthDelimitedCodec> {
                FramedWrite::new(io, self.new_codec())
            }

            pub fn new_framed<T: AsyncRead + AsyncWrite>(&self, io: T) -> Framed<T, LengthDelimitedCodec> {
                Framed::new(io, self.new_codec())
            }

            fn int(&self) -> Int {
                let big = [Int::U8, Int::U16BE, Int::U24BE, Int::U32BE, Int::U40BE, Int::U48BE, Int::U56BE, Int::U64BE];
                let little =
                    [Int::U8, Int::U16LE, Int::U24LE, Int::U32LE, Int::U40LE, Int::U48LE, Int::U56LE, Int::U64LE];
                (if self.little { little } else { big })[self.width - 1]
            }

            /// What they take behind the bytes that they skip, as bytes behind the length.
            fn shift(&self) -> isize {
                let head = (self.offset + self.width) as isize;
                self.skip.map_or(0, |skip| skip as isize - head)
            }

            /// The framing with so many bytes before the length: their encoder writes none.
            fn framing(&self, offset: usize, adjust: isize) -> Framing {
                let layout = Layout::new().reserved(offset).length("len", self.int());
                layout.data_plus(adjust as i64).build().expect("a layout of these parts")
            }
        }

        /// Their codec's face.
        #[derive(Debug)]
        pub struct LengthDelimitedCodec {
            builder: Builder,
            deframer: BytesDeframer,
            enframer: Enframer,
        }

        impl Default for LengthDelimitedCodec {
            fn default() -> LengthDelimitedCodec {
                LengthDelimitedCodec::new()
            }
        }

        impl LengthDelimitedCodec {
            pub fn new() -> LengthDelimitedCodec {
                Builder::new().new_codec()
            }

            pub fn builder() -> Builder {
                Builder::new()
            }

            fn made(builder: Builder) -> LengthDelimitedCodec {
                let deframer = BytesDeframer::new(builder.framing(builder.offset, builder.adjust + builder.shift()));
                let enframer = Enframer::new(builder.framing(0, builder.adjust));
                let mut codec = LengthDelimitedCodec { builder, deframer, enframer };
                codec.set_max_frame_length(builder.max);
                codec
            }

            pub fn max_frame_length(&self) -> usize {
                self.builder.max
            }

            /// No frame is longer than its length can tell; a longer maximum is brought down to that.
            pub fn set_max_frame_length(&mut self, max: usize) {
                let told = if self.builder.width < 8 { (1u64 << (8 * self.builder.width)) - 1 } else { u64::MAX };
                let most = i128::from(told) + self.builder.adjust as i128;
                self.builder.max = usize::try_from(most.min(max as i128).max(0)).unwrap_or(max);
                self.enframer.set_max(self.builder.max as u64);
                // They hold the number against the maximum before they adjust it.
                let data = (max as i128 + (self.builder.adjust + self.builder.shift()) as i128).max(0);
                self.deframer.set_max(u64::try_from(data).unwrap_or(u64::MAX).min(usize::MAX as u64));
            }
        }

        impl Decoder for LengthDelimitedCodec {
            type Item = BytesMut;
            type Error = io::Error;

            fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<BytesMut>> {
                let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
                let Some(frame) = self.deframer.decode(input).map_err(wrong)? else { return Ok(None) };
                let skip = self.builder.skip.unwrap_or(frame.head.len());
                let mut whole = frame.head;
                whole.unsplit(frame.data);
                Ok(Some(whole.split_off(skip)))
            }
        }

        impl Encoder<Bytes> for LengthDelimitedCodec {
            type Error = io::Error;

            fn encode(&mut self, data: Bytes, out: &mut BytesMut) -> io::Result<()> {
                self.encode(&data[..], out)
            }
        }

        impl Encoder<&[u8]> for LengthDelimitedCodec {
            type Error = io::Error;

            fn encode(&mut self, data: &[u8], out: &mut BytesMut) -> io::Result<()> {
                let wrong = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
                self.enframer.encode(&[], data, out).map_err(wrong)
            }
        }
    }
}
