//! Headers whose JSON tells how long a body follows.

use unglue_frame::{DecodeError, Deframer, EncodeError, Enframer, Fault, Framing, Int, Part};

fn framing() -> Framing {
    "u32le+json(body=filesize)".parse().unwrap()
}

fn wire(header: &str, body: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    Enframer::new(framing()).encode(&[], header.as_bytes(), &mut wire).unwrap();
    wire.extend_from_slice(body);
    wire
}

/// A header and its body.
type Message = (Vec<u8>, Vec<u8>);

/// Headers and bodies, the bodies' pieces put together.
fn messages<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Message>, DecodeError> {
    let mut deframer = Deframer::new(framing());
    let mut seen: Vec<Message> = Vec::new();
    for mut chunk in chunks {
        while let Some(frame) = deframer.decode(&mut chunk)? {
            match frame.part() {
                Part::Header { body } => {
                    seen.push((frame.data().to_vec(), Vec::with_capacity(body as usize)));
                }
                Part::Piece { left } => {
                    let body = &mut seen.last_mut().unwrap().1;
                    body.extend_from_slice(frame.data());
                    assert_eq!(body.capacity() - body.len(), left as usize);
                }
                Part::Whole => panic!("a header without its body"),
            }
        }
    }
    deframer.finish()?;
    Ok(seen)
}

#[test]
fn a_body_follows_its_header_in_pieces() {
    assert_eq!(framing(), Framing::json_header(Int::U32LE, "filesize"));
    let first = r#"{"name":"a\"b","x":{"filesize":7},"filesize":5}"#;
    let mut stream = wire(first, b"hello");
    stream.extend(wire(r#"{"filesize":0}"#, b""));
    stream.extend(wire(r#" { "filesize" : 3 } "#, b"abc"));
    for size in 1..=stream.len() {
        let seen = messages(stream.chunks(size)).unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[0], (first.as_bytes().to_vec(), b"hello".to_vec()));
        assert_eq!((&seen[1].1[..], &seen[2].1[..]), (&b""[..], &b"abc"[..]));
    }
    let error = messages(stream[..stream.len() - 1].chunks(4)).unwrap_err();
    assert_eq!(error.fault, Fault::Truncated { have: 2, need: Some(3) });
}

#[test]
fn a_header_without_a_fitting_number_is_refused() {
    for header in [
        "{}",
        "[]",
        "",
        "{\"filesize\":-1}",
        "{\"filesize\":1.5}",
        "{\"filesize\":\"5\"}",
        "{\"filesize\":1} x",
        "{\"filesize\":1,\"filesize\":2}",
    ] {
        let error = Enframer::new(framing()).encode(&[], header.as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(error, EncodeError::JsonHeader, "{header}");
        let mut wire = Vec::from((header.len() as u32).to_le_bytes());
        wire.extend_from_slice(header.as_bytes());
        assert_eq!(messages([&wire[..]].into_iter()).unwrap_err().fault, Fault::JsonHeader, "{header}");
    }
}
