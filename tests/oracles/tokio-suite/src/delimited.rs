//! tokio-util's codecs of delimited chunks, with unglue-frame inside.

use bytes::{Bytes, BytesMut};
use real::codec::{Decoder, Encoder};
use std::io;
use unglue_frame::{BytesDeframer, Enframer, Framing, TooLong};

/// Delimited chunks: a frame that is cut is their error, behind which they go on with the next one.
#[derive(Debug)]
struct Chunks {
    deframer: BytesDeframer,
    enframer: Enframer,
}

fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Chunks {
    fn new(read: &[u8], written: &[u8], max: usize) -> Chunks {
        let delims: Vec<&[u8]> = read.chunks(1).collect();
        let read = Framing::any_delim(&delims).expect("delimiters").max(max as u64);
        let read = read.too_long(TooLong::Cut).and_then(Framing::allow_last).expect("delimiters allow both");
        let written = Framing::delim(written).expect("a delimiter");
        Chunks { deframer: BytesDeframer::new(read), enframer: Enframer::new(written) }
    }

    fn decode(&mut self, input: &mut BytesMut, eof: bool) -> io::Result<Option<Bytes>> {
        let found = if eof { self.deframer.decode_eof(input) } else { self.deframer.decode(input) };
        match found.map_err(wrong)? {
            Some(chunk) if chunk.is_cut => Err(wrong("max length exceeded")),
            chunk => Ok(chunk.map(|chunk| chunk.data.freeze())),
        }
    }
}

/// Lines. They count a carriage return as data of the line, and keep one that the input ends with.
#[derive(Debug)]
pub struct LinesCodec(Chunks);

impl LinesCodec {
    pub fn new() -> LinesCodec {
        LinesCodec::new_with_max_length(8 << 20)
    }

    pub fn new_with_max_length(max: usize) -> LinesCodec {
        LinesCodec(Chunks::new(b"\n", b"\n", max))
    }

    fn line(chunk: Option<Bytes>) -> io::Result<Option<String>> {
        let Some(line) = chunk else { return Ok(None) };
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        String::from_utf8(line.into()).map(Some).map_err(wrong)
    }
}

impl Decoder for LinesCodec {
    type Item = String;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<String>> {
        LinesCodec::line(self.0.decode(input, false)?)
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<String>> {
        if *input == b"\r"[..] {
            return Ok(None);
        }
        LinesCodec::line(self.0.decode(input, true)?)
    }
}

impl<T: AsRef<str>> Encoder<T> for LinesCodec {
    type Error = io::Error;

    fn encode(&mut self, line: T, out: &mut BytesMut) -> io::Result<()> {
        self.0.enframer.encode(&[], line.as_ref().as_bytes(), out).map_err(wrong)
    }
}

/// Chunks that any of some bytes ends.
#[derive(Debug)]
pub struct AnyDelimiterCodec(Chunks);

impl AnyDelimiterCodec {
    pub fn new(seek: Vec<u8>, sequence: Vec<u8>) -> AnyDelimiterCodec {
        AnyDelimiterCodec::new_with_max_length(seek, sequence, 8 << 20)
    }

    pub fn new_with_max_length(seek: Vec<u8>, sequence: Vec<u8>, max: usize) -> AnyDelimiterCodec {
        AnyDelimiterCodec(Chunks::new(&seek, &sequence, max))
    }
}

impl Decoder for AnyDelimiterCodec {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        self.0.decode(input, false)
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        self.0.decode(input, true)
    }
}

impl<T: AsRef<str>> Encoder<T> for AnyDelimiterCodec {
    type Error = io::Error;

    fn encode(&mut self, chunk: T, out: &mut BytesMut) -> io::Result<()> {
        self.0.enframer.encode(&[], chunk.as_ref().as_bytes(), out).map_err(wrong)
    }
}
