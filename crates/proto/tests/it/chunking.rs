//! P1: any chunking of the same bytes gives the same events, the same bytes and the same fault.

use unglue_proto::Fault;
use unglue_proto::mux::{Event, Mux, Read, Role, StreamId};
use unglue_testkit::prng::cases;
use unglue_testkit::{Clock, Prng, chopper};

use crate::pair::{events, output};
use crate::wire::*;

/// Everything that a user can notice.
#[derive(Debug, PartialEq)]
struct Noticed {
    result: Result<(), Fault>,
    events: Vec<Event>,
    read: Vec<(StreamId, Vec<u8>, Read)>,
    answer: Vec<u8>,
}

/// What a server notices of bytes that come in these chunks.
fn notice(chunks: Vec<&[u8]>) -> Noticed {
    let clock = Clock::new();
    let mut server = Mux::new(Role::Server, clock.now());
    let result = chunks.into_iter().try_for_each(|chunk| server.handle_input(chunk, clock.now()));
    let events = events(&mut server);
    let opened = events.iter().filter_map(|event| if let Event::Opened(id) = event { Some(*id) } else { None });
    let mut read = Vec::new();
    for id in opened {
        let (bytes, end) = crate::pair::read_all(&mut server, id);
        read.push((id, bytes, end));
    }
    Noticed { result, events, read, answer: output(&mut server, &clock) }
}

#[track_caller]
fn assert_same_however_cut(wire: &[u8], seed: u64) -> Noticed {
    let want = notice(vec![wire]);
    chopper::adversary(wire, seed, 200, |chunks| {
        let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.len()).collect();
        assert_eq!(notice(chunks), want, "cut into {lengths:?}");
    });
    want
}

#[test]
fn every_split_of_a_short_link() {
    let noticed = assert_same_however_cut(&frame(FIN, CLIENT_BIDI, b"hello"), 1);
    assert_eq!(noticed.events, [Event::Opened(CLIENT_BIDI), Event::Readable(CLIENT_BIDI)]);
    assert_eq!(noticed.read, [(CLIENT_BIDI, b"hello".to_vec(), Read::Finished)]);
}

#[test]
fn every_split_of_short_faults() {
    for wire in [
        frame(9, CLIENT_BIDI, b"hello"),
        frame(DATA, SERVER_BIDI, b"hello"),
        frame(RESET, CLIENT_BIDI, b"hello"),
        b"\x7f\0\0\0\0\0\0\0\0hello".to_vec(),
        b"GET / HTTP/1.1\r\n".to_vec(),
    ] {
        assert!(assert_same_however_cut(&wire, 1).result.is_err());
    }
}

#[test]
fn a_link_with_every_kind_of_frame() {
    let wire = [
        frame(DATA, CLIENT_BIDI, b"abc"),
        frame(PING, StreamId(0), b""),
        frame(DATA, StreamId(10), b"skips two streams"),
        frame(WINDOW, CLIENT_BIDI, &100_000u64.to_be_bytes()),
        frame(FIN, CLIENT_BIDI, b""),
        frame(STOP, CLIENT_BIDI, &1u32.to_be_bytes()),
        frame(RESET, StreamId(6), &13u32.to_be_bytes()),
        frame(STREAMS, StreamId(4 * 9999 + 1), b""),
        frame(GO_AWAY, StreamId(0), b"\0\0\0\x07bye"),
        frame(FIN, StreamId(10), b"!"),
        frame(FIN, StreamId(10), b"after the end"),
    ];
    let noticed = assert_same_however_cut(&wire.concat(), 2);
    assert_eq!(noticed.read.len(), 4);
    assert!(noticed.result.unwrap_err().what.contains("after its end"));
    assert!(assert_same_however_cut(&wire[..10].concat(), 2).result.is_ok());
}

#[test]
fn random_links_cut_at_random() {
    cases("random links", 300, |random| {
        let mut wire = Vec::new();
        for _ in 0..random.below(12) {
            wire.extend(plausible(random));
        }
        let want = notice(vec![&wire]);
        for _ in 0..20 {
            assert_eq!(notice(chopper::random(&wire, random)), want);
        }
        assert_eq!(notice(chopper::bytewise(&wire)), want);
    });
}

fn plausible(random: &mut Prng) -> Vec<u8> {
    let client = [CLIENT_BIDI, CLIENT_UNI, StreamId(4), StreamId(6)];
    let bidirectional = [CLIENT_BIDI, StreamId(4)];
    let data_len = random.log_uniform(0, 3000);
    match random.below(10) {
        0 => frame(FIN, *random.pick(&client), &random.bytes(data_len)),
        1 => frame(RESET, *random.pick(&client), &5u32.to_be_bytes()),
        2 => frame(STOP, *random.pick(&bidirectional), &5u32.to_be_bytes()),
        3 => frame(WINDOW, *random.pick(&bidirectional), &random.next_u64().to_be_bytes()),
        4 => frame(PING, StreamId(0), b""),
        5 if random.chance(4) => random.bytes(20),
        _ => frame(DATA, *random.pick(&client), &random.bytes(data_len)),
    }
}
