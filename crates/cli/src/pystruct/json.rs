//! JSON to struct's values and back, without losing a digit.

use serde_json::json;
use serde_json::value::RawValue;
use unglue_struct::{BigInt, Value};

/// A value of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Given<'a> {
    Int(i128),
    BigInt(BigInt<'a>),
    Float(f64),
    Bool(bool),
    /// `{"hex": …}`
    Bytes(Vec<u8>),
    /// What Python would have as an object of another type; struct asks for its truth only.
    Other {
        /// Python's name for the type.
        type_name: &'static str,
        /// What Python's `bool()` says of it.
        truth: bool,
    },
}

impl<'a> Given<'a> {
    /// Reads a value: numbers are exact; bytes are `{"hex": …}`; `"inf"`, `"-inf"` and `"nan"` are floats.
    ///
    /// # Errors
    ///
    /// What is wrong with the hex of bytes.
    pub(super) fn read(raw: &'a RawValue) -> Result<Given<'a>, String> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b't') => Given::Bool(true),
            Some(b'f') => Given::Bool(false),
            Some(b'n') => Given::Other { type_name: "NoneType", truth: false },
            Some(b'"') => string(text),
            Some(b'[') => Given::Other { type_name: "list", truth: !is_empty(text) },
            Some(b'{') => return object(text),
            _ => number(text),
        })
    }

    pub(super) fn value(&self) -> Value<'_> {
        match *self {
            Given::Int(number) => Value::Int(number),
            Given::BigInt(number) => Value::BigInt(number),
            Given::Float(number) => Value::Float(number),
            Given::Bool(truth) => Value::Bool(truth),
            Given::Bytes(ref bytes) => Value::Bytes(bytes),
            Given::Other { truth, .. } => Value::Other { truth },
        }
    }
}

/// A number with a point or an exponent is a float, as Python's json reads it.
fn number(text: &str) -> Given<'_> {
    if text.contains(['.', 'e', 'E']) {
        // JSON's grammar lies within Rust's; what is too large is infinite in both.
        return Given::Float(text.parse().unwrap_or(f64::NAN));
    }
    match text.parse() {
        Ok(number) => Given::Int(number),
        Err(_) => BigInt::from_decimal(text).map_or(Given::Float(f64::NAN), Given::BigInt),
    }
}

fn string(text: &str) -> Given<'_> {
    match text {
        r#""inf""# => Given::Float(f64::INFINITY),
        r#""-inf""# => Given::Float(f64::NEG_INFINITY),
        r#""nan""# => Given::Float(f64::NAN),
        _ => Given::Other { type_name: "str", truth: text != r#""""# },
    }
}

fn object(text: &str) -> Result<Given<'_>, String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match object.get("hex") {
        Some(serde_json::Value::String(hex)) if object.len() == 1 => Ok(Given::Bytes(from_hex(hex.as_bytes())?)),
        _ => Ok(Given::Other { type_name: "dict", truth: !object.is_empty() }),
    }
}

/// Whether brackets enclose nothing but blanks.
fn is_empty(text: &str) -> bool {
    text.trim_matches(['[', ']']).trim().is_empty() && text.matches('[').count() == 1
}

/// A value of an answer.
pub(super) fn to_json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Int(number) => match i64::try_from(number) {
            Ok(number) => json!(number),
            // Unpacking gives nothing beyond 64 bits.
            Err(_) => json!(number as u64),
        },
        Value::BigInt(number) => json!(number.as_str()),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => json!(float_name(number)),
        Value::Bool(truth) | Value::Other { truth } => json!(truth),
        Value::Bytes(bytes) => json!({ "hex": to_hex(bytes) }),
        // A kind of value that this command doesn't know yet.
        other => json!(format!("{other:?}")),
    }
}

/// The name of a float that JSON has no number for.
pub(super) fn float_name(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ => "nan",
    }
}

/// Two small hex digits a byte.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of an even number of hex digits, small or capital; else what is wrong with them.
pub(super) fn from_hex(hex: &[u8]) -> Result<Vec<u8>, String> {
    if !hex.len().is_multiple_of(2) {
        return Err(format!("{} hex digits are an odd number", hex.len()));
    }
    hex.chunks_exact(2).map(|pair| Ok(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

fn hex_digit(letter: u8) -> Result<u8, String> {
    let digit = char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit.ok_or_else(|| format!("'{}' is not a hex digit", letter.escape_ascii()))
}
