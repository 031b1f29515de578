//! Any chunking of the same bytes gives the same frames, or the same error at the same offset.

use crate::collect::{Run, WAYS, run, whole};
use unglue_frame::{Framing, Int, Layout};

/// Asserts that every split of `stream` gives what the whole gives.
pub(crate) fn every_split(framing: &Framing, stream: &[u8]) -> Run {
    assert!(stream.len() <= 16, "2^{} splits are too many", stream.len() - 1);
    let want = whole(framing, stream);
    for way in WAYS {
        for cuts in 0..1u32 << stream.len().saturating_sub(1) {
            let chunks = stream.chunk_by(|a, _| {
                let at = (a as *const u8 as usize) - stream.as_ptr() as usize;
                cuts >> at & 1 == 0
            });
            assert_eq!(run(framing, chunks, way), want, "{framing:?} {way:?} cuts {cuts:b} of {stream:02x?}");
        }
    }
    want
}

#[test]
fn a_four_byte_length() {
    let framing = Framing::u32be().max(3);
    assert_eq!(every_split(&framing, b"\0\0\0\x01a\0\0\0\0\0\0\0\x02bc").frames.len(), 3);
    assert!(every_split(&framing, b"\0\0\0\x01a\0\0\0\x04bcde").end.is_err());
    assert!(every_split(&framing, b"\0\0\0\x01a\0\0\0\x03bc").end.is_err());
    assert!(every_split(&framing, b"\0\0\0\x01aGET / HTTP").end.is_err());
}

#[test]
fn the_session_protocols_header() {
    let layout = Layout::new().length("len", Int::U32BE).field("kind", Int::U8).field("stream", Int::U32BE).data();
    let framing = layout.build().unwrap().max(5);
    assert_eq!(every_split(&framing, b"\0\0\0\x02\x07\0\0\0\x09ab").frames.len(), 1);
    assert!(every_split(&framing, b"\0\0\0\x06\x07\0\0\0\x09abcdef").end.is_err());
    assert!(every_split(&framing, b"\0\0\0\x02\x07\0\0\0\x09abc").end.is_err());
}

#[test]
fn a_layout_with_everything() {
    let layout = Layout::new()
        .literal(&[1])
        .field("id", Int::varint(2))
        .length("len", Int::varint(2))
        .field("p", Int::U8)
        .reserved(1)
        .data_plus(-1)
        .pad(1)
        .field("t", Int::U16LE)
        .literal(&[0xce]);
    let framing = layout.build().unwrap();
    let stream = b"\x01\x81\x01\x03\x02_ab\0\0\x05\x06\xce\x01";
    let seen = every_split(&framing, stream);
    assert_eq!((seen.frames.len(), seen.frames[0].data.as_slice()), (1, &b"ab"[..]));
    assert!(every_split(&framing, b"\x01\x81\x00\x03").end.is_err());
    assert!(every_split(&framing, b"\x01\x05\x01\0\0__\xcf").end.is_err());
    assert!(every_split(&framing, b"\x01\x05\x00\0\0").end.is_err());
}
