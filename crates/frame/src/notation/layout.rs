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
    // Options may stand right behind data[…] and pad[…], which have no parentheses of their own.
    if text[at..].starts_with("data[") || text[at..].starts_with("pad[") {
        let end = text[at..].find(|c: char| c.is_whitespace() || c == '(');
        return end.map_or(text.len(), |end| at + end);
    }
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
            unnamed(token, at, &self.layout)?
        };
        self.push(at, part);
        Ok(())
    }

    /// The index of a field among those that the application sets.
    fn field(&self, name: &str) -> Option<usize> {
        self.layout.parts.iter().filter_map(Part::field).position(|known| known == name)
    }

    /// `len`, `len&fff`, `len*4`, `len-4`, `len+4`, or these in this order: the field of that name becomes the length.
    fn data(&mut self, inner: &str, at: usize) -> Result<Part, Wrong> {
        let end = |text: &str, marks: &[char]| text.find(marks).unwrap_or(text.len());
        let (name, rest) = inner.split_at(end(inner, &['&', '*', '+', '-']));
        let (mask, rest) = rest.split_at(end(rest, &['*', '+', '-']));
        let (scale, adjust) = rest.split_at(end(rest, &['+', '-']));
        let place = |part: &str| at + (part.as_ptr() as usize - inner.as_ptr() as usize) + 1;
        let mask = match mask.strip_prefix('&') {
            Some(digits) => {
                let sign = digits.starts_with('+');
                let mask = u64::from_str_radix(digits, 16).ok().filter(|_| !sign);
                mask.ok_or((place(mask_text(inner)), Problem::Expected("a mask in hex, such as 7fff")))?
            }
            None => u64::MAX,
        };
        let number = |text: &str| args::decimal(text).and_then(|number| u32::try_from(number).ok());
        let scale = match scale.strip_prefix('*') {
            Some(digits) => {
                let positive = number(digits).filter(|scale| *scale > 0);
                positive.ok_or((place(scale), Problem::Expected("a number of bytes above 0")))?
            }
            None => 1,
        };
        let adjust = match adjust.strip_prefix(['+', '-']) {
            Some(digits) => {
                let bytes = number(digits).filter(|bytes| i32::try_from(*bytes).is_ok());
                let bytes = i64::from(bytes.ok_or((place(adjust), Problem::Expected("a number of bytes")))?);
                if adjust.starts_with('-') { -bytes } else { bytes }
            }
            None => 0,
        };
        if self.layout.parts.iter().any(|part| matches!(part, Part::Data { .. })) {
            return Err((at - "data[".len(), Problem::Layout(LayoutError::Twice("data"))));
        }
        self.length(name, mask).ok_or((at, Problem::UnknownField(name.into())))?;
        Ok(Part::Data { scale, adjust })
    }

    /// Makes the field of this name the length.
    fn length(&mut self, name: &str, bits: u64) -> Option<()> {
        self.layout.parts.iter_mut().find_map(|part| match part {
            Part::Field { name: known, int } if known == name => {
                *part = Part::Length { name: name.into(), int: *int, mask: bits, rest: None };
                Some(())
            }
            Part::Length { name: known, mask, .. } if known == name => {
                *mask = bits;
                Some(())
            }
            _ => None,
        })
    }
}

fn mask_text(inner: &str) -> &str {
    &inner[inner.find('&').unwrap_or(0)..]
}

fn bracketed<'t>(token: &'t str, open: &str) -> Option<&'t str> {
    token.strip_prefix(open)?.strip_suffix(']')
}

/// `name:u32be`, or `rest|name:u32be` for a length in some bits of a number.
fn named(name: &str, int: &str, at: usize) -> Result<Part, Wrong> {
    let int_at = at + name.len() + 1;
    let (rest, name) = match name.split_once('|') {
        Some((rest, name)) => (Some(rest), name),
        None => (None, name),
    };
    if !rest.into_iter().chain([name]).all(crate::layout::is_name) {
        return Err((at, Problem::Expected("a name: letters, digits, - and _, with a letter first")));
    }
    let found = args::int_with_args(int);
    let int: Int = found.ok_or((int_at, Problem::UnknownInt(int.into())))?;
    Ok(match rest {
        Some(rest) => Part::Length { name: name.into(), int, mask: u64::MAX, rest: Some(rest.into()) },
        None => Part::Field { name: name.into(), int },
    })
}

/// A literal, reserved bytes or a checksum.
fn unnamed(token: &str, at: usize, layout: &Layout) -> Result<Part, Wrong> {
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
    checksum(token, at, layout)
}

fn hex(word: &str) -> Option<u8> {
    let two = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    two.then(|| u8::from_str_radix(word, 16).ok())?
}

fn checksum(token: &str, at: usize, layout: &Layout) -> Result<Part, Wrong> {
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
    let mut parts: (Option<u16>, Option<u16>) = (None, None);
    for arg in list {
        let place = |name: &str| layout.place_of(name).ok_or((at + arg.at, Problem::UnknownField(name.into())));
        match (arg.key, &arg.value) {
            (None, args::Value::Word("all")) => sum = sum.over_all(),
            (None, args::Value::Word("le")) => sum = sum.little_endian(),
            (Some("from"), args::Value::Word(name)) => parts.0 = Some(place(name)?),
            (Some("to"), args::Value::Word(name)) => parts.1 = Some(place(name)?),
            _ => return Err((at + arg.at, Problem::Expected("all, from=PART, to=PART or le"))),
        }
    }
    Ok(Part::Check(match parts {
        (None, None) => sum,
        (from, to) => sum.over_parts(from.unwrap_or(0), to.unwrap_or(Checksum::UP_TO_ITSELF)),
    }))
}
