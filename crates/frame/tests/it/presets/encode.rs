//! The way back: what can be written, what is refused, and real bytes of each protocol.

use super::{frames, framing};
use unglue_frame::{Deframer, EncodeError, Enframer};

fn encode(notation: &str, fields: &[u64], data: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let result = Enframer::new(framing(notation)).encode(fields, data, &mut out);
    if result.is_err() {
        assert_eq!(out, b"before", "{notation} wrote something");
    }
    result.map(|()| out.split_off(6))
}

fn refused(notation: &str, fields: &[u64], data: &[u8]) -> String {
    encode(notation, fields, data).expect_err(notation).to_string()
}

/// A frame's fields and data.
type Frame = (&'static [u64], &'static [u8]);

/// From the specifications: notation, frames, and the bytes on the wire.
const REAL: &[(&str, &[Frame], &[u8])] = &[
    // RFC 6455 section 5.7.
    ("websocket", &[(&[1, 0, 1, 0, 0], b"Hello")], b"\x81\x05\x48\x65\x6c\x6c\x6f"),
    (
        "websocket(from=client)",
        &[(&[1, 0, 1, 1, 0x37fa_213d], b"Hello")],
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    ),
    (
        "websocket(from=server)",
        &[(&[0, 0, 1, 0, 0], b"Hel"), (&[1, 0, 0, 0, 0], b"lo"), (&[1, 0, 9, 0, 0], b"Hello")],
        b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f\x89\x05\x48\x65\x6c\x6c\x6f",
    ),
    // RFC 9112 section 7.1, and the last chunk.
    (
        "http-chunked",
        &[(&[], b"Wiki"), (&[], b"pedia i\r\nn chunks."), (&[], b"")],
        b"4\r\nWiki\r\n12\r\npedia i\r\nn chunks.\r\n0\r\n\r\n",
    ),
    // gitprotocol-common(5).
    ("pkt-line", &[(&[4], b"a\n"), (&[4], b"a"), (&[4], b"foobar\n"), (&[4], b""), (&[0], b"")], b"0006a\n0005a000bfoobar\n00040000"),
    // RFC 1662: the configure-request of a PPP link, with its address, control, protocol and checksum.
    ("hdlc", &[(&[], b"123456789")], b"~123456789n\x90~"),
    ("hdlc(fcs=none)", &[(&[], b"\xff\x7d\x7e\x03")], b"~\xff}]}^\x03~"),
    ("mllp", &[(&[], b"MSH|^~\\&|\r")], b"\x0bMSH|^~\\&|\r\x1c\r"),
    // RFC 23: a greeting of ZMTP 3.0 with the NULL mechanism, then READY, then a message.
    (
        "zmtp",
        &[
            (
                &[255],
                b"\0\0\0\0\0\0\0\0\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
            (&[4], b"\x05READY\x0bSocket-Type\0\0\0\x04PAIR"),
            (&[0], b"hello"),
        ],
        b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
          \x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PAIR\0\x05hello",
    ),
    // RFC 13.
    ("zmtp1", &[(&[1], b""), (&[0], b"hi")], b"\x01\x01\x03\0hi"),
    ("amqp", &[(&[0x41, 0], b"\0\0\x09\x01"), (&[1, 0], b"\0\x0a\0\x28"), (&[8, 0], b"")], b"AMQP\0\0\x09\x01\x01\0\0\0\0\0\x04\0\x0a\0\x28\xce\x08\0\0\0\0\0\0\xce"),
    ("amqp1", &[(&[0x41, 0], b"\x03\x01\0\0"), (&[1, 0], b""), (&[0, 7], b"open")], b"AMQP\x03\x01\0\0\0\0\0\x08\x02\x01\0\0\0\0\0\x0c\x02\0\0\x07open"),
    ("onc-rpc", &[(&[0], b"ab"), (&[1], b"c")], b"\0\0\0\x02ab\x80\0\0\x01c"),
    // RFC 8949 appendix A.
    ("cbor", &[(&[], b"\x82\x61a\xa1\x61b\x61c"), (&[], b"\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff"), (&[], b"\xf6")], b"\x82\x61a\xa1\x61b\x61c\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff\xf6"),
    // The front page of msgpack.org.
    ("msgpack", &[(&[], b"\x82\xa7compact\xc3\xa6schema\0")], b"\x82\xa7compact\xc3\xa6schema\0"),
    // RFC 4511 section 5.1: an LDAP bind request.
    ("ber", &[(&[], b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0")], b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"),
    ("resp", &[(&[], b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), (&[], b"$-1\r\n")], b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n$-1\r\n"),
    ("json", &[(&[], b"{\"jsonrpc\": \"2.0\", \"id\": 1}"), (&[], b"-1.5e3")], b"{\"jsonrpc\": \"2.0\", \"id\": 1}\n-1.5e3\n"),
];

#[test]
fn real_bytes_are_written_and_read() {
    for (notation, list, wire) in REAL {
        let mut out = Vec::new();
        for (fields, data) in *list {
            out.extend(encode(notation, fields, data).unwrap_or_else(|error| panic!("{notation}: {error}")));
        }
        assert_eq!(out, *wire, "{notation}");
        let mut deframer = Deframer::new(framing(notation));
        let mut input = *wire;
        for (fields, data) in *list {
            let frame = deframer.decode(&mut input).unwrap().unwrap_or_else(|| panic!("{notation} lacks {data:02x?}"));
            let values: Vec<u64> = (0..fields.len()).map(|index| frame.field(index)).collect();
            assert_eq!((frame.data(), &values[..]), (*data, *fields), "{notation}");
            assert_eq!(frame.field_count(), fields.len(), "{notation}");
        }
    }
}

#[test]
fn fields_that_arent_given_have_their_defaults() {
    assert_eq!(encode("websocket", &[], b"a").unwrap(), b"\x82\x01a");
    assert_eq!(encode("websocket(from=client)", &[], b"a").unwrap(), b"\x82\x81\0\0\0\0a");
    assert_eq!(encode("pkt-line", &[], b"a").unwrap(), b"0005a");
    assert_eq!(encode("onc-rpc", &[], b"a").unwrap(), b"\x80\0\0\x01a");
    assert_eq!(encode("amqp", &[], b"").unwrap(), b"\x01\0\0\0\0\0\0\xce");
    assert_eq!(encode("amqp1", &[], b"").unwrap(), b"\0\0\0\x08\x02\0\0\0");
    assert_eq!(encode("zmtp", &[], b"a").unwrap(), b"\0\x01a");
}

#[test]
fn long_frames_have_long_lengths() {
    for len in [125, 126, 127, 254, 255, 256, 65515, 65516, 65517, 65535, 65536, 70000] {
        let data = vec![7; len];
        for notation in [
            "websocket",
            "websocket(from=client)",
            "zmtp",
            "zmtp1",
            "amqp",
            "amqp1",
            "onc-rpc",
            "http-chunked",
            "pkt-line",
            "mllp",
            "hdlc",
            "hdlc(stuff=bit)",
        ] {
            match encode(notation, &[], &data) {
                Ok(wire) => assert_eq!(frames(notation, &wire), (vec![data.clone()], None), "{notation} {len}"),
                Err(error) => {
                    assert_eq!((notation, error), ("pkt-line", EncodeError::TooLong { got: len as u64, limit: 65516 }));
                    assert!(len > 65516);
                }
            }
        }
    }
}

#[test]
fn what_would_not_come_back_is_refused() {
    for (notation, data) in [
        ("json", &b"1 "[..]),
        ("json", b" 1"),
        ("json", b"{} {}"),
        ("json", b"[1"),
        ("json", b""),
        ("resp", b"+OK"),
        ("resp", b"+OK\r\n+OK\r\n"),
        ("msgpack", b"\x91"),
        ("msgpack", b"\x01\x02"),
        ("cbor", b"\x9f\x01"),
        ("ber", b"\x04\x02a"),
    ] {
        assert!(refused(notation, &[], data).starts_with("the message is not one "), "{notation}");
    }
    assert_eq!(encode("mllp", &[], b"a\x1c\rb"), Err(EncodeError::Delimiter { at: 1 }));
    assert_eq!(encode("mllp", &[], b"a\x1c").unwrap(), b"\x0ba\x1c\x1c\r");
    assert_eq!(encode("hdlc(fcs=none)", &[], b""), Err(EncodeError::Empty));
    assert_eq!(refused("websocket", &[1, 0, 9, 0, 0], &[0; 126]), "a control frame has 125 bytes at most");
    assert_eq!(refused("websocket", &[0, 0, 8, 0, 0], b""), "a control frame can't be fragmented");
    assert_eq!(refused("websocket", &[1, 0, 3, 0, 0], b""), "this opcode is reserved");
    assert_eq!(refused("websocket", &[1, 0, 1, 0, 5], b""), "a key was given for a frame that isn't masked");
    assert_eq!(refused("websocket(from=client)", &[1, 0, 1, 0, 0], b""), "a client's frame must be masked");
    assert_eq!(refused("websocket(from=server)", &[1, 0, 1, 1, 0], b""), "a server's frame must not be masked");
    assert!(matches!(
        encode("websocket", &[2, 0, 1, 0, 0], b""),
        Err(EncodeError::Field { index: 0, got: 2, limit: 1, .. })
    ));
    assert_eq!(encode("websocket", &[1, 0, 1, 0, 0, 0], b""), Err(EncodeError::Fields { got: 6, want: 5 }));
    assert!(refused("pkt-line", &[0], b"a").contains("have no data"));
    assert!(refused("pkt-line", &[3], b"").starts_with("kind is 0"));
    assert!(refused("zmtp", &[2], b"").starts_with("flags are 1"));
    assert!(refused("zmtp", &[255], b"short").contains("greeting"));
    assert!(refused("amqp", &[4, 0], b"").starts_with("the type of a frame"));
    assert!(refused("amqp", &[0x41, 0], b"").starts_with("a protocol header"));
    assert!(matches!(encode("onc-rpc", &[2], b""), Err(EncodeError::Field { index: 0, got: 2, limit: 1, .. })));
    for notation in ["websocket", "onc-rpc", "mllp", "hdlc", "zmtp", "amqp"] {
        let small = format!("{notation}(max=2)");
        assert_eq!(encode(&small, &[], b"abc"), Err(EncodeError::TooLong { got: 3, limit: 2 }), "{notation}");
        assert_eq!(encode(&format!("{notation}(empty=deny)"), &[], b""), Err(EncodeError::Empty), "{notation}");
    }
}

#[test]
fn options_without_a_meaning_are_refused_by_name() {
    for (notation, column) in [
        ("json(empty=deny)", 6),
        ("resp(toolong=cut)", 6),
        ("cbor(toolong=cut)", 6),
        ("mllp(toolong=cut)", 6),
        ("hdlc(toolong=cut)", 6),
        ("http-chunked(empty=deny)", 14),
        ("pkt-line(empty=deny)", 10),
        ("hdlc(fcs=none, empty=deny)", 16),
        ("websocket(incl)", 11),
        ("websocket(from=anyone)", 11),
        ("websocket(from=client, from=server)", 24),
        ("hdlc(stuff=none)", 6),
        ("hdlc(fcs=8)", 6),
        ("json(fcs=16)", 6),
        ("mqtt(incl)", 6),
    ] {
        let error = notation.parse::<unglue_frame::Framing>().expect_err(notation);
        assert_eq!(error.column, column, "{notation}: {error}");
    }
}
