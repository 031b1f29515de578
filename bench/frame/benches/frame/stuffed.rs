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
        // Text: few bytes are escaped, no zero stands in it.
        let data: Vec<u8> = (0..size).map(|at| b' ' + (at % 90) as u8).collect();
        let frames = (1 << 20) / (size + 8);
        let wires = NOTATIONS.map(|notation| {
            let enframer = Enframer::new(notation.parse().expect("a notation"));
            let mut wire = Vec::new();
            (0..frames).for_each(|_| enframer.encode(&[], &data, &mut wire).expect("it fits"));
            wire
        });
        let mut rows = vec![memchr(&wires[0])];
        rows.extend(NOTATIONS.iter().zip(&wires).map(|(notation, wire)| decoding(notation, wire)));
        compare(&format!("decode stuffed and summed, {size} bytes"), frames, rows);
        let rows = NOTATIONS.iter().map(|notation| encoding(notation, &data, frames)).collect();
        compare(&format!("encode stuffed and summed, {size} bytes"), frames, rows);
    }
}

fn memchr(wire: &[u8]) -> Contender<'_> {
    Contender::new("memchr alone", move || {
        let (mut sum, mut from) = (0, 0);
        for at in memchr::memchr_iter(0xc0, wire) {
            sum += look(&wire[from..at]);
            from = at + 1;
        }
        sum
    })
}

fn decoding<'w>(notation: &'static str, wire: &'w [u8]) -> Contender<'w> {
    let mut deframer = Deframer::new(notation.parse::<Framing>().expect("a notation"));
    Contender::new(notation, move || {
        let mut sum = 0;
        for mut chunk in wire.chunks(CHUNK) {
            for frame in deframer.frames(&mut chunk) {
                sum += look(frame.expect("good frames").data());
            }
        }
        sum
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
