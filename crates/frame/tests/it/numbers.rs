//! Lengths in other forms: scaled, masked, in digits, in padded varints; and what checksums cover.

use crate::{
    collect::{WAYS, run},
    cuts::Random,
};
use unglue_frame::{Checksum, Deframer, EncodeError, Enframer, Fault, Framing, Int, Layout};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"))
}

#[test]
fn each_form_prints_as_it_is_written_and_goes_both_ways() {
    for (notation, fields, data, wire) in [
        ("len:u8 data[len*4]", &[][..], &b"abcdefgh"[..], &b"\x02abcdefgh"[..]),
        ("t:u8 len:u8 data[len*8+6]", &[7], b"abcdef", b"\x07\0abcdef"),
        ("len:u16be data[len*2-4]", &[], b"ab", b"\0\x03ab"),
        ("len:u16be data[len&fff]", &[], b"ab", b"\0\x02ab"),
        ("last|len:u32be data[len&7fffffff]", &[1], b"ab", b"\x80\0\0\x02ab"),
        ("last|len:u32be data[len&7fffffff]", &[0], b"ab", b"\0\0\0\x02ab"),
        ("type|len:u16be data[len&fff0]", &[5], b"abc", b"\0\x35abc"),
        ("ends|len:u8 data[len&7e*2]", &[3], b"abcd", b"\x85abcd"),
        ("hex(4, incl)", &[], b"abc", b"0007abc"),
        ("len:hex(4) data[len-4]", &[], b"abc", b"0007abc"),
        ("len:hex 0d 0a data[len] 0d 0a", &[], b"0123456789abc", b"d\r\n0123456789abc\r\n"),
        ("len:dec 3a data[len] 2c", &[], b"hello", b"5:hello,"),
        ("mode:oct(6) len:oct(3) 00 data[len]", &[0o644], b"abcdefghi", b"000644011\0abcdefghi"),
        ("u48be", &[], b"ab", b"\0\0\0\0\0\x02ab"),
        ("len:u40le data[len]", &[], b"ab", b"\x02\0\0\0\0ab"),
        ("varint(5,padded)", &[], b"ab", b"\x02ab"),
        ("a:u8 len:u8 b:u8 data[len] crc32(from=len)", &[9, 8], b"x", b"\x09\x01\x08xh\x84\xc0#"),
        ("a:varint len:u8 data[len] sum8(from=a,to=a)", &[300], b"x", b"\xac\x02\x01x\xae"),
        ("len:u8 data[len] t:u8 sum8(from=len,to=data)", &[7], b"\x05", b"\x01\x05\x07\x06"),
        ("delim(\"\\n\", \"\\r\\n\")", &[], b"ab", b"ab\n"),
    ] {
        let framing = framing(notation);
        let printed = notation.replace("(5,padded)", "(5, padded)");
        assert_eq!(framing.to_string(), printed);
        assert_eq!(framing.to_string().parse::<Framing>().unwrap(), framing);
        let enframer = Enframer::new(framing.clone());
        let mut out = Vec::new();
        enframer.encode(fields, data, &mut out).unwrap_or_else(|error| panic!("{notation}: {error}"));
        assert_eq!(out.escape_ascii().to_string(), wire.escape_ascii().to_string(), "{notation}");
        out.clear();
        enframer.encode_with(fields, &mut out, |out| out.extend_from_slice(data)).unwrap();
        assert_eq!(out, wire, "{notation} in place");
        let mut slice = [0; 64];
        assert_eq!(enframer.encode_to(fields, data, &mut slice), Ok(wire.len()), "{notation}");
        assert_eq!(&slice[..wire.len()], wire, "{notation} in a slice");
        let mut deframer = Deframer::new(framing.clone());
        let mut input = wire;
        let frame = deframer.decode(&mut input).unwrap().unwrap();
        let read: Vec<u64> = (0..fields.len()).map(|index| frame.field(index)).collect();
        assert_eq!((frame.data(), &read[..]), (data, fields), "{notation}");
        let two = [wire, wire].concat();
        for way in WAYS {
            let seen = run(&framing, two.chunks(1), way);
            assert_eq!((seen.frames.len(), seen.end), (2, Ok(())), "{notation} {way:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let encode = |notation, fields: &[u64], data: &[u8]| {
        Enframer::new(framing(notation)).encode(fields, data, &mut Vec::new()).unwrap_err()
    };
    let error = encode("len:u8 data[len*4]", &[], b"abc");
    assert_eq!(error, EncodeError::Multiple { got: 3, of: 4 });
    assert_eq!(encode("len:u8 data[len&3]", &[], b"abcd"), EncodeError::TooLong { got: 4, limit: 3 });
    let error = encode("last|len:u16be data[len&7fff]", &[2], b"a");
    assert_eq!(error.to_string(), "the field last is 2, at most 1 fits");
    let error = encode("len:hex(2) kind:u8 data[len]", &[256], b"a");
    assert_eq!(error.to_string(), "the field kind is 256, at most 255 fits");
    assert_eq!(encode("hex(1)", &[], &[0; 16]), EncodeError::TooLong { got: 16, limit: 15 });

    for (notation, wire, fault) in [
        ("hex(4)", &b"00g0"[..], Fault::Number { at: 2, got: b'g' }),
        ("t:u8 len:oct(3) data[len]", b"x018", Fault::Number { at: 3, got: b'8' }),
        ("len:dec 20 data[len]", b"01 a", Fault::Number { at: 1, got: b'1' }),
        ("len:dec 20 data[len]", b" a", Fault::Number { at: 0, got: b' ' }),
        ("len:dec 20 data[len]", b"1;a", Fault::Literal { at: 1, want: b' ', got: b';' }),
        ("varint", b"\x82\x00ab", Fault::VarintPadded { value: 2 }),
        ("len:u8 data[len*2-4]", b"\x01", Fault::TooShort { got: 1, least: 2 }),
    ] {
        for way in WAYS {
            for size in [1, 9] {
                let seen = run(&framing(notation), wire.chunks(size), way);
                assert_eq!(seen.end.map_err(|error| error.fault), Err(fault), "{notation} {way:?}");
            }
        }
    }
    let seen = run(&framing("varint(padded)"), [&b"\x82\x80\x00ab"[..]], WAYS[0]);
    assert_eq!(seen.frames[0].data, b"ab");
}

#[test]
fn wrong_notations_point_at_the_place() {
    for (text, column, says) in [
        ("len:dec data[len]", 1, "need a byte behind them"),
        ("len:hex 0a data[len]", 0, ""),
        ("len:hex 61 data[len]", 1, "need a byte behind them"),
        ("hex", 1, "how many digits"),
        ("hex(17)", 5, "digits"),
        ("len:varint(11) data[len]", 5, "no integer"),
        ("len:u8 data[len&100]", 1, "the mask must have bits"),
        ("len:u8 data[len&0]", 1, "the mask must have bits"),
        ("len:varint data[len&7f]", 1, "the mask must have bits"),
        ("a|len:u8 data[len]", 1, "the mask must have bits"),
        ("len:u8 data[len&xyz]", 17, "a mask in hex"),
        ("len:u8 data[len*0]", 17, "above 0"),
        ("len:u8 data[len*2+]", 19, "a number of bytes"),
        ("len:u8 data[len] crc32(from=x)", 24, "no field x"),
        ("len:u8 data[len] t:u8 crc32(from=t)", 23, "before the data's end"),
        ("a:u8 len:u8 data[len] sum8(from=len,to=a)", 23, "behind it"),
        ("delim(\"a\", \"\")", 12, "1 to 32 bytes"),
        ("len:u32be data[len](max=1X)", 21, "max=BYTES"),
    ] {
        match text.parse::<Framing>() {
            Ok(_) => assert_eq!(column, 0, "{text} is good"),
            Err(error) => {
                assert_eq!(error.column, column, "{text}: {error}");
                assert!(error.to_string().contains(says), "{text}: {error}");
            }
        }
    }
    let framing = framing("len:u32be data[len](max=1M)");
    assert_eq!(framing.to_string(), "len:u32be data[len] (max=1M)");
}

#[test]
fn builders_make_what_the_notation_does() {
    for (built, notation) in [
        (
            Layout::new().length_masked("len", Int::U32BE, 0x7fff_ffff, Some("last")).data().build().unwrap(),
            "last|len:u32be data[len&7fffffff]",
        ),
        (Layout::new().length("n", Int::U8).data_scaled(4, -4).build().unwrap(), "n:u8 data[n*4-4]"),
        (Framing::prefixed(Int::hex(4)).incl().unwrap(), "hex(4, incl)"),
        (Framing::prefixed(Int::VARINT.padded()), "varint(padded)"),
        (
            Layout::new().length("n", Int::U8).data().checksum_over("n", Some("data"), Checksum::SUM8).build().unwrap(),
            "n:u8 data[n] sum8(from=n,to=data)",
        ),
        (Framing::any_delim(&[b"\n", b"\r\n"]).unwrap(), "delim(\"\\n\", \"\\r\\n\")"),
    ] {
        assert_eq!(built, framing(notation));
    }
    assert!(Layout::new().length("n", Int::U8).data().checksum_over("x", None, Checksum::SUM8).build().is_err());
    assert!(Layout::new().length("n", Int::U8).data_scaled(0, 0).build().is_err());
    assert!(Framing::any_delim(&[]).is_err() && Framing::any_delim(&[b"a", b""]).is_err());
}

#[test]
fn of_several_delimiters_the_first_to_end_counts_and_the_longest_of_these() {
    let mut random = Random(3);
    for (notation, wire, gives) in [
        ("delim(\"\\n\", \"\\r\\n\")", &b"a\r\nb\nc\r\r\n\r\nd\r\n"[..], "a|b|c\r||d"),
        ("delim(\"\\r\", \"\\r\\n\")", b"a\r\nb\r", "a|\nb"),
        ("delim(\"--\", \"-+-\", \";\")", b"a-+-b--c;-+--;", "a|b|c||-"),
        ("delim(\"ab\", \"b\", \"xab\", max=2)", b"1xab22b333b", "1|22!"),
        ("delim(\"ab\", \"c\", max=2, toolong=skip)", b"xxxxabyc12345c", "y"),
        ("delim(\"ab\", \"c\", max=2, toolong=cut)", b"xxxxabyc12345c", "xx|y|12"),
    ] {
        for way in WAYS {
            for _ in 0..40 {
                let (mut chunks, mut rest) = (Vec::new(), wire);
                while !rest.is_empty() {
                    let (chunk, after) = rest.split_at(1 + random.below(rest.len()).min(random.below(4)));
                    chunks.push(chunk);
                    rest = after;
                }
                let seen = run(&framing(notation), chunks.iter().copied(), way);
                let data: Vec<_> = seen.frames.iter().map(|seen| String::from_utf8_lossy(&seen.data)).collect();
                let mark = if seen.end.is_err() { "!" } else { "" };
                assert_eq!(data.join("|") + mark, gives, "{notation} {way:?} {chunks:?}");
            }
        }
    }
    let enframer = Enframer::new(framing("delim(\"\\n\", \"\\r\\n\", \";\")"));
    for (data, at) in [(&b"a;b"[..], 1), (b"a\r\nb", 1), (b"a\r", 1)] {
        assert_eq!(enframer.encode(&[], data, &mut Vec::new()), Err(EncodeError::Delimiter { at }));
    }
}
