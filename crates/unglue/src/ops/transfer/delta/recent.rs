//! What the receiver has read of the old file a moment ago.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

/// So many bytes are kept, and no more are read ahead of what the sender has found, as long as it keeps up.
const KEPT: u64 = 4 * 1024 * 1024;

/// A sender that finds nothing new for so long needs more sums first, or is far away: until it finds something, it isn't waited for.
const PATIENCE: Duration = Duration::from_millis(10);

/// The parts of the old file that were read last, for their sums. A sender that is near finds them before they are dropped, so that
/// they need not be read twice.
#[derive(Debug, Default)]
pub(super) struct Recent {
    state: Mutex<State>,
    found: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Where each part begins, in order.
    parts: VecDeque<(u64, Bytes)>,
    kept: u64,
    /// The end of what the sender has found in the old file so far.
    found: u64,
    /// Whether the sender is not waited for, since it has found nothing for a while.
    hurries: bool,
}

impl State {
    /// Whether a part may be read now.
    fn has_room(&self, part: &Range<u64>) -> bool {
        self.hurries || part.end <= self.found + KEPT || part.start <= self.found
    }
}

impl Recent {
    /// Keeps a part, which comes after those before.
    pub(super) fn keep(&self, at: u64, bytes: Bytes) {
        let mut state = self.lock();
        state.kept += bytes.len() as u64;
        state.parts.push_back((at, bytes));
        while state.kept > KEPT && state.parts.len() > 1 {
            let dropped = state.parts.pop_front().map_or(0, |(_, bytes)| bytes.len() as u64);
            state.kept -= dropped;
        }
    }

    /// The bytes of a part that the sender has found, if they were kept.
    pub(super) fn find(&self, range: Range<u64>) -> Option<Bytes> {
        let mut state = self.lock();
        if range.end > state.found {
            state.found = range.end;
            state.hurries = false;
            self.found.notify_one();
        }
        let index = state.parts.partition_point(|(at, _)| *at <= range.start).checked_sub(1)?;
        let (at, bytes) = &state.parts[index];
        let end = usize::try_from(range.end - at).ok().filter(|&end| end <= bytes.len())?;
        let found = bytes.slice(usize::try_from(range.start - at).ok()?..end);
        Some(found)
    }

    /// Waits while the sender is so far behind that this part, if it were read now, would displace one that is still to be found. A
    /// dropped call loses nothing.
    pub(super) async fn room(&self, part: Range<u64>) {
        loop {
            let found = self.found.notified();
            if self.lock().has_room(&part) {
                return;
            }
            if timeout(PATIENCE, found).await.is_err() {
                self.lock().hurries = true;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_last_is_found() {
        const PART: u64 = 1024 * 1024;
        let recent = Recent::default();
        for number in 0..8 {
            recent.keep(number * PART, Bytes::from(vec![number as u8; PART as usize]));
        }
        assert_eq!(recent.find(0..5), None, "it was dropped");
        assert_eq!(recent.find(4 * PART..4 * PART + 3), Some(Bytes::from_static(&[4; 3])));
        assert_eq!(recent.find(8 * PART - 2..8 * PART), Some(Bytes::from_static(&[7; 2])));
        assert_eq!(recent.find(8 * PART - 2..8 * PART + 1), None);
        assert_eq!(recent.find(5 * PART - 1..5 * PART + 1), None, "it is in two parts");
    }

    #[tokio::test]
    async fn a_sender_that_keeps_up_is_waited_for_and_no_other() {
        let recent = Recent::default();
        recent.room(0..KEPT).await;
        tokio::join!(recent.room(8..KEPT + 8), async { recent.find(0..8) });
        assert!(!recent.lock().hurries);
        let began = tokio::time::Instant::now();
        recent.room(9..KEPT + 9).await;
        assert!(began.elapsed() >= PATIENCE && recent.lock().hurries);
        recent.room(u64::MAX - 1..u64::MAX).await;
        recent.find(KEPT..KEPT + 9);
        assert!(!recent.lock().hurries, "a sender that goes on is waited for again");
        let began = tokio::time::Instant::now();
        recent.room(2 * KEPT..2 * KEPT + 10).await;
        assert!(began.elapsed() >= PATIENCE);
    }

    #[test]
    fn what_is_read_ahead_displaces_nothing_that_is_still_to_be_found() {
        const PART: u64 = 512 * 1024;
        let recent = Recent::default();
        let mut read = 0;
        for piece in 0..100 {
            // As much is read ahead of the sender as is allowed without waiting.
            while recent.lock().has_room(&(read..read + PART)) {
                recent.keep(read, Bytes::from(vec![0; PART as usize]));
                read += PART;
            }
            // The sender finds half a part at a time.
            let at = piece * PART / 2;
            assert!(
                recent.find(at..at + PART / 2).is_some(),
                "what is at {at} was dropped, and {read} bytes were read"
            );
        }
    }
}
