//! CPython's words for each error, and the exception it raises with them.

use core::fmt;
use core::mem::size_of;

use crate::code::Code;
use crate::error::{Call, Error, FieldError};

/// The longest byte string that CPython tries to make: its object has four words before the bytes, and a
/// NUL after them.
const LARGEST_BYTES: usize = isize::MAX as usize - (4 * size_of::<usize>() + 1);

/// A version of Python whose words an error is told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Python {
    /// Python 3.11: four codes have range errors of their own, and numbers beyond 64 bits are an
    /// `argument out of range`.
    V3_11,
    /// Python 3.12 and 3.13, which say the same.
    #[default]
    V3_13,
}

/// The exception that Python raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exception {
    /// `struct.error`.
    StructError,
    /// `OverflowError`: a float too large for its field, or a record too large for any byte string.
    OverflowError,
    /// `UnicodeEncodeError`.
    UnicodeEncodeError,
    /// `MemoryError`.
    MemoryError,
    /// `TypeError`: only for what Python has no counterpart of, the typed calls of this crate.
    TypeError,
}

impl Exception {
    /// The name as Python programs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Exception::StructError => "struct.error",
            Exception::OverflowError => "OverflowError",
            Exception::UnicodeEncodeError => "UnicodeEncodeError",
            Exception::MemoryError => "MemoryError",
            Exception::TypeError => "TypeError",
        }
    }
}

impl Error {
    /// The exception that CPython raises for it.
    pub const fn exception(&self) -> Exception {
        match self {
            Error::NotAscii { .. } => Exception::UnicodeEncodeError,
            Error::NoMemory { size } if *size > LARGEST_BYTES => Exception::OverflowError,
            Error::NoMemory { .. } => Exception::MemoryError,
            Error::FieldCount { .. } | Error::WrongType { .. } => Exception::TypeError,
            Error::Field { reason: FieldError::FloatTooLarge { .. }, .. } => Exception::OverflowError,
            _ => Exception::StructError,
        }
    }

    /// The error in the words of a version of Python.
    ///
    /// ```
    /// use unglue_struct::{Format, Python};
    ///
    /// let error = Format::parse("h")?.pack(&[70_000.into()]).unwrap_err();
    /// assert_eq!(error.to_string(), "'h' format requires -32768 <= number <= 32767");
    /// assert_eq!(error.says(Python::V3_11).to_string(), "short format requires -32768 <= number <= 32767");
    /// # Ok::<(), unglue_struct::Error>(())
    /// ```
    pub const fn says(&self, python: Python) -> impl fmt::Display {
        Saying { error: self, python }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.says(Python::default()).fmt(f)
    }
}

struct Saying<'e> {
    error: &'e Error,
    python: Python,
}

impl fmt::Display for Saying<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.error {
            Error::NotAscii { first, start, end } => say_not_ascii(f, first, start, end),
            Error::EmbeddedNull => f.write_str("embedded null character"),
            Error::BadChar { .. } => f.write_str("bad char in struct format"),
            Error::CountWithoutCode => f.write_str("repeat count given without format specifier"),
            Error::TooLong => f.write_str("total struct size too long"),
            Error::ItemCount { call, expected, got } => {
                write!(f, "{} expected {expected} items for packing (got {got})", call.name())
            }
            Error::Field { code, ref reason, .. } => say_field(f, code, reason, self.python),
            Error::WrongSize { expected, .. } => write!(f, "unpack requires a buffer of {expected} bytes"),
            Error::EmptyRecord => f.write_str("cannot iteratively unpack with a struct of length 0"),
            Error::NotAMultiple { size, .. } => {
                write!(f, "iterative unpacking requires a buffer of a multiple of {size} bytes")
            }
            Error::NoMemory { size } if size > LARGEST_BYTES => f.write_str("byte string is too large"),
            // CPython's MemoryError says nothing.
            Error::NoMemory { .. } => Ok(()),
            Error::FieldCount { expected, got } => {
                write!(f, "a tuple of {expected} values was asked for, but the format has {got}")
            }
            Error::WrongType { index, code, wanted } => {
                write!(f, "value {index}, of code '{}', does not fit into {wanted}", code.letter())
            }
            ref offset => say_offset(f, offset),
        }
    }
}

/// As Python's codec says it: one character is shown, several are told by their positions.
fn say_not_ascii(f: &mut fmt::Formatter<'_>, first: char, start: usize, end: usize) -> fmt::Result {
    f.write_str("'ascii' codec can't encode character")?;
    let code = u32::from(first);
    match (end - start, code) {
        (1, ..=0xff) => write!(f, " '\\x{code:02x}' in position {start}")?,
        (1, ..=0xffff) => write!(f, " '\\u{code:04x}' in position {start}")?,
        (1, _) => write!(f, " '\\U{code:08x}' in position {start}")?,
        _ => write!(f, "s in position {start}-{}", end - 1)?,
    }
    f.write_str(": ordinal not in range(128)")
}

fn say_field(f: &mut fmt::Formatter<'_>, code: Code, reason: &FieldError, python: Python) -> fmt::Result {
    let letter = code.letter();
    match *reason {
        FieldError::NotAnInteger => f.write_str("required argument is not an integer"),
        FieldError::NotAFloat => f.write_str("required argument is not a float"),
        FieldError::NotBytes => write!(f, "argument for '{letter}' must be a bytes object"),
        FieldError::NotOneByte => f.write_str("char format requires a bytes object of length 1"),
        FieldError::IntTooLarge { .. } => f.write_str("int too large to convert"),
        FieldError::FloatTooLarge { .. } => write!(f, "float too large to pack with {letter} format"),
        FieldError::OutOfRange { got, min, max, native } => {
            let range = Range { code, got, min, max };
            match python {
                Python::V3_11 => range.say_3_11(f, native),
                Python::V3_13 => range.say(f),
            }
        }
    }
}

/// An integer outside its field's range.
struct Range {
    code: Code,
    got: i128,
    min: i128,
    max: i128,
}

impl Range {
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { code, min, max, .. } = self;
        write!(f, "'{}' format requires {min} <= number <= {max}", code.letter())
    }

    /// Python 3.11 first brings the number into a C type, which may refuse it, then compares it; what
    /// each step says depends on the routine.
    fn say_3_11(&self, f: &mut fmt::Formatter<'_>, native: bool) -> fmt::Result {
        let own_name = match self.code {
            Code::SignedByte => Some("byte"),
            Code::UnsignedByte => Some("ubyte"),
            Code::Short if native => Some("short"),
            Code::UnsignedShort if native => Some("ushort"),
            _ => None,
        };
        let signed = self.min < 0 || own_name.is_some();
        let fits = if signed { i64::try_from(self.got).is_ok() } else { u64::try_from(self.got).is_ok() };
        let wide = self.max >= i128::from(i64::MAX);
        match own_name {
            // The 64-bit routines of the other byte order convert by another way.
            _ if wide && !native => f.write_str("int too large to convert"),
            _ if !fits => f.write_str("argument out of range"),
            Some(name) => write!(f, "{name} format requires {} <= number <= {}", self.min, self.max),
            None => self.say(f),
        }
    }
}

fn say_offset(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    match *error {
        Error::PastEnd { call: Call::UnpackFrom, size, offset } => {
            write!(f, "not enough data to unpack {size} bytes at offset {offset}")
        }
        Error::PastEnd { size, offset, .. } => write!(f, "no space to pack {size} bytes at offset {offset}"),
        Error::OffsetOutOfRange { offset, len } => {
            write!(f, "offset {offset} out of range for {len}-byte buffer")
        }
        Error::BufferTooSmall { call, size, offset, len } => {
            let doing = if call == Call::UnpackFrom { "unpacking" } else { "packing" };
            write!(
                f,
                "{} requires a buffer of at least {} bytes for {doing} {size} bytes at offset {offset} \
                 (actual buffer size is {len})",
                call.name(),
                size + offset,
            )
        }
        _ => unreachable!("every other error is told by its own words"),
    }
}

impl Call {
    /// The name of Python's function.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Pack => "pack",
            Call::PackInto => "pack_into",
            Call::UnpackFrom => "unpack_from",
        }
    }
}
