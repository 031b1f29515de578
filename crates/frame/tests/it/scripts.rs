//! Random dialogues: frames of several framings, raw bytes between them, prefixes that are left out, and readers that are taken apart
//! and put together again, over input that comes in any pieces.

use crate::cuts::Random;
use futures_util::StreamExt as _;
use std::{
    io::Read,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use unglue_frame::{BytesDeframer, Enframer, Framing, io, with_tokio};

const FRAMINGS: [&str; 15] = [
    "u32be",
    "u32be(max=20, toolong=cut)",
    "u16le(max=20, toolong=cut)",
    "varint",
    "lines",
    "nul(max=20, toolong=cut)",
    "cobs",
    "slip",
    "slip(max=20, toolong=cut)",
    "netstring",
    "len:u16be k:u8 data[len]",
    "len:u8 data[len] sum8",
    "delim(\"--\", \";\")",
    "lsp",
    "mllp",
];

enum Step {
    Frame(usize, Vec<u8>),
    Raw(Vec<u8>),
    Skip(usize),
    Past(&'static [u8]),
    Apart,
}

/// A dialogue, and its bytes.
fn dialogue(random: &mut Random) -> (Vec<Step>, Vec<u8>) {
    let (mut steps, mut wire, mut framing) = (Vec::new(), Vec::new(), random.below(FRAMINGS.len()));
    for _ in 0..40 {
        match random.below(12) {
            0 => {
                let raw: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
                wire.extend_from_slice(&raw);
                steps.push(Step::Raw(raw));
            }
            1 => {
                let some = random.below(300);
                wire.extend((0..some).map(|_| random.below(256) as u8));
                steps.push(Step::Skip(some));
            }
            2 => {
                wire.extend((0..random.below(100)).map(|_| b"ab\r"[random.below(3)]));
                wire.extend_from_slice(b"\r\n\r\n");
                steps.push(Step::Past(b"\r\n\r\n"));
            }
            3 => steps.push(Step::Apart),
            4 => framing = random.below(FRAMINGS.len()),
            _ => {
                let len = [1, 2, 19, 20, 21, 100, 250][random.below(7)];
                let data: Vec<u8> = (0..len).map(|_| b"abcdefg\xc0\xdb"[random.below(9)]).collect();
                let whole: Framing = FRAMINGS[framing].parse().unwrap();
                let cut = FRAMINGS[framing].contains("cut");
                let fields = vec![7; whole.field_names().count()];
                Enframer::new(whole.max(1 << 20)).encode(&fields, &data, &mut wire).unwrap();
                steps.push(Step::Frame(framing, data[..if cut { len.min(20) } else { len }].to_vec()));
            }
        }
    }
    (steps, wire)
}

/// Input in random pieces; for an asynchronous reader there is often none yet.
struct Pieces<'w>(&'w [u8], Random);

impl Read for Pieces<'_> {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        let most = [1, 5, 40, 1000][self.1.below(4)];
        let some = (self.1.below(most) + 1).min(self.0.len()).min(space.len());
        space[..some].copy_from_slice(&self.0[..some]);
        self.0 = &self.0[some..];
        Ok(some)
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.1.below(3) == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let some = Read::read(&mut *self, space.initialize_unfilled())?;
        space.advance(some);
        Poll::Ready(Ok(()))
    }
}

/// Whether nothing is to be left out, or to be dropped of a frame that was cut.
fn can_be_apart(before: &[Step]) -> bool {
    matches!(before.last(), Some(Step::Frame(framing, _)) if !FRAMINGS[*framing].contains("cut"))
}

fn framing(index: usize) -> Framing {
    FRAMINGS[index].parse().unwrap()
}

#[test]
fn a_blocking_reader_follows_any_dialogue() {
    let mut random = Random(5);
    for turn in 0..2000 {
        let (steps, wire) = dialogue(&mut random);
        let mut reader = io::FrameReader::new(Pieces(&wire, Random(turn + 1)), framing(0));
        let mut now = 0;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Frame(wanted, data) => {
                    if now != *wanted {
                        reader.switch(framing(*wanted));
                        now = *wanted;
                    }
                    let frame =
                        reader.next().unwrap_or_else(|error| panic!("{turn}, {at}, {}: {error}", FRAMINGS[now]));
                    assert_eq!(frame.unwrap().data(), data, "{turn}, {at}, {}", FRAMINGS[now]);
                }
                Step::Raw(raw) => {
                    let mut got = vec![0; raw.len()];
                    reader.raw().read_exact(&mut got).unwrap();
                    assert_eq!(got, *raw);
                }
                Step::Skip(bytes) => reader.skip(*bytes as u64),
                Step::Past(pattern) => reader.skip_past(pattern).unwrap(),
                // What is still to be left out would be lost with the reader.
                Step::Apart if can_be_apart(&steps[..at]) => {
                    let (inner, rest) = reader.into_parts();
                    reader = io::FrameReader::from_parts(inner, framing(now), &rest);
                }
                Step::Apart => {}
            }
        }
    }
}

#[tokio::test]
async fn an_asynchronous_reader_follows_any_dialogue_however_often_it_is_cancelled() {
    let mut random = Random(6);
    for turn in 0..1000 {
        let (steps, wire) = dialogue(&mut random);
        let mut reader = with_tokio::FrameReader::new(Pieces(&wire, Random(turn + 1)), framing(0));
        let mut now = 0;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Frame(wanted, data) => {
                    if now != *wanted {
                        reader.switch(framing(*wanted));
                        now = *wanted;
                    }
                    loop {
                        let next = tokio::time::timeout(std::time::Duration::ZERO, reader.next()).await;
                        if let Ok(frame) = next {
                            let frame =
                                frame.unwrap_or_else(|error| panic!("{turn}, {at}, {}: {error}", FRAMINGS[now]));
                            assert_eq!(frame.unwrap().data(), data, "{turn}, {at}, {}", FRAMINGS[now]);
                            break;
                        }
                    }
                }
                Step::Raw(raw) => {
                    let mut got = vec![0; raw.len()];
                    reader.raw().read_exact(&mut got).await.unwrap();
                    assert_eq!(got, *raw);
                }
                Step::Skip(bytes) => reader.skip(*bytes as u64),
                Step::Past(pattern) => reader.skip_past(pattern).unwrap(),
                Step::Apart if can_be_apart(&steps[..at]) => {
                    let (inner, rest) = reader.into_parts();
                    reader = with_tokio::FrameReader::from_parts(inner, framing(now), &rest);
                }
                Step::Apart => {}
            }
        }
    }
}

#[test]
fn a_deframer_of_the_callers_buffer_follows_any_dialogue() {
    let mut random = Random(8);
    for turn in 0..2000 {
        let (steps, wire) = dialogue(&mut random);
        let mut pieces = Pieces(&wire, Random(turn + 1));
        let (mut deframer, mut input, mut now) = (BytesDeframer::new(framing(0)), bytes::BytesMut::new(), 0);
        let mut read = |input: &mut bytes::BytesMut| {
            let mut space = [0; 64];
            let some = Read::read(&mut pieces, &mut space).unwrap();
            assert!(some > 0, "the input has ended");
            input.extend_from_slice(&space[..some]);
        };
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Frame(wanted, data) => {
                    if now != *wanted {
                        deframer.switch(framing(*wanted));
                        now = *wanted;
                    }
                    let frame = loop {
                        let found = deframer.decode(&mut input);
                        match found.unwrap_or_else(|error| panic!("{turn}, {at}, {}: {error}", FRAMINGS[now])) {
                            Some(frame) => break frame,
                            None => read(&mut input),
                        }
                    };
                    assert_eq!(frame.data, data[..], "{turn}, {at}, {}", FRAMINGS[now]);
                }
                // The rest of a frame that was cut is the deframer's.
                Step::Raw(_) | Step::Skip(_) | Step::Past(_) if !can_be_apart(&steps[..at]) => break,
                Step::Raw(raw) => {
                    while input.len() < raw.len() {
                        read(&mut input);
                    }
                    assert_eq!(input.split_to(raw.len()), raw[..]);
                }
                Step::Skip(bytes) => {
                    while input.len() < *bytes {
                        read(&mut input);
                    }
                    let _ = input.split_to(*bytes);
                }
                Step::Past(pattern) => loop {
                    if let Some(at) = input.windows(pattern.len()).position(|window| window == *pattern) {
                        let _ = input.split_to(at + pattern.len());
                        break;
                    }
                    read(&mut input);
                },
                Step::Apart => {}
            }
        }
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_its_reader_stood() {
    let mut random = Random(9);
    for turn in 0..3000 {
        let notation = FRAMINGS[random.below(FRAMINGS.len())];
        let whole: Framing = notation.parse().unwrap();
        let fields = vec![7; whole.field_names().count()];
        let enframer = Enframer::new(whole.max(1 << 20));
        let (mut wire, mut want) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            let data = vec![b'a' + random.below(3) as u8; [1, 19, 20, 21, 250][random.below(5)]];
            enframer.encode(&fields, &data, &mut wire).unwrap();
            want.push(data[..if notation.contains("cut") { data.len().min(20) } else { data.len() }].to_vec());
        }
        let mut reader = with_tokio::FrameReader::new(Pieces(&wire, Random(turn + 1)), notation.parse().unwrap());
        let (mut got, first) = (Vec::new(), random.below(12));
        while got.len() < first {
            if let Ok(frame) = tokio::time::timeout(std::time::Duration::ZERO, reader.next()).await {
                got.push(frame.unwrap().unwrap().data().to_vec());
            }
        }
        // A frame that has begun goes along.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, reader.batch()).await.map(drop);
        let mut stream = reader.into_stream();
        while let Some(frame) = stream.next().await {
            got.push(frame.unwrap_or_else(|error| panic!("{turn}, {notation}: {error}")).data.to_vec());
        }
        assert_eq!(got, want, "{turn}, {notation}");
    }
}
