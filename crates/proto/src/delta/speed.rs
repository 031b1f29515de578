//! Whether the link is so fast that looking for the old file's parts doesn't pay.

use std::time::Duration;

/// Bytes of which nothing was found before the clocks begin to count: as many may wait in buffers, so that sending them takes no time.
const BUFFERED: u64 = 16 * 1024 * 1024;

/// Bytes between two decisions.
const MEASURED: u64 = 32 * 1024 * 1024;

/// A search is worth it while sending the same bytes takes so many times as long.
const WORTH: u32 = 4;

/// The time that was spent in searching and in waiting for the link, since something was found.
#[derive(Debug, Default)]
pub struct Speed {
    searching: Duration,
    sending: Duration,
    /// Where the clocks began to count, in bytes since something was found.
    from: u64,
    fast: bool,
}

impl Speed {
    /// A search took so long. Nothing was found in the last `barren` bytes.
    pub fn searched(&mut self, took: Duration, barren: u64) {
        if barren < BUFFERED || barren < self.from {
            *self = Speed { from: barren, ..Speed::default() };
            return;
        }
        self.searching += took;
        if barren - self.from >= MEASURED {
            let fast = self.sending < self.searching * WORTH;
            *self = Speed { from: barren, fast, ..Speed::default() };
        }
    }

    /// New bytes waited so long for the link.
    pub fn sent(&mut self, took: Duration) {
        self.sending += took;
    }

    /// Whether the last bytes were sent faster than they were searched, and nothing was found in them.
    pub fn exceeds_search(&self) -> bool {
        self.fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 1 << 20;

    /// The bytes after which a search ends, where each MiB takes so many milliseconds.
    fn ended_after(searching: u64, sending: u64, found_every: u64) -> Option<u64> {
        let mut speed = Speed::default();
        (1..1000).map(|step| step * STEP).find(|bytes| {
            speed.sent(Duration::from_millis(sending));
            speed.searched(Duration::from_millis(searching), bytes % found_every);
            speed.exceeds_search()
        })
    }

    #[test]
    fn a_search_ends_where_sending_is_fast_and_nothing_is_found() {
        assert_eq!(ended_after(1, 1, u64::MAX), Some(47 * STEP));
        assert_eq!(ended_after(1, 8, u64::MAX), None, "the link is slow");
        assert_eq!(ended_after(1, 1, 40 * STEP), None, "something is found");
    }
}
