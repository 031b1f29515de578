//! The same frames over blocking and asynchronous readers and writers, and tokio_util's codec.

use bytes::{Bytes, BytesMut};
use std::{io::Read, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};
use unglue_frame::{
    Deframer, Fault, Framing,
    codec::{Codec, FieldCodec},
    io, with_tokio as asynchronous,
};

const NOTATIONS: [&str; 7] = [
    "u32be",
    "varint",
    "lines",
    "netstring",
    "cobs",
    "t:u8 len:u32be data[len] ce",
    "len:u16be data[len] sum8 16 (max=200K)",
];

fn messages() -> Vec<Vec<u8>> {
    [0, 1, 5, 300, 4000, 65_000].into_iter().map(|len| (0..len).map(|at| b'a' + (at % 26) as u8).collect()).collect()
}

fn fields(framing: &Framing) -> Vec<u64> {
    framing.field_names().enumerate().map(|(index, _)| index as u64 + 7).collect()
}

/// Gives a few bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 * 7 % 1001 + 1;
        let some = self.1.min(self.0.len()).min(out.len());
        out[..some].copy_from_slice(&self.0[..some]);
        self.0 = &self.0[some..];
        Ok(some)
    }
}

fn written(framing: &Framing) -> Vec<u8> {
    let mut writer = io::FrameWriter::new(Vec::new(), framing.clone());
    for message in messages() {
        writer.write(&fields(framing), &message).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn a_blocking_reader_reads_what_a_writer_wrote() {
    for notation in NOTATIONS {
        let framing: Framing = notation.parse().unwrap();
        let wire = written(&framing);
        let mut reader = io::FrameReader::new(Drip(&wire, 3), framing.clone());
        for message in messages() {
            let frame = reader.next().unwrap().unwrap();
            assert!(frame.data() == message, "{notation} {}", message.len());
        }
        assert!(reader.next().unwrap().is_none());

        let mut reader = io::FrameReader::new(Drip(&wire, 3), framing);
        let mut count = 0;
        while let Some(frames) = reader.batch().unwrap() {
            count += frames.map(Result::unwrap).count();
        }
        assert_eq!(count, messages().len());
    }
}

#[test]
fn large_frames_are_written_around_their_data() {
    let data = vec![b'x'; 200_000];
    for notation in ["u32be", "netstring", "lsp", "t:u8 len:u32be data[len] ce", "len:u32be data[len] sum8"] {
        let framing: Framing = notation.parse().unwrap();
        let mut writer = io::FrameWriter::new(Vec::new(), framing.clone());
        for data in [&data[..], b"small", &data] {
            writer.write(&fields(&framing), data).unwrap();
        }
        let wire = writer.into_inner().unwrap();
        let mut deframer = Deframer::new(framing);
        let mut input = &wire[..];
        let sizes: Vec<_> = deframer.frames(&mut input).map(|frame| frame.unwrap().data().len()).collect();
        assert_eq!(sizes, [200_000, 5, 200_000], "{notation}");
    }
}

#[test]
fn the_end_inside_a_frame_is_an_unexpected_end() {
    let mut reader = io::FrameReader::new(&b"\0\0\0\x05abc"[..], Framing::u32be());
    let error = std::io::Error::from(reader.next().unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("after 7 of its 9 bytes"), "{error}");
}

#[test]
fn a_protocol_switch_gets_the_bytes_behind_the_last_frame() {
    let mut reader = io::FrameReader::new(&b"\0\0\0\x08STARTTLS\x16\x03\x01"[..], Framing::u32be());
    assert_eq!(reader.next().unwrap().unwrap().data(), b"STARTTLS");
    let (_, rest) = reader.into_parts();
    assert_eq!(rest, b"\x16\x03\x01");
}

fn within_deadline(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("it hangs") });
}

#[test]
fn asynchronous_ends_agree_with_blocking_ones() {
    within_deadline(async {
        for notation in NOTATIONS {
            let framing: Framing = notation.parse().unwrap();
            let (near, far) = tokio::io::duplex(1000);
            let mut writer = asynchronous::FrameWriter::new(near, framing.clone());
            let mut reader = asynchronous::FrameReader::new(far, framing.clone());
            let write = async {
                for (index, message) in messages().into_iter().enumerate() {
                    if index % 2 == 0 {
                        writer.write(&fields(&framing), &message).await.unwrap();
                    } else {
                        writer.put(&fields(&framing), &message).unwrap();
                    }
                    if writer.is_full() {
                        writer.flush().await.unwrap();
                    }
                }
                writer.shutdown().await.unwrap();
            };
            let read = async {
                for message in messages() {
                    assert!(reader.next().await.unwrap().unwrap().data() == message, "{notation}");
                }
                assert!(reader.next().await.unwrap().is_none());
            };
            tokio::join!(write, read);
        }
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    within_deadline(async {
        let (mut near, far) = tokio::io::duplex(1000);
        let mut reader = asynchronous::FrameReader::new(far, Framing::u32be());
        for piece in [&b"\0\0"[..], b"\0\x05", b"he", b"ll"] {
            near.write_all(piece).await.unwrap();
            let wait = tokio::time::timeout(Duration::from_millis(5), reader.next()).await;
            assert!(wait.is_err(), "a frame came out of its first bytes");
        }
        near.write_all(b"o").await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().data(), b"hello");
    });
}

#[test]
fn a_cancelled_write_repeats_and_loses_nothing() {
    within_deadline(async {
        let framing: Framing = "t:u8 len:u32be data[len] ce".parse().unwrap();
        let (near, mut far) = tokio::io::duplex(100);
        let mut writer = asynchronous::FrameWriter::new(near, framing.clone());
        let large = Bytes::from(vec![b'x'; 100_000]);
        let wait = tokio::time::timeout(Duration::from_millis(5), writer.write_bytes(&[1], large)).await;
        assert!(wait.is_err(), "100 KB went into a pipe of 100 bytes");
        let read = tokio::spawn(async move {
            let mut wire = Vec::new();
            far.read_to_end(&mut wire).await.unwrap();
            wire
        });
        writer.write(&[2], b"after").await.unwrap();
        writer.shutdown().await.unwrap();
        drop(writer);
        let wire = read.await.unwrap();
        let (mut deframer, mut input) = (Deframer::new(framing), &wire[..]);
        let sizes: Vec<_> = deframer.frames(&mut input).map(|frame| frame.unwrap().data().len()).collect();
        assert_eq!(sizes, [100_000, 5]);
    });
}

#[test]
fn the_codec_stands_in_for_tokio_utils() {
    let mut theirs = LengthDelimitedCodec::new();
    let mut wire = BytesMut::new();
    for message in messages() {
        theirs.encode(Bytes::from(message), &mut wire).unwrap();
    }
    let mut ours = Codec::new(Framing::u32be()).unwrap();
    let mut again = BytesMut::new();
    for message in messages() {
        ours.encode(Bytes::from(message), &mut again).unwrap();
    }
    assert!(wire == again);
    let mut input = BytesMut::new();
    let mut seen = Vec::new();
    for chunk in wire.chunks(777) {
        input.extend_from_slice(chunk);
        while let Some(data) = ours.decode(&mut input).unwrap() {
            seen.push(data.to_vec());
        }
    }
    assert!(ours.decode_eof(&mut input).unwrap().is_none());
    assert!(seen == messages());
}

#[test]
fn the_codec_gives_every_framings_frames() {
    for notation in NOTATIONS {
        let framing: Framing = notation.parse().unwrap();
        let wire = written(&framing);
        for size in [1, 10, 5000, 1 << 20] {
            let mut codec = FieldCodec::new(framing.clone());
            let (mut input, mut seen, mut offset) = (BytesMut::new(), Vec::new(), 0);
            for chunk in wire.chunks(size) {
                input.extend_from_slice(chunk);
                while let Some(frame) = codec.decode(&mut input).unwrap() {
                    assert!(frame.offset >= offset && frame.fields == fields(&framing), "{notation}");
                    offset = frame.offset;
                    seen.push(frame.data.to_vec());
                }
            }
            assert!(codec.decode_eof(&mut input).unwrap().is_none());
            assert!(seen == messages(), "{notation} in chunks of {size}");
        }
    }
}

#[test]
fn the_codec_tells_an_end_inside_a_frame() {
    for wire in [&b"\0\0"[..], b"\0\0\0\x05abc"] {
        let mut codec = Codec::new(Framing::u32be()).unwrap();
        let mut input = BytesMut::from(wire);
        assert!(codec.decode(&mut input).unwrap().is_none());
        let error = codec.decode_eof(&mut input).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        let Some(io::Error::Decode(error)) = error.get_ref().unwrap().downcast_ref() else { panic!() };
        let need = (wire.len() > 4).then_some(9);
        assert_eq!((error.offset, error.fault), (0, Fault::Truncated { have: wire.len() as u64, need }));
    }
}
