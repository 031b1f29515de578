//! Every way to cut a byte stream into chunks.
//!
//! A protocol that keeps promise P1 gives the same frames, or the same error at the same offset, for each of them.
//!
//! ```
//! use unglue_testkit::chopper;
//!
//! let whole = |chunks: Vec<&[u8]>| chunks.concat();
//! chopper::every_split(b"four", |chunks| assert_eq!(whole(chunks), b"four"));
//! ```

use crate::Prng;

/// The longest stream for [`every_split`]: 32,768 of them.
pub const EVERY_SPLIT_MAX: usize = 16;

/// Calls `check` with each of the 2^(n-1) ways to cut `stream` into chunks.
///
/// # Panics
/// If it is longer than [`EVERY_SPLIT_MAX`].
pub fn every_split<'a>(stream: &'a [u8], mut check: impl FnMut(Vec<&'a [u8]>)) {
    let places = stream.len().saturating_sub(1);
    assert!(stream.len() <= EVERY_SPLIT_MAX, "2^{places} splits are too many");
    for cuts in 0..1u32 << places {
        let at: Vec<usize> = (0..places).filter(|place| cuts >> place & 1 == 1).map(|place| place + 1).collect();
        check(cut(stream, &at));
    }
}

/// Calls `check` with each way to cut `stream` once.
pub fn one_cut<'a>(stream: &'a [u8], mut check: impl FnMut(Vec<&'a [u8]>)) {
    for at in 1..stream.len() {
        check(cut(stream, &[at]));
    }
}

/// Calls `check` with each way to cut `stream` twice.
pub fn two_cuts<'a>(stream: &'a [u8], mut check: impl FnMut(Vec<&'a [u8]>)) {
    for first in 1..stream.len() {
        for second in first + 1..stream.len() {
            check(cut(stream, &[first, second]));
        }
    }
}

/// One byte at a time.
pub fn bytewise(stream: &[u8]) -> Vec<&[u8]> {
    stream.chunks(1).collect()
}

/// Chunks of random sizes, mostly small ones, and now and then an empty one.
pub fn random<'a>(stream: &'a [u8], random: &mut Prng) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let len = random.log_uniform(0, rest.len());
        let (chunk, behind) = rest.split_at(len);
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

/// Cuts at these places, which are in order.
pub fn cut<'a>(stream: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::with_capacity(at.len() + 1);
    let mut start = 0;
    for &place in at {
        chunks.push(&stream[start..place]);
        start = place;
    }
    chunks.push(&stream[start..]);
    chunks
}

/// Calls `check` with the whole, with single bytes, with every split if the stream is short, with every one and two cuts
/// if it is not long, and with `count` random ways.
pub fn adversary<'a>(stream: &'a [u8], seed: u64, count: usize, mut check: impl FnMut(Vec<&'a [u8]>)) {
    check(vec![stream]);
    check(bytewise(stream));
    if stream.len() <= EVERY_SPLIT_MAX {
        return every_split(stream, check);
    }
    one_cut(stream, &mut check);
    if stream.len() <= 160 {
        two_cuts(stream, &mut check);
    }
    let mut prng = Prng::new(seed);
    for _ in 0..count {
        check(random(stream, &mut prng));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_split_is_there_once_and_whole() {
        let mut seen = HashSet::new();
        every_split(b"abcde", |chunks| {
            assert_eq!(chunks.concat(), b"abcde");
            assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
            assert!(seen.insert(chunks));
        });
        assert_eq!(seen.len(), 16);
        every_split(b"", |chunks| assert_eq!(chunks, [b""]));
    }

    #[test]
    fn an_adversary_loses_no_byte() {
        let stream = Prng::new(3).bytes(100);
        let mut ways = 0;
        adversary(&stream, 1, 50, |chunks| {
            assert_eq!(chunks.concat(), stream);
            ways += 1;
        });
        assert_eq!(ways, 2 + 99 + 99 * 98 / 2 + 50);
    }
}
