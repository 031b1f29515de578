//! Values as one types them, and as Python prints them.

use std::fmt::Write;

use unglue_struct::{BigInt, Code, Value, Values};

/// A value from the command line.
#[derive(Debug, PartialEq)]
pub(super) enum Literal<'a> {
    Bytes(&'a [u8]),
    Int(i128),
    BigInt(BigInt<'a>),
    Float(f64),
    Bool(bool),
    /// Text where a number was wanted.
    Text(&'a str),
}

impl<'a> Literal<'a> {
    /// Reads a value for a field of `code`: text stays as it is for `c`, `s` and `p`; for the others a
    /// Python literal is looked for. A value too many has no code.
    pub(super) fn read(bytes: &'a [u8], code: Option<Code>) -> Literal<'a> {
        let is_text = matches!(code, Some(Code::Char | Code::Bytes | Code::Pascal));
        match std::str::from_utf8(bytes) {
            Ok(text) if !is_text => number_or_text(text),
            _ => Literal::Bytes(bytes),
        }
    }

    pub(super) fn value(&self) -> Value<'a> {
        match *self {
            Literal::Bytes(bytes) => Value::Bytes(bytes),
            Literal::Int(number) => Value::Int(number),
            Literal::BigInt(number) => Value::BigInt(number),
            Literal::Float(number) => Value::Float(number),
            Literal::Bool(truth) => Value::Bool(truth),
            Literal::Text(text) => Value::Other { truth: !text.is_empty() },
        }
    }
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
        assert_eq!(Literal::read(b"-12", Some(Code::Int)), Literal::Int(-12));
        assert_eq!(Literal::read(b"0xff", Some(Code::Int)), Literal::Int(255));
        assert_eq!(Literal::read(b"-0b11", Some(Code::Int)), Literal::Int(-3));
        assert_eq!(Literal::read(b"0x-1", Some(Code::Int)), Literal::Text("0x-1"));
        assert_eq!(Literal::read(b"1.0", Some(Code::Int)), Literal::Float(1.0));
        assert_eq!(Literal::read(b"inf", Some(Code::Double)), Literal::Float(f64::INFINITY));
        assert_eq!(Literal::read(b"12", Some(Code::Bytes)), Literal::Bytes(b"12"));
        assert_eq!(Literal::read(b"true", Some(Code::Bool)), Literal::Bool(true));
        assert_eq!(Literal::read(b"many", Some(Code::Int)), Literal::Text("many"));
    }
}
