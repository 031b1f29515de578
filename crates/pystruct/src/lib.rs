//! Python's [`struct`](https://docs.python.org/3.13/library/struct.html) at run time: the format
//! language, the layout rules, the rounding and the error messages of CPython 3.13.
//!
//! Programs that talk to Python programs pack their lengths with `struct`. When the format is known
//! only at run time (read from a file, typed by a user, sent by a peer) this crate does what Python
//! would do with it, byte for byte.
//!
//! # The contract
//!
//! 1. [`Format::parse`] reads the text once and lays the fields out; it allocates one list.
//! 2. [`Format::unpack`], [`Format::unpack_from`] and [`Format::iter_unpack`] check sizes at once and
//!    decode while you iterate: no allocation at all, byte strings are borrowed from the input.
//! 3. [`Format::pack`] allocates the result; [`Format::pack_into`] writes into your buffer.
//! 4. [`Format::unpack_as`] and [`Format::pack_as`] do the same with tuples of Rust's types, and with structs that derive
//!    [`Record`].
//! 5. An [`Error`] is a typed value. Its `Display` is what Python 3.13 says, word for word;
//!    [`Error::exception`] names the exception that Python raises, [`Error::says`] gives the words of
//!    another version.
//!
//! ```
//! use unglue_struct::{Format, Value};
//!
//! let format = Format::parse("<I3sf")?;
//! let bytes = format.pack(&[1.into(), b"abc".into(), 2.5.into()])?;
//! assert_eq!(bytes, b"\x01\0\0\0abc\0\0\x20\x40");
//!
//! let values: Vec<Value> = format.unpack(&bytes)?.collect();
//! assert_eq!(values, [Value::Int(1), Value::Bytes(b"abc"), Value::Float(2.5)]);
//!
//! let (id, name, weight): (u32, &[u8], f64) = format.unpack_as(&bytes)?;
//! assert_eq!((id, name, weight), (1, b"abc".as_slice(), 2.5));
//!
//! let error = Format::parse("i")?.pack(&[1_111_111_111_111_i64.into()]).unwrap_err();
//! assert_eq!(error.to_string(), "'i' format requires -2147483648 <= number <= 2147483647");
//! # Ok::<(), unglue_struct::Error>(())
//! ```
//!
//! # Native mode
//!
//! Formats that start with `@`, or with no mark, have the sizes and the alignment of the C compiler of
//! the machine this crate is built for. [`Format::layout`] shows where padding goes.
//!
//! The crate needs `alloc` only. It has no `unsafe` code, and no dependency unless the feature `derive` asks for one:
//! `#[derive(Record)]` maps a format's values to a struct, see [`Record`].
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

mod code;
mod error;
mod float;
mod format;
mod layout;
mod offset;
mod pack;
mod record;
mod run;
mod shape;
mod typed;
mod unpack;
mod value;
mod wording;

pub use code::{ByteOrder, Code};
pub use error::{Call, Error, FieldError};
pub use format::{Field, Fields, Format};
pub use layout::{Layout, Part};
pub use record::{Record, ToField};
pub use typed::{FromField, FromFields, IntoFields};
#[cfg(feature = "derive")]
pub use unglue_derive::Record;
pub use unpack::{IterUnpack, Values};
pub use value::{BigInt, Value};
pub use wording::{Exception, Python};

/// What derived code needs. It is no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::shape::Shape;
    pub use crate::typed::next_field;
    pub use alloc::vec::Vec;
}

#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("../docs/struct.md")]
pub mod guide {}

/// The README's examples are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
