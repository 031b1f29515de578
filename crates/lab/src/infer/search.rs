//! All hypotheses, and those of them that the bytes allow.

use super::Verdict;
use super::parse::{End, Parse, count, distinct_lengths};
use super::prefix::{Number, Prefix, Step};
use super::score::{Corpus, records};

/// Header bytes before a length.
const BEFORE: usize = 32;
/// Bytes of a frame that its length leaves out.
const LEFT_OUT: i64 = 40;
/// The longest record of fixed size.
const FIXED: usize = 512;
/// Below this many bits before its columns are counted, a layout is given up.
const ABSURD: f64 = -16.0;
/// Layouts whose columns are looked at.
const LOOKED_AT: usize = 500;
/// How many frames all layouts that are kept may have together: 32 MiB.
const FRAMES_KEPT: usize = 4 << 20;
/// What remains of the bits where the stream just repeats itself.
const PERIODIC: f64 = 0.1;
/// What remains of the bits of records where the stream isn't a whole number of them.
const CUT_RECORDS: f64 = 0.15;
/// How far into a stream the first whole frame is looked for.
const LATE: usize = 4096;
/// Bytes that a dump may lack at its start without our taking it for another stream.
const LACKING: i64 = 4;

const NUMBERS: [Number; 11] = [
    Number::Big(4),
    Number::Big(2),
    Number::Little(4),
    Number::Little(2),
    Number::Big(1),
    Number::Big(3),
    Number::Little(3),
    Number::Varint(4),
    Number::Varint(10),
    Number::Big(8),
    Number::Little(8),
];

/// What a hypothesis is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Prefix(Prefix),
    Fixed(usize),
    /// A notation that the framing library reads; what it is, in words.
    Named {
        notation: String,
        because: Vec<String>,
    },
}

/// A hypothesis that the bytes allow, with what speaks for it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) parses: Vec<Parse>,
    /// What speaks for it less what it takes to name it, in bits.
    pub(super) bits: f64,
    /// The most that may be said of it, whatever the bits.
    pub(super) at_most: Verdict,
}

/// Every layout with a length.
fn prefixes() -> impl Iterator<Item = Prefix> {
    (0..=BEFORE).flat_map(|at| {
        NUMBERS.into_iter().flat_map(move |number| {
            let whole = at as i64 + number.width() as i64;
            let varies = matches!(number, Number::Varint(_));
            let lowest = if varies { 0 } else { -whole };
            let most = if varies { 8 } else { LEFT_OUT };
            (lowest..=most).map(move |plus| Prefix { at, number, plus })
        })
    })
}

/// Layouts that parse all streams from their first byte.
pub(super) fn from_the_start(corpus: &Corpus<'_>) -> Vec<Found> {
    let mut drafts = Drafts::default();
    for prefix in prefixes() {
        let parses: Option<Vec<Parse>> = corpus.streams.iter().map(|stream| prefix.parse(&stream.bytes, 0)).collect();
        let Some(parses) = parses.filter(|parses| enough(parses)) else { continue };
        // Where the dump ends inside a frame, so may it begin inside one.
        let cut = corpus.streams.iter().zip(&parses).any(|(stream, parse)| stream.ends && parse.end != End::Exact);
        let at_most = if cut { Verdict::Likely } else { Verdict::Certain };
        let bits = corpus.chain(&prefix, &parses) - prefix.prior();
        drafts.push(Found { kind: Kind::Prefix(prefix), parses, bits, at_most });
    }
    best(corpus, drafts)
}

/// Hypotheses whose columns may be looked at. Bytes that repeat themselves allow thousands, each with thousands of frames.
#[derive(Default)]
struct Drafts {
    kept: Vec<Found>,
    frames: usize,
}

impl Drafts {
    fn push(&mut self, draft: Found) {
        if draft.bits > ABSURD {
            self.frames += count(&draft.parses);
            self.kept.push(draft);
            if self.kept.len() > 4 * LOOKED_AT || self.frames > FRAMES_KEPT {
                self.thin();
            }
        }
    }

    /// Keeps the best, the best of them first.
    fn thin(&mut self) {
        self.kept.sort_by(|a, b| b.bits.total_cmp(&a.bits));
        self.kept.truncate(LOOKED_AT);
        self.frames = self.kept.iter().map(|draft| count(&draft.parses)).sum();
        while self.frames > FRAMES_KEPT / 2 && self.kept.len() > 1 {
            self.frames -= self.kept.pop().map_or(0, |draft| count(&draft.parses));
        }
    }
}

/// Columns are costly to look at: those drafts alone get them whose lengths are not absurd, the best ones.
fn best(corpus: &Corpus<'_>, mut drafts: Drafts) -> Vec<Found> {
    drafts.thin();
    let mut drafts = drafts.kept;
    for draft in &mut drafts {
        let Kind::Prefix(prefix) = &draft.kind else { continue };
        draft.bits += corpus.prefix_columns(prefix, &draft.parses);
        if corpus.is_periodic(&draft.parses) {
            draft.bits *= PERIODIC;
        }
    }
    drafts
}

fn enough(parses: &[Parse]) -> bool {
    let exact = parses.iter().all(|parse| parse.end == End::Exact);
    let frames = count(parses);
    frames >= 2 || (exact && frames >= 1)
}

/// Layouts that parse the stream from a later byte on, or from before its first.
///
/// `late` says whether frames may begin behind bytes that are of no such frame.
pub(super) fn from_elsewhere(corpus: &Corpus<'_>, late: bool) -> Vec<Found> {
    let [stream] = corpus.streams else { return Vec::new() };
    let bytes = &stream.bytes[..];
    let mut found = Drafts::default();
    for prefix in prefixes().filter(|prefix| prefix.at <= 24) {
        for start in starts(&prefix, bytes) {
            let Some(parse) = prefix.parse(bytes, start) else { continue };
            let lacking = if start < 0 { Some(-start) } else { lacking(&prefix, bytes, start) };
            let parse = match lacking {
                Some(lacking) if start > 0 => {
                    Parse { start: -lacking, ends: [start].into_iter().chain(parse.ends).collect(), end: parse.end }
                }
                _ => parse,
            };
            let parses = vec![parse];
            if parses[0].ends.len() < 2 {
                continue;
            }
            if lacking.is_none() && !late {
                continue;
            }
            let cost = match lacking {
                Some(1) => 7.0,
                Some(_) => 9.0,
                None => (bytes.len() as f64).log2() + 12.0,
            };
            let bits = corpus.chain(&prefix, &parses) - prefix.prior() - cost;
            let at_most = if lacking.is_some() { Verdict::Likely } else { Verdict::Ambiguous };
            found.push(Found { kind: Kind::Prefix(prefix), parses, bits, at_most });
        }
    }
    best(corpus, found)
}

/// Where a chain of frames that reaches the stream's end may begin.
fn starts(prefix: &Prefix, bytes: &[u8]) -> Vec<i64> {
    let mut starts: Vec<i64> =
        (1..=LACKING).filter(|lacking| prefix.at as i64 >= *lacking).map(|lacking| -lacking).collect();
    let natural = prefix.plus <= 16;
    if !natural || bytes.len() > 2 * LATE {
        return starts;
    }
    let mut depth = vec![0u32; bytes.len() + 1];
    for at in (0..bytes.len()).rev() {
        if let Step::Frame(total) = prefix.step(bytes, at as i64) {
            let next = at as u64 + total;
            depth[at] = match next.cmp(&(bytes.len() as u64)) {
                std::cmp::Ordering::Less if depth[next as usize] > 0 => depth[next as usize] + 1,
                std::cmp::Ordering::Equal => 1,
                _ => 0,
            };
        }
    }
    let latest = LATE.min(bytes.len() * 3 / 4);
    let reaching = (1..latest).filter(|at| depth[*at] >= 2).map(|at| at as i64);
    let (explained, others): (Vec<i64>, Vec<i64>) =
        reaching.take(64).partition(|start| lacking(prefix, bytes, *start).is_some());
    starts.extend(explained.into_iter().take(2));
    starts.extend(others.into_iter().take(4));
    starts
}

/// Whether the bytes before `start` are a frame that lacks its first bytes, and how many.
fn lacking(prefix: &Prefix, bytes: &[u8], start: i64) -> Option<i64> {
    (1..=LACKING).find(|lacking| {
        let total = start + lacking;
        let field = prefix.at as i64 - lacking;
        let width = prefix.number.width() as i64;
        if field + width <= 0 {
            return false;
        }
        let value = total - prefix.at as i64 - width - prefix.plus;
        let Ok(value) = u64::try_from(value) else { return false };
        let written: Vec<u8> = match prefix.number {
            Number::Big(width) => value.to_be_bytes()[8 - usize::from(width)..].to_vec(),
            Number::Little(width) => value.to_le_bytes()[..width.into()].to_vec(),
            Number::Varint(_) => return false,
        };
        let fits = value >> (8 * (width as u32).min(7)) == 0 || width == 8;
        // Of a big-endian number the high bytes are missing: most likely they are zero.
        let high = match prefix.number {
            Number::Big(width) => i64::from(width) + field.min(0),
            _ => 8,
        };
        let fits = fits && (high >= 8 || value >> (8 * high) == 0);
        fits && written.iter().enumerate().all(|(index, byte)| {
            let at = field + index as i64;
            at < 0 || bytes.get(at as usize) == Some(byte)
        })
    })
}

/// Records of one size.
pub(super) fn fixed(corpus: &Corpus<'_>) -> Vec<Found> {
    let longest = corpus.streams.iter().map(|stream| stream.bytes.len()).max().unwrap_or(0);
    let mut found = Vec::new();
    for size in 2..=FIXED.min(longest / 2) {
        let parses: Vec<Parse> = corpus.streams.iter().map(|stream| records(stream.bytes.len(), size)).collect();
        let cut = corpus.streams.iter().zip(&parses).any(|(stream, parse)| parse.end != End::Exact && stream.ends);
        if count(&parses) < 2 {
            continue;
        }
        let columns = corpus.record_columns(&parses, size);
        let columns = if cut { columns * CUT_RECORDS } else { columns };
        let cost = 8.0 + if cut { 6.0 } else { -(size as f64).log2() };
        let at_most = if cut { Verdict::Ambiguous } else { Verdict::Likely };
        if columns > cost {
            found.push(Found { kind: Kind::Fixed(size), parses, bits: columns - cost, at_most });
        }
    }
    found
}

impl Found {
    /// Whether all frames have one length: then the bytes can't tell a length from a fixed size.
    pub(super) fn is_uniform(&self) -> bool {
        distinct_lengths(&self.parses) == 1
    }
}
