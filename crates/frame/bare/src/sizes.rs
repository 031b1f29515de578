//! Lengths near the largest size of memory, and everything else that could depend on how wide a size is.

use alloc::{format, string::String, vec::Vec};
use unglue_frame::{DecodeError, Deframer, Enframer, Framing, presets, protocols};

/// Lengths that don't fit 32 bits are refused or waited for: never cut, never a panic, and nothing is allocated for them.
pub(crate) fn near_the_largest() -> bool {
    let long = [
        ("u32be(max=4G)", &b"\xff\xff\xff\xff"[..]),
        ("u32be(max=4G, incl)", b"\xff\xff\xff\xff"),
        ("u32be(max=4G, toolong=skip)", b"\xff\xff\xff\xff"),
        ("u64be(max=1024G)", b"\0\0\0\x01\0\0\0\x02ab"),
        ("u64be", b"\0\0\0\x01\0\0\0\x02ab"),
        ("u64be(toolong=skip)", b"\0\0\0\x01\0\0\0\x02ab"),
        ("u64be(max=18446744073709551614, toolong=cut)", &[0xff; 8]),
        ("len:u64be data[len+9] (max=18446744073709551614, toolong=cut)", &[0xff; 8]),
        ("len:u64be data[len*9] (max=18446744073709551614, toolong=cut)", &[0xff; 8]),
        ("len:u32be data[len+9] (max=8G)", b"\xff\xff\xff\xf9ab"),
        ("varint(max=1024G)", b"\x82\x80\x80\x80\x20ab"),
        ("t:u8 len:u32be data[len] pad[t] (max=4G)", &[0xff; 5]),
        ("netstring(max=1024G)", b"4294967298:ab"),
        ("lsp(max=1024G)", b"Content-Length: 4294967298\r\n\r\nab"),
        ("octet-count(max=1024G)", b"4294967298 ab"),
        ("cobs(max=18446744073709551615, toolong=cut)", &[0xff; 16]),
        ("slip(max=18446744073709551615, toolong=cut)", &[0xff; 16]),
        ("lines(max=18446744073709551615, toolong=cut)", &[0xff; 16]),
        ("msgpack(max=4G)", b"\xc6\xff\xff\xff\xff"),
        ("cbor(max=1024G)", b"\x5b\0\0\0\x01\0\0\0\x02ab"),
        ("ber(max=1024G)", b"\x04\x85\x01\0\0\0\x02ab"),
        ("websocket(max=1024G)", b"\x82\x7f\0\0\0\x01\0\0\0\x02ab"),
        ("zmtp(max=1024G)", b"\x02\0\0\0\x01\0\0\0\x02ab"),
        ("http-chunked(max=1024G)", b"100000002\r\nab"),
        ("resp(max=1024G)", b"$4294967298\r\nab"),
    ];
    let headers = ["u64be(max=1024G)", "u40be(max=1024G)", "varint(max=1024G)", "netstring(max=1024G)"];
    long.iter().all(|(notation, wire)| gives_no_frame(notation, wire)) && headers.iter().all(|name| writes(name))
}

fn gives_no_frame(notation: &str, wire: &[u8]) -> bool {
    let Ok(framing) = notation.parse::<Framing>() else { return false };
    (1..=wire.len()).all(|size| {
        let mut deframer = Deframer::new(framing.clone());
        let none = wire.chunks(size).all(|mut chunk| !matches!(deframer.decode(&mut chunk), Ok(Some(_))));
        none && deframer.capacity() <= 2 * 4096
    })
}

/// A header for more than 32 bits can be written, as the data may come from elsewhere than memory.
fn writes(notation: &str) -> bool {
    let Ok(framing) = notation.parse::<Framing>() else { return false };
    let mut wire = Vec::new();
    let written = Enframer::new(framing.clone()).header(&[], (1 << 32) + 2, &mut wire);
    // The least part of it that a cut length would leave.
    wire.extend_from_slice(b"ab,");
    written.is_ok() && !matches!(Deframer::new(framing).decode(&mut &wire[..]), Ok(Some(_)))
}

/// Everything that comes of each framing's example, cut anywhere, with bytes changed.
pub(crate) fn digest() -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    let mut random = Random(7);
    let named = protocols().iter().map(|protocol| (String::from(protocol.name), protocol.example.to_vec()));
    let others = presets().iter().map(|preset| (String::from(preset.notation), b"\x05hello\x00\x05\n\xc0".to_vec()));
    for (notation, example) in named.chain(others) {
        let options = ["", "(max=20)", "(max=20, toolong=skip)", "(max=20, toolong=cut)"];
        let framings = options.iter().filter_map(|options| format!("{notation}{options}").parse::<Framing>().ok());
        for framing in framings {
            for _ in 0..20 {
                let mut wire = example.repeat(3);
                for _ in 0..random.below(4) {
                    let at = random.below(wire.len());
                    wire[at] = random.below(256) as u8;
                }
                digest.all(&framing, &wire, 1 + random.below(wire.len()));
            }
        }
    }
    digest.0
}

/// Poor randomness, which is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// FNV-1a.
struct Digest(u64);

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn error(&mut self, error: DecodeError) {
        self.number(error.offset);
        self.bytes(format!("{error}").as_bytes());
    }

    fn all(&mut self, framing: &Framing, wire: &[u8], chunk: usize) {
        let mut deframer = Deframer::new(framing.clone());
        for chunk in wire.chunks(chunk) {
            deframer.feed(chunk);
            loop {
                match deframer.next() {
                    Ok(Some(frame)) => {
                        self.number(frame.offset());
                        self.bytes(frame.data());
                        frame.fields().for_each(|(_, value)| self.number(value));
                    }
                    Ok(None) => break,
                    Err(error) => return self.error(error),
                }
            }
        }
        if let Err(error) = deframer.finish() {
            self.error(error);
        }
    }
}
