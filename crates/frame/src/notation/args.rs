//! Arguments in parentheses.

use super::{Problem, Wrong};
use crate::{Int, int::Form};
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

impl Value<'_> {
    /// What stood in quotes.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            Value::Word(_) => None,
        }
    }
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
pub(super) const INTS: [(&str, Int); 15] = [
    ("u8", Int::U8),
    ("u16be", Int::U16BE),
    ("u16le", Int::U16LE),
    ("u24be", Int::U24BE),
    ("u24le", Int::U24LE),
    ("u32be", Int::U32BE),
    ("u32le", Int::U32LE),
    ("u40be", Int::U40BE),
    ("u40le", Int::U40LE),
    ("u48be", Int::U48BE),
    ("u48le", Int::U48LE),
    ("u56be", Int::U56BE),
    ("u56le", Int::U56LE),
    ("u64be", Int::U64BE),
    ("u64le", Int::U64LE),
];

/// The names of integers that take arguments.
const WITH_ARGS: [(&str, Int); 4] =
    [("varint", Int::VARINT), ("hex", Int::hex(0)), ("oct", Int::octal(0)), ("dec", Int::decimal(0))];

/// An integer's name.
pub(super) fn int(name: &str) -> Option<Int> {
    INTS.iter().chain(&WITH_ARGS).find(|(known, _)| *known == name).map(|(_, int)| *int)
}

/// The name of an integer that takes arguments.
pub(super) fn name_of(int: Int) -> &'static str {
    let same = |known: &&(&str, Int)| match (known.1.form, int.form) {
        (Form::Varint, Form::Padded) => true,
        (known, form) => known == form,
    };
    WITH_ARGS.iter().find(same).map_or("varint", |(name, _)| name)
}

/// An integer with its arguments: `varint(4)`, `hex(4)`.
pub(super) fn int_with_args(text: &str) -> Option<Int> {
    let Some((name, args)) = text.split_once('(') else { return int(text) };
    let args = args.strip_suffix(')')?.split(',').map(str::trim);
    args.map(Some).try_fold(int(name)?, |int, arg| apply(int, arg?))
}

/// The integer with an argument: how many bytes or digits, or `padded`. `None` if it has no such argument.
pub(super) fn apply(int: Int, arg: &str) -> Option<Int> {
    let count = || decimal(arg).and_then(|count| u8::try_from(count).ok()).filter(|count| *count > 0);
    match int.form {
        Form::Varint if arg == "padded" => Some(int.padded()),
        Form::Varint | Form::Padded => count().filter(|bytes| *bytes <= 10).map(|bytes| Int { width: bytes, ..int }),
        Form::Digits(radix) => {
            let int = |digits| match radix {
                8 => Int::octal(digits),
                10 => Int::decimal(digits),
                _ => Int::hex(digits),
            };
            count().filter(|digits| int(*digits).width == *digits).map(int)
        }
        Form::Big | Form::Little => None,
    }
}
