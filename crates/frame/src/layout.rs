//! Frames with a header: fields in order, one of which says how long the data is.

use crate::{Checksum, Framing, Int, checksum::Over, int::Form};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// One piece of a layout, in the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that must stand there.
    Literal(Vec<u8>),
    /// A number that the application sets and reads.
    Field { name: String, int: Int },
    /// The number that the data's length follows from: its bits in `mask`. The others are the field `rest`, if it has a
    /// name.
    Length { name: String, int: Int, mask: u64, rest: Option<String> },
    /// Bytes of no meaning: written as zero, ignored when read.
    Reserved(usize),
    /// The message: `length * scale + adjust` bytes.
    Data { scale: u32, adjust: i64 },
    /// As many bytes of no meaning as the field of this index says.
    Pad { field: usize },
    /// A checksum.
    Check(Checksum),
}

impl Part {
    /// A length without more ado.
    pub(crate) fn length(name: &str, int: Int) -> Part {
        Part::Length { name: name.into(), int, mask: u64::MAX, rest: None }
    }

    /// The name of the field that the application sets and reads.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Part::Field { name, .. } => Some(name),
            Part::Length { rest, .. } => rest.as_deref(),
            _ => None,
        }
    }

    /// The number that stands here.
    pub(crate) fn int(&self) -> Option<Int> {
        match self {
            Part::Field { int, .. } | Part::Length { int, .. } => Some(*int),
            _ => None,
        }
    }
}

/// Builds a framing from header fields, without text.
///
/// ```
/// use unglue_frame::{Framing, Int, Layout};
///
/// // PostgreSQL: `tag:u8 len:u32be data[len-4]`; the length counts itself
/// let framing: Framing =
///     Layout::new().field("tag", Int::U8).length("len", Int::U32BE).data_plus(-4).build()?;
/// # Ok::<(), unglue_frame::LayoutError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub(crate) parts: Vec<Part>,
}

/// Why a layout can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// There is no `data`.
    NoData,
    /// There is no length before the data.
    NoLength,
    /// This part may stand there only once.
    Twice(&'static str),
    /// Two fields have this name.
    SameName(String),
    /// A name has letters, digits, `-` and `_`, with a letter first.
    Name(String),
    /// The padding names a field that doesn't stand before the data.
    NoSuchField(String),
    /// A varint can't stand behind the data.
    VarintBehindData(String),
    /// A checksum stands before the data.
    ChecksumBeforeData,
    /// Padding stands before the data.
    PaddingBeforeData,
    /// A delimiter of this many bytes: 1 to [`MAX_DELIMITER`](crate::MAX_DELIMITER) are possible.
    Delimiter(usize),
    /// A number of digits that isn't followed by a fixed byte, which is no digit.
    NoEndOfDigits,
    /// A length whose mask has none of its bits, or others.
    Mask,
    /// A length counts units of at least one byte.
    Scale,
    /// A checksum covers parts that don't stand up to the data, or the second before the first.
    Range,
    /// So many delimiters: 1 to [`MAX_DELIMITERS`](crate::MAX_DELIMITERS) are possible.
    Delimiters(usize),
    /// Frames of no bytes.
    NoSize,
    /// This option has no meaning for the framing.
    Option(&'static str),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::NoData => f.write_str("the layout has no data: add data[len]"),
            LayoutError::NoLength => f.write_str("no length stands before the data: add one, such as len:u32be"),
            LayoutError::Twice(what) => write!(f, "the layout has {what} twice: one is possible"),
            LayoutError::SameName(name) => write!(f, "two fields are called {name}: rename one"),
            LayoutError::Name(name) => {
                write!(f, "{name:?} is no name: take letters, digits, - and _, with a letter first")
            }
            LayoutError::NoSuchField(name) => write!(f, "no field {name} stands before the data"),
            LayoutError::ChecksumBeforeData => f.write_str("a checksum can't stand before the data: move it behind"),
            LayoutError::PaddingBeforeData => f.write_str("padding can't stand before the data: use _ or a literal"),
            LayoutError::Delimiter(got) => {
                write!(f, "a delimiter has 1 to {} bytes, not {got}", crate::MAX_DELIMITER)
            }
            LayoutError::NoEndOfDigits => {
                f.write_str("digits whose number is free need a byte behind them that is none: write one, such as 0d")
            }
            LayoutError::Mask => f.write_str("the mask must have bits of the number, which is binary, and no others"),
            LayoutError::Scale => f.write_str("a length counts units of at least one byte"),
            LayoutError::Range => {
                f.write_str("a checksum covers from one part up to another behind it, both before the data's end")
            }
            LayoutError::Option(option) => write!(f, "{option} has no meaning for this framing"),
            LayoutError::Delimiters(got) => {
                write!(f, "a framing has 1 to {} delimiters, not {got}", crate::MAX_DELIMITERS)
            }
            LayoutError::NoSize => f.write_str("a frame of fixed size has at least one byte"),
            LayoutError::VarintBehindData(name) => {
                write!(f, "{name} is a varint behind the data: only fixed widths can stand there")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// A layout with nothing in it.
    pub const fn new() -> Layout {
        Layout { parts: Vec::new() }
    }

    fn with(mut self, part: Part) -> Layout {
        self.push(part);
        self
    }

    /// Adds a part; literals and reserved bytes in a row are one.
    pub(crate) fn push(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (Some(Part::Literal(bytes)), Part::Literal(more)) => bytes.extend(more),
            (Some(Part::Reserved(count)), Part::Reserved(more)) => *count += more,
            (_, Part::Literal(bytes)) if bytes.is_empty() => {}
            (_, Part::Reserved(0)) => {}
            (_, part) => self.parts.push(part),
        }
    }

    /// Bytes that must stand here; others are an error.
    pub fn literal(self, bytes: &[u8]) -> Layout {
        self.with(Part::Literal(bytes.into()))
    }

    /// A number that the application sets and reads, by its index among the fields (lengths don't count).
    pub fn field(self, name: &str, int: Int) -> Layout {
        self.with(Part::Field { name: name.into(), int })
    }

    /// The number that the data's length follows from. The enframer computes it.
    pub fn length(self, name: &str, int: Int) -> Layout {
        self.with(Part::length(name, int))
    }

    /// The same, in the bits of the number that `mask` has: the length is what they make up, moved down to the lowest. The
    /// other bits are the field `rest`, in the same way; without a name they are written as zero and ignored when read.
    pub fn length_masked(self, name: &str, int: Int, mask: u64, rest: Option<&str>) -> Layout {
        self.with(Part::Length { name: name.into(), int, mask, rest: rest.map(Into::into) })
    }

    /// `bytes` bytes of no meaning: written as zero, ignored when read.
    pub fn reserved(self, bytes: usize) -> Layout {
        self.with(Part::Reserved(bytes))
    }

    /// The message, as long as the length says.
    pub fn data(self) -> Layout {
        self.data_plus(0)
    }

    /// The message, `length + adjust` bytes long: -4 where a four-byte length counts itself.
    pub fn data_plus(self, adjust: i64) -> Layout {
        self.data_scaled(1, adjust)
    }

    /// The message, `length * scale + adjust` bytes long: 4 where the length counts words of four bytes.
    pub fn data_scaled(self, scale: u32, adjust: i64) -> Layout {
        self.with(Part::Data { scale, adjust })
    }

    /// As many bytes of no meaning as the field of this index (among the fields) says.
    pub fn pad(self, field: usize) -> Layout {
        self.with(Part::Pad { field })
    }

    /// A checksum over what stands before it. It stands behind the data.
    pub fn checksum(self, checksum: Checksum) -> Layout {
        self.with(Part::Check(checksum))
    }

    /// A checksum over a part of the frame: from the part called `from` to the end of the one called `to`, or to the
    /// checksum. A part has the name of its field or length; the data is called `data`.
    pub fn checksum_over(self, from: &str, to: Option<&str>, checksum: Checksum) -> Layout {
        let index = |name: &str| self.place_of(name).unwrap_or(Checksum::NOWHERE);
        let checksum = checksum.over_parts(index(from), to.map_or(Checksum::UP_TO_ITSELF, index));
        self.with(Part::Check(checksum))
    }

    /// The index of the part of this name.
    pub(crate) fn place_of(&self, name: &str) -> Option<u16> {
        let place = self.parts.iter().position(|part| match part {
            Part::Field { name: known, .. } | Part::Length { name: known, .. } => known == name,
            Part::Data { .. } => name == "data",
            _ => false,
        });
        place.and_then(|place| u16::try_from(place).ok())
    }

    /// The framing of this layout, with the default options.
    ///
    /// # Errors
    /// A layout that has no length before its data, or could not be decoded for another reason.
    pub fn build(self) -> Result<Framing, LayoutError> {
        self.check().map_err(|(_, error)| error)?;
        Ok(Framing::from_layout(self))
    }

    /// Finds what is wrong, with the index of the part where that shows.
    pub(crate) fn check(&self) -> Result<(), (usize, LayoutError)> {
        let data = self.parts.iter().position(|part| matches!(part, Part::Data { .. }));
        let data = data.ok_or((self.parts.len(), LayoutError::NoData))?;
        self.check_names()?;
        self.check_lengths(data)?;
        let fields = self.parts[..data].iter().filter(|part| part.field().is_some()).count();
        for (index, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(index + 1);
            if let Some(error) = wrong_number(part, next).or_else(|| wrong_range(part, data)) {
                return Err((index, error));
            }
            let wrong = if index < data { wrong_before(part) } else { wrong_behind(part, index > data, fields) };
            wrong.map_or(Ok(()), |wrong| Err((index, wrong)))?;
        }
        let mut pads = self.parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Pad { .. }));
        pads.nth(1).map_or(Ok(()), |(index, _)| Err((index, LayoutError::Twice("padding"))))
    }

    fn check_lengths(&self, data: usize) -> Result<(), (usize, LayoutError)> {
        let mut lengths = self.parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Length { .. }));
        match (lengths.next(), lengths.next()) {
            (Some((first, _)), None) if first < data => Ok(()),
            (Some(_), Some((second, _))) => Err((second, LayoutError::Twice("a length"))),
            _ => Err((data, LayoutError::NoLength)),
        }
    }

    fn check_names(&self) -> Result<(), (usize, LayoutError)> {
        let mut names: Vec<&str> = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let named = match part {
                Part::Field { name, .. } => [Some(name), None],
                Part::Length { name, rest, .. } => [Some(name), rest.as_ref()],
                _ => [None, None],
            };
            for name in named.into_iter().flatten() {
                if !is_name(name) {
                    return Err((index, LayoutError::Name(name.clone())));
                }
                if names.contains(&name.as_str()) {
                    return Err((index, LayoutError::SameName(name.clone())));
                }
                names.push(name);
            }
        }
        Ok(())
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic()) && name.bytes().all(inner)
}

/// Digits end where another byte stands, and a mask has bits, of the number.
fn wrong_number(part: &Part, next: Option<&Part>) -> Option<LayoutError> {
    let int = part.int()?;
    if matches!(int.form, Form::Digits(_)) {
        let ends = matches!(next, Some(Part::Literal(bytes)) if !int.goes_on_with(bytes[0]));
        if int.fixed_width().is_none() && !ends {
            return Some(LayoutError::NoEndOfDigits);
        }
    }
    match part {
        Part::Length { mask: u64::MAX, rest: Some(_), .. } => Some(LayoutError::Mask),
        Part::Length { mask, .. } if mask & int.largest() == 0 => Some(LayoutError::Mask),
        Part::Length { mask, .. }
            if *mask != u64::MAX && (int.binary_width().is_none() || mask & !int.largest() != 0) =>
        {
            Some(LayoutError::Mask)
        }
        _ => None,
    }
}

/// What a checksum covers begins and ends with parts that stand up to the data, in order.
fn wrong_range(part: &Part, data: usize) -> Option<LayoutError> {
    let Part::Check(Checksum { over: Over::Parts { from, to }, .. }) = part else { return None };
    let ends = *to == Checksum::UP_TO_ITSELF || usize::from(*to) <= data && to >= from;
    (usize::from(*from) > data || !ends).then_some(LayoutError::Range)
}

fn wrong_before(part: &Part) -> Option<LayoutError> {
    match part {
        Part::Check(_) => Some(LayoutError::ChecksumBeforeData),
        Part::Pad { .. } => Some(LayoutError::PaddingBeforeData),
        _ => None,
    }
}

fn wrong_behind(part: &Part, second: bool, fields: usize) -> Option<LayoutError> {
    match part {
        Part::Data { scale: 0, .. } => Some(LayoutError::Scale),
        Part::Data { .. } if second => Some(LayoutError::Twice("data")),
        Part::Pad { field } if *field >= fields => Some(LayoutError::NoSuchField(alloc::format!("number {field}"))),
        Part::Field { name, int } if int.fixed_width().is_none() => Some(LayoutError::VarintBehindData(name.clone())),
        _ => None,
    }
}
