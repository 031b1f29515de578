//! Spans of time and amounts of bytes, as people type them.

use std::time::Duration;

/// The units of a span, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1000)];

/// Reads `500ms`, `10s`, `1.5s`, `2m`, `1h30m`, `1d`; a plain number is seconds.
///
/// # Errors
/// What is wrong with it, and how spans are written.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = |why: &str| format!("{why}; write it like 500ms, 10s, 2m or 1h30m");
    if let Some(seconds) = decimal(text) {
        return whole(seconds * 1000.0).ok_or_else(|| wrong("the span is too long"));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = decimal(&rest[..digits]).ok_or_else(|| wrong("a number is missing"))?;
        rest = &rest[digits..];
        let unit = UNITS.iter().find(|(name, _)| is_unit(rest, name));
        let (name, milliseconds) = unit.ok_or_else(|| wrong(&format!("{rest:?} starts with no unit of time")))?;
        rest = &rest[name.len()..];
        let part = whole(number * *milliseconds as f64);
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(|| wrong("the span is too long"))?;
    }
    if text.is_empty() { Err(wrong("the span is empty")) } else { Ok(total) }
}

/// Reads a span that ends something: it must not be nothing.
///
/// # Errors
/// As [`parse_span`], and for a span of zero.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_span(text)? {
        span if span.as_millis() == 0 => Err("a timeout of less than 1 ms leaves no time to run".into()),
        span => Ok(span),
    }
}

fn is_unit(text: &str, name: &str) -> bool {
    let Some(behind) = text.strip_prefix(name) else { return false };
    behind.is_empty() || behind.starts_with(|c: char| c.is_ascii_digit())
}

fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

/// Milliseconds, up to what a `u64` of them holds, which is what the protocol carries.
fn whole(milliseconds: f64) -> Option<Duration> {
    (milliseconds < 1.8e19).then(|| Duration::from_millis(milliseconds.round() as u64))
}

/// Reads an amount of bytes: `65536`, `64K`, `8M`, `1G`, in powers of 1024.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not an amount of bytes; write it like 65536, 64K or 8M");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: u64 = match text[digits..].trim_end_matches(['i', 'B']) {
        "" if text.len() == digits => 1,
        "K" | "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        let ms = |text: &str| parse_span(text).expect(text).as_millis();
        assert_eq!(ms("500ms"), 500);
        assert_eq!(ms("10s"), 10_000);
        assert_eq!(ms("10"), 10_000);
        assert_eq!(ms("0.5"), 500);
        assert_eq!(ms("1.5s"), 1500);
        assert_eq!(ms("2m"), 120_000);
        assert_eq!(ms("1h30m"), 5_400_000);
        assert_eq!(ms("1d1h1m1s1ms"), 90_061_001);
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "s", "10x", "-1", "1h30x", "1e3", "inf", "nan", "1..5s", "99999999999999999999", "1 s"] {
            let why = parse_span(text).expect_err(text);
            assert!(why.contains("1h30m"), "{why}");
        }
        assert!(parse_timeout("0").is_err());
    }

    #[test]
    fn amounts_are_read() {
        assert_eq!(parse_bytes("65536"), Ok(65536));
        assert_eq!(parse_bytes("64K"), Ok(65536));
        assert_eq!(parse_bytes("8MiB"), Ok(8 << 20));
        for text in ["", "K", "8T", "1.5M", "-1", "99999999999G", "8i"] {
            assert!(parse_bytes(text).is_err(), "{text:?}");
        }
    }
}
