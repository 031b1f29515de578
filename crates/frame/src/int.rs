//! Integers as they stand on the wire: a width and a byte order, or a varint.

use crate::Fault;

/// How an integer is written: its width and byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Int {
    /// Bytes: 1, 2, 3, 4 or 8; for a varint the most bytes it may take.
    pub(crate) width: u8,
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Big,
    Little,
    /// Seven bits a byte, lowest group first, as protobuf and MQTT have it.
    Varint,
}

/// What reading an integer from the bytes at hand gave.
pub(crate) enum Read {
    Value {
        value: u64,
        width: usize,
    },
    /// The integer needs this many bytes at least.
    More(usize),
}

impl Int {
    /// One byte.
    pub const U8: Int = Int::fixed(1, Form::Big);
    /// Two bytes, most significant first.
    pub const U16BE: Int = Int::fixed(2, Form::Big);
    /// Two bytes, least significant first.
    pub const U16LE: Int = Int::fixed(2, Form::Little);
    /// Three bytes, most significant first.
    pub const U24BE: Int = Int::fixed(3, Form::Big);
    /// Three bytes, least significant first.
    pub const U24LE: Int = Int::fixed(3, Form::Little);
    /// Four bytes, most significant first.
    pub const U32BE: Int = Int::fixed(4, Form::Big);
    /// Four bytes, least significant first.
    pub const U32LE: Int = Int::fixed(4, Form::Little);
    /// Eight bytes, most significant first.
    pub const U64BE: Int = Int::fixed(8, Form::Big);
    /// Eight bytes, least significant first.
    pub const U64LE: Int = Int::fixed(8, Form::Little);
    /// A varint of at most ten bytes: protobuf's.
    pub const VARINT: Int = Int::fixed(10, Form::Varint);

    const fn fixed(width: u8, form: Form) -> Int {
        Int { width, form }
    }

    /// A varint of at most `bytes` bytes (MQTT's has four). Values outside 1 to 10 are brought into that range.
    pub const fn varint(bytes: u8) -> Int {
        let width = if bytes < 1 {
            1
        } else if bytes > 10 {
            10
        } else {
            bytes
        };
        Int { width, form: Form::Varint }
    }

    /// The largest value that can be written.
    pub const fn largest(self) -> u64 {
        let bits = match self.form {
            Form::Varint => self.width as u32 * 7,
            _ => self.width as u32 * 8,
        };
        if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
    }

    /// The width in bytes where it doesn't depend on the value.
    pub(crate) const fn fixed_width(self) -> Option<usize> {
        match self.form {
            Form::Varint => None,
            _ => Some(self.width as usize),
        }
    }

    /// The fewest bytes that the integer takes.
    pub(crate) const fn least_width(self) -> usize {
        match self.form {
            Form::Varint => 1,
            _ => self.width as usize,
        }
    }

    /// The bytes that `value` takes.
    pub(crate) fn width_of(self, value: u64) -> usize {
        match self.form {
            Form::Varint => (64 - (value | 1).leading_zeros() as usize).div_ceil(7),
            _ => self.width as usize,
        }
    }

    /// Reads the integer at the front of `bytes`. The fault's position is relative to `bytes`.
    #[inline]
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Read, Fault> {
        let width = match self.form {
            Form::Varint => return self.read_varint(bytes),
            _ => self.width as usize,
        };
        let Some(bytes) = bytes.get(..width) else {
            return Ok(Read::More(width));
        };
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let value = match self.form {
            Form::Little => bytes.iter().rev().fold(0, push),
            _ => bytes.iter().fold(0, push),
        };
        Ok(Read::Value { value, width })
    }

    fn read_varint(self, bytes: &[u8]) -> Result<Read, Fault> {
        let most = usize::from(self.width);
        let mut value = 0u64;
        for (at, &byte) in bytes.iter().take(most).enumerate() {
            if at == 9 && byte > 1 {
                return Err(Fault::VarintTooLong { limit: self.width });
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                // 80 00 would be a second way to write 0: a hole through which filters are passed.
                if byte == 0 && at > 0 {
                    return Err(Fault::VarintPadded { value });
                }
                return Ok(Read::Value { value, width: at + 1 });
            }
        }
        if bytes.len() >= most {
            return Err(Fault::VarintTooLong { limit: self.width });
        }
        Ok(Read::More(bytes.len() + 1))
    }

    /// Writes `value`, which must fit, to the front of `out` and gives the number of bytes.
    #[inline]
    pub(crate) fn write(self, value: u64, out: &mut [u8]) -> usize {
        debug_assert!(value <= self.largest());
        let width = usize::from(self.width);
        match self.form {
            Form::Big => out[..width].copy_from_slice(&value.to_be_bytes()[8 - width..]),
            Form::Little => out[..width].copy_from_slice(&value.to_le_bytes()[..width]),
            Form::Varint => return write_varint(value, out),
        }
        width
    }
}

fn write_varint(mut value: u64, out: &mut [u8]) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}
