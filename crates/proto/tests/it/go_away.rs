//! Go-away: no new operations, and those under way go on to their end.

use unglue_proto::Code;
use unglue_proto::limits::GO_AWAY_REASON;
use unglue_proto::mux::{Direction, Event, Read};

use crate::pair::{Pair, events, output, read_all, write};
use crate::wire::*;

#[test]
fn operations_under_way_go_on() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, stream, b"request");
    pair.settle();
    pair.server.go_away(Code::GoingAway, "maintenance");
    pair.settle();
    assert_eq!(events(&mut pair.client), [Event::GoAway(Code::GoingAway, "maintenance".into())]);
    assert_eq!(pair.client.peer_left(), Some(Code::GoingAway));

    write(&mut pair.client, stream, b", and more of it");
    pair.client.finish(stream);
    pair.settle();
    assert_eq!(read_all(&mut pair.server, stream), (b"request, and more of it".to_vec(), Read::Finished));
    write(&mut pair.server, stream, b"outcome");
    pair.server.finish(stream);
    pair.settle();
    assert_eq!(read_all(&mut pair.client, stream), (b"outcome".to_vec(), Read::Finished));
}

#[test]
fn new_operations_are_refused_on_both_ends() {
    let mut pair = Pair::new();
    pair.server.go_away(Code::GoingAway, "");
    // The client hasn't heard of it yet.
    let late = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, late, b"request");
    pair.send();
    assert_eq!(events(&mut pair.server), [], "nobody is told of a stream that is refused");
    pair.settle();
    assert_eq!(pair.client.write(late, "more".into()), Err(Code::GoingAway));
    assert_eq!(read_all(&mut pair.client, late), (vec![], Read::Reset(Code::GoingAway)));
    pair.settle();
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
    assert_eq!(pair.client.open(Direction::Bidirectional), None);
}

/// An operation that was admitted before needs its streams after: its input, its outputs, its file.
#[test]
fn data_streams_of_operations_under_way_can_still_be_opened() {
    let mut pair = Pair::new();
    let control = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, control, b"exec, with input on the next stream");
    let stdin = pair.client.open(Direction::Unidirectional).unwrap();
    pair.send();
    pair.server.go_away(Code::GoingAway, "");
    pair.server.expect(stdin).unwrap();
    pair.settle();
    write(&mut pair.client, stdin, b"input");
    pair.client.finish(stdin);
    let second = pair.client.open(Direction::Unidirectional).expect("data streams belong to operations under way");
    write(&mut pair.client, second, b"more input");
    pair.settle();
    assert_eq!(read_all(&mut pair.server, stdin), (b"input".to_vec(), Read::Finished));
    assert_eq!(read_all(&mut pair.server, second).0, b"more input");

    let stdout = pair.server.open(Direction::Unidirectional).expect("it is the server that leaves");
    write(&mut pair.server, stdout, b"output");
    pair.settle();
    assert_eq!(read_all(&mut pair.client, stdout).0, b"output");
}

#[test]
fn it_is_said_once_and_heard_once() {
    let mut pair = Pair::new();
    pair.server.go_away(Code::GoingAway, "first");
    pair.server.go_away(Code::Internal, "second");
    let wire = output(&mut pair.server, &pair.clock);
    assert_eq!(wire, frame(GO_AWAY, unglue_proto::mux::StreamId(0), b"\0\0\0\x07first"));
    pair.server.go_away(Code::Internal, "third");
    assert_eq!(output(&mut pair.server, &pair.clock), b"");
    for _ in 0..2 {
        pair.client.handle_input(&wire, pair.clock.now()).unwrap();
    }
    assert_eq!(events(&mut pair.client), [Event::GoAway(Code::GoingAway, "first".into())]);
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut pair = Pair::new();
    pair.server.go_away(Code::GoingAway, &"é".repeat(GO_AWAY_REASON));
    pair.settle();
    let Some(Event::GoAway(_, reason)) = pair.client.poll_event() else { panic!("no go-away") };
    assert_eq!(reason, "é".repeat(GO_AWAY_REASON / 2));
}

#[test]
fn a_fault_is_reported_even_after_a_go_away() {
    let mut pair = Pair::new();
    pair.server.go_away(Code::GoingAway, "maintenance");
    pair.settle();
    assert!(pair.server.handle_input(&frame(99, CLIENT_BIDI, b""), pair.clock.now()).is_err());
    let told = frames(&output(&mut pair.server, &pair.clock));
    assert_eq!(told[0].data[..4], (Code::BadFrame as u32).to_be_bytes(), "the peer never learns why the link ends");
    pair.client.handle_input(&frame(GO_AWAY, told[0].stream, &told[0].data), pair.clock.now()).unwrap();
    assert_eq!(pair.client.peer_left(), Some(Code::BadFrame));
}
