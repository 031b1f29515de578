//! What a level of compression costs and saves on the content at hand.

use std::time::Duration;

/// zstd's levels from light to hard; 0 is plain. Harder ones save a few hundredths and take several times as long.
pub(super) const LADDER: [i32; 5] = [0, 1, 3, 6, 9];
/// How many steps there are.
pub(super) const STEPS: usize = LADDER.len();

/// How fast a step is beside level 1, and what it leaves beside level 1, before anything is known: text and programs are much
/// alike in that.
const SPEEDS: [f64; STEPS] = [f64::INFINITY, 1.0, 0.87, 0.43, 0.32];
const SHARES: [f64; STEPS] = [f64::INFINITY, 1.0, 0.94, 0.88, 0.87];

/// The part of compressed blocks from which on all are: a few plain ones hold many small ones up for longer than they save.
const FEW: f64 = 0.95;

/// How much faster than compressing the link is where nothing is compressed. On one that is less fast, some blocks are.
const FASTER: f64 = 1.3;

/// What a harder level leaves of what the one before leaves, if it saves little. It is then taken only up to the point where it would be
/// so much faster than the link: both would hardly be busy all the time, and that costs more than it saves.
const LITTLE: f64 = 0.9;
const SLACK: f64 = 1.3;

/// How much a block changes what is thought of all levels, and of its own beside the others.
const ALL: f64 = 0.2;
const OWN: f64 = 0.05;

/// How much a decision changes how many threads are thought to be busy at once: where that was measured, and where it was not.
const MEASURED: f64 = 0.5;
const EXPECTED: f64 = 0.03;

/// Estimates for every step of the ladder, from blocks of any.
///
/// A block says what its own level costs, and roughly what the others would: content that is slow to compress is so at every level.
pub(super) struct Costs {
    /// Plain bytes a second that a thread compresses at level 1, and what is left of a byte.
    speed: Option<f64>,
    share: Option<f64>,
    /// What the steps have turned out to be beside [`SPEEDS`] and [`SHARES`].
    faster: [f64; STEPS],
    larger: [f64; STEPS],
    /// How many threads are busy at once where compression is waited for, and how many there are.
    threads: f64,
    most: f64,
}

impl Costs {
    pub(super) fn new() -> Costs {
        Costs { speed: None, share: None, faster: [1.0; STEPS], larger: [1.0; STEPS], threads: 1.0, most: 1.0 }
    }

    /// A block of `plain` bytes took so long, and `left` are left of them.
    pub(super) fn learn(&mut self, level: i32, plain: usize, left: usize, took: Duration) {
        let Some(step) = LADDER.iter().position(|other| *other == level).filter(|step| *step > 0) else { return };
        if took.is_zero() || plain == 0 {
            return;
        }
        let blend = |estimate: &mut Option<f64>, own: &mut f64, expected: f64, measured: f64| {
            let base = *estimate.get_or_insert(measured / expected);
            // One that was interrupted says little.
            let ratio = (measured / (base * expected)).clamp(0.25, 4.0);
            // Powers: with sums, estimates of content that varies would move away from each other without end.
            *estimate = Some(base * ratio.powf(ALL));
            *own = (*own * ratio.powf(OWN)).clamp(0.5, 2.0);
        };
        let speed = plain as f64 / took.as_secs_f64();
        let expected = SPEEDS[step] * self.faster[step];
        blend(&mut self.speed, &mut self.faster[step], expected, speed);
        let share = left as f64 / plain as f64;
        let expected = SHARES[step] * self.larger[step];
        blend(&mut self.share, &mut self.larger[step], expected, share);
    }

    /// So many threads compress.
    pub(super) fn set_threads(&mut self, threads: usize) {
        self.most = threads as f64;
        self.threads = self.most;
    }

    /// While compression was waited for, so many threads were busy.
    pub(super) fn learn_threads(&mut self, busy: f64) {
        self.threads += (busy.clamp(0.25, self.most) - self.threads) * MEASURED;
    }

    /// Compression was not waited for: others may have left the threads meanwhile.
    pub(super) fn expect_threads(&mut self) {
        self.threads += (self.most - self.threads) * EXPECTED;
    }

    /// Seconds for a plain byte at a step.
    pub(super) fn seconds(&self, step: usize) -> f64 {
        match (step, self.speed) {
            (0, _) | (_, None) => 0.0,
            (step, Some(speed)) => 1.0 / (speed * SPEEDS[step] * self.faster[step] * self.threads),
        }
    }

    /// What is left of a byte at a step.
    pub(super) fn share(&self, step: usize) -> f64 {
        match (step, self.share) {
            (0, _) | (_, None) => 1.0,
            (step, Some(share)) => (share * SHARES[step] * self.larger[step]).min(1.0),
        }
    }

    /// Where on the ladder compression and a link that carries `drain` bytes a second take equally long. 0 where the link is
    /// faster than compressing, or nothing gets smaller.
    pub(super) fn balance(&self, drain: f64) -> f64 {
        if self.speed.is_none() {
            return 1.0;
        }
        if self.share(1) > 0.95 || self.seconds(1) * drain > FASTER {
            return 0.0;
        }
        for step in 1..STEPS {
            let slack = if self.share(step) > self.share(step - 1) * LITTLE { SLACK } else { 1.0 };
            let compress = [step - 1, step].map(|step| self.seconds(step) * slack);
            let carry = [step - 1, step].map(|step| self.share(step) / drain);
            if compress[1] >= carry[1] {
                let (gap, growth) = (carry[0] - compress[0], compress[1] - compress[0] + carry[0] - carry[1]);
                let part = (gap / growth).clamp(0.0, 1.0);
                let part = if step == 1 && part > FEW { 1.0 } else { part };
                return (step - 1) as f64 + part;
            }
        }
        (STEPS - 1) as f64
    }
}
