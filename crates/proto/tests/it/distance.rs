//! A link that is long and fast: the credit of a stream covers what is on its way, with no more memory than promised.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use unglue_proto::limits::{LINK_WINDOWS, MAX_WINDOW};
use unglue_proto::mux::{Direction, Mux, Role, StreamId};
use unglue_testkit::Clock;

use crate::pair::read_all;

const MS: Duration = Duration::from_millis(1);
/// What a link of 1 Gbit/s carries in 1 ms.
const RATE: usize = 125_000;

/// Bytes that arrive some milliseconds after they were sent.
#[derive(Default)]
struct Way(VecDeque<(usize, Vec<u8>)>);

impl Way {
    fn send(&mut self, from: &mut Mux, budget: usize, due: usize, clock: &Clock) -> usize {
        let mut bytes = Vec::new();
        from.poll_output(&mut bytes, budget, clock.now());
        let sent = bytes.len();
        if sent > 0 {
            self.0.push_back((due, bytes));
        }
        sent
    }

    fn arrive(&mut self, at: &mut Mux, now: usize, clock: &Clock) {
        while self.0.front().is_some_and(|(due, _)| *due <= now) {
            let (_, bytes) = self.0.pop_front().expect("it is there");
            at.handle_input(&bytes, clock.now()).expect("no fault");
        }
    }
}

/// A sender and a receiver with half a round trip between them.
struct Long {
    clock: Clock,
    client: Mux,
    server: Mux,
    there: Way,
    back: Way,
    half: usize,
    now: usize,
    /// What the last frame took of the milliseconds that follow.
    ahead: usize,
}

impl Long {
    fn new(round_trip: usize) -> Long {
        let clock = Clock::new();
        let (client, server) = (Mux::new(Role::Client, clock.now()), Mux::new(Role::Server, clock.now()));
        Long {
            clock,
            client,
            server,
            there: Way::default(),
            back: Way::default(),
            half: round_trip / 2,
            now: 0,
            ahead: 0,
        }
    }

    /// A millisecond: the sender writes all that is taken, and the receiver reads if it is asked to. How much the link was given
    /// to carry in it, at most [`RATE`].
    fn tick(&mut self, streams: &[StreamId], reads: bool) -> usize {
        self.clock.advance(MS);
        self.now += 1;
        for stream in streams {
            while self.client.write(*stream, Bytes::from_static(&[7; 65_536])).expect("open").is_empty() {}
        }
        let due = self.now + self.half;
        let used = self.ahead + self.there.send(&mut self.client, RATE - self.ahead, due, &self.clock);
        self.ahead = used.saturating_sub(RATE);
        self.there.arrive(&mut self.server, self.now, &self.clock);
        if reads {
            streams.iter().for_each(|stream| drop(read_all(&mut self.server, *stream)));
        }
        self.back.send(&mut self.server, usize::MAX, due, &self.clock);
        self.back.arrive(&mut self.client, self.now, &self.clock);
        while self.client.poll_event().or_else(|| self.server.poll_event()).is_some() {}
        used.min(RATE)
    }

    /// Milliseconds until the link is full, and stays so for as many as `lasting`.
    fn full_after(&mut self, stream: StreamId, lasting: usize) -> usize {
        let mut began = None;
        for _ in 0..10 * lasting {
            let full = self.tick(&[stream], true) == RATE;
            began = if full { began.or(Some(self.now)) } else { None };
            if began.is_some_and(|began| self.now - began >= lasting) {
                break;
            }
        }
        began.expect("the link is full in the end") - 1
    }
}

#[test]
fn credit_grows_to_what_a_long_link_holds() {
    // 116 ms at 1 Gbit/s are 14,500,000 bytes, seven eighths of the largest window.
    for (round_trip, turns) in [(10, 7), (50, 8), (116, 9)] {
        let mut long = Long::new(round_trip);
        let stream = long.client.open(Direction::Unidirectional).unwrap();
        let full = long.full_after(stream, 3 * round_trip);
        assert!(full <= turns * round_trip, "{full} ms with turns of {round_trip} ms");
        let [_, windows, _] = long.server.memory_taken();
        assert!(windows <= MAX_WINDOW, "{windows} bytes");
    }
}

#[test]
fn a_widened_stream_is_in_full_flow_after_one_turn() {
    let mut long = Long::new(50);
    let stream = long.client.open(Direction::Unidirectional).unwrap();
    long.server.expect(stream).unwrap();
    long.server.widen(stream);
    let full = long.full_after(stream, 200);
    assert!(full <= 50, "{full} ms");
}

#[test]
fn a_reader_that_stops_on_a_long_link_holds_a_window_and_no_more() {
    let mut long = Long::new(50);
    let stream = long.client.open(Direction::Unidirectional).unwrap();
    long.full_after(stream, 200);
    // What is on its way still arrives.
    let stalled: usize = (0..1000).map(|_| long.tick(&[stream], false)).sum();
    let unread = read_all(&mut long.server, stream).0.len() as u64;
    assert!(unread <= MAX_WINDOW, "{unread} bytes lie unread, {stalled} were sent after the reader had stopped");
    assert_eq!(long.tick(&[], false), 0, "all credit is used");
}

#[test]
fn many_streams_fill_a_long_link_within_the_memory_of_the_link() {
    let mut long = Long::new(50);
    let streams: Vec<_> = (0..40).map(|_| long.client.open(Direction::Unidirectional).unwrap()).collect();
    for stream in &streams {
        long.server.expect(*stream).unwrap();
        long.server.widen(*stream);
    }
    for _ in 0..600 {
        long.tick(&streams, true);
        let [_, windows, _] = long.server.memory_taken();
        assert!(windows <= LINK_WINDOWS, "{windows} bytes at {} ms", long.now);
    }
    let used: usize = (0..100).map(|_| long.tick(&streams, true)).sum();
    assert_eq!(used, 100 * RATE);
}
