//! HDLC on lines that carry bytes. `hdlc` escapes bytes, as PPP does (RFC 1662 section 4); `hdlc(stuff=bit)` inserts bits, as
//! ISO 13239 has it on synchronous lines, the lowest bit of a byte first. A flag ends a frame. The data is what stands before
//! the frame check sequence, which is checked. What an abort ends is left out without an error.
//!
//! With bit stuffing each frame begins on a byte's boundary: the bits behind a flag, up to the byte's end, have no meaning,
//! and one bits fill the line between frames. A stream whose frames begin anywhere in a byte has to be aligned first.

use super::value::fault;
use crate::{EncodeError, Fault, Limits, Output, Rule, Step, TooLong};
use alloc::{string::String, vec::Vec};

#[derive(Clone, Debug)]
pub(crate) struct Hdlc {
    pub(crate) bits: bool,
    pub(crate) check: Check,
}

/// The frame check sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    None,
    Crc16,
    Crc32,
}

/// What was seen of the frame that has begun.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    at: usize,
    /// The bytes that it decodes to so far.
    decoded: u64,
    taken: Taken,
    dropping: bool,
}

/// Where the decoder is within a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    escaped: bool,
    /// One bits in a row, and the bits of a byte that isn't full.
    ones: u8,
    byte: u8,
    bits: u8,
}

/// What a byte of the line did.
enum Did {
    Nothing,
    Byte(u8),
    Flag,
    Abort,
}

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const FLIP: u8 = 0x20;

impl Rule for Hdlc {
    type State = Seen;

    fn name(&self) -> &str {
        "hdlc"
    }

    fn args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if self.bits {
            args.push("stuff=bit".into());
        }
        match self.check {
            Check::Crc16 => {}
            Check::Crc32 => args.push("fcs=32".into()),
            Check::None => args.push("fcs=none".into()),
        }
        args
    }

    fn find(&self, seen: &mut Seen, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        if seen.at == 0 && !seen.dropping {
            let idle = |byte: &&u8| **byte == FLAG || self.bits && **byte == 0xff;
            let filler = frame.iter().take_while(idle).count();
            if filler > 0 {
                return Ok(Step::Filler(filler));
            }
        }
        let most = limits.max.saturating_add(self.check.width() as u64);
        while let Some(&byte) = frame.get(seen.at) {
            seen.at += 1;
            let mut did = [Did::Nothing, Did::Nothing];
            self.take(&mut seen.taken, byte, &mut did);
            for did in did {
                match did {
                    Did::Nothing => {}
                    Did::Byte(_) => seen.decoded += 1,
                    Did::Flag | Did::Abort if seen.dropping => return Ok(Step::Skip(core::mem::take(seen).at as u64)),
                    Did::Flag => {
                        let data = core::mem::take(seen).at - 1;
                        return Ok(Step::Frame { head: 0, data, tail: 1 });
                    }
                    Did::Abort => return Ok(Step::Filler(core::mem::take(seen).at)),
                }
            }
            if seen.decoded > most && !seen.dropping {
                if limits.too_long == TooLong::Fail {
                    return Err(Fault::TooMuch { limit: limits.max });
                }
                seen.dropping = true;
            }
        }
        if seen.dropping {
            seen.at = 0;
            return Ok(Step::Drop(frame.len()));
        }
        Ok(Step::More(frame.len() + 1))
    }

    fn open(&self, frame: &[u8], limits: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault> {
        let (mut taken, mut len) = (Taken::default(), 0);
        for byte in frame {
            let mut did = [Did::Nothing, Did::Nothing];
            self.take(&mut taken, *byte, &mut did);
            for did in did {
                if let (Did::Byte(byte), Some(place)) = (did, out.get_mut(len)) {
                    *place = byte;
                    len += 1;
                }
            }
        }
        // A flag's first six bits, or seven, were taken for data; what is left of it is told by `partial`.
        if self.bits && taken.partial() {
            return Err(fault(frame.len() as u64 - 1, "its bits don't make whole bytes: were some lost?"));
        }
        let bytes = &out[..len];
        let data = len.checked_sub(self.check.width());
        let data = data.ok_or(fault(0, "it is shorter than its frame check sequence"))?;
        let (want, got) = self.check.both(bytes, data);
        if want != got {
            return Err(Fault::Checksum { want, got });
        }
        if data == 0 && !limits.empty {
            return Err(Fault::Empty);
        }
        Ok(Some(data))
    }

    fn decodes(&self) -> bool {
        true
    }

    fn may_be_empty(&self) -> bool {
        self.check != Check::None
    }

    fn too_long(&self) -> &[TooLong] {
        &[TooLong::Fail, TooLong::Skip]
    }

    fn encode(&self, _: &[u64], data: &[u8], _: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        if data.is_empty() && self.check == Check::None {
            // Between two flags there is no frame: this one would be lost.
            return Err(EncodeError::Empty);
        }
        let sum = self.check.of(data).to_le_bytes();
        let bytes = data.iter().chain(&sum[..self.check.width()]);
        out.put(&[FLAG]);
        if !self.bits {
            for byte in bytes {
                match *byte {
                    FLAG | ESCAPE => out.put(&[ESCAPE, byte ^ FLIP]),
                    byte => out.put(&[byte]),
                }
            }
            out.put(&[FLAG]);
            return Ok(());
        }
        let mut line = Line::default();
        for byte in bytes {
            (0..8).for_each(|bit| line.stuffed(byte >> bit & 1 == 1, out));
        }
        (0..8).for_each(|bit| line.put(FLAG >> bit & 1 == 1, out));
        while line.bits > 0 {
            line.put(true, out);
        }
        Ok(())
    }
}

/// Bits on their way to bytes.
#[derive(Default)]
struct Line {
    byte: u8,
    bits: u8,
    ones: u8,
}

impl Line {
    fn put(&mut self, bit: bool, out: &mut dyn Output) {
        self.byte |= u8::from(bit) << self.bits;
        self.bits += 1;
        if self.bits == 8 {
            out.put(&[self.byte]);
            (self.byte, self.bits) = (0, 0);
        }
    }

    /// A zero follows five ones.
    fn stuffed(&mut self, bit: bool, out: &mut dyn Output) {
        self.put(bit, out);
        self.ones = if bit { self.ones + 1 } else { 0 };
        if self.ones == 5 {
            self.put(false, out);
            self.ones = 0;
        }
    }
}

impl Hdlc {
    fn take(&self, taken: &mut Taken, byte: u8, did: &mut [Did; 2]) {
        if self.bits {
            taken.bits_of(byte, did);
            return;
        }
        did[0] = match (byte, taken.escaped) {
            (FLAG, true) => Did::Abort,
            (FLAG, false) => Did::Flag,
            (ESCAPE, false) => {
                taken.escaped = true;
                return;
            }
            (byte, true) => Did::Byte(byte ^ FLIP),
            (byte, false) => Did::Byte(byte),
        };
        taken.escaped = false;
    }
}

impl Taken {
    /// Takes eight bits, the lowest first. They make two bytes at most, and end with a flag or an abort.
    fn bits_of(&mut self, byte: u8, did: &mut [Did; 2]) {
        let mut next = 0;
        for bit in 0..8 {
            let one = byte >> bit & 1 == 1;
            if one {
                self.ones += 1;
                if self.ones == 7 {
                    did[next] = Did::Abort;
                    return;
                }
            } else {
                match core::mem::take(&mut self.ones) {
                    // The zero that the sender inserted.
                    5 => continue,
                    6 => {
                        // The flag's first seven bits, a zero and six ones, were taken for data.
                        self.bits = (self.bits + 8 - 7) % 8;
                        did[next] = Did::Flag;
                        return;
                    }
                    _ => {}
                }
            }
            self.byte |= u8::from(one) << self.bits;
            self.bits += 1;
            if self.bits == 8 {
                did[next] = Did::Byte(self.byte);
                next = 1;
                (self.byte, self.bits) = (0, 0);
            }
        }
    }

    /// Whether bits are left that don't make a byte.
    fn partial(&self) -> bool {
        self.bits != 0
    }
}

impl Check {
    fn width(self) -> usize {
        match self {
            Check::None => 0,
            Check::Crc16 => 2,
            Check::Crc32 => 4,
        }
    }

    /// The sum (RFC 1662 appendix C): the remainder's complement.
    fn of(self, data: &[u8]) -> u32 {
        match self {
            Check::None => 0,
            Check::Crc16 => !remainder(data, 0xffff, &CRC16) & 0xffff,
            Check::Crc32 => !remainder(data, u32::MAX, &CRC32),
        }
    }

    /// The sum of the data, and the one that stands behind it.
    fn both(self, bytes: &[u8], data: usize) -> (u32, u32) {
        let got = bytes[data..].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        (self.of(&bytes[..data]), got)
    }
}

const CRC16: [u32; 256] = table(0x8408);
const CRC32: [u32; 256] = table(0xedb8_8320);

const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut value, mut bit) = (index as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

fn remainder(data: &[u8], start: u32, table: &[u32; 256]) -> u32 {
    data.iter().fold(start, |value, byte| value >> 8 ^ table[usize::from(value as u8 ^ byte)])
}
