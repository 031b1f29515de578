//! Short streams, in every split: good ones, and ones that go wrong.

use crate::splits::every_split;

/// A notation, a stream of at most 16 bytes, and the data of its frames joined by `|`; `!` if an error follows.
type Row = (&'static str, &'static [u8], &'static str);

const ROWS: &[Row] = &[
    // Values.
    ("resp", b"+OK\r\n:1\r\n$-1\r\n", "+OK\r\n|:1\r\n|$-1\r\n"),
    ("resp", b"*2\r\n$1\r\na\r\n:7\r\n", "*2\r\n$1\r\na\r\n:7\r\n"),
    ("resp", b"*0\r\n*-1\r\n%0\r\n", "*0\r\n|*-1\r\n|%0\r\n"),
    ("resp", b"*1\r\n*1\r\n_\r\n#t\r\n", "*1\r\n*1\r\n_\r\n|#t\r\n"),
    ("resp", b"%1\r\n+a\r\n,1.5\r\n", "%1\r\n+a\r\n,1.5\r\n"),
    ("resp", b"|1\r\n+a\r\n+b\r\n+c\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n"),
    ("resp", b"$?\r\n;1\r\na\r\n;0\r\n", "$?\r\n;1\r\na\r\n;0\r\n"),
    ("resp", b"*?\r\n:1\r\n.\r\n_\r\n", "*?\r\n:1\r\n.\r\n|_\r\n"),
    ("resp", b"%?\r\n+a\r\n.\r\n", "!"),
    ("resp", b"+OK\r\n+A\nB", "+OK\r\n!"),
    ("resp", b"$2\r\nabc\r\n", "!"),
    ("resp", b"*1\r\nHTTP", "!"),
    ("resp", b"$-2\r\n", "!"),
    ("resp", b"*1\r\n.\r\n", "!"),
    ("resp(max=5)", b"+OK\r\n+OKA\r\n", "+OK\r\n!"),
    ("resp(max=9)", b"$3\r\nabc\r\n$4\r\na", "$3\r\nabc\r\n!"),
    ("resp(max=5, toolong=skip)", b"+OKAY\r\n_\r\n", "_\r\n"),
    ("resp(max=5, toolong=skip)", b"$5\r\nabcde\r\n:1\r\n", ":1\r\n"),
    ("json", b"{\"a\":[1]}[2]3 ", "{\"a\":[1]}|[2]|3"),
    ("json", b" true\nfalse null", "true|false|null"),
    ("json", b"1 -2.5e+1\n\"\\\"\"", "1|-2.5e+1|\"\\\"\""),
    ("json", b"\x1e{}\n\x1e[ 1 , 2 ]\n", "{}|[ 1 , 2 ]"),
    ("json", b"\"\\u00e9\\n\"0[]", "\"\\u00e9\\n\"|0|[]"),
    ("json", b"[1,]", "!"),
    ("json", b"1 {\"a\" 1}", "1!"),
    ("json", b"[01]", "!"),
    ("json", b"[] 01", "[]!"),
    ("json", b"1 tru ", "1!"),
    ("json", b"{}\"a\nb\"", "{}!"),
    ("json", b"[1.]", "!"),
    ("json(max=3)", b"[1][22]", "[1]!"),
    ("json(max=3, toolong=skip)", b"[1][22]123 1234 ", "[1]|123"),
    ("msgpack", b"\x93\x01\xa1a\xc0\x82\x01\x02\x03\xcb\0\0\0\0\0\0", "\u{93}\u{1}\u{a1}a\u{c0}!"),
    (
        "msgpack",
        b"\x90\x80\xa0\xc4\0\xd4\x01a\xc7\0\x05\x05",
        "\u{90}|\u{80}|\u{a0}|\u{c4}\0|\u{d4}\u{1}a|\u{c7}\0\u{5}|\u{5}",
    ),
    (
        "msgpack",
        b"\xcc\xff\xd1\xff\xfe\xdc\0\x01\xd9\x01a",
        "\u{cc}\u{ff}|\u{d1}\u{ff}\u{fe}|\u{dc}\0\u{1}\u{d9}\u{1}a",
    ),
    ("msgpack", b"\x91\xc1", "!"),
    ("msgpack(max=3)", b"\xa2ab\xa3abc", "\u{a2}ab!"),
    ("msgpack(max=3, toolong=skip)", b"\xa3abc\x91\x91\x91\x91\x01\x07", "\u{7}"),
    ("cbor", b"\x83\x01\x02\x03\xa1\x61a\x01\xf6\x60\x80", "\u{83}\u{1}\u{2}\u{3}|\u{a1}aa\u{1}|\u{f6}|`|\u{80}"),
    (
        "cbor",
        b"\x9f\x01\x9f\xff\xff\x7f\x61a\x60\xff\xbf\xff",
        "\u{9f}\u{1}\u{9f}\u{ff}\u{ff}|\u{7f}aa`\u{ff}|\u{bf}\u{ff}",
    ),
    ("cbor", b"\xc1\x1a\0\0\0\x01\xd8\x20\x61a\xf9\x3c\0", "\u{c1}\u{1a}\0\0\0\u{1}|\u{d8} aa|\u{f9}<\0"),
    ("cbor", b"\xbf\x01\xff", "!"),
    ("cbor", b"\x01\xff", "\u{1}!"),
    ("cbor", b"\x9f\xc1\xff", "!"),
    ("cbor", b"\x7f\x41a\xff", "!"),
    ("cbor", b"\xf8\x1f", "!"),
    ("cbor", b"\x1c", "!"),
    ("cbor", b"\x3f", "!"),
    ("cbor(max=2, toolong=skip)", b"\x81\x81\x01\x42ab\x81\x01", "\u{81}\u{1}"),
    ("ber", b"\x30\x05\x02\x01\x01\x42\0\x04\x01a", "0\u{5}\u{2}\u{1}\u{1}B\0|\u{4}\u{1}a"),
    ("ber", b"\x30\x80\x04\x01a\x30\x80\0\0\0\0\x05\0", "0\u{80}\u{4}\u{1}a0\u{80}\0\0\0\0|\u{5}\0"),
    ("ber", b"\x1f\x81\x01\x01a\x04\x81\x01b\x04\x82\0\0", "\u{1f}\u{81}\u{1}\u{1}a|\u{4}\u{81}\u{1}b|\u{4}\u{82}\0\0"),
    ("ber", b"\x05\0\0\0", "\u{5}\0!"),
    ("ber", b"\x04\x80", "!"),
    ("ber", b"\x04\xff", "!"),
    ("ber", b"\x1f\x80\x01", "!"),
    ("ber(max=3)", b"\x04\x01a\x04\x02ab", "\u{4}\u{1}a!"),
    ("ber(max=3, toolong=skip)", b"\x04\x03abc\x04\x01a", "\u{4}\u{1}a"),
    // Frames.
    ("websocket", b"\x81\x02hi\x89\0\x82\x81\0\0\0\0a", "hi||a"),
    ("websocket", b"\x81\x82\x01\x02\x03\x04ik\x88\x02\x03\xe8", "hi|\u{3}\u{e8}"),
    ("websocket", b"\x01\x01a\x89\x01p\x80\x01b\x83", "a|p|b!"),
    ("websocket", b"\x09\x01a", "!"),
    ("websocket", b"\x82\x7e\0\x02ab", "!"),
    ("websocket", b"\x88\x7e\0\x80", "!"),
    ("websocket", b"\x82\x7f\x80\0\0\0\0\0\0\0", "!"),
    ("websocket(from=client)", b"\x82\x01a", "!"),
    ("websocket(from=server)", b"\x82\x01a\x82\x81\0", "a!"),
    ("websocket(max=1)", b"\x82\x01a\x82\x02ab", "a!"),
    ("websocket(max=1, toolong=skip)", b"\x82\x02ab\x82\x01c", "c"),
    ("websocket(max=1, toolong=cut)", b"\x82\x82\x01\0\0\0bb\x82\x01c", "c|c"),
    ("websocket(empty=deny)", b"\x82\x01a\x82\0", "a!"),
    ("http-chunked", b"2\r\nab\r\n0\r\n\r\n", "ab|"),
    ("http-chunked", b"1;x=y\r\na\r\n00\r\n\r\n", "a|"),
    ("http-chunked", b"0\r\nA: b\r\n\r\n1\r\n", "!"),
    ("http-chunked", b"a\r\n0123456789\r\n", "0123456789"),
    ("http-chunked", b"1\nab\r\n", "!"),
    ("http-chunked", b"1\r\nab\r\n", "!"),
    ("http-chunked", b"1;a\rb\r\n", "!"),
    ("http-chunked", b"0x1\r\n", "!"),
    ("http-chunked", b"1 1\r\na\r\n", "!"),
    ("http-chunked(max=1, toolong=cut)", b"2\r\nab\r\n1\r\nc\r\n", "a|c"),
    ("http-chunked(max=1, toolong=skip)", b"2\r\nab\r\n1\r\nc\r\n", "c"),
    ("pkt-line", b"0006a\n00000001", "a\n||"),
    ("pkt-line", b"00040002", "|"),
    ("pkt-line", b"0003", "!"),
    ("pkt-line", b"0005a005", "a!"),
    ("pkt-line", b"000Ga", "!"),
    ("pkt-line", b"fff1", "!"),
    ("pkt-line(max=1, toolong=skip)", b"0006ab0005c", "c"),
    ("mllp", b"\x0bab\x1c\r\x0b\x1c\r\x0bc", "ab|!"),
    ("mllp", b"\x0ba\x1cb\x1c\x1c\r\x0b\r\x1c\r", "a\u{1c}b\u{1c}|\r"),
    ("mllp", b"\x0ba\x1c\r\r\n", "a!"),
    ("mllp(max=2)", b"\x0bab\x1c\r\x0babc\x1c\r", "ab!"),
    ("mllp(max=2, toolong=skip)", b"\x0babc\x1c\r\x0bd\x1c\r", "d"),
    ("mllp(max=1, toolong=skip)", b"\x0babc\x1c\x1c\r\x0bd\x1c\r", "d"),
    ("mllp(empty=deny)", b"\x0b\x1c\r", "!"),
    ("hdlc(fcs=none)", b"~ab~~}^}]~c}~d~e", "ab|~}|d!"),
    ("hdlc(fcs=none, max=2)", b"~ab~a}^c~", "ab!"),
    ("hdlc(fcs=none, max=2, toolong=skip)", b"abc~}^}^~a}^b~d~", "~~|d"),
    ("hdlc", b"~123456789n\x90~a~", "123456789!"),
    ("hdlc", b"~123456789n\x91~", "!"),
    ("hdlc(fcs=32)", b"~1234\xa3\xe0\xe3\x9b~", "1234"),
    // Sixteen ones, with a zero after each five of them.
    ("hdlc(stuff=bit, fcs=none)", b"~a~\xff\xff~~b~", "a|b"),
    ("hdlc(stuff=bit, fcs=none)", b"~\xdf\xf7\xf5\xfb", "\u{ff}\u{ff}"),
    ("zmtp", b"\0\x02hi\x01\0\x06\0\0\0\0\0\0\0\x01", "hi|!"),
    ("zmtp", b"\0\x02hi\x08", "hi!"),
    ("zmtp", b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\x01a", "\0\0\0\0\0\0\0\u{1}\u{7f}\u{1}\u{5}|a"),
    ("zmtp(max=1, toolong=skip)", b"\0\x02hi\0\x01a", "a"),
    ("zmtp1", b"\x03\0hi\x01\x01\xff\0\0\0\0\0\0\0\x02\0", "hi|!"),
    ("zmtp1", b"\x02\0a\0", "a!"),
    ("amqp", b"AMQP\0\0\x09\x01\x08\0\0\0\0\0\0\xce", "\0\0\u{9}\u{1}|"),
    ("amqp", b"\x03\0\x01\0\0\0\x02ab\xce\x07", "ab!"),
    ("amqp", b"\x03\0\x01\0\0\0\x02ab\xcd", "!"),
    ("amqp", b"AMXP", "!"),
    ("amqp1", b"\0\0\0\x0a\x02\0\0\0ab\0\0\0\x08\x01", "ab!"),
    ("amqp1", b"\0\0\0\x0d\x03\0\0\x01extna", "a"),
    ("amqp1", b"\0\0\0\x07\x02\0\0\0", "!"),
    ("onc-rpc", b"\0\0\0\x01a\x80\0\0\x02bc\x80\0\0\0", "a|bc|"),
    ("onc-rpc(max=1)", b"\x80\0\0\x01a\x80\0\0\x02bc", "a!"),
    ("onc-rpc(empty=deny)", b"\x80\0\0\0", "!"),
];

/// Bytes as a text of one character each.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[test]
fn of_every_sample_all_splits_give_the_same() {
    for (notation, stream, gives) in ROWS {
        let seen = every_split(&super::framing(notation), stream);
        let data: Vec<_> = seen.frames.iter().map(|frame| text(&frame.data)).collect();
        let end = if seen.end.is_err() { "!" } else { "" };
        assert_eq!(data.join("|") + end, *gives, "{notation} {stream:02x?} {:?}", seen.end);
    }
}

#[test]
fn a_preset_prints_as_it_was_read() {
    for (notation, ..) in ROWS {
        let framing = super::framing(notation);
        assert_eq!(super::framing(&framing.to_string()), framing, "{notation}");
        assert_eq!(framing.to_string().replace(", ", ","), notation.replace(", ", ","));
    }
}
