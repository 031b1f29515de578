//! Dumps that lack something.

use unglue_frame::Enframer;
use unglue_lab::infer::{Stream, Verdict, infer};

use super::of;
use super::words::{Random, payload};

fn stream(notation: &str, frames: u64) -> (Vec<u8>, Vec<usize>) {
    let framing: unglue_frame::Framing = notation.parse().expect("a notation");
    let fields = framing.field_names().count();
    let (enframer, mut random) = (Enframer::new(framing), Random::new(7));
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..frames {
        let values: Vec<u64> = (0..fields).map(|_| 65 + random.below(6)).collect();
        enframer.encode(&values, &payload(&mut random, 0, 90), &mut bytes).expect("it fits");
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn a_missing_first_byte_is_told_and_never_certain() {
    for notation in ["t:u8 len:u32be data[len-4]", "u32be", "t:u16be len:u16be data[len]"] {
        let (bytes, ends) = stream(notation, 30);
        let found = of(&bytes[1..]);
        let first = &found.candidates[0];
        assert_eq!(first.offset, ends[0] as u64 - 1, "{notation}: {found:?}");
        assert_eq!(found.verdict, Verdict::Likely, "{notation}: {found:?}");
        assert!(first.evidence.iter().any(|line| line.contains("lacks its first byte")), "{first:?}");
    }
}

#[test]
fn a_cut_last_frame_changes_nothing_but_the_certainty() {
    let (bytes, ends) = stream("t:u8 len:u32be data[len-4]", 30);
    let found = of(&bytes[..ends[28] + 7]);
    assert_eq!(found.candidates[0].offset, 0);
    assert!(found.candidates[0].notation.ends_with("len:u32be data[len-4]"), "{found:?}");
    assert!(found.candidates[0].evidence[0].contains("the last frame is cut"), "{found:?}");
}

#[test]
fn one_frame_alone_is_ambiguous() {
    for notation in ["u32be", "u16le", "t:u8 len:u32be data[len]"] {
        let (bytes, _) = stream(notation, 1);
        assert_eq!(of(&bytes).verdict, Verdict::Ambiguous, "{notation}");
    }
}

#[test]
fn directions_mixed_or_apart_give_the_same() {
    let (there, _) = stream("u32be", 12);
    let (back, _) = stream("u32be", 9);
    let mixed = of(&[there.clone(), back.clone()].concat());
    let apart = infer(&[Stream::whole("there", there), Stream::whole("back", back)]);
    assert_eq!((mixed.verdict, apart.verdict), (Verdict::Certain, Verdict::Certain));
    assert_eq!((&mixed.candidates[0].notation[..], &apart.candidates[0].notation[..]), ("u32be", "u32be"));
}

#[test]
fn checksums_are_found() {
    let (bytes, _) = stream("t:u8 len:u16be data[len] crc16-modbus(all,le)", 12);
    let found = of(&bytes);
    assert_eq!(found.verdict, Verdict::Certain);
    assert!(found.candidates[0].notation.ends_with("crc16-modbus(all,le)"), "{found:?}");
}
