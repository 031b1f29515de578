//! Structs in place of tuples.

use alloc::vec::Vec;

use crate::error::Error;
use crate::format::Format;
use crate::typed::FromFields;
use crate::value::Value;

/// A struct with the format of its records. `#[derive(Record)]` (feature `derive`) makes it from
/// `#[record("FORMAT")]`, beside [`FromFields`](crate::FromFields) and [`IntoFields`](crate::IntoFields), which serve any format that is
/// known only at run time: `format.unpack_as::<Header>(bytes)`, `format.pack_as(&header)`.
///
/// The struct's fields are the format's values, in order, and there may be any number of them. That their numbers
/// agree is checked when the program is compiled; that each type takes its value, when a record is unpacked.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use unglue_struct::Record;
///
/// #[derive(Debug, PartialEq, Record)]
/// #[record("<I3sxf")]
/// struct Item<'a> {
///     id: u32,
///     name: &'a [u8],
///     weight: f32,
/// }
///
/// let item = Item { id: 1, name: b"abc", weight: 2.7 };
/// let bytes = item.pack()?;
/// assert_eq!(bytes, b"\x01\0\0\0abc\0\xcd\xcc\x2c\x40");
/// assert_eq!(Item::unpack(&bytes)?, item);
///
/// // A loop parses the format once.
/// let format = Item::format()?;
/// for _ in 0..3 {
///     let item: Item = format.unpack_as(&bytes)?;
///     assert_eq!(format.pack_as(&item)?, bytes);
/// }
/// # Ok::<(), unglue_struct::Error>(())
/// ```
///
/// A wrong number of fields doesn't compile:
///
#[cfg_attr(feature = "derive", doc = "```compile_fail")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// #[derive(unglue_struct::Record)]
/// #[record("<IH")] // two values
/// struct Item {
///     id: u32,
/// }
/// ```
pub trait Record: Sized {
    /// The format, in Python's words.
    const FORMAT: &'static str;

    /// Packs it by another format of as many values.
    ///
    /// # Errors
    ///
    /// As [`Format::pack`].
    fn pack_with(&self, format: &Format) -> Result<Vec<u8>, Error>;

    /// The format, parsed. It allocates one list: a loop calls this once.
    ///
    /// # Errors
    ///
    /// As [`Format::parse`]. The derive macro has checked the letters and the number of values.
    fn format() -> Result<Format, Error> {
        Format::parse(Self::FORMAT)
    }

    /// Packs it into a record of its own format.
    ///
    /// # Errors
    ///
    /// As [`Format::pack`].
    fn pack(&self) -> Result<Vec<u8>, Error> {
        self.pack_with(&Self::format()?)
    }

    /// Unpacks a record of its own format.
    ///
    /// # Errors
    ///
    /// As [`Format::unpack_as`].
    fn unpack<'b>(bytes: &'b [u8]) -> Result<Self, Error>
    where
        Self: FromFields<'b>,
    {
        Self::format()?.unpack_as(bytes)
    }
}

/// A type that can be packed into one field, by reference: what a field of a `Record` must be.
pub trait ToField {
    /// The value to pack.
    fn to_value(&self) -> Value<'_>;
}

macro_rules! copied {
    ($($copied:ty)*) => {$(
        impl ToField for $copied {
            #[inline]
            fn to_value(&self) -> Value<'_> {
                Value::from(*self)
            }
        }
    )*};
}

copied!(i8 u8 i16 u16 i32 u32 i64 u64 i128 isize usize f32 f64 bool &[u8]);

impl<const N: usize> ToField for [u8; N] {
    #[inline]
    fn to_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl ToField for Vec<u8> {
    #[inline]
    fn to_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl ToField for Value<'_> {
    #[inline]
    fn to_value(&self) -> Value<'_> {
        *self
    }
}
