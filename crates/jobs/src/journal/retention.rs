//! For how long the journal remembers.

use std::time::Duration;

/// For how long ids are remembered, and how many of them. Jobs that have not ended are always remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How long a job is remembered after its end: 7 days.
    pub age: Duration,
    /// How many jobs are remembered: 65,536.
    pub jobs: usize,
    /// How many bytes the remembered jobs may take in memory, roughly: 64 MiB.
    pub bytes: usize,
    /// How long an id is refused after its job was forgotten: 90 days.
    pub forgotten_age: Duration,
    /// How many ids are refused: 1,000,000.
    pub forgotten: usize,
}

const DAY: u64 = 24 * 60 * 60;

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            age: Duration::from_secs(7 * DAY),
            jobs: 65_536,
            bytes: 64 << 20,
            forgotten_age: Duration::from_secs(90 * DAY),
            forgotten: 1_000_000,
        }
    }
}
