//! A framing: the rule for where messages end, with its options.

use crate::{Int, Layout, LayoutError, Rule, custom::Custom, layout::Part};
use alloc::vec::Vec;

/// The largest data of a frame unless [`Framing::max`] says otherwise: 8 MiB.
pub const DEFAULT_MAX: u64 = 8 << 20;

/// The most bytes of a delimiter.
pub const MAX_DELIMITER: usize = 32;

/// The most delimiters of a framing.
pub const MAX_DELIMITERS: usize = 16;

/// A rule for message boundaries: what shape a frame has, and what is allowed.
///
/// It is made by these functions, by a [`Layout`], or from the notation: `"u32be(max=1M)".parse::<Framing>()`. Printing
/// it gives the notation back, in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    pub(crate) shape: Shape,
    pub(crate) max: u64,
    pub(crate) empty: bool,
    pub(crate) too_long: TooLong,
    pub(crate) last: bool,
}

/// What becomes of a frame with more data than allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLong {
    /// It is an error, and the end.
    #[default]
    Fail,
    /// It is left out, and the next frame follows.
    Skip,
    /// Its first bytes, as many as allowed, are the frame ([`Frame::is_cut`](crate::Frame::is_cut)).
    Cut,
}

/// Frames that were left out, since they had more data than allowed; see [`TooLong::Skip`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// How many they were.
    pub frames: u64,
    /// The bytes that they had in all, headers included.
    pub bytes: u64,
}

impl TooLong {
    /// As the notation has it.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            TooLong::Fail => "toolong=fail",
            TooLong::Skip => "toolong=skip",
            TooLong::Cut => "toolong=cut",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Layout(Layout),
    Prefixed {
        int: Int,
        incl: bool,
    },
    Fixed(usize),
    Lines,
    /// Any of these; the first is written.
    Delim(Vec<Vec<u8>>),
    Cobs,
    Slip,
    Netstring,
    OctetCount,
    Lsp,
    #[cfg(feature = "json")]
    Json {
        int: Int,
        body: alloc::string::String,
    },
    Custom(Custom),
}

impl Framing {
    const fn new(shape: Shape) -> Framing {
        Framing { shape, max: DEFAULT_MAX, empty: true, too_long: TooLong::Fail, last: false }
    }

    pub(crate) const fn from_layout(layout: Layout) -> Framing {
        Framing::new(Shape::Layout(layout))
    }

    /// A length, then as many bytes of data.
    pub const fn prefixed(int: Int) -> Framing {
        Framing::new(Shape::Prefixed { int, incl: false })
    }

    /// A length of one byte, then as many bytes of data.
    pub const fn u8() -> Framing {
        Framing::prefixed(Int::U8)
    }

    /// A length of two bytes, most significant first (DNS over TCP, RFC 1035 section 4.2.2), then the data.
    pub const fn u16be() -> Framing {
        Framing::prefixed(Int::U16BE)
    }

    /// A length of four bytes, most significant first, then the data.
    pub const fn u32be() -> Framing {
        Framing::prefixed(Int::U32BE)
    }

    /// A length of four bytes, least significant first, then the data.
    pub const fn u32le() -> Framing {
        Framing::prefixed(Int::U32LE)
    }

    /// A varint length, as protobuf's delimited messages have it, then the data.
    pub const fn varint() -> Framing {
        Framing::prefixed(Int::VARINT)
    }

    /// Lines that end with a line feed; a carriage return before it isn't part of the data.
    pub const fn lines() -> Framing {
        Framing::new(Shape::Lines)
    }

    /// Lines that end with a carriage return and a line feed; either alone is data.
    pub fn crlf() -> Framing {
        Framing::new(Shape::Delim(Vec::from([b"\r\n".into()])))
    }

    /// Data that ends with a zero byte.
    pub fn nul() -> Framing {
        Framing::new(Shape::Delim(Vec::from([[0].into()])))
    }

    /// Data that ends with these bytes.
    ///
    /// # Errors
    /// They are none, or more than [`MAX_DELIMITER`].
    pub fn delim(bytes: &[u8]) -> Result<Framing, LayoutError> {
        Framing::any_delim(&[bytes])
    }

    /// Data that ends with any of these delimiters: the one that ends first, and of those that end there the longest.
    /// Frames are written with the first. Which it was is seen at the end of [`Frame::raw`](crate::Frame::raw).
    ///
    /// # Errors
    /// There are no delimiters, or more than [`MAX_DELIMITERS`], or one of them has no bytes, or more than
    /// [`MAX_DELIMITER`].
    pub fn any_delim(delims: &[&[u8]]) -> Result<Framing, LayoutError> {
        if delims.is_empty() || delims.len() > MAX_DELIMITERS {
            return Err(LayoutError::Delimiters(delims.len()));
        }
        if let Some(wrong) = delims.iter().find(|bytes| bytes.is_empty() || bytes.len() > MAX_DELIMITER) {
            return Err(LayoutError::Delimiter(wrong.len()));
        }
        Ok(Framing::new(Shape::Delim(delims.iter().map(|bytes| Vec::from(*bytes)).collect())))
    }

    /// Frames of always `size` bytes. No maximum applies.
    ///
    /// # Errors
    /// `size` is 0.
    pub fn fixed(size: usize) -> Result<Framing, LayoutError> {
        if size == 0 { Err(LayoutError::NoSize) } else { Ok(Framing::new(Shape::Fixed(size))) }
    }

    /// Netstrings: `5:hello,`.
    pub const fn netstring() -> Framing {
        Framing::new(Shape::Netstring)
    }

    /// Syslog's octet counting (RFC 6587 section 3.4.1): `5 hello`. Frames without data don't exist.
    pub const fn octet_count() -> Framing {
        Framing::new(Shape::OctetCount)
    }

    /// The base protocol of the language server protocol: a `Content-Length` header, an empty line, and the data.
    pub const fn lsp() -> Framing {
        Framing::new(Shape::Lsp)
    }

    /// Consistent overhead byte stuffing, each frame ended by a zero byte. The maximum counts decoded bytes.
    pub const fn cobs() -> Framing {
        Framing::new(Shape::Cobs)
    }

    /// SLIP (RFC 1055). The maximum counts decoded bytes; frames without data are left out.
    pub const fn slip() -> Framing {
        Framing::new(Shape::Slip)
    }

    /// A length, a JSON object of that length (the frame's data), then as many bytes of body as the object's field `body`
    /// says. The body may be larger than memory: it comes in pieces, see [`Frame::part`](crate::Frame::part). The
    /// maximum counts the JSON object's bytes.
    #[cfg(feature = "json")]
    pub fn json_header(int: Int, body: &str) -> Framing {
        Framing::new(Shape::Json { int, body: body.into() })
    }

    /// A rule of one's own; see [`Rule`], whose documentation has an example.
    pub fn custom(rule: impl Rule) -> Framing {
        Framing::new(Shape::Custom(Custom::new(rule)))
    }

    /// The names of the fields that the application sets and reads, in the order of their indices.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let (parts, names) = match &self.shape {
            Shape::Layout(layout) => (&layout.parts[..], &[][..]),
            Shape::Custom(custom) => (&[][..], custom.fields()),
            _ => (&[][..], &[][..]),
        };
        parts.iter().filter_map(Part::field).chain(names.iter().copied())
    }

    /// The value that the field with this index has in a frame to be written unless the application sets it.
    pub fn default_field(&self, index: usize) -> u64 {
        match &self.shape {
            Shape::Custom(custom) => custom.default_field(index),
            _ => 0,
        }
    }

    /// Allows at most `bytes` bytes of data in a frame.
    pub const fn max(mut self, bytes: u64) -> Framing {
        self.max = bytes;
        self
    }

    /// The length counts itself.
    ///
    /// # Errors
    /// Only a length of fixed width, without a layout of its own, can (a layout says it by
    /// [`data_plus`](Layout::data_plus)).
    pub fn incl(mut self) -> Result<Framing, LayoutError> {
        match &mut self.shape {
            Shape::Prefixed { int, incl } if int.fixed_width().is_some() => *incl = true,
            _ => return Err(LayoutError::Option("incl")),
        }
        Ok(self)
    }

    /// Refuses frames without data.
    pub const fn deny_empty(mut self) -> Framing {
        self.empty = false;
        self
    }

    /// Takes what stands behind the last delimiter for a frame too, where the input ends there. Unless this is asked for,
    /// it is an error: the sender may have been cut off.
    ///
    /// # Errors
    /// Only a framing by delimiter can: lines, and those with delimiters of one's own.
    pub fn allow_last(mut self) -> Result<Framing, LayoutError> {
        if !self.can_lack_end() {
            return Err(LayoutError::Option("last=allow"));
        }
        self.last = true;
        Ok(self)
    }

    /// What gives frames that aren't whole messages.
    #[cfg(feature = "tokio")]
    pub(crate) fn unmarked(&self) -> Option<&'static str> {
        match &self.shape {
            #[cfg(feature = "json")]
            Shape::Json { .. } => Some("a body in pieces"),
            _ if self.too_long == TooLong::Cut => Some(TooLong::Cut.option()),
            _ => None,
        }
    }

    /// Whether data is recognised without the end of its frame.
    pub(crate) fn can_lack_end(&self) -> bool {
        matches!(self.shape, Shape::Lines | Shape::Delim(_))
    }

    /// Says what becomes of a frame with more data than allowed.
    ///
    /// # Errors
    /// This framing can't do that: a JSON header that is too long can't be skipped, since the body's length stands in
    /// it, and a [`Rule`] says by itself what it can do.
    pub fn too_long(mut self, then: TooLong) -> Result<Framing, LayoutError> {
        if !self.can(then) {
            return Err(LayoutError::Option(then.option()));
        }
        self.too_long = then;
        Ok(self)
    }

    /// Whether a maximum has a meaning: it has none where all frames have one size.
    pub(crate) fn has_max(&self) -> bool {
        !matches!(self.shape, Shape::Fixed(_))
    }

    /// Whether there can be frames without data.
    pub(crate) fn may_be_empty(&self) -> bool {
        match &self.shape {
            Shape::Fixed(_) | Shape::OctetCount | Shape::Slip => false,
            #[cfg(feature = "json")]
            Shape::Json { .. } => false,
            Shape::Custom(custom) => custom.may_be_empty(),
            _ => true,
        }
    }

    /// Whether this can become of a frame with too much data.
    pub(crate) fn can(&self, then: TooLong) -> bool {
        match &self.shape {
            Shape::Custom(custom) => then == TooLong::Fail || custom.allows(then),
            Shape::Fixed(_) => then == TooLong::Fail,
            #[cfg(feature = "json")]
            Shape::Json { .. } => then == TooLong::Fail,
            _ => true,
        }
    }
}
