//! The base protocol of the language server protocol: `Content-Length` headers, an empty line, and the data.

use super::{Hit, Limits, Measure, Until};
use crate::Fault;

/// The most bytes of the headers, their empty line included.
const MOST: u64 = 4096;

const BLANK: &[u8] = b"\r\n\r\n";

/// An empty line of a sender that ends lines by a line feed alone.
const BARE_BLANK: &[u8] = b"\n\n";

/// What ends the headers.
pub(crate) fn header() -> Until {
    Until::any(&[BLANK, BARE_BLANK], MOST)
}

/// Reads the headers that end at this place with their empty line.
pub(crate) fn measure(bytes: &[u8], end: Hit, limits: Limits) -> Result<Measure, Fault> {
    if end.end - end.at == BARE_BLANK.len() {
        return Err(Fault::LineEnd { at: end.at as u64 });
    }
    let headers = &bytes[..end.at];
    let mut length = None;
    for line in headers.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(Fault::Header);
        };
        if line[..colon].eq_ignore_ascii_case(b"content-length") {
            let value = number(line[colon + 1..].trim_ascii()).ok_or(Fault::Header)?;
            // Two lengths that differ are how requests are smuggled.
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(Fault::Header);
            }
        }
    }
    match length.ok_or(Fault::Header)? {
        0 if !limits.empty => Err(Fault::Empty),
        data => limits.judge(headers.len() + BLANK.len(), data, 0),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}
