//! The framings that have a name, whichever the framing library lists.

use unglue_frame::{Deframer, Fault, Framing, Part, presets, protocols};

use super::Verdict;
use super::parse::{End, Parse, count};
use super::score::{Corpus, Novelty};
use super::search::{Found, Kind};

/// Places at which a preset is tried to learn how often chance would do.
const TRIES: usize = 192;
/// Bytes that it gets there.
const REACH: usize = 16 << 10;
/// What it takes to name a preset among all of them, in bits.
const PRIOR: f64 = 6.0;
/// The bytes at a frame's start that are looked at.
const HEAD: usize = 8;

/// Whether the systematic search has this one already.
fn is_searched(notation: &str) -> bool {
    let name = notation.split(['(', ':']).next().unwrap_or(notation);
    let number = name.strip_prefix('u').is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    (number && !notation.contains('+')) || ["varint", "lines", "crlf", "delim", "nul", "fixed"].contains(&name)
}

/// The presets that parse all streams.
pub(super) fn named(corpus: &Corpus<'_>) -> Vec<Found> {
    let presets = presets().iter().map(|preset| (preset.notation, preset.meaning));
    // The search finds those that the notation can say.
    let beyond = protocols().iter().filter(|protocol| protocol.notation.is_none());
    let named = presets.chain(beyond.map(|protocol| (protocol.name, protocol.meaning)));
    let others = named.filter(|(notation, _)| !is_searched(notation));
    others.filter_map(|(notation, meaning)| judge(corpus, notation, meaning)).collect()
}

fn judge(corpus: &Corpus<'_>, notation: &str, meaning: &str) -> Option<Found> {
    let framing: Framing = notation.parse().ok()?;
    let parses: Vec<Parse> =
        corpus.streams.iter().map(|stream| parse(&framing, &stream.bytes)).collect::<Option<_>>()?;
    if count(&parses) == 0 {
        return None;
    }
    let chance = Chance::of(corpus, &framing, &parses);
    let mut novelty = Novelty::default();
    let mut bits = -PRIOR;
    for (stream, parse) in corpus.streams.iter().zip(&parses) {
        let size = stream.bytes.len() as i64;
        for (start, total) in parse.frames().take(256) {
            bits += novelty.see(total).weight().max(0.05) * chance.at_most(size - start);
        }
        match parse.end {
            End::Exact => {
                let mean = parse.behind() as f64 / parse.ends.len().max(1) as f64;
                bits += 0.5 * mean.max(1.0).log2();
            }
            End::Cut(_) if stream.ends => bits -= 3.0,
            End::Cut(_) => {}
        }
    }
    bits += corpus.columns(&parses, 0..0, HEAD).min(20.0);
    let mut because = vec![format!("the preset {notation}: {meaning}")];
    let mut at_most = Verdict::Certain;
    if chance.fits > 0.5 {
        because.push(format!("{:.0} % of all places in these bytes would parse as well", chance.fits * 100.0));
        at_most = Verdict::Likely;
    }
    if notation == "slip" {
        let (escapes, gain) = slip(corpus)?;
        bits += gain;
        because.push(format!("{escapes} escapes, all valid"));
        // An end at the end of a few bytes is soon there by chance.
        if escapes == 0 && count(&parses) < 5 {
            at_most = Verdict::Ambiguous;
        }
    }
    Some(Found { kind: Kind::Named { notation: notation.into(), because }, parses, bits, at_most })
}

/// What speaks for SLIP: the number of escapes, which are all good, and the bits of these and of the ends at both ends.
fn slip(corpus: &Corpus<'_>) -> Option<(usize, f64)> {
    let (mut escapes, mut bits) = (0, 0.0);
    for stream in corpus.streams {
        escapes += stream.bytes.iter().filter(|byte| **byte == 0xdb).count();
        let ends = [stream.bytes.first(), stream.bytes.last()].into_iter().filter(|end| *end == Some(&0xc0)).count();
        bits += 4.0 * ends as f64;
    }
    let ends = corpus.streams.iter().all(|stream| stream.bytes.last() == Some(&0xc0));
    ends.then(|| (escapes, bits + 6.0 * f64::from(escapes.min(20) as u32)))
}

/// Cuts a stream into frames; `None` where it isn't of this framing.
pub(super) fn parse(framing: &Framing, bytes: &[u8]) -> Option<Parse> {
    let mut deframer = Deframer::new(framing.clone());
    let mut input = bytes;
    let mut ends: Vec<i64> = Vec::new();
    for frame in deframer.frames(&mut input) {
        let frame = frame.ok()?;
        let end = (frame.offset() + frame.raw().len() as u64) as i64;
        match (frame.part(), ends.last_mut()) {
            (Part::Piece { .. }, Some(last)) => *last = end,
            _ => ends.push(end),
        }
    }
    let end = match deframer.finish() {
        Ok(()) => End::Exact,
        Err(error) => match error.fault {
            Fault::Truncated { need, .. } => End::Cut(need.unwrap_or(0)),
            _ => return None,
        },
    };
    // Bytes behind the last frame that are no part of any, such as the ends of frames twice over.
    if let (End::Exact, Some(last)) = (end, ends.last_mut()) {
        *last = (*last).max(bytes.len() as i64);
    }
    Some(Parse { start: 0, ends, end })
}

/// How often the preset would find a frame at a place that begins none.
struct Chance {
    totals: Vec<i64>,
    tried: f64,
    /// The share of places where a frame is found.
    fits: f64,
}

impl Chance {
    fn of(corpus: &Corpus<'_>, framing: &Framing, parses: &[Parse]) -> Chance {
        let step = (corpus.size() / TRIES).max(1);
        let (mut totals, mut tried) = (Vec::new(), 0.0);
        for (stream, parse) in corpus.streams.iter().zip(parses) {
            for at in (0..stream.bytes.len()).step_by(step) {
                if at == 0 || parse.ends.binary_search(&(at as i64)).is_ok() {
                    continue;
                }
                tried += 1.0;
                let mut input = &stream.bytes[at..stream.bytes.len().min(at + REACH)];
                if let Ok(Some(frame)) = Deframer::new(framing.clone()).decode(&mut input) {
                    totals.push(frame.raw().len() as i64);
                }
            }
        }
        totals.sort_unstable();
        let fits = if tried == 0.0 { 1.0 } else { totals.len() as f64 / tried };
        Chance { totals, tried, fits }
    }

    fn at_most(&self, rest: i64) -> f64 {
        let fitting = self.totals.partition_point(|total| *total <= rest);
        -((fitting as f64 + 0.5) / (self.tried + 1.0)).log2()
    }
}
