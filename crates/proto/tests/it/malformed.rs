//! Bytes that no honest peer sends: a fault that says what and where, or nothing at all; never a panic.

use unglue_proto::limits::{BIDIRECTIONAL_STREAMS, FRAME_PAYLOAD, GO_AWAY_REASON, INITIAL_WINDOW};
use unglue_proto::mux::{Direction, Event, Mux, Read, Role, StreamId};
use unglue_proto::{Blame, Code};
use unglue_testkit::prng::cases;
use unglue_testkit::{Clock, Prng};

use crate::pair::{Pair, events, output, refusal, server_given};
use crate::wire::*;

const CANCELLED: [u8; 4] = 1u32.to_be_bytes();

/// Asserts that the last of these frames is refused with this code, these words, and its offset on the link.
#[track_caller]
fn assert_refused(frames: &[Vec<u8>], code: Code, words: &str) {
    let (got, what) = refusal(&frames.concat());
    assert_eq!(got, code, "{what}");
    assert!(what.contains(words), "{what:?} doesn't say {words:?}");
    let offset: usize = frames[..frames.len() - 1].iter().map(Vec::len).sum();
    assert!(what.contains(&format!("byte {offset}")), "{what:?} doesn't say where: byte {offset}");
}

#[test]
fn unknown_kinds_are_refused() {
    for kind in ZSTD + 1..=u8::MAX {
        assert_refused(&[frame(PING, StreamId(0), b""), frame(kind, StreamId(0), b"")], Code::BadFrame, "unknown kind");
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_its_data_has_come() {
    let header = &frame(DATA, CLIENT_BIDI, &vec![0; FRAME_PAYLOAD + 1])[..HEADER];
    assert_refused(&[header.to_vec()], Code::BadFrame, "65537");
    assert_refused(&[b"\xff\xff\xff\xff\0\0\0\0\0".to_vec()], Code::BadFrame, "4294967295");
}

#[test]
fn payloads_of_the_wrong_size_are_refused() {
    for (kind, stream, right) in
        [(RESET, CLIENT_BIDI, 4), (STOP, CLIENT_BIDI, 4), (WINDOW, CLIENT_BIDI, 8), (PONG, StreamId(0), 8)]
    {
        for size in (0..12).filter(|size| *size != right) {
            assert_refused(&[frame(kind, stream, &vec![0; size])], Code::BadFrame, &format!("of {size} bytes"));
        }
    }
    for size in (1..12).filter(|size| *size != 8) {
        assert_refused(&[frame(PING, StreamId(0), &vec![0; size])], Code::BadFrame, &format!("of {size} bytes"));
    }
    assert_refused(&[frame(STREAMS, SERVER_BIDI, b"x")], Code::BadFrame, "of 1 bytes");
    for size in 0..4 {
        assert_refused(&[frame(GO_AWAY, StreamId(0), &vec![0; size])], Code::BadFrame, "without a code");
    }
    let reason = vec![b'x'; 4 + GO_AWAY_REASON + 1];
    assert_refused(&[frame(GO_AWAY, StreamId(0), &reason)], Code::LimitExceeded, "1025 bytes");
}

#[test]
fn frames_in_the_wrong_direction_are_refused() {
    let mut pair = Pair::new();
    let ours = pair.server.open(Direction::Unidirectional).expect("the limit is far away");
    assert_eq!(ours, SERVER_UNI);
    for (kind, data) in [(DATA, b"x".as_slice()), (FIN, b""), (RESET, &CANCELLED)] {
        let mut server = Mux::new(Role::Server, pair.clock.now());
        server.open(Direction::Unidirectional);
        let fault = server.handle_input(&frame(kind, ours, data), pair.clock.now()).unwrap_err();
        assert!(fault.what.contains("which only this end writes"), "{fault}");
        assert_eq!((fault.code, fault.blame), (Code::BadFrame, Blame::Peer));
    }
    assert_refused(&[frame(STOP, CLIENT_UNI, &CANCELLED)], Code::BadFrame, "only the peer writes");
    assert_refused(&[frame(WINDOW, CLIENT_UNI, &[0; 8])], Code::BadFrame, "only the peer writes");
}

#[test]
fn streams_that_this_end_never_opened_are_refused() {
    for stream in [SERVER_BIDI, SERVER_UNI, StreamId(0xffff_fffd)] {
        assert_refused(&[frame(DATA, stream, b"x")], Code::BadFrame, "never opened");
        assert_refused(&[frame(STOP, stream, &CANCELLED)], Code::BadFrame, "never opened");
    }
}

#[test]
fn nothing_follows_an_end() {
    for end in [frame(FIN, CLIENT_BIDI, b"bye"), frame(RESET, CLIENT_BIDI, &CANCELLED)] {
        for (kind, data) in [(DATA, b"x".as_slice()), (FIN, b""), (RESET, &CANCELLED)] {
            let more = frame(kind, CLIENT_BIDI, data);
            assert_refused(&[end.clone(), more], Code::BadFrame, "after its end");
        }
    }
}

#[test]
fn more_data_than_there_is_credit_for_is_refused() {
    let window = usize::try_from(INITIAL_WINDOW).unwrap();
    assert!(server_given(&frame(DATA, CLIENT_UNI, &vec![0; window])).1.is_ok());
    let frames = [frame(DATA, CLIENT_UNI, &vec![0; window]), frame(DATA, CLIENT_UNI, b"x")];
    assert_refused(&frames, Code::LimitExceeded, "65537 bytes on stream 2, which had credit for 65536");
    let frames = [frame(DATA, CLIENT_UNI, &vec![0; window]), frame(FIN, CLIENT_UNI, b"x")];
    assert_refused(&frames, Code::LimitExceeded, "credit");
}

#[test]
fn too_many_streams_are_refused() {
    let all = StreamId(4 * (BIDIRECTIONAL_STREAMS as u64 - 1));
    assert!(server_given(&frame(DATA, all, b"x")).1.is_ok(), "numbers may be skipped: it opens those before it");
    let one_more = StreamId(all.0 + 4);
    assert_refused(&[frame(DATA, one_more, b"x")], Code::LimitExceeded, "2048");
    assert_refused(&[frame(DATA, all, b"x"), frame(DATA, one_more, b"x")], Code::LimitExceeded, "2048");
    assert_refused(&[frame(DATA, StreamId(0xffff_fffc), b"x")], Code::LimitExceeded, "2048");
}

#[test]
fn a_stream_over_the_limit_opens_none_of_those_before_it() {
    let (mut server, result) = server_given(&frame(DATA, StreamId(0xffff_fffc), b"x"));
    assert_eq!(result.map_err(|fault| fault.code), Err(Code::LimitExceeded));
    assert_eq!((server.stream_count(), events(&mut server).len()), (0, 0));
    assert!(server.expect(StreamId(u64::MAX - 3)).is_err());
    assert_eq!(server.stream_count(), 0);
}

#[test]
fn room_for_streams_that_only_the_peer_opens_is_refused() {
    for stream in [CLIENT_BIDI, CLIENT_UNI] {
        assert_refused(&[frame(STREAMS, stream, b"")], Code::BadFrame, "only the peer opens");
    }
}

#[test]
fn frames_for_closed_streams_are_ignored() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).unwrap();
    pair.client.finish(stream);
    pair.send();
    assert_eq!(pair.server.read(stream, 1), Read::Finished);
    pair.settle();
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
    events(&mut pair.server);
    for (kind, data) in [(DATA, b"late".as_slice()), (FIN, b""), (RESET, &CANCELLED)] {
        assert!(pair.server.handle_input(&frame(kind, stream, data), pair.clock.now()).is_ok());
    }
    for (kind, data) in [(STOP, CANCELLED.as_slice()), (WINDOW, &[0xff; 8])] {
        assert!(pair.client.handle_input(&frame(kind, stream, data), pair.clock.now()).is_ok());
    }
    assert_eq!((pair.client.stream_count(), pair.server.stream_count()), (0, 0));
    assert_eq!(events(&mut pair.server), []);
}

#[test]
fn a_fault_is_final_and_is_sent_to_the_peer() {
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let fault = server.handle_input(&frame(99, StreamId(0), b""), clock.now()).unwrap_err();
    assert_eq!(fault.code, Code::BadFrame);
    let later = server.handle_input(&frame(PING, StreamId(0), b""), clock.now()).unwrap_err();
    assert!(later.what.contains("a link that has failed"), "{later}");
    let told = frames(&output(&mut server, &clock));
    assert_eq!((told.len(), told[0].kind), (1, GO_AWAY));
    assert_eq!(told[0].data[..4], (Code::BadFrame as u32).to_be_bytes());

    let mut client = Mux::new(Role::Client, clock.now());
    let wire = frame(GO_AWAY, StreamId(0), &told[0].data);
    client.handle_input(&wire, clock.now()).unwrap();
    let Some(Event::GoAway(Code::BadFrame, reason)) = client.poll_event() else { panic!("no go-away") };
    assert!(reason.contains("unknown kind 99"), "{reason}");
}

#[test]
fn codes_of_a_later_version_are_taken() {
    let (mut server, result) = server_given(&frame(RESET, CLIENT_UNI, &77u32.to_be_bytes()));
    assert!(result.is_ok());
    assert_eq!(server.read(CLIENT_UNI, 1), Read::Reset(Code::Other));
}

/// Frames of the known kinds with plausible and implausible contents, now and then damaged.
fn noise(random: &mut Prng) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..1 + random.below(30) {
        let stream = StreamId(random.below(16) as u64);
        let size = *random.pick(&[0, 0, 1, 4, 8, 100]);
        wire.extend(frame(random.below(10) as u8, stream, &random.bytes(size)));
        if random.chance(20) {
            let at = random.below(wire.len());
            wire[at] ^= 1 << random.below(8);
        }
    }
    wire
}

#[test]
fn noise_is_refused_or_taken_and_never_panics() {
    cases("noise", 5_000, |random| {
        let clock = Clock::new();
        let mut server = Mux::new(Role::Server, clock.now());
        server.open(Direction::Bidirectional);
        server.open(Direction::Unidirectional);
        let wire = noise(random);
        let result = server.handle_input(&wire, clock.now());
        while let Some(event) = server.poll_event() {
            if let Event::Readable(id) | Event::Opened(id) = event {
                while let Read::Data(_) = server.read(id, 10) {}
            }
        }
        let answer = output(&mut server, &clock);
        if let Err(fault) = result {
            assert_eq!(fault.blame, Blame::Peer);
            assert_eq!(frames(&answer)[0].kind, GO_AWAY);
        }
        // What one end answers to noise is never noise.
        frames(&answer);
    });
}
