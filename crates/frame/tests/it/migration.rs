//! The table for those who come from tokio-util or Netty: each row, beside the other library where it is a crate.

use crate::collect::whole;
use bytes::BytesMut;
use tokio_util::codec::{AnyDelimiterCodec, Decoder, LengthDelimitedCodec, LinesCodec, length_delimited::Builder};
use unglue_frame::{BytesDeframer, Deframer, Enframer, Framing, codec::Codec};

/// What they are told, as documentation and as code, the notation, and bytes on the wire.
type Row = (&'static str, fn(&mut Builder) -> LengthDelimitedCodec, &'static str, &'static [u8]);

const TOKIO: &[Row] = &[
    ("`LengthDelimitedCodec::new()`", |b| b.new_codec(), "u32be", b"\0\0\0\x02hi\0\0\0\0"),
    ("`length_field_length(2)`", |b| b.length_field_length(2).new_codec(), "u16be", b"\0\x02hi\0\0"),
    ("`little_endian()`", |b| b.little_endian().new_codec(), "u32le", b"\x02\0\0\0hi"),
    (
        "`native_endian()`",
        |b| b.native_endian().new_codec(),
        NATIVE,
        if cfg!(target_endian = "big") { b"\0\0\0\x02hi" } else { b"\x02\0\0\0hi" },
    ),
    ("`length_field_length(5)`", |b| b.length_field_length(5).new_codec(), "u40be", b"\0\0\0\0\x02hi"),
    ("`length_field_length(6)`", |b| b.length_field_length(6).new_codec(), "u48be", b"\0\0\0\0\0\x02hi"),
    (
        "`length_field_length(7).little_endian()`",
        |b| b.length_field_length(7).little_endian().new_codec(),
        "u56le",
        b"\x02\0\0\0\0\0\0hi",
    ),
    ("`length_field_length(8)`", |b| b.length_field_length(8).new_codec(), "u64be", b"\0\0\0\0\0\0\0\x02hi"),
    ("`length_adjustment(-4)`", |b| b.length_adjustment(-4).new_codec(), "u32be(incl)", b"\0\0\0\x06hi\0\0\0\x04"),
    (
        "`length_field_offset(1)`",
        |b| b.length_field_offset(1).length_field_length(2).new_codec(),
        "tag:u8 len:u16be data[len]",
        b"\x07\0\x02hi\x08\0\0",
    ),
    (
        "`length_field_offset(2).length_adjustment(3)`",
        |b| b.length_field_offset(2).length_field_length(1).length_adjustment(3).new_codec(),
        "_*2 len:u8 data[len+3]",
        b"\xaa\xbb\x01\x01\x02\x03h",
    ),
    (
        "`max_frame_length(5)`",
        |b| b.max_frame_length(5).new_codec(),
        "u32be(max=5)",
        b"\0\0\0\x05hello\0\0\0\x06hello!",
    ),
];

const NATIVE: &str = if cfg!(target_endian = "big") { "u32be" } else { "u32le" };

fn theirs(mut codec: impl Decoder<Item = impl AsRef<[u8]>>, wire: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut input, mut frames) = (BytesMut::from(wire), Vec::new());
    loop {
        match codec.decode(&mut input) {
            Ok(Some(data)) => frames.push(data.as_ref().to_vec()),
            Ok(None) => return (frames, true),
            Err(_) => return (frames, false),
        }
    }
}

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"))
}

fn ours(notation: &str, wire: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let run = whole(&framing(notation), wire);
    (run.frames.into_iter().map(|frame| frame.data).collect(), run.end.is_ok())
}

#[test]
fn each_of_tokio_utils_options_has_its_notation() {
    for (told, build, notation, wire) in TOKIO {
        assert_eq!(theirs(build(&mut LengthDelimitedCodec::builder()), wire), ours(notation, wire), "{told}");
    }
}

/// They take as many bytes as the adjusted length says behind those that they skip; a header that is kept counts.
#[test]
fn num_skip_keeps_as_much_of_the_header_as_one_likes() {
    let wire = b"\x07\0\x02hi\x08\0\x01o\x09\0\x03you";
    for skip in 0..=4 {
        let mut builder = LengthDelimitedCodec::builder();
        builder.length_field_offset(1).length_field_length(2);
        // A header of three bytes: kept from the byte `skip` on, or one more byte left out.
        let adjust = 3 - skip as isize;
        let codec = builder.length_adjustment(adjust).num_skip(skip).new_codec();
        let mut deframer = Deframer::new(framing("tag:u8 len:u16be data[len]"));
        let mut input = &wire[..];
        let mut frames = Vec::new();
        while let Some(frame) = deframer.decode(&mut input).unwrap() {
            frames.push(frame.raw()[skip..].to_vec());
        }
        assert_eq!(theirs(codec, wire), (frames, true), "num_skip({skip})");
    }
}

#[test]
fn the_maximum_can_change_between_frames() {
    let wire = b"\0\x02hi\0\x03you";
    let mut codec = LengthDelimitedCodec::builder().length_field_length(2).max_frame_length(2).new_codec();
    let mut deframer = BytesDeframer::new(framing("u16be(max=2)"));
    let (mut their_input, mut our_input) = (BytesMut::from(&wire[..]), BytesMut::from(&wire[..]));
    assert_eq!(codec.decode(&mut their_input).unwrap().unwrap(), b"hi"[..]);
    assert_eq!(deframer.decode_data(&mut our_input).unwrap().unwrap(), b"hi"[..]);
    codec.set_max_frame_length(3);
    deframer.set_max(3);
    assert_eq!(codec.decode(&mut their_input).unwrap().unwrap(), b"you"[..]);
    assert_eq!(deframer.decode_data(&mut our_input).unwrap().unwrap(), b"you"[..]);
}

#[test]
fn lines_and_any_of_several_delimiters() {
    let text = b"one\r\ntwo\n\nfour\n";
    assert_eq!(theirs(LinesCodec::new(), text), ours("lines", text));
    let text = b"a,b;;c\nd,";
    let any = r#"delim(",", ";", "\n")"#;
    assert_eq!(theirs(AnyDelimiterCodec::new(b",;\n".to_vec(), b",".to_vec()), text), ours(any, text));
    let mut wire = Vec::new();
    Enframer::new(framing(any)).encode(&[], b"a", &mut wire).unwrap();
    assert_eq!(wire, b"a,", "the first delimiter is written");
    // What stands behind the last delimiter, at the end of the input.
    let mut codec = LinesCodec::new();
    let mut input = BytesMut::from(&b"one\ntwo"[..]);
    assert_eq!(codec.decode_eof(&mut input).unwrap().as_deref(), Some("one"));
    assert_eq!(codec.decode_eof(&mut input).unwrap().as_deref(), Some("two"));
    let mut codec = Codec::new(framing("lines(last=allow)")).unwrap();
    let mut input = BytesMut::from(&b"one\ntwo"[..]);
    for line in ["one", "two"] {
        let data = codec.decode_eof(&mut input).unwrap().map(|data| data.to_vec());
        assert_eq!(data.as_deref(), Some(line.as_bytes()));
    }
    assert!(codec.decode_eof(&mut input).unwrap().is_none());
}

/// Netty's decoders: how they are made, the notation, bytes, and the frames that Netty's documentation and tests name.
type Netty = (&'static str, &'static str, &'static [u8], &'static [&'static [u8]]);

const NETTY: &[Netty] = &[
    ("`LengthFieldBasedFrameDecoder(max, 0, 2, 0, 2)`", "u16be", b"\0\x0cHELLO, WORLD", &[b"HELLO, WORLD"]),
    ("`LengthFieldBasedFrameDecoder(max, 0, 2, -2, 2)`", "u16be(incl)", b"\0\x0eHELLO, WORLD", &[b"HELLO, WORLD"]),
    (
        "`LengthFieldBasedFrameDecoder(max, 2, 3, 0, 5)`",
        "h:u16be len:u24be data[len]",
        b"\xca\xfe\0\0\x05HELLO",
        &[b"HELLO"],
    ),
    (
        "`LengthFieldBasedFrameDecoder(max, 0, 3, 2, 5)`",
        "len:u24be h:u16be data[len]",
        b"\0\0\x05\xca\xfeHELLO",
        &[b"HELLO"],
    ),
    (
        "`LengthFieldBasedFrameDecoder(max, 1, 2, 1, 4)`",
        "a:u8 len:u16be b:u8 data[len]",
        b"\xca\0\x05\xfeHELLO",
        &[b"HELLO"],
    ),
    ("`LengthFieldBasedFrameDecoder(LITTLE_ENDIAN, max, 0, 4, 0, 4)`", "u32le", b"\x02\0\0\0hi", &[b"hi"]),
    ("`LengthFieldPrepender(4, true)`", "u32be(incl)", b"\0\0\0\x06hi", &[b"hi"]),
    ("`LineBasedFrameDecoder(max)`", "lines", b"one\r\ntwo\n", &[b"one", b"two"]),
    ("`LineBasedFrameDecoder(5, true, false)`", "lines(max=5, toolong=skip)", b"longer\none\n", &[b"one"]),
    (
        "`DelimiterBasedFrameDecoder(max, lineDelimiter())`",
        "delim(\"\\r\\n\", \"\\n\")",
        b"one\r\ntwo\n",
        &[b"one", b"two"],
    ),
    ("`DelimiterBasedFrameDecoder(max, nulDelimiter())`", "nul", b"one\0two\0", &[b"one", b"two"]),
    ("`FixedLengthFrameDecoder(3)`", "fixed:3", b"onetwo", &[b"one", b"two"]),
    ("`ProtobufVarint32FrameDecoder()`", "varint(5)", b"\x02hi\x00", &[b"hi", b""]),
    ("`JsonObjectDecoder()`", "json", b"{\"a\":1}[2]", &[b"{\"a\":1}", b"[2]"]),
    ("`RedisDecoder()`, aggregated", "resp", b"*1\r\n$1\r\na\r\n+OK\r\n", &[b"*1\r\n$1\r\na\r\n", b"+OK\r\n"]),
    ("`WebSocket13FrameDecoder(true, …)`", "websocket(from=client)", b"\x81\x82\0\0\0\0hi", &[b"hi"]),
    ("`MqttDecoder()`, its framing", "mqtt", b"\xc0\0", &[b""]),
];

#[test]
fn each_of_nettys_decoders_has_its_notation() {
    for (told, notation, wire, frames) in NETTY {
        let frames: Vec<Vec<u8>> = frames.iter().map(|frame| frame.to_vec()).collect();
        assert_eq!(ours(notation, wire), (frames, true), "{told}");
    }
}

#[test]
fn a_delimiter_can_be_kept() {
    // Netty's stripDelimiter=false and initialBytesToStrip=0.
    for (notation, wire) in
        [("lines", &b"one\r\n"[..]), ("nul", b"one\0"), ("u16be", b"\0\x03one"), ("mllp", b"\x0bone\x1c\r")]
    {
        let mut deframer = Deframer::new(framing(notation));
        let mut input = wire;
        let frame = deframer.decode(&mut input).unwrap().unwrap();
        assert_eq!((frame.raw(), frame.data()), (wire, &b"one"[..]), "{notation}");
    }
}

#[test]
fn the_documentation_has_every_row() {
    let docs = include_str!("../../docs/framing.md");
    let rows = TOKIO.iter().filter(|row| row.0 != "`native_endian()`").map(|(told, _, notation, _)| (told, notation));
    for (told, notation) in rows.chain(NETTY.iter().map(|(told, notation, ..)| (told, notation))) {
        let row = docs.lines().find(|line| line.starts_with(&format!("| {told} |")));
        let row = row.unwrap_or_else(|| panic!("docs/framing.md has no row for {told}"));
        assert!(row.contains(&format!("`{notation}`")), "{told}: {row}");
    }
}
