//! Streams that mean harm: deep nesting, huge announcements, bytes that come one by one.

use super::{framing, says};
use crate::memory::usage;
use unglue_frame::Deframer;

#[test]
fn nesting_is_bounded_and_says_where() {
    for (notation, open, at) in
        [("json", "[", 512), ("msgpack", "\u{11}", 0), ("cbor", "", 0), ("resp", "*1\r\n", 512 * 4 + 2), ("ber", "", 0)]
    {
        let open: &[u8] = match notation {
            "msgpack" => b"\x91",
            "cbor" => b"\x81",
            "ber" => b"\x30\x80",
            _ => open.as_bytes(),
        };
        let at = if at > 0 { at } else { 512 * open.len() + open.len() - 1 };
        let deep = open.repeat(513);
        let fine = open.repeat(512);
        let want = format!("frame at byte 0: at byte {at} of it: it is nested in more than 512 levels");
        assert_eq!(
            says(notation, &deep),
            if notation == "resp" { want.replace("2050", "2051") } else { want },
            "{notation}"
        );
        assert!(says(notation, &fine).contains("the input ended"), "{notation}");
    }
    // Endless ones too.
    assert!(says("cbor", &b"\x9f".repeat(513)).contains("512 levels"));
    assert!(says("json", &b"{\"a\":".repeat(513)).contains("512 levels"));
}

#[test]
fn what_is_announced_is_refused_at_once_or_costs_nothing() {
    let huge: &[(&str, &[u8])] = &[
        ("resp", b"$9000000000\r\n"),
        ("msgpack", b"\xdb\xff\xff\xff\xff"),
        ("cbor", b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("ber", b"\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("websocket", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ("http-chunked", b"ffffffffffffffff\r\n"),
        ("zmtp", b"\x02\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("amqp", b"\x03\0\0\xff\xff\xff\xff"),
        ("amqp1", b"\xff\xff\xff\xff\x02\0\0\0"),
        ("onc-rpc", b"\xff\xff\xff\xff"),
    ];
    for (notation, stream) in huge {
        assert!(says(notation, stream).contains("limit is 8388608"), "{notation}: {}", says(notation, stream));
        let (said, usage) = usage(|| says(&with(notation, "toolong=skip"), stream));
        assert!(said.contains("the input ended"), "{notation}: {said}");
        assert!(usage.peak < 64 * 1024, "{notation} held {} bytes", usage.peak);
    }
    // Numbers of items aren't bytes: they are counted, and nothing is kept for them.
    let many: &[(&str, &[u8])] = &[
        ("resp", b"*9223372036854775807\r\n"),
        ("msgpack", b"\xdf\xff\xff\xff\xff"),
        ("cbor", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("cbor", b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ];
    for (notation, stream) in many {
        let (said, usage) = usage(|| says(notation, stream));
        assert!(said.contains("the input ended"), "{notation}: {said}");
        assert!(usage.peak < 64 * 1024, "{notation} held {} bytes", usage.peak);
    }
}

fn with(notation: &str, option: &str) -> String {
    format!("{notation}({option})")
}

/// A frame of some hundred thousand bytes in each protocol that looks for its end.
fn long_frames() -> Vec<(&'static str, Vec<u8>)> {
    let size = 300_000;
    let mut text = vec![b'"'];
    text.resize(size, b'a');
    text.push(b'"');
    let numbers = [&b"["[..], &b"1,".repeat(size / 2), b"1]"].concat();
    vec![
        ("json", text),
        ("json", numbers),
        ("resp", [&b"*1\r\n+"[..], &vec![b'a'; size], b"\r\n"].concat()),
        ("resp", b"*1\r\n".repeat(500).into_iter().chain(*b"_\r\n").collect()),
        ("msgpack", [&b"\xdd\0\x04\0\0"[..], &vec![1; 0x40000]].concat()),
        ("cbor", [&b"\x9f"[..], &vec![1; size], b"\xff"].concat()),
        ("ber", [&b"\x30\x80"[..], &b"\x05\0".repeat(size / 2), b"\0\0"].concat()),
        ("mllp", [&b"\x0b"[..], &b"\x1c".repeat(size), b"\x1c\r"].concat()),
        ("hdlc(fcs=none)", [&b"}^".repeat(size / 2)[..], b"~"].concat()),
        ("http-chunked", [&b"0\r\n"[..], &b"a:b\r\n".repeat(3000), b"\r\n"].concat()),
    ]
}

/// Every byte is looked at a few times at most, however the bytes come: a frame in small chunks takes no more than a
/// small multiple of the time in one. Quadratic work would take thousands of times as long.
#[test]
fn bytes_that_come_one_by_one_cost_no_quadratic_work() {
    for (notation, stream) in long_frames() {
        let mut deframer = Deframer::new(framing(notation).max(1 << 20));
        let (frames, usage) = usage(|| {
            let mut frames = 0;
            for byte in stream.chunks(1) {
                let mut input = byte;
                while deframer.decode(&mut input).unwrap_or_else(|error| panic!("{notation}: {error}")).is_some() {
                    frames += 1;
                }
            }
            frames
        });
        assert_eq!(frames, 1, "{notation}");
        assert!(usage.moved < 4 * stream.len() + 65536, "{notation} moved {} bytes for {}", usage.moved, stream.len());
        assert!(usage.peak < 3 * stream.len() as isize + 65536, "{notation} held {} bytes", usage.peak);
    }
}

#[test]
fn a_frame_that_is_left_out_is_not_kept() {
    for (notation, stream) in long_frames() {
        let Ok(framing) =
            notation.replace(')', ", ").replace("fcs=none, ", "fcs=none)").parse::<unglue_frame::Framing>()
        else {
            continue;
        };
        let Ok(framing) = framing.max(100).too_long(unglue_frame::TooLong::Skip) else { continue };
        if notation == "http-chunked" {
            continue; // Its trailers aren't data, and have a bound of their own.
        }
        let mut deframer = Deframer::new(framing);
        let (frames, usage) = usage(|| {
            let mut frames = 0;
            for chunk in stream.chunks(1000) {
                let mut input = chunk;
                while deframer.decode(&mut input).unwrap_or_else(|error| panic!("{notation}: {error}")).is_some() {
                    frames += 1;
                }
            }
            frames
        });
        assert_eq!((frames, deframer.finish()), (0, Ok(())), "{notation}");
        assert!(usage.peak < 20_000, "{notation} held {} bytes", usage.peak);
        assert_eq!(deframer.offset(), stream.len() as u64, "{notation}");
    }
}
