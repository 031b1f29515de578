//! Streams of some thousand bytes: every cut in one place or two, and random ones.

use crate::collect::{Run, WAYS, Way, run, whole};
use unglue_frame::{Enframer, Framing};

const NOTATIONS: &[&str] = &[
    "u8",
    "u16le",
    "u32be",
    "varint",
    "lines",
    "crlf",
    "delim(\"\\r\\n.\\r\\n\")",
    "netstring",
    "octet-count",
    "lsp",
    "cobs",
    "slip",
    "fixed:64",
    "hdr:u8 len:varint(4) data[len]",
    "01 t:u8 id:u16be len:u16be p:u8 _ data[len] pad[p]",
    "68 len:u16be 68 data[len] sum8 16",
    "u16be(max=200, toolong=skip)",
    "lines(max=100, toolong=cut)",
    "crlf(max=100, toolong=skip)",
    "cobs(max=100, toolong=skip)",
];

/// A small generator: the streams must be the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| if self.below(4) == 0 { b"\r\n\0\xc0\xdb."[self.below(6)] } else { self.below(256) as u8 })
            .collect()
    }
}

/// Frames of several sizes, and sometimes garbage at the end. What the framing can't carry is left out.
pub(crate) fn stream(framing: &Framing, size: usize, random: &mut Random) -> Vec<u8> {
    let enframer = Enframer::new(framing.clone().max(1 << 20));
    let mut wire = Vec::new();
    while wire.len() < size {
        let len = if random.below(10) == 0 { random.below(600) } else { random.below(80) };
        let data = random.bytes(len);
        let fields: Vec<u64> = (0..4).map(|_| random.below(50) as u64).collect();
        let known = (0..=4).find(|&count| enframer.encode(&fields[..count], b"x", &mut Vec::new()).is_ok());
        let fields = &fields[..known.unwrap_or(0)];
        let fitting = if framing.to_string() == "fixed:64" { random.bytes(64) } else { data };
        let _ = enframer.encode(fields, &fitting, &mut wire);
        if random.below(200) == 0 {
            wire.extend(random.bytes(5));
        }
    }
    wire
}

fn same(framing: &Framing, chunks: &[&[u8]], way: Way, want: &Run) {
    let got = run(framing, chunks.iter().copied(), way);
    let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.len()).collect();
    assert!(got == *want, "{framing} {way:?} in chunks of {sizes:?}: {:?} and not {:?}", got.end, want.end);
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    let mut random = Random(7);
    for notation in NOTATIONS {
        let framing: Framing = notation.parse().unwrap();
        let stream = stream(&framing, 2048, &mut random);
        let want = whole(&framing, &stream);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            same(&framing, &[first, second], WAYS[at % WAYS.len()], &want);
        }
    }
}

#[test]
fn two_cuts_anywhere_change_nothing() {
    let mut random = Random(9);
    // All pairs in 4 KiB are eight million runs a framing: here all in a short stream. `UNGLUE_FRAME_ALL=1` has them all.
    let size = if std::env::var_os("UNGLUE_FRAME_ALL").is_some() { 4096 } else { 150 };
    for notation in NOTATIONS {
        let framing: Framing = notation.parse().unwrap();
        let stream = stream(&framing, size, &mut random);
        let want = whole(&framing, &stream);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                same(&framing, &chunks, WAYS[(first + second) % WAYS.len()], &want);
            }
        }
    }
}

#[test]
fn random_cuts_change_nothing() {
    let mut random = Random(11);
    let times = if std::env::var_os("UNGLUE_FRAME_ALL").is_some() { 1_000_000 } else { 2_000 } / NOTATIONS.len();
    for notation in NOTATIONS {
        let framing: Framing = notation.parse().unwrap();
        let mut stream = stream(&framing, 4096, &mut random);
        for turn in 0..times {
            if turn % 5 == 4 {
                // A byte that changed on the way.
                let at = random.below(stream.len());
                stream[at] = random.below(256) as u8;
            }
            let want = whole(&framing, &stream);
            let (mut chunks, mut rest) = (Vec::new(), &stream[..]);
            let most = [2, 20, 300, 3000][random.below(4)];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(random.below(most) + 1));
                chunks.push(chunk);
                rest = after;
            }
            same(&framing, &chunks, WAYS[turn % WAYS.len()], &want);
        }
    }
}
