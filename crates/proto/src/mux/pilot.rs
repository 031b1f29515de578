//! How hard `auto` compresses: what keeps the link busy, and no harder.
//!
//! The caller reports how long the link waited for its socket, and how long for blocks under compression; and every block says
//! how long it took, and how much is left of it. From the first two follows how many bytes a second the link carries, from the
//! others what each level would cost ([`Costs`]). The level is where both take equally long. Between two levels blocks take
//! turns, so that link and compression are both busy.
//!
//! A link that is never waited for is faster than what compression has given it so far. Then four times as much is tried at
//! once, and twice as much with each decision until it was waited for, so that a fast link is found within a few hundredths of a
//! second. After that it is a little more each time. All threads are expected to compress at once; how many do is measured while
//! they are waited for. Where other work has the processors, blocks take longer.

mod costs;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::pack::Packed;
use costs::{Costs, LADDER, STEPS};

/// Where on the ladder a link begins.
const FIRST: f64 = 2.0;

/// How long is measured before the level changes, and how many bytes on the link: what a socket takes at once says little.
const WINDOW: Duration = Duration::from_millis(10);
const ENOUGH: u64 = 256 * 1024;
/// A slow link is not measured for longer.
const LONGEST: Duration = Duration::from_millis(60);

/// The share of the time from which on a wait counts.
const WAITS: f64 = 0.03;

/// How many times as much as so far a link is taken to carry that is not waited for, the first time.
const FIRST_GROWTH: f64 = 4.0;
/// How much more it is taken to carry with each later decision, as long as it was never waited for.
const UNMEASURED_GROWTH: f64 = 1.0;
/// The same of a link that was waited for before: one that compression can't fill would soon be taken to be a fast one.
const GROWTH: f64 = 0.02;
/// No link carries more bytes a second.
const FASTEST: f64 = 1e12;
/// The weight of what was measured last.
const WEIGHT: f64 = 0.5;

/// Blocks that are sent plain before one is compressed to see what it would save.
const PROBE: u32 = 256;

/// What the link waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The socket took no more.
    Socket,
    /// All that was left to send was being compressed.
    Packing,
    /// What was left to send had no credit.
    Credit,
}

/// What was measured since the last decision.
struct Window {
    began: Instant,
    socket: Duration,
    packing: Duration,
    /// How long threads compressed.
    compressed: Duration,
    /// Bytes of compressed streams that were handed to the link.
    wire: u64,
}

impl Window {
    fn new(now: Instant) -> Window {
        let none = Duration::ZERO;
        Window { began: now, socket: none, packing: none, compressed: none, wire: 0 }
    }
}

pub(super) struct Pilot {
    /// Whether the peer takes compressed blocks.
    allowed: bool,
    /// Where on the ladder, between two of its steps.
    position: f64,
    /// What rounding has left over.
    rounding: f64,
    window: Window,
    costs: Costs,
    /// Bytes a second that the link carries, as far as that is known.
    drain: Option<f64>,
    /// Whether the link was last taken to carry more than was measured.
    expected: bool,
    /// Whether the link was ever waited for so long that this showed what it carries.
    measured: bool,
    /// Whether the socket has ever been full.
    filled: bool,
    unprobed: u32,
}

impl Pilot {
    pub(super) fn new(now: Instant) -> Pilot {
        Pilot {
            allowed: false,
            position: FIRST,
            rounding: 0.5,
            window: Window::new(now),
            costs: Costs::new(),
            drain: None,
            expected: false,
            measured: false,
            filled: false,
            unprobed: 0,
        }
    }

    /// Blocks are compressed on so many threads.
    pub(super) fn allow(&mut self, threads: usize) {
        self.costs.set_threads(threads);
        self.allowed = true;
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The level for the next block.
    pub(super) fn level(&mut self) -> i32 {
        if self.position == 0.0 {
            self.unprobed += 1;
            if self.unprobed >= PROBE {
                self.unprobed = 0;
                return self.lightest();
            }
            return 0;
        }
        let exact = self.position + self.rounding;
        let step = exact.floor();
        self.rounding = exact - step;
        LADDER[(step as usize).min(STEPS - 1)]
    }

    /// The level for a block that may not get smaller.
    pub(super) fn lightest(&self) -> i32 {
        LADDER[1]
    }

    /// A block was compressed.
    pub(super) fn packed(&mut self, packed: &Packed) {
        let left = packed.data.as_ref().map_or(packed.len, |data| data.len());
        self.costs.learn(packed.level, packed.len, left, packed.took);
        self.window.compressed += packed.took;
    }

    /// So many bytes of compressed streams were handed to the link.
    pub(super) fn sent(&mut self, wire: usize) {
        self.window.wire += wire as u64;
    }

    pub(super) fn waited(&mut self, wait: Wait, time: Duration) {
        match wait {
            Wait::Socket => self.window.socket += time,
            Wait::Packing => self.window.packing += time,
            Wait::Credit => {}
        }
    }

    /// Decides anew, if enough was measured.
    pub(super) fn tick(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.window.began);
        if !self.filled && !self.window.socket.is_zero() {
            // What has gone before has only filled buffers.
            self.filled = true;
            self.window = Window::new(now);
            return;
        }
        if elapsed < WINDOW || self.window.wire == 0 || self.window.wire < ENOUGH && elapsed < LONGEST {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now));
        self.learn(&window, elapsed.as_secs_f64());
        if let Some(drain) = self.drain {
            self.position = self.costs.balance(drain);
        }
    }

    /// What was waited for shows what it carries.
    fn learn(&mut self, window: &Window, seconds: f64) {
        let part = |time: Duration| time.as_secs_f64() / seconds;
        let (socket, packing) = (part(window.socket), part(window.packing));
        match packing > WAITS {
            // While the socket is full, threads have nothing to do.
            true => self.costs.learn_threads(part(window.compressed) / (1.0 - socket).max(0.5)),
            false => self.costs.expect_threads(),
        }
        let rate = window.wire as f64 / seconds;
        if socket > WAITS && socket >= packing {
            // A link that is waited for carries all that it can. What was expected before that counts no more.
            self.drain = Some(match self.drain {
                Some(drain) if !self.expected => drain + (rate - drain) * WEIGHT,
                _ => rate,
            });
            self.expected = false;
            self.measured = true;
        } else if packing > WAITS && socket <= WAITS {
            let more = if self.measured { GROWTH } else { UNMEASURED_GROWTH };
            self.drain = Some(match self.drain {
                None => rate * FIRST_GROWTH,
                Some(drain) => (drain.max(rate) * (1.0 + more)).min(FASTEST),
            });
            self.expected = true;
        }
    }
}
