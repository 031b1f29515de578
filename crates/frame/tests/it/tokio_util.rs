//! The same streams through tokio-util's `LengthDelimitedCodec`, which nobody here wrote.

use crate::cuts::Random;
use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};
use unglue_frame::{Deframer, EncodeError, Enframer, Fault, Framing, Int, Layout};

/// The builder's parameters and ours.
struct Pair {
    theirs: LengthDelimitedCodec,
    ours: Framing,
    their_max: usize,
}

fn pair(random: &mut Random) -> Option<Pair> {
    let (int, width, big) = [
        (Int::U8, 1, true),
        (Int::U16BE, 2, true),
        (Int::U16LE, 2, false),
        (Int::U24BE, 3, true),
        (Int::U24LE, 3, false),
        (Int::U32BE, 4, true),
        (Int::U32LE, 4, false),
        (Int::U64BE, 8, true),
        (Int::U64LE, 8, false),
    ][random.below(9)];
    let offset = [0, 0, 1, 3, 7][random.below(5)];
    let adjust = [0, 0, -(width as i64), 1, 9, -2][random.below(6)];
    let max = [0, 5, 40, 1000, 100_000][random.below(5)];
    let mut builder = LengthDelimitedCodec::builder();
    builder.length_field_offset(offset).length_field_length(width).length_adjustment(adjust as isize);
    builder.num_skip(offset + width).max_frame_length(max);
    let theirs = if big { builder.big_endian() } else { builder.little_endian() }.new_codec();
    let layout = Layout::new().reserved(offset).length("len", int).data_plus(adjust).build().unwrap();
    // They hold the number against the maximum before they adjust it: a deliberate difference, ours counts data.
    let our_max = u64::try_from(max as i64 + adjust).ok()?;
    Some(Pair { theirs, ours: layout.max(our_max), their_max: max })
}

/// Frames of these parameters, now and then with a wrong byte, perhaps cut short.
fn stream(ours: &Framing, random: &mut Random) -> Vec<u8> {
    let enframer = Enframer::new(ours.clone());
    let mut wire = Vec::new();
    for _ in 0..random.below(6) {
        let data = vec![random.below(256) as u8; random.below(60)];
        let _ = enframer.encode(&[], &data, &mut wire);
        if random.below(8) == 0 {
            wire.push(random.below(256) as u8);
        }
    }
    wire.truncate(wire.len() - random.below(3).min(wire.len()));
    wire
}

type Seen = (Vec<Vec<u8>>, bool);

fn through_theirs(codec: &mut LengthDelimitedCodec, chunks: &[&[u8]]) -> Seen {
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in chunks {
        input.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut input) {
                Ok(Some(data)) => frames.push(data.to_vec()),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    let end = codec.decode_eof(&mut input);
    (frames, matches!(end, Ok(None)))
}

fn through_ours(framing: &Framing, chunks: &[&[u8]]) -> Seen {
    let (mut deframer, mut frames) = (Deframer::new(framing.clone()), Vec::new());
    for mut chunk in chunks.iter().copied() {
        for frame in deframer.frames(&mut chunk) {
            match frame {
                Ok(frame) => frames.push(frame.data().to_vec()),
                Err(_) => return (frames, false),
            }
        }
    }
    let end = deframer.finish();
    (frames, end.is_ok())
}

/// Whether the stream ends after a header of which nothing more is needed, or where theirs is known to look away: a
/// header whose last byte just came leaves nothing in their buffer.
fn header_alone_at_the_end(framing: &Framing, wire: &[u8]) -> bool {
    let mut deframer = Deframer::new(framing.clone());
    let mut input = wire;
    while let Ok(Some(_)) = deframer.decode(&mut input) {}
    match deframer.finish() {
        Err(error) => matches!(error.fault, Fault::Truncated { need: Some(_), .. }),
        Ok(()) => false,
    }
}

#[test]
fn the_same_streams_give_the_same_frames() {
    let mut random = Random(21);
    let (mut compared, mut looked_away) = (0, 0);
    while compared < 20_000 {
        let Some(Pair { mut theirs, ours, .. }) = pair(&mut random) else { continue };
        let wire = stream(&ours, &mut random);
        let at = random.below(wire.len() + 1);
        let chunks = [&wire[..at], &wire[at..]];
        let (their_frames, their_end) = through_theirs(&mut theirs, &chunks);
        let (our_frames, our_end) = through_ours(&ours, &chunks);
        assert_eq!(our_frames, their_frames, "{ours} {wire:02x?}");
        if our_end != their_end {
            // They forget a frame whose header came and whose data did not.
            assert!(their_end && header_alone_at_the_end(&ours, &wire), "{ours} {wire:02x?}: {our_end} {their_end}");
            looked_away += 1;
        }
        compared += 1;
    }
    eprintln!("{compared} streams, {looked_away} ends inside a frame that tokio-util didn't report");
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let mut random = Random(23);
    for _ in 0..20_000 {
        let Some(Pair { mut theirs, ours, their_max }) = pair(&mut random) else { continue };
        if ours.to_string().starts_with('_') {
            // Their encoder ignores the offset: what it writes, their decoder can't read.
            continue;
        }
        let data = vec![7; random.below(70)];
        let (mut their_wire, mut our_wire) = (BytesMut::new(), Vec::new());
        let theirs = theirs.encode(Bytes::from(data.clone()), &mut their_wire);
        match Enframer::new(ours.clone()).encode(&[], &data, &mut our_wire) {
            // They hold the data's size, not the number, against the maximum when they encode.
            Ok(()) if data.len() > their_max => assert!(theirs.is_err()),
            Ok(()) => assert!(theirs.is_ok() && their_wire == our_wire, "{ours} {}", data.len()),
            Err(EncodeError::TooLong { .. }) => {}
            Err(_) => assert!(theirs.is_err(), "{ours} {}", data.len()),
        }
    }
}

#[test]
fn their_maximum_counts_the_length_before_its_adjustment() {
    let mut theirs = LengthDelimitedCodec::builder();
    theirs.length_field_length(2).length_adjustment(-2).max_frame_length(4);
    let wire = b"\0\x06abcd";
    assert!(theirs.new_codec().decode(&mut BytesMut::from(&wire[..])).is_err());
    let framing: Framing = "u16be(incl, max=4)".parse().unwrap();
    assert_eq!(Deframer::new(framing).decode(&mut &wire[..]).unwrap().unwrap().data(), b"abcd");
}
