//! Stuffed frames and checksums, where looking at every byte is the work.

use crate::{
    CHUNK, SIZES,
    decode::look,
    rounds::{Contender, compare},
};
use std::hint::black_box;
use unglue_frame::{Deframer, Enframer, Framing};

const NOTATIONS: [&str; 7] = [
    "slip",
    "cobs",
    "len:u32be data[len]",
    "len:u32be data[len] crc32",
    "len:u32be data[len] crc32c",
    "len:u32be data[len] crc16",
    "len:u32be data[len] sum8",
];

pub(crate) fn run() {
    for size in SIZES {
        // Text: nothing is escaped, no zero stands in it.
        table("stuffed and summed", (0..size).map(|at| b' ' + (at % 90) as u8).collect(), &NOTATIONS);
        let mut seed = 1u64;
        let random = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        });
        table("stuffed, random bytes", random.take(size).collect(), &NOTATIONS[..2]);
    }
}

fn table(what: &str, data: Vec<u8>, notations: &[&'static str]) {
    let size = data.len();
    let frames = (1 << 20) / (size + 8);
    let wire = |notation: &&str| {
        let enframer = Enframer::new(notation.parse().expect("a notation"));
        let mut wire = Vec::new();
        (0..frames).for_each(|_| enframer.encode(&[], &data, &mut wire).expect("it fits"));
        wire
    };
    let wires: Vec<Vec<u8>> = notations.iter().map(wire).collect();
    let mut rows = vec![memchr(&wires[0])];
    rows.extend(notations.iter().zip(&wires).map(|(notation, wire)| decoding(notation, wire)));
    compare(&format!("decode {what}, {size} bytes"), frames, rows);
    let rows = notations.iter().map(|notation| encoding(notation, &data, frames)).collect();
    compare(&format!("encode {what}, {size} bytes"), frames, rows);
}

/// Both give the number of frames: the data differs from what memchr finds.
fn memchr(wire: &[u8]) -> Contender<'_> {
    Contender::new("memchr alone", move || {
        let (mut frames, mut from) = (0, 0);
        for at in memchr::memchr_iter(0xc0, wire) {
            black_box(look(&wire[from..at]));
            frames += 1;
            from = at + 1;
        }
        frames
    })
}

fn decoding<'w>(notation: &'static str, wire: &'w [u8]) -> Contender<'w> {
    let mut deframer = Deframer::new(notation.parse::<Framing>().expect("a notation"));
    Contender::new(notation, move || {
        let mut frames = 0;
        for mut chunk in wire.chunks(CHUNK) {
            for frame in deframer.frames(&mut chunk) {
                black_box(look(frame.expect("good frames").data()));
                frames += 1;
            }
        }
        frames
    })
}

fn encoding<'d>(notation: &'static str, data: &'d [u8], frames: usize) -> Contender<'d> {
    let (enframer, mut out) = (Enframer::new(notation.parse::<Framing>().expect("a notation")), Vec::new());
    Contender::new(notation, move || {
        out.clear();
        for _ in 0..frames {
            enframer.encode(&[], black_box(data), &mut out).expect("it fits");
        }
        black_box(&out);
        0
    })
}
