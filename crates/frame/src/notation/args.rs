//! Arguments in parentheses.

use super::{Problem, Wrong};
use crate::Int;
use alloc::vec::Vec;

/// An argument: `value`, or `key=value`.
pub(super) struct Arg<'t> {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) key: Option<&'t str>,
    pub(super) value: Value<'t>,
}

pub(super) enum Value<'t> {
    Word(&'t str),
    /// What stood in quotes.
    Text(Vec<u8>),
}

pub(super) type Args<'t> = Vec<Arg<'t>>;

/// Reads `(…)` at `at`, which may be the text's end. Gives the arguments and the position behind them.
pub(super) fn parse(text: &str, mut at: usize) -> Result<(Args<'_>, usize), Wrong> {
    let mut args = Vec::new();
    if !text[at..].starts_with('(') {
        return Ok((args, at));
    }
    loop {
        at = past_spaces(text, at + 1);
        let (arg, end) = one(text, at)?;
        args.push(arg);
        at = past_spaces(text, end);
        match text[at..].bytes().next() {
            Some(b',') => {}
            Some(b')') => return Ok((args, at + 1)),
            _ => return Err((at, Problem::Expected(", or )"))),
        }
    }
}

fn past_spaces(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

fn one(text: &str, at: usize) -> Result<(Arg<'_>, usize), Wrong> {
    if text[at..].starts_with('"') {
        let (bytes, end) = quoted(text, at)?;
        return Ok((Arg { at, key: None, value: Value::Text(bytes) }, end));
    }
    let (first, end) = word(text, at);
    if first.is_empty() {
        return Err((at, Problem::Expected("an argument")));
    }
    if !text[end..].starts_with('=') {
        return Ok((Arg { at, key: None, value: Value::Word(first) }, end));
    }
    let (value, value_end) = word(text, end + 1);
    if value.is_empty() {
        return Err((end + 1, Problem::Expected("a value")));
    }
    Ok((Arg { at, key: Some(first), value: Value::Word(value) }, value_end))
}

fn word(text: &str, at: usize) -> (&str, usize) {
    let len = text[at..].find(|c: char| c.is_whitespace() || ",()=\"".contains(c)).unwrap_or(text.len() - at);
    (&text[at..at + len], at + len)
}

/// Reads a text in quotes, with the escapes `\r \n \t \0 \\ \" \xHH`.
fn quoted(text: &str, at: usize) -> Result<(Vec<u8>, usize), Wrong> {
    let mut bytes = Vec::new();
    let mut chars = text[at + 1..].char_indices().map(|(index, char)| (at + 1 + index, char));
    while let Some((here, char)) = chars.next() {
        match char {
            '"' => return Ok((bytes, here + 1)),
            '\\' => {
                let escape = chars.next().map(|(_, escape)| escape);
                let mut hex = || chars.next().and_then(|(_, digit)| digit.to_digit(16));
                let byte = match escape {
                    Some('r') => Some(b'\r'),
                    Some('n') => Some(b'\n'),
                    Some('t') => Some(b'\t'),
                    Some('0') => Some(0),
                    Some('\\') => Some(b'\\'),
                    Some('"') => Some(b'"'),
                    Some('x') => hex().zip(hex()).map(|(high, low)| (high << 4 | low) as u8),
                    _ => None,
                };
                bytes.push(byte.ok_or((here, Problem::Expected(r#"an escape: \r \n \t \0 \\ \" or \xHH"#)))?);
            }
            char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err((text.len(), Problem::Expected("a closing quote")))
}

/// A number of bytes: `512`, `64K`, `1M`, `2G`.
pub(super) fn size(word: &str) -> Option<u64> {
    let (digits, shift) = match word.as_bytes().last()? {
        b'K' => (&word[..word.len() - 1], 10),
        b'M' => (&word[..word.len() - 1], 20),
        b'G' => (&word[..word.len() - 1], 30),
        _ => (word, 0),
    };
    decimal(digits)?.checked_mul(1 << shift)
}

/// A number in digits alone: no sign, no spaces.
pub(super) fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The integers of fixed width by name.
pub(super) const INTS: [(&str, Int); 9] = [
    ("u8", Int::U8),
    ("u16be", Int::U16BE),
    ("u16le", Int::U16LE),
    ("u24be", Int::U24BE),
    ("u24le", Int::U24LE),
    ("u32be", Int::U32BE),
    ("u32le", Int::U32LE),
    ("u64be", Int::U64BE),
    ("u64le", Int::U64LE),
];

/// An integer's name.
pub(super) fn int(name: &str) -> Option<Int> {
    if name == "varint" {
        return Some(Int::VARINT);
    }
    INTS.iter().find(|(known, _)| *known == name).map(|(_, int)| *int)
}

/// The most bytes of a varint.
pub(super) fn varint(digits: &str) -> Option<Int> {
    let bytes = decimal(digits).and_then(|bytes| u8::try_from(bytes).ok())?;
    (1..=10).contains(&bytes).then(|| Int::varint(bytes))
}
