//! Credit: how much travels, who waits, and what wakes them.

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::limits::{FRAME_PAYLOAD, INITIAL_WINDOW, MAX_WINDOW, NARROW_WINDOW, SEND_BUFFER, SEND_RESERVE};
use unglue_proto::mux::{Direction, Event, Mux, Read, StreamId};
use unglue_testkit::Clock;

use crate::pair::{Pair, events, output, read_all, write};
use crate::wire::*;

const WINDOW_BYTES: usize = INITIAL_WINDOW as usize;

/// Writes zeros until no more are taken; gives their number.
fn fill(mux: &mut Mux, stream: StreamId) -> usize {
    let mut written = 0;
    loop {
        let rest = mux.write(stream, Bytes::from_static(&[0; 10_000])).expect("open");
        written += 10_000 - rest.len();
        if !rest.is_empty() {
            return written;
        }
    }
}

#[test]
fn an_unread_stream_holds_its_window_and_its_send_buffer_and_no_more() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    assert_eq!(fill(&mut pair.client, stream), SEND_BUFFER);
    pair.settle();
    let (at_server, end) = read_all(&mut pair.server, stream);
    assert_eq!((at_server.len(), end), (WINDOW_BYTES, Read::Blocked));
    pair.settle();
    assert_eq!(events(&mut pair.client), [Event::Writable(stream)]);
}

#[test]
fn a_narrow_stream_keeps_little_on_its_way_however_fast_it_is_read() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    pair.client.narrow(stream);
    assert_eq!(fill(&mut pair.client, stream), SEND_RESERVE);
    pair.settle();
    pair.server.narrow(stream);
    let mut written = SEND_RESERVE;
    for _ in 0..1000 {
        written += fill(&mut pair.client, stream);
        pair.settle();
        written -= read_all(&mut pair.server, stream).0.len();
        pair.settle();
    }
    // Now it is not read any more.
    for _ in 0..1000 {
        written += fill(&mut pair.client, stream);
        pair.settle();
    }
    let most = NARROW_WINDOW as usize + SEND_RESERVE;
    assert!((most / 2..=most).contains(&written), "{written} bytes are on their way");
}

#[test]
fn a_window_is_filled_to_the_last_byte() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, &vec![1; WINDOW_BYTES]);
    pair.client.finish(stream);
    pair.settle();
    let (all, end) = read_all(&mut pair.server, stream);
    assert_eq!((all.len(), end), (WINDOW_BYTES, Read::Finished), "the end needs no credit of its own");
}

#[test]
fn an_end_without_bytes_needs_no_credit() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, &vec![1; WINDOW_BYTES]);
    pair.settle();
    pair.client.finish(stream);
    pair.settle();
    let (all, end) = read_all(&mut pair.server, stream);
    assert_eq!((all.len(), end), (WINDOW_BYTES, Read::Finished));
}

#[test]
fn a_reader_that_keeps_up_sees_its_window_grow_to_the_limit() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    let mut largest = 0;
    for _ in 0..400 {
        fill(&mut pair.client, stream);
        let in_flight = pair.send().len();
        largest = largest.max(in_flight);
        read_all(&mut pair.server, stream);
        pair.answer();
    }
    assert!(largest >= SEND_BUFFER, "a flight never passed {largest} bytes");

    // Now it stops reading: what it still takes is bounded.
    let mut taken = 0;
    loop {
        fill(&mut pair.client, stream);
        match pair.send().len() {
            0 => break,
            len => taken += len,
        }
    }
    let overhead = HEADER * (taken / FRAME_PAYLOAD + 2) * 2;
    assert!(taken <= MAX_WINDOW as usize + overhead, "{taken} bytes are held for a reader that stopped");
    let (all, _) = read_all(&mut pair.server, stream);
    assert!(all.len() <= MAX_WINDOW as usize);
}

#[test]
fn credit_is_never_taken_back() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Bidirectional).unwrap();
    for credit in [0u64, 10, INITIAL_WINDOW, INITIAL_WINDOW + 5, 1] {
        let wire = frame(WINDOW, stream, &credit.to_be_bytes());
        pair.client.handle_input(&wire, pair.clock.now()).unwrap();
    }
    fill(&mut pair.client, stream);
    let sent: usize = frames(&output(&mut pair.client, &pair.clock)).iter().map(|frame| frame.data.len()).sum();
    assert_eq!(sent, WINDOW_BYTES + 5);
    let wire = frame(WINDOW, stream, &u64::MAX.to_be_bytes());
    pair.client.handle_input(&wire, pair.clock.now()).unwrap();
    let sent: usize = frames(&output(&mut pair.client, &pair.clock)).iter().map(|frame| frame.data.len()).sum();
    assert_eq!(sent, SEND_BUFFER - WINDOW_BYTES - 5);
}

#[test]
fn an_unread_stream_delays_no_other() {
    let mut pair = Pair::new();
    let unread: Vec<_> = (0..100).map(|_| pair.client.open(Direction::Unidirectional).unwrap()).collect();
    for stream in &unread {
        fill(&mut pair.client, *stream);
    }
    pair.settle();
    let control = pair.client.open(Direction::Bidirectional).unwrap();
    let other = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, control, b"control");
    write(&mut pair.client, other, b"data");
    pair.client.finish(other);
    pair.settle();
    assert_eq!(read_all(&mut pair.server, control), (b"control".to_vec(), Read::Blocked));
    assert_eq!(read_all(&mut pair.server, other), (b"data".to_vec(), Read::Finished));
}

#[test]
fn control_goes_before_data_and_data_takes_turns() {
    let mut pair = Pair::new();
    let first = pair.client.open(Direction::Unidirectional).unwrap();
    let second = pair.client.open(Direction::Unidirectional).unwrap();
    let wide = frame(WINDOW, first, &u64::MAX.to_be_bytes());
    pair.client.handle_input(&wide, pair.clock.now()).unwrap();
    fill(&mut pair.client, first);
    write(&mut pair.client, second, b"short");
    let control = pair.client.open(Direction::Bidirectional).unwrap();
    write(&mut pair.client, control, b"exit status");

    let order: Vec<_> = frames(&output(&mut pair.client, &pair.clock)).iter().map(|frame| frame.stream).collect();
    assert_eq!(order, [control, first, second, first, first, first]);
}

#[test]
fn a_small_budget_sends_everything_in_time() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, &vec![3; 50_000]);
    write(&mut pair.client, stream, b"end");
    pair.client.finish(stream);
    let mut wire = Vec::new();
    while pair.client.poll_output(&mut wire, 1, pair.clock.now()) {}
    pair.server.handle_input(&wire, pair.clock.now()).unwrap();
    let (all, end) = read_all(&mut pair.server, stream);
    assert_eq!((all.len(), end), (50_003, Read::Finished));
    assert!(!pair.client.poll_output(&mut wire, 0, pair.clock.now()), "no budget, no output");
}

#[test]
fn a_stopped_writer_wakes_and_learns_why() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Bidirectional).unwrap();
    fill(&mut pair.client, stream);
    pair.settle();
    fill(&mut pair.client, stream);
    events(&mut pair.client);
    pair.server.stop(stream, Code::SourceChanged);
    pair.answer();
    assert_eq!(events(&mut pair.client), [Event::Writable(stream)]);
    assert_eq!(pair.client.write(stream, "x".into()), Err(Code::SourceChanged));
    pair.settle();
    assert_eq!(pair.server.read(stream, 1), Read::Reset(Code::Cancelled), "this end gave it up itself");
}

#[test]
fn a_reset_drops_what_was_not_sent_and_wakes_the_reader() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    fill(&mut pair.client, stream);
    pair.settle();
    events(&mut pair.server);
    pair.client.reset(stream, Code::SourceChanged);
    pair.settle();
    assert_eq!(events(&mut pair.server), [Event::Readable(stream)]);
    assert_eq!(pair.server.read(stream, 1), Read::Reset(Code::SourceChanged));
    pair.settle();
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
}

#[test]
fn what_was_finished_stays_finished() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, b"all");
    pair.client.finish(stream);
    assert!(!pair.client.is_flushed(stream));
    assert_eq!(pair.client.write(stream, "more".into()), Err(Code::Cancelled));
    pair.send();
    assert!(pair.client.is_flushed(stream));
    pair.client.reset(stream, Code::Cancelled);
    pair.settle();
    assert_eq!(read_all(&mut pair.server, stream), (b"all".to_vec(), Read::Finished));
}

#[test]
fn reads_are_bounded_and_lose_nothing() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, b"abcdef");
    pair.settle();
    assert_eq!(pair.server.read(stream, 2), Read::Data("ab".into()));
    assert_eq!(pair.server.read(stream, 3), Read::Data("cde".into()));
    assert_eq!(pair.server.read(stream, 9), Read::Data("f".into()));
    assert_eq!(pair.server.read(stream, 9), Read::Blocked);
}

/// A stream's writer and reader that act only when an event tells them to: a lost wake-up stops them for ever.
#[test]
fn a_gigabyte_passes_through_events_alone() {
    const TOTAL: u64 = 1 << 30;
    let clock = Clock::new();
    let mut pair = Pair { clock, ..Pair::new() };
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    let block = Bytes::from(vec![7; 1 << 20]);
    let (mut written, mut read, mut may_write) = (0, 0, true);
    while read < TOTAL {
        while may_write && written < TOTAL {
            let chunk = block.slice(..block.len().min((TOTAL - written) as usize));
            let len = chunk.len();
            let rest = pair.client.write(stream, chunk).unwrap();
            written += (len - rest.len()) as u64;
            may_write = rest.is_empty();
        }
        let moved = pair.send().len() + pair.answer().len();
        may_write |= events(&mut pair.client).contains(&Event::Writable(stream));
        if events(&mut pair.server).contains(&Event::Readable(stream)) {
            while let Read::Data(data) = pair.server.read(stream, usize::MAX) {
                read += data.len() as u64;
            }
        }
        assert!(moved > 0 || pair.server.has_output(), "stuck at {read} of {written} bytes");
    }
}
