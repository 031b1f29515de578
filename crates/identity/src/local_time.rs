//! Points in time as OpenSSH's files write them (sshd(8), `expiry-time`): `YYYYMMDD[HHMM[SS]][Z]`, in the machine's own time
//! zone unless a `Z` follows.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads a point in time, in seconds since 1970; `None` if it isn't one.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let (digits, utc) = match text.strip_suffix(b"Z").or_else(|| text.strip_suffix(b"z")) {
        Some(digits) => (digits, true),
        None => match text.len() > 3 && text[text.len() - 3..].eq_ignore_ascii_case(b"UTC") {
            true => (&text[..text.len() - 3], true),
            false => (text, false),
        },
    };
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| {
        digits.get(from..to).map_or(0, |digits| digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    let (hour, minute, second) = (number(8, 10), number(10, 12), number(12, 14));
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 61;
    let seconds = fits.then(|| seconds([year, month, day, hour, minute, second], utc))??;
    u64::try_from(seconds).ok().filter(|&seconds| seconds != 0)
}

/// What mktime(3) or timegm(3) makes of a date, as sshd has it done.
#[allow(unsafe_code)]
fn seconds([year, month, day, hour, minute, second]: [i32; 6], utc: bool) -> Option<i64> {
    // SAFETY: `tm` is a C struct of integers and a pointer, for which zeros are valid values.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    (time.tm_year, time.tm_mon, time.tm_mday) = (year - 1900, month - 1, day);
    (time.tm_hour, time.tm_min, time.tm_sec) = (hour, minute, second);
    // SAFETY: both read and write the struct that they are given, which lives until they return. mktime(3) reads the
    // environment variable TZ; this process changes its environment nowhere.
    let seconds = unsafe { if utc { libc::timegm(&mut time) } else { libc::mktime(&mut time) } };
    (seconds != -1).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_sshd_reads() {
        assert_eq!(parse(b"20380119Z"), Some(2_147_472_000));
        assert_eq!(parse(b"203801190314Z"), Some(2_147_483_640));
        assert_eq!(parse(b"20380119031407Z"), Some(2_147_483_647));
        assert_eq!(parse(b"20240229Z"), Some(1_709_164_800));
        assert!(parse(b"20240101").is_some());
        for text in ["", "2024", "20241301Z", "20240100Z", "202401012460Z", "2024010a", "Z", "19700101Z", " 20240101"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
