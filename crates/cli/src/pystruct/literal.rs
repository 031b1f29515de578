//! Values as one types them, and as Python prints them.

use std::borrow::Cow;
use std::fmt::{self, Write};

use unglue_struct::{BigInt, Code, Value, Values};

/// A value from the command line.
#[derive(Debug, PartialEq)]
pub(super) enum Literal<'a> {
    Bytes(Cow<'a, [u8]>),
    Int(i128),
    BigInt(BigInt<'a>),
    Float(f64),
    Bool(bool),
    /// Text where a number was wanted.
    Text(&'a str),
}

/// How the text of a `c`, `s` or `p` field is typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Typed {
    /// With the escapes of Python's bytes literals.
    Escaped,
    /// A backslash is a backslash.
    Verbatim,
}

/// A backslash that begins no escape.
#[derive(Debug, PartialEq)]
pub(super) struct BadEscape {
    /// Where the backslash stands, in bytes from 0.
    at: usize,
    /// It, and what follows.
    found: String,
}

impl fmt::Display for BadEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadEscape { at, found } = self;
        write!(f, "{found} at byte {at} is not an escape")
    }
}

impl<'a> Literal<'a> {
    /// Reads a value for a field of `code`: for `c`, `s` and `p` text, for the others a Python literal. A value too many
    /// has no code.
    pub(super) fn read(bytes: &'a [u8], code: Option<Code>, typed: Typed) -> Result<Literal<'a>, BadEscape> {
        let is_text = matches!(code, Some(Code::Char | Code::Bytes | Code::Pascal));
        match std::str::from_utf8(bytes) {
            Ok(text) if !is_text => Ok(number_or_text(text)),
            _ if typed == Typed::Escaped => unescape(bytes).map(Literal::Bytes),
            _ => Ok(Literal::Bytes(bytes.into())),
        }
    }

    pub(super) fn value(&self) -> Value<'_> {
        match *self {
            Literal::Bytes(ref bytes) => Value::Bytes(bytes),
            Literal::Int(number) => Value::Int(number),
            Literal::BigInt(number) => Value::BigInt(number),
            Literal::Float(number) => Value::Float(number),
            Literal::Bool(truth) => Value::Bool(truth),
            Literal::Text(text) => Value::Other { truth: !text.is_empty() },
        }
    }
}

/// Replaces the escapes of Python's bytes literals: `\\n`, `\\x00`, `\\0` and the like.
fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, BadEscape> {
    if !text.contains(&b'\\') {
        return Ok(text.into());
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        let Some((byte, length)) = escape(&rest[at + 1..]) else {
            let shown = &rest[at..rest.len().min(at + 4)];
            let at = text.len() - rest.len() + at;
            return Err(BadEscape { at, found: String::from_utf8_lossy(shown).into_owned() });
        };
        bytes.push(byte);
        rest = &rest[at + 1 + length..];
    }
    bytes.extend_from_slice(rest);
    Ok(bytes.into())
}

/// The byte that the text behind a backslash stands for, and how many bytes of text that takes.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let single = match text.first()? {
        b'\\' => b'\\',
        b'\'' => b'\'',
        b'"' => b'"',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'x' => return Some((number(text.get(1..3)?, 16)?, 3)),
        b'0'..=b'7' => {
            let digits = text.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            return Some((number(&text[..digits], 8)?, digits));
        }
        _ => return None,
    };
    Some((single, 1))
}

fn number(digits: &[u8], base: u32) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, base).ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn number_or_text(text: &str) -> Literal<'_> {
    let boolean = match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    };
    boolean
        .map(Literal::Bool)
        .or_else(|| text.parse().ok().map(Literal::Int))
        .or_else(|| with_base(text).map(Literal::Int))
        .or_else(|| BigInt::from_decimal(text).map(Literal::BigInt))
        .or_else(|| text.parse().ok().map(Literal::Float))
        .unwrap_or(Literal::Text(text))
}

/// `0x`, `0o` and `0b`, as Python writes them.
fn with_base(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (prefix, digits) = digits.split_at_checked(2)?;
    let base = match prefix {
        "0x" => 16,
        "0o" => 8,
        "0b" => 2,
        _ => return None,
    };
    let unsigned = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
    i128::from_str_radix(digits, base).ok().filter(|_| unsigned).map(|number| sign * number)
}

/// A record as Python's tuple.
pub(super) fn tuple(values: Values<'_, '_>) -> String {
    let comma = if values.len() == 1 { "," } else { "" };
    let values: Vec<_> = values.map(repr).collect();
    format!("({}{comma})", values.join(", "))
}

/// A value as Python's `repr` writes it.
fn repr(value: Value<'_>) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::BigInt(number) => number.as_str().to_owned(),
        Value::Float(number) => float_repr(number),
        Value::Bool(truth) | Value::Other { truth } => if truth { "True" } else { "False" }.to_owned(),
        Value::Bytes(bytes) => bytes_repr(bytes),
        // A kind of value that this command doesn't know yet.
        other => format!("{other:?}"),
    }
}

/// The shortest digits that give the same number; with an exponent below 1e-4 and from 1e16 on.
fn float_repr(number: f64) -> String {
    if !number.is_finite() {
        return super::json::float_name(number).to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match exponent {
        -4..16 => format!("{number:?}"),
        _ if exponent < 0 => format!("{digits}e-{:02}", -exponent),
        _ => format!("{digits}e+{exponent:02}"),
    }
}

fn bytes_repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for byte in bytes {
        match *byte {
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            byte if char::from(byte) == quote => _ = write!(text, "\\{quote}"),
            byte @ b' '..=b'~' => text.push(char::from(byte)),
            byte => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    text.push(quote);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_python_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (2.700000047683716, "2.700000047683716"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (5e-324, "5e-324"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (number, text) in cases {
            assert_eq!(float_repr(number), text);
        }
    }

    #[test]
    fn bytes_read_as_python_prints_them() {
        assert_eq!(bytes_repr(b"ab\0\n\\\xff"), r"b'ab\x00\n\\\xff'");
        assert_eq!(bytes_repr(b"it's"), "b\"it's\"");
        assert_eq!(bytes_repr(b"'\""), r#"b'\'"'"#);
    }

    #[test]
    fn a_literal_is_what_python_would_read() {
        let read = |bytes, code| Literal::read(bytes, Some(code), Typed::Escaped).unwrap();
        assert_eq!(read(b"-12", Code::Int), Literal::Int(-12));
        assert_eq!(read(b"0xff", Code::Int), Literal::Int(255));
        assert_eq!(read(b"-0b11", Code::Int), Literal::Int(-3));
        assert_eq!(read(b"0x-1", Code::Int), Literal::Text("0x-1"));
        assert_eq!(read(b"1.0", Code::Int), Literal::Float(1.0));
        assert_eq!(read(b"inf", Code::Double), Literal::Float(f64::INFINITY));
        assert_eq!(read(b"12", Code::Bytes), Literal::Bytes(b"12".into()));
        assert_eq!(read(b"true", Code::Bool), Literal::Bool(true));
        assert_eq!(read(b"many", Code::Int), Literal::Text("many"));
    }

    #[test]
    fn text_has_the_escapes_of_a_bytes_literal() {
        let read = |text: &'static str| match Literal::read(text.as_bytes(), Some(Code::Bytes), Typed::Escaped) {
            Ok(Literal::Bytes(bytes)) => bytes.into_owned(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(read(r"a\x00b"), b"a\0b");
        assert_eq!(read(r#"\a\b\f\n\r\t\v\\\'\""#), b"\x07\x08\x0c\n\r\t\x0b\\'\"");
        assert_eq!(read(r"\0\01\101\3779"), b"\0\x01A\xff9");
        assert_eq!(read(r"\xfF"), b"\xff");
        for (text, at, found) in
            [(r"ab\q", 2, r"\q"), (r"\x+1", 0, r"\x+1"), (r"\x1", 0, r"\x1"), (r"\400", 0, r"\400"), ("\\", 0, "\\")]
        {
            let error = Literal::read(text.as_bytes(), Some(Code::Bytes), Typed::Escaped).unwrap_err();
            assert_eq!(error, BadEscape { at, found: found.into() }, "{text}");
        }
        let verbatim = Literal::read(br"a\q", Some(Code::Bytes), Typed::Verbatim).unwrap();
        assert_eq!(verbatim, Literal::Bytes(br"a\q".into()));
        assert_eq!(Literal::read(br"\x31", Some(Code::Int), Typed::Escaped).unwrap(), Literal::Text(r"\x31"));
    }
}
