//! Tuples of Rust's own types in place of [`Value`]s.

use alloc::vec::Vec;
use core::any::type_name;
use core::mem::size_of;

use crate::error::Error;
use crate::float::f32_saturating;
use crate::format::Format;
use crate::run::{Kind, Run};
use crate::shape::Shape;
use crate::unpack::Values;
use crate::value::Value;

impl Format {
    /// Unpacks a record into a tuple (up to twelve values), or into a struct that derives `Record`. Integers go into any
    /// integer type that holds the number, floats into `f64`, or into `f32` where that holds the number exactly, byte
    /// strings into `&[u8]` or an array of their length.
    ///
    /// ```
    /// use unglue_struct::Format;
    ///
    /// let (length, kind, ratio): (u32, u16, f64) = Format::parse(">IHe")?.unpack_as(b"\0\0\0\x07\0\x01\x38\0")?;
    /// assert_eq!((length, kind, ratio), (7, 1, 0.5));
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::WrongSize`] as [`unpack`](Format::unpack); [`Error::FieldCount`] if the tuple has another
    /// number of values than the format; [`Error::WrongType`] if a value doesn't fit its type.
    #[inline]
    pub fn unpack_as<'b, T: FromFields<'b>>(&self, bytes: &'b [u8]) -> Result<T, Error> {
        let mut values = self.unpack(bytes)?;
        // Two calls, so that the compiler makes straight code for either byte order.
        let mirrored = match self.shape.mirrors(T::SHAPE) {
            Some(false) => T::from_plain(bytes, false),
            Some(true) => T::from_plain(bytes, true),
            None => None,
        };
        if let Some(tuple) = mirrored {
            return Ok(tuple);
        }
        if self.len() != T::LEN {
            return Err(Error::FieldCount { expected: T::LEN, got: self.len() });
        }
        T::from_fields(&mut values)
    }

    /// Packs a tuple (up to twelve values), or a reference to a struct that derives `Record`.
    ///
    /// ```
    /// use unglue_struct::Format;
    ///
    /// assert_eq!(Format::parse(">H2s")?.pack_as((1_u16, b"ab"))?, b"\0\x01ab");
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`pack`](Format::pack).
    pub fn pack_as<'v, T: IntoFields<'v>>(&self, fields: T) -> Result<Vec<u8>, Error> {
        self.pack(fields.into_fields().as_ref())
    }
}

/// A type that one field can be unpacked into.
pub trait FromField<'b>: Sized {
    /// Converts a value; `None` if it doesn't fit.
    fn from_value(value: Value<'b>) -> Option<Self>;

    /// The storage that is the type's own, if it has one.
    #[doc(hidden)]
    const KIND: Option<Kind> = None;

    /// Decodes exactly the bytes of that storage.
    #[doc(hidden)]
    #[inline]
    fn from_plain(_bytes: &[u8], _big: bool) -> Option<Self> {
        None
    }
}

/// The storage of a number that fields have too.
macro_rules! plain {
    ($number:ident $kind:ident) => {
        const KIND: Option<Kind> = Some(Kind::$kind);

        #[inline]
        fn from_plain(bytes: &[u8], big: bool) -> Option<$number> {
            let bytes = bytes.try_into().ok()?;
            Some(if big { $number::from_be_bytes(bytes) } else { $number::from_le_bytes(bytes) })
        }
    };
}

macro_rules! integer_fields {
    ($($integer:ident $($kind:ident)?;)*) => {$(
        impl<'b> FromField<'b> for $integer {
            #[inline]
            fn from_value(value: Value<'b>) -> Option<$integer> {
                match value {
                    Value::Int(number) => number.try_into().ok(),
                    _ => None,
                }
            }

            $(plain!($integer $kind);)?
        }
    )*};
}

integer_fields! {
    i8 I8;
    u8 U8;
    i16 I16;
    u16 U16;
    i32 I32;
    u32 U32;
    i64 I64;
    u64 U64;
    isize;
    usize;
    i128;
}

impl<'b> FromField<'b> for f64 {
    #[inline]
    fn from_value(value: Value<'b>) -> Option<f64> {
        match value {
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    plain!(f64 F64);
}

impl<'b> FromField<'b> for f32 {
    /// A double that no single stands for exactly doesn't fit; a NaN does, with the payload that a C cast keeps.
    #[inline]
    fn from_value(value: Value<'b>) -> Option<f32> {
        let Value::Float(number) = value else { return None };
        let single = f32::from_bits(f32_saturating(number));
        (number.is_nan() || f64::from(single) == number).then_some(single)
    }

    const KIND: Option<Kind> = Some(Kind::F32);

    #[inline]
    fn from_plain(bytes: &[u8], big: bool) -> Option<f32> {
        let bytes = bytes.try_into().ok()?;
        let bits = if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        Some(f32::from_bits(if f32::from_bits(bits).is_nan() { bits | QUIET } else { bits }))
    }
}

/// The bit that makes a single's NaN quiet. The value on the way through a double has it too.
const QUIET: u32 = 0x0040_0000;

impl<'b> FromField<'b> for bool {
    fn from_value(value: Value<'b>) -> Option<bool> {
        match value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

impl<'b> FromField<'b> for &'b [u8] {
    fn from_value(value: Value<'b>) -> Option<&'b [u8]> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<'b, const N: usize> FromField<'b> for [u8; N] {
    fn from_value(value: Value<'b>) -> Option<[u8; N]> {
        match value {
            Value::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<'b> FromField<'b> for Vec<u8> {
    fn from_value(value: Value<'b>) -> Option<Vec<u8>> {
        <&[u8]>::from_value(value).map(Vec::from)
    }
}

impl<'b> FromField<'b> for Value<'b> {
    fn from_value(value: Value<'b>) -> Option<Value<'b>> {
        Some(value)
    }
}

/// A tuple or a struct that a record can be unpacked into. Tuples have it; `#[derive(Record)]` makes it for a struct.
pub trait FromFields<'b>: Sized {
    /// How many values it takes.
    const LEN: usize;

    /// The record that mirrors it.
    #[doc(hidden)]
    const SHAPE: Shape;

    /// Decodes such a record.
    #[doc(hidden)]
    fn from_plain(record: &[u8], big: bool) -> Option<Self>;

    /// Takes the values in order.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] for the first value that doesn't fit, [`Error::FieldCount`] if there are too few.
    fn from_fields(values: &mut Values<'_, 'b>) -> Result<Self, Error>;
}

/// A tuple, or a reference to a struct, that can be packed into a record.
pub trait IntoFields<'v> {
    /// The values, as an array.
    type Fields: AsRef<[Value<'v>]>;

    /// Converts each value.
    fn into_fields(self) -> Self::Fields;
}

/// The value of this index, as the type `T`; for derived code too.
///
/// # Errors
///
/// As [`FromFields::from_fields`].
#[inline]
pub fn next_field<'b, T: FromField<'b>>(values: &mut Values<'_, 'b>, index: usize, len: usize) -> Result<T, Error> {
    let Some(item) = values.next_item() else {
        return Err(Error::FieldCount { expected: len, got: index });
    };
    T::from_value(item.value()).ok_or_else(|| wrong_type::<T>(item.run, index))
}

#[cold]
fn wrong_type<T>(run: &Run, index: usize) -> Error {
    Error::WrongType { index, code: run.code, wanted: type_name::<T>() }
}

macro_rules! tuples {
    ($($len:literal: $($name:ident $index:tt),*;)*) => {$(
        #[allow(non_snake_case)]
        impl<'b, $($name: FromField<'b>),*> FromFields<'b> for ($($name,)*) {
            const LEN: usize = $len;
            const SHAPE: Shape = Shape::EMPTY$(.then($name::KIND))*;

            #[inline]
            fn from_plain(record: &[u8], big: bool) -> Option<Self> {
                // The sizes are constants, so this length settles every other one.
                let rest = record;
                if rest.len() != 0 $(+ size_of::<$name>())* {
                    return None;
                }
                $(let (bytes, rest) = rest.split_at_checked(size_of::<$name>())?;
                let $name = $name::from_plain(bytes, big)?;)*
                rest.is_empty().then_some(($($name,)*))
            }

            #[inline]
            fn from_fields(values: &mut Values<'_, 'b>) -> Result<Self, Error> {
                Ok(($(next_field::<$name>(values, $index, $len)?,)*))
            }
        }

        impl<'v, $($name: Into<Value<'v>>),*> IntoFields<'v> for ($($name,)*) {
            type Fields = [Value<'v>; $len];

            fn into_fields(self) -> [Value<'v>; $len] {
                [$(self.$index.into()),*]
            }
        }
    )*};
}

tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
    7: A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}
