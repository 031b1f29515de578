//! An input is a notation, a zero byte, and bytes.

use unglue_frame::{DecodeError, Deframer, Enframer, Framing, Part};

fn framing(input: &[u8]) -> Option<(Framing, &[u8])> {
    let end = input.iter().position(|byte| *byte == 0)?;
    let framing = std::str::from_utf8(&input[..end]).ok()?.parse().ok()?;
    Some((framing, &input[end + 1..]))
}

/// What comes of a stream: offsets and data, bodies put together, and the end.
type Seen = (Vec<(u64, Vec<u8>)>, Result<(), DecodeError>);

fn run(framing: &Framing, stream: &[u8], mut size: impl FnMut() -> usize) -> Seen {
    let (mut deframer, mut frames, mut rest) = (Deframer::new(framing.clone()), Vec::new(), stream);
    while !rest.is_empty() {
        let (mut chunk, after) = rest.split_at(size().clamp(1, rest.len()));
        rest = after;
        loop {
            match deframer.decode(&mut chunk) {
                Ok(Some(frame)) => match (frame.part(), frames.last_mut()) {
                    (Part::Piece { .. }, Some((_, body))) => Vec::extend_from_slice(body, frame.data()),
                    _ => frames.push((frame.offset(), frame.data().to_vec())),
                },
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, deframer.finish())
}

/// Any chunking of the bytes gives the same, at a memory that the bytes bound.
pub fn splits(input: &[u8]) {
    let Some((framing, stream)) = framing(input) else { return };
    let whole = run(&framing, stream, || usize::MAX);
    assert_eq!(run(&framing, stream, || 1), whole, "{framing}, byte by byte");
    let mut seed = stream.iter().fold(1u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte)) | 1);
    let random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % 9 + 1
    };
    assert_eq!(run(&framing, stream, random), whole, "{framing}, in pieces");
}

/// Text that parses prints as text that parses to the same.
pub fn notation(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Framing>() {
        Ok(framing) => {
            let again: Framing = framing.to_string().parse().expect("what was printed parses");
            assert_eq!(again, framing, "{text}");
            assert_eq!(again.to_string(), framing.to_string(), "{text}");
        }
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.column), "{text}: {error}"),
    }
}

/// What could be encoded decodes to the same, alone and with another frame behind it.
pub fn round_trip(input: &[u8]) {
    let Some((framing, bytes)) = framing(input) else { return };
    let names = framing.field_names().count();
    let fields: Vec<u64> = (0..names).map(|index| bytes.get(index).copied().map_or(0, u64::from)).collect();
    let enframer = Enframer::new(framing.clone());
    let mut wire = Vec::new();
    if enframer.encode(&fields, bytes, &mut wire).is_err() {
        assert!(wire.is_empty(), "{framing} wrote something and failed");
        return;
    }
    let mut in_place = Vec::new();
    enframer.encode_with(&fields, &mut in_place, |out: &mut Vec<u8>| out.extend_from_slice(bytes)).expect("it did fit");
    assert_eq!(in_place, wire, "{framing} in place");
    let size = wire.len();
    wire.extend_from_within(..);
    let (mut deframer, mut rest) = (Deframer::new(framing.clone()), &wire[..]);
    let frame = deframer.decode(&mut rest).expect("our own bytes").expect("a whole frame");
    assert_eq!(frame.data(), bytes, "{framing}");
    (0..names).for_each(|index| assert_eq!(frame.field(index), fields[index], "{framing}, field {index}"));
    if frame.part() == Part::Whole {
        assert_eq!(rest.len(), wire.len() - size, "{framing}");
    }
}
