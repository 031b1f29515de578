//! How much the bytes speak for a hypothesis, in bits: the more improbable that bytes without it would fit, the more.
//!
//! Three things are counted, and what it takes to name the hypothesis among all others is taken off.
//!
//! - **The chain.** At each frame the length must lead to a place within the stream, and the last one to its very end. How often
//!   the same header, read anywhere else in the same stream, would do so is measured, not assumed: a stream full of zeros
//!   gives less than one of noise. A length seen before counts less: the stream may just repeat itself.
//! - **The columns.** The bytes at one place of every frame, such as a version, a type or a counter, can be foretold better than by
//!   the bytes before them. What that saves is gained.
//! - **The end.** A parse that ends inside a frame gains nothing there.

use super::Stream;
use super::background::Background;
use super::column::Column;
use super::parse::{End, Parse, distinct_lengths};
use super::prefix::{Prefix, Step};

/// The places at which a header is tried to learn how often chance would do.
const SAMPLES: usize = 768;
/// Frames that are looked at for columns.
const FRAMES: usize = 256;
/// Columns at a frame's start. They are as many for every hypothesis: more would favour those with long headers.
const FRONT: usize = 16;
/// Columns at a frame's end.
const TAIL: usize = 4;
/// What frames count whose length was seen before, but never behind the one before.
const CHANGED: f64 = 0.3;
/// What the other frames count: a stream that repeats itself has columns at any period.
const REPEATED: f64 = 0.03;
/// What the columns of records of one size count.
const RECORDS: f64 = 0.12;
/// What it costs to choose a column, and the one beside it.
const BEGIN: f64 = 1.5;
const GO_ON: f64 = 0.5;
/// What it costs that a dump ends inside a frame.
const CUT: f64 = 3.0;
/// What a bare length of 0 costs: few protocols send many.
const EMPTY: f64 = 2.0;
/// The most bits of a single step: beyond it, counting has no say.
const STEP_MOST: f64 = 16.0;

/// The streams, and what is known about their bytes.
pub(super) struct Corpus<'a> {
    pub(super) streams: &'a [Stream],
    pub(super) background: Background,
}

impl<'a> Corpus<'a> {
    pub(super) fn of(streams: &'a [Stream]) -> Corpus<'a> {
        Corpus { streams, background: Background::of(streams) }
    }

    pub(super) fn size(&self) -> usize {
        self.streams.iter().map(|stream| stream.bytes.len()).sum()
    }

    /// Places all over the streams, as stream and offset.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let step = (self.size() / SAMPLES).max(1);
        self.streams
            .iter()
            .enumerate()
            .flat_map(move |(index, stream)| (0..stream.bytes.len()).step_by(step).map(move |at| (index, at)))
    }

    /// The bits of the lengths.
    pub(super) fn chain(&self, prefix: &Prefix, parses: &[Parse]) -> f64 {
        let chance = Chance::of(self, prefix, parses);
        let mut novelty = Novelty::default();
        let mut bits = 0.0;
        for (stream, parse) in self.streams.iter().zip(parses) {
            let size = stream.bytes.len() as i64;
            for (start, total) in parse.frames().take(FRAMES) {
                let known = start + prefix.at as i64 >= 0;
                let weight = novelty.see(total).weight();
                let last = start + total == size && stream.ends;
                if !known {
                    continue;
                }
                let step = if last { chance.exactly(total) } else { chance.at_most(size - start) };
                let weight = if last { weight.max(0.5) } else { weight };
                bits += weight * step.min(STEP_MOST) - if prefix.is_empty(total) { EMPTY } else { 0.0 };
            }
            bits -= match parse.end {
                End::Exact => 0.0,
                End::Cut(_) if !stream.ends => 0.0,
                End::Cut(need) => CUT + far(need, novelty.longest),
            };
        }
        bits
    }

    /// The bits of the columns at the frames' starts and ends; those in `length` were counted before.
    pub(super) fn columns(&self, parses: &[Parse], length: std::ops::Range<usize>, front: usize) -> f64 {
        let fresh = fresh(parses);
        let shortest = parses.iter().flat_map(Parse::frames).map(|(_, total)| total).min().unwrap_or(0);
        let tail = if shortest < (length.end + TAIL) as i64 { 0 } else { TAIL as i64 };
        let front = self.run(parses, &fresh, (0..front).filter(|at| !length.contains(at)).map(|at| at as i64));
        front + self.run(parses, &fresh, (1..=tail).map(|back| -back))
    }

    /// The bits of columns beside each other. To begin such a run costs more than to go on with it.
    fn run(&self, parses: &[Parse], fresh: &[Vec<Novel>], places: impl Iterator<Item = i64>) -> f64 {
        let (mut bits, mut inside) = (0.0, false);
        for at in places {
            let gain = self.gain(parses, fresh, at) - if inside { GO_ON } else { BEGIN };
            inside = gain > 0.0;
            bits += gain.max(0.0);
        }
        bits
    }

    fn gain(&self, parses: &[Parse], fresh: &[Vec<Novel>], at: i64) -> f64 {
        let of = |least: Novel| self.column_of(parses, at, |stream, frame| fresh[stream][frame] >= least).gain();
        let first = of(Novel::Length).max(0.0);
        let changed = first.max(of(Novel::Turn));
        let all = changed.max(of(Novel::Nothing));
        first + CHANGED * (changed - first) + REPEATED * (all - changed)
    }

    /// The bits of a prefix's columns.
    pub(super) fn prefix_columns(&self, prefix: &Prefix, parses: &[Parse]) -> f64 {
        let length = prefix.at..prefix.at + prefix.number.width();
        // Behind a varint the columns don't stand still.
        let front = if matches!(prefix.number, super::prefix::Number::Varint(_)) { length.end } else { FRONT };
        self.columns(parses, length, front)
    }

    /// Whether a stream that repeats itself with some period explains the frames as well: they are multiples of it.
    pub(super) fn is_periodic(&self, parses: &[Parse]) -> bool {
        let lengths = || parses.iter().flat_map(Parse::frames).map(|(_, total)| total);
        let period = lengths().fold(0, greatest_common_divisor);
        if period < 6 || distinct_lengths(parses) == 1 {
            return false;
        }
        let records: Vec<Parse> =
            self.streams.iter().map(|stream| records(stream.bytes.len(), period as usize)).collect();
        let raw = |parses: &[Parse]| (0..FRONT as i64).map(|at| self.column(parses, at).gain().max(0.0)).sum::<f64>();
        raw(&records) >= 0.8 * raw(parses)
    }

    /// The bits of the columns of records of one size.
    pub(super) fn record_columns(&self, parses: &[Parse], size: usize) -> f64 {
        RECORDS * (0..size.min(FRONT) as i64).map(|at| (self.column(parses, at).gain() - GO_ON).max(0.0)).sum::<f64>()
    }

    /// The bytes at `at` of each frame; counted from its end where `at` is below 0. Frames too short for it are left out.
    pub(super) fn column(&self, parses: &[Parse], at: i64) -> Column {
        self.column_of(parses, at, |_, _| true)
    }

    fn column_of(&self, parses: &[Parse], at: i64, wanted: impl Fn(usize, usize) -> bool) -> Column {
        let mut column = Column::default();
        for (index, (stream, parse)) in self.streams.iter().zip(parses).enumerate() {
            for (frame, (start, total)) in parse.frames().take(FRAMES).enumerate() {
                let place = if at < 0 { start + total + at } else { start + at };
                if place >= start.max(0) && place < start + total && wanted(index, frame) {
                    self.push(&mut column, stream, place);
                }
            }
        }
        column
    }

    fn push(&self, column: &mut Column, stream: &Stream, place: i64) {
        let place = place as usize;
        column.push(stream.bytes[place], self.background.cost(&stream.bytes, place));
    }
}

/// What each frame's length says that those before it didn't.
fn fresh(parses: &[Parse]) -> Vec<Vec<Novel>> {
    let mut novelty = Novelty::default();
    let one = |parse: &Parse| parse.frames().take(FRAMES).map(|(_, total)| novelty.see(total)).collect();
    parses.iter().map(one).collect()
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A stream of so many bytes as records of one size.
pub(super) fn records(bytes: usize, size: usize) -> Parse {
    let ends = (1..=bytes / size).map(|index| (index * size) as i64).collect();
    let end = if bytes.is_multiple_of(size) { End::Exact } else { End::Cut(size as u64) };
    Parse { start: 0, ends, end }
}

/// How far a cut frame's length lies from those that were seen: bits against it.
fn far(need: u64, longest: i64) -> f64 {
    let longest = longest.max(64) as f64;
    (need as f64 / (4.0 * longest)).max(1.0).log2()
}

/// What the header gives at places that begin no frame: lengths in order, and how many places there were.
struct Chance {
    totals: Vec<u64>,
    tried: f64,
}

impl Chance {
    fn of(corpus: &Corpus<'_>, prefix: &Prefix, parses: &[Parse]) -> Chance {
        let (mut totals, mut tried) = (Vec::with_capacity(SAMPLES), 0.0);
        for (index, at) in corpus.places() {
            let parse = &parses[index];
            if at as i64 == parse.start || parse.ends.binary_search(&(at as i64)).is_ok() {
                continue;
            }
            match prefix.step(&corpus.streams[index].bytes, at as i64) {
                Step::Short => {}
                Step::Bad => tried += 1.0,
                Step::Frame(total) => {
                    tried += 1.0;
                    totals.push(total);
                }
            }
        }
        totals.sort_unstable();
        Chance { totals, tried }
    }

    fn at_most(&self, rest: i64) -> f64 {
        let fitting = self.totals.partition_point(|total| *total as i64 <= rest);
        -((fitting as f64 + 0.5) / (self.tried + 1.0)).log2()
    }

    fn exactly(&self, total: i64) -> f64 {
        let below = self.totals.partition_point(|other| (*other as i64) < total);
        let up_to = self.totals.partition_point(|other| *other as i64 <= total);
        -(((up_to - below) as f64 + 0.5) / (self.tried + 1.0)).log2()
    }
}

/// What a length says that those before it didn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Novel {
    /// It was seen before, behind the same one.
    Nothing,
    /// It is seen for the first time behind the one before.
    Turn,
    /// It is seen for the first time.
    Length,
}

impl Novel {
    pub(super) fn weight(self) -> f64 {
        match self {
            Novel::Nothing => 0.03,
            Novel::Turn => 0.5,
            Novel::Length => 1.0,
        }
    }
}

/// The lengths seen so far.
#[derive(Default)]
pub(super) struct Novelty {
    seen: std::collections::HashSet<i64>,
    pairs: std::collections::HashSet<(i64, i64)>,
    last: i64,
    longest: i64,
}

impl Novelty {
    pub(super) fn see(&mut self, total: i64) -> Novel {
        let fresh = self.seen.insert(total);
        let turn = self.pairs.insert((self.last, total));
        self.last = total;
        self.longest = self.longest.max(total);
        match (fresh, turn) {
            (true, _) => Novel::Length,
            (_, true) => Novel::Turn,
            _ => Novel::Nothing,
        }
    }
}
