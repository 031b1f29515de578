//! Every reader, writer and codec takes every preset.

use super::{framing, random};
use crate::cuts::Random;
use bytes::{Bytes, BytesMut};
use std::io::{Cursor, Read};
use tokio_util::codec::{Decoder, Encoder};
use unglue_frame::{Enframer, codec::FieldCodec, io, with_embedded, with_tokio};

/// Gives some bytes at a time.
struct Drops<'b>(&'b [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let some = self.0.len().min(to.len()).min(7);
        let (now, later) = self.0.split_at(some);
        to[..some].copy_from_slice(now);
        self.0 = later;
        Ok(some)
    }
}

fn blocking(kind: &str, wire: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = io::FrameReader::new(Drops(wire), framing(kind));
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap_or_else(|error| panic!("{kind}: {error}")) {
        frames.push(frame.data().to_vec());
    }
    frames
}

fn embedded(kind: &str, wire: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = with_embedded::FrameReader::new(wire, framing(kind), 5);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap_or_else(|error| panic!("{kind}: {error}")) {
        frames.push(frame.data().to_vec());
    }
    frames
}

async fn asynchronous(kind: &str, wire: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = with_tokio::FrameReader::new(Cursor::new(wire), framing(kind));
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().await.unwrap_or_else(|error| panic!("{kind}: {error}")) {
        frames.push(frame.data().to_vec());
    }
    frames
}

fn codec(kind: &str, wire: &[u8]) -> Vec<Vec<u8>> {
    let (mut codec, mut input, mut frames) = (FieldCodec::new(framing(kind)), BytesMut::new(), Vec::new());
    let enframer = Enframer::new(framing(kind));
    for chunk in wire.chunks(11) {
        input.extend_from_slice(chunk);
        while let Some(frame) = codec.decode(&mut input).unwrap_or_else(|error| panic!("{kind}: {error}")) {
            // What was read can be written again, with its fields.
            let (mut ours, mut theirs) = (Vec::new(), BytesMut::new());
            enframer.encode(&frame.fields, &frame.data, &mut ours).unwrap();
            codec.encode((frame.fields.clone(), Bytes::copy_from_slice(&frame.data)), &mut theirs).unwrap();
            assert_eq!(ours, theirs, "{kind}");
            frames.push(frame.data.to_vec());
        }
    }
    while let Some(frame) = codec.decode_eof(&mut input).unwrap_or_else(|error| panic!("{kind}: {error}")) {
        frames.push(frame.data.to_vec());
    }
    frames
}

#[tokio::test]
async fn every_reader_gives_the_same_frames() {
    let mut source = Random(31);
    for kind in random::KINDS {
        let random::Stream { wire, frames } = random::stream(kind, 3000, &mut source);
        assert_eq!(blocking(kind, &wire), frames, "{kind}");
        assert_eq!(embedded(kind, &wire), frames, "{kind}");
        assert_eq!(codec(kind, &wire), frames, "{kind}");
        assert_eq!(asynchronous(kind, &wire).await, frames, "{kind}");
    }
}

#[tokio::test]
async fn a_number_at_the_end_of_the_input_is_whole() {
    let wire = b"[1] -2.5e3";
    let frames = [b"[1]".to_vec(), b"-2.5e3".to_vec()];
    assert_eq!(blocking("json", wire), frames);
    assert_eq!(embedded("json", wire), frames);
    assert_eq!(codec("json", wire), frames);
    assert_eq!(asynchronous("json", wire).await, frames);
    let mut reader = io::FrameReader::new(&b"-2.5e"[..], framing("json"));
    assert!(reader.next().is_err(), "half a number is not a value");
}
