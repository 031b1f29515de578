//! The table of `docs/framing.md`: how the protocols of the world are written in the notation, with bytes of theirs.

use unglue_frame::{Deframer, Enframer, Framing};

/// Protocol, notation, fields, data, and the bytes on the wire.
type Row = (&'static str, &'static str, &'static [u64], &'static [u8], &'static [u8]);

const TABLE: &[Row] = &[
    ("Kafka", "u32be", &[], b"req", b"\0\0\0\x03req"),
    ("Thrift framed", "u32be", &[], b"\x80\x01\0\x01", b"\0\0\0\x04\x80\x01\0\x01"),
    ("DNS over TCP", "u16be", &[], b"query", b"\0\x05query"),
    ("protobuf delimited", "varint", &[], &[8; 300], &[0xac, 2]),
    ("Erlang {packet,1}", "u8", &[], b"ok", b"\x02ok"),
    ("Erlang {packet,2}", "u16be", &[], b"ok", b"\0\x02ok"),
    ("Erlang {packet,4}", "u32be", &[], b"ok", b"\0\0\0\x02ok"),
    ("Erlang {packet,line}", "lines", &[], b"ok", b"ok\n"),
    ("Erlang {packet,tpkt}", "03 00 len:u16be data[len-4]", &[], b"ok", b"\x03\0\0\x06ok"),
    ("gRPC", "flag:u8 len:u32be data[len]", &[0], b"hi", b"\0\0\0\0\x02hi"),
    ("PostgreSQL", "tag:u8 len:u32be data[len-4]", &[b'Q' as u64], b"SELECT 1\0", b"Q\0\0\0\x0dSELECT 1\0"),
    ("MySQL", "len:u24le seq:u8 data[len]", &[3], b"\x01", b"\x01\0\0\x03\x01"),
    (
        "HTTP/2",
        "len:u24be type:u8 flags:u8 id:u32be data[len]",
        &[6, 1, 0],
        b"pingpong",
        b"\0\0\x08\x06\x01\0\0\0\0pingpong",
    ),
    ("MQTT", "hdr:u8 len:varint(4) data[len]", &[0xc0], b"", b"\xc0\0"),
    (
        "BGP",
        "ff*16 len:u16be t:u8 data[len-19]",
        &[4],
        b"",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x04",
    ),
    ("AMQP", "t:u8 ch:u16be len:u32be data[len] ce", &[8, 0], b"", b"\x08\0\0\0\0\0\0\xce"),
    (
        "FastCGI",
        "01 t:u8 id:u16be len:u16be p:u8 _ data[len] pad[p]",
        &[5, 1, 3],
        b"abcde",
        b"\x01\x05\0\x01\0\x05\x03\0abcde\0\0\0",
    ),
    ("M-Bus", "68 len:u8 len2:u8 68 data[len] sum8 16", &[3], b"\x08\x05\x72", b"\x68\x03\x03\x68\x08\x05\x72\x7f\x16"),
    ("metering", "68 len:u16be 68 data[len] sum8 16", &[], b"ab", b"\x68\0\x02\x68ab\xc3\x16"),
    ("syslog over TLS", "octet-count", &[], b"<34>1 - h", b"9 <34>1 - h"),
    ("netstring, SCGI", "netstring", &[], b"hello", b"5:hello,"),
    ("language server", "lsp", &[], b"{}", b"Content-Length: 2\r\n\r\n{}"),
    ("native messaging", "u32le(max=1M)", &[], b"{}", b"\x02\0\0\0{}"),
    ("Modbus/TCP", "tx:u16be 00 00 len:u16be data[len]", &[1], b"\x11\x03", b"\0\x01\0\0\0\x02\x11\x03"),
    ("SLIP", "slip", &[], b"a\xc0b", b"a\xdb\xdcb\xc0"),
    ("COBS", "cobs", &[], b"a\0b", b"\x02a\x02b\0"),
    ("fixed records", "fixed:4", &[], b"abcd", b"abcd"),
    // Netty's LengthFieldBasedFrameDecoder(offset, width, adjustment, strip): strip is what isn't data.
    ("Netty (0, 2, 0, 2)", "u16be", &[], b"HELLO, WORLD", b"\0\x0cHELLO, WORLD"),
    ("Netty (0, 2, -2, 0)", "u16be(incl)", &[], b"HELLO, WORLD", b"\0\x0eHELLO, WORLD"),
    ("Netty (2, 3, 0, 5)", "h:u16be len:u24be data[len]", &[0xcafe], b"HELLO", b"\xca\xfe\0\0\x05HELLO"),
    ("Netty (0, 3, 2, 5)", "len:u24be h:u16be data[len]", &[0xcafe], b"HELLO", b"\0\0\x05\xca\xfeHELLO"),
    ("Netty (1, 2, 1, 3)", "a:u8 len:u16be b:u8 data[len]", &[0xca, 0xfe], b"HELLO", b"\xca\0\x05\xfeHELLO"),
    ("Netty (1, 2, -3, 3)", "a:u8 len:u16be b:u8 data[len-4]", &[0xca, 0xfe], b"HELLO", b"\xca\0\x09\xfeHELLO"),
];

#[test]
fn the_table_of_the_documentation_is_true() {
    for (protocol, notation, fields, data, wire) in TABLE {
        let framing: Framing = notation.parse().unwrap_or_else(|error| panic!("{protocol}: {error}"));
        let mut out = Vec::new();
        Enframer::new(framing.clone()).encode(fields, data, &mut out).unwrap();
        assert!(
            out.starts_with(wire) && (out.len() == wire.len() || out.len() == wire.len() + data.len()),
            "{protocol}"
        );
        let mut deframer = Deframer::new(framing);
        let mut input = &out[..];
        let frame = deframer.decode(&mut input).unwrap().unwrap_or_else(|| panic!("{protocol}: nothing"));
        let values: Vec<u64> = (0..fields.len()).map(|index| frame.field(index)).collect();
        assert_eq!((frame.data(), &values[..]), (*data, *fields), "{protocol}");
    }
}

#[test]
fn the_documentation_has_every_row() {
    let docs = include_str!("../../docs/framing.md");
    for (protocol, notation, ..) in TABLE {
        let row = docs.lines().find(|line| line.starts_with(&format!("| {protocol} |")));
        let row = row.unwrap_or_else(|| panic!("docs/framing.md has no row for {protocol}"));
        assert!(row.contains(&format!("`{notation}`")), "{protocol}: {row}");
    }
    for preset in unglue_frame::presets() {
        assert!(docs.contains(&format!("`{}`", preset.notation)), "docs/framing.md lacks {}", preset.notation);
    }
}
