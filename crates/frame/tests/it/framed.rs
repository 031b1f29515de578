//! Codecs in tokio-util's `Framed`, streams and sinks, and what idle readers hold.

use crate::memory::usage;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use std::error::Error as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::{Decoder as _, Framed, FramedParts, FramedRead};
use unglue_frame::{
    DecodeError, Fault, Framing, Part,
    codec::{Codec, FieldCodec},
    io, with_futures, with_tokio,
};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap()
}

#[tokio::test]
async fn a_framed_keeps_the_bytes_of_an_unfinished_frame() {
    let partial = b"\0\0\0\x03one\0\0\0\x09half";
    for (notation, bytes) in [
        ("u32be", &b"\0\0"[..]),
        ("u32be", b"\0\0\0\x05abc"),
        ("varint", b"\x05abc"),
        ("lines", b"abc"),
        ("netstring", b"5:abc"),
        ("lsp", b"Content-Le"),
        ("cobs", b"\x05abc"),
        ("len:u8 data[len] sum8", b"\x02ab"),
    ] {
        let mut codec = FieldCodec::new(framing(notation));
        let mut input = BytesMut::from(bytes);
        assert!(codec.decode(&mut input).unwrap().is_none());
        assert_eq!(input, bytes, "{notation} takes bytes away");
    }
    let mut framed = Framed::new(tokio::io::join(&partial[..], Vec::new()), Codec::new(Framing::u32be()).unwrap());
    assert_eq!(framed.next().await.unwrap().unwrap(), b"one"[..]);
    assert!(framed.next().await.unwrap().is_err());
    let mut framed = FramedRead::new(&partial[..], Codec::new(Framing::u32be()).unwrap());
    assert_eq!(framed.next().await.unwrap().unwrap(), b"one"[..]);
    assert_eq!(framed.read_buffer(), &partial[7..]);
    let framed = framed.map_decoder(|_| Codec::new(framing("fixed:8")).unwrap());
    let rest = framed.map(Result::unwrap).collect::<Vec<_>>().await;
    assert_eq!(rest, [&b"\0\0\0\x09half"[..]]);
    let framed = Framed::new(tokio::io::join(&partial[..], Vec::new()), Codec::new(Framing::u32be()).unwrap());
    let FramedParts { read_buf, .. } = framed.into_parts();
    assert!(read_buf.is_empty());
}

#[test]
fn a_codec_of_data_refuses_what_data_does_not_show() {
    for (notation, says) in [("u8(max=2, toolong=cut)", "toolong=cut"), ("u32le+json(body=n)", "a body in pieces")] {
        let error = Codec::new(framing(notation)).unwrap_err();
        assert!(error.to_string().contains(says) && error.to_string().contains("FieldCodec"), "{error}");
        let mut codec = Codec::new(Framing::u8()).unwrap();
        assert!(codec.switch(framing(notation)).is_err());
    }
    let mut codec = FieldCodec::new(framing("u8(max=2, toolong=cut)"));
    let mut input = BytesMut::from(&b"\x03abc\x01d"[..]);
    let frame = codec.decode(&mut input).unwrap().unwrap();
    assert_eq!((&frame.data[..], frame.is_cut, frame.part), (&b"ab"[..], true, Part::Whole));
    let frame = codec.decode(&mut input).unwrap().unwrap();
    assert_eq!((&frame.data[..], frame.is_cut), (&b"d"[..], false));
}

#[test]
fn a_codec_fails_with_an_io_error_that_has_its_source() {
    let mut codec = Codec::new(framing("u8(max=2)")).unwrap();
    let error = codec.decode(&mut BytesMut::from(&b"\x03abc"[..])).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let source: &DecodeError = error.source().unwrap().downcast_ref().unwrap();
    assert!(matches!(source.fault, Fault::TooLong { got: 3, limit: 2, .. }));
    // What tokio_serde asks of a transport's error.
    fn from<E: From<std::io::Error> + From<serde_json::Error>>(_: E) {}
    from(error);
}

#[tokio::test]
async fn a_reader_is_a_stream_and_a_writer_a_sink() {
    let (near, far) = tokio::io::duplex(100);
    let mut writer = with_tokio::FrameWriter::new(near, framing("kind:u8 len:u32be data[len]"));
    let large = Bytes::from(vec![b'x'; 100_000]);
    let sent = large.clone();
    let send = tokio::spawn(async move {
        writer.send((vec![7], Bytes::from_static(b"small"))).await.unwrap();
        writer.send((vec![8], sent)).await.unwrap();
        futures_util::SinkExt::<(Vec<u64>, Bytes)>::close(&mut writer).await.unwrap();
    });
    let mut reader = with_tokio::FrameReader::new(far, framing("kind:u8 len:u32be data[len]"));
    // What was taken one by one before is missing in the stream, and nothing else.
    assert_eq!(reader.next().await.unwrap().unwrap().data(), b"small");
    let frames: Vec<_> = reader.into_stream().map(Result::unwrap).collect().await;
    assert_eq!((frames.len(), &frames[0].fields[..], &frames[0].data[..]), (1, &[8][..], &large[..]));
    assert_eq!(frames[0].offset, 10);
    send.await.unwrap();

    let mut stream = with_tokio::FrameReader::new(&b"a\nbc"[..], framing("lines")).into_stream();
    assert_eq!(stream.next().await.unwrap().unwrap().data, b"a"[..]);
    assert!(matches!(stream.next().await, Some(Err(io::Error::Decode(_)))));
    assert!(stream.next().await.is_none());
    let stream = with_futures::FrameReader::new(&b"a\nbc"[..], framing("lines(last=allow)")).into_stream();
    assert_eq!(stream.map(|frame| frame.unwrap().data).collect::<Vec<_>>().await, [&b"a"[..], b"bc"]);
}

#[tokio::test]
async fn an_idle_reader_holds_at_most_four_kilobytes() {
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let mut reader = with_tokio::FrameReader::new(far, framing("u32be(max=8M)"));
    let idle = |reader: &with_tokio::FrameReader<_>| reader.capacity();
    tokio::time::timeout(std::time::Duration::from_millis(5), reader.next()).await.unwrap_err();
    assert!(idle(&reader) <= 4096, "{} bytes before anything came", idle(&reader));
    for size in [10, 5000, 4 << 20] {
        let send = async {
            near.write_all(&(size as u32).to_be_bytes()).await.unwrap();
            near.write_all(&vec![b'x'; size]).await.unwrap();
        };
        let read = async { reader.next().await.unwrap().unwrap().data().len() };
        assert_eq!(tokio::join!(send, read).1, size);
        tokio::time::timeout(std::time::Duration::from_millis(5), reader.next()).await.unwrap_err();
        assert!(idle(&reader) <= 4096, "{} bytes after a frame of {size}", idle(&reader));
    }
    // Many idle readers: what they hold is what they say.
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let (near, far) = tokio::io::duplex(64);
        writers.push(near);
        readers.push(with_tokio::FrameReader::new(far, Framing::u32be()));
    }
    let ((), used) = usage(|| {
        for reader in &mut readers {
            assert!(futures_util::FutureExt::now_or_never(reader.next()).is_none());
        }
    });
    assert!(used.live <= 100 * 4096 + (256 << 10), "{} bytes for 100 readers", used.live);
}

#[test]
fn a_blocking_reader_gives_large_buffers_back() {
    let mut wire = vec![0, 64, 0, 0];
    wire.extend(vec![b'x'; 4 << 20]);
    for _ in 0..2000 {
        wire.extend_from_slice(b"\0\0\0\x01a");
    }
    /// Gives little at a time once the large frame is over.
    struct Slow(Vec<u8>, usize);
    impl std::io::Read for Slow {
        fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
            let large = (4 << 20) + 4;
            let most = if self.1 < large { large - self.1 } else { 10 };
            let bytes = space.len().min(most).min(self.0.len() - self.1);
            space[..bytes].copy_from_slice(&self.0[self.1..self.1 + bytes]);
            self.1 += bytes;
            Ok(bytes)
        }
    }
    let mut reader = io::FrameReader::new(Slow(wire, 0), framing("u32be(max=8M)"));
    let mut frames = 0;
    while reader.next().unwrap().is_some() {
        frames += 1;
    }
    assert_eq!(frames, 2001);
    assert!(reader.capacity() <= 3 * 4096, "{} bytes", reader.capacity());
}
