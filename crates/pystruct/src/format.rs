//! A parsed format: its size, its fields, and how it is made.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::str::FromStr;

use crate::code::{ByteOrder, Code};
use crate::error::Error;
use crate::layout::{Layout, Parser};
use crate::run::Run;
use crate::shape::Shape;

/// A parsed format, as Python's `struct.Struct` is. Parse once, use as often as you like.
///
/// ```
/// use unglue_struct::Format;
///
/// let format = Format::parse("@xi")?;
/// assert_eq!((format.size(), format.len()), (8, 1)); // three bytes of padding before the int
/// assert_eq!(format.to_string(), "@xi");
/// # Ok::<(), unglue_struct::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Format {
    text: Box<str>,
    order: ByteOrder,
    size: usize,
    len: usize,
    pub(crate) shape: Shape,
    pub(crate) runs: Box<[Run]>,
}

impl Format {
    /// Parses a format.
    ///
    /// # Errors
    ///
    /// [`Error::NotAscii`], [`Error::EmbeddedNull`], [`Error::BadChar`], [`Error::CountWithoutCode`]
    /// or [`Error::TooLong`], whichever comes first from the left (the first two before all others).
    pub fn parse(text: &str) -> Result<Format, Error> {
        match not_ascii(text) {
            Some(error) => Err(error),
            None => Format::parse_bytes(text.as_bytes()),
        }
    }

    /// Parses a format given as bytes, as Python's `struct` takes them too. A byte above 127 is an
    /// [`Error::BadChar`].
    ///
    /// # Errors
    ///
    /// As [`Format::parse`], but for [`Error::NotAscii`].
    pub fn parse_bytes(text: &[u8]) -> Result<Format, Error> {
        if text.contains(&0) {
            return Err(Error::EmbeddedNull);
        }
        let mut parser = Parser::new(text);
        let mut runs: Vec<Run> = Vec::new();
        while let Some(part) = parser.next_part()? {
            let Some(run) = Run::new(&part, parser.order) else {
                continue;
            };
            if !runs.last_mut().is_some_and(|last| last.absorb(&run)) {
                runs.push(run);
            }
        }
        Ok(Format {
            // The parser takes ASCII only, so nothing is lost.
            text: String::from_utf8_lossy(text).into(),
            order: parser.order,
            size: parser.size,
            len: parser.values,
            shape: Shape::of(&runs, parser.size),
            runs: runs.into(),
        })
    }

    /// Bytes of one record: Python's `calcsize`.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many values [`pack`](Format::pack) takes and [`unpack`](Format::unpack) gives.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the format has no values; it may still have pad bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The format's text, as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The byte order, sizes and alignment that the first character chose.
    pub const fn order(&self) -> ByteOrder {
        self.order
    }

    /// The fields that carry values, one for each value.
    ///
    /// ```
    /// use unglue_struct::{Code, Format};
    ///
    /// let format = Format::parse(">2H4xQ")?;
    /// let offsets: Vec<_> = format.fields().map(|field| (field.code, field.offset)).collect();
    /// assert_eq!(offsets, [(Code::UnsignedShort, 0), (Code::UnsignedShort, 2), (Code::UnsignedLongLong, 8)]);
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    pub fn fields(&self) -> Fields<'_> {
        Fields { runs: &self.runs, item: 0, left: self.len }
    }

    /// The parts as they were written, pad bytes and zero counts included, with their padding: what a
    /// picture of the layout needs.
    pub fn layout(&self) -> Layout<'_> {
        Layout { parser: Parser::new(self.text.as_bytes()) }
    }
}

/// The first stretch of characters that ASCII lacks, counted in characters as Python counts them.
fn not_ascii(text: &str) -> Option<Error> {
    let (start, first) = text.chars().enumerate().find(|(_, c)| !c.is_ascii())?;
    let stretch = text.chars().skip(start).take_while(|c| !c.is_ascii());
    Some(Error::NotAscii { first, start, end: start + stretch.count() })
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Format, Error> {
        Format::parse(text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format({:?})", self.text)
    }
}

/// A field that carries one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// What it holds.
    pub code: Code,
    /// Where it starts, in bytes from the start of the record.
    pub offset: usize,
    /// How long it is, in bytes.
    pub size: usize,
}

/// The fields of a format in order; see [`Format::fields`].
#[derive(Clone, Debug)]
pub struct Fields<'f> {
    runs: &'f [Run],
    item: usize,
    left: usize,
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let (run, rest) = self.runs.split_first()?;
        let field = Field { code: run.code, offset: run.offset + self.item * run.size, size: run.size };
        self.item += 1;
        self.left -= 1;
        if self.item == run.count {
            (self.runs, self.item) = (rest, 0);
        }
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}
impl FusedIterator for Fields<'_> {}
