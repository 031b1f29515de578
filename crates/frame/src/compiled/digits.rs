//! Frames that begin with a decimal number: netstrings and syslog's octet counting.

use super::{Limits, Measure};
use crate::{Fault, TooLong, looks};

/// A decimal length, one byte behind it, the data, and perhaps one byte more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    /// The byte between the number and the data.
    pub(crate) mark: u8,
    /// The byte behind the data.
    pub(crate) close: Option<u8>,
}

/// The digits of the largest number read.
const MOST: usize = 20;

impl Digits {
    /// `5:hello,` (D. J. Bernstein, 1997).
    pub(crate) const NETSTRING: Digits = Digits { mark: b':', close: Some(b',') };
    /// `5 hello` (RFC 6587, section 3.4.1).
    pub(crate) const OCTET_COUNT: Digits = Digits { mark: b' ', close: None };

    pub(crate) fn measure(&self, bytes: &[u8], limits: Limits) -> Result<Measure, Fault> {
        let mut value = 0u64;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == self.mark && at > 0 {
                return self.known(at + 1, value, limits);
            }
            let zero_first = at > 0 && bytes[0] == b'0';
            if !byte.is_ascii_digit() || zero_first || at == MOST {
                return Err(Fault::Number { at: at as u64, got: byte });
            }
            let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(byte - b'0')));
            value = next.ok_or(Fault::Number { at: at as u64, got: byte })?;
            // The number only grows: no need to wait for its end.
            if value > limits.max && limits.too_long == TooLong::Fail {
                return Err(Fault::TooLong { got: value, limit: limits.max, looks: looks::guess(&bytes[..=at]) });
            }
        }
        Ok(Measure::More(bytes.len() + 1))
    }

    fn known(&self, head: usize, data: u64, limits: Limits) -> Result<Measure, Fault> {
        if data == 0 && !limits.empty {
            return Err(Fault::Empty);
        }
        limits.judge(head, data, u64::from(self.close.is_some()))
    }

    pub(crate) fn check_tail(&self, frame: &[u8]) -> Result<(), Fault> {
        match (self.close, frame.last()) {
            (Some(want), Some(&got)) if want != got => Err(Fault::Literal { at: frame.len() as u64 - 1, want, got }),
            _ => Ok(()),
        }
    }
}

/// A number in decimal digits, for writing.
pub(crate) struct Decimal {
    digits: [u8; MOST],
    from: usize,
}

impl Decimal {
    pub(crate) fn new(mut value: u64) -> Decimal {
        let mut decimal = Decimal { digits: [b'0'; MOST], from: MOST };
        loop {
            decimal.from -= 1;
            decimal.digits[decimal.from] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return decimal;
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.digits[self.from..]
    }
}
