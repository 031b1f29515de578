//! What can go wrong, typed. The words are in [`wording`](crate::wording).

use crate::code::Code;

/// What went wrong. `Display` gives the words of Python 3.13; see [`Error::says`] for other versions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The format holds characters outside ASCII.
    NotAscii {
        /// The first of them.
        first: char,
        /// Where they start, counted in characters.
        start: usize,
        /// Where the stretch of them ends, exclusive.
        end: usize,
    },
    /// The format holds a NUL.
    EmbeddedNull,
    /// A character of the format is no code in its mode.
    BadChar {
        /// Its position in the format.
        position: usize,
        /// The character.
        found: u8,
    },
    /// The format ends with a count.
    CountWithoutCode,
    /// A count or the size passes Python's `ssize_t`.
    TooLong,
    /// The number of values isn't the format's.
    ItemCount {
        /// What was called.
        call: Call,
        /// How many values the format has.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// A value can't be packed into its field.
    Field {
        /// Which value it was, from 0.
        index: usize,
        /// The field's code.
        code: Code,
        /// Why not.
        reason: FieldError,
    },
    /// `unpack` was given more or fewer bytes than the format's size.
    WrongSize {
        /// The format's size in bytes.
        expected: usize,
        /// The length of the input in bytes.
        got: usize,
    },
    /// `iter_unpack` was given a format of size zero.
    EmptyRecord,
    /// `iter_unpack` was given bytes that aren't a whole number of records.
    NotAMultiple {
        /// The format's size in bytes.
        size: usize,
        /// The length of the input in bytes.
        got: usize,
    },
    /// A negative offset leaves less room before the buffer's end than the record needs.
    PastEnd {
        /// What was called.
        call: Call,
        /// The format's size in bytes.
        size: usize,
        /// The offset, negative: from the buffer's end.
        offset: isize,
    },
    /// A negative offset points before the buffer's start.
    OffsetOutOfRange {
        /// The offset, negative: from the buffer's end.
        offset: isize,
        /// The buffer's length in bytes.
        len: usize,
    },
    /// The buffer ends before the record does.
    BufferTooSmall {
        /// What was called.
        call: Call,
        /// The format's size in bytes.
        size: usize,
        /// The offset, from the buffer's start.
        offset: usize,
        /// The buffer's length in bytes.
        len: usize,
    },
    /// The packed record doesn't fit in memory.
    NoMemory {
        /// The format's size in bytes.
        size: usize,
    },
    /// `unpack_as` was asked for a tuple with another number of values.
    FieldCount {
        /// How many values the tuple has.
        expected: usize,
        /// How many the format has.
        got: usize,
    },
    /// `unpack_as` was asked for a type that doesn't hold what the field holds.
    WrongType {
        /// Which value it was, from 0.
        index: usize,
        /// The field's code.
        code: Code,
        /// The Rust type that was asked for.
        wanted: &'static str,
    },
}

/// Why a value can't be packed into its field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldError {
    /// An integer code was given something else.
    NotAnInteger,
    /// A float code was given what converts to no float, or an integer too large for one.
    NotAFloat,
    /// `s` or `p` was given something other than bytes.
    NotBytes,
    /// `c` was given something other than one byte.
    NotOneByte,
    /// An integer is outside the field's range.
    OutOfRange {
        /// The integer; `i128::MIN` or `i128::MAX` stands for everything beyond.
        got: i128,
        /// The smallest that fits.
        min: i128,
        /// The largest that fits.
        max: i128,
        /// Whether CPython serves the field with its native routine, whose words differed before 3.12.
        native: bool,
    },
    /// An integer is too large for `P`, or for a float field.
    IntTooLarge {
        /// The integer; `i128::MIN` or `i128::MAX` stands for everything beyond.
        got: i128,
    },
    /// A float is too large for its field.
    FloatTooLarge {
        /// The float.
        got: f64,
    },
}

/// The call that an [`Error`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// [`Format::pack`](crate::Format::pack).
    Pack,
    /// [`Format::pack_into`](crate::Format::pack_into).
    PackInto,
    /// [`Format::unpack_from`](crate::Format::unpack_from).
    UnpackFrom,
}

impl core::error::Error for Error {}
