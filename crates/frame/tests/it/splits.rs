//! Any chunking of the same bytes gives the same frames, or the same error at the same offset.

use crate::{
    collect::{Run, WAYS, run, whole},
    samples::{SAMPLES, Sample},
};
use unglue_frame::Framing;

/// The chunks of `stream`, cut behind each byte whose bit is set.
fn split(stream: &[u8], cuts: u32) -> Vec<&[u8]> {
    let (mut chunks, mut from) = (Vec::new(), 0);
    for at in 1..=stream.len() {
        if at == stream.len() || cuts >> (at - 1) & 1 == 1 {
            chunks.push(&stream[from..at]);
            from = at;
        }
    }
    chunks
}

/// Asserts that every split of `stream` gives what the whole gives.
pub(crate) fn every_split(framing: &Framing, stream: &[u8]) -> Run {
    assert!(stream.len() <= 16, "2^{} splits are too many", stream.len() - 1);
    let want = whole(framing, stream);
    for way in WAYS {
        for cuts in 0..1u32 << stream.len().saturating_sub(1) {
            let got = run(framing, split(stream, cuts), way);
            assert_eq!(got, want, "{framing} {way:?} cuts {cuts:b} of {stream:02x?}");
        }
    }
    want
}

#[test]
fn of_every_sample_all_splits_give_the_same() {
    for Sample { notation, stream, gives } in SAMPLES {
        if !cfg!(feature = "checksums") && notation.contains("crc") {
            continue;
        }
        let framing: Framing = notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"));
        let seen = every_split(&framing, stream);
        let data: Vec<_> = seen.frames.iter().map(|frame| String::from_utf8_lossy(&frame.data)).collect();
        let end = if seen.end.is_err() { "!" } else { "" };
        assert_eq!(data.join("|") + end, *gives, "{notation} {:?}", seen.end);
    }
}
