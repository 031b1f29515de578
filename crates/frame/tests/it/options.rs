//! Every framing with every combination of options, over streams that break some of them: all ways, in all pieces, give the same.

use crate::{
    collect::{WAYS, run, whole},
    cuts::Random,
};
use bytes::BytesMut;
use unglue_frame::{EncodeError, Enframer, Framing, presets, protocols};

/// Layouts beside the presets and protocols.
const LAYOUTS: &[&str] = &[
    "a:u8 len:u32be b:u8 data[len]",
    "len:u16le data[len-2]",
    "len:u24be data[len+1]",
    "len:u16be data[len*4-8]",
    "last|len:u32be data[len&7fffffff]",
    "a:varint len:varint b:u8 data[len]",
    "len:varint b:u16be data[len]",
    "len:hex 0d 0a data[len] 0d 0a",
    "len:dec(3) data[len] 0a",
    "ff len:u8 a:u16le data[len] sum8",
    "len:u16be data[len] crc16(all,le)",
    "len:u8 p:u8 data[len] pad[p]",
    "len:u64be data[len]",
];

/// All notations with all options that they take.
fn notations() -> Vec<(String, Framing)> {
    // The pieces of a body depend on the chunks: these have tests of their own.
    let whole = presets().iter().filter(|preset| !preset.notation.contains("+json"));
    let bases: Vec<String> = whole
        .map(|preset| String::from(preset.notation))
        .chain(protocols().iter().map(|protocol| protocol.name.into()))
        .chain(LAYOUTS.iter().map(|layout| String::from(*layout)))
        .collect();
    let mut all = Vec::new();
    for base in bases {
        for max in ["", "max=0", "max=1", "max=7", "max=40", "max=300"] {
            for too_long in ["", "toolong=skip", "toolong=cut"] {
                for empty in ["", "empty=deny"] {
                    for last in ["", "last=allow"] {
                        let options: Vec<&str> =
                            [max, too_long, empty, last].into_iter().filter(|option| !option.is_empty()).collect();
                        let notation = with_options(&base, &options.join(", "));
                        if let Ok(framing) = notation.parse() {
                            all.push((notation, framing));
                        }
                    }
                }
            }
        }
    }
    all
}

fn with_options(base: &str, options: &str) -> String {
    match base.strip_suffix(')') {
        _ if options.is_empty() => base.into(),
        Some(open) if !base.contains(' ') || base.starts_with("delim") => format!("{open}, {options})"),
        _ if base.contains(' ') => format!("{base} ({options})"),
        _ => format!("{base}({options})"),
    }
}

/// Frames that the options refuse, and frames that they allow.
fn stream(notation: &str, framing: &Framing, random: &mut Random) -> Vec<u8> {
    let name = notation.split('(').next().unwrap_or_default();
    let example =
        protocols().iter().find(|protocol| protocol.name == name).map_or(&b""[..], |protocol| protocol.example);
    let enframer = Enframer::new(framing.clone().max(1 << 20));
    let count = framing.field_names().count();
    let mut wire = Vec::new();
    for _ in 0..12 {
        let len = [0, 1, 2, 7, 8, 30, 41, 64, 299, 301][random.below(10)];
        let data: Vec<u8> = (0..len).map(|_| b"\r\n\0\xc0\xdb.ab"[random.below(8)]).collect();
        let fields: Vec<u64> = (0..count).map(|_| random.below(3) as u64).collect();
        if random.below(4) == 0 || enframer.encode(&fields, &data, &mut wire).is_err() {
            wire.extend_from_slice(example);
        }
    }
    wire
}

#[test]
fn every_combination_gives_the_same_by_every_way() {
    let all = notations();
    assert!(all.len() > 2000, "{} notations", all.len());
    let rounds = if std::env::var_os("UNGLUE_FRAME_ALL").is_some() { 500 } else { 4 };
    let mut random = Random(31);
    for (notation, framing) in &all {
        for _ in 0..rounds {
            let mut wire = stream(notation, framing, &mut random);
            if random.below(3) == 0 {
                wire.truncate(random.below(wire.len()));
            }
            if random.below(3) == 0 && !wire.is_empty() {
                let at = random.below(wire.len());
                wire[at] = random.below(256) as u8;
            }
            let want = whole(framing, &wire);
            for way in WAYS {
                let (mut chunks, mut rest) = (Vec::new(), &wire[..]);
                let most = [1, 3, 20, 100, 600][random.below(5)];
                while !rest.is_empty() {
                    let (chunk, after) = rest.split_at(rest.len().min(random.below(most) + 1));
                    chunks.push(chunk);
                    rest = after;
                }
                let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.len()).collect();
                let got = run(framing, chunks, way);
                let pairs = got.frames.iter().zip(&want.frames);
                let differ = pairs.clone().position(|(got, want)| got != want).unwrap_or(pairs.len());
                let (it, not) = (got.frames.get(differ), want.frames.get(differ));
                assert!(
                    got == want,
                    "{notation} {way:?} in chunks of {sizes:?}: frame {differ} is {it:?} and not {not:?}, {:?} and not {:?}",
                    (&got.end, got.skipped),
                    (&want.end, want.skipped)
                );
            }
        }
    }
}

/// What the ways of writing a frame behind other bytes give.
fn written(enframer: &Enframer, fields: &[u64], data: &[u8], notation: &str) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let result = enframer.encode(fields, data, &mut out).map(|()| out.split_off(6));
    assert_eq!(out, b"before", "{notation}");

    let mut with = b"before".to_vec();
    let put = |out: &mut Vec<u8>| out.extend_from_slice(data);
    let got = enframer.encode_with(fields, &mut with, put).map(|()| with.split_off(6));
    // Of several errors, either may be found first.
    assert_eq!((got.ok(), &with[..]), (result.clone().ok(), &b"before"[..]), "{notation} {fields:?}, in place");

    let mut bytes = BytesMut::from(&b"before"[..]);
    let got = enframer.encode(fields, data, &mut bytes).map(|()| bytes.split_off(6).to_vec());
    assert_eq!((&got, &bytes[..]), (&result, &b"before"[..]), "{notation} {fields:?}, to BytesMut");

    let len = result.as_ref().map_or(0, Vec::len);
    for room in [len, len + 1, len + 16, len + 500] {
        let mut slice = vec![0xee; room];
        let got = enframer.encode_to(fields, data, &mut slice).map(|bytes| slice[..bytes].to_vec());
        match result {
            // Room may be found to be missing before what is wrong.
            Err(_) => assert!(got.is_err(), "{notation} {fields:?}, to {room} bytes"),
            Ok(_) => assert_eq!(got, result, "{notation} {fields:?}, to {room} bytes"),
        }
        assert!(
            slice[len..].iter().all(|byte| *byte == 0xee) || result.is_err(),
            "{notation}: bytes behind the frame changed"
        );
    }
    if let Ok(frame) = &result
        && let Some(less) = frame.len().checked_sub(1)
    {
        let got = enframer.encode_to(fields, data, &mut vec![0; less]);
        assert_eq!(got, Err(EncodeError::NoRoom { need: frame.len(), have: less }), "{notation}");
    }

    let mut parts = Vec::new();
    if enframer.header(fields, data.len() as u64, &mut parts).is_ok() {
        parts.extend_from_slice(data);
        enframer.trailer(fields, &mut parts);
        assert_eq!(Ok(&parts), result.as_ref(), "{notation} {fields:?}, in parts");
    }
    result
}

#[test]
fn every_way_of_writing_gives_the_same_and_it_can_be_read() {
    let mut random = Random(37);
    for (notation, framing) in &notations() {
        let enframer = Enframer::new(framing.clone());
        let count = framing.field_names().count();
        for _ in 0..6 {
            let len = [0, 1, 2, 3, 7, 8, 15, 16, 40, 127, 128, 300][random.below(12)];
            let data: Vec<u8> = (0..len).map(|_| b"\r\n\0\xc0\xdb.ab"[random.below(8)]).collect();
            let large = random.below(3) == 0;
            let value = |random: &mut Random| if large { random.below(1 << 40) } else { random.below(3) } as u64;
            let fields: Vec<u64> = (0..count + random.below(20) / 19).map(|_| value(&mut random)).collect();
            let Ok(wire) = written(&enframer, &fields, &data, notation) else { continue };
            let read = whole(framing, &wire);
            let frames: Vec<&[u8]> = read.frames.iter().map(|frame| &frame.data[..]).collect();
            // A number of JSON ends with what follows it, and some protocols have messages without a frame.
            if read.end.is_ok() && frames.len() == 1 {
                assert_eq!(frames, [&data[..]], "{notation} {fields:?}: {wire:02x?}");
            } else {
                let own = protocols().iter().any(|protocol| notation.starts_with(protocol.name));
                assert!(own, "{notation} {fields:?}: {wire:02x?} is read as {read:?}");
            }
        }
    }
}

#[test]
fn a_wrong_byte_is_the_same_fault_for_input_that_ends_behind_it() {
    for protocol in protocols() {
        let framing: Framing = protocol.name.parse().unwrap();
        for at in 0..protocol.example.len() {
            for byte in [b'`', 0, 0xff, protocol.example[at] ^ 1] {
                let mut wire = protocol.example.repeat(2);
                wire[at] = byte;
                for end in [at + 1, at + 2, wire.len()] {
                    let wire = &wire[..end];
                    for way in WAYS {
                        let got = run(&framing, wire.chunks(1), way);
                        assert_eq!(
                            got,
                            whole(&framing, wire),
                            "{} {way:?}, byte by byte of {wire:02x?}",
                            protocol.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_frame_is_cut_within_bytes_that_were_needed_to_know_it() {
    let greeting = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x03"[..], &[0; 53], b"\0\x02hi"].concat();
    let header = [&b"AMQP\0\0\x09\x01"[..], b"\x08\0\0\0\0\0\0\xce"].concat();
    for (notation, wire) in [("zmtp(max=7, toolong=cut)", greeting), ("amqp(max=2, toolong=cut)", header)] {
        let framing: Framing = notation.parse().unwrap();
        let want = whole(&framing, &wire);
        assert_eq!((want.frames.len(), want.frames[0].is_cut, &want.end), (2, true, &Ok(())), "{notation}");
        for way in WAYS {
            for chunk in 1..wire.len() {
                assert_eq!(run(&framing, wire.chunks(chunk), way), want, "{notation} {way:?} in chunks of {chunk}");
            }
        }
    }
}

/// Characters that notations are made of.
const LETTERS: &[u8] = b"ulbedatnxmcvk0123456789()[]:,*&|=-+\"\\ _\xc3\xa9";

#[test]
fn a_notation_with_typing_errors_is_refused_or_means_what_it_prints_as() {
    let all = notations();
    let mut random = Random(41);
    let turns = if std::env::var_os("UNGLUE_FRAME_ALL").is_some() { 40_000_000 } else { 200_000 };
    let mut good = 0;
    for turn in 0..turns {
        let mut text = all[random.below(all.len())].0.clone().into_bytes();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len());
            let letter = LETTERS[random.below(LETTERS.len())];
            match random.below(3) {
                0 if !text.is_empty() => text[at] = letter,
                1 if !text.is_empty() => drop(text.remove(at)),
                _ => text.insert(at, letter),
            }
        }
        let text = String::from_utf8_lossy(&text);
        let Ok(framing) = text.parse::<Framing>() else { continue };
        good += 1;
        assert_eq!(framing.to_string().parse().as_ref(), Ok(&framing), "{text} prints as {framing}");
        let wire: Vec<u8> = (0..60).map(|_| [0, 1, 2, 8, b'1', b'a', b'\n', 0xff][random.below(8)]).collect();
        let way = WAYS[turn % WAYS.len()];
        let got = run(&framing, wire.chunks(random.below(30) + 1), way);
        assert_eq!(got, whole(&framing, &wire), "{text} {way:?} of {wire:02x?}");
    }
    assert!(good > turns / 100, "{good} of {turns} are notations");
}
