//! How long a job may run while nobody holds it.

use std::time::{Duration, Instant};

/// How long a job that ends with its holder waits for the first one.
const FIRST_HOLDER: Duration = Duration::from_secs(10);

/// The time of a job, counted while it isn't held.
#[derive(Debug)]
pub(super) struct LeaseClock {
    /// `None`: for ever.
    keep: Option<Duration>,
    /// Since when nobody holds it; `None` while somebody does.
    unheld: Option<Instant>,
}

impl LeaseClock {
    /// Of a job that has just started, and isn't held.
    pub(super) fn new(keep: Option<Duration>, now: Instant) -> Self {
        Self { keep, unheld: Some(now) }
    }

    /// Of a job that ends with its holder. The first one has to come within [`FIRST_HOLDER`].
    pub(super) fn of_holder(now: Instant) -> Self {
        Self { keep: Some(Duration::ZERO), unheld: Some(now + FIRST_HOLDER) }
    }

    /// Whether somebody holds the job from now on.
    pub(super) fn hold(&mut self, held: bool, now: Instant) {
        self.unheld = if held { None } else { self.unheld.or(Some(now)) };
    }

    /// When it ends.
    pub(super) fn due(&self) -> Option<Instant> {
        // A time beyond what the clock can hold is for ever.
        self.unheld?.checked_add(self.keep?)
    }

    /// The time that has passed without a holder, once it is over.
    pub(super) fn ended(&self, now: Instant) -> Option<Duration> {
        self.keep.filter(|_| self.due().is_some_and(|due| due <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_last_holder() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lease = LeaseClock::new(Some(Duration::from_secs(10)), start);
        assert_eq!(lease.due(), Some(at(10)), "from the start, where nobody comes");
        lease.hold(true, at(5));
        assert_eq!((lease.due(), lease.ended(at(1000))), (None, None));
        lease.hold(false, at(20));
        lease.hold(false, at(25));
        assert_eq!(lease.due(), Some(at(30)), "it is not begun anew by somebody who does not hold it");
        assert_eq!(lease.ended(at(29)), None);
        assert_eq!(lease.ended(at(30)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn without_a_time_it_never_ends() {
        let start = Instant::now();
        assert_eq!(LeaseClock::new(None, start).due(), None);
        assert_eq!(LeaseClock::new(Some(Duration::MAX), start).due(), None);
    }
}
