//! The values that a format packs and unpacks.

/// A value on its way in or out of a record.
///
/// Unpacking gives `Int`, `Float`, `Bool` and `Bytes` only, and never loses anything. Packing takes all
/// of them, with Python's conversions: integers and booleans where a float is wanted, booleans where
/// an integer is wanted, the truth of anything where `?` stands.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// An integer; every integer that a record can hold fits.
    Int(i128),
    /// An integer that may be larger, of use where a caller passes on what it was given.
    BigInt(BigInt<'a>),
    /// A float. Records hold 16, 32 or 64 bits of it.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A byte string, borrowed.
    Bytes(&'a [u8]),
    /// What a caller in a dynamic language may hold besides: only its truth can be packed, with `?`.
    Other {
        /// What Python's `bool()` says of it.
        truth: bool,
    },
}

impl Value<'_> {
    /// The truth of the value by Python's rules: zero and emptiness are false, NaN is true.
    pub fn truth(&self) -> bool {
        match *self {
            Value::Int(number) => number != 0,
            Value::BigInt(number) => number.saturated() != 0,
            Value::Float(number) => number != 0.0,
            Value::Bool(truth) | Value::Other { truth } => truth,
            Value::Bytes(bytes) => !bytes.is_empty(),
        }
    }

    /// The integer that the value is. Beyond 128 bits it is `i128::MIN` or `i128::MAX`, which is out
    /// of range for every code as well.
    pub(crate) fn integer(&self) -> Option<i128> {
        match *self {
            Value::Int(number) => Some(number),
            Value::BigInt(number) => Some(number.saturated()),
            Value::Bool(truth) => Some(i128::from(truth)),
            _ => None,
        }
    }

    /// The float that the value converts to; `None` for an integer too large for one, too.
    pub(crate) fn float(&self) -> Option<f64> {
        match *self {
            Value::Float(number) => Some(number),
            Value::Int(number) => Some(number as f64),
            Value::BigInt(number) => number.to_f64(),
            Value::Bool(truth) => Some(f64::from(u8::from(truth))),
            _ => None,
        }
    }
}

/// An integer of any size in decimal digits, borrowed.
///
/// ```
/// use unglue_struct::{BigInt, Format, Value};
///
/// let number = BigInt::from_decimal("1606938044258990275541962092341162602522202993782792835301376").unwrap();
/// let bytes = Format::parse(">d")?.pack(&[Value::BigInt(number)])?; // 2.0 ** 200, exactly
/// assert_eq!(bytes, [0x4c, 0x70, 0, 0, 0, 0, 0, 0]);
/// # Ok::<(), unglue_struct::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigInt<'a> {
    text: &'a str,
}

impl<'a> BigInt<'a> {
    /// Takes an optional minus sign and at least one decimal digit; anything else is `None`.
    pub fn from_decimal(text: &'a str) -> Option<BigInt<'a>> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then_some(BigInt { text })
    }

    /// The digits, with a minus sign if it is negative.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    fn saturated(&self) -> i128 {
        let limit = if self.text.starts_with('-') { i128::MIN } else { i128::MAX };
        // Only an overflow can fail: the constructor has seen the digits.
        self.text.parse().unwrap_or(limit)
    }

    /// The nearest float, ties to even; `None` if it is too large for a finite one.
    fn to_f64(self) -> Option<f64> {
        self.text.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value<'_> {
            fn from(number: $integer) -> Self {
                Value::Int(i128::from(number))
            }
        }
    )*};
}

from_integers!(i8 u8 i16 u16 i32 u32 i64 u64 i128);

impl From<isize> for Value<'_> {
    fn from(number: isize) -> Self {
        Value::Int(number as i128)
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::Int(number as i128)
    }
}

impl From<f32> for Value<'_> {
    fn from(number: f32) -> Self {
        Value::Float(f64::from(number))
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a> From<BigInt<'a>> for Value<'a> {
    fn from(number: BigInt<'a>) -> Self {
        Value::BigInt(number)
    }
}
