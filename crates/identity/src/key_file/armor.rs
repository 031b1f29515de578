//! The text around a private key: `-----BEGIN …-----`, base64, `-----END …-----`.
//!
//! OpenSSH wants its first line at the file's very start and its last line whole; everything that it reads is read here.
//! What editors, mail and Windows add is read as well: a byte order mark, text and blank lines in front, CR LF, a missing
//! line end.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const PARAMETERS: &[u8] = b"EC PARAMETERS";

/// Base64 as OpenSSH reads it: the `=` at its end may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The first block of a text.
pub(super) struct Block<'a> {
    /// What its first line names, such as `OPENSSH PRIVATE KEY`.
    pub(super) label: &'a [u8],
    /// Its lines.
    body: &'a [u8],
    /// Whether its last line is there.
    complete: bool,
}

impl<'a> Block<'a> {
    /// Finds the first line that begins a block; `None` if there is none. The parameters that OpenSSL writes in front of an
    /// ECDSA key are passed over.
    pub(super) fn find(text: &'a [u8]) -> Option<Self> {
        let mut rest = text;
        while let Some((line, after)) = next_line(rest) {
            if let Some(label) = label(line, BEGIN).filter(|label| *label != PARAMETERS) {
                return Some(Self::up_to_its_end(label, after));
            }
            rest = after;
        }
        None
    }

    fn up_to_its_end(label: &'a [u8], after: &'a [u8]) -> Self {
        let mut rest = after;
        while let Some((line, next)) = next_line(rest) {
            if self::label(line, END) == Some(label) {
                return Self { label, body: &after[..after.len() - rest.len()], complete: true };
            }
            rest = next;
        }
        Self { label, body: after, complete: false }
    }

    /// The value of a header (RFC 1421 section 4.4), which stands in front of the base64 of some old keys.
    pub(super) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.body;
        while let Some((line, after)) = next_line(rest) {
            let value = line.strip_prefix(name.as_bytes()).and_then(|line| line.strip_prefix(b":"));
            if let Some(value) = value {
                return Some(value.trim_ascii());
            }
            rest = after;
        }
        None
    }

    /// What stands behind the headers.
    fn base64(&self) -> &'a [u8] {
        let mut rest = self.body;
        while let Some((line, after)) = next_line(rest) {
            if !line.contains(&b':') {
                break;
            }
            rest = after;
        }
        rest
    }

    /// The bytes that the block holds.
    ///
    /// # Errors
    ///
    /// Why it holds none.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        if !self.complete {
            return Err("its last line (-----END …) is missing");
        }
        // Sized once: growing would leave copies of a secret behind.
        let text = self.base64();
        let mut base64 = Zeroizing::new(Vec::with_capacity(text.len()));
        base64.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b));
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(base64.len())]);
        let length = BASE64.decode_slice(&base64[..], &mut bytes).map_err(|_| "its base64 is damaged")?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The first line, and what follows it.
fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
    Some(text.split_at(end))
}

/// What stands between `-----BEGIN ` and the dashes at the line's end.
fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    line.trim_ascii().strip_prefix(start)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
        Block::find(text.as_bytes()).ok_or("no block")?.decode().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn any_white_space_and_any_line_width_will_do() {
        for text in [
            "-----BEGIN A B-----\naGVsbG8=\n-----END A B-----\n",
            "-----BEGIN A B-----\r\naGVs\r\nbG8=\r\n-----END A B-----\r\n",
            "\u{feff}-----BEGIN A B-----\naGVsbG8=\n-----END A B-----",
            "From: ada\n\n -----BEGIN A B----- \n\n a\n\tGVsbG8\n\n-----END A B-----\nmore\n",
            "-----BEGIN A B-----\naGVsbG8=\n-----END A B-----\n-----BEGIN A B-----\nxx\n-----END A B-----\n",
        ] {
            assert_eq!(decode(text).as_deref(), Ok(&b"hello"[..]), "{text:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(Block::find(b"").is_none() && Block::find(b"-----BEGIN A").is_none());
        assert!(decode("-----BEGIN A-----\naGVsbG8=\n").is_err_and(|why| why.contains("END")));
        assert!(decode("-----BEGIN A-----\naGVsbG8=\n-----END B-----\n").is_err_and(|why| why.contains("END")));
        assert!(decode("-----BEGIN A-----\na!b\n-----END A-----\n").is_err_and(|why| why.contains("base64")));
    }
}
