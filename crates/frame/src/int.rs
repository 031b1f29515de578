//! Integers as they stand on the wire: a width and a byte order, a varint, or digits.

use crate::Fault;

/// How an integer is written: its width and byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Int {
    /// Bytes: 1 to 8; for a varint the most bytes it may take; for digits how many there are, 0 if that differs.
    pub(crate) width: u8,
    pub(crate) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Big,
    Little,
    /// Seven bits a byte, lowest group first, as protobuf and MQTT have it; no more bytes than the value needs.
    Varint,
    /// The same with as many bytes as the writer likes.
    Padded,
    /// ASCII digits of this radix.
    Digits(u8),
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
    /// Five bytes, most significant first.
    pub const U40BE: Int = Int::fixed(5, Form::Big);
    /// Five bytes, least significant first.
    pub const U40LE: Int = Int::fixed(5, Form::Little);
    /// Six bytes, most significant first.
    pub const U48BE: Int = Int::fixed(6, Form::Big);
    /// Six bytes, least significant first.
    pub const U48LE: Int = Int::fixed(6, Form::Little);
    /// Seven bytes, most significant first.
    pub const U56BE: Int = Int::fixed(7, Form::Big);
    /// Seven bytes, least significant first.
    pub const U56LE: Int = Int::fixed(7, Form::Little);
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

    /// The same, for a varint: more bytes than its value needs are good. It is written with as few as possible.
    pub const fn padded(self) -> Int {
        match self.form {
            Form::Varint => Int { form: Form::Padded, ..self },
            _ => self,
        }
    }

    /// Hexadecimal digits in ASCII, so many, of which the first may be zeros; with 0, as many as there are before
    /// another byte. Written in lower case. More than 16 are brought down to that.
    pub const fn hex(digits: u8) -> Int {
        Int::digits(digits, 16)
    }

    /// As [`hex`](Self::hex), with octal digits, 21 at most.
    pub const fn octal(digits: u8) -> Int {
        Int::digits(digits, 8)
    }

    /// As [`hex`](Self::hex), with decimal digits, 19 at most.
    pub const fn decimal(digits: u8) -> Int {
        Int::digits(digits, 10)
    }

    const fn digits(digits: u8, radix: u8) -> Int {
        let most = most_digits(radix);
        Int { width: if digits > most { most } else { digits }, form: Form::Digits(radix) }
    }

    /// The largest value that can be written.
    pub const fn largest(self) -> u64 {
        let bits = match self.form {
            Form::Varint | Form::Padded => self.width as u32 * 7,
            Form::Digits(_) if self.width == 0 => 64,
            Form::Digits(radix) => return (radix as u64).pow(self.width as u32 - 1).saturating_mul(radix as u64) - 1,
            _ => self.width as u32 * 8,
        };
        if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
    }

    /// The width in bytes of a binary number where it doesn't depend on the value.
    pub(crate) const fn binary_width(self) -> Option<usize> {
        match self.form {
            Form::Big | Form::Little => Some(self.width as usize),
            _ => None,
        }
    }

    /// The width in bytes where it doesn't depend on the value.
    pub(crate) const fn fixed_width(self) -> Option<usize> {
        match self.form {
            Form::Varint | Form::Padded => None,
            Form::Digits(_) if self.width == 0 => None,
            _ => Some(self.width as usize),
        }
    }

    /// The fewest bytes that the integer takes.
    pub(crate) const fn least_width(self) -> usize {
        match self.fixed_width() {
            Some(width) => width,
            None => 1,
        }
    }

    /// The most bytes that it takes.
    pub(crate) const fn most_width(self) -> usize {
        match self.form {
            Form::Digits(_) if self.width == 0 => WIDEST,
            _ => self.width as usize,
        }
    }

    /// Whether it goes on as long as digits come, and which bytes these are.
    pub(crate) fn goes_on_with(self, byte: u8) -> bool {
        matches!(self.form, Form::Digits(radix) if self.width == 0 && char::from(byte).is_digit(radix.into()))
    }

    /// The bytes that `value` takes.
    pub(crate) fn width_of(self, value: u64) -> usize {
        match self.form {
            Form::Varint | Form::Padded => (64 - (value | 1).leading_zeros() as usize).div_ceil(7),
            Form::Digits(radix) if self.width == 0 => value.checked_ilog(radix.into()).unwrap_or(0) as usize + 1,
            _ => self.width as usize,
        }
    }

    /// Reads the integer at the front of `bytes`. The fault's position is relative to `bytes`.
    #[inline]
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Read, Fault> {
        let width = match self.form {
            Form::Varint | Form::Padded => return self.read_varint(bytes),
            Form::Digits(radix) => return self.read_digits(bytes, radix),
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

    fn read_digits(self, bytes: &[u8], radix: u8) -> Result<Read, Fault> {
        let mut value = 0u64;
        let fixed = usize::from(self.width);
        for (at, &byte) in bytes.iter().enumerate() {
            if fixed > 0 && at == fixed {
                return Ok(Read::Value { value, width: at });
            }
            let wrong = Fault::Number { at: at as u64, got: byte };
            let Some(digit) = char::from(byte).to_digit(radix.into()) else {
                return if fixed == 0 && at > 0 { Ok(Read::Value { value, width: at }) } else { Err(wrong) };
            };
            // One value, one encoding, where the number of digits is free.
            let zero_first = fixed == 0 && at > 0 && value == 0;
            let next = value.checked_mul(radix.into()).and_then(|value| value.checked_add(digit.into()));
            value = next.filter(|_| !zero_first).ok_or(wrong)?;
        }
        if fixed > 0 && bytes.len() == fixed {
            return Ok(Read::Value { value, width: fixed });
        }
        Ok(Read::More(fixed.max(bytes.len() + 1)))
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
                if byte == 0 && at > 0 && self.form == Form::Varint {
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
            Form::Varint | Form::Padded => return write_varint(value, out),
            Form::Digits(radix) => return write_digits(value, self.width_of(value), radix, out),
        }
        width
    }
}

/// The most digits that surely fit 64 bits.
const fn most_digits(radix: u8) -> u8 {
    match radix {
        8 => 21,
        10 => 19,
        _ => 16,
    }
}

/// The most bytes that an integer takes: 64 bits in octal.
pub(crate) const WIDEST: usize = 22;

fn write_digits(mut value: u64, width: usize, radix: u8, out: &mut [u8]) -> usize {
    for place in out[..width].iter_mut().rev() {
        *place = b"0123456789abcdef"[(value % u64::from(radix)) as usize];
        value /= u64::from(radix);
    }
    width
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
