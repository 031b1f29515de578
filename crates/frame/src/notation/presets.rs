//! The framings that have a name.

use super::{
    Problem, Wrong,
    args::{self, Args, Value},
    names,
};
use crate::{Framing, Int, framing::Shape, int::Form};

/// A framing's name, for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// How it is written, with an example's arguments.
    pub notation: &'static str,
    /// What it is, and who speaks it.
    pub meaning: &'static str,
}

const fn preset(notation: &'static str, meaning: &'static str) -> Preset {
    Preset { notation, meaning }
}

const PRESETS: &[Preset] = &[
    preset("u8", "a length of 1 byte, then the data"),
    preset("u16be", "a length of 2 bytes, big-endian (DNS over TCP, Erlang's {packet,2})"),
    preset("u16le", "a length of 2 bytes, little-endian"),
    preset("u24be", "a length of 3 bytes, big-endian"),
    preset("u24le", "a length of 3 bytes, little-endian"),
    preset("u32be", "a length of 4 bytes, big-endian (Kafka, Thrift framed, Erlang's {packet,4})"),
    preset("u32le", "a length of 4 bytes, little-endian (native messaging of browsers, most x86 structs)"),
    preset("u64be", "a length of 8 bytes, big-endian"),
    preset("u64le", "a length of 8 bytes, little-endian"),
    preset("varint", "a LEB128 varint, then the data (protobuf's delimited messages)"),
    preset("varint(4)", "the same with at most 4 bytes of length"),
    preset("lines", "text lines, ended by LF or CR LF"),
    preset("crlf", "ended by CR LF; either alone is data"),
    preset("delim(\"\\r\\n\")", "ended by any bytes of your own"),
    preset("nul", "ended by a zero byte (XMLSocket, find -print0)"),
    preset("netstring", "5:hello, (djb's netstrings, SCGI)"),
    preset("octet-count", "5 hello (syslog over TCP and TLS, RFC 6587 and 5425)"),
    preset("lsp", "Content-Length headers (language servers, debug adapters)"),
    preset("cobs", "consistent overhead byte stuffing, ended by a zero byte (serial lines)"),
    preset("slip", "SLIP (RFC 1055, serial lines)"),
    preset("fixed:64", "always 64 bytes"),
    #[cfg(feature = "json")]
    preset("u32le+json(body=filesize)", "a length, a JSON header, and a body as long as the header says"),
];

/// The presets of this build, in the order of the documentation.
pub fn presets() -> &'static [Preset] {
    PRESETS
}

/// Reads the preset at `start`, whose first word ends at `end`. `None` if there is none.
pub(super) fn parse(text: &str, start: usize, end: usize) -> Result<Option<(Framing, Args<'_>)>, Wrong> {
    let name = &text[start..end];
    let (mut list, behind) = if text[end..].starts_with('(') { args::parse(text, end)? } else { (Args::new(), end) };
    let found = match args::int(name) {
        Some(int) if text[behind..].starts_with('+') => return json(text, int_args(int, start, &mut list)?, behind),
        Some(int) => {
            let int = int_args(int, start, &mut list)?;
            Some(Framing::prefixed(int))
        }
        None => named(name, start, &mut list)?,
    };
    let Some(framing) = found else {
        // A word alone can't be a layout: say what it should have been.
        let alone = !name.contains([':', '[']) && text[end..].trim_start().is_empty();
        let known = super::layout::is_part(name);
        return if alone && !known { Err((start, Problem::UnknownFraming(name.into()))) } else { Ok(None) };
    };
    if behind < text.len() {
        return Err((behind, Problem::Expected("the end of the notation behind a preset")));
    }
    Ok(Some((framing, list)))
}

fn named(name: &str, start: usize, list: &mut Args<'_>) -> Result<Option<Framing>, Wrong> {
    let framing = match name {
        "lines" => Framing::lines(),
        "crlf" => Framing::crlf(),
        "nul" => Framing::nul(),
        "netstring" => Framing::netstring(),
        "lsp" => Framing::lsp(),
        "delim" => return delim(start, list).map(Some),
        "octet-count" => Framing::octet_count(),
        "cobs" => Framing::cobs(),
        "slip" => Framing::slip(),
        _ => match names::protocol(name, list)? {
            Some(framing) => framing,
            None => return fixed(name, start),
        },
    };
    Ok(Some(framing))
}

fn delim(start: usize, list: &mut Args<'_>) -> Result<Framing, Wrong> {
    let mut delims = Args::new();
    while let Some(args::Arg { value: Value::Text(_), .. }) = list.first() {
        delims.push(list.remove(0));
    }
    let texts: alloc::vec::Vec<&[u8]> = delims.iter().filter_map(|arg| arg.value.text()).collect();
    if texts.is_empty() {
        return Err((start, Problem::Expected(r#"delim("…")"#)));
    }
    // The first that is wrong, if it isn't their number.
    let wrong = delims.iter().find(|arg| arg.value.text().is_none_or(|text| Framing::delim(text).is_err()));
    let at = wrong.unwrap_or(&delims[0]).at;
    Framing::any_delim(&texts).map_err(|error| (at, Problem::Layout(error)))
}

fn fixed(name: &str, start: usize) -> Result<Option<Framing>, Wrong> {
    let Some(digits) = name.strip_prefix("fixed:") else { return Ok(None) };
    let at = start + "fixed:".len();
    let size = args::size(digits).ok_or((at, Problem::Expected("a number of bytes")))?;
    let size = usize::try_from(size).map_err(|_| (at, Problem::TooLarge))?;
    let framing = Framing::fixed(size).map_err(|error| (at, Problem::Layout(error)))?;
    Ok(Some(framing))
}

/// Takes the arguments of an integer, how many bytes or digits it has, out of the front of the list.
fn int_args(mut int: Int, start: usize, list: &mut Args<'_>) -> Result<Int, Wrong> {
    let takes = int.binary_width().is_none();
    while takes
        && let Some(args::Arg { at, key: None, value: Value::Word(word) }) = list.first()
        && (args::decimal(word).is_some() || *word == "padded")
    {
        let most = if matches!(int.form, Form::Digits(_)) { "1 to 16 digits" } else { "1 to 10 bytes" };
        int = args::apply(int, word).ok_or((*at, Problem::Expected(most)))?;
        list.remove(0);
    }
    if matches!(int.form, Form::Digits(_)) && int.fixed_width().is_none() {
        return Err((start, Problem::Expected("how many digits, such as hex(4)")));
    }
    Ok(int)
}

#[cfg(feature = "json")]
fn json(text: &str, int: Int, plus: usize) -> Result<Option<(Framing, Args<'_>)>, Wrong> {
    let expected = (plus, Problem::Expected("+json(body=NAME)"));
    if !text[plus..].starts_with("+json(") {
        return Err(expected);
    }
    let (mut list, end) = args::parse(text, plus + "+json".len())?;
    if end < text.len() {
        return Err((end, Problem::Expected("the end of the notation behind a preset")));
    }
    let body = match list.first() {
        Some(args::Arg { key: Some("body"), value: Value::Word(name), .. }) => *name,
        _ => return Err(expected),
    };
    list.remove(0);
    let framing = Framing { shape: Shape::Json { int, body: body.into() }, ..Framing::prefixed(int) };
    Ok(Some((framing, list)))
}

#[cfg(not(feature = "json"))]
fn json(text: &str, _: Int, plus: usize) -> Result<Option<(Framing, Args<'_>)>, Wrong> {
    let _ = Shape::Lines;
    Err((plus, Problem::Feature { what: text[plus..].into(), feature: "json" }))
}
