//! What goes wrong, where, and what the bytes look like.

use crate::Looks;
use core::fmt;

/// Bytes that are no frame of the framing. The deframer that gave this gives it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// The stream offset, in bytes since the deframer began, of the first byte of the bad frame.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// More data than allowed.
    TooLong {
        /// The bytes of data that the frame announces.
        got: u64,
        /// The most that the framing allows.
        limit: u64,
        /// What the bytes look like, where that is known.
        looks: Option<Looks>,
    },
    /// The length counts bytes of the header, and is smaller than these.
    TooShort {
        /// The length as it was announced.
        got: u64,
        /// The smallest possible.
        least: u64,
    },
    /// A frame without data, which this framing refuses.
    Empty,
    /// A varint goes on beyond its most bytes, or beyond 64 bits.
    VarintTooLong {
        /// The most bytes.
        limit: u8,
    },
    /// A varint with more bytes than its value needs.
    VarintPadded {
        /// Its value.
        value: u64,
    },
    /// A byte that the layout fixes has another value.
    Literal {
        /// Its position in the frame.
        at: u64,
        /// The byte that must stand there.
        want: u8,
        /// The byte that stands there.
        got: u8,
    },
    /// No delimiter came within the bytes allowed.
    NoDelimiter {
        /// The most bytes of data, or of headers.
        limit: u64,
    },
    /// A line feed without a carriage return before it, where this framing ends lines by both.
    LineEnd {
        /// Its position in the frame.
        at: u64,
    },
    /// A decimal length has a byte that doesn't belong there: no digit, a leading zero, or too many of them.
    Number {
        /// Its position in the frame.
        at: u64,
        /// The byte that stands there.
        got: u8,
    },
    /// Headers without one valid `Content-Length`.
    Header,
    /// A JSON header that is no object, or has no fitting number under the name that tells the body's length.
    JsonHeader,
    /// A COBS block that runs past the end of its frame.
    CobsBlock {
        /// The block's position in the frame.
        at: u64,
        /// How far it runs, in bytes.
        runs: u64,
        /// The bytes that the frame has there.
        have: u64,
    },
    /// A SLIP escape before a byte that can't be escaped, or at the frame's end.
    SlipEscape {
        /// Its position in the frame.
        at: u64,
        /// The byte that follows.
        got: Option<u8>,
    },
    /// A checksum that doesn't fit its bytes.
    Checksum {
        /// What the bytes give.
        want: u32,
        /// What stands there.
        got: u32,
    },
    /// More data than allowed, whose size wasn't announced.
    TooMuch {
        /// The most that the framing allows.
        limit: u64,
    },
    /// What a [`Rule`](crate::Rule) of one's own refuses.
    Rule {
        /// The position in the frame.
        at: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The input ended inside a frame.
    Truncated {
        /// The bytes of the frame that came.
        have: u64,
        /// The bytes that it needs in all, where that was known.
        need: Option<u64>,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame at byte {}: {}", self.offset, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLong { got, limit, looks } => {
                write!(f, "it announces {got} bytes, the limit is {limit}")?;
                looks.map_or(Ok(()), |looks| write!(f, "; {looks}"))
            }
            Fault::TooShort { got, least } => {
                write!(f, "its length is {got}, but it counts header bytes and can't be below {least}")
            }
            Fault::Empty => f.write_str("it is empty, which this framing refuses"),
            Fault::VarintTooLong { limit } => write!(f, "its varint doesn't end within {limit} bytes and 64 bits"),
            Fault::VarintPadded { value } => write!(f, "its varint {value} is written with more bytes than it needs"),
            Fault::Literal { at, want, got } => {
                write!(f, "byte {at} of it is {got:02x} and must be {want:02x}: are both ends in step?")
            }
            Fault::NoDelimiter { limit } => write!(f, "it has no delimiter within the {limit} bytes allowed"),
            Fault::LineEnd { at } => write!(
                f,
                "byte {at} of it is a line feed without a carriage return before it, and this framing ends lines by both: does the \
                 peer end its lines by a line feed alone?"
            ),
            Fault::Number { at, got } => {
                write!(f, "byte {at} of its decimal length is {got:02x}: is the peer speaking another protocol?")
            }
            Fault::Header => f.write_str("its headers don't have one valid Content-Length"),
            Fault::JsonHeader => f.write_str("its JSON header is no object with a whole number for the body's length"),
            Fault::CobsBlock { at, runs, have } => {
                write!(f, "its COBS block at byte {at} runs over {runs} bytes where {have} are left: were some lost?")
            }
            Fault::SlipEscape { at, got: Some(got) } => {
                write!(f, "the byte after its SLIP escape at byte {at} is {got:02x}, and must be dc or dd")
            }
            Fault::SlipEscape { at, got: None } => write!(f, "it ends with the SLIP escape at byte {at}"),
            Fault::Checksum { want, got } => {
                write!(f, "its checksum is {got:#x}, its bytes give {want:#x}: they changed on the way")
            }
            Fault::TooMuch { limit } => write!(f, "it has more data than the {limit} bytes allowed"),
            Fault::Rule { at, reason } => write!(f, "at byte {at} of it: {reason}"),
            Fault::Truncated { have, need: Some(need) } => {
                write!(f, "the input ended after {have} of its {need} bytes")
            }
            Fault::Truncated { have, need: None } => write!(f, "the input ended after {have} bytes of it"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A message that the framing can't carry. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// More data than the framing allows, or than its length can tell.
    TooLong {
        /// The data's bytes.
        got: u64,
        /// The most that fits.
        limit: u64,
    },
    /// The length would be below zero: the layout subtracts more than there is.
    TooShort {
        /// The data's bytes.
        got: u64,
        /// The fewest that fit.
        least: u64,
    },
    /// The length counts units, and the data isn't a whole number of them.
    Multiple {
        /// The data's bytes.
        got: u64,
        /// The unit's bytes.
        of: u64,
    },
    /// A message without data, which this framing refuses.
    Empty,
    /// A field's value doesn't fit its width.
    Field {
        /// The field's index.
        index: usize,
        /// Its name.
        name: FieldName,
        /// The value given.
        got: u64,
        /// The largest that fits.
        limit: u64,
    },
    /// The data has another size than the framing's fixed one.
    Size {
        /// The data's bytes.
        got: u64,
        /// The framing's.
        want: u64,
    },
    /// The delimiter stands in the data: it would end the frame early.
    Delimiter {
        /// Its position in the data.
        at: usize,
    },
    /// The slice to write to is too short for the frame.
    NoRoom {
        /// The frame's bytes.
        need: usize,
        /// The slice's.
        have: usize,
    },
    /// The frame depends on the data's bytes, not on its size alone: give it the data.
    NeedsData,
    /// The data is no JSON object with a whole number for the body's length.
    JsonHeader,
    /// What a [`Rule`](crate::Rule) of one's own refuses.
    Rule {
        /// What is wrong.
        reason: &'static str,
    },
    /// The output became shorter than it was when the frame was begun. What stood before the frame is lost.
    Shrunk,
    /// Another number of fields than the layout has.
    Fields {
        /// How many were given.
        got: usize,
        /// How many the layout has.
        want: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLong { got, limit } => write!(f, "the message has {got} bytes, at most {limit} fit"),
            EncodeError::TooShort { got, least } => write!(f, "the message has {got} bytes, at least {least} must be"),
            EncodeError::Multiple { got, of } => {
                write!(f, "the message has {got} bytes, and its length counts units of {of}: fill it up")
            }
            EncodeError::Empty => f.write_str("the message is empty, which this framing refuses"),
            EncodeError::Field { index, name: FieldName { len: 0, .. }, got, limit } => {
                write!(f, "field {index} is {got}, at most {limit} fits")
            }
            EncodeError::Field { name, got, limit, .. } => write!(f, "the field {name} is {got}, at most {limit} fits"),
            EncodeError::Shrunk => {
                f.write_str("bytes were taken back from before the frame while it was written: only append to them")
            }
            EncodeError::Size { got, want } => write!(f, "the message has {got} bytes, the framing's size is {want}"),
            EncodeError::Delimiter { at } => {
                write!(f, "the delimiter stands in the message, at byte {at}: choose a framing with a length")
            }
            EncodeError::NoRoom { need, have } => {
                write!(f, "the frame has {need} bytes, there is room for {have}")
            }
            EncodeError::NeedsData => f.write_str("this framing's header can't be written without the data"),
            EncodeError::JsonHeader => {
                f.write_str("the message is no JSON object with a whole number for the body's length")
            }
            EncodeError::Rule { reason } => f.write_str(reason),
            EncodeError::Fields { got, want } => write!(f, "{got} fields were given, the layout has {want}"),
        }
    }
}

impl core::error::Error for EncodeError {}

impl EncodeError {
    /// A field's value doesn't fit, for a [`Rule`](crate::Rule): the name is added by the enframer.
    pub fn field(index: usize, got: u64, limit: u64) -> EncodeError {
        EncodeError::Field { index, name: FieldName::default(), got, limit }
    }

    /// The same with the field's name in it.
    pub(crate) fn named(self, name: impl FnOnce(usize) -> FieldName) -> EncodeError {
        match self {
            EncodeError::Field { index, got, limit, .. } => EncodeError::Field { index, name: name(index), got, limit },
            error => error,
        }
    }
}

/// A field's name in an error, without an allocation: one of more than 30 bytes is cut short.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldName {
    len: u8,
    bytes: [u8; 30],
}

impl FieldName {
    pub(crate) fn new(name: &str) -> FieldName {
        let mut cut = FieldName::default();
        for char in name.chars() {
            let at = usize::from(cut.len);
            let Some(place) = cut.bytes.get_mut(at..at + char.len_utf8()) else { break };
            char.encode_utf8(place);
            cut.len += char.len_utf8() as u8;
        }
        cut
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
