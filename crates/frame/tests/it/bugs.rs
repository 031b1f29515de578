//! Bugs that framing code shipped elsewhere, each with the name it is known by.

use crate::{
    collect::{WAYS, run},
    memory::usage,
};
use std::time::{Duration, Instant};
use unglue_frame::{Deframer, EncodeError, Enframer, Fault, Framing};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap()
}

#[test]
fn allocation_on_the_announced_length() {
    for (notation, header) in [
        ("u32be(max=4G)", &b"\xff\xff\xff\xff"[..]),
        ("u64be(max=1024G)", b"\0\0\0\x7f\xff\xff\xff\xff"),
        ("varint(max=4G)", b"\xff\xff\xff\xff\x0f"),
        ("netstring(max=4G)", b"4294967295:"),
        ("lsp(max=4G)", b"Content-Length: 4294967295\r\n\r\n"),
        ("octet-count(max=4G)", b"4294967295 "),
        ("t:u8 len:u32be data[len] pad[t] (max=4G)", b"\xff\xff\xff\xff\xff"),
    ] {
        for (sent, extra) in [(0, 0), (1, 0), (5000, 0), (1 << 20, 0), (3 << 20, 1)] {
            let chunk = vec![b'x'; 1000 + extra];
            let (_, used) = usage(|| {
                let mut deframer = Deframer::new(framing(notation));
                assert!(deframer.decode(&mut &header[..]).unwrap().is_none());
                for piece in chunk.chunks(1000).cycle().take(sent / 1000) {
                    assert!(deframer.decode(&mut &piece[..]).unwrap().is_none());
                }
                deframer
            });
            let sent = header.len() + sent / 1000 * 1000;
            let rules = 1000; // the compiled framing, and the list of blocks
            let limit = sent + 4096 + rules + sent / 4096 * size_of::<Vec<u8>>() * 2;
            assert!(used.peak <= limit as isize, "{notation}: {} bytes held for {sent} sent", used.peak);
        }
    }
}

#[test]
fn the_deframer_tells_its_memory() {
    let mut deframer = Deframer::new(framing("u32be(max=4G)"));
    let mut sent = 0;
    for piece in [&b"\xff\xff\xff\xff"[..], &[0; 10], &[0; 5000], &[0; 100_000], &[0; 1]] {
        assert!(deframer.decode(&mut &piece[..]).unwrap().is_none());
        sent += piece.len();
        assert!(deframer.capacity() <= sent + 4096, "{} bytes held for {sent}", deframer.capacity());
    }
}

#[test]
fn quadratic_rebuffering() {
    // A 16 MiB frame, one byte at a time.
    let (size, started) = (16 << 20, Instant::now());
    for (notation, header, tail) in [
        ("u32be(max=16M)", &b"\x01\0\0\0"[..], &b""[..]),
        ("nul(max=16M)", b"", b"\0"),
        ("crlf(max=16M)", b"", b"\r\n"),
        ("netstring(max=16M)", b"16777216:", b","),
    ] {
        let ((), used) = usage(|| {
            let mut deframer = Deframer::new(framing(notation));
            let mut give = |byte: &[u8]| deframer.decode(&mut &byte[..]).unwrap().map_or(0, |frame| frame.data().len());
            let mut given = 0;
            for byte in header.chunks(1).chain(std::iter::repeat_n(&b"x"[..], size)).chain(tail.chunks(1)) {
                given += give(byte);
            }
            assert_eq!(given, size, "{notation}");
        });
        // Each byte is copied into a block, and once more from there into its place: growing moves next to nothing.
        assert!(used.moved <= size / 16, "{notation}: {} bytes moved for {size}", used.moved);
        assert!(used.allocations <= size / 4096 + 100, "{notation}: {} allocations", used.allocations);
        // It takes a second; minutes if each byte is looked at again and again.
        assert!(started.elapsed() < Duration::from_secs(60), "{notation}: {:?}", started.elapsed());
    }
}

#[test]
fn an_allocation_for_each_frame() {
    let mut wire = Vec::new();
    for size in 0..1000 {
        Enframer::new(Framing::u32be()).encode(&[], &vec![1; size % 100], &mut wire).unwrap();
    }
    for notation in ["u32be", "len:u32be data[len]"] {
        let mut deframer = Deframer::new(framing(notation));
        // Once for the straddlers' two buffers.
        for _ in 0..2 {
            for chunk in wire.chunks(4096) {
                deframer.frames(&mut &chunk[..]).for_each(|frame| assert!(frame.is_ok()));
            }
        }
        let ((), used) = usage(|| {
            for chunk in wire.chunks(4096) {
                deframer.frames(&mut &chunk[..]).for_each(|frame| assert!(frame.is_ok()));
            }
        });
        assert!(used.allocations <= 3, "{notation}: {} allocations for 1000 frames", used.allocations);
    }
}

/// CVE-2024-27304: a message of 4 GiB and more was sent with its length cut to 32 bits.
#[test]
fn a_truncating_encoder() {
    for (notation, fits) in [
        ("u8(max=4G)", 255),
        ("u8(max=4G, incl)", 254),
        ("u16le(max=4G)", 65_535),
        ("u24be(max=4G)", (1 << 24) - 1),
        ("u32be(max=8G)", u64::from(u32::MAX)),
        ("varint(2, max=4G)", (1 << 14) - 1),
        ("tag:u8 len:u16be data[len-4] (max=4G)", 65_531),
        ("len:u16be data[len+4] (max=4G)", 65_539),
    ] {
        let enframer = Enframer::new(framing(notation));
        let fields = vec![0; framing(notation).field_names().count()];
        let mut out = Vec::new();
        enframer.header(&fields, fits, &mut out).unwrap_or_else(|error| panic!("{notation}: {error}"));
        out.clear();
        let error = enframer.header(&fields, fits + 1, &mut out).unwrap_err();
        assert_eq!((error, out.len()), (EncodeError::TooLong { got: fits + 1, limit: fits }, 0), "{notation}");
    }
    let enframer = Enframer::new(framing("len:u8 data[len+4]"));
    let short = enframer.encode(&[], b"abc", &mut Vec::new()).unwrap_err();
    assert_eq!(short, EncodeError::TooShort { got: 3, least: 4 });
}

#[test]
fn a_signed_or_overflowing_length() {
    for (notation, wire) in [
        ("u32be", &b"\x80\0\0\0"[..]),
        ("u32le", b"\xff\xff\xff\xff"),
        ("u64be", b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("u64le(max=16G)", b"\xfc\xff\xff\xff\xff\xff\xff\xff"),
        ("len:u64be data[len+16]", b"\xff\xff\xff\xff\xff\xff\xff\xf8aaaaaaaaaaaaaaaaaa"),
        ("len:u64le data[len+8]", b"\xff\xff\xff\xff\xff\xff\xff\xffaaaaaaaaaaaaa"),
        ("tag:u8 len:u32be data[len-4]", b"Q\0\0\0\x03abc"),
        ("u16be(incl)", b"\0\0ab"),
        ("varint", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ("netstring", b"18446744073709551616:"),
        ("netstring", b"-1:"),
        ("netstring", b"+1:a,"),
        ("lsp", b"Content-Length: -1\r\n\r\n"),
        ("lsp", b"Content-Length: 18446744073709551617\r\n\r\na"),
    ] {
        for way in WAYS {
            let seen = run(&framing(notation), [wire], way);
            assert!(seen.frames.is_empty() && seen.end.is_err(), "{notation} {way:?}: {seen:?}");
        }
    }
}

#[test]
fn an_empty_frame_flood() {
    // A megabyte of nothing but empty frames is a million frames, or nothing: each byte is looked at a bounded number of
    // times, and no stack grows.
    let wire = vec![0; 1 << 20];
    let frames = |notation| {
        let mut deframer = Deframer::new(framing(notation));
        deframer.frames(&mut &wire[..]).map(Result::unwrap).count()
    };
    assert_eq!(frames("u8"), 1 << 20);
    assert_eq!(frames("nul"), 1 << 20);
    assert_eq!(frames("u32be"), 1 << 18);
    assert_eq!(frames("cobs"), 0);
    let mut deframer = Deframer::new(framing("u8(empty=deny)"));
    assert_eq!(deframer.decode(&mut &wire[..]).unwrap_err().fault, Fault::Empty);
}

#[test]
fn bytes_left_over_at_a_protocol_switch() {
    for way in 0..3 {
        let wire = b"\0\0\0\x03one\0\0\0\x03twoGET /";
        let mut deframer = Deframer::new(Framing::u32be());
        let mut input = &wire[..];
        match way {
            0 => _ = deframer.decode(&mut input).unwrap().unwrap(),
            1 => _ = deframer.frames(&mut input).next().unwrap().unwrap(),
            _ => {
                deframer.feed(input);
                input = &[];
                _ = deframer.next().unwrap().unwrap();
            }
        }
        let offset = deframer.offset();
        let mut rest = deframer.into_parts();
        rest.extend_from_slice(input);
        assert_eq!((offset, &rest[..]), (7, &wire[7..]), "{way}");
    }
    // In the middle of a frame, and behind an error.
    let mut deframer = Deframer::new(framing("u32be(max=10)"));
    let mut input = &b"\0\0\0\x05abc"[..];
    assert!(deframer.decode(&mut input).unwrap().is_none());
    assert_eq!(deframer.into_parts(), b"\0\0\0\x05abc");
}

#[test]
fn the_end_of_input_inside_a_frame() {
    for (notation, wire, need) in [
        ("u32be", &b"\0\0"[..], None),
        ("u32be", b"\0\0\0\x05abc", Some(9)),
        ("lines", b"abc", None),
        ("crlf", b"abc\r", None),
        ("netstring", b"5:abc", Some(8)),
        ("netstring", b"5", None),
        ("lsp", b"Content-Length: 5\r\n\r\nab", Some(26)),
        ("cobs", b"\x03a", None),
        ("fixed:8", b"abc", Some(8)),
        ("u8(max=2, toolong=skip)", b"\x05abc", Some(6)),
        ("lines(max=1, toolong=skip)", b"abcdefg", None),
    ] {
        for way in WAYS {
            for pieces in [1, 2, 100] {
                let seen = run(&framing(notation), wire.chunks(wire.len().div_ceil(pieces)), way);
                let fault = seen.end.unwrap_err().fault;
                assert_eq!(fault, Fault::Truncated { have: wire.len() as u64, need }, "{notation} {way:?}");
            }
        }
    }
}

#[test]
fn resynchronising_only_where_asked_for() {
    // Text in front of a binary frame: a reader that skips until something fits would take the wrong bytes for frames.
    let wire = b"oops\0\0\0\x01a";
    let seen = run(&framing("u32be"), [&wire[..]], WAYS[0]);
    assert!(seen.frames.is_empty() && seen.end.is_err());
    // A bad COBS frame ends the stream too: which bytes were lost isn't known.
    let seen = run(&framing("cobs"), [&b"\x09a\0\x02b\0"[..]], WAYS[0]);
    assert!(seen.frames.is_empty() && seen.end.is_err());
    // Asked for: a line too long is left out, the next one is whole.
    let seen = run(&framing("lines(max=3, toolong=skip)"), [&b"abcdef\nok\n"[..]], WAYS[0]);
    assert_eq!((seen.frames.len(), &seen.frames[0].data[..], seen.end), (1, &b"ok"[..], Ok(())));
}

#[test]
fn a_delimiter_smuggled_into_the_data() {
    for (notation, data, at) in [
        ("lines", &b"a\nb"[..], 1),
        ("lines", b"ab\r", 2),
        ("crlf", b"a\r\nb", 1),
        ("nul", b"a\0", 1),
        ("delim(\"--\")", b"a-", 1),
        ("delim(\"aba\")", b"xab", 1),
    ] {
        let error = Enframer::new(framing(notation)).encode(&[], data, &mut Vec::new()).unwrap_err();
        assert_eq!(error, EncodeError::Delimiter { at }, "{notation}");
    }
    let mut out = Vec::new();
    Enframer::new(framing("crlf")).encode(&[], b"ends with \r", &mut out).unwrap();
    let mut deframer = Deframer::new(framing("crlf"));
    assert_eq!(deframer.decode(&mut &out[..]).unwrap().unwrap().data(), b"ends with \r");
}

#[test]
fn two_lengths_that_differ() {
    let two = b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(run(&framing("lsp"), [&two[..]], WAYS[0]).end.unwrap_err().fault, Fault::Header);
    let same = b"Content-Length: 2\r\nContent-Type: x\r\ncontent-length: 2\r\n\r\nab";
    assert_eq!(run(&framing("lsp"), [&same[..]], WAYS[0]).frames[0].data, b"ab");
}

#[test]
fn a_maximum_near_the_largest_number() {
    for notation in [
        "u64be(max=18446744073709551614, toolong=cut)",
        "u64be(max=18446744073709551615, toolong=cut)",
        "u64be(max=18446744073709551615)",
        "u64be(max=9223372036854775807, toolong=cut)",
        "u64be(max=18446744073709551607, toolong=cut)",
        "len:u64be data[len+9] (max=18446744073709551614, toolong=cut)",
        "len:u64be data[len*9] (max=18446744073709551614, toolong=cut)",
        "len:u64be p:u64be data[len] pad[p] (max=18446744073709551614, toolong=cut)",
        "lines(max=18446744073709551615, toolong=cut)",
        "slip(max=18446744073709551615, toolong=cut)",
        "cobs(max=18446744073709551615, toolong=cut)",
        "netstring(max=18446744073709551615, toolong=cut)",
        "octet-count(max=18446744073709551615, toolong=cut)",
        "lsp(max=18446744073709551615, toolong=cut)",
    ] {
        for wire in [&[0xff; 16][..], b"18446744073709551615:x", b"18446744073709551615 x", &[0x7f; 16]] {
            for way in WAYS {
                // Whatever it is, it is no panic.
                let _ = run(&framing(notation), wire.chunks(5), way);
            }
        }
        let _ = Enframer::new(framing(notation)).header(&[], u64::MAX, &mut Vec::new());
    }
    let largest = framing("u64be(max=18446744073709551614, toolong=cut)");
    let error = run(&largest, [&[0xff; 8][..]], WAYS[0]).end.unwrap_err();
    assert_eq!(error.fault, Fault::TooLong { got: u64::MAX, limit: u64::MAX - 1, looks: None });
}

#[test]
fn a_closure_that_takes_bytes_back() {
    for notation in ["u32be", "varint", "lines", "t:u8 len:u16be data[len]"] {
        let framing = framing(notation);
        let fields = vec![1; framing.field_names().count()];
        let mut out = b"before".to_vec();
        let result = Enframer::new(framing).encode_with(&fields, &mut out, Vec::clear);
        assert_eq!(result, Err(EncodeError::Shrunk), "{notation}");
    }
}

#[test]
fn a_checksum_error_shows_the_numbers_in_their_order() {
    for (notation, wire) in
        [("len:u8 data[len] crc16(le)", &b"\x02ab\x34\x12"[..]), ("len:u8 data[len] crc16", b"\x02ab\x12\x34")]
    {
        let error = Deframer::new(framing(notation)).decode(&mut &wire[..]).unwrap_err();
        let Fault::Checksum { want, got } = error.fault else { panic!("{error}") };
        assert_eq!(got, 0x1234, "{notation}");
        let right = Enframer::new(framing(notation));
        let mut out = Vec::new();
        right.encode(&[], b"ab", &mut out).unwrap();
        let stands = u32::from(if notation.contains("(le)") { out[4] } else { out[3] }) << 8
            | u32::from(if notation.contains("(le)") { out[3] } else { out[4] });
        assert_eq!(want, stands, "{notation}");
    }
}
