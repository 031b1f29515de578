//! A link that is idle lives on; one that is dead is noticed in time.

use std::time::Duration;

use unglue_proto::Code;
use unglue_proto::limits::{HEARTBEAT, SILENCE};
use unglue_proto::mux::{Direction, Mux};

use crate::pair::{Pair, output, write};
use crate::wire::*;

/// Moves the clock to the next deadline of either end and lets both act.
fn tick(pair: &mut Pair) {
    let due = pair.client.poll_timeout().min(pair.server.poll_timeout());
    assert!(due > pair.clock.now(), "a deadline that has passed is asked for again: a busy loop");
    pair.clock.advance_to(due);
    for mux in [&mut pair.client, &mut pair.server] {
        if mux.poll_timeout() <= pair.clock.now() {
            mux.handle_timeout(pair.clock.now()).expect("the peer is alive");
        }
    }
    pair.settle();
}

#[test]
fn an_idle_link_lives_for_a_day_on_a_ping_every_ten_seconds() {
    let mut pair = Pair::new();
    let mut ticks = 0;
    while pair.clock.elapsed() < Duration::from_secs(24 * 3600) {
        tick(&mut pair);
        ticks += 1;
    }
    assert_eq!(ticks, 24 * 3600 / HEARTBEAT.as_secs());
}

#[test]
fn a_ping_is_one_empty_frame_and_only_where_nothing_else_was_sent() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    for _ in 0..100 {
        pair.clock.advance(HEARTBEAT - Duration::from_millis(1));
        assert!(pair.client.poll_timeout() > pair.clock.now());
        write(&mut pair.client, stream, b"x");
        let sent = frames(&pair.send());
        assert!(sent.iter().all(|frame| frame.kind == DATA), "{sent:?}");
        // The other direction keeps itself alive.
        if pair.server.poll_timeout() <= pair.clock.now() {
            pair.server.handle_timeout(pair.clock.now()).unwrap();
        }
        pair.answer();
        crate::pair::read_all(&mut pair.server, stream);
    }
    pair.clock.advance(HEARTBEAT);
    pair.client.handle_timeout(pair.clock.now()).unwrap();
    let sent = frames(&output(&mut pair.client, &pair.clock));
    assert_eq!((sent.len(), sent[0].kind, sent[0].stream.0, sent[0].data.len()), (1, PING, 0, 0));
}

#[test]
fn a_dead_peer_is_noticed_after_thirty_seconds_of_silence() {
    let mut pair = Pair::new();
    pair.clock.advance(Duration::from_secs(3));
    write_something(&mut pair);
    let last_heard = pair.clock.now();
    let fault = loop {
        let due = pair.server.poll_timeout();
        pair.clock.advance_to(due);
        match pair.server.handle_timeout(pair.clock.now()) {
            // What it says goes nowhere.
            Ok(()) => drop(output(&mut pair.server, &pair.clock)),
            Err(fault) => break fault,
        }
    };
    assert_eq!(pair.clock.now() - last_heard, SILENCE);
    assert_eq!(fault.code, Code::LinkLost);
    assert!(fault.what.contains("30 s"), "{fault}");
}

fn write_something(pair: &mut Pair) {
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, b"alive");
    pair.send();
}

#[test]
fn a_peer_whose_output_is_stuck_still_notices() {
    let mut pair = Pair::new();
    // Nothing is ever taken by poll_output, as with a full socket.
    loop {
        pair.clock.advance_to(pair.client.poll_timeout());
        if pair.client.handle_timeout(pair.clock.now()).is_err() {
            break;
        }
        assert!(pair.clock.elapsed() < SILENCE);
    }
    assert_eq!(pair.clock.elapsed(), SILENCE);
}

/// SIGSTOP and SIGCONT: the bytes that came meanwhile count before the deadline does.
#[test]
fn an_end_that_was_stopped_and_first_takes_its_input_is_not_lost() {
    let mut pair = Pair::new();
    let ping = frame(PING, unglue_proto::mux::StreamId(0), b"");
    for seconds in [31, 300, 86_400] {
        pair.clock.advance(Duration::from_secs(seconds));
        let client: &mut Mux = &mut pair.client;
        assert!(client.poll_timeout() <= pair.clock.now());
        client.handle_input(&ping, pair.clock.now()).unwrap();
        client.handle_timeout(pair.clock.now()).expect("the peer has been heard");
        assert_eq!(frames(&output(client, &pair.clock))[0].kind, PING, "and it speaks at once");
        assert!(client.poll_timeout() > pair.clock.now());
    }
}

#[test]
fn half_a_frame_is_a_sign_of_life() {
    let mut pair = Pair::new();
    let ping = frame(PING, unglue_proto::mux::StreamId(0), b"");
    for byte in ping.chunks(1) {
        pair.clock.advance(SILENCE - Duration::from_millis(1));
        pair.client.handle_input(byte, pair.clock.now()).unwrap();
        pair.client.handle_timeout(pair.clock.now()).unwrap();
        pair.client.handle_input(b"", pair.clock.now()).unwrap();
    }
    pair.clock.advance(SILENCE);
    pair.client.handle_input(b"", pair.clock.now()).unwrap();
    assert!(pair.client.handle_timeout(pair.clock.now()).is_err(), "no bytes are no sign of life");
}
