//! COBS and SLIP with a maximum: it counts decoded bytes, whatever the wire has, and each option does the same whether
//! the encoded frame fits or not.

use crate::collect::{WAYS, run};
use unglue_frame::{Deframer, Enframer, Fault, Framing, TooLong};

/// Data that grows as little, or as much, as it can.
fn messages(max: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for len in [1, max - 1, max, max + 1, max + 2, 2 * max, 2 * max + 1, 5 * max] {
        for byte in [b'a', 0xc0, 0xdb, 0] {
            messages.push(vec![byte; len]);
        }
        messages.push((0..len).map(|at| if at % 2 == 0 { b'x' } else { 0xc0 }).collect());
    }
    messages
}

#[test]
fn what_is_too_long_is_left_out_cut_or_refused_by_its_decoded_size() {
    for notation in ["slip", "cobs"] {
        let plain: Framing = notation.parse().unwrap();
        for max in [2, 5, 254, 300] {
            let messages = messages(max);
            let mut wire = Vec::new();
            for message in &messages {
                Enframer::new(plain.clone()).encode(&[], message, &mut wire).unwrap();
            }
            let limited = |then| plain.clone().max(max as u64).too_long(then).unwrap();
            for way in WAYS {
                for size in [1, 7, 1000, wire.len()] {
                    let seen = run(&limited(TooLong::Skip), wire.chunks(size), way);
                    let got: Vec<_> = seen.frames.iter().map(|seen| seen.data.clone()).collect();
                    let want: Vec<_> = messages.iter().filter(|message| message.len() <= max).cloned().collect();
                    assert_eq!((got, seen.end), (want, Ok(())), "{notation} {max} {way:?}");

                    let seen = run(&limited(TooLong::Cut), wire.chunks(size), way);
                    let got: Vec<_> = seen.frames.iter().map(|seen| seen.data.clone()).collect();
                    let cut = |message: &Vec<u8>| message[..message.len().min(max)].to_vec();
                    let want: Vec<_> = messages.iter().map(cut).collect();
                    assert_eq!((got, seen.end), (want, Ok(())), "{notation} {max} {way:?}");
                }
            }
            for message in &messages {
                let mut wire = Vec::new();
                Enframer::new(plain.clone()).encode(&[], message, &mut wire).unwrap();
                let seen = run(&limited(TooLong::Fail), wire.chunks(3), WAYS[0]);
                assert_eq!(seen.end.is_ok(), message.len() <= max, "{notation} {max} {} bytes", message.len());
            }
        }
    }
}

#[test]
fn a_cut_frame_is_marked_and_the_error_does_not_speak_of_an_announced_length() {
    let mut deframer = Deframer::new("slip(max=2, toolong=cut)".parse().unwrap());
    let marks: Vec<_> = deframer
        .frames(&mut &b"abc\xc0ab\xc0\xdb\xdc\xdb\xdcx\xc0"[..])
        .map(|frame| frame.map(|frame| (frame.data().to_vec(), frame.is_cut())).unwrap())
        .collect();
    assert_eq!(marks, [(b"ab".to_vec(), true), (b"ab".to_vec(), false), (vec![0xc0, 0xc0], true)]);

    let mut deframer = Deframer::new("slip(max=2)".parse().unwrap());
    let error = deframer.decode(&mut &b"abc\xc0"[..]).unwrap_err();
    assert_eq!(error.fault, Fault::TooMuch { limit: 2 });
    assert_eq!(error.to_string(), "frame at byte 0: it has more data than the 2 bytes allowed");
}
