//! What a number may be.

use super::parse::Given;
use super::{Reading, Sure, magic};

/// A length that nobody wonders about, where no limit was told.
const USUAL: u64 = 1 << 20;

/// All readings, the surest first.
pub(super) fn all(given: &Given) -> Vec<Reading> {
    let bytes = given.bytes();
    let mut found = Vec::new();
    starts(&bytes, &mut found);
    let known = found.iter().any(|reading| reading.sure == Sure::Certain);
    text(&bytes, known, &mut found);
    wide_text(&bytes, &mut found);
    negative(given, &mut found);
    if !known {
        other_order(given, &bytes, &mut found);
        beside(given, &bytes, &mut found);
        varint(given, &bytes, &mut found);
        pointer(given, &mut found);
        other_numbers(given, &mut found);
    }
    really(given, known, &mut found);
    found.sort_by_key(|reading| std::cmp::Reverse(reading.sure));
    found
}

fn reading(sure: Sure, what: impl Into<String>, next: impl Into<String>) -> Reading {
    Reading { sure, what: what.into(), next: next.into() }
}

/// What a length may be at most.
fn limit(given: &Given) -> u64 {
    given.limit.unwrap_or(USUAL)
}

fn fits(given: &Given, value: u64) -> bool {
    value > 0 && value <= limit(given).min(64 << 20)
}

/// The first bytes of a protocol or a file, in both orders.
fn starts(bytes: &[u8], found: &mut Vec<Reading>) {
    if let Some(magic) = magic::find(bytes) {
        found.push(reading(magic.sure, magic.what, magic.next));
    }
    if let [0x10, _, 0, 4] = bytes {
        found.push(reading(
            Sure::Likely,
            "MQTT's CONNECT packet begins so",
            "an MQTT client connects here: check host and port",
        ));
    }
    if let [3, 0, high, low] = bytes {
        let size = u16::from_be_bytes([*high, *low]);
        found.push(reading(
            Sure::Possible,
            format!("a TPKT header of {size} bytes (RDP, S7, H.323)"),
            "read it as 03 00 len:u16be data[len-4]",
        ));
    }
    if let [b'*' | b'$' | b':', b'0'..=b'9', b'\r', b'\n'] | [b'*' | b'$', b'0'..=b'9', b'0'..=b'9', b'\r'] = bytes {
        found.push(reading(
            Sure::Likely,
            "a Redis command or reply (RESP)",
            "a Redis client or server is at the other end: check host and port",
        ));
    }
    let turned: Vec<u8> = bytes.iter().rev().copied().collect();
    let same = turned == bytes;
    if let Some(magic) = magic::find(&turned).filter(|magic| !same && magic.bytes.len() >= 3) {
        let sure = magic.sure.min(if magic.bytes.len() >= 4 { Sure::Certain } else { Sure::Likely });
        found.push(reading(sure, format!("{}, read as a little-endian number", magic.what), magic.next));
    }
}

fn printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

/// Text, and lengths written as text.
fn text(bytes: &[u8], known: bool, found: &mut Vec<Reading>) {
    if bytes.len() < 3 || !bytes.iter().all(|byte| printable(*byte)) {
        return;
    }
    let shown = bytes.escape_ascii().to_string();
    if bytes.iter().all(u8::is_ascii_digit) {
        let what = format!("`{shown}` in ASCII: a length written as decimal digits, or a number at a message's start");
        found.push(reading(
            Sure::Likely,
            what,
            "read the digits as text: netstring has a colon behind them, octet-count a space",
        ));
    } else if bytes.len() == 4 && bytes.iter().all(u8::is_ascii_hexdigit) {
        let what = format!("`{shown}` in ASCII: four hex digits, as git's packets have for their length");
        found.push(reading(Sure::Likely, what, "read them as text: pkt-line counts its own four digits"));
    } else if is_netstring(bytes) {
        found.push(reading(
            Sure::Certain,
            format!("`{shown}` in ASCII: a netstring"),
            "read it with the framing netstring",
        ));
    }
    if matches!(bytes, [b'{' | b'[', b'"' | b'{' | b'[' | b'\n' | b' ' | b'\r', ..]) {
        let what = format!("`{shown}` in ASCII: JSON");
        found.push(reading(
            Sure::Certain,
            what,
            "the peer sends JSON without a length: read lines, or agree on a length in front",
        ));
    } else if !known {
        let back: String = bytes.iter().rev().copied().collect::<Vec<u8>>().escape_ascii().to_string();
        let what =
            format!("`{shown}` in ASCII (`{back}` if it was read little-endian): text where a length should stand");
        let next = "the peer speaks a text protocol, or the stream is out of step: look at the bytes before with unglue lab tap";
        found.push(reading(Sure::Likely, what, next));
    }
}

/// Digits, then a colon.
fn is_netstring(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && bytes.get(digits) == Some(&b':')
}

/// Two characters of UTF-16.
fn wide_text(bytes: &[u8], found: &mut Vec<Reading>) {
    let (a, b) = match bytes {
        [a, 0, b, 0] => (*a, *b),
        [0, a, 0, b] => (*a, *b),
        _ => return,
    };
    if printable(a) && printable(b) && a.is_ascii_graphic() {
        let shown = [a, b].escape_ascii().to_string();
        let next = "the sender encodes text as UTF-16: encode as UTF-8 at both ends, and count bytes, not characters";
        found.push(reading(Sure::Likely, format!("`{shown}` in UTF-16"), next));
    }
}

fn negative(given: &Given, found: &mut Vec<Reading>) {
    let next = "a call's error result, or a difference below zero, was used as a length: check it before it is sent";
    let small = match given.value {
        value if value < 0 => Some(value),
        value if (1 << 31..1 << 32).contains(&value) => Some(value - (1 << 32)),
        value if (1 << 63..1 << 64).contains(&value) => Some(value - (1 << 64)),
        _ => None,
    };
    let Some(small) = small else { return };
    if small > -65_536 {
        let sure = if small > -256 { Sure::Certain } else { Sure::Likely };
        found.push(reading(sure, format!("{small} as a signed number"), next));
    } else if given.value < 0 {
        let unsigned = if small >= i128::from(i32::MIN) { small + (1 << 32) } else { small + (1 << 64) };
        let what = format!("{unsigned} read as a signed number");
        found.push(reading(Sure::Possible, what, "read lengths as unsigned numbers, and hold them against a limit"));
    }
}

/// The bytes in the other order make a usual length.
fn other_order(given: &Given, bytes: &[u8], found: &mut Vec<Reading>) {
    if bytes.len() > 8 {
        return;
    }
    let turned = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    if zeros == 0 || !fits(given, turned) || i128::from(turned) == given.value {
        return;
    }
    let sure = if turned < 65_536 && bytes.len() >= 4 { Sure::Likely } else { Sure::Possible };
    let what = format!("{turned} in the other byte order");
    found.push(reading(
        sure,
        what,
        "one end writes big-endian and the other reads little-endian: agree on one (the network's is big-endian)",
    ));
}

/// The length begins some bytes before or behind the place where it was read.
fn beside(given: &Given, bytes: &[u8], found: &mut Vec<Reading>) {
    let [a, b, c, d] = *bytes else { return };
    let value = u32::from_be_bytes([a, b, c, d]);
    if u64::from(value) <= limit(given) {
        return;
    }
    let next = "the reader is out of step by these bytes: does the length count its own header, or was a byte left over before it?";
    let short = u64::from(u16::from_be_bytes([a, b]));
    if a == 0 && b != 0 && (c, d) != (0, 0) && fits(given, short) {
        let what = format!("{short} in two bytes, read as four: the next two ({c:02x} {d:02x}) are of what follows");
        found.push(reading(Sure::Possible, what, "read a length of two bytes, or as many as the sender writes"));
    }
    let low = u64::from(u32::from_be_bytes([0, b, c, d]));
    if a != 0 && b == 0 && fits(given, low) {
        let what = format!(
            "{low} in three bytes behind {a:02x}: a byte (a type, a flag, the end of the last message) stands before it"
        );
        found.push(reading(Sure::Likely, what, next));
    }
    let high = u64::from(value >> 8);
    if a == 0 && b == 0 && c != 0 && fits(given, high) {
        let what = format!("{high}, read one byte too late");
        found.push(reading(Sure::Possible, what, next));
    }
}

fn varint(given: &Given, bytes: &[u8], found: &mut Vec<Reading>) {
    let Some(last) = bytes.iter().position(|byte| byte & 0x80 == 0).filter(|last| (1..4).contains(last)) else {
        return;
    };
    let value = bytes[..=last].iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    if fits(given, value) && bytes[last] != 0 {
        let what = format!("the varint {value} in {} bytes, read as a number of fixed width", last + 1);
        found.push(reading(
            Sure::Possible,
            what,
            "the sender writes lengths as varints (protobuf does): read them with the framing varint",
        ));
    }
}

fn pointer(given: &Given, found: &mut Vec<Reading>) {
    let Ok(value) = u64::try_from(given.value) else { return };
    let where_ = match value {
        0x7f00_0000_0000..=0x7fff_ffff_ffff => "a pointer to a stack or a shared library (64 bits)",
        0x5500_0000_0000..=0x56ff_ffff_ffff => "a pointer to a program's code or heap (64 bits)",
        0xffff_8000_0000_0000.. => "a pointer into a kernel",
        _ => return,
    };
    let next = "a structure was sent with a pointer in it, or sizeof of one taken: send what it points to";
    found.push(reading(Sure::Likely, where_, next));
}

/// Floating point and time.
fn other_numbers(given: &Given, found: &mut Vec<Reading>) {
    let next = "the bytes of another field were read: count the header's fields again";
    if let Ok(value) = u32::try_from(given.value) {
        let float = f32::from_bits(value);
        let round = float.abs() >= 0.001 && float.abs() < 1e7 && (float * 1000.0).fract() == 0.0;
        if value & 0xfff == 0 && round && value > 1 << 24 {
            found.push(reading(Sure::Possible, format!("the number {float} in floating point"), next));
        }
        if (1_420_070_400..1_924_992_000).contains(&value) {
            let year = 1970 + value / 31_556_952;
            found.push(reading(Sure::Possible, format!("a time in seconds since 1970: the year {year}"), next));
        }
    }
    if (1_420_070_400_000..1_924_992_000_000).contains(&given.value) {
        let year = 1970 + given.value / 31_556_952_000;
        found.push(reading(Sure::Likely, format!("a time in milliseconds since 1970: the year {year}"), next));
    }
}

/// Perhaps it is a length.
fn really(given: &Given, known: bool, found: &mut Vec<Reading>) {
    let Ok(value) = u64::try_from(given.value) else { return };
    let most = given.limit.map_or(USUAL, |limit| limit.saturating_mul(64)).min(1 << 30);
    if known || value == 0 || value > most {
        return;
    }
    let (sure, what) = match given.limit {
        Some(limit) if value > limit && value / limit < 4 => {
            (Sure::Likely, format!("a length: {} times the limit of {limit}", ratio(value, limit)))
        }
        Some(limit) if value > limit => {
            (Sure::Possible, format!("a length: {} times the limit of {limit}", ratio(value, limit)))
        }
        _ => (Sure::Possible, "a length like any other".into()),
    };
    found.push(reading(
        sure,
        what,
        "if messages may be so large, raise the limit at both ends; else find out who sends it",
    ));
}

fn ratio(value: u64, limit: u64) -> String {
    format!("{:.1}", value as f64 / limit as f64)
}

#[cfg(test)]
mod tests {
    use crate::explain::{Sure, explain};

    fn best(text: &str) -> (Sure, String) {
        let found = explain(text).unwrap_or_else(|error| panic!("{error}"));
        let first = found.readings.first().unwrap_or_else(|| panic!("{text} has no reading"));
        (first.sure, first.what.clone())
    }

    #[test]
    fn well_known_numbers() {
        for (text, word) in [
            ("1195725856", "GET"),
            ("0x16030100", "TLS"),
            ("1213486160", "HTTP"),
            ("1347375956", "POST"),
            ("1397966893", "SSH"),
            ("1347569952", "HTTP/2"),
            ("369295616", "TLS"),
            ("542393671", "GET"),
            ("80877103", "PostgreSQL"),
            ("529205248", "gzip"),
            ("3735928559", "deadbeef"),
            ("4294967295", "-1"),
            ("-1", "-1"),
            ("2065855609", "JSON"),
        ] {
            let (sure, what) = best(text);
            assert!(what.contains(word) && sure >= Sure::Likely, "{text}: {sure:?} {what}");
        }
    }

    #[test]
    fn lengths_that_were_misread() {
        for (text, word) in [
            ("83886080", "5 in the other byte order"),
            ("4718665", "UTF-16"),
            ("1392508937", "behind 53"),
            ("140723412341234", "pointer"),
        ] {
            let found = explain(text).expect("a number");
            assert!(found.readings.iter().any(|reading| reading.what.contains(word)), "{text}: {found:?}");
        }
        assert!(
            best("message length 2000000, limit 1048576").1.contains("1.9 times"),
            "{:?}",
            explain("message length 2000000, limit 1048576")
        );
    }

    #[test]
    fn every_number_is_explained_without_a_panic() {
        for shift in 0..127 {
            for offset in [-1i128, 0, 1] {
                let value = (1i128 << shift) + offset;
                let _ = explain(&value.to_string());
                let _ = explain(&(-value).to_string());
            }
        }
        for odd in
            ["0x", "0xg", "99999999999999999999999999999999999999999999999999", "\u{130}(İ) 12", "vs. (", "é 0x16é"]
        {
            let _ = explain(odd);
        }
    }
}
