//! Time that moves by hand, for code that is given its instants.
//!
//! ```
//! use std::time::Duration;
//! use unglue_testkit::Clock;
//!
//! let mut clock = Clock::new();
//! let start = clock.now();
//! clock.advance(Duration::from_secs(3600));
//! assert_eq!(clock.now() - start, Duration::from_secs(3600));
//! ```

use std::time::{Duration, Instant};

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    now: Instant,
}

impl Clock {
    /// A clock that shows some instant.
    pub fn new() -> Clock {
        let start = Instant::now();
        Clock { start, now: start }
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How far it has been moved in all.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Moves it on.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Moves it on to `instant`; never back.
    pub fn advance_to(&mut self, instant: Instant) {
        self.now = self.now.max(instant);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
