//! Streams that are compressed: the same bytes arrive, credit counts plain bytes, and a hostile block costs nothing.

use std::time::Duration;

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::limits::{FRAME_PAYLOAD, INITIAL_WINDOW, PACKED_BUFFER};
use unglue_proto::mux::{Block, Compression, Direction, Event, Mux, Packed, Packer, Read, StreamId};
use unglue_testkit::heap::held;

use crate::pair::{Pair, events, output, read_all, refusal, server_given};
use crate::wire::*;

/// Bytes that don't shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise");
    let mut bytes = vec![0; len];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn text(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|line| format!("line {line}: {} words\n", line * line % 977).into_bytes()).take(len).collect()
}

/// Compresses what an end has to be compressed, the last block first.
fn pack(mux: &mut Mux) -> usize {
    let mut packer = Packer::new().expect("memory");
    let mut blocks: Vec<Block> = std::iter::from_fn(|| mux.poll_block()).collect();
    let count = blocks.len();
    blocks.reverse();
    blocks.into_iter().for_each(|block| mux.packed(block.pack(&mut packer)));
    count
}

fn compressed(compression: Compression) -> (Pair, StreamId) {
    let mut pair = Pair::new();
    pair.client.allow_compression(2);
    let stream = pair.client.open(Direction::Unidirectional).expect("a stream");
    pair.client.compress(stream, compression);
    (pair, stream)
}

/// Moves all of `data` in pieces of `piece`. Gives what arrived, and the bytes on the wire.
fn carried(compression: Compression, data: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let (mut pair, stream) = compressed(compression);
    let (mut arrived, mut wire) = (Vec::new(), 0);
    let mut left = Bytes::copy_from_slice(data);
    loop {
        while !left.is_empty() {
            let part = left.split_to(left.len().min(piece));
            let rest = pair.client.write(stream, part).expect("it is open");
            if !rest.is_empty() {
                left = [&rest[..], &left[..]].concat().into();
                break;
            }
        }
        if left.is_empty() {
            pair.client.finish(stream);
        }
        let packed = pack(&mut pair.client);
        let sent = pair.send();
        wire += sent.len();
        let (bytes, end) = read_all(&mut pair.server, stream);
        arrived.extend(bytes);
        if end == Read::Finished {
            assert!(pair.client.is_flushed(stream));
            assert_eq!(pair.client.memory_taken(), [0; 3]);
            return (arrived, wire);
        }
        assert!(packed > 0 || !sent.is_empty(), "nothing moves after {} bytes", arrived.len());
        pair.answer();
    }
}

#[test]
fn all_kinds_of_data_arrive_as_they_were_sent() {
    let mixed = [text(100_000), noise(100_000), vec![0; 100_000], text(70_001)].concat();
    let kinds = [vec![], b"x".to_vec(), text(255), text(300_000), noise(300_000), vec![0; 1_000_000], mixed];
    for compression in [Compression::Off, Compression::Auto, Compression::Zstd(1), Compression::Zstd(19)] {
        for data in &kinds {
            for piece in [997, 65_536, 1 << 20] {
                let (arrived, _) = carried(compression, data, piece);
                assert!(arrived == *data, "{compression:?}: {} bytes in pieces of {piece}", data.len());
            }
        }
    }
}

#[test]
fn what_shrinks_costs_less_and_what_does_not_costs_no_more() {
    let (text, noise) = (text(1_000_000), noise(1_000_000));
    for compression in [Compression::Auto, Compression::Zstd(3)] {
        let (_, wire) = carried(compression, &text, 1 << 20);
        assert!(wire < text.len() / 2, "{compression:?}: {wire} bytes");
        let frames = noise.len().div_ceil(FRAME_PAYLOAD) + 1;
        let (_, wire) = carried(compression, &noise, 1 << 20);
        assert!(wire <= noise.len() + frames * HEADER, "{compression:?}: {wire} bytes");
    }
}

#[test]
fn a_peer_that_does_not_take_compressed_blocks_gets_none() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Direction::Unidirectional).expect("a stream");
    pair.client.compress(stream, Compression::Zstd(3));
    let data = text(60_000);
    pair.client.write(stream, data.clone().into()).expect("room");
    pair.client.finish(stream);
    assert_eq!(pack(&mut pair.client), 0);
    let sent = frames(&output(&mut pair.client, &pair.clock));
    assert!(sent.iter().all(|frame| frame.kind != ZSTD), "{sent:?}");
    assert_eq!(sent.iter().map(|frame| frame.data.len()).sum::<usize>(), data.len());
}

#[test]
fn credit_counts_plain_bytes() {
    let (mut pair, stream) = compressed(Compression::Zstd(1));
    let rest = pair.client.write(stream, vec![7; 1 << 20].into()).expect("it is open");
    assert_eq!((1 << 20) - rest.len(), PACKED_BUFFER);
    pack(&mut pair.client);
    pair.send();
    // No more than the first window was cut, however small it has become.
    assert_eq!((pack(&mut pair.client), pair.client.has_output()), (0, false));
    let (bytes, _) = read_all(&mut pair.server, stream);
    assert_eq!(bytes.len() as u64, INITIAL_WINDOW);
    pair.answer();
    assert!(pack(&mut pair.client) > 0);
}

#[test]
fn what_is_written_while_a_block_is_compressed_comes_together() {
    let (mut pair, stream) = compressed(Compression::Zstd(1));
    let line = text(1000);
    for _ in 0..20 {
        pair.client.write(stream, line.clone().into()).expect("room");
    }
    // The first line went at once.
    let mut packer = Packer::new().expect("memory");
    let first = pair.client.poll_block().expect("a block");
    assert!(pair.client.poll_block().is_none() && pair.send().is_empty());
    pair.client.packed(first.pack(&mut packer));
    let sent = frames(&pair.send());
    assert_eq!((sent.len(), sent[0].kind), (1, ZSTD));
    assert_eq!(pack(&mut pair.client), 1);
    pair.send();
    assert_eq!(read_all(&mut pair.server, stream).0, line.repeat(20));
}

#[test]
fn a_stream_that_is_reset_while_it_is_compressed_forgets_its_blocks() {
    let (mut pair, stream) = compressed(Compression::Zstd(1));
    pair.client.write(stream, text(400_000).into()).expect("room");
    let block = pair.client.poll_block().expect("a block");
    pair.client.reset(stream, Code::Cancelled);
    let mut packer = Packer::new().expect("memory");
    pair.client.packed(block.pack(&mut packer));
    let sent = frames(&pair.send());
    assert_eq!(sent.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [RESET]);
    assert_eq!(pair.server.read(stream, 1), Read::Reset(Code::Cancelled));
    assert_eq!(pair.client.memory_taken(), [0; 3]);
    // Nor does a block matter whose stream is gone.
    let late: Packed = {
        let (mut other, stream) = compressed(Compression::Zstd(1));
        other.client.write(stream, text(4000).into()).expect("room");
        other.client.poll_block().expect("a block").pack(&mut packer)
    };
    pair.client.packed(late.took(Duration::from_millis(1)));
    assert!(!pair.client.has_output());
}

#[test]
fn a_block_that_could_not_be_compressed_is_sent_plain() {
    let (mut pair, stream) = compressed(Compression::Zstd(1));
    let data = text(4000);
    pair.client.write(stream, data.clone().into()).expect("room");
    let block = pair.client.poll_block().expect("a block");
    pair.client.packed(block.unpacked());
    let sent = frames(&pair.send());
    assert_eq!((sent[0].kind, &sent[0].data), (DATA, &data));
}

#[test]
fn the_frames_may_arrive_in_any_chunks() {
    let (mut pair, stream) = compressed(Compression::Zstd(3));
    let data = [text(30_000), noise(30_000)].concat();
    pair.client.write(stream, data.clone().into()).expect("room");
    pair.client.finish(stream);
    pack(&mut pair.client);
    let wire = output(&mut pair.client, &pair.clock);
    for size in [1, 7, 4096] {
        let mut server = Pair::new().server;
        for chunk in wire.chunks(size) {
            server.handle_input(chunk, pair.clock.now()).expect("the peer keeps to the protocol");
        }
        assert_eq!(events(&mut server), [Event::Opened(stream), Event::Readable(stream)]);
        assert_eq!(read_all(&mut server, stream), (data.clone(), Read::Finished));
    }
}

/// A block of `data` that announces `len` bytes.
fn block(len: usize, zstd: &[u8]) -> Vec<u8> {
    [&(len as u32).to_be_bytes()[..], zstd].concat()
}

/// What zstd makes of these bytes.
fn zstd(data: &[u8]) -> Vec<u8> {
    let (mut pair, stream) = compressed(Compression::Zstd(1));
    pair.client.write(stream, Bytes::copy_from_slice(data)).expect("room");
    pack(&mut pair.client);
    let sent = frames(&output(&mut pair.client, &pair.clock));
    assert_eq!(sent[0].kind, ZSTD);
    sent[0].data[4..].to_vec()
}

#[test]
fn a_hostile_block_is_a_fault() {
    let good = zstd(&[b'a'; 60_000]);
    let blocks: [(&str, Vec<u8>, &str); 11] = [
        ("nothing", vec![], "too short"),
        ("half a length", vec![0, 0, 1], "too short"),
        ("no zstd at all", block(10, &[]), "not a whole zstd block"),
        ("garbage", block(10, b"garbage, not zstd"), "not a whole zstd block"),
        ("no bytes", block(0, &good), "announces 0 bytes"),
        ("more than a frame", block(FRAME_PAYLOAD + 1, &good), "announces 65537 bytes"),
        ("4 GiB", block(u32::MAX as usize, &good), "announces 4294967295 bytes"),
        ("a bomb", block(10, &good), "does not decode to the 10 bytes"),
        ("less than announced", block(60_001, &good), "holds 60000 bytes, and announces 60001"),
        ("cut short", block(60_000, &good[..good.len() - 1]), "not a whole zstd block"),
        ("two frames", block(60_000, &[&good[..], &good].concat()), "bytes follow the zstd block"),
    ];
    for (name, data, why) in blocks {
        let (code, what) = refusal(&frame(ZSTD, CLIENT_UNI, &data));
        assert!(code == Code::BadFrame && what.contains(why), "{name}: {what}");
    }
    // The good one is one.
    let (mut server, given) = server_given(&frame(ZSTD, CLIENT_UNI, &block(60_000, &good)));
    given.expect("no fault");
    assert_eq!(read_all(&mut server, CLIENT_UNI).0, [b'a'; 60_000]);
}

#[test]
fn any_changed_byte_is_a_fault_or_other_bytes_of_the_same_length() {
    let good = block(5000, &zstd(&text(5000)));
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut data = good.clone();
            data[at] ^= bit;
            let (mut server, given) = server_given(&frame(ZSTD, CLIENT_UNI, &data));
            if given.is_ok() {
                let got = read_all(&mut server, CLIENT_UNI).0.len();
                assert_eq!(got, u32::from_be_bytes(data[..4].try_into().expect("four bytes")) as usize);
            }
        }
    }
}

#[test]
fn blocks_beyond_the_credit_are_a_fault_before_they_are_decompressed() {
    let good = frame(ZSTD, CLIENT_UNI, &block(60_000, &zstd(&[b'a'; 60_000])));
    let (code, what) = refusal(&[&good[..], &good].concat());
    assert_eq!((code, what.contains("120000 bytes on stream 2")), (Code::LimitExceeded, true), "{what}");
    let (code, _) = refusal(&[frame(FIN, CLIENT_UNI, b"x"), good].concat());
    assert_eq!(code, Code::BadFrame);
    let (code, _) = refusal(&frame(ZSTD, SERVER_UNI, &block(1, b"x")));
    assert_eq!(code, Code::BadFrame);
}

/// 2,000 streams with a bomb each: what counts is what a first window may hold.
#[test]
fn bombs_on_many_streams_are_bounded_by_the_link() {
    let bomb = block(FRAME_PAYLOAD, &zstd(&[b'a'; FRAME_PAYLOAD]));
    let clock = unglue_testkit::Clock::new();
    let mut server = Pair::new().server;
    let before = held();
    for number in 0..2000u64 {
        let wire = frame(ZSTD, StreamId(4 * number + 2), &bomb);
        server.handle_input(&wire, clock.now()).expect("no fault: the streams are refused");
    }
    let most = unglue_proto::limits::LINK_UNREAD as usize + 2000 * 2048 + (1 << 20);
    let cost = usize::try_from(held() - before).expect("more is held than before");
    assert!(cost <= most, "{cost} bytes are held");
}
