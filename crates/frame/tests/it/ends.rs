//! A last frame that lacks its end: an error, unless `last=allow`.

use crate::collect::{WAYS, run};
use unglue_frame::{Fault, Framing, io};

#[test]
fn the_last_line_needs_no_end_where_that_is_allowed() {
    for (notation, wire, gives) in [
        ("lines(last=allow)", &b"a\nb"[..], "a|b"),
        ("lines(last=allow)", b"a\r\nb\r", "a|b"),
        ("lines(last=allow)", b"a\n", "a"),
        ("lines(last=allow)", b"", ""),
        ("lines(last=allow)", b"\r", ""),
        ("crlf(last=allow)", b"a\r\nb\r", "a|b\r"),
        ("delim(\"--\", last=allow)", b"a--b-", "a|b-"),
        ("nul(last=allow)", b"\0b", "|b"),
        ("lines(last=allow, max=2)", b"a\nbc", "a|bc"),
        ("lines(last=allow, max=2)", b"a\nbcd", "a!"),
        ("crlf(last=allow, max=2)", b"a\r\nbc\r", "a!"),
        ("crlf(last=allow, max=2, toolong=skip)", b"a\r\nbc\r", "a"),
        ("crlf(last=allow, max=2, toolong=cut)", b"a\r\nbc\r", "a|bc"),
        ("lines(last=allow, max=2, toolong=skip)", b"a\nbcd", "a"),
        ("lines(last=allow, max=2, toolong=skip)", b"a\nbcdefgh", "a"),
        ("lines(last=allow, max=2, toolong=cut)", b"a\nbcdefgh", "a|bc"),
        ("lines(last=allow, empty=deny)", b"a\n\r", "a!"),
        ("lines", b"a\nb", "a!"),
        ("lines(last=deny)", b"a\nb", "a!"),
    ] {
        let framing: Framing = notation.parse().unwrap();
        for way in WAYS {
            for chunk in [1, 2, 100] {
                let seen = run(&framing, wire.chunks(chunk), way);
                let data: Vec<_> = seen.frames.iter().map(|seen| String::from_utf8_lossy(&seen.data)).collect();
                let mark = if seen.end.is_err() { "!" } else { "" };
                assert_eq!(data.join("|") + mark, gives, "{notation} {way:?} {chunk}: {:?}", wire.escape_ascii());
            }
        }
    }
}

#[test]
fn a_reader_gives_the_last_line_too() {
    let framing = Framing::lines().allow_last().unwrap();
    assert_eq!(framing.to_string(), "lines(last=allow)");
    let mut reader = io::FrameReader::new(&b"a\nb"[..], framing.clone());
    assert_eq!(reader.next().unwrap().unwrap().data(), b"a");
    assert_eq!(reader.next().unwrap().unwrap().data(), b"b");
    assert!(reader.next().unwrap().is_none());
    let mut reader = io::FrameReader::new(&b"a\nb"[..], framing);
    let mut lines = Vec::new();
    while let Some(batch) = reader.batch().unwrap() {
        lines.extend(batch.map(|frame| frame.unwrap().data().to_vec()));
    }
    assert_eq!(lines, [b"a", b"b"]);
    assert!(Framing::cobs().allow_last().is_err() && Framing::u32be().allow_last().is_err());
    let seen = run(&Framing::nul(), [&b"ab"[..]], WAYS[0]);
    assert_eq!(seen.end.unwrap_err().fault, Fault::Truncated { have: 2, need: None });
}
