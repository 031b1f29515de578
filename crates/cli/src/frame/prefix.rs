//! What stands before the first frame and is left out.

use std::io::Read;

use unglue_frame::io::FrameReader;

use super::Failure;

/// Leaves out what stands before the first frame.
#[derive(Debug, clap::Args)]
pub(super) struct Prefix {
    /// Leave out the first BYTES bytes: 16, 4K, 1M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    skip: Option<u64>,
    /// Leave out everything up to the end of this text, after the bytes that --skip leaves out. Escapes: \r \n \t \0 \\ \xHH
    #[arg(long, value_name = "TEXT", value_parser = text)]
    after: Option<Text>,
}

/// The bytes of a text with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(Vec<u8>);

fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let count: u64 = digits.parse().map_err(|_| "expected a number of bytes, such as 16, 4K or 1M")?;
    count.checked_mul(unit).ok_or_else(|| "the number is too large".into())
}

fn text(typed: &str) -> Result<Text, String> {
    let mut bytes = Vec::new();
    let mut chars = typed.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = chars.next();
        let mut hex = || chars.next().and_then(|digit| digit.to_digit(16));
        let byte = match escape {
            Some('r') => Some(b'\r'),
            Some('n') => Some(b'\n'),
            Some('t') => Some(b'\t'),
            Some('0') => Some(0),
            Some('\\') => Some(b'\\'),
            Some('x') => hex().zip(hex()).and_then(|(high, low)| u8::try_from(high << 4 | low).ok()),
            _ => None,
        };
        bytes.push(byte.ok_or(r"expected an escape behind \: r n t 0 \ or xHH")?);
    }
    Ok(Text(bytes))
}

impl Prefix {
    /// Has the reader leave it out.
    pub(super) fn leave_out<R: Read>(&self, reader: &mut FrameReader<R>) -> Result<(), Failure> {
        reader.skip(self.skip.unwrap_or(0));
        match &self.after {
            Some(Text(bytes)) => reader
                .skip_past(bytes)
                .map_err(|error| Failure::Usage(format!("--after: {error}. Choose the last bytes before the frames."))),
            None => Ok(()),
        }
    }

    /// Why an input that ended inside what is left out has no frames.
    pub(super) fn never_ended(&self, offset: u64, have: u64) -> Option<String> {
        let skip = self.skip.unwrap_or(0);
        if offset < skip {
            return Some(format!("the input has {have} bytes, and --skip leaves out {skip}: it holds no frames."));
        }
        let Text(bytes) = self.after.as_ref().filter(|_| offset == skip)?;
        let text = bytes.escape_ascii();
        Some(format!("\"{text}\" isn't in the {have} bytes that --after looks for it in: it holds no frames."))
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, size, text};

    #[test]
    fn sizes_and_escapes_are_read() {
        assert_eq!((size("16"), size("4K")), (Ok(16), Ok(4096)));
        assert!(size("K").is_err() && size("-1").is_err() && size("99999999999G").is_err());
        assert_eq!(text(r"a\r\n\x0f\\"), Ok(Text(b"a\r\n\x0f\\".to_vec())));
        assert!(text(r"\q").is_err() && text(r"\x0").is_err() && text("\\").is_err());
    }
}
