//! P6 over a whole link and a whole server: what a peer can make an end hold, and that nobody else waits for it.

use std::sync::Arc;

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::limits::{
    INITIAL_WINDOW, LINK_UNREAD, LINK_UNSENT, LINK_WINDOWS, MAX_WINDOW, SEND_RESERVE, UNIDIRECTIONAL_STREAMS,
};
use unglue_proto::mux::{Config, Direction, Event, Memory, Mux, Read, Role, SharedMemory, StreamId};
use unglue_testkit::Clock;
use unglue_testkit::heap::held;

use crate::pair::{Pair, events, output, read_all, write};
use crate::wire::*;

/// What the state of a stream may cost beside its data.
const STREAM: usize = 1024;

fn server(memory: Memory, clock: &Clock) -> Mux {
    let mut config = Config::default();
    config.memory = memory;
    Mux::with_config(Role::Server, clock.now(), &config)
}

fn client_uni(number: usize) -> StreamId {
    StreamId(4 * number as u64 + 2)
}

/// Fills the first window of every stream, of which the operations' readers read none.
fn fill_every_first_window(server: &mut Mux, clock: &Clock) {
    let whole = frame(DATA, CLIENT_UNI, &vec![b'x'; INITIAL_WINDOW as usize]);
    for number in 0..UNIDIRECTIONAL_STREAMS {
        let mut wire = whole.clone();
        wire[5..9].copy_from_slice(&(client_uni(number).0 as u32).to_be_bytes());
        server.handle_input(&wire, clock.now()).expect("it keeps to its credit");
    }
}

#[test]
fn first_windows_that_nobody_reads_are_bounded_and_the_rest_is_refused() {
    let clock = Clock::new();
    let mut server = server(Memory::default(), &clock);
    let before = held();
    fill_every_first_window(&mut server, &clock);
    let cost = usize::try_from(held() - before).unwrap();
    let bound = LINK_UNREAD as usize + UNIDIRECTIONAL_STREAMS * STREAM;
    assert!(cost <= bound + (bound >> 2), "{cost} bytes are held of 268 million that arrived");
    assert_eq!(server.memory_taken()[0], LINK_UNREAD);

    let fit = (LINK_UNREAD / INITIAL_WINDOW) as usize;
    assert!(matches!(server.read(client_uni(fit - 1), 1), Read::Data(_)));
    assert_eq!(server.read(client_uni(fit), 1), Read::Reset(Code::Busy), "its reader sees why");
    events(&mut server);
    let stops = frames(&output(&mut server, &clock)).into_iter().filter(|frame| frame.kind == STOP);
    let refused: Vec<_> = stops.map(|frame| (frame.stream, frame.data)).collect();
    assert_eq!(refused.len(), UNIDIRECTIONAL_STREAMS - fit);
    assert_eq!(refused[0], (client_uni(fit), (Code::Busy as u32).to_be_bytes().to_vec()), "so does its writer");

    // What was refused ends and leaves nothing; what was taken is whole.
    for number in fit..UNIDIRECTIONAL_STREAMS {
        let reset = frame(RESET, client_uni(number), &1u32.to_be_bytes());
        server.handle_input(&reset, clock.now()).unwrap();
        server.read(client_uni(number), 1);
    }
    assert_eq!(server.stream_count(), fit);
    assert_eq!(read_all(&mut server, client_uni(0)).0.len(), INITIAL_WINDOW as usize);
    (0..fit).for_each(|number| drop(read_all(&mut server, client_uni(number))));
    assert_eq!(server.memory_taken(), [0; 3]);
}

#[test]
fn an_operation_that_is_refused_ends_in_both_directions() {
    let clock = Clock::new();
    let mut memory = Memory::default();
    memory.unread = 10;
    let mut server = server(memory, &clock);
    server.handle_input(&frame(DATA, CLIENT_BIDI, b"0123456789"), clock.now()).unwrap();
    server.handle_input(&frame(DATA, StreamId(4), b"x"), clock.now()).unwrap();
    let answer = frames(&output(&mut server, &clock));
    let code = (Code::Busy as u32).to_be_bytes().to_vec();
    let expected = [STOP, RESET].map(|kind| Seen { kind, stream: StreamId(4), data: code.clone() });
    assert_eq!(answer, expected);
    assert_eq!(server.read(StreamId(4), 1), Read::Reset(Code::Busy));
    assert_eq!(server.write(StreamId(4), "x".into()), Err(Code::Busy));
    assert_eq!(read_all(&mut server, CLIENT_BIDI), (b"0123456789".to_vec(), Read::Blocked), "the other one goes on");
}

/// Writes until no more is taken, and carries it.
fn push(pair: &mut Pair, stream: StreamId) -> usize {
    let mut pushed = 0;
    loop {
        let rest = pair.client.write(stream, Bytes::from_static(&[0; 65_536])).expect("open").len();
        pushed += 65_536 - rest;
        if pair.send().is_empty() && rest == 65_536 {
            return pushed;
        }
    }
}

#[test]
fn windows_grow_out_of_one_account_and_streams_that_come_later_still_move() {
    let mut pair = Pair::new();
    let before = held();
    let mut stalled = 0;
    for _ in 0..100 {
        let stream = pair.client.open(Direction::Unidirectional).unwrap();
        // Its reader keeps up for a while, and then stops.
        for _ in 0..40 {
            push(&mut pair, stream);
            read_all(&mut pair.server, stream);
            pair.answer();
        }
        stalled += push(&mut pair, stream);
    }
    let [unread, windows, _] = pair.server.memory_taken();
    assert!(windows <= LINK_WINDOWS && unread <= 100 * INITIAL_WINDOW, "{unread} and {windows} bytes");
    assert!(stalled as u64 > LINK_WINDOWS / 2, "only {stalled} bytes could be in flight");
    let cost = usize::try_from(held() - before).unwrap();
    let at_client = 100 * (256 << 10);
    assert!(cost <= 2 * LINK_WINDOWS as usize + at_client + 100 * (STREAM + 65_536), "{cost} bytes are held");

    let late = pair.client.open(Direction::Unidirectional).unwrap();
    let mut moved = 0;
    while moved < 2 * MAX_WINDOW as usize {
        push(&mut pair, late);
        let read = read_all(&mut pair.server, late).0.len();
        assert!(read > 0, "it stands still after {moved} bytes");
        moved += read;
        pair.answer();
    }
}

#[test]
fn unsent_bytes_are_bounded_and_every_writer_goes_on_by_itself() {
    let clock = Clock::new();
    let mut server = server(Memory::default(), &clock);
    let block = Bytes::from(vec![0; 1 << 20]);
    let before = held();
    let streams: Vec<_> =
        (0..UNIDIRECTIONAL_STREAMS).map(|_| server.open(Direction::Unidirectional).unwrap()).collect();
    for stream in &streams {
        // First their credit is used up.
        let _ = server.write(*stream, Bytes::from(vec![0; INITIAL_WINDOW as usize])).unwrap();
        output(&mut server, &clock);
        // Copies, as from pipes: the same block would cost nothing twice.
        while server.write(*stream, Bytes::copy_from_slice(&block[..16 * 1024])).unwrap().is_empty() {}
    }
    let cost = usize::try_from(held() - before).unwrap();
    let bound = LINK_UNSENT as usize + UNIDIRECTIONAL_STREAMS * (SEND_RESERVE + STREAM);
    assert!(cost <= bound + bound / 4, "{cost} bytes are held unsent");
    assert!(server.memory_taken()[2] <= LINK_UNSENT);
    events(&mut server);

    // The last one has its reserve only. Its reader's credit alone gets it going.
    let last = streams[UNIDIRECTIONAL_STREAMS - 1];
    let credit = frame(WINDOW, last, &(1u64 << 40).to_be_bytes());
    server.handle_input(&credit, clock.now()).unwrap();
    let mut moved = 0;
    while moved < 1 << 20 {
        let sent = output(&mut server, &clock).len();
        assert!(
            sent > 0 && events(&mut server).contains(&Event::Writable(last)),
            "it stands still after {moved} bytes"
        );
        moved += sent;
        while server.write(last, Bytes::copy_from_slice(&block[..16 * 1024])).unwrap().is_empty() {}
    }
}

#[test]
fn a_server_bounds_what_all_its_links_hold_and_keeps_a_share_for_the_next() {
    let clock = Clock::new();
    let total = 64 * INITIAL_WINDOW;
    let shared = Arc::new(SharedMemory::new(total, total, total));
    let mut greedy: Vec<_> = (0..7).map(|_| server(Memory::default().shared_with(&shared), &clock)).collect();
    let whole = |number| frame(DATA, client_uni(number), &vec![b'x'; INITIAL_WINDOW as usize]);
    for number in 0..64 {
        greedy.iter_mut().for_each(|link| link.handle_input(&whole(number), clock.now()).unwrap());
    }
    assert!(shared.taken()[0] <= total);
    let mut late = server(Memory::default().shared_with(&shared), &clock);
    (0..4).for_each(|number| late.handle_input(&whole(number), clock.now()).unwrap());
    assert_eq!(read_all(&mut late, client_uni(3)), (vec![b'x'; INITIAL_WINDOW as usize], Read::Blocked));
    drop(greedy);
    drop(late);
    assert_eq!(shared.taken(), [0; 3]);
}

#[test]
fn what_a_reader_keeps_of_control_streams_counts() {
    let clock = Clock::new();
    let mut server = server(Memory::default(), &clock);
    let (mut first, mut second) = (0, 0);
    assert!(server.hold(&mut first, LINK_UNREAD - 10));
    assert!(!server.hold(&mut second, 11) && second == 0);
    assert!(server.hold(&mut first, 0) && server.hold(&mut second, 11));
    assert_eq!(server.memory_taken(), [11, 0, 0]);
}

#[test]
fn a_ping_with_a_number_is_answered_with_it() {
    let mut pair = Pair::new();
    assert_eq!((pair.client.ping(), pair.client.ping()), (1, 2));
    let sent = frames(&pair.send());
    assert_eq!(sent, [Seen { kind: PING, stream: StreamId(0), data: 2u64.to_be_bytes().to_vec() }]);
    let answer = frames(&pair.answer());
    assert_eq!(answer, [Seen { kind: PONG, stream: StreamId(0), data: 2u64.to_be_bytes().to_vec() }]);
    assert_eq!(events(&mut pair.client), [Event::Pong(2)]);
    assert_eq!((pair.client.has_output(), pair.server.has_output()), (false, false), "an answer has no answer");

    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    write(&mut pair.client, stream, b"x");
    let again = frame(PONG, StreamId(0), &2u64.to_be_bytes());
    pair.client.handle_input(&again, pair.clock.now()).unwrap();
    assert_eq!(events(&mut pair.client), [], "an old answer is no news");
    let never = frame(PONG, StreamId(0), &3u64.to_be_bytes());
    let fault = pair.client.handle_input(&never, pair.clock.now()).expect_err("it was never sent");
    assert_eq!(fault.code, Code::BadFrame);
}
