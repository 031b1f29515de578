//! How surprising a byte is without any framing: what each piece of evidence is compared with.

use super::Stream;

/// How many imagined observations the distribution of single bytes lends to each pair of bytes.
const LENT: f64 = 4.0;

/// What a byte costs as it stands. Nothing that happens to be rare here costs more.
const PLAIN: f64 = 8.0;

/// The bytes of all streams, counted alone and behind the byte before them.
pub(super) struct Background {
    single: Vec<u32>,
    pairs: Vec<u32>,
    /// For each byte, how often it stands before another.
    before: Vec<u32>,
    all: f64,
}

impl Background {
    /// Counts the bytes.
    pub(super) fn of(streams: &[Stream]) -> Background {
        let (mut single, mut pairs, mut before) = (vec![0; 256], vec![0; 65536], vec![0; 256]);
        for stream in streams {
            for byte in &stream.bytes {
                single[usize::from(*byte)] += 1;
            }
            for pair in stream.bytes.windows(2) {
                pairs[usize::from(pair[0]) << 8 | usize::from(pair[1])] += 1;
                before[usize::from(pair[0])] += 1;
            }
        }
        let all = single.iter().map(|count| f64::from(*count)).sum();
        Background { single, pairs, before, all }
    }

    /// How often the byte occurs, as a share of all, this occurrence left out.
    pub(super) fn share(&self, byte: u8) -> f64 {
        let count = f64::from(self.single[usize::from(byte)]) - 1.0;
        (count.max(0.0) + 0.5) / (self.all - 1.0 + 128.0).max(1.0)
    }

    /// The bits that the byte at `at` costs when the byte before it is known, this occurrence left out.
    pub(super) fn cost(&self, bytes: &[u8], at: usize) -> f64 {
        let byte = bytes[at];
        let share = self.share(byte);
        let Some(before) = at.checked_sub(1).map(|at| bytes[at]) else { return (-share.log2()).min(PLAIN) };
        let pair = f64::from(self.pairs[usize::from(before) << 8 | usize::from(byte)]) - 1.0;
        let all = f64::from(self.before[usize::from(before)]) - 1.0;
        (-((pair.max(0.0) + LENT * share) / (all.max(0.0) + LENT)).log2()).min(PLAIN)
    }

    /// The bits that the byte costs when nothing is known.
    pub(super) fn cost_alone(&self, byte: u8) -> f64 {
        (-self.share(byte).log2()).min(PLAIN)
    }
}
