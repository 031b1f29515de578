//! Long streams: every cut in one place, and random ones, of good streams and of ones that changed on the way.

use super::{framing, random};
use crate::{
    collect::{WAYS, run, whole},
    cuts::Random,
};

#[test]
fn random_streams_decode_to_what_they_were_made_of() {
    let mut source = Random(21);
    for kind in random::KINDS {
        for _ in 0..20 {
            let stream = random::stream(kind, 1500, &mut source);
            let seen = whole(&framing(kind), &stream.wire);
            let data: Vec<_> = seen.frames.into_iter().map(|frame| frame.data).collect();
            assert_eq!(seen.end, Ok(()), "{kind}");
            assert_eq!(data, stream.frames, "{kind}");
        }
    }
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    let mut source = Random(22);
    for kind in random::KINDS {
        let framing = framing(kind);
        let stream = random::stream(kind, 600, &mut source).wire;
        let want = whole(&framing, &stream);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            let got = run(&framing, [first, second], WAYS[at % 4]);
            assert!(got == want, "{kind} cut at {at}: {:?} and not {:?}", got.end, want.end);
        }
    }
}

#[test]
fn random_cuts_change_nothing_not_even_an_error() {
    let mut source = Random(23);
    for kind in random::KINDS {
        for options in ["", "max=60", "max=60, toolong=skip", "max=60, toolong=cut", "max=60, empty=deny"] {
            let Ok(framing) = with_options(kind, options).parse() else { continue };
            let mut stream = random::stream(kind, 3000, &mut source).wire;
            for turn in 0..200 {
                if turn % 3 == 2 {
                    let at = source.below(stream.len());
                    stream[at] = source.below(256) as u8;
                }
                // It may end anywhere: what is said then must not depend on the cuts either.
                let stream = &stream[..stream.len() - source.below(stream.len())];
                let want = whole(&framing, stream);
                let (mut chunks, mut rest) = (Vec::new(), stream);
                let most = [1, 2, 20, 300][source.below(4)];
                while !rest.is_empty() {
                    let (chunk, after) = rest.split_at(rest.len().min(source.below(most) + 1));
                    chunks.push(chunk);
                    rest = after;
                }
                let got = run(&framing, chunks, WAYS[turn % 4]);
                assert!(got == want, "{framing} in chunks of {most}: {:?} and not {:?}", got.end, want.end);
            }
        }
    }
}

fn with_options(kind: &str, options: &str) -> String {
    match (kind.strip_suffix(')'), options) {
        (_, "") => kind.into(),
        (Some(open), options) => format!("{open}, {options})"),
        (None, options) => format!("{kind}({options})"),
    }
}
