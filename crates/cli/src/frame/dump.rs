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

#[cfg(test)]
mod tests {
    use unglue_frame::{Deframer, Framing};

    #[test]
    fn a_frame_is_shown_with_its_place_fields_and_bytes() {
        let framing: Framing = "kind:u8 len:u8 data[len]".parse().expect("a notation");
        let (mut deframer, mut out) = (Deframer::new(framing), Vec::new());
        let found = deframer.decode(&mut &b"\x07\x11GET / HTTP/1.1\r\n!"[..]).expect("good").expect("whole");
        super::frame(&mut out, &found).expect("a vector takes it");
        let shown = "@0 17 bytes  kind=7  len=17\n  \
                     00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..\n  \
                     00000010  21                                                !\n";
        assert_eq!(String::from_utf8(out).expect("text"), shown);
    }
}
