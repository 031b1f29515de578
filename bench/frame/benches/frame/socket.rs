//! From end to end over a loopback socket, each end a thread with its own runtime.

use crate::{CHUNK, SIZES, decode::look, rounds::quartiles};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};
use tokio_util::codec::{Decoder, FramedRead, FramedWrite, LengthDelimitedCodec};
use unglue_frame::{Framing, codec::Codec, io, with_tokio as ours};

type End = fn(TcpStream, usize, usize);

const ROUNDS: usize = 15;

pub(crate) fn run() {
    let contenders: [(&str, End, End); 6] = [
        ("the kernel's copies alone", bare_send, bare_receive),
        ("raw loop", raw_send, raw_receive),
        ("unglue, std", std_send, std_receive),
        ("unglue, tokio", tokio_send, tokio_receive),
        ("tokio Framed with unglue's Codec", framed_send, codec_receive),
        ("tokio Framed", framed_send, framed_receive),
    ];
    for size in SIZES {
        let frames = ((96 << 20) / (size + 4)).min(1 << 20);
        let mut times = vec![Vec::new(); contenders.len()];
        for round in 0..ROUNDS {
            // Another one first in each round: who follows whom has an influence on the two cores' sleep.
            for turn in 0..contenders.len() {
                let index = (round + turn) % contenders.len();
                let (_, send, receive) = contenders[index];
                times[index].push(once(send, receive, size, frames));
            }
        }
        println!(
            "\nloopback socket, {size} bytes\n\n| | million frames a second | MB/s | of the raw loop |\n|---|---|---|---|"
        );
        let quartiles: Vec<[f64; 3]> = times.iter_mut().map(|times| quartiles(times)).collect();
        for ((name, ..), [fast, median, slow]) in contenders.iter().zip(&quartiles) {
            let [low, rate, high] = [slow, median, fast].map(|time| frames as f64 / time / 1e6);
            let (bytes, ratio) = (rate * size as f64, quartiles[1][1] / median);
            println!("| {name} | {rate:.2} | {low:.2}–{high:.2} | {bytes:.0} | {ratio:.2} |");
        }
    }
}

fn once(send: End, receive: End, size: usize, frames: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (far, _) = listener.accept().expect("it connected");
    near.set_nodelay(true).expect("a socket");
    let started = Instant::now();
    let sender = thread::spawn(move || send(near, size, frames));
    receive(far, size, frames);
    sender.join().expect("it sends");
    started.elapsed().as_secs_f64()
}

/// As many bytes, written from one buffer and read to another: no frames are made or looked for.
fn bare_send(mut socket: TcpStream, size: usize, frames: usize) {
    let (out, mut left) = (vec![7; CHUNK], frames * (size + 4));
    while left > 0 {
        let some = left.min(CHUNK);
        socket.write_all(&out[..some]).expect("it is read");
        left -= some;
    }
}

fn bare_receive(mut socket: TcpStream, size: usize, frames: usize) {
    let (mut buffer, mut bytes) = (vec![0; 2 * CHUNK], 0);
    loop {
        match socket.read(&mut buffer).expect("it is sent") {
            0 => break,
            some => bytes += some,
        }
    }
    assert_eq!(bytes, frames * (size + 4), "bytes were lost");
}

fn raw_send(mut socket: TcpStream, size: usize, frames: usize) {
    let (data, mut out) = (vec![7; size], Vec::with_capacity(CHUNK + size + 4));
    for _ in 0..frames {
        out.extend_from_slice(&(size as u32).to_be_bytes());
        out.extend_from_slice(&data);
        if out.len() >= CHUNK {
            socket.write_all(&out).expect("it is read");
            out.clear();
        }
    }
    socket.write_all(&out).expect("it is read");
}

fn raw_receive(mut socket: TcpStream, size: usize, frames: usize) {
    let (mut buffer, mut filled, mut seen, mut sum) = (vec![0; 2 * (CHUNK + size)], 0, 0, 0);
    loop {
        match socket.read(&mut buffer[filled..]).expect("it is sent") {
            0 => break,
            bytes => filled += bytes,
        }
        let mut at = 0;
        while let Some(header) = buffer[at..filled].first_chunk::<4>() {
            let len = u32::from_be_bytes(*header) as usize;
            let Some(data) = buffer[at..filled].get(4..4 + len) else { break };
            sum += look(data);
            seen += 1;
            at += 4 + len;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    check(seen, sum, size, frames);
}

fn check(seen: usize, sum: u64, size: usize, frames: usize) {
    assert_eq!((seen, sum), (frames, frames as u64 * (size as u64 + 7)), "frames were lost");
}

fn std_send(socket: TcpStream, size: usize, frames: usize) {
    let (data, mut writer) = (vec![7; size], io::FrameWriter::new(socket, Framing::u32be()));
    for _ in 0..frames {
        writer.write(&[], &data).expect("it is read");
    }
    writer.flush().expect("it is read");
}

fn std_receive(socket: TcpStream, size: usize, frames: usize) {
    let (mut reader, mut seen, mut sum) = (io::FrameReader::new(socket, Framing::u32be()), 0, 0);
    while let Some(batch) = reader.batch().expect("it is sent") {
        for frame in batch {
            sum += look(frame.expect("good frames").data());
            seen += 1;
        }
    }
    check(seen, sum, size, frames);
}

fn on_runtime(socket: TcpStream, work: impl AsyncFnOnce(tokio::net::TcpStream)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        socket.set_nonblocking(true).expect("a socket");
        work(tokio::net::TcpStream::from_std(socket).expect("a socket")).await;
    });
}

fn tokio_send(socket: TcpStream, size: usize, frames: usize) {
    on_runtime(socket, async |socket| {
        let (data, mut writer) = (Bytes::from(vec![7; size]), ours::FrameWriter::new(socket, Framing::u32be()));
        for _ in 0..frames {
            if size >= CHUNK {
                writer.write_bytes(&[], data.clone()).await.expect("it is read");
                continue;
            }
            writer.put(&[], &data).expect("it fits");
            if writer.is_full() {
                writer.flush().await.expect("it is read");
            }
        }
        writer.shutdown().await.expect("it is read");
    });
}

fn tokio_receive(socket: TcpStream, size: usize, frames: usize) {
    on_runtime(socket, async |socket| {
        let (mut reader, mut seen, mut sum) = (ours::FrameReader::new(socket, Framing::u32be()), 0, 0);
        while let Some(batch) = reader.batch().await.expect("it is sent") {
            for frame in batch {
                sum += look(frame.expect("good frames").data());
                seen += 1;
            }
        }
        check(seen, sum, size, frames);
    });
}

fn framed_send(socket: TcpStream, size: usize, frames: usize) {
    on_runtime(socket, async |socket| {
        let data = Bytes::from(vec![7; size]);
        let mut sink = FramedWrite::new(socket, LengthDelimitedCodec::new());
        sink.set_backpressure_boundary(CHUNK);
        for _ in 0..frames {
            sink.feed(data.clone()).await.expect("it is read");
        }
        futures_util::SinkExt::<Bytes>::close(&mut sink).await.expect("it is read");
    });
}

fn framed_receive(socket: TcpStream, size: usize, frames: usize) {
    framed(socket, size, frames, LengthDelimitedCodec::new());
}

fn codec_receive(socket: TcpStream, size: usize, frames: usize) {
    framed(socket, size, frames, Codec::new(Framing::u32be()).expect("whole frames"));
}

fn framed<D: Decoder<Item = bytes::BytesMut>>(socket: TcpStream, size: usize, frames: usize, codec: D)
where
    D::Error: std::fmt::Debug,
{
    on_runtime(socket, async |socket| {
        let (mut stream, mut seen, mut sum) = (FramedRead::with_capacity(socket, codec, CHUNK), 0, 0);
        while let Some(frame) = stream.next().await {
            sum += look(&frame.expect("good frames"));
            seen += 1;
        }
        check(seen, sum, size, frames);
    });
}
