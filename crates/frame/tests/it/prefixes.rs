//! Length-prefixed frames and layouts, both ways.

use unglue_frame::{Deframer, EncodeError, Enframer, Fault, Framing, Int, Layout, Looks};

fn session() -> Framing {
    let layout = Layout::new().length("len", Int::U32BE).field("kind", Int::U8).field("stream", Int::U32BE).data();
    layout.build().unwrap().max(1 << 16)
}

#[test]
fn fields_come_back() {
    let mut wire = Vec::new();
    let enframer = Enframer::new(session());
    enframer.encode(&[7, 0x0102_0304], b"data", &mut wire).unwrap();
    assert_eq!(wire, b"\0\0\0\x04\x07\x01\x02\x03\x04data");
    let mark = enframer.begin(&[8, 9], &mut wire).unwrap();
    wire.extend_from_slice(b"in place");
    enframer.end(mark, &[8, 9], &mut wire).unwrap();

    let mut deframer = Deframer::new(session());
    let mut input = &wire[..];
    let frames: Vec<_> = deframer.frames(&mut input).map(Result::unwrap).collect();
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].field(0), frames[0].field(1), frames[0].data()), (7, 0x0102_0304, &b"data"[..]));
    assert_eq!((frames[1].field(0), frames[1].field(1), frames[1].data()), (8, 9, &b"in place"[..]));
    assert_eq!((frames[1].offset(), frames[1].field_named("len")), (13, Some(8)));
}

#[test]
fn a_frame_taken_early_leaves_the_rest_to_the_caller() {
    let wire = b"\0\0\0\x01a\0\0\0\x01b\0\0";
    let mut deframer = Deframer::new(Framing::u32be());
    let mut input = &wire[..];
    assert_eq!(deframer.frames(&mut input).next().unwrap().unwrap().data(), b"a");
    assert_eq!(input, &wire[5..]);
    deframer.feed(input);
    assert_eq!(deframer.next().unwrap().unwrap().data(), b"b");
    assert!(deframer.next().unwrap().is_none());
    assert_eq!(deframer.into_parts(), b"\0\0");
}

#[test]
fn what_does_not_fit_is_not_written() {
    let enframer = Enframer::new(Framing::prefixed(Int::U8));
    let mut wire = b"before".to_vec();
    let wrong = enframer.encode(&[], &[0; 256], &mut wire).unwrap_err();
    assert_eq!((wrong, &wire[..]), (EncodeError::TooLong { got: 256, limit: 255 }, &b"before"[..]));
    let mark = enframer.begin(&[], &mut wire).unwrap();
    wire.extend_from_slice(&[0; 256]);
    assert!(enframer.end(mark, &[], &mut wire).is_err());
    assert_eq!(wire, b"before");
    let wrong = Enframer::new(session()).encode(&[256, 0], b"", &mut wire).unwrap_err();
    assert!(matches!(wrong, EncodeError::Field { index: 0, got: 256, limit: 255, .. }));
}

#[test]
fn a_slice_takes_a_frame_or_nothing() {
    for framing in [Framing::u32be(), Framing::netstring(), Framing::prefixed(Int::U16LE)] {
        let (mut wire, enframer) = (Vec::new(), Enframer::new(framing));
        enframer.encode(&[], b"hello", &mut wire).unwrap();
        let mut slice = [0; 20];
        assert_eq!(enframer.encode_to(&[], b"hello", &mut slice), Ok(wire.len()));
        assert_eq!(slice[..wire.len()], wire);
        let mut short = vec![9; wire.len() - 1];
        let room = EncodeError::NoRoom { need: wire.len(), have: wire.len() - 1 };
        assert_eq!((enframer.encode_to(&[], b"hello", &mut short), &short), (Err(room), &vec![9; wire.len() - 1]));
    }
}

#[test]
fn an_absurd_length_is_told_for_what_it_is() {
    let mut deframer = Deframer::new(Framing::u32be());
    deframer.feed(b"\0\0\0\0GET / HTTP/1.1\r\n");
    deframer.next().unwrap();
    let error = deframer.next().unwrap_err();
    let fault = Fault::TooLong { got: 1_195_725_856, limit: 8 << 20, looks: Some(Looks::Http(*b"GET ")) };
    assert_eq!((error.offset, error.fault), (4, fault));
    let says = "frame at byte 4: it announces 1195725856 bytes, the limit is 8388608; \
                that is `GET ` in ASCII: is the peer speaking HTTP?";
    assert_eq!(error.to_string(), says);
    for (bytes, looks) in [
        (b"\x16\x03\x01\x02", Looks::Tls), // 369295616 and more
        (b"SSH-", Looks::Ssh),
        (b"{\"a\"", Looks::Json),
        (b"+OK ", Looks::Text(*b"+OK ")),
        (b"\x40\x00\x00\x00", Looks::OtherOrder(64)),
    ] {
        let mut deframer = Deframer::new(Framing::u32be());
        deframer.feed(bytes);
        let Fault::TooLong { looks: Some(seen), .. } = deframer.next().unwrap_err().fault else { panic!("{bytes:?}") };
        assert_eq!(seen, looks);
    }
}

#[test]
fn a_varint_header_is_made_wider_in_place() {
    let enframer = Enframer::new(Layout::new().length("len", Int::VARINT).field("k", Int::U8).data().build().unwrap());
    for size in [0, 1, 127, 128, 16_383, 16_384] {
        let (data, mut whole, mut placed) = (vec![5; size], Vec::new(), Vec::new());
        enframer.encode(&[9], &data, &mut whole).unwrap();
        let mark = enframer.begin(&[9], &mut placed).unwrap();
        placed.extend_from_slice(&data);
        enframer.end(mark, &[9], &mut placed).unwrap();
        assert!(whole == placed, "{size}");
    }
}
