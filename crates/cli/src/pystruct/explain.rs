//! `unglue struct explain`: a picture of a format's layout.

use std::fmt::Write;

use serde_json::json;
use unglue_struct::{ByteOrder, Code, Format, Part};

/// Bytes of a record that are drawn one by one; the table has them all.
const DRAWN: usize = 256;
const BYTES_A_LINE: usize = 16;

/// The table of the parts, then a map of the bytes.
pub(super) fn picture(format: &Format) -> String {
    let mut text =
        format!("{}: {}, {}, {}\n\n", name(format), bytes(format.size()), values(format.len()), mode(format));
    text.push_str("offset  size  code    C type\n");
    for part in format.layout() {
        if part.padding > 0 {
            row(&mut text, part.offset - part.padding, part.padding, "", &padding_note(&part, format.order()));
        }
        row(&mut text, part.offset, part.size(), &code(&part), &meaning(&part));
    }
    if (1..=DRAWN).contains(&format.size()) {
        text.push('\n');
        draw(&mut text, &map(format));
    }
    text.truncate(text.trim_end().len());
    text
}

fn row(text: &mut String, offset: usize, size: usize, code: &str, meaning: &str) {
    _ = writeln!(text, "{offset:>6}  {size:>4}  {code:<6}  {meaning}");
}

fn name(format: &Format) -> String {
    format!("'{}'", format.as_str().escape_debug())
}

fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

fn values(count: usize) -> String {
    format!("{count} value{}", if count == 1 { "" } else { "s" })
}

fn mode(format: &Format) -> String {
    let order = if format.order().is_big_endian() { "big-endian" } else { "little-endian" };
    match format.order() {
        ByteOrder::Native => format!("{order} and aligned as on this machine"),
        ByteOrder::NativeStandard => format!("{order} as on this machine, standard sizes, no alignment"),
        _ => format!("{order}, standard sizes, no alignment"),
    }
}

fn padding_note(part: &Part, order: ByteOrder) -> String {
    let whose = if part.values() == 0 { "the end" } else { "the next" };
    format!("padding: aligns {whose} to {}", order.alignment_of(part.code))
}

fn code(part: &Part) -> String {
    match part.count {
        1 => part.code.letter().to_string(),
        count => format!("{count}{}", part.code.letter()),
    }
}

fn meaning(part: &Part) -> String {
    let c_type = part.code.c_type();
    match (part.code, part.count) {
        (Code::Pad, _) => "pad bytes, zero".to_owned(),
        (Code::Bytes, size) => format!("char[{size}]"),
        (Code::Pascal, size) => format!("char[{size}], the first byte is the length"),
        (_, 0) => format!("{c_type}, none: only aligns"),
        (_, 1) => c_type.to_owned(),
        (_, count) => format!("{c_type}[{count}], {} each", bytes(part.item_size)),
    }
}

/// A letter for each byte: the code at an item's first byte, `-` at its others, `.` for padding.
fn map(format: &Format) -> Vec<char> {
    let mut map = vec!['.'; format.size()];
    for part in format.layout() {
        let rest = if part.code == Code::Pad { 'x' } else { '-' };
        for byte in 0..part.size() {
            let first = byte % part.item_size == 0;
            map[part.offset + byte] = if first { part.code.letter() } else { rest };
        }
    }
    map
}

fn draw(text: &mut String, map: &[char]) {
    _ = writeln!(
        text,
        "  byte  {}",
        (0..BYTES_A_LINE.min(map.len())).map(|n| format!("{n:>2x} ")).collect::<String>().trim_end()
    );
    for (line, bytes) in map.chunks(BYTES_A_LINE).enumerate() {
        let bytes: String = bytes.iter().map(|letter| format!(" {letter} ")).collect();
        _ = writeln!(text, "{:>6}  {}", line * BYTES_A_LINE, bytes.trim_end());
    }
}

/// The same as one JSON object.
pub(super) fn json(format: &Format) -> String {
    let parts: Vec<_> = format.layout().map(|part| part_json(&part)).collect();
    json!({
        "format": format.as_str(),
        "size": format.size(),
        "values": format.len(),
        "byte_order": if format.order().is_big_endian() { "big" } else { "little" },
        "native": format.order().is_native(),
        "parts": parts,
    })
    .to_string()
}

fn part_json(part: &Part) -> serde_json::Value {
    json!({
        "code": part.code.letter().to_string(),
        "count": part.count,
        "offset": part.offset,
        "size": part.size(),
        "padding": part.padding,
        "c_type": part.code.c_type(),
    })
}
