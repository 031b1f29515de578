//! The fuzzers' targets over their committed corpus, and over random inputs: what they would find is found here too.

use crate::cuts::Random;
use std::{fs, path::Path};

// A link: the fuzzers have it, and the packaged crate takes a copy along.
#[path = "corpus/checks.rs"]
#[allow(unreachable_pub)] // It is public where the fuzzers find it.
mod checks;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = inputs(target);
    assert!(!corpus.is_empty(), "the corpus of {target} is empty");
    corpus.iter().for_each(|input| check(input));
    // Inputs near those of the corpus.
    let mut random = Random(31);
    for _ in 0..5_000 {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..random.below(4) {
            let at = random.below(input.len() + 1);
            match random.below(3) {
                0 => input.insert(at, random.below(256) as u8),
                1 if at < input.len() => input[at] = random.below(256) as u8,
                _ if at < input.len() => _ = input.remove(at),
                _ => {}
            }
        }
        check(&input);
    }
}

#[test]
fn splits() {
    replay("splits", checks::splits);
}

#[test]
fn notation() {
    replay("notation", checks::notation);
}

#[test]
fn round_trip() {
    replay("round_trip", checks::round_trip);
}
