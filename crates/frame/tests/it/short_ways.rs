//! The fast ways give what the slow ones give.

use bytes::BytesMut;
use unglue_frame::{BytesDeframer, Deframer, Enframer, Fault, Framing, protocols};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap()
}

/// Data, head and raw bytes of all frames, taken out of chunks of so many bytes.
fn frames(notation: &str, wire: &[u8], chunk: usize) -> Vec<[Vec<u8>; 3]> {
    let mut deframer = Deframer::new(framing(notation));
    let mut found = Vec::new();
    for mut chunk in wire.chunks(chunk) {
        for frame in deframer.frames(&mut chunk) {
            let frame = frame.unwrap();
            found.push([frame.data(), frame.head(), frame.raw()].map(Vec::from));
        }
    }
    deframer.finish().unwrap();
    found
}

#[test]
fn a_stuffed_frame_is_the_same_whether_it_had_to_be_decoded_or_not() {
    let full = [7; 254];
    let messages: [&[u8]; 7] = [b"plain", b"\xc0", b"a\xdbb", b"\0", b"a\0b", &full, &[7; 255]];
    for notation in ["slip", "cobs"] {
        let mut wire = Vec::new();
        for message in messages {
            Enframer::new(framing(notation)).encode(&[], message, &mut wire).unwrap();
        }
        let want = frames(notation, &wire, 1);
        assert_eq!(want.len(), messages.len());
        for (message, [data, head, raw]) in messages.iter().zip(&want) {
            assert_eq!((&data[..], &head[..]), (*message, &b""[..]), "{notation}");
            assert!(raw.len() > data.len());
        }
        for chunk in [2, 3, 250, 300, wire.len()] {
            assert_eq!(frames(notation, &wire, chunk), want, "{notation}, chunks of {chunk} bytes");
        }
    }
}

#[test]
fn an_empty_cobs_frame_is_refused_where_empty_frames_are() {
    for chunk in [1, 2] {
        let mut deframer = Deframer::new(framing("cobs(empty=deny)"));
        let error = b"\x01\0".chunks(chunk).find_map(|mut chunk| deframer.decode(&mut chunk).err()).unwrap();
        assert_eq!(error.fault, Fault::Empty);
    }
}

#[test]
fn shared_bytes_are_those_that_others_give() {
    for protocol in protocols() {
        let wire = protocol.example.repeat(3);
        let (mut shared, mut own) =
            (BytesDeframer::new(framing(protocol.name)), BytesDeframer::new(framing(protocol.name)));
        let (mut input, mut same) = (BytesMut::from(&wire[..]), BytesMut::from(&wire[..]));
        loop {
            let frame = shared.decode_bytes(&mut input).unwrap();
            assert_eq!(frame, own.decode_data(&mut same).unwrap().map(BytesMut::freeze), "{}", protocol.name);
            assert_eq!((shared.offset(), &input), (own.offset(), &same), "{}", protocol.name);
            if frame.is_none() {
                break;
            }
        }
    }
}

#[test]
fn a_frame_that_is_cut_or_left_out_is_so_wherever_chunks_end() {
    let lengths =
        ["u8", "u16le", "u32be", "u64be", "varint", "a:u8 len:u32be b:u8 data[len]", "len:u16be b:u8 data[len-1]"];
    for length in lengths {
        for (option, want) in [("skip", &[&b"ab"[..], b"cd"][..]), ("cut", &[b"ab", b"too", b"cd"])] {
            let wide = Enframer::new(framing(length));
            let fields: Vec<u64> = framing(length).field_names().map(|_| 7).collect();
            let mut wire = Vec::new();
            for message in [&b"ab"[..], b"too long, by far", b"cd"] {
                wide.encode(&fields, message, &mut wire).unwrap();
            }
            let notation = match length.contains(' ') {
                true => format!("{length} (max=3, toolong={option})"),
                false => format!("{length}(max=3, toolong={option})"),
            };
            for chunk in 1..=wire.len() {
                let got = frames(&notation, &wire, chunk);
                let data: Vec<&[u8]> = got.iter().map(|[data, ..]| &data[..]).collect();
                assert_eq!(data, want, "{notation}, chunks of {chunk} bytes");
            }
        }
    }
}

#[test]
fn a_varint_is_no_longer_than_its_framing_allows() {
    let wire = [&b"\x80\x80\x01"[..], &[b'x'; 1 << 14]].concat();
    assert_eq!(frames("varint(3)", &wire, wire.len())[0][0].len(), 1 << 14);
    for chunk in [1, wire.len()] {
        let mut deframer = Deframer::new(framing("varint(2)"));
        let error = wire.chunks(chunk).find_map(|mut chunk| deframer.decode(&mut chunk).err()).unwrap();
        assert_eq!(error.fault, Fault::VarintTooLong { limit: 2 });
    }
}

#[test]
fn a_frame_is_written_alike_by_every_way_and_nothing_behind_it() {
    for notation in [
        "u32be",
        "u24le",
        "len:u32be kind:u8 stream:u32be data[len]",
        "a:u8 len:u16le b:u24be data[len]",
        "01 02 03 04 05 06 07 08 09 _*11 a:u40le len:u56be data[len]",
        "len:u32be kind:u16le data[len] crc32",
        "len:u8 data[len] end:u16be",
        "n:varint len:u16be data[len]",
    ] {
        let framing = framing(notation);
        let fields: Vec<u64> = framing.field_names().enumerate().map(|(at, _)| 0x41 + at as u64).collect();
        let enframer = Enframer::new(framing);
        for data in [&b""[..], b"a", b"hello, world, with a few more bytes"] {
            let mut wire = Vec::new();
            enframer.encode(&fields, data, &mut wire).unwrap();
            let mut with = Vec::new();
            enframer.encode_with(&fields, &mut with, |out| out.extend_from_slice(data)).unwrap();
            let mut bytes = BytesMut::new();
            enframer.encode(&fields, data, &mut bytes).unwrap();
            assert_eq!((&with, &bytes[..]), (&wire, &wire[..]), "{notation}");
            for room in [wire.len(), wire.len() + 9, wire.len() + 300] {
                let mut slice = vec![0xee; room];
                assert_eq!(enframer.encode_to(&fields, data, &mut slice), Ok(wire.len()), "{notation}");
                assert_eq!(slice[..wire.len()], wire, "{notation}");
                assert!(
                    slice[wire.len()..].iter().all(|byte| *byte == 0xee),
                    "{notation}: bytes behind the frame changed"
                );
            }
        }
    }
}

#[test]
fn a_field_that_does_not_fit_leaves_the_output_as_it_was() {
    let enframer = Enframer::new(framing("a:u32be len:u32be b:u8 data[len]"));
    let mut out = b"before".to_vec();
    enframer.encode(&[1, 256], b"x", &mut out).unwrap_err();
    enframer.encode(&[1], b"x", &mut out).unwrap_err();
    assert_eq!(out, b"before");
}
