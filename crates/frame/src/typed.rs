//! Structs in place of lists of fields.
//!
//! A struct names the fields of a framing, and `#[derive(Frame)]` (feature `derive`) maps them both ways: a struct with a
//! field for the data is a [`FrameMessage`], one without is a [`FrameHeader`], whose data travels beside it.
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use unglue_frame::{Deframer, Enframer, Frame, typed::FrameMessage};
//!
//! #[derive(Debug, PartialEq, Frame)]
//! #[frame("tag:u8 len:u32be data[len-4] (max=1M)")] // PostgreSQL
//! struct Message<'a> {
//!     tag: u8,
//!     #[frame(data)]
//!     text: &'a [u8],
//! }
//!
//! let framing = Message::framing()?;
//! let query = Message { tag: b'Q', text: b"SELECT 1\0" };
//! let mut wire = Vec::new();
//! query.encode(&Enframer::new(framing.clone()), &mut wire)?;
//! assert_eq!(wire, b"Q\0\0\0\x0dSELECT 1\0");
//!
//! let mut deframer = Deframer::new(framing);
//! deframer.feed(&wire);
//! let frame = deframer.next()?.unwrap();
//! assert_eq!(Message::from_frame(&frame)?, query);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The struct's fields have the names of the layout's, or say `#[frame(name = "…")]`, in any order; the length isn't one of
//! them. A field that the layout doesn't have, or one that the struct lacks, is an error when the program is compiled:
//!
#![cfg_attr(feature = "derive", doc = "```compile_fail")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! #[derive(unglue_frame::Frame)]
//! #[frame("tag:u8 len:u32be data[len-4]")]
//! struct Message {
//!     kind: u8, // the layout calls it tag
//! }
//! ```
//!
//! The fields of a preset, such as `websocket`, are read by their order: put them in that of
//! [`Framing::field_names`](crate::Framing::field_names).
//!
//! A field's type is an integer, a `bool`, or a type of your own that implements [`FieldValue`]:
//!
#![cfg_attr(feature = "derive", doc = "```")]
#![cfg_attr(not(feature = "derive"), doc = "```ignore")]
//! use unglue_frame::{Frame, typed::{FieldValue, FrameHeader, TypedError}};
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum Kind {
//!     Request,
//!     Answer,
//! }
//!
//! impl FieldValue for Kind {
//!     fn from_field(value: u64) -> Option<Kind> {
//!         [Kind::Request, Kind::Answer].get(usize::try_from(value).ok()?).copied()
//!     }
//!
//!     fn to_field(&self) -> u64 {
//!         *self as u64
//!     }
//! }
//!
//! #[derive(Frame)]
//! #[frame("kind:u8 last:u8 len:u16be data[len]")]
//! struct Header {
//!     last: bool,
//!     kind: Kind,
//! }
//!
//! let header = Header::from_fields(&[1, 0])?; // in the layout's order
//! assert_eq!((header.kind, header.last), (Kind::Answer, false));
//! let error = Header::from_fields(&[7, 0]).err().unwrap();
//! assert_eq!(error.to_string(), "the field kind is 7, which its type has no value for");
//! # Ok::<(), TypedError>(())
//! ```

use crate::{EncodeError, Enframer, Frame, Framing, NotationError, Output};
use alloc::vec::Vec;
use core::fmt;

/// A struct of a framing's fields. `#[derive(Frame)]` makes it.
pub trait FrameHeader: Sized {
    /// The framing's notation.
    const NOTATION: &'static str;
    /// The fields' names, in the framing's order.
    const NAMES: &'static [&'static str];
    /// The fields' values: an array.
    type Fields: AsRef<[u64]>;

    /// Takes the fields, in the framing's order, as `OwnedFrame::fields` has them.
    ///
    /// # Errors
    /// There is another number of them, or a value doesn't fit its type.
    fn from_fields(fields: &[u64]) -> Result<Self, TypedError>;

    /// The fields' values, in the framing's order.
    fn to_fields(&self) -> Self::Fields;

    /// The framing.
    ///
    /// # Errors
    /// The text isn't a notation, or needs a feature that this build lacks.
    fn framing() -> Result<Framing, NotationError> {
        Self::NOTATION.parse()
    }

    /// Takes the fields of a frame.
    ///
    /// # Errors
    /// As [`from_fields`](Self::from_fields).
    fn from_frame(frame: &Frame<'_>) -> Result<Self, TypedError> {
        with_fields(frame, Self::NAMES.len(), |fields| Self::from_fields(fields))
    }

    /// Appends a frame with these fields and this data to `out`.
    ///
    /// # Errors
    /// As [`Enframer::encode`].
    fn encode(&self, enframer: &Enframer, data: &[u8], out: &mut impl Output) -> Result<(), EncodeError> {
        enframer.encode(self.to_fields().as_ref(), data, out)
    }
}

/// A struct of a framing's fields and its data. `#[derive(Frame)]` makes it for a struct with a field `#[frame(data)]`.
pub trait FrameMessage<'a>: Sized {
    /// The framing's notation.
    const NOTATION: &'static str;
    /// The fields' names, in the framing's order.
    const NAMES: &'static [&'static str];
    /// The fields' values: an array.
    type Fields: AsRef<[u64]>;

    /// Takes the fields, in the framing's order, and the data.
    ///
    /// # Errors
    /// There is another number of fields, or a value or the data doesn't fit its type.
    fn from_parts(fields: &[u64], data: &'a [u8]) -> Result<Self, TypedError>;

    /// The fields' values, in the framing's order.
    fn to_fields(&self) -> Self::Fields;

    /// The message.
    fn data(&self) -> &[u8];

    /// The framing.
    ///
    /// # Errors
    /// The text isn't a notation, or needs a feature that this build lacks.
    fn framing() -> Result<Framing, NotationError> {
        Self::NOTATION.parse()
    }

    /// Takes a frame's fields and data.
    ///
    /// # Errors
    /// As [`from_parts`](Self::from_parts).
    fn from_frame(frame: &Frame<'a>) -> Result<Self, TypedError> {
        with_fields(frame, Self::NAMES.len(), |fields| Self::from_parts(fields, frame.data()))
    }

    /// Appends it to `out` as a frame.
    ///
    /// # Errors
    /// As [`Enframer::encode`].
    fn encode(&self, enframer: &Enframer, out: &mut impl Output) -> Result<(), EncodeError> {
        enframer.encode(self.to_fields().as_ref(), self.data(), out)
    }
}

/// A type that a field's number can be.
pub trait FieldValue: Sized {
    /// Converts a field's number; `None` if there is no such value.
    fn from_field(value: u64) -> Option<Self>;

    /// The field's number.
    fn to_field(&self) -> u64;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl FieldValue for $integer {
            #[inline]
            fn from_field(value: u64) -> Option<$integer> {
                <$integer>::try_from(value).ok()
            }

            #[inline]
            fn to_field(&self) -> u64 {
                *self as u64
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize);

impl FieldValue for bool {
    /// 0 is false and 1 is true.
    #[inline]
    fn from_field(value: u64) -> Option<bool> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    #[inline]
    fn to_field(&self) -> u64 {
        u64::from(*self)
    }
}

/// A type that a frame's data can be.
pub trait FrameData<'a>: Sized {
    /// Converts the data; `None` if it isn't such a value.
    fn from_data(data: &'a [u8]) -> Option<Self>;

    /// The data.
    fn as_data(&self) -> &[u8];
}

impl<'a> FrameData<'a> for &'a [u8] {
    #[inline]
    fn from_data(data: &'a [u8]) -> Option<&'a [u8]> {
        Some(data)
    }

    #[inline]
    fn as_data(&self) -> &[u8] {
        self
    }
}

impl<'a> FrameData<'a> for &'a str {
    /// UTF-8 alone is text.
    fn from_data(data: &'a [u8]) -> Option<&'a str> {
        core::str::from_utf8(data).ok()
    }

    fn as_data(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<'a> FrameData<'a> for Vec<u8> {
    fn from_data(data: &'a [u8]) -> Option<Vec<u8>> {
        Some(data.into())
    }

    fn as_data(&self) -> &[u8] {
        self
    }
}

impl<'a, const N: usize> FrameData<'a> for [u8; N] {
    fn from_data(data: &'a [u8]) -> Option<[u8; N]> {
        data.try_into().ok()
    }

    fn as_data(&self) -> &[u8] {
        self
    }
}

/// A frame that a struct's types can't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypedError {
    /// The frame has another number of fields: it is of another framing.
    Fields {
        /// How many it has.
        got: usize,
        /// How many the struct has.
        want: usize,
    },
    /// A field's number is not a value of its type.
    Value {
        /// The field.
        name: &'static str,
        /// Its number.
        got: u64,
    },
    /// The data is not a value of its type.
    Data {
        /// The data's bytes.
        got: usize,
        /// The type.
        wanted: &'static str,
    },
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedError::Fields { got, want } => {
                write!(f, "the frame has {got} fields, the struct {want}: use its own framing")
            }
            TypedError::Value { name, got } => write!(f, "the field {name} is {got}, which its type has no value for"),
            TypedError::Data { got, wanted } => write!(f, "the data's {got} bytes are not a value of {wanted}"),
        }
    }
}

impl core::error::Error for TypedError {}

/// For derived code: there are `want` fields.
#[doc(hidden)]
#[inline]
pub fn check_count(fields: &[u64], want: usize) -> Result<(), TypedError> {
    if fields.len() == want { Ok(()) } else { Err(TypedError::Fields { got: fields.len(), want }) }
}

/// For derived code: the field of this index.
#[doc(hidden)]
#[inline]
pub fn read_field<T: FieldValue>(fields: &[u64], index: usize, name: &'static str) -> Result<T, TypedError> {
    let got = fields.get(index).copied().unwrap_or(0);
    T::from_field(got).ok_or(TypedError::Value { name, got })
}

/// For derived code: the data.
#[doc(hidden)]
#[inline]
pub fn read_data<'a, T: FrameData<'a>>(data: &'a [u8]) -> Result<T, TypedError> {
    T::from_data(data).ok_or(TypedError::Data { got: data.len(), wanted: core::any::type_name::<T>() })
}

/// The most fields that are read without an allocation.
const FEW: usize = 16;

fn with_fields<T>(
    frame: &Frame<'_>,
    want: usize,
    read: impl FnOnce(&[u64]) -> Result<T, TypedError>,
) -> Result<T, TypedError> {
    let got = frame.field_count();
    if got != want {
        return Err(TypedError::Fields { got, want });
    }
    if want > FEW {
        let fields: Vec<u64> = (0..want).map(|index| frame.field(index)).collect();
        return read(&fields);
    }
    let mut fields = [0; FEW];
    for (index, value) in fields[..want].iter_mut().enumerate() {
        *value = frame.field(index);
    }
    read(&fields[..want])
}
