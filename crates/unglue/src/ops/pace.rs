//! A limit on the rate of bytes: a token bucket.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Bytes may come at once for so long: what was not used before counts for no more.
const BURST: Duration = Duration::from_millis(100);

/// Allows so many bytes a second. Clones share the limit. The default allows everything.
///
/// ```
/// use unglue::Pace;
///
/// let pace = Pace::limit(1_000_000);
/// assert_eq!((pace.rate(), Pace::default().rate()), (Some(1_000_000), None));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Pace(Option<Arc<Bucket>>);

#[derive(Debug)]
struct Bucket {
    rate: u64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// When the bytes that have passed so far are due.
    due: Instant,
    /// How many wait for that, since when any does, and for how long any did before.
    waiting: usize,
    since: Instant,
    waited: Duration,
}

impl Bucket {
    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts that something waits, until it is dropped.
struct Waiting<'a>(&'a Bucket);

impl<'a> Waiting<'a> {
    fn begin(bucket: &'a Bucket) -> Waiting<'a> {
        let mut level = bucket.level();
        if level.waiting == 0 {
            level.since = Instant::now();
        }
        level.waiting += 1;
        Waiting(bucket)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut level = self.0.level();
        level.waiting -= 1;
        if level.waiting == 0 {
            let waited = level.since.elapsed();
            level.waited += waited;
        }
    }
}

impl Pace {
    /// At most so many bytes a second, one at least.
    pub fn limit(rate: u64) -> Pace {
        let now = Instant::now();
        let level = Level { due: now, waiting: 0, since: now, waited: Duration::ZERO };
        Pace(Some(Arc::new(Bucket { rate: rate.max(1), level: Mutex::new(level) })))
    }

    /// The limit, in bytes a second.
    pub fn rate(&self) -> Option<u64> {
        self.0.as_ref().map(|bucket| bucket.rate)
    }

    /// How long bytes have waited for it so far. Waits at the same time count once.
    pub(crate) fn waited(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |bucket| {
            let level = bucket.level();
            level.waited + if level.waiting > 0 { level.since.elapsed() } else { Duration::ZERO }
        })
    }

    /// As many bytes may pass at once, of so many.
    pub(crate) fn piece(&self, bytes: usize) -> usize {
        match &self.0 {
            None => bytes,
            // A tenth of a second's worth, so that the rate is even.
            Some(bucket) => bytes.min(usize::try_from(bucket.rate / 10).unwrap_or(bytes).max(1024)),
        }
    }

    /// Waits until bytes may pass again. Cancelling it loses nothing.
    pub(crate) async fn ready(&self) {
        if let Some(bucket) = &self.0 {
            let due = bucket.level().due;
            if due > Instant::now() {
                let _counted = Waiting::begin(bucket);
                sleep_until(due).await;
            }
        }
    }

    /// So many bytes have passed.
    pub(crate) fn spend(&self, bytes: usize) {
        if let Some(bucket) = &self.0 {
            let mut level = bucket.level();
            let due = &mut level.due;
            let earliest = Instant::now().checked_sub(BURST).unwrap_or(*due);
            let nanoseconds = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(bucket.rate));
            let lasts = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            *due = (*due).max(earliest).checked_add(lasts).unwrap_or(*due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_rate_holds_for_all_that_share_it() {
        let pace = Pace::limit(500_000);
        let (other, began) = (pace.clone(), Instant::now());
        for _ in 0..3 {
            for pace in [&pace, &other] {
                pace.ready().await;
                pace.spend(pace.piece(1 << 20));
            }
        }
        pace.ready().await;
        // 6 pieces of 50,000 bytes, less what may come at once at the beginning.
        let took = began.elapsed();
        assert!(took > Duration::from_millis(490), "{took:?}");
        let waited = pace.waited();
        assert!(waited <= took && waited > Duration::from_millis(400), "{waited:?} of {took:?}");
        // What was not used for a while is lost but for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        pace.spend(150_000);
        pace.ready().await;
        assert!(began.elapsed() > Duration::from_millis(190), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let pace = Pace::default();
        pace.spend(usize::MAX);
        let began = Instant::now();
        pace.ready().await;
        assert!(began.elapsed() < Duration::from_secs(1) && pace.piece(123) == 123);
    }
}
