//! Framings printed in canonical form.

use super::args::{self, INTS};
use crate::{
    Checksum, DEFAULT_MAX, Framing, Int, Layout, TooLong,
    checksum::{KINDS, Over},
    framing::Shape,
    int::Form,
    layout::Part,
};
use alloc::{format, string::String, string::ToString, vec::Vec};
use core::fmt;

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = Vec::new();
        let name = match &self.shape {
            Shape::Layout(layout) => {
                layout.fmt(f)?;
                let options = self.options();
                return if options.is_empty() { Ok(()) } else { write!(f, " ({})", options.join(", ")) };
            }
            Shape::Prefixed { int, incl } => {
                args.extend(int_args(*int));
                args.extend(incl.then(|| "incl".into()));
                int_name(*int).into()
            }
            Shape::Fixed(size) => format!("fixed:{}", size_name(*size as u64)),
            Shape::Lines => "lines".into(),
            Shape::Delim(delims) => match delims.as_slice() {
                [one] if one == b"\r\n" => "crlf".into(),
                [one] if one == &[0] => "nul".into(),
                delims => {
                    args.extend(delims.iter().map(|bytes| quote(bytes)));
                    "delim".into()
                }
            },
            Shape::Cobs => "cobs".into(),
            Shape::Slip => "slip".into(),
            Shape::Netstring => "netstring".into(),
            Shape::OctetCount => "octet-count".into(),
            Shape::Lsp => "lsp".into(),
            #[cfg(feature = "json")]
            Shape::Json { int, body } => {
                args.push(format!("body={body}"));
                format!("{int}+json")
            }
            Shape::Custom(custom) => {
                args.extend(custom.args());
                custom.name().into()
            }
        };
        args.extend(self.options());
        if args.is_empty() { f.write_str(&name) } else { write!(f, "{name}({})", args.join(", ")) }
    }
}

impl Framing {
    /// The options that differ from the defaults.
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if self.max != DEFAULT_MAX && !matches!(self.shape, Shape::Fixed(_)) {
            options.push(format!("max={}", size_name(self.max)));
        }
        if self.too_long != TooLong::Fail {
            options.push(self.too_long.option().into());
        }
        if !self.empty {
            options.push("empty=deny".into());
        }
        if self.last {
            options.push("last=allow".into());
        }
        options
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = int_args(*self);
        if args.is_empty() {
            f.write_str(int_name(*self))
        } else {
            write!(f, "{}({})", int_name(*self), args.join(","))
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.parts.iter().filter_map(Part::field).collect();
        let length = self.parts.iter().find_map(|part| match part {
            Part::Length { name, mask: u64::MAX, .. } => Some(name.clone()),
            Part::Length { name, mask, .. } => Some(format!("{name}&{mask:x}")),
            _ => None,
        });
        let length = length.unwrap_or_default();
        let parts: Vec<String> = self.parts.iter().map(|part| self.part_text(part, &fields, &length)).collect();
        f.write_str(&parts.join(" "))
    }
}

fn data_text(length: &str, scale: u32, adjust: i64) -> String {
    let scale = if scale == 1 { String::new() } else { format!("*{scale}") };
    let adjust = if adjust == 0 { String::new() } else { format!("{adjust:+}") };
    format!("data[{length}{scale}{adjust}]")
}

impl Layout {
    fn part_text(&self, part: &Part, fields: &[&str], length: &str) -> String {
        match part {
            Part::Literal(bytes) => {
                let runs: Vec<String> = bytes.chunk_by(|a, b| a == b).map(run_text).collect();
                runs.join(" ")
            }
            Part::Length { name, int, rest: Some(rest), .. } => format!("{rest}|{name}:{int}"),
            Part::Field { name, int } | Part::Length { name, int, .. } => format!("{name}:{int}"),
            Part::Reserved(1) => "_".into(),
            Part::Reserved(count) => format!("_*{count}"),
            Part::Data { scale, adjust } => data_text(length, *scale, *adjust),
            Part::Pad { field } => format!("pad[{}]", fields.get(*field).unwrap_or(&"")),
            Part::Check(check) => self.check_text(*check),
        }
    }

    fn check_text(&self, check: Checksum) -> String {
        let name = KINDS.iter().find(|(_, kind)| *kind == check.kind).map_or("", |(name, _)| name);
        let part = |index: u16| match self.parts.get(usize::from(index)) {
            Some(Part::Field { name, .. } | Part::Length { name, .. }) => name.clone(),
            _ => "data".into(),
        };
        let mut args = Vec::new();
        match check.over {
            Over::Data => {}
            Over::All => args.push("all".into()),
            Over::Parts { from, to } => {
                args.push(format!("from={}", part(from)));
                if to != Checksum::UP_TO_ITSELF {
                    args.push(format!("to={}", part(to)));
                }
            }
        }
        if check.little {
            args.push("le".into());
        }
        if args.is_empty() { name.into() } else { format!("{name}({})", args.join(",")) }
    }
}

/// The same byte, once or several times.
fn run_text(run: &[u8]) -> String {
    match run {
        [byte] => format!("{byte:02x}"),
        [byte, second] => format!("{byte:02x} {second:02x}"),
        [byte, ..] => format!("{byte:02x}*{}", run.len()),
        [] => String::new(),
    }
}

fn int_name(int: Int) -> &'static str {
    INTS.iter().find(|(_, known)| *known == int).map_or_else(|| args::name_of(int), |(name, _)| name)
}

fn int_args(int: Int) -> Vec<String> {
    let count = match int.form {
        Form::Varint | Form::Padded => int.width != Int::VARINT.width,
        Form::Digits(_) => int.width > 0,
        Form::Big | Form::Little => false,
    };
    let padded = int.form == Form::Padded;
    count.then(|| int.width.to_string()).into_iter().chain(padded.then(|| "padded".into())).collect()
}

/// A number of bytes, in the largest unit that divides it.
fn size_name(bytes: u64) -> String {
    for (shift, unit) in [(30, 'G'), (20, 'M'), (10, 'K')] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn quote(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}
