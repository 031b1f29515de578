//! The maximum itself is allowed, and one byte more is not, at both ends.

use unglue_frame::{Deframer, EncodeError, Enframer, Fault, Framing, Looks};

/// Framings without an end; the limit is added to each.
const NOTATIONS: [(&str, &str); 10] = [
    ("u8", "u8(max=100)"),
    ("u16be(incl)", "u16be(incl, max=100)"),
    ("u32le", "u32le(max=100)"),
    ("varint", "varint(max=100)"),
    ("netstring", "netstring(max=100)"),
    ("tag:u8 len:u32be data[len-4]", "tag:u8 len:u32be data[len-4] (max=100)"),
    ("len:u16be data[len+4]", "len:u16be data[len+4] (max=100)"),
    ("len:varint t:u8 data[len]", "len:varint t:u8 data[len] (max=100)"),
    ("len:u16be data[len] sum8", "len:u16be data[len] sum8 (max=100)"),
    ("t:u8 len:u32be data[len] pad[t]", "t:u8 len:u32be data[len] pad[t] (max=100)"),
];

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"))
}

fn encoded(notation: &str, data: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let framing = framing(notation);
    let fields = vec![0; framing.field_names().count()];
    let mut wire = Vec::new();
    Enframer::new(framing).encode(&fields, data, &mut wire).map(|_| wire)
}

fn decoded(notation: &str, wire: &[u8], piece: usize) -> Result<Option<Vec<u8>>, Fault> {
    let mut deframer = Deframer::new(framing(notation));
    for piece in wire.chunks(piece) {
        deframer.feed(piece);
        if let Some(frame) = deframer.next().map_err(|error| error.fault)? {
            return Ok(Some(frame.data().to_vec()));
        }
    }
    Ok(None)
}

#[test]
fn a_decoder_takes_the_maximum_and_not_one_byte_more() {
    for (free, limited) in NOTATIONS {
        for piece in [1, 1000] {
            let most = encoded(free, &[7; 100]).expect(free);
            assert_eq!(decoded(limited, &most, piece), Ok(Some(vec![7; 100])), "{limited} in pieces of {piece}");
            let more = encoded(free, &[7; 101]).expect(free);
            let refused = decoded(limited, &more, piece);
            assert!(
                matches!(refused, Err(Fault::TooLong { got: 101, limit: 100, .. })),
                "{limited}, {piece}: {refused:?}"
            );
        }
    }
}

#[test]
fn an_encoder_writes_the_maximum_and_not_one_byte_more() {
    for (free, limited) in NOTATIONS {
        assert_eq!(encoded(limited, &[7; 100]), encoded(free, &[7; 100]), "{limited}");
        assert_eq!(encoded(limited, &[7; 101]), Err(EncodeError::TooLong { got: 101, limit: 100 }), "{limited}");
    }
}

#[test]
fn a_decoder_that_skips_takes_the_maximum_and_skips_one_byte_more() {
    for (free, notation) in [("u16be", "u16be(max=100, toolong=skip)"), ("varint", "varint(max=100, toolong=skip)")] {
        let wire = |length| encoded(free, &vec![7; length]).expect(free);
        assert_eq!(decoded(notation, &wire(100), 9), Ok(Some(vec![7; 100])), "{notation}");
        assert_eq!(decoded(notation, &wire(101), 9), Ok(None), "{notation}");
    }
}

/// The first four bytes of HTTP, read as a length that is one more than the maximum.
#[test]
fn one_byte_more_than_the_maximum_comes_with_what_the_length_looks_like() {
    let announced = u32::from_be_bytes(*b"GET ");
    let mut deframer = Deframer::new(Framing::u32be().max(u64::from(announced) - 1));
    deframer.feed(b"GET ");
    let fault = deframer.next().expect_err("it is too long").fault;
    assert!(matches!(fault, Fault::TooLong { looks: Some(Looks::Http(_)), .. }), "{fault:?}");
}
