//! P6: few bytes never cost much memory, much output or many events, whoever sends them.

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::limits::{BIDIRECTIONAL_STREAMS, INITIAL_WINDOW, SEND_BUFFER, UNIDIRECTIONAL_STREAMS};
use unglue_proto::mux::{Direction, Mux, Role, StreamId};
use unglue_testkit::Clock;
use unglue_testkit::heap::held;

use crate::pair::{Pair, events, output, read_all, server_given};
use crate::wire::*;

/// What the state of a stream may cost beside its data.
const STREAM: usize = 1024;

/// The memory that `make` has allocated and its result still holds.
fn cost<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = held();
    let made = make();
    (made, usize::try_from(held() - before).expect("more is held than before"))
}

#[test]
fn single_bytes_cost_no_more_than_whole_windows() {
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let single = frame(DATA, CLIENT_UNI, b"x");
    let ((), cost) = cost(|| {
        for _ in 0..INITIAL_WINDOW {
            server.handle_input(&single, clock.now()).unwrap();
        }
    });
    assert!(cost <= 2 * INITIAL_WINDOW as usize + STREAM, "{cost} bytes are held for {INITIAL_WINDOW}");
}

#[test]
fn single_bytes_cost_their_writer_no_more_than_whole_buffers() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    let ((), cost) = cost(|| {
        for _ in 0..SEND_BUFFER {
            pair.client.write(stream, Bytes::copy_from_slice(b"x")).unwrap();
        }
    });
    assert!(cost <= 2 * SEND_BUFFER + STREAM, "{cost} bytes are held for {SEND_BUFFER}");
    pair.settle();
    assert_eq!(read_all(&mut pair.server, stream).0.len(), INITIAL_WINDOW as usize);
}

/// One line of a large block that was read: the block must not stay for the line's sake.
#[test]
fn short_slices_of_large_blocks_do_not_keep_the_blocks() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    let ((), cost) = cost(|| {
        for _ in 0..100 {
            let block = Bytes::from(vec![b'x'; 100_000]);
            pair.client.write(stream, block.slice(..80)).unwrap();
        }
    });
    assert!(cost <= 100_000, "{cost} bytes are held for 8,000");
}

#[test]
fn an_announced_length_costs_nothing() {
    let header = &frame(DATA, CLIENT_UNI, &[0; 65_536])[..HEADER];
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let ((), cost) = cost(|| server.handle_input(header, clock.now()).unwrap());
    assert!(cost < STREAM, "{cost} bytes are held for {HEADER}");
}

#[test]
fn streams_that_are_opened_and_given_up_are_bounded() {
    let reset = 1u32.to_be_bytes();
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let (last, cost) = cost(|| {
        let mut numbers = (0..1_000_000u64).map(|n| StreamId(4 * n + 2));
        let mut taken = |id: &StreamId| server.handle_input(&frame(RESET, *id, &reset), clock.now()).is_ok();
        let refused = numbers.by_ref().find(|id| !taken(id));
        events(&mut server);
        refused
    });
    assert_eq!(last, Some(StreamId(4 * UNIDIRECTIONAL_STREAMS as u64 + 2)), "one more than fit");
    assert!(cost < UNIDIRECTIONAL_STREAMS * STREAM, "{cost} bytes are held");
}

#[test]
fn data_that_nobody_reads_is_bounded_over_all_streams() {
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let mut taken = 0;
    for number in 0..1_000_000u64 {
        let wire = frame(FIN, StreamId(4 * number + 2), b"unread");
        if server.handle_input(&wire, clock.now()).is_err() {
            break;
        }
        taken += 1;
    }
    assert_eq!(taken, UNIDIRECTIONAL_STREAMS);
}

#[test]
fn operations_that_are_refused_leave_nothing_and_are_bounded() {
    let mut pair = Pair::new();
    pair.server.go_away(Code::GoingAway, "");
    drop(output(&mut pair.server, &pair.clock));
    let mut refused = 0;
    for number in 0..10 * BIDIRECTIONAL_STREAMS as u64 {
        let wire = frame(DATA, StreamId(4 * number), b"request");
        if pair.server.handle_input(&wire, pair.clock.now()).is_err() {
            break;
        }
        refused += 1;
    }
    assert_eq!(refused, BIDIRECTIONAL_STREAMS, "a client that doesn't listen comes to its limit");
    assert!(output(&mut pair.server, &pair.clock).len() < 2 * 20 * BIDIRECTIONAL_STREAMS);
}

/// A flood of each kind that asks for something, on a few streams: what is owed is owed once.
#[test]
fn floods_are_answered_once() {
    let clock = Clock::new();
    let floods = [
        (PING, StreamId(0), vec![]),
        (PING, StreamId(0), 7u64.to_be_bytes().to_vec()),
        (WINDOW, CLIENT_BIDI, u64::MAX.to_be_bytes().to_vec()),
        (STOP, CLIENT_BIDI, 1u32.to_be_bytes().to_vec()),
        (DATA, CLIENT_BIDI, vec![]),
        (GO_AWAY, StreamId(0), 1u32.to_be_bytes().to_vec()),
        (STREAMS, StreamId(4 * 100_000 + 1), vec![]),
    ];
    for (kind, stream, data) in floods {
        let mut server = Mux::new(Role::Server, clock.now());
        let wire = frame(kind, stream, &data);
        for _ in 0..10_000 {
            server.handle_input(&wire, clock.now()).unwrap();
        }
        let answer = output(&mut server, &clock);
        let happened = events(&mut server).len();
        assert!(answer.len() <= 17, "kind {kind}: {} bytes of answer", answer.len());
        assert!(happened <= 2, "kind {kind}: {happened} events");
    }
}

#[test]
fn a_skipped_number_opens_what_is_allowed_and_no_more() {
    let highest = StreamId(4 * (UNIDIRECTIONAL_STREAMS as u64 - 1) + 2);
    let ((mut server, result), cost) = cost(|| server_given(&frame(DATA, highest, b"x")));
    result.unwrap();
    events(&mut server);
    assert!(cost < UNIDIRECTIONAL_STREAMS * STREAM, "{cost} bytes for one frame");
}
