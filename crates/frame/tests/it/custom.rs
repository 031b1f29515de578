//! Rules of one's own, over everything that knows framings: one that looks for a frame's end byte by byte, and one
//! with phases, fields and decoded data.

use crate::{
    collect::{Seen, WAYS, run, whole},
    cuts::Random,
};
use bytes::BytesMut;
use tokio_util::codec::Decoder;
use unglue_frame::{
    DecodeError, Deframer, EncodeError, Enframer, Fault, Framing, Limits, Output, Rule, Step, TooLong,
    codec::{Codec, FieldCodec},
    io,
};

/// Lists in brackets, and words; spaces between them belong to no frame. A word may end with the input.
#[derive(Clone, Debug)]
struct Lists;

#[derive(Debug, Default)]
struct Looked {
    at: usize,
    depth: usize,
    dropping: bool,
}

impl Looked {
    /// The frame's end in its bytes, if it is there.
    fn end(&mut self, frame: &[u8]) -> Option<usize> {
        while let Some(byte) = frame.get(self.at) {
            match byte {
                b'[' => self.depth += 1,
                b']' if self.depth == 1 => return Some(self.at + 1),
                b']' => self.depth = self.depth.saturating_sub(1),
                b' ' if self.depth == 0 => return Some(self.at),
                _ => {}
            }
            self.at += 1;
        }
        None
    }
}

impl Rule for Lists {
    type State = Looked;

    fn name(&self) -> &str {
        "lists"
    }

    fn args(&self) -> Vec<String> {
        vec!["spaces".into()]
    }

    fn find(&self, state: &mut Looked, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        let spaces = frame.iter().take_while(|byte| **byte == b' ').count();
        if spaces > 0 && state.at == 0 && !state.dropping && state.depth == 0 {
            return Ok(Step::Filler(spaces));
        }
        let end = state.end(frame);
        let over = end.unwrap_or(frame.len()) as u64 > limits.max;
        let dropping = state.dropping || over && limits.too_long == TooLong::Skip;
        if over && !dropping {
            return Err(Fault::TooMuch { limit: limits.max });
        }
        match end {
            Some(end) => {
                *state = Looked::default();
                Ok(if dropping { Step::Skip(end.max(1) as u64) } else { Step::Frame { head: 0, data: end, tail: 0 } })
            }
            None if dropping => {
                *state = Looked { at: 0, dropping, ..*state };
                Ok(Step::Drop(frame.len()))
            }
            None => Ok(Step::More(frame.len() + 1)),
        }
    }

    fn end(&self, state: &mut Looked, rest: &[u8], _: &Limits) -> Result<Option<Step>, Fault> {
        let word = state.depth == 0 && !rest.is_empty();
        *state = Looked::default();
        Ok(word.then_some(Step::Frame { head: 0, data: rest.len(), tail: 0 }))
    }

    fn too_long(&self) -> &[TooLong] {
        &[TooLong::Fail, TooLong::Skip]
    }

    fn encode(&self, _: &[u64], data: &[u8], limits: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        out.put(data);
        match self.find(&mut Looked::default(), data, limits) {
            Ok(Step::Frame { data: end, .. }) if end == data.len() => Ok(()),
            _ => Err(EncodeError::Rule { reason: "the message is not one list" }),
        }
    }
}

/// A greeting of four bytes, then frames of a kind, a length and data with every bit turned.
#[derive(Clone, Debug)]
struct Turned;

impl Rule for Turned {
    type State = bool;

    fn name(&self) -> &str {
        "turned"
    }

    fn find(&self, greeted: &mut bool, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        if !*greeted {
            if let Some(at) = frame.iter().zip(b"HI!!").position(|(got, want)| got != want) {
                return Err(Fault::Rule { at: at as u64, reason: "the greeting is not HI!!" });
            }
            if frame.len() < 4 {
                return Ok(Step::More(4));
            }
            *greeted = true;
            return Ok(Step::Filler(4));
        }
        match frame {
            [_, len, ..] => limits.frame(2, u64::from(*len), 0),
            _ => Ok(Step::More(2)),
        }
    }

    fn open(&self, frame: &[u8], _: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault> {
        if frame[0] == 0 {
            return Ok(None);
        }
        for (out, byte) in out.iter_mut().zip(&frame[2..]) {
            *out = !byte;
        }
        Ok(Some(frame.len() - 2))
    }

    fn decodes(&self) -> bool {
        true
    }

    fn end(&self, greeted: &mut bool, _: &[u8], _: &Limits) -> Result<Option<Step>, Fault> {
        if *greeted { Ok(None) } else { Err(Fault::Rule { at: 0, reason: "no greeting came" }) }
    }

    fn fields(&self) -> &[&str] {
        &["kind"]
    }

    fn field(&self, _: usize, frame: &[u8]) -> Option<u64> {
        Some(u64::from(frame[0]))
    }

    fn default_field(&self, _: usize) -> u64 {
        7
    }

    fn encode(&self, fields: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        let len = u8::try_from(data.len());
        let len = len.map_err(|_| EncodeError::TooLong { got: data.len() as u64, limit: 255 })?;
        out.put(&[fields[0] as u8, len]);
        for byte in data {
            out.put(&[if fields[0] == 0 { *byte } else { !byte }]);
        }
        Ok(())
    }
}

fn lists() -> Framing {
    Framing::custom(Lists)
}

fn texts(frames: &[Seen]) -> Vec<&str> {
    frames.iter().map(|seen| std::str::from_utf8(&seen.data).unwrap()).collect()
}

#[test]
fn no_cut_changes_what_a_rule_finds() {
    let stream = b"  [a [b]] word [] [[[]]] [a long list of words] x []]  [1][2]y ";
    for (framing, want) in [
        (lists(), vec!["[a [b]]", "word", "[]", "[[[]]]", "[a long list of words]", "x", "[]", "]", "[1]", "[2]", "y"]),
        (lists().max(8), vec!["[a [b]]", "word", "[]", "[[[]]]"]),
        (
            lists().max(8).too_long(TooLong::Skip).unwrap(),
            vec!["[a [b]]", "word", "[]", "[[[]]]", "x", "[]", "]", "[1]", "[2]", "y"],
        ),
    ] {
        let all = whole(&framing, stream);
        assert_eq!(texts(&all.frames), want);
        let mut random = Random(5);
        for way in WAYS {
            for first in 0..stream.len() {
                let second = first + random.below(stream.len() - first);
                let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(run(&framing, chunks, way), all, "{way:?} cut at {first} and {second}");
            }
            assert_eq!(run(&framing, stream.chunks(1), way), all, "{way:?} byte by byte");
        }
    }
}

#[test]
fn phases_fields_and_decoded_data() {
    let enframer = Enframer::new(Framing::custom(Turned));
    let mut wire = b"HI!!".to_vec();
    enframer.encode(&[1], b"first", &mut wire).unwrap();
    enframer.encode(&[0], b"plain", &mut wire).unwrap();
    enframer.encode(&[], b"default", &mut wire).unwrap();
    let framing = Framing::custom(Turned).max(100);
    for size in 1..wire.len() {
        for way in WAYS {
            let seen = run(&framing, wire.chunks(size), way);
            assert_eq!(texts(&seen.frames), ["first", "plain", "default"], "{way:?} {size}");
            assert_eq!(seen.end, Ok(()));
        }
        let (mut codec, mut input, mut kinds) = (FieldCodec::new(framing.clone()), BytesMut::new(), Vec::new());
        for chunk in wire.chunks(size) {
            input.extend_from_slice(chunk);
            while let Some(frame) = codec.decode(&mut input).unwrap() {
                kinds.push((frame.fields[0], frame.data.to_vec()));
            }
        }
        assert_eq!(kinds, [(1, b"first".to_vec()), (0, b"plain".to_vec()), (7, b"default".to_vec())]);
    }
    let mut deframer = Deframer::new(framing);
    let mut input = &wire[..];
    let frame = deframer.decode(&mut input).unwrap().unwrap();
    assert_eq!((frame.fields().collect::<Vec<_>>(), frame.field_named("kind")), (vec![("kind", 1)], Some(1)));
    assert_eq!((frame.offset(), frame.head(), frame.raw().len()), (4, &b"\x01\x05"[..], 7));
}

#[test]
fn a_rule_judges_the_end_of_the_input() {
    let mut reader = io::FrameReader::new(&b"[1] [2] last"[..], lists());
    let mut seen = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        seen.push(frame.data().to_vec());
    }
    assert_eq!(seen, [&b"[1]"[..], b"[2]", b"last"]);
    let mut reader = io::FrameReader::new(&b"[1] last"[..], lists());
    let mut count = 0;
    while let Some(batch) = reader.batch().unwrap() {
        count += batch.map(Result::unwrap).count();
    }
    assert_eq!(count, 2);

    let mut deframer = Deframer::new(lists());
    deframer.feed(b"[1] [2");
    assert_eq!(deframer.end().unwrap().unwrap().data(), b"[1]");
    assert_eq!(deframer.end().unwrap_err().fault, Fault::Truncated { have: 2, need: None });

    let mut reader = io::FrameReader::new(&b""[..], Framing::custom(Turned));
    let io::Error::Decode(DecodeError { fault, .. }) = reader.next().unwrap_err() else { panic!() };
    assert_eq!(fault, Fault::Rule { at: 0, reason: "no greeting came" });
    let mut codec = Codec::new(lists()).unwrap();
    let mut input = BytesMut::from(&b"[1]last"[..]);
    assert_eq!(codec.decode_eof(&mut input).unwrap().unwrap(), b"[1]"[..]);
    assert_eq!(codec.decode_eof(&mut input).unwrap().unwrap(), b"last"[..]);
    assert!(codec.decode_eof(&mut input).unwrap().is_none());
}

#[test]
fn a_rule_is_printed_compared_and_refuses() {
    assert_eq!(lists().max(1 << 10).to_string(), "lists(spaces, max=1K)");
    assert_eq!(lists(), lists());
    assert_ne!(lists(), Framing::custom(Turned));
    let error = lists().too_long(TooLong::Cut).unwrap_err();
    assert_eq!(error.to_string(), "toolong=cut has no meaning for this framing");
    let mut out = b"kept".to_vec();
    let error = Enframer::new(lists()).encode(&[], b"[1] [2]", &mut out).unwrap_err();
    assert_eq!((error.to_string().as_str(), &out[..]), ("the message is not one list", &b"kept"[..]));
    let error = Enframer::new(lists().max(2)).encode(&[], b"[1]", &mut out).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { got: 3, limit: 2 });
    Enframer::new(lists()).encode_with(&[], &mut out, |out| out.extend_from_slice(b"[3]")).unwrap();
    assert_eq!(out, b"kept[3]");
}

/// A rule that does what it must not.
#[derive(Clone, Debug)]
struct Wild(Step);

impl Rule for Wild {
    type State = ();

    fn name(&self) -> &str {
        "wild"
    }

    fn find(&self, _: &mut (), frame: &[u8], _: &Limits) -> Result<Step, Fault> {
        Ok(if frame.len() < 3 { Step::More(0) } else { self.0 })
    }

    fn encode(&self, _: &[u64], _: &[u8], _: &Limits, _: &mut dyn Output) -> Result<(), EncodeError> {
        Ok(())
    }
}

#[test]
fn a_wrong_rule_gives_an_error_and_no_panic_or_endless_loop() {
    for step in [
        Step::Frame { head: 0, data: 0, tail: 0 },
        Step::Frame { head: usize::MAX, data: 9, tail: 1 },
        Step::Cut { head: 0, data: 0, rest: 0 },
        Step::Filler(0),
        Step::Filler(99),
        Step::Drop(0),
        Step::Drop(99),
        Step::Skip(0),
    ] {
        for size in [1, 2, 5] {
            for way in WAYS {
                let seen = run(&Framing::custom(Wild(step)), b"abcdefgh".chunks(size), way);
                let Err(DecodeError { fault: Fault::Rule { .. }, .. }) = seen.end else { panic!("{step:?}: {seen:?}") };
            }
        }
    }
    // It said that it needed more, and then that one byte was enough.
    let one = Step::Frame { head: 0, data: 1, tail: 0 };
    let seen = run(&Framing::custom(Wild(one)), [&b"ab"[..], b"c"], WAYS[0]);
    assert!(matches!(seen.end, Err(DecodeError { fault: Fault::Rule { .. }, .. })), "{seen:?}");
}
