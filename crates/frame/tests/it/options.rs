//! Every framing with every combination of options, over streams that break some of them: all ways, in all pieces, give the same.

use crate::{
    collect::{WAYS, run, whole},
    cuts::Random,
};
use unglue_frame::{Enframer, Framing, presets, protocols};

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
