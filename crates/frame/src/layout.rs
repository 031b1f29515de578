//! Frames with a header: fields in order, one of which says how long the data is.

use crate::{Framing, Int};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// One piece of a layout, in the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes that must stand there.
    Literal(Vec<u8>),
    /// A number that the application sets and reads.
    Field { name: String, int: Int },
    /// The number that the data's length follows from.
    Length { name: String, int: Int },
    /// Bytes of no meaning: written as zero, ignored when read.
    Reserved(usize),
    /// The message: `length + adjust` bytes.
    Data { adjust: i64 },
    /// As many bytes of no meaning as the field of this index says.
    Pad { field: usize },
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
    /// The padding names a field that doesn't stand before the data.
    NoSuchField(String),
    /// A varint can't stand behind the data.
    VarintBehindData(String),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::NoData => f.write_str("the layout has no data: add data[len]"),
            LayoutError::NoLength => f.write_str("no length stands before the data: add one, such as len:u32be"),
            LayoutError::Twice(what) => write!(f, "the layout has {what} twice: one is possible"),
            LayoutError::SameName(name) => write!(f, "two fields are called {name}: rename one"),
            LayoutError::NoSuchField(name) => write!(f, "no field {name} stands before the data"),
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
        self.parts.push(part);
        self
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
        self.with(Part::Length { name: name.into(), int })
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
        self.with(Part::Data { adjust })
    }

    /// As many bytes of no meaning as the field of this index (among the fields) says.
    pub fn pad(self, field: usize) -> Layout {
        self.with(Part::Pad { field })
    }

    /// The framing of this layout, with the default options.
    ///
    /// # Errors
    /// A layout that has no length before its data, or could not be decoded for another reason.
    pub fn build(self) -> Result<Framing, LayoutError> {
        self.check()?;
        Ok(Framing::from_layout(self))
    }

    fn check(&self) -> Result<(), LayoutError> {
        let data = self.parts.iter().position(|part| matches!(part, Part::Data { .. }));
        let data = data.ok_or(LayoutError::NoData)?;
        let (before, behind) = (&self.parts[..data], &self.parts[data + 1..]);
        self.check_names()?;
        let lengths = |parts: &[Part]| parts.iter().filter(|part| matches!(part, Part::Length { .. })).count();
        match (lengths(before), lengths(behind)) {
            (0, 0) => return Err(LayoutError::NoLength),
            (1, 0) => {}
            _ => return Err(LayoutError::Twice("a length")),
        }
        let fields = before.iter().filter(|part| matches!(part, Part::Field { .. })).count();
        let mut pads = 0;
        for part in &self.parts {
            if let Part::Pad { field } = part {
                pads += 1;
                if *field >= fields {
                    return Err(LayoutError::NoSuchField(alloc::format!("number {field}")));
                }
            }
        }
        if pads > 1 {
            return Err(LayoutError::Twice("padding"));
        }
        check_behind(behind)
    }

    fn check_names(&self) -> Result<(), LayoutError> {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            if let Part::Field { name, .. } | Part::Length { name, .. } = part {
                if names.contains(&name.as_str()) {
                    return Err(LayoutError::SameName(name.clone()));
                }
                names.push(name);
            }
        }
        Ok(())
    }
}

fn check_behind(parts: &[Part]) -> Result<(), LayoutError> {
    for part in parts {
        match part {
            Part::Data { .. } => return Err(LayoutError::Twice("data")),
            Part::Field { name, int } if int.fixed_width().is_none() => {
                return Err(LayoutError::VarintBehindData(name.clone()));
            }
            _ => {}
        }
    }
    Ok(())
}
