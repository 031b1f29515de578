//! Lines that end with a line feed alone, where a framing wants a carriage return as well: the error names the cause.

use bytes::BytesMut;
use unglue_frame::{BytesDeframer, DecodeError, Deframer, Fault, Framing};

/// Feeds the wire in pieces of this size, and gives the error at its end.
fn error(framing: &Framing, wire: &[u8], piece: usize) -> DecodeError {
    let mut deframer = Deframer::new(framing.clone());
    for bytes in wire.chunks(piece) {
        deframer.feed(bytes);
        match deframer.next() {
            Ok(None) => {}
            Ok(Some(frame)) => panic!("a frame: {:?}", frame.data()),
            Err(error) => return error,
        }
    }
    deframer.finish().expect_err("the input is not whole")
}

fn all_say(framing: &Framing, wire: &[u8], at: u64) {
    for piece in 1..=wire.len() {
        let error = error(framing, wire, piece);
        assert_eq!(error.fault, Fault::LineEnd { at }, "in pieces of {piece}: {error}");
    }
    let (mut deframer, mut input) = (BytesDeframer::new(framing.clone()), BytesMut::from(wire));
    let error = deframer.decode_eof(&mut input).expect_err("the input is not whole");
    assert_eq!(error.fault, Fault::LineEnd { at });
}

#[test]
fn headers_ended_by_line_feeds_name_the_line_ends() {
    all_say(&Framing::lsp(), b"Content-Length: 5\n\nhello", 17);
    all_say(&Framing::lsp(), b"Content-Length: 5\n\nhello\r\n\r\n", 17);
    all_say(&Framing::lsp(), b"Content-Length: 5\nhello", 17);
}

#[test]
fn an_unfinished_line_with_line_feeds_names_them() {
    all_say(&Framing::crlf(), b"one\ntwo\n", 3);
    let mut long = vec![b'x'; 5000];
    long.extend_from_slice(b"\ntwo\n");
    assert_eq!(error(&Framing::crlf(), &long, 1000).fault, Fault::LineEnd { at: 5000 });
    let error = error(&Framing::crlf(), b"one", 1);
    assert_eq!(error.fault, Fault::Truncated { have: 3, need: None }, "there is no line feed");
}

#[test]
fn a_line_feed_inside_a_line_is_data() {
    let mut deframer = Deframer::new(Framing::crlf());
    deframer.feed(b"one\ntwo\r\n");
    assert_eq!(deframer.next().unwrap().unwrap().data(), b"one\ntwo");
}
