//! Layouts in the notation.

use super::{
    Problem, Wrong,
    args::{self, Args},
};
use crate::{Checksum, Framing, Int, Layout, LayoutError, checksum, layout::Part};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// The most bytes that `ff*16` or `_*3` may stand for.
const MOST: u64 = 4096;

/// A layout as far as it was read, with the position of each part.
#[derive(Default)]
struct Draft {
    layout: Layout,
    places: Vec<usize>,
}

/// Whether a word alone is a part of a layout.
pub(super) fn is_part(word: &str) -> bool {
    word == "_" || hex(word).is_some() || word.contains('*')
}

/// Reads a layout from `at` to the text's end.
pub(super) fn parse(text: &str, mut at: usize) -> Result<(Framing, Args<'_>), Wrong> {
    let mut draft = Draft::default();
    let mut options = Args::new();
    while at < text.len() {
        if text[at..].starts_with('(') {
            let (list, end) = args::parse(text, at)?;
            if end < text.len() {
                return Err((end, Problem::Expected("the end of the notation behind its options")));
            }
            (options, at) = (list, end);
            break;
        }
        let end = token_end(text, at);
        draft.read(&text[at..end], at)?;
        at = text.len() - text[end..].trim_start().len();
    }
    if let Err((index, error)) = draft.layout.check() {
        return Err((draft.places.get(index).copied().unwrap_or(at), Problem::Layout(error)));
    }
    Ok((Framing::from_layout(draft.layout), options))
}

/// A token ends at a space outside of parentheses.
fn token_end(text: &str, at: usize) -> usize {
    let mut depth = 0;
    let end = text[at..].find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth <= 0 && c.is_whitespace()
    });
    end.map_or(text.len(), |end| at + end)
}

impl Draft {
    fn push(&mut self, at: usize, part: Part) {
        self.layout.push(part);
        while self.places.len() < self.layout.parts.len() {
            self.places.push(at);
        }
    }

    fn read(&mut self, token: &str, at: usize) -> Result<(), Wrong> {
        let part = if let Some(inner) = bracketed(token, "data[") {
            self.data(inner, at + "data[".len())?
        } else if let Some(name) = bracketed(token, "pad[") {
            let wrong = (at + "pad[".len(), Problem::UnknownField(name.into()));
            Part::Pad { field: self.field(name).ok_or(wrong)? }
        } else if let Some((name, int)) = token.split_once(':') {
            named(name, int, at)?
        } else {
            unnamed(token, at)?
        };
        self.push(at, part);
        Ok(())
    }

    /// The index of a field among those that the application sets.
    fn field(&self, name: &str) -> Option<usize> {
        let fields = self.layout.parts.iter().filter(|part| matches!(part, Part::Field { .. }));
        fields.into_iter().position(|part| matches!(part, Part::Field { name: known, .. } if known == name))
    }

    /// `len`, `len-4` or `len+4`: the field of that name becomes the length.
    fn data(&mut self, inner: &str, at: usize) -> Result<Part, Wrong> {
        let (name, adjust) = match inner.find(['+', '-']) {
            Some(sign) => {
                let number = args::decimal(&inner[sign + 1..]).and_then(|number| i32::try_from(number).ok());
                let number = i64::from(number.ok_or((at + sign + 1, Problem::Expected("a number of bytes")))?);
                (&inner[..sign], if inner[sign..].starts_with('-') { -number } else { number })
            }
            None => (inner, 0),
        };
        if self.layout.parts.iter().any(|part| matches!(part, Part::Data { .. })) {
            return Err((at - "data[".len(), Problem::Layout(LayoutError::Twice("data"))));
        }
        let length = self.layout.parts.iter_mut().find_map(|part| match part {
            Part::Field { name: known, int } | Part::Length { name: known, int } if known == name => {
                let part_name = core::mem::take(known);
                let int = *int;
                *part = Part::Length { name: part_name, int };
                Some(())
            }
            _ => None,
        });
        length.ok_or((at, Problem::UnknownField(name.into())))?;
        Ok(Part::Data { adjust })
    }
}

fn bracketed<'t>(token: &'t str, open: &str) -> Option<&'t str> {
    token.strip_prefix(open)?.strip_suffix(']')
}

fn named(name: &str, int: &str, at: usize) -> Result<Part, Wrong> {
    if !crate::layout::is_name(name) {
        return Err((at, Problem::Expected("a name: letters, digits, - and _, with a letter first")));
    }
    let int_at = at + name.len() + 1;
    let found = match int.strip_prefix("varint(").and_then(|digits| digits.strip_suffix(')')) {
        Some(digits) => args::varint(digits),
        None => args::int(int),
    };
    let int: Int = found.ok_or((int_at, Problem::UnknownInt(int.into())))?;
    Ok(Part::Field { name: name.into(), int })
}

/// A literal, reserved bytes or a checksum.
fn unnamed(token: &str, at: usize) -> Result<Part, Wrong> {
    let (base, count) = match token.split_once('*') {
        Some((base, count)) => {
            let wrong = (at + base.len() + 1, Problem::Expected("a count from 1 to 4096"));
            let count = args::decimal(count).filter(|count| (1..=MOST).contains(count)).ok_or(wrong)?;
            (base, count as usize)
        }
        None => (token, 1),
    };
    if base == "_" {
        return Ok(Part::Reserved(count));
    }
    if let Some(byte) = hex(base) {
        return Ok(Part::Literal(alloc::vec![byte; count]));
    }
    checksum(token, at)
}

fn hex(word: &str) -> Option<u8> {
    let two = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    two.then(|| u8::from_str_radix(word, 16).ok())?
}

fn checksum(token: &str, at: usize) -> Result<Part, Wrong> {
    let open = token.find('(').unwrap_or(token.len());
    let name = &token[..open];
    let Some((_, kind)) = checksum::KINDS.iter().find(|(known, _)| *known == name) else {
        let part: String = token.to_string();
        return Err(if name.starts_with("crc") && !cfg!(feature = "checksums") {
            (at, Problem::Feature { what: part, feature: "checksums" })
        } else {
            (at, Problem::UnknownPart(part))
        });
    };
    let mut sum = Checksum { kind: *kind, ..Checksum::SUM8 };
    let (list, end) = args::parse(token, open).map_err(|(inner, problem)| (at + inner, problem))?;
    if end < token.len() {
        return Err((at + end, Problem::Expected("a space")));
    }
    for arg in list {
        sum = match (arg.key, arg.value) {
            (None, args::Value::Word("all")) => sum.over_all(),
            (None, args::Value::Word("le")) => sum.little_endian(),
            _ => return Err((at + arg.at, Problem::Expected("all or le"))),
        };
    }
    Ok(Part::Check(sum))
}
