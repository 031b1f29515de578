//! Whether the bytes of a pipe are in full flow.

use std::time::{Duration, Instant};

/// How long bytes are counted before their rate is known.
pub(super) const PERIOD: Duration = Duration::from_millis(2);
/// Bytes of a period that are full flow.
pub(super) const FULL: u64 = 128 * 1024;
/// Bytes of a period at whose end full flow is over.
const OVER: u64 = FULL / 4;

/// Counts bytes, and so knows whether they are in full flow.
///
/// A reader that is faster than the writer empties the pipe before the writer has written its next few kilobytes, and is woken for
/// each of them: then waking costs both of them more than the bytes do. So it does not ask to be woken where a pipe is in full flow,
/// but looks from time to time, when there are many of them.
#[derive(Debug)]
pub struct Flow {
    counted: u64,
    since: Instant,
    full: bool,
}

impl Flow {
    /// How long a pipe in full flow may be left alone: one that [`widen`](super::widen) made wider takes longer to fill. It is also
    /// how much later output may be seen.
    pub const TICK: Duration = Duration::from_micros(400);

    /// Nothing was read before.
    pub fn new(now: Instant) -> Flow {
        Flow { counted: 0, since: now, full: false }
    }

    /// Counts bytes that were read.
    pub fn count(&mut self, len: usize, now: Instant) {
        self.counted += len as u64;
        let periods = now.saturating_duration_since(self.since).as_micros() / PERIOD.as_micros();
        if periods > 0 {
            let counted = std::mem::take(&mut self.counted) / u64::try_from(periods).unwrap_or(u64::MAX);
            self.full = counted >= if self.full { OVER } else { FULL };
            self.since = now;
        }
    }

    /// Whether they are.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_flow_begins_after_a_period_and_ends_with_a_slow_one() {
        let began = Instant::now();
        let mut flow = Flow::new(began);
        let mut count = |bytes: u64, at: u32| {
            flow.count(bytes as usize, began + PERIOD * at);
            flow.is_full()
        };
        assert!(!count(FULL, 0), "the first period is not over");
        assert!(count(0, 1));
        assert!(count(OVER, 2), "slower, and still in flow");
        assert!(!count(OVER - 1, 3));
        assert!(!count(FULL - 1, 4), "not as fast as it has to be to begin");
        assert!(!count(3 * FULL, 8), "so many bytes in four periods");
        assert!(count(4 * FULL, 12));
    }
}
