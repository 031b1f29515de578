//! Hypotheses in order, and how sure the first one is.

use std::collections::{HashMap, HashSet};

use super::notation::{describe, is_sound};
use super::parse::{End, Parse, count, distinct_lengths};
use super::score::Corpus;
use super::search::{Found, Kind};
use super::{Candidate, Inference, Verdict};

/// The bits above which a hypothesis may be certain, and how far it must be above the next.
const CERTAIN: (f64, f64) = (32.0, 12.0);
/// What each frame fewer than five adds to that.
const FEW: f64 = 8.0;
/// The bits above which it may be likely, and how far it must be above the next.
const LIKELY: (f64, f64) = (9.0, 4.0);
/// How far frames that are the same but for their start may be moved.
const SHIFT: i64 = 32;
/// Candidates that are told.
const TOLD: usize = 5;

/// Hypotheses that find the same frames.
struct Group {
    members: Vec<Found>,
    bits: f64,
}

/// Groups of hypotheses, the best first.
pub(super) struct Ranking {
    groups: Vec<Group>,
}

impl Ranking {
    pub(super) fn of(found: Vec<Found>) -> Ranking {
        let mut places: HashMap<Vec<Parse>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for found in found.into_iter().filter(|found| found.bits > 0.0) {
            let place = *places.entry(found.parses.clone()).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Group { members: Vec::new(), bits: 0.0 });
            }
            groups[place].bits = groups[place].bits.max(found.bits);
            groups[place].members.push(found);
        }
        for group in &mut groups {
            order(&mut group.members, group.bits);
        }
        groups.sort_by(|a, b| b.bits.total_cmp(&a.bits));
        Ranking { groups }
    }

    /// The same with more hypotheses.
    pub(super) fn with(self, more: Vec<Found>) -> Ranking {
        let all = self.groups.into_iter().flat_map(|group| group.members).chain(more);
        Ranking::of(all.collect())
    }

    /// Whether a hypothesis about the stream from its first byte on is good enough to need no other kind.
    pub(super) fn settles(&self) -> bool {
        let whole = |found: &Found| found.parses.iter().all(|parse| parse.end == End::Exact);
        self.groups.first().is_some_and(|first| first.bits >= LIKELY.0 && whole(&first.members[0]))
    }

    /// Whether it is at least worth to be told.
    pub(super) fn has_some(&self) -> bool {
        self.groups.first().is_some_and(|first| first.bits >= LIKELY.0)
    }

    pub(super) fn verdict(&self) -> Verdict {
        let Some(first) = self.groups.first() else { return Verdict::Ambiguous };
        let parses = &first.members[0].parses;
        let frames = count(parses);
        let at_most = first.members.iter().map(|found| found.at_most).max().unwrap_or(Verdict::Ambiguous);
        let uniform = distinct_lengths(parses) == 1;
        let enough = CERTAIN.0 + FEW * 5usize.saturating_sub(frames) as f64;
        let multiple = |others: &[Parse]| uniform && distinct_lengths(others) == 1;
        let best = |shifted: bool| {
            let others = self.groups[1..].iter().filter(|group| !multiple(&group.members[0].parses));
            let others = others.filter(|group| is_shifted(parses, &group.members[0].parses) == shifted);
            others.map(|group| group.bits).next().unwrap_or(0.0)
        };
        // The same lengths with all boundaries moved: that leaves open where a frame begins, and nothing else.
        let (next, moved) = (best(false), best(true));
        let sure = frames >= 2 && !uniform;
        let verdict = match first.bits {
            bits if sure && bits >= enough && bits - next >= CERTAIN.1 && bits - moved >= LIKELY.1 => Verdict::Certain,
            bits if frames >= 2 && bits >= LIKELY.0 && bits - next >= LIKELY.1 => Verdict::Likely,
            _ => Verdict::Ambiguous,
        };
        verdict.min(at_most)
    }

    /// Among groups with the same lengths, all boundaries moved, the first is the one whose frames begin and end with the stream.
    /// Columns don't decide that: every byte of a header stands still, wherever its frame is said to begin.
    fn settle_phase(&mut self) {
        let Some(first) = self.groups.first() else { return };
        let (parses, best) = (first.members[0].parses.clone(), first.bits);
        let moved = |group: &Group| is_shifted(&parses, &group.members[0].parses) && group.bits >= 0.4 * best;
        let phase = |group: &Group| group.members.iter().map(phase).fold(f64::NEG_INFINITY, f64::max);
        let places: Vec<usize> = (0..self.groups.len()).filter(|index| moved(&self.groups[*index])).collect();
        let chosen = places.into_iter().max_by(|a, b| phase(&self.groups[*a]).total_cmp(&phase(&self.groups[*b])));
        let Some(chosen) = chosen else { return };
        let mut group = self.groups.remove(chosen);
        group.bits = best;
        let margin = phase(&group)
            - self.groups.iter().filter(|group| moved(group)).map(phase).fold(f64::NEG_INFINITY, f64::max);
        // What it leads by is what the ends of the stream say.
        for other in self.groups.iter_mut().filter(|group| moved(group)) {
            other.bits = other.bits.min(best - margin.clamp(0.1, 20.0));
        }
        self.groups.insert(0, group);
        self.groups[1..].sort_by(|a, b| b.bits.total_cmp(&a.bits));
    }

    /// What ends with the stream goes before what is cut by its end, if it is good. Where each frame of the first is a row of whole frames of another, much plainer hypothesis, the first has found
    /// exchanges of several messages, not messages.
    fn prefer_parts(&mut self) {
        let Some(first) = self.groups.first() else { return };
        let is_whole =
            |group: &Group| group.members[0].parses.iter().all(|parse| parse.start == 0 && parse.end == End::Exact);
        if !is_whole(first) {
            let enough = (0.3 * first.bits).max(2.0 * LIKELY.0);
            let Some(place) = self.groups.iter().position(|group| is_whole(group) && group.bits >= enough) else {
                return;
            };
            let mut whole = self.groups.remove(place);
            whole.bits = whole.bits.max(self.groups[0].bits);
            self.groups[0].bits = whole.bits - LIKELY.1;
            self.groups.insert(0, whole);
            return;
        }
        let (parses, prior, best) = (&first.members[0].parses, plainness(&first.members), first.bits);
        let plainer = |group: &Group| {
            group.bits >= CERTAIN.0
                && plainness(&group.members) + 4.0 <= prior
                && is_finer(&group.members[0].parses, parses)
        };
        if let Some(place) = self.groups.iter().position(plainer) {
            let mut group = self.groups.remove(place);
            group.bits = best;
            self.groups[0].bits = best - LIKELY.1;
            self.groups.insert(0, group);
        }
    }

    /// The result: verified notations with their evidence.
    pub(super) fn tell(mut self, corpus: &Corpus<'_>) -> Inference {
        let groups = std::mem::take(&mut self.groups).into_iter().take(4 * TOLD);
        let sound = |group: &Group| group.members.iter().take(3).any(|found| is_sound(corpus, found));
        self.groups = groups.filter(sound).collect();
        self.settle_phase();
        self.prefer_parts();
        let mut verdict = self.verdict();
        if self.groups.first().is_some_and(|first| says_nothing(corpus, &first.members[0].parses)) {
            verdict = Verdict::Ambiguous;
        }
        // What doesn't parse from the first byte to the last is told where nothing better is.
        let is_whole =
            |group: &Group| group.members[0].parses.iter().all(|parse| parse.start == 0 && parse.end == End::Exact);
        let best_is_whole = self.groups.first().is_some_and(is_whole);
        let mut place = 0;
        self.groups.retain(|group| {
            place += 1;
            is_whole(group) || (!best_is_whole && (place == 1 || group.bits >= LIKELY.0))
        });
        let mut candidates: Vec<Candidate> = Vec::new();
        for (rank, group) in self.groups.iter().enumerate() {
            let mut from_group = 0;
            for found in group.members.iter().take(6) {
                if candidates.len() >= TOLD || from_group >= 2 {
                    break;
                }
                let Some(candidate) = describe(corpus, found, group.bits) else { continue };
                if candidates.iter().all(|known| known.notation != candidate.notation) {
                    candidates.push(candidate);
                    from_group += 1;
                }
            }
            // What fits best can't be said in the notation: nothing is claimed of the others.
            if rank == 0 && from_group == 0 {
                verdict = Verdict::Ambiguous;
            }
        }
        let verdict = if candidates.is_empty() { Verdict::Ambiguous } else { verdict };
        Inference { verdict, candidates }
    }
}

/// Whether frames of any framing could look like these: all hold the same bytes, or a single byte each.
fn says_nothing(corpus: &Corpus<'_>, parses: &[Parse]) -> bool {
    let mut frames = corpus.streams.iter().zip(parses).flat_map(|(stream, parse)| {
        let place = |at: i64| usize::try_from(at).unwrap_or(0).min(stream.bytes.len());
        parse.frames().map(move |(start, total)| &stream.bytes[place(start)..place(start + total)])
    });
    let Some(first) = frames.next() else { return true };
    let (mut same, mut single) = (true, first.len() == 1);
    for frame in frames {
        same &= frame == first;
        single &= frame.len() == 1;
    }
    same || single
}

/// The prior of a group's plainest member.
fn plainness(members: &[Found]) -> f64 {
    let prior = |found: &Found| match &found.kind {
        Kind::Prefix(prefix) => prefix.prior(),
        _ => 8.0,
    };
    members.iter().map(prior).fold(f64::INFINITY, f64::min)
}

/// Whether every frame of `coarse` is a row of frames of `fine`.
fn is_finer(fine: &[Parse], coarse: &[Parse]) -> bool {
    fine.iter().zip(coarse).all(|(fine, coarse)| {
        let ends: HashSet<i64> = fine.ends.iter().copied().collect();
        fine.start == coarse.start && fine.end == coarse.end && coarse.ends.iter().all(|end| ends.contains(end))
    })
}

/// Whether the frames have the same lengths, all moved by a few bytes.
fn is_shifted(parses: &[Parse], others: &[Parse]) -> bool {
    parses.iter().zip(others).all(|(parse, other)| {
        let ends: HashSet<i64> = parse.ends.iter().copied().collect();
        let common = |by: i64| other.ends.iter().filter(|end| ends.contains(&(**end + by))).count();
        let most = (-SHIFT..=SHIFT).map(common).max().unwrap_or(0);
        let all = parse.ends.len().max(other.ends.len());
        most > 0 && most * 10 >= all.saturating_sub(2) * 9
    })
}

/// What speaks for the place where a hypothesis has its frames begin: bits.
fn phase(found: &Found) -> f64 {
    let odd = match &found.kind {
        Kind::Prefix(prefix) => 0.2 * prefix.prior() + if prefix.is_natural() { 0.0 } else { 4.0 },
        _ => 0.0,
    };
    let ends = found.parses.iter().map(|parse| {
        let mean = (parse.behind() - parse.start) as f64 / parse.ends.len().max(1) as f64;
        let start = match parse.start {
            0 => 0.0,
            -1 => -7.0,
            start if start < 0 => -9.0,
            _ => -16.0,
        };
        start + if parse.end == End::Exact { mean.max(1.0).log2() } else { -4.0 }
    });
    ends.sum::<f64>() - odd
}

/// In which order hypotheses that find the same frames are told: the plainest of those that fit about as well, and a layout before
/// a name that may be another protocol's.
fn order(members: &mut [Found], best: f64) {
    let rank = |found: &Found| match &found.kind {
        Kind::Prefix(prefix) if !found.is_uniform() && found.bits + (best / 2.0).max(20.0) >= best => prefix.prior(),
        Kind::Prefix(prefix) if found.is_uniform() && prefix.prior() < 8.0 => prefix.prior() + 10.0,
        Kind::Fixed(_) => 25.0,
        Kind::Named { .. } => 30.0,
        Kind::Prefix(prefix) => 40.0 + prefix.prior() - found.bits.min(40.0),
    };
    members.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
}
