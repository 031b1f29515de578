//! Bytes written as text: `xxd`, `hexdump -C`, `hexdump`, Wireshark's dumps, and hex digits alone.

use super::CaptureError;

/// Whose bytes a dump of both directions has: Wireshark indents the second's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those at the margin.
    First,
    /// Those that are indented.
    Second,
}

/// How a line with an offset is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `00000000: 4745 5420  GET `
    Colon,
    /// `00000000  47 45 54 20  |GET |`, or with the text behind spaces
    Spaced,
    /// `0000000 4547 2054`: two bytes as a little-endian number
    Words,
}

/// A line with an offset.
struct Line {
    side: Side,
    offset: u64,
    bytes: Vec<u8>,
}

/// Whether a text's beginning is a hex dump.
pub(super) fn looks(first: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(first).or_else(|error| std::str::from_utf8(&first[..error.valid_up_to()]))
    else {
        return false;
    };
    // The last line may be cut.
    let whole = if first.len() >= 4096 { text.rfind('\n').map_or("", |at| &text[..at]) } else { text };
    let mut lines = whole.lines().filter(|line| !line.trim().is_empty()).take(64).peekable();
    if lines.peek().is_none() {
        return whole.is_empty() && first.len() >= 4096 && plain(text.trim()).is_some();
    }
    let lines: Vec<&str> = lines.collect();
    let dumped = lines.iter().filter(|line| line.trim() == "*" || offset_line(line).is_some()).count();
    let digits: usize = lines.iter().map(|line| line.bytes().filter(u8::is_ascii_hexdigit).count()).sum();
    dumped == lines.len() || (digits >= 8 && lines.iter().all(|line| plain(line).is_some()))
}

/// Reads a whole dump. A dump of one direction gives nothing for the second.
///
/// # Errors
/// A line that isn't of a dump.
pub fn read(text: &str) -> Result<[Vec<u8>; 2], CaptureError> {
    let mut sides = [Vec::new(), Vec::new()];
    let lines: Vec<&str> = text.lines().collect();
    let with_offsets =
        lines.iter().find(|line| !line.trim().is_empty()).is_some_and(|line| offset_line(line).is_some());
    let mut starred = false;
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| CaptureError::Hex { line: index + 1, what: what.into() };
        if !with_offsets {
            sides[0].extend(plain(line).ok_or_else(|| wrong("it has other than hex digits"))?);
            continue;
        }
        if line.trim() == "*" {
            starred = true;
            continue;
        }
        let Line { side, offset, mut bytes } = offset_line(line).ok_or_else(|| wrong("it has no offset"))?;
        // The next offset says how many bytes this line has: the text beside them may look like hex.
        let next = lines[index + 1..].iter().filter_map(|line| offset_line(line)).find(|line| line.side == side);
        if let Some(next) = next.and_then(|next| next.offset.checked_sub(offset)) {
            bytes.truncate(usize::try_from(next).unwrap_or(usize::MAX));
        }
        let whole = &mut sides[side as usize];
        if starred {
            repeat(whole, offset).map_err(|what| wrong(&what))?;
            starred = false;
        }
        whole.extend(bytes);
    }
    Ok(sides)
}

/// `*` stands for lines like the one before, up to the next offset.
fn repeat(whole: &mut Vec<u8>, up_to: u64) -> Result<(), String> {
    const MOST: u64 = 1 << 30;
    let missing = up_to.checked_sub(whole.len() as u64).filter(|missing| *missing <= MOST);
    let missing = missing.ok_or_else(|| format!("a * before the offset {up_to:x} can't be right"))?;
    let line = whole[whole.len().saturating_sub(16)..].to_vec();
    if line.len() < 16 {
        return Err("a * has no whole line before it".into());
    }
    whole.extend(line.iter().cycle().take(missing as usize));
    Ok(())
}

fn offset_line(line: &str) -> Option<Line> {
    let indent = line.len() - line.trim_start().len();
    let side = if indent >= 4 { Side::Second } else { Side::First };
    let line = line.trim();
    let digits = line.bytes().take_while(u8::is_ascii_hexdigit).count();
    if !(4..=16).contains(&digits) {
        return None;
    }
    let offset = u64::from_str_radix(&line[..digits], 16).ok()?;
    let rest = &line[digits..];
    let (style, rest) = match rest.strip_prefix(':') {
        Some(rest) => (Style::Colon, rest),
        None if rest.is_empty() => return (digits >= 7).then_some(Line { side, offset, bytes: Vec::new() }),
        None if digits == 7 && !rest.starts_with("  ") => (Style::Words, rest),
        None if rest.starts_with(' ') => (Style::Spaced, rest),
        None => return None,
    };
    let bytes = body(style, rest.strip_prefix(' ').unwrap_or(rest))?;
    Some(Line { side, offset, bytes })
}

fn body(style: Style, rest: &str) -> Option<Vec<u8>> {
    let rest = rest.trim_start();
    let digits = match style {
        Style::Colon => rest.split("  ").next()?,
        Style::Spaced => rest.split('|').next()?.split("   ").next()?,
        Style::Words => rest,
    };
    let mut bytes = Vec::new();
    for token in digits.split_ascii_whitespace() {
        let hex = token.len().is_multiple_of(2) && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        let most = if style == Style::Spaced { 2 } else { 64 };
        if !hex || token.len() > most {
            // Text beside the bytes, where there are bytes at all.
            return if bytes.is_empty() || style == Style::Words { None } else { Some(bytes) };
        }
        let mut pairs: Vec<u8> = pairs(token)?;
        if style == Style::Words {
            pairs.reverse();
        }
        bytes.extend(pairs);
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn pairs(digits: &str) -> Option<Vec<u8>> {
    digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Hex digits alone, or with spaces, commas, colons, `0x` or `\x` between the bytes.
fn plain(line: &str) -> Option<Vec<u8>> {
    let cleaned = line.replace("0x", " ").replace("\\x", " ");
    let mut bytes = Vec::new();
    for token in cleaned.split([' ', '\t', '\r', ',', ':', ';', '"', '\'']).filter(|token| !token.is_empty()) {
        if !token.len().is_multiple_of(2) || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.extend(pairs(token)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn first(text: &str) -> Vec<u8> {
        assert!(looks(text.as_bytes()), "{text}");
        read(text).unwrap_or_else(|error| panic!("{error}: {text}"))[0].clone()
    }

    #[test]
    fn each_programs_dump_is_read() {
        let xxd = "00000000: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET / HTTP/1.1..\n\
                   00000010: 486f 7374 3a20 610d 0a0d 0a              Host: a....\n";
        let canonical = "00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|\n\
                         00000010  48 6f 73 74 3a 20 61 0d  0a 0d 0a                 |Host: a....|\n0000001b\n";
        let wireshark = "0000   47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a   GET / HTTP/1.1..\n\
                         0010   48 6f 73 74 3a 20 61 0d 0a 0d 0a                  Host: a....\n";
        let words = "0000000 4547 2054 202f 5448 5054 312f 312e 0a0d\n0000010 6f48 7473 203a 0d61 0d0a\n";
        assert_eq!((first(xxd), first(canonical), first(wireshark)), (WANT.into(), WANT.into(), WANT.into()));
        assert_eq!(first(words), WANT[..26]);
        for plain in ["474554", "47 45 54\n20", "0x47, 0x45, 0x54, 0x20", "47:45:54:20", "\\x47\\x45\\x54\\x20"] {
            assert!(WANT.starts_with(&read(plain).expect("hex")[0]), "{plain}");
        }
    }

    #[test]
    fn both_directions_of_a_followed_stream() {
        let text = "00000000  70 69 6e 67                                       ping\n    \
                        00000000  70 6f 6e 67                                       pong\n\
                    00000004  70 69 6e 67                                       ping\n";
        assert_eq!(read(text).expect("hex"), [b"pingping".to_vec(), b"pong".to_vec()]);
    }

    #[test]
    fn a_star_repeats_a_line() {
        let text = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000040  01  |.|\n00000041\n";
        assert_eq!(first(text).len(), 65);
    }

    #[test]
    fn text_is_no_dump() {
        for text in ["GET / HTTP/1.1\r\n", "deadline", "hello\nworld\n", "", "12 monkeys", "1234\n"] {
            assert!(!looks(text.as_bytes()), "{text}");
        }
    }
}
