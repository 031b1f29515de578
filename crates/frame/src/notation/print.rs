//! Framings printed in canonical form.

use super::args::INTS;
use crate::{
    Checksum, DEFAULT_MAX, Framing, Int, Layout, TooLong,
    checksum::{KINDS, Over},
    framing::Shape,
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
                args.extend(varint_arg(*int));
                args.extend(incl.then(|| "incl".into()));
                int_name(*int).into()
            }
            Shape::Fixed(size) => format!("fixed:{}", size_name(*size as u64)),
            Shape::Lines => "lines".into(),
            Shape::Delim(bytes) => match bytes.as_slice() {
                b"\r\n" => "crlf".into(),
                [0] => "nul".into(),
                bytes => {
                    args.push(quote(bytes));
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
        match varint_arg(*self) {
            Some(bytes) => write!(f, "varint({bytes})"),
            None => f.write_str(int_name(*self)),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.parts.iter().filter_map(|part| field_name(part, false)).collect();
        let length = self.parts.iter().find_map(|part| field_name(part, true)).unwrap_or_default();
        let parts: Vec<String> = self.parts.iter().map(|part| part_text(part, &fields, length)).collect();
        f.write_str(&parts.join(" "))
    }
}

fn field_name(part: &Part, length: bool) -> Option<&str> {
    match part {
        Part::Field { name, .. } if !length => Some(name),
        Part::Length { name, .. } if length => Some(name),
        _ => None,
    }
}

fn part_text(part: &Part, fields: &[&str], length: &str) -> String {
    match part {
        Part::Literal(bytes) => {
            let runs: Vec<String> = bytes.chunk_by(|a, b| a == b).map(run_text).collect();
            runs.join(" ")
        }
        Part::Field { name, int } | Part::Length { name, int } => format!("{name}:{int}"),
        Part::Reserved(1) => "_".into(),
        Part::Reserved(count) => format!("_*{count}"),
        Part::Data { adjust: 0 } => format!("data[{length}]"),
        Part::Data { adjust } => format!("data[{length}{adjust:+}]"),
        Part::Pad { field } => format!("pad[{}]", fields.get(*field).unwrap_or(&"")),
        Part::Check(check) => check.to_string(),
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

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        match (self.over, self.little) {
            (Over::Data, false) => f.write_str(name),
            (Over::Data, true) => write!(f, "{name}(le)"),
            (Over::All, false) => write!(f, "{name}(all)"),
            (Over::All, true) => write!(f, "{name}(all,le)"),
        }
    }
}

fn int_name(int: Int) -> &'static str {
    INTS.iter().find(|(_, known)| *known == int).map_or("varint", |(name, _)| name)
}

fn varint_arg(int: Int) -> Option<String> {
    (int.fixed_width().is_none() && int != Int::VARINT).then(|| int.width.to_string())
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
