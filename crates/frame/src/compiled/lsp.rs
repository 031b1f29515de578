//! The base protocol of the language server protocol: `Content-Length` headers, an empty line, and the data.

use super::{Limits, Measure, Until};
use crate::Fault;

/// The most bytes of the headers, their empty line included.
const MOST: u64 = 4096;

const BLANK: &[u8] = b"\r\n\r\n";

/// What ends the headers.
pub(crate) fn header() -> Until {
    Until::new(BLANK, MOST)
}

/// Reads the headers, without their empty line.
pub(crate) fn measure(headers: &[u8], limits: Limits) -> Result<Measure, Fault> {
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
