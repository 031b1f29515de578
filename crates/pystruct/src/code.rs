//! The letters of the format language: what each stands for, how large it is and how it aligns.

use core::ffi::{c_int, c_long, c_longlong, c_short};
use core::mem::{align_of, size_of};

/// A format character that stands for data, as in the
/// [table of Python's documentation](https://docs.python.org/3.13/library/struct.html#format-characters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Code {
    /// `x`: a pad byte, written as zero; it carries no value.
    Pad = b'x',
    /// `c`: one byte, as a byte string of length 1.
    Char = b'c',
    /// `b`: `signed char`.
    SignedByte = b'b',
    /// `B`: `unsigned char`.
    UnsignedByte = b'B',
    /// `?`: `_Bool`; any non-zero byte reads as true.
    Bool = b'?',
    /// `h`: `short`.
    Short = b'h',
    /// `H`: `unsigned short`.
    UnsignedShort = b'H',
    /// `i`: `int`.
    Int = b'i',
    /// `I`: `unsigned int`.
    UnsignedInt = b'I',
    /// `l`: `long`; eight bytes in native mode on 64-bit Unix, else four.
    Long = b'l',
    /// `L`: `unsigned long`.
    UnsignedLong = b'L',
    /// `q`: `long long`.
    LongLong = b'q',
    /// `Q`: `unsigned long long`.
    UnsignedLongLong = b'Q',
    /// `n`: `ssize_t`; native mode only.
    SignedSize = b'n',
    /// `N`: `size_t`; native mode only.
    Size = b'N',
    /// `e`: IEEE 754 binary16.
    Half = b'e',
    /// `f`: IEEE 754 binary32.
    Float = b'f',
    /// `d`: IEEE 754 binary64.
    Double = b'd',
    /// `s`: a byte string; the count is its length, not a repetition.
    Bytes = b's',
    /// `p`: a Pascal string: a length byte, then the text; the count is the size of both.
    Pascal = b'p',
    /// `P`: `void *` as an integer; native mode only.
    Pointer = b'P',
}

impl Code {
    /// The code that a character of a format stands for.
    pub const fn from_letter(letter: u8) -> Option<Code> {
        Some(match letter {
            b'x' => Code::Pad,
            b'c' => Code::Char,
            b'b' => Code::SignedByte,
            b'B' => Code::UnsignedByte,
            b'?' => Code::Bool,
            b'h' => Code::Short,
            b'H' => Code::UnsignedShort,
            b'i' => Code::Int,
            b'I' => Code::UnsignedInt,
            b'l' => Code::Long,
            b'L' => Code::UnsignedLong,
            b'q' => Code::LongLong,
            b'Q' => Code::UnsignedLongLong,
            b'n' => Code::SignedSize,
            b'N' => Code::Size,
            b'e' => Code::Half,
            b'f' => Code::Float,
            b'd' => Code::Double,
            b's' => Code::Bytes,
            b'p' => Code::Pascal,
            b'P' => Code::Pointer,
            _ => return None,
        })
    }

    /// The character itself.
    pub const fn letter(self) -> char {
        self as u8 as char
    }

    /// The C type, as Python's documentation names it.
    pub const fn c_type(self) -> &'static str {
        match self {
            Code::Pad => "pad byte",
            Code::Char => "char",
            Code::SignedByte => "signed char",
            Code::UnsignedByte => "unsigned char",
            Code::Bool => "_Bool",
            Code::Short => "short",
            Code::UnsignedShort => "unsigned short",
            Code::Int => "int",
            Code::UnsignedInt => "unsigned int",
            Code::Long => "long",
            Code::UnsignedLong => "unsigned long",
            Code::LongLong => "long long",
            Code::UnsignedLongLong => "unsigned long long",
            Code::SignedSize => "ssize_t",
            Code::Size => "size_t",
            Code::Half => "IEEE 754 binary16",
            Code::Float => "float",
            Code::Double => "double",
            Code::Bytes | Code::Pascal => "char[]",
            Code::Pointer => "void *",
        }
    }

    /// Bytes of one item in the modes `=`, `<`, `>` and `!`; `None` for `n`, `N` and `P`, which exist
    /// in native mode only.
    pub const fn standard_size(self) -> Option<usize> {
        Some(match self {
            Code::SignedSize | Code::Size | Code::Pointer => return None,
            Code::Short | Code::UnsignedShort | Code::Half => 2,
            Code::Int | Code::UnsignedInt | Code::Long | Code::UnsignedLong | Code::Float => 4,
            Code::LongLong | Code::UnsignedLongLong | Code::Double => 8,
            _ => 1,
        })
    }

    /// Bytes of one item in native mode on the machine this crate is built for.
    pub const fn native_size(self) -> usize {
        match self {
            Code::Short | Code::UnsignedShort => size_of::<c_short>(),
            Code::Int | Code::UnsignedInt => size_of::<c_int>(),
            Code::Long | Code::UnsignedLong => size_of::<c_long>(),
            Code::LongLong | Code::UnsignedLongLong => size_of::<c_longlong>(),
            Code::SignedSize | Code::Size | Code::Pointer => size_of::<usize>(),
            Code::Half => 2,
            Code::Float => 4,
            Code::Double => 8,
            _ => 1,
        }
    }

    /// The alignment of one item in native mode, in bytes; 1 where there is none.
    pub const fn native_alignment(self) -> usize {
        match self {
            Code::Short | Code::UnsignedShort | Code::Half => align_of::<c_short>(),
            Code::Int | Code::UnsignedInt => align_of::<c_int>(),
            Code::Long | Code::UnsignedLong => align_of::<c_long>(),
            Code::LongLong | Code::UnsignedLongLong => align_of::<c_longlong>(),
            Code::SignedSize | Code::Size | Code::Pointer => align_of::<usize>(),
            Code::Float => align_of::<f32>(),
            Code::Double => align_of::<f64>(),
            _ => 1,
        }
    }

    /// Whether the count before this code is a length (`s`, `p`) rather than a repetition.
    pub const fn is_string(self) -> bool {
        matches!(self, Code::Bytes | Code::Pascal)
    }
}

/// The first character of a format: byte order, sizes and alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// `@`, or no mark: this machine's byte order, sizes and alignment.
    Native,
    /// `=`: this machine's byte order, standard sizes, no alignment.
    NativeStandard,
    /// `<`: little-endian, standard sizes, no alignment.
    Little,
    /// `>`: big-endian, standard sizes, no alignment.
    Big,
    /// `!`: network order, which is big-endian (RFC 1700).
    Network,
}

impl ByteOrder {
    pub(crate) const fn from_mark(mark: u8) -> Option<ByteOrder> {
        Some(match mark {
            b'@' => ByteOrder::Native,
            b'=' => ByteOrder::NativeStandard,
            b'<' => ByteOrder::Little,
            b'>' => ByteOrder::Big,
            b'!' => ByteOrder::Network,
            _ => return None,
        })
    }

    /// Whether the most significant byte comes first.
    pub const fn is_big_endian(self) -> bool {
        match self {
            ByteOrder::Native | ByteOrder::NativeStandard => cfg!(target_endian = "big"),
            ByteOrder::Little => false,
            ByteOrder::Big | ByteOrder::Network => true,
        }
    }

    /// Whether sizes and alignment are those of this machine's C compiler.
    pub const fn is_native(self) -> bool {
        matches!(self, ByteOrder::Native)
    }

    /// Bytes of one item of `code` in this mode; `None` if the mode doesn't have the code.
    pub const fn size_of(self, code: Code) -> Option<usize> {
        if self.is_native() { Some(code.native_size()) } else { code.standard_size() }
    }

    /// The alignment of `code` in this mode, in bytes.
    pub const fn alignment_of(self, code: Code) -> usize {
        if self.is_native() { code.native_alignment() } else { 1 }
    }
}
