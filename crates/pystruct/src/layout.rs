//! From the text of a format to its parts with their offsets. Both [`Format::parse`] and
//! [`Format::layout`](crate::Format::layout) walk this one parser.
//!
//! [`Format::parse`]: crate::Format::parse

use crate::code::{ByteOrder, Code};
use crate::error::Error;

/// The largest size, count or offset: Python's `Py_ssize_t`.
const MAX: usize = isize::MAX as usize;

/// One count and code of a format, with its place in the packed bytes.
///
/// ```
/// use unglue_struct::{Code, Format};
///
/// let parts: Vec<_> = Format::parse("<2xi")?.layout().collect();
/// assert_eq!((parts[0].code, parts[0].count, parts[0].offset), (Code::Pad, 2, 0));
/// assert_eq!((parts[1].code, parts[1].count, parts[1].offset), (Code::Int, 1, 2));
/// # Ok::<(), unglue_struct::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// What it holds.
    pub code: Code,
    /// How many items, or the length in bytes for `s` and `p`. May be 0.
    pub count: usize,
    /// Bytes that alignment inserted before it. They belong to no part.
    pub padding: usize,
    /// Where it starts, in bytes from the start of the record, after the padding.
    pub offset: usize,
    /// Bytes of one item (of the whole string for `s` and `p`).
    pub item_size: usize,
    /// Where the count or, without one, the code stands in the format's text.
    pub position: usize,
}

impl Part {
    /// Bytes of all its items, without the padding before it.
    pub const fn size(&self) -> usize {
        // The parser has checked that this can't overflow.
        if self.code.is_string() { self.item_size } else { self.count * self.item_size }
    }

    /// How many values it takes in `pack` and gives in `unpack`.
    pub const fn values(&self) -> usize {
        match self.code {
            Code::Pad => 0,
            Code::Bytes | Code::Pascal => 1,
            _ => self.count,
        }
    }
}

/// The parts of a format in order; see [`Format::layout`](crate::Format::layout).
#[derive(Clone, Debug)]
pub struct Layout<'f> {
    pub(crate) parser: Parser<'f>,
}

impl Iterator for Layout<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        // The format was parsed before, so no error can come.
        self.parser.next_part().ok().flatten()
    }
}

/// Reads a format from left to right; size and number of values grow on the way.
#[derive(Clone, Debug)]
pub(crate) struct Parser<'f> {
    text: &'f [u8],
    position: usize,
    pub(crate) order: ByteOrder,
    pub(crate) size: usize,
    pub(crate) values: usize,
}

impl<'f> Parser<'f> {
    pub(crate) fn new(text: &'f [u8]) -> Parser<'f> {
        let mark = text.first().copied().and_then(ByteOrder::from_mark);
        Parser {
            text,
            position: usize::from(mark.is_some()),
            order: mark.unwrap_or(ByteOrder::Native),
            size: 0,
            values: 0,
        }
    }

    /// The next part; `None` at the end of the text.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>, Error> {
        self.skip_whitespace();
        let position = self.position;
        let Some((count, letter)) = self.count_and_letter()? else {
            return Ok(None);
        };
        let bad_char = Error::BadChar { position: self.position - 1, found: letter };
        let code = Code::from_letter(letter).ok_or(bad_char.clone())?;
        let unit = self.order.size_of(code).ok_or(bad_char)?;
        self.place(code, count, unit, position).map(Some)
    }

    /// Appends the part to the record, checking every sum against [`MAX`] in CPython's order.
    fn place(&mut self, code: Code, count: usize, unit: usize, position: usize) -> Result<Part, Error> {
        let too_long = || Error::TooLong;
        let item_size = if code.is_string() { count } else { unit };
        let mut part = Part { code, count, padding: 0, offset: self.size, item_size, position };
        // As many as there are bytes, and one more for each `0s` and `0p`: CPython sets no bound either.
        self.values = self.values.checked_add(part.values()).ok_or_else(too_long)?;
        part.padding = padding_before(self.size, self.order.alignment_of(code));
        part.offset = bounded_add(self.size, part.padding).ok_or_else(too_long)?;
        let size = count.checked_mul(unit).ok_or_else(too_long)?;
        self.size = bounded_add(part.offset, size).ok_or_else(too_long)?;
        Ok(part)
    }

    fn skip_whitespace(&mut self) {
        while self.text.get(self.position).copied().is_some_and(is_space) {
            self.position += 1;
        }
    }

    /// An optional decimal count, then the character that follows it at once.
    fn count_and_letter(&mut self) -> Result<Option<(usize, u8)>, Error> {
        let Some(first) = self.bump() else {
            return Ok(None);
        };
        if !first.is_ascii_digit() {
            return Ok(Some((1, first)));
        }
        let mut count = usize::from(first - b'0');
        loop {
            match self.bump() {
                Some(digit @ b'0'..=b'9') => count = append_digit(count, digit)?,
                Some(letter) => return Ok(Some((count, letter))),
                None => return Err(Error::CountWithoutCode),
            }
        }
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.text.get(self.position).copied()?;
        self.position += 1;
        Some(byte)
    }
}

fn append_digit(count: usize, digit: u8) -> Result<usize, Error> {
    count.checked_mul(10).and_then(|tens| bounded_add(tens, usize::from(digit - b'0'))).ok_or(Error::TooLong)
}

fn bounded_add(a: usize, b: usize) -> Option<usize> {
    a.checked_add(b).filter(|sum| *sum <= MAX)
}

/// Bytes needed to bring `offset` to a multiple of `alignment`.
const fn padding_before(offset: usize, alignment: usize) -> usize {
    match offset % alignment {
        0 => 0,
        over => alignment - over,
    }
}

/// C's `isspace` in the C locale, which knows the vertical tab too.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
