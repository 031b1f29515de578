//! How long the link and its streams of data wait, and for what. Only what really waits reads the clock.

use std::time::{Duration, Instant};

use unglue_proto::message::waits::Waits;
use unglue_proto::mux::{StreamId, Wait};

/// Everything that is counted since the link began.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) sending: Streams,
    pub(super) receiving: Streams,
    socket: Duration,
    credit: Duration,
    compression: Duration,
    busy: Duration,
}

impl Counted {
    pub(super) fn waited(&mut self, wait: Wait, time: Duration) {
        match wait {
            Wait::Socket => self.socket += time,
            Wait::Credit => self.credit += time,
            Wait::Packing => self.compression += time,
        }
    }

    /// The link's task ran for so long.
    pub(super) fn ran(&mut self, time: Duration) {
        self.busy += time;
    }

    pub(super) fn so_far(&mut self, now: Instant) -> Waits {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sending.settle(now);
        self.receiving.settle(now);
        let (source, room) = self.sending.by_any();
        let (data, sink) = self.receiving.by_all();
        Waits {
            source_us: micros(source),
            old_us: micros(self.sending.any_other),
            room_us: micros(room),
            data_us: micros(data),
            sink_us: micros(sink),
            sync_us: micros(self.receiving.others),
            socket_us: micros(self.socket),
            credit_us: micros(self.credit),
            compression_us: micros(self.compression),
            busy_us: micros(self.busy),
        }
    }
}

/// The streams of data of one direction.
#[derive(Default)]
pub(super) struct Streams {
    open: usize,
    waiting: usize,
    /// Those of which neither room nor data is waited for: what they have brought is being synced, or it isn't known yet what the other
    /// end has of what they carry.
    other: usize,
    /// The stream that began to wait last.
    last: Option<StreamId>,
    since: Option<Instant>,
    /// How long some were open, and none, some or all of them waited.
    none: Duration,
    some: Duration,
    all: Duration,
    /// How long any of them was such a one, and how long all of them were. Parts of `none`.
    any_other: Duration,
    others: Duration,
}

impl Streams {
    pub(super) fn open(&mut self) {
        self.settle(Instant::now());
        self.open += 1;
    }

    /// A stream is gone; `waited`: in the middle of a wait.
    pub(super) fn close(&mut self, waited: bool) {
        self.settle(Instant::now());
        self.open = self.open.saturating_sub(1);
        self.waiting = self.waiting.saturating_sub(usize::from(waited));
    }

    pub(super) fn wait(&mut self, id: StreamId) {
        self.settle(Instant::now());
        self.waiting += 1;
        self.last = Some(id);
    }

    pub(super) fn go_on(&mut self) {
        self.settle(Instant::now());
        self.waiting = self.waiting.saturating_sub(1);
    }

    pub(super) fn begin_other(&mut self) {
        self.settle(Instant::now());
        self.other += 1;
    }

    pub(super) fn end_other(&mut self) {
        self.settle(Instant::now());
        self.other = self.other.saturating_sub(1);
    }

    /// One that waits, if any does.
    pub(super) fn waiting(&self) -> Option<StreamId> {
        self.last.filter(|_| self.waiting > 0)
    }

    fn settle(&mut self, now: Instant) {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.since = Some(now);
        match (self.open, self.waiting) {
            (0, _) => {}
            (open, 0) => {
                self.none += passed;
                if self.other > 0 {
                    self.any_other += passed;
                }
                if self.other >= open {
                    self.others += passed;
                }
            }
            (open, waiting) if waiting < open => self.some += passed,
            _ => self.all += passed,
        }
    }

    /// How long none waited, and how long any.
    fn by_any(&self) -> (Duration, Duration) {
        (self.none, self.some + self.all)
    }

    /// How long all waited, and how long any did not.
    fn by_all(&self) -> (Duration, Duration) {
        (self.all, self.none + self.some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_counts_once_all_streams_have_ended() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut streams = Streams::default();
        // Of two streams, one is being synced while the other waits for 10 ms and is written for 20 ms; then both are for
        // 40 ms, and the one that is left for 80 ms.
        let steps = [(0, 2, 1, 1), (10, 2, 0, 1), (30, 2, 0, 2), (70, 1, 0, 1), (150, 0, 0, 0), (500, 0, 0, 0)];
        for (time, open, waiting, other) in steps {
            streams.settle(at(time));
            (streams.open, streams.waiting, streams.other) = (open, waiting, other);
        }
        let ms = Duration::from_millis;
        assert_eq!((streams.by_all(), streams.others, streams.any_other), ((ms(0), ms(150)), ms(120), ms(140)));
    }

    #[test]
    fn time_goes_to_what_the_streams_wait_for() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut streams = Streams::default();
        // Two streams: none waits for 10 ms, one for 20 ms, both for 40 ms; then they are gone.
        for (time, open, waiting) in [(0, 2, 0), (10, 2, 1), (30, 2, 2), (70, 0, 0), (500, 0, 0)] {
            streams.settle(at(time));
            (streams.open, streams.waiting) = (open, waiting);
        }
        let ms = Duration::from_millis;
        assert_eq!(streams.by_any(), (ms(10), ms(60)));
        assert_eq!(streams.by_all(), (ms(40), ms(30)));
    }
}
