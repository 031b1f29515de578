//! Frames for people.

use std::io::{self, Write};

use unglue_frame::{Frame, Part};

/// Bytes on a line.
const ROW: usize = 16;

/// Writes a line about the frame, and its data in hex and as text.
pub(super) fn frame(out: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    write!(out, "@{} {} bytes", frame.offset(), frame.data().len())?;
    for (name, value) in frame.fields() {
        write!(out, "  {name}={value}")?;
    }
    match frame.part() {
        Part::Whole => {}
        Part::Header { body } => write!(out, "  header of a body of {body} bytes")?,
        Part::Piece { left } => write!(out, "  piece of the body, {left} bytes left")?,
    }
    writeln!(out, "{}", if frame.is_cut() { "  cut" } else { "" })?;
    for (index, row) in frame.data().chunks(ROW).enumerate() {
        line(out, index * ROW, row)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, at: usize, row: &[u8]) -> io::Result<()> {
    write!(out, "  {at:08x} ")?;
    for column in 0..ROW {
        let gap = if column == ROW / 2 { " " } else { "" };
        match row.get(column) {
            Some(byte) => write!(out, "{gap} {byte:02x}")?,
            None => write!(out, "{gap}   ")?,
        }
    }
    let text: String =
        row.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect();
    writeln!(out, "  {text}")
}
