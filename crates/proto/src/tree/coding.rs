//! Numbers and byte strings in the body of a record.

use super::Malformed;

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A signed number: small ones are short, whatever their sign.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A number at the front of `bytes`: the number and its length; `None` if it isn't whole.
pub(super) fn number_at(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut number = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has room for one bit.
        if index == 9 && byte > 1 {
            return Err(Malformed("a number of more than 64 bits"));
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((number, index + 1)));
        }
    }
    match bytes.len() {
        0..10 => Ok(None),
        _ => Err(Malformed("a number of more than ten bytes")),
    }
}

/// The rest of a body.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let (number, length) = number_at(self.0)?.ok_or(Malformed("a record ends within a number"))?;
        self.0 = &self.0[length..];
        Ok(number)
    }

    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed("a number of more than 32 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(Malformed("a record ends too early"))?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed("a length that no record has"))?;
        self.take(length)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Malformed("a record has bytes behind its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(number_at(&out), Ok(Some((number, out.len()))));
            assert_eq!(number_at(&out[..out.len() - 1]), Ok(None));
        }
        for number in [0, -1, 1, i64::MIN, i64::MAX, -2_208_988_800] {
            let mut out = Vec::new();
            put_signed(&mut out, number);
            assert_eq!(Body(&out).signed(), Ok(number));
        }
    }

    #[test]
    fn a_number_without_an_end_is_refused() {
        assert!(number_at(&[0x80; 10]).is_err());
        assert!(number_at(&[0xff; 11]).is_err());
    }
}
