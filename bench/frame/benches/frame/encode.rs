//! Frames with a four-byte length written behind each other.

use crate::{
    CHUNK, SIZES,
    rounds::{Contender, compare},
};
use asynchronous_codec::Encoder as _;
use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use tokio_util::codec::{Encoder as _, LengthDelimitedCodec};
use unglue_frame::{Enframer, Framing};
use wire_codec::{
    WriteBuf,
    framing::{Endian, Framer as _, LengthPrefixed, LengthWidth},
};

const SESSION: &str = "len:u32be kind:u8 stream:u32be data[len]";

pub(crate) fn run() {
    for size in SIZES {
        let data = vec![7; size];
        let frames = (CHUNK / (size + 4)).max(2);
        compare(&format!("encode u32be, {size} bytes"), frames, contenders(&data, frames));
        compare(&format!("encode varint, {size} bytes"), frames, varints(&data, frames));
        compare(&format!("encode {SESSION}, {size} bytes"), frames, sessions(&data, frames));
        let slices = [
            ("unglue encode_to(), varint", "varint"),
            ("unglue encode_to(), the session's header", SESSION),
            ("unglue encode_to(), netstring", "netstring"),
            ("unglue encode_to(), lines", "lines"),
            ("unglue encode_to(), crc32 behind", "len:u32be data[len] crc32"),
            ("unglue encode_to(), crc32c behind", "len:u32be data[len] crc32c"),
        ];
        let rows = slices.map(|(name, notation)| in_slice(name, notation, &data, frames));
        compare(&format!("encode_to(), {size} bytes"), frames, rows.into());
    }
}

fn ours<'d>(name: &'static str, notation: &str, data: &'d [u8], frames: usize) -> Contender<'d> {
    let framing: Framing = notation.parse().expect("a notation");
    let fields: Vec<u64> = framing.field_names().map(|_| 7).collect();
    let (enframer, mut out) = (Enframer::new(framing), Vec::new());
    Contender::new(name, move || {
        out.clear();
        for _ in 0..frames {
            enframer.encode(&fields, black_box(data), &mut out).expect("it fits");
        }
        black_box(&out).len() as u64 * u64::from(fields.is_empty())
    })
}

fn in_slice<'d>(name: &'static str, notation: &str, data: &'d [u8], frames: usize) -> Contender<'d> {
    let framing: Framing = notation.parse().expect("a notation");
    let fields: Vec<u64> = framing.field_names().map(|_| 7).collect();
    let (enframer, mut out) = (Enframer::new(framing), vec![0; frames * (data.len() + 32)]);
    Contender::new(name, move || {
        let mut rest = &mut out[..];
        for _ in 0..frames {
            let bytes = enframer.encode_to(&fields, black_box(data), rest).expect("it fits");
            rest = &mut rest[bytes..];
        }
        0
    })
}

/// A header of three numbers, as one writes it by hand.
fn sessions(data: &[u8], frames: usize) -> Vec<Contender<'_>> {
    let mut by_hand = Vec::new();
    vec![
        Contender::new("hand-written loop", move || {
            by_hand.clear();
            for _ in 0..frames {
                let (data, [kind, stream]) = (black_box(data), black_box([7u64, 7]));
                by_hand.reserve(9 + data.len());
                by_hand.extend_from_slice(&u32::try_from(data.len()).expect("it fits").to_be_bytes());
                by_hand.push(u8::try_from(kind).expect("it fits"));
                by_hand.extend_from_slice(&u32::try_from(stream).expect("it fits").to_be_bytes());
                by_hand.extend_from_slice(data);
            }
            black_box(&by_hand);
            0
        }),
        ours("unglue encode()", SESSION, data, frames),
        in_slice("unglue encode_to()", SESSION, data, frames),
    ]
}

fn varints(data: &[u8], frames: usize) -> Vec<Contender<'_>> {
    let mut theirs = Vec::new();
    vec![
        Contender::new("prost's length delimiter", move || {
            theirs.clear();
            for _ in 0..frames {
                let data = black_box(data);
                prost::encode_length_delimiter(data.len(), &mut theirs).expect("a vector takes it");
                theirs.extend_from_slice(data);
            }
            black_box(&theirs).len() as u64
        }),
        ours("unglue encode()", "varint", data, frames),
    ]
}

fn contenders(data: &[u8], frames: usize) -> Vec<Contender<'_>> {
    let (mut by_hand, mut in_place) = (Vec::new(), Vec::new());
    let mut slice = vec![0; frames * (data.len() + 4)];
    let mut own_slice = slice.clone();
    let enframer = Enframer::new(Framing::u32be());
    let in_slice = enframer.clone();
    let (mut theirs, mut asynchronous) = (BytesMut::new(), BytesMut::new());
    let shared = Bytes::copy_from_slice(data);
    let shared_too = shared.clone();
    vec![
        Contender::new("hand-written loop", move || {
            by_hand.clear();
            for _ in 0..frames {
                let data = black_box(data);
                by_hand.reserve(4 + data.len());
                by_hand.extend_from_slice(&u32::try_from(data.len()).expect("it fits").to_be_bytes());
                by_hand.extend_from_slice(data);
            }
            black_box(&by_hand).len() as u64
        }),
        ours("unglue encode()", "u32be", data, frames),
        ours("unglue encode(), the layout from text", "len:u32be data[len]", data, frames),
        Contender::new("unglue encode_with()", move || {
            in_place.clear();
            for _ in 0..frames {
                let data = black_box(data);
                let put = |out: &mut Vec<u8>| out.extend_from_slice(data);
                enframer.encode_with(&[], &mut in_place, put).expect("it fits");
            }
            black_box(&in_place).len() as u64
        }),
        Contender::new("unglue encode_to(), a slice", move || {
            let mut rest = &mut own_slice[..];
            for _ in 0..frames {
                let bytes = in_slice.encode_to(&[], black_box(data), rest).expect("it fits");
                rest = &mut rest[bytes..];
            }
            (frames * (data.len() + 4)) as u64
        }),
        Contender::new("wire-codec, a slice", move || {
            let framer = LengthPrefixed::new(LengthWidth::U32, Endian::Big);
            let mut out = WriteBuf::new(&mut slice);
            for _ in 0..frames {
                framer.write_frame(black_box(data), &mut out).expect("it fits");
            }
            (frames * (data.len() + 4)) as u64
        }),
        Contender::new("tokio-util LengthDelimitedCodec", move || {
            let mut codec = LengthDelimitedCodec::new();
            theirs.clear();
            for _ in 0..frames {
                codec.encode(black_box(shared.clone()), &mut theirs).expect("it fits");
            }
            black_box(&theirs).len() as u64
        }),
        Contender::new("asynchronous-codec LengthCodec (8 bytes)", move || {
            let mut codec = asynchronous_codec::LengthCodec;
            asynchronous.clear();
            for _ in 0..frames {
                codec.encode(black_box(shared_too.clone()), &mut asynchronous).expect("it fits");
            }
            black_box(&asynchronous);
            0
        }),
    ]
}
