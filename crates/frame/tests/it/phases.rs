//! Streams whose framing changes on the way: upgrades, raw bytes between frames, prefixes, other maxima.

use std::io::Read;
use tokio::io::AsyncReadExt as _;
use unglue_frame::{
    BytesDeframer, DecodeError, Deframer, Fault, Framing, LayoutError, io, with_embedded, with_futures, with_tokio,
};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap()
}

/// An SMTP-like dialogue: lines, a binary block announced in one, a start-up message, tagged messages.
const STREAM: &[u8] = b"hello\nDATA 5\n\0\n\xff\n\nUPGRADE\n\0\0\0\x08\0\x03\0\0Q\0\0\0\x07one";

fn phases<'i>(chunk: usize) -> impl Iterator<Item = &'i [u8]> {
    STREAM.chunks(chunk)
}

#[test]
fn a_deframer_goes_through_phases_whatever_the_chunks() {
    for chunk in 1..=STREAM.len() {
        let mut deframer = Deframer::new(Framing::lines());
        let (mut lines, mut block, mut data) = (Vec::new(), Vec::new(), Vec::new());
        for piece in phases(chunk) {
            deframer.feed(piece);
            loop {
                if lines.len() == 2 && block.len() < 5 {
                    let raw = deframer.take_raw(5 - block.len()).to_vec();
                    block.extend_from_slice(&raw);
                    if block.len() < 5 {
                        break;
                    }
                }
                let Some(frame) = deframer.next().unwrap() else { break };
                if lines.len() == 3 {
                    data.push(frame.data().to_vec());
                } else {
                    lines.push(frame.data().to_vec());
                }
                if data.len() == 1 {
                    deframer.switch(framing("tag:u8 len:u32be data[len-4]"));
                } else if lines.len() == 3 && data.is_empty() {
                    deframer.switch(framing("u32be(incl)"));
                }
            }
        }
        assert_eq!(lines, [&b"hello"[..], b"DATA 5", b"UPGRADE"], "{chunk}");
        assert_eq!((&block[..], data), (&b"\0\n\xff\n\n"[..], vec![b"\0\x03\0\0".to_vec(), b"one".to_vec()]));
        assert_eq!((deframer.offset(), deframer.finish()), (STREAM.len() as u64, Ok(())));
    }
}

#[test]
fn every_reader_has_raw_bytes_between_frames() {
    let mut raw = [0; 5];
    let mut reader = io::FrameReader::new(STREAM, Framing::lines());
    assert_eq!(reader.next().unwrap().unwrap().data(), b"hello");
    assert_eq!(reader.next().unwrap().unwrap().data(), b"DATA 5");
    reader.raw().read_exact(&mut raw).unwrap();
    assert_eq!(&raw, b"\0\n\xff\n\n");
    assert_eq!(reader.next().unwrap().unwrap().data(), b"UPGRADE");
    reader.switch(framing("u32be(incl)"));
    assert_eq!(reader.next().unwrap().unwrap().data(), b"\0\x03\0\0");
    let (inner, rest) = reader.into_parts();
    let mut reader = io::FrameReader::from_parts(inner, framing("tag:u8 len:u32be data[len-4]"), &rest);
    assert_eq!(reader.next().unwrap().unwrap().field(0), u64::from(b'Q'));
    assert!(reader.next().unwrap().is_none());

    // Raw bytes behind the buffered ones come from the reader itself, and count.
    let mut reader = io::FrameReader::new(&b"a\nrawbc\n"[..], Framing::lines()).with_chunks(2..=2);
    assert_eq!(reader.next().unwrap().unwrap().data(), b"a");
    reader.raw().read_exact(&mut raw[..3]).unwrap();
    assert_eq!((&raw[..3], reader.offset()), (&b"raw"[..], 5));
    assert_eq!((reader.next().unwrap().unwrap().offset(), reader.offset()), (5, 8));
}

#[tokio::test]
async fn asynchronous_readers_have_them_too() {
    let mut raw = [0; 5];
    let mut reader = with_tokio::FrameReader::new(STREAM, Framing::lines());
    assert_eq!(reader.next().await.unwrap().unwrap().data(), b"hello");
    assert_eq!(reader.next().await.unwrap().unwrap().data(), b"DATA 5");
    reader.raw().read_exact(&mut raw).await.unwrap();
    assert_eq!(&raw, b"\0\n\xff\n\n");
    assert_eq!(reader.next().await.unwrap().unwrap().data(), b"UPGRADE");
    let (inner, rest) = reader.into_parts();
    let mut reader = with_tokio::FrameReader::from_parts(inner, framing("u32be(incl)"), &rest);
    assert_eq!(reader.next().await.unwrap().unwrap().data(), b"\0\x03\0\0");
    assert_eq!(*reader.get_mut(), b"");
    assert_eq!(reader.into_inner(), b"");

    use futures_util::AsyncReadExt as _;
    let mut reader = with_futures::FrameReader::new(futures_util::io::Cursor::new(STREAM), Framing::lines());
    reader.skip(13);
    reader.raw().read_exact(&mut raw[..2]).await.unwrap();
    assert_eq!(&raw[..2], b"\0\n", "what is left out comes before raw bytes, too");
}

#[test]
fn embedded_readers_and_writers_change_too() {
    let mut writer = with_embedded::FrameWriter::new(Vec::new(), Framing::lines());
    writer.write(&[], b"up").unwrap();
    writer.switch(Framing::u8());
    writer.set_max(2);
    writer.write(&[], b"ab").unwrap();
    assert!(matches!(writer.write(&[], b"abc"), Err(with_embedded::Error::Encode(_))));
    assert_eq!(writer.get_ref(), b"up\n\x02ab");
    let wire = writer.into_inner();
    let mut reader = with_embedded::FrameReader::new(&wire[..], Framing::lines(), 3);
    assert_eq!(reader.next().unwrap().unwrap().data(), b"up");
    reader.switch(Framing::u8());
    assert_eq!(reader.next().unwrap().unwrap().data(), b"ab");
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn a_prefix_is_left_out() {
    let stream = b"HTTP/1.1 101\r\nUpgrade: x\r\n\r\n\x03one\x03two";
    for chunk in 1..stream.len() {
        let mut deframer = Deframer::new(Framing::u8());
        deframer.skip_past(b"\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        for mut piece in stream.chunks(chunk) {
            for frame in deframer.frames(&mut piece) {
                let frame = frame.unwrap();
                seen.push((frame.offset(), frame.data().to_vec()));
            }
        }
        assert_eq!(seen, [(28, b"one".to_vec()), (32, b"two".to_vec())], "{chunk}");
    }
    let mut deframer = Deframer::new(Framing::u8());
    deframer.skip(28);
    deframer.skip(4);
    deframer.feed(stream);
    assert_eq!(deframer.next().unwrap().unwrap().data(), b"two");
    assert_eq!(deframer.skipped().frames, 0, "a prefix is no frame");
    assert_eq!(deframer.skip_past(b""), Err(LayoutError::Delimiter(0)));

    let mut deframer = Deframer::new(Framing::u8());
    deframer.skip(10);
    deframer.feed(b"abc");
    assert!(deframer.next().unwrap().is_none());
    assert_eq!(deframer.finish().unwrap_err().fault, Fault::Truncated { have: 3, need: Some(10) });
}

#[test]
fn the_maximum_changes_between_two_frames() {
    for notation in ["u8", "lines", "cobs", "netstring", "len:u16be data[len]"] {
        let framing = framing(notation).max(3);
        let mut wire = Vec::new();
        for message in ["abc", "abcde"] {
            let enframer = unglue_frame::Enframer::new(framing.clone().max(9));
            enframer.encode(&[], message.as_bytes(), &mut wire).unwrap();
        }
        let mut deframer = Deframer::new(framing.clone());
        deframer.feed(&wire);
        assert_eq!(deframer.next().unwrap().unwrap().data(), b"abc", "{notation}");
        deframer.set_max(5);
        assert_eq!(deframer.next().unwrap().unwrap().data(), b"abcde", "{notation}");

        let mut deframer = Deframer::new(framing.clone().max(9));
        deframer.feed(&wire);
        assert_eq!(deframer.next().unwrap().unwrap().data(), b"abc", "{notation}");
        deframer.set_max(4);
        assert!(deframer.next().is_err(), "{notation}");

        let mut enframer = unglue_frame::Enframer::new(framing);
        assert!(enframer.encode(&[], b"abcd", &mut Vec::new()).is_err(), "{notation}");
        enframer.set_max(4);
        enframer.encode(&[], b"abcd", &mut Vec::new()).unwrap();
        assert!(enframer.encode(&[], b"abcde", &mut Vec::new()).is_err(), "{notation}");
    }
    // A line of which more came than is now allowed.
    let mut deframer = Deframer::new(Framing::lines());
    assert!(deframer.decode(&mut &b"abcdefgh"[..]).unwrap().is_none());
    deframer.set_max(2);
    assert_eq!(deframer.decode(&mut &b"i\n"[..]).unwrap_err().fault, Fault::NoDelimiter { limit: 2 });
}

#[test]
fn an_error_ends_with_a_switch_and_the_bytes_are_still_there() {
    let mut deframer = Deframer::new(framing("u32be(max=10)"));
    deframer.feed(b"\0\0\0\x01aGET / HTTP/1.1\r\n");
    assert_eq!(deframer.next().unwrap().unwrap().data(), b"a");
    let DecodeError { offset, .. } = deframer.next().unwrap_err();
    assert_eq!(offset, 5);
    deframer.switch(Framing::lines());
    let frame = deframer.next().unwrap().unwrap();
    assert_eq!((frame.offset(), frame.data()), (5, &b"GET / HTTP/1.1"[..]));
}

#[test]
fn skipped_frames_are_counted_whatever_the_framing() {
    for (notation, wire, frames, bytes) in [
        ("u8(max=2, toolong=skip)", &b"\x01a\x03abc\x04abcd\x01b"[..], 2, 9),
        ("lines(max=2, toolong=skip)", b"a\nabc\nabcd\nb\n", 2, 9),
        ("slip(max=2, toolong=skip)", b"a\xc0abc\xc0abcdefgh\xc0b\xc0", 2, 13),
        ("netstring(max=2, toolong=skip)", b"1:a,3:abc,1:b,", 1, 6),
        ("u8(max=2, toolong=cut)", b"\x01a\x03abc\x01b", 0, 0),
    ] {
        for chunk in 1..wire.len() {
            let mut deframer = Deframer::new(framing(notation));
            for piece in wire.chunks(chunk) {
                deframer.frames(&mut &piece[..]).for_each(|frame| assert!(frame.is_ok()));
            }
            let skipped = deframer.skipped();
            assert_eq!((skipped.frames, skipped.bytes), (frames, bytes), "{notation} {chunk}");
            let mut deframer = BytesDeframer::new(framing(notation));
            let mut input = bytes::BytesMut::new();
            for piece in wire.chunks(chunk) {
                input.extend_from_slice(piece);
                while deframer.decode(&mut input).unwrap().is_some() {}
            }
            assert_eq!(deframer.skipped(), skipped, "{notation} {chunk}");
        }
    }
}

#[test]
fn bytes_fed_come_before_those_that_are_lent() {
    // Half a header fed, then the rest in a slice; and a whole frame fed behind which a slice follows.
    let mut deframer = Deframer::new(Framing::u32be());
    deframer.feed(b"\0\0");
    assert!(deframer.next().unwrap().is_none());
    assert_eq!(deframer.decode(&mut &b"\0\x01a"[..]).unwrap().unwrap().data(), b"a");
    deframer.feed(b"\0\0\0\x01b");
    let mut slice = &b"\0\0\0\x01c"[..];
    assert_eq!(deframer.decode(&mut slice).unwrap().unwrap().data(), b"b");
    assert_eq!(deframer.decode(&mut slice).unwrap().unwrap().data(), b"c");
}
