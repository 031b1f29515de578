//! Each kind of frame: one end sends exactly these bytes, and the other understands them.

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::limits::{HEARTBEAT, INITIAL_WINDOW, UNIDIRECTIONAL_STREAMS};
use unglue_proto::mux::{Direction, Event, Mux, Read, StreamId};

use super::check;
use crate::pair::{Pair, events, output, read_all, write};
use crate::wire::*;

/// A frame's vector.
struct Vector {
    name: &'static str,
    meaning: &'static str,
    /// An end that sends it.
    send: fn(&mut Pair) -> Vec<u8>,
    /// The other end, which is given it.
    take: fn(&mut Pair, &[u8]),
}

const VECTORS: [Vector; 12] = [
    Vector {
        name: "frames/data",
        meaning: "data: the client sends \"hello\" on stream 2, its first unidirectional stream",
        send: |pair| {
            let stream = pair.client.open(Direction::Unidirectional).unwrap();
            write(&mut pair.client, stream, b"hello");
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(read_all(&mut pair.server, CLIENT_UNI), (b"hello".to_vec(), Read::Blocked));
        },
    },
    Vector {
        name: "frames/fin",
        meaning: "fin: \"bye\" are the last bytes of stream 0",
        send: |pair| {
            let stream = pair.client.open(Direction::Bidirectional).unwrap();
            write(&mut pair.client, stream, b"bye");
            pair.client.finish(stream);
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(read_all(&mut pair.server, CLIENT_BIDI), (b"bye".to_vec(), Read::Finished));
        },
    },
    Vector {
        name: "frames/fin-empty",
        meaning: "fin without bytes: stream 2 ends here",
        send: |pair| {
            let stream = pair.client.open(Direction::Unidirectional).unwrap();
            pair.client.finish(stream);
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(pair.server.read(CLIENT_UNI, 1), Read::Finished);
        },
    },
    Vector {
        name: "frames/reset",
        meaning: "reset: the client gives up writing stream 2, code 13 (source_changed)",
        send: |pair| {
            let stream = pair.client.open(Direction::Unidirectional).unwrap();
            pair.client.reset(stream, Code::SourceChanged);
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(pair.server.read(CLIENT_UNI, 1), Read::Reset(Code::SourceChanged));
        },
    },
    Vector {
        name: "frames/stop",
        meaning: "stop: the client gives up reading stream 3, code 1 (cancelled)",
        send: |pair| {
            pair.client.expect(SERVER_UNI).unwrap();
            pair.client.stop(SERVER_UNI, Code::Cancelled);
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            let stream = pair.server.open(Direction::Unidirectional).unwrap();
            given(&mut pair.server, wire);
            assert_eq!(pair.server.write(stream, "x".into()), Err(Code::Cancelled));
        },
    },
    Vector {
        name: "frames/window",
        meaning: "window: stream 2 may carry 196608 bytes in all, since all of its first 65536 have been read",
        send: |pair| {
            let stream = pair.client.open(Direction::Unidirectional).unwrap();
            write(&mut pair.client, stream, &[0; INITIAL_WINDOW as usize]);
            pair.send();
            read_all(&mut pair.server, stream);
            output(&mut pair.server, &pair.clock)
        },
        take: |pair, wire| {
            let stream = pair.client.open(Direction::Unidirectional).unwrap();
            pair.client.write(stream, Bytes::from(vec![0; 1 << 20])).unwrap();
            output(&mut pair.client, &pair.clock);
            pair.client.write(stream, Bytes::from(vec![0; 1 << 20])).unwrap();
            given(&mut pair.client, wire);
            let sent: usize = frames(&output(&mut pair.client, &pair.clock)).iter().map(|frame| frame.data.len()).sum();
            assert_eq!(sent as u64, 196_608 - INITIAL_WINDOW);
        },
    },
    Vector {
        name: "frames/ping",
        meaning: "ping: nothing was sent for ten seconds",
        send: |pair| {
            pair.clock.advance(HEARTBEAT);
            pair.client.handle_timeout(pair.clock.now()).unwrap();
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!((events(&mut pair.server).len(), pair.server.has_output()), (0, false));
        },
    },
    Vector {
        name: "frames/ping-number",
        meaning: "ping with a number: the client asks for an answer, for the first time",
        send: |pair| {
            pair.client.ping();
            output(&mut pair.client, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(frames(&output(&mut pair.server, &pair.clock))[0].kind, PONG);
        },
    },
    Vector {
        name: "frames/pong",
        meaning: "pong: the server answers the client's ping 1",
        send: |pair| {
            pair.client.ping();
            pair.send();
            output(&mut pair.server, &pair.clock)
        },
        take: |pair, wire| {
            pair.client.ping();
            output(&mut pair.client, &pair.clock);
            given(&mut pair.client, wire);
            assert_eq!(events(&mut pair.client), [Event::Pong(1)]);
        },
    },
    Vector {
        name: "frames/go-away",
        meaning: "go-away: code 7 (going_away), reason \"maintenance\"",
        send: |pair| {
            pair.server.go_away(Code::GoingAway, "maintenance");
            output(&mut pair.server, &pair.clock)
        },
        take: |pair, wire| {
            given(&mut pair.client, wire);
            assert_eq!(events(&mut pair.client), [Event::GoAway(Code::GoingAway, "maintenance".into())]);
        },
    },
    Vector {
        name: "frames/streams",
        meaning: "streams: the client may open unidirectional streams up to number 24578 (its 6145th)",
        send: |pair| {
            for _ in 0..=UNIDIRECTIONAL_STREAMS / 2 {
                let stream = pair.client.open(Direction::Unidirectional).unwrap();
                pair.client.finish(stream);
                pair.send();
                pair.server.read(stream, 1);
            }
            output(&mut pair.server, &pair.clock)
        },
        take: |pair, wire| {
            while pair.client.open(Direction::Unidirectional).is_some() {}
            given(&mut pair.client, wire);
            assert_eq!(events(&mut pair.client), [Event::Openable(Direction::Unidirectional)]);
            let opened = std::iter::from_fn(|| pair.client.open(Direction::Unidirectional)).last();
            assert_eq!(opened, Some(StreamId(24_578)));
        },
    },
    Vector {
        name: "frames/zstd",
        meaning: "zstd: 100 times \"a\" on stream 2, compressed; how well an end compresses is its own affair",
        // A frame of one segment, its size in a byte; one last block, a run; RFC 8878 section 3.1.1.
        send: |_| {
            let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 100, 0x23, 0x03, 0x00, b'a'];
            frame(ZSTD, CLIENT_UNI, &[&100u32.to_be_bytes()[..], &zstd].concat())
        },
        take: |pair, wire| {
            given(&mut pair.server, wire);
            assert_eq!(read_all(&mut pair.server, CLIENT_UNI), (vec![b'a'; 100], Read::Blocked));
        },
    },
];

fn given(mux: &mut Mux, wire: &[u8]) {
    mux.handle_input(wire, unglue_testkit::Clock::new().now()).expect("a vector is understood");
}

#[test]
fn every_kind_of_frame() {
    for vector in &VECTORS {
        let sent = (vector.send)(&mut Pair::new());
        let golden = check(vector.name, vector.meaning, &sent);
        (vector.take)(&mut Pair::new(), &golden);
    }
    let mut tested: Vec<_> = VECTORS.iter().map(|vector| vector.name).collect();
    tested.sort();
    assert_eq!(super::names("frames"), tested, "a vector without a test proves nothing");
}
