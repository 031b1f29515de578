//! Frames with a four-byte length taken out of a stream in chunks.

use crate::{
    CHUNK, SIZES,
    rounds::{Contender, compare},
};
use asynchronous_codec::Decoder as _;
use bytes::BytesMut;
use std::hint::black_box;
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use unglue_frame::{BytesDeframer, Deframer, Enframer, Framing};
use wire_codec::framing::{Endian, Framer as _, LengthPrefixed, LengthWidth};

/// The stream: enough frames for the last level of cache, whole chunks.
pub(crate) fn stream(framing: &Framing, size: usize) -> (Vec<u8>, usize) {
    let enframer = Enframer::new(framing.clone());
    let fields: Vec<u64> = framing.field_names().map(|_| 7).collect();
    let (mut wire, mut frames) = (Vec::new(), 0);
    while wire.len() < 1 << 20 {
        enframer.encode(&fields, &vec![frames as u8; size], &mut wire).expect("the sizes fit");
        frames += 1;
    }
    (wire, frames)
}

/// What everybody does with a frame: look at its data.
#[inline(always)]
pub(crate) fn look(data: &[u8]) -> u64 {
    u64::from(black_box(data)[0]) + data.len() as u64
}

pub(crate) fn run() {
    for size in SIZES {
        let framing = Framing::u32be();
        let (wire, frames) = stream(&framing, size);
        compare(&format!("decode u32be, {size} bytes"), frames, contenders(&wire));
        for notation in ["len:u32be kind:u8 stream:u32be data[len]", "varint"] {
            let framing: Framing = notation.parse().expect("a notation");
            let (wire, frames) = stream(&framing, size);
            let mut carry = Vec::new();
            let mut one_by_one = Deframer::new(framing.clone());
            let wire = &wire;
            let first = match notation {
                "varint" => Contender::new("prost's length delimiter", move || prost(wire, &mut carry)),
                _ => Contender::new("hand-written loop", move || by_hand::<9>(wire, &mut carry)),
            };
            let rows = vec![
                first,
                ours("unglue frames()", framing, wire),
                Contender::new("unglue decode()", move || decode(wire, &mut one_by_one)),
            ];
            compare(&format!("decode {notation}, {size} bytes"), frames, rows);
        }
    }
}

fn contenders(wire: &[u8]) -> Vec<Contender<'_>> {
    let layout: Framing = "len:u32be data[len]".parse().expect("a notation");
    let mut carry = Vec::new();
    let mut wire_carry = Vec::new();
    let mut copy = vec![0; wire.len()];
    let mut one_by_one = Deframer::new(Framing::u32be());
    let mut owned = BytesDeframer::new(Framing::u32be());
    let mut shared = BytesDeframer::new(Framing::u32be());
    vec![
        Contender::new("hand-written loop", move || by_hand::<4>(wire, &mut carry)),
        ours("unglue frames()", Framing::u32be(), wire),
        ours("unglue frames(), the layout from text", layout, wire),
        Contender::new("unglue decode()", move || decode(wire, &mut one_by_one)),
        Contender::new("unglue decode_data(), owned", move || {
            in_bytes(wire, |input| owned.decode_data(input).expect("good frames"))
        }),
        Contender::new("unglue decode_bytes(), owned", move || {
            in_bytes(wire, |input| shared.decode_bytes(input).expect("good frames"))
        }),
        Contender::new("wire-codec", move || wire_codec(wire, &mut wire_carry)),
        Contender::new("tokio-util LengthDelimitedCodec", move || {
            let mut codec = LengthDelimitedCodec::new();
            in_bytes(wire, |input| codec.decode(input).expect("good frames"))
        }),
        Contender::new("tokio-util, its decode alone", tokio_decode(wire)),
        Contender::new("asynchronous-codec LengthCodec (8 bytes)", asynchronous(wire)),
        Contender::new("memcpy", move || {
            copy.copy_from_slice(black_box(wire));
            black_box(&copy);
            0
        }),
    ]
}

fn ours<'w>(name: &'static str, framing: Framing, wire: &'w [u8]) -> Contender<'w> {
    let mut deframer = Deframer::new(framing);
    Contender::new(name, move || {
        let mut sum = 0;
        for mut chunk in wire.chunks(CHUNK) {
            for frame in deframer.frames(&mut chunk) {
                sum += look(frame.expect("good frames").data());
            }
        }
        sum
    })
}

fn decode(wire: &[u8], deframer: &mut Deframer) -> u64 {
    let mut sum = 0;
    for mut chunk in wire.chunks(CHUNK) {
        while let Some(frame) = deframer.decode(&mut chunk).expect("good frames") {
            sum += look(frame.data());
        }
    }
    sum
}

/// What one writes by hand: frames borrowed from the chunk, copied where they straddle two. The length is the first four
/// bytes of a header of `HEAD`.
fn by_hand<const HEAD: usize>(wire: &[u8], carry: &mut Vec<u8>) -> u64 {
    let mut sum = 0;
    for mut chunk in wire.chunks(CHUNK) {
        if !carry.is_empty() {
            let Some(data) = finish::<HEAD>(carry, &mut chunk) else { continue };
            sum += look(data);
            carry.clear();
        }
        while let Some(header) = chunk.first_chunk::<HEAD>() {
            let len = u32::from_be_bytes(*header.first_chunk().expect("it is shorter")) as usize;
            assert!(len <= 8 << 20, "too long");
            let Some(data) = chunk.get(HEAD..HEAD + len) else { break };
            sum += look(data);
            chunk = &chunk[HEAD + len..];
        }
        carry.extend_from_slice(chunk);
    }
    sum
}

/// Completes the frame in `carry` from the next chunk.
fn finish<'c, const HEAD: usize>(carry: &'c mut Vec<u8>, chunk: &mut &[u8]) -> Option<&'c [u8]> {
    let mut take = |carry: &mut Vec<u8>, want: usize| {
        let (more, rest) = chunk.split_at(want.saturating_sub(carry.len()).min(chunk.len()));
        carry.extend_from_slice(more);
        *chunk = rest;
    };
    take(carry, HEAD);
    let len = u32::from_be_bytes(*carry.first_chunk()?) as usize;
    take(carry, HEAD + len);
    carry.get(HEAD..HEAD + len)
}

fn wire_codec(wire: &[u8], carry: &mut Vec<u8>) -> u64 {
    let framer = LengthPrefixed::bounded(LengthWidth::U32, Endian::Big).with_max_payload(8 << 20);
    let mut sum = 0;
    for mut chunk in wire.chunks(CHUNK) {
        if !carry.is_empty() {
            let Some(data) = finish::<4>(carry, &mut chunk) else { continue };
            sum += look(data);
            carry.clear();
        }
        while let Some(frame) = framer.next_frame(chunk).expect("good frames") {
            sum += look(frame.payload());
            chunk = &chunk[frame.consumed()..];
        }
        carry.extend_from_slice(chunk);
    }
    sum
}

fn in_bytes<D: std::ops::Deref<Target = [u8]>>(wire: &[u8], mut decode: impl FnMut(&mut BytesMut) -> Option<D>) -> u64 {
    let (mut sum, mut input) = (0, BytesMut::with_capacity(2 * CHUNK));
    for chunk in wire.chunks(CHUNK) {
        input.extend_from_slice(chunk);
        while let Some(data) = decode(&mut input) {
            sum += look(&data);
        }
    }
    sum
}

/// Without the copy into its buffer: the whole stream lies there at once, made anew outside of what the others pay for
/// copies of their own.
fn tokio_decode(wire: &[u8]) -> impl FnMut() -> u64 {
    let mut codec = LengthDelimitedCodec::new();
    move || {
        let (mut sum, mut input) = (0, BytesMut::from(wire));
        while let Some(data) = codec.decode(&mut input).expect("good frames") {
            sum += look(&data);
        }
        sum
    }
}

/// The same frames with its own length of eight bytes.
fn asynchronous(wire: &[u8]) -> impl FnMut() -> u64 {
    let mut theirs = Vec::new();
    for frame in Deframer::new(Framing::u32be()).frames(&mut &wire[..]) {
        let data = frame.expect("good frames").data();
        theirs.extend_from_slice(&(data.len() as u64).to_be_bytes());
        theirs.extend_from_slice(data);
    }
    move || {
        let (mut sum, mut input) = (0, BytesMut::with_capacity(2 * CHUNK));
        for chunk in theirs.chunks(CHUNK) {
            input.extend_from_slice(chunk);
            while let Some(data) = asynchronous_codec::LengthCodec.decode(&mut input).expect("good frames") {
                sum += look(&data);
            }
        }
        sum
    }
}

/// prost knows delimiters in a buffer that has them whole: chunks and straddlers are left to its user, as in the
/// hand-written loop.
fn prost(wire: &[u8], carry: &mut Vec<u8>) -> u64 {
    let mut sum = 0;
    for mut chunk in wire.chunks(CHUNK) {
        while !carry.is_empty() && !chunk.is_empty() {
            // Enough for the length, then for the data.
            let want = prost_frame(carry).map_or(carry.len() + 1, |(head, len)| head + len);
            let (more, rest) = chunk.split_at((want - carry.len()).min(chunk.len()));
            carry.extend_from_slice(more);
            chunk = rest;
            if let Some((head, len)) = prost_frame(carry)
                && carry.len() == head + len
            {
                sum += look(&carry[head..]);
                carry.clear();
            }
        }
        while let Some((head, len)) = prost_frame(chunk) {
            let Some(data) = chunk.get(head..head + len) else { break };
            sum += look(data);
            chunk = &chunk[head + len..];
        }
        carry.extend_from_slice(chunk);
    }
    sum
}

#[inline(always)]
fn prost_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = bytes;
    let len = prost::decode_length_delimiter(&mut rest).ok()?;
    Some((bytes.len() - rest.len(), len))
}
