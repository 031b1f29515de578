//! One line of text that names a framing.
//!
//! A notation is a preset (`u32be`, `lines`, …), perhaps with arguments and options in parentheses, or a layout: parts
//! in the order of the wire, separated by spaces, with the options in parentheses at the end.
//!
//! ```
//! use unglue_frame::Framing;
//!
//! let http2: Framing = "len:u24be type:u8 flags:u8 id:u32be data[len] (max=16K)".parse()?;
//! assert_eq!(http2.to_string(), "len:u24be type:u8 flags:u8 id:u32be data[len] (max=16K)");
//! assert_eq!("u32be( max=8M )".parse::<Framing>()?.to_string(), "u32be"); // 8 MiB is the default
//! # Ok::<(), unglue_frame::NotationError>(())
//! ```

mod args;
mod layout;
mod names;
mod presets;
mod print;

use crate::{Framing, LayoutError, TooLong};
use alloc::string::String;
use args::{Arg, Args, Value};
use core::{fmt, str::FromStr};
pub use names::{Protocol, protocols};
pub use presets::{Preset, presets};

/// Why a text is no notation, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotationError {
    /// The column, in characters from 1, where it goes wrong.
    pub column: usize,
    pub(crate) problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Nothing,
    UnknownFraming(String),
    UnknownPart(String),
    UnknownInt(String),
    UnknownOption(String),
    UnknownField(String),
    Expected(&'static str),
    NotHere(&'static str),
    Twice(&'static str),
    TooLarge,
    Feature { what: String, feature: &'static str },
    Layout(LayoutError),
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Nothing => f.write_str("there is nothing: name a framing, such as u32be or lines"),
            Problem::UnknownFraming(name) => {
                write!(f, "no framing is called {name}: presets are such as u32be, varint, lines, netstring")
            }
            Problem::UnknownPart(part) => {
                write!(f, "{part} is no part of a layout: write name:u32be, 0f, ff*4, _, data[len], pad[p] or sum8")
            }
            Problem::UnknownInt(name) => {
                write!(f, "no integer is called {name}: there are u8, u16be, u16le, u24…, u32…, u64… and varint")
            }
            Problem::UnknownOption(name) => {
                write!(f, "no option is called {name}: there are max=, incl, toolong=, empty= and last=")
            }
            Problem::UnknownField(name) => write!(f, "no field {name} stands before it"),
            Problem::Expected(what) => write!(f, "expected {what}"),
            Problem::NotHere(what) => write!(f, "{what} has no meaning for this framing"),
            Problem::Twice(what) => write!(f, "{what} stands there twice: say it once"),
            Problem::TooLarge => f.write_str("the number is too large"),
            Problem::Feature { what, feature } => {
                write!(f, "{what} isn't in this build: it needs the feature {feature}")
            }
            Problem::Layout(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NotationError {}

/// An error at a byte position, before it is turned into a column.
pub(crate) type Wrong = (usize, Problem);

impl FromStr for Framing {
    type Err = NotationError;

    fn from_str(text: &str) -> Result<Framing, NotationError> {
        parse(text).map_err(|(at, problem)| NotationError { column: text[..at].chars().count() + 1, problem })
    }
}

fn parse(text: &str) -> Result<Framing, Wrong> {
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    if start >= end {
        return Err((0, Problem::Nothing));
    }
    let word_end = text[start..end].find([' ', '\t', '(', '+']).map_or(end, |at| start + at);
    let text = &text[..end];
    match presets::parse(text, start, word_end)? {
        Some((framing, args)) => options(framing, args),
        None => {
            let (framing, args) = layout::parse(text, start)?;
            options(framing, args)
        }
    }
}

/// The options that say something about the limits.
const ONCE: [&str; 5] = ["max", "incl", "toolong", "empty", "last"];

fn options(mut framing: Framing, args: Args<'_>) -> Result<Framing, Wrong> {
    let mut given = [false; ONCE.len()];
    for Arg { at, key, value } in args {
        let refused = |error: LayoutError| (at, Problem::Layout(error));
        let (word, value) = match (key, value) {
            (Some(key), Value::Word(value)) => (key, Some(value)),
            (None, Value::Word(word)) => (word, None),
            (_, Value::Text(_)) => return Err((at, Problem::NotHere("a text"))),
        };
        framing = match (word, value) {
            ("incl", None) => framing.incl().map_err(refused)?,
            ("max", Some(size)) if framing.has_max() => {
                framing.max(args::size(size).ok_or((at, Problem::Expected("max=BYTES, such as 512, 64K or 1M")))?)
            }
            ("toolong", Some(word)) => {
                let then = too_long(word).ok_or((at, Problem::Expected("toolong=fail, skip or cut")))?;
                framing.too_long(then).map_err(refused)?
            }
            ("empty", Some(word)) if framing.may_be_empty() => {
                framing.empty = allowed(word).ok_or((at, Problem::Expected("empty=allow or deny")))?;
                framing
            }
            ("last", Some(word)) if framing.can_lack_end() => {
                framing.last = allowed(word).ok_or((at, Problem::Expected("last=deny or allow")))?;
                framing
            }
            ("last", Some(_)) => return Err((at, Problem::NotHere("last"))),
            ("max", Some(_)) => return Err((at, Problem::NotHere("max"))),
            ("empty", Some(_)) => return Err((at, Problem::NotHere("empty"))),
            (word, _) => return Err((at, Problem::UnknownOption(word.into()))),
        };
        if let Some(index) = ONCE.iter().position(|known| *known == word)
            && core::mem::replace(&mut given[index], true)
        {
            return Err((at, Problem::Twice(ONCE[index])));
        }
    }
    Ok(framing)
}

fn too_long(word: &str) -> Option<TooLong> {
    match word {
        "fail" => Some(TooLong::Fail),
        "skip" => Some(TooLong::Skip),
        "cut" => Some(TooLong::Cut),
        _ => None,
    }
}

fn allowed(word: &str) -> Option<bool> {
    match word {
        "allow" => Some(true),
        "deny" => Some(false),
        _ => None,
    }
}
