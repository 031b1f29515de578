//! Random values and frames of each protocol, as bytes, beside what they must decode to.

use crate::cuts::Random;

/// A stream of a protocol: its bytes, and the data of each frame.
pub(super) struct Stream {
    pub(super) wire: Vec<u8>,
    pub(super) frames: Vec<Vec<u8>>,
}

/// The protocols that streams are made for.
pub(super) const KINDS: &[&str] = &[
    "resp",
    "json",
    "msgpack",
    "cbor",
    "ber",
    "websocket",
    "http-chunked",
    "pkt-line",
    "mllp",
    "hdlc",
    "hdlc(stuff=bit)",
    "hdlc(fcs=32)",
    "hdlc(stuff=bit, fcs=none)",
    "zmtp",
    "zmtp1",
    "amqp",
    "amqp1",
    "onc-rpc",
];

/// Whether a frame of the protocol is one value, whole.
pub(super) fn is_value(kind: &str) -> bool {
    matches!(kind, "resp" | "json" | "msgpack" | "cbor" | "ber")
}

pub(super) fn stream(kind: &str, size: usize, random: &mut Random) -> Stream {
    let mut stream = Stream { wire: Vec::new(), frames: Vec::new() };
    let enframer = unglue_frame::Enframer::new(super::framing(kind));
    while stream.wire.len() < size {
        if is_value(kind) {
            let mut value = Vec::new();
            put_value(kind, 4, random, &mut value);
            stream.wire.extend_from_slice(&value);
            stream.frames.push(value);
            if kind == "json" {
                stream.wire.extend_from_slice(["\n", " ", "\r\n\t", "\x1e"][random.below(4)].as_bytes());
            }
            continue;
        }
        let len = if random.below(20) == 0 { random.below(70_000 / 100) } else { random.below(60) + 1 };
        let data: Vec<u8> = (0..len).map(|_| byte(random)).collect();
        let fields: Vec<u64> = match kind {
            "websocket" => {
                let masked = random.below(2) as u64;
                let key = if masked == 1 { random.below(1 << 32) as u64 } else { 0 };
                vec![random.below(2) as u64, random.below(8) as u64, random.below(3) as u64, masked, key]
            }
            "zmtp" => vec![[0, 1, 4][random.below(3)]],
            "zmtp1" => vec![random.below(2) as u64],
            "amqp" => vec![[1, 2, 3, 8][random.below(4)], random.below(65536) as u64],
            "amqp1" => vec![random.below(2) as u64, random.below(65536) as u64],
            "onc-rpc" => vec![random.below(2) as u64],
            _ => Vec::new(),
        };
        if enframer.encode(&fields, &data, &mut stream.wire).is_ok() {
            stream.frames.push(data);
        }
    }
    stream
}

/// Bytes that mean something to one protocol or another more often than others.
fn byte(random: &mut Random) -> u8 {
    if random.below(3) == 0 {
        b"\r\n\0\x0b\x1c~}\xff\x7e\x7d\xfe\x1f"[random.below(12)]
    } else {
        random.below(256) as u8
    }
}

fn put_value(kind: &str, depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    match kind {
        "json" => json(depth, random, out),
        "resp" => resp(depth, random, out),
        "msgpack" => msgpack(depth, random, out),
        "cbor" => cbor(depth, random, out),
        _ => ber(depth, random, out),
    }
}

fn text(random: &mut Random) -> String {
    (0..random.below(30)).map(|_| ['a', '"', '\\', 'é', '{', ']', '\n', '0'][random.below(8)]).collect()
}

fn json(depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let blank = |random: &mut Random| ["", "", " ", "\n\t"][random.below(4)].as_bytes();
    let count = random.below(4);
    match random.below(if depth == 0 { 4 } else { 6 }) {
        0 => out.extend_from_slice(["true", "false", "null"][random.below(3)].as_bytes()),
        1 => out.extend_from_slice(format!("{}", random.below(1 << 40)).as_bytes()),
        2 => out.extend_from_slice(["-0", "1.5e10", "-2E-3", "0.25", "1e+9"][random.below(5)].as_bytes()),
        3 => out.extend_from_slice(serde_json::to_string(&text(random)).unwrap().as_bytes()),
        4 => {
            out.push(b'[');
            for index in 0..count {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                out.extend_from_slice(blank(random));
                json(depth - 1, random, out);
                out.extend_from_slice(blank(random));
            }
            out.push(b']');
        }
        _ => {
            out.push(b'{');
            for index in 0..count {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                out.extend_from_slice(blank(random));
                out.extend_from_slice(serde_json::to_string(&text(random)).unwrap().as_bytes());
                out.extend_from_slice(b":");
                json(depth - 1, random, out);
            }
            out.extend_from_slice(blank(random));
            out.push(b'}');
        }
    }
}

fn blob(random: &mut Random) -> Vec<u8> {
    let len = if random.below(9) == 0 { random.below(400) } else { random.below(12) };
    (0..len).map(|_| byte(random)).collect()
}

fn resp(depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let count = random.below(4);
    let items = |kind: char, times: usize, random: &mut Random, out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{kind}{count}\r\n").as_bytes());
        (0..times * count).for_each(|_| resp(depth - 1, random, out));
    };
    match random.below(if depth == 0 { 7 } else { 12 }) {
        0 => out.extend_from_slice(b"+OK\r\n"),
        1 => out.extend_from_slice(format!(":{}\r\n", random.below(1 << 30)).as_bytes()),
        2 => out.extend_from_slice([&b"$-1\r\n"[..], b"_\r\n", b"#f\r\n", b",-1.5\r\n", b"(123\r\n"][random.below(5)]),
        3..=5 => {
            let blob = blob(random);
            out.extend_from_slice(format!("{}{}\r\n", ['$', '$', '!'][random.below(3)], blob.len()).as_bytes());
            out.extend_from_slice(&blob);
            out.extend_from_slice(b"\r\n");
        }
        6 => {
            out.extend_from_slice(b"$?\r\n");
            for _ in 0..count {
                out.extend_from_slice(b";3\r\n\r\n~\r\n");
            }
            out.extend_from_slice(b";0\r\n");
        }
        7 | 8 => items('*', 1, random, out),
        9 => items('~', 1, random, out),
        10 => items('%', 2, random, out),
        _ => {
            items('|', 2, random, out);
            resp(depth - 1, random, out);
        }
    }
}

fn msgpack(depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let count = random.below(4);
    match random.below(if depth == 0 { 6 } else { 9 }) {
        0 => out.push([0xc0, 0xc2, 0xc3, 0x00, 0x7f, 0xe0, 0xff][random.below(7)]),
        1 => {
            let (code, len) = [(0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8), (0xd0, 1), (0xd3, 8), (0xca, 4), (0xcb, 8)]
                [random.below(8)];
            out.push(code);
            (0..len).for_each(|_| out.push(byte(random)));
        }
        2 => {
            let blob = blob(random);
            match random.below(3) {
                0 => out.extend([0xc5, (blob.len() >> 8) as u8, blob.len() as u8]),
                1 => out.extend([0xdb, 0, 0, (blob.len() >> 8) as u8, blob.len() as u8]),
                _ => out.extend([0xc8, (blob.len() >> 8) as u8, blob.len() as u8, 5]),
            }
            out.extend(blob);
        }
        3 => out.extend([0xa3, b'a', b'b', b'c']),
        4 => out.extend([0xd5, 1, 2, 3]),
        5 => out.extend([0x90]),
        6 => {
            out.push(0x90 | count as u8);
            (0..count).for_each(|_| msgpack(depth - 1, random, out));
        }
        7 => {
            out.extend([0xdd, 0, 0, 0, count as u8]);
            (0..count).for_each(|_| msgpack(depth - 1, random, out));
        }
        _ => {
            out.extend([0xde, 0, count as u8]);
            (0..2 * count).for_each(|_| msgpack(depth - 1, random, out));
        }
    }
}

fn cbor(depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let count = random.below(4);
    match random.below(if depth == 0 { 5 } else { 10 }) {
        0 => out.push([0x00, 0x17, 0x20, 0xf4, 0xf6, 0xf7][random.below(6)]),
        1 => {
            let (code, len) = [(0x18, 1), (0x19, 2), (0x1a, 4), (0x1b, 8), (0x38, 1), (0xf9, 2), (0xfa, 4), (0xfb, 8)]
                [random.below(8)];
            out.push(code);
            (0..len).for_each(|_| out.push(byte(random)));
        }
        2 => {
            let blob = blob(random);
            out.extend([if random.below(2) == 0 { 0x59 } else { 0x79 }, (blob.len() >> 8) as u8, blob.len() as u8]);
            out.extend(blob);
        }
        3 => out.extend([0x63, b'a', b'b', b'c']),
        4 => out.extend([0x5f, 0x41, 0xff, 0x40, 0xff]),
        5 => {
            out.push(0x80 | count as u8);
            (0..count).for_each(|_| cbor(depth - 1, random, out));
        }
        6 => {
            out.push(0x9f);
            (0..count).for_each(|_| cbor(depth - 1, random, out));
            out.push(0xff);
        }
        7 => {
            out.push(0xbf);
            (0..2 * count).for_each(|_| cbor(depth - 1, random, out));
            out.push(0xff);
        }
        8 => {
            out.extend([0xb8, count as u8]);
            (0..2 * count).for_each(|_| cbor(depth - 1, random, out));
        }
        _ => {
            // A tag without a meaning that a decoder would check.
            out.extend([0xd8, 100 + count as u8]);
            cbor(depth - 1, random, out);
        }
    }
}

fn ber(depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    let count = random.below(4);
    let kind = random.below(if depth == 0 { 2 } else { 4 });
    if kind < 2 {
        let blob = blob(random);
        out.push([0x02, 0x04, 0x80][random.below(3)]);
        length(blob.len(), out);
        out.extend(blob);
        return;
    }
    let mut inner = Vec::new();
    (0..count).for_each(|_| ber(depth - 1, random, &mut inner));
    if kind == 2 {
        out.extend([0x3f, 0x81, 0x02]);
        length(inner.len(), out);
        out.extend(inner);
    } else {
        out.extend([0x30, 0x80]);
        out.extend(inner);
        out.extend([0, 0]);
    }
}

fn length(len: usize, out: &mut Vec<u8>) {
    match len {
        0..=127 => out.push(len as u8),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
}
