//! Streams come and go: their numbers, their limit, and that nothing of them stays.

use unglue_proto::Code;
use unglue_proto::limits::{BIDIRECTIONAL_STREAMS, UNIDIRECTIONAL_STREAMS};
use unglue_proto::mux::{Direction, Event, Mux, Read, StreamId};

use crate::pair::{Pair, events, output, read_all, write};
use crate::wire::*;

/// Opens streams until no more can be.
fn open_all(mux: &mut Mux, direction: Direction) -> Vec<StreamId> {
    std::iter::from_fn(|| mux.open(direction)).collect()
}

fn limit(direction: Direction) -> usize {
    match direction {
        Direction::Bidirectional => BIDIRECTIONAL_STREAMS,
        Direction::Unidirectional => UNIDIRECTIONAL_STREAMS,
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Bidirectional, Direction::Unidirectional];

/// Ends a stream from both sides, in whatever direction it flows.
fn end_everywhere(pair: &mut Pair, stream: StreamId) {
    pair.client.finish(stream);
    pair.settle();
    pair.server.finish(stream);
    read_all(&mut pair.server, stream);
    pair.settle();
    read_all(&mut pair.client, stream);
    pair.settle();
}

#[test]
fn numbers_are_quics() {
    let mut pair = Pair::new();
    let both = |mux: &mut Mux| DIRECTIONS.map(|direction| [mux.open(direction), mux.open(direction)]);
    let ids = |numbers: [u64; 2]| numbers.map(|number| Some(StreamId(number)));
    assert_eq!(both(&mut pair.client), [ids([0, 4]), ids([2, 6])]);
    assert_eq!(both(&mut pair.server), [ids([1, 5]), ids([3, 7])]);
}

#[test]
fn a_stream_is_opened_by_any_frame_of_a_later_one() {
    let mut pair = Pair::new();
    let streams: Vec<_> = (0..3).map(|_| pair.client.open(Direction::Bidirectional).unwrap()).collect();
    write(&mut pair.client, streams[2], b"I am third");
    pair.settle();
    let opened = streams.iter().map(|id| Event::Opened(*id));
    let want: Vec<_> = opened.chain([Event::Readable(streams[2])]).collect();
    assert_eq!(events(&mut pair.server), want);
    write(&mut pair.server, streams[0], b"and I am first");
    pair.settle();
    assert_eq!(read_all(&mut pair.client, streams[0]).0, b"and I am first");
}

#[test]
fn a_stream_that_a_message_names_can_be_expected_before_it_comes() {
    let mut pair = Pair::new();
    let stream = pair.server.open(Direction::Unidirectional).unwrap();
    pair.client.expect(stream).unwrap();
    assert_eq!(pair.client.read(stream, 1), Read::Blocked);
    events(&mut pair.client);
    write(&mut pair.server, stream, b"here");
    pair.settle();
    assert_eq!(events(&mut pair.client), [Event::Readable(stream)]);
    assert_eq!(read_all(&mut pair.client, stream).0, b"here");
    assert_eq!(pair.client.expect(CLIENT_UNI).unwrap_err().code, Code::BadFrame, "a stream of ours, never opened");
}

#[test]
fn an_expected_stream_can_be_given_up_before_it_comes() {
    let mut pair = Pair::new();
    let stream = pair.server.open(Direction::Unidirectional).unwrap();
    pair.client.expect(stream).unwrap();
    pair.client.stop(stream, Code::Cancelled);
    pair.settle();
    assert_eq!(pair.server.write(stream, "x".into()), Err(Code::Cancelled));
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
}

#[test]
fn at_the_limit_no_stream_opens_until_an_event_says_so() {
    for direction in DIRECTIONS {
        let mut pair = Pair::new();
        let streams = open_all(&mut pair.client, direction);
        assert_eq!(streams.len(), limit(direction));
        write(&mut pair.client, *streams.last().unwrap(), b"the last");
        pair.settle();
        assert_eq!(pair.server.stream_count(), limit(direction));
        events(&mut pair.client);

        end_everywhere(&mut pair, streams[7]);
        assert!(events(&mut pair.client).contains(&Event::Openable(direction)), "{direction}: nobody says so");
        let again = pair.client.open(direction).expect("one has ended");
        assert_eq!(again.0, streams.last().unwrap().0 + 4);
        assert_eq!(pair.client.open(direction), None, "{direction}: one ended, one opened");
        write(&mut pair.client, again, b"new");
        pair.settle();
        assert_eq!(pair.server.stream_count(), limit(direction));
    }
}

#[test]
fn streams_that_stay_open_take_no_room_but_their_own() {
    for direction in DIRECTIONS {
        let mut pair = Pair::new();
        let held: Vec<_> = (0..limit(direction) - 1).map(|_| pair.client.open(direction).unwrap()).collect();
        for _ in 0..limit(direction) * 2 {
            let stream = pair.client.open(direction).expect("one place is left");
            end_everywhere(&mut pair, stream);
        }
        assert_eq!(pair.server.stream_count(), held.len());
        assert_eq!(pair.client.stream_count(), held.len());
    }
}

#[test]
fn a_link_that_is_used_one_stream_after_the_other_needs_no_waiting() {
    let mut pair = Pair::new();
    for _ in 0..10 * BIDIRECTIONAL_STREAMS {
        let stream = pair.client.open(Direction::Bidirectional).expect("all others have ended");
        write(&mut pair.client, stream, b"request");
        pair.client.finish(stream);
        pair.settle();
        read_all(&mut pair.server, stream);
        write(&mut pair.server, stream, b"reply");
        pair.server.finish(stream);
        pair.settle();
        assert_eq!(read_all(&mut pair.client, stream), (b"reply".to_vec(), Read::Finished));
    }
    pair.settle();
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
}

/// A writer that is done with its stream has done nothing for the memory of an end that hasn't read it.
#[test]
fn finished_streams_that_nobody_reads_count_against_the_limit() {
    let mut pair = Pair::new();
    let mut opened = 0;
    while let Some(stream) = pair.client.open(Direction::Unidirectional) {
        write(&mut pair.client, stream, &[0; 100]);
        pair.client.finish(stream);
        pair.settle();
        opened += 1;
        assert!(opened <= UNIDIRECTIONAL_STREAMS, "{opened} streams, of which none was read");
    }
    assert_eq!(pair.server.stream_count(), UNIDIRECTIONAL_STREAMS);
    events(&mut pair.client);
    read_all(&mut pair.server, CLIENT_UNI);
    pair.settle();
    assert_eq!(events(&mut pair.client), [Event::Openable(Direction::Unidirectional)]);
}

#[test]
fn every_way_to_end_a_stream_leaves_nothing() {
    /// What an end does with each half.
    type Step = fn(&mut Mux, StreamId);
    let ends: [Step; 2] = [|mux, id| mux.finish(id), |mux, id| mux.reset(id, Code::Cancelled)];
    let reads: [Step; 2] = [|mux, id| drop(read_all(mux, id)), |mux, id| mux.stop(id, Code::Cancelled)];
    let mut ways = 0;
    for choice in 0..64 {
        let bit = |n: usize| choice >> n & 1;
        let mut pair = Pair::new();
        let stream = pair.client.open(Direction::Bidirectional).unwrap();
        write(&mut pair.client, stream, b"there");
        pair.settle();
        write(&mut pair.server, stream, b"back");
        if bit(0) == 1 {
            pair.settle();
        }
        ends[bit(1)](&mut pair.client, stream);
        reads[bit(2)](&mut pair.client, stream);
        if bit(3) == 1 {
            pair.settle();
        }
        ends[bit(4)](&mut pair.server, stream);
        reads[bit(5)](&mut pair.server, stream);
        pair.settle();
        // Who reads sees the end by now.
        read_all(&mut pair.client, stream);
        read_all(&mut pair.server, stream);
        pair.settle();
        assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0), "choice {choice:06b}");
        ways += 1;
    }
    assert_eq!(ways, 64);
}

#[test]
fn an_ignored_end_is_awaited_without_a_word() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, stream, b"request");
    pair.settle();
    pair.server.ignore(stream);
    pair.server.finish(stream);
    let said = frames(&pair.answer());
    assert_eq!((said.len(), said[0].kind), (1, FIN), "the writer is not told to stop");
    assert_eq!(pair.server.stream_count(), 1, "its end is still to come");
    write(&mut pair.client, stream, b", and what nobody reads");
    pair.client.finish(stream);
    read_all(&mut pair.client, stream);
    pair.settle();
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
}

#[test]
fn what_is_gone_says_so_and_does_no_harm() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    pair.client.reset(stream, Code::Cancelled);
    pair.settle();
    assert_eq!(pair.client.stream_count(), 0);
    assert_eq!(pair.client.write(stream, "x".into()), Err(Code::Cancelled));
    assert_eq!(pair.client.read(stream, 1), Read::Reset(Code::Cancelled));
    pair.client.finish(stream);
    pair.client.stop(stream, Code::Cancelled);
    pair.client.reset(stream, Code::Cancelled);
    assert!(pair.client.is_flushed(stream));
    assert_eq!(output(&mut pair.client, &pair.clock), b"");
}
