//! Patterns as rsync matches them (rsync(1), "PATTERN MATCHING RULES").

/// Whether `text` matches `pattern`: `?` is any character but a slash, `*` any number of them, `**` any characters, slashes too;
/// `[…]` is one of a class, `\` takes a special meaning away.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Work is bounded: patterns with many stars are matched by a table rather than by going back.
    let parts = parse(pattern);
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for part in &parts {
        reachable = step(part, &reachable, text);
        if !reachable.contains(&true) {
            return false;
        }
    }
    reachable[text.len()]
}

enum Part<'a> {
    Byte(u8),
    Any,
    Star,
    StarStar,
    Class {
        inside: &'a [u8],
        negated: bool,
    },
    /// A bracket without its end matches nothing.
    Never,
}

fn parse(mut pattern: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        pattern = rest;
        parts.push(match first {
            b'?' => Part::Any,
            b'*' => {
                let more = pattern.iter().take_while(|&&byte| byte == b'*').count();
                pattern = &pattern[more..];
                if more > 0 { Part::StarStar } else { Part::Star }
            }
            b'\\' => match pattern.split_first() {
                Some((&byte, rest)) => {
                    pattern = rest;
                    Part::Byte(byte)
                }
                // A backslash at the end stands for itself in a text without one behind it: it matches nothing.
                None => Part::Never,
            },
            b'[' => match class_end(pattern) {
                Some(end) => {
                    let inside = &pattern[..end];
                    pattern = &pattern[end + 1..];
                    match inside.split_first() {
                        Some((b'!' | b'^', inside)) => Part::Class { inside, negated: true },
                        _ => Part::Class { inside, negated: false },
                    }
                }
                None => {
                    pattern = &[];
                    Part::Never
                }
            },
            byte => Part::Byte(byte),
        });
    }
    parts
}

/// Where a class ends. A bracket that comes first (or first behind the negation) belongs to the class.
fn class_end(pattern: &[u8]) -> Option<usize> {
    let mut at = usize::from(matches!(pattern.first(), Some(b'!' | b'^')));
    let first = at;
    loop {
        match pattern.get(at)? {
            b']' if at > first => return Some(at),
            b'\\' => at += 2,
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let close = pattern[at + 2..].windows(2).position(|pair| pair == b":]")?;
                at += 2 + close + 2;
            }
            _ => at += 1,
        }
    }
}

fn step(part: &Part<'_>, from: &[bool], text: &[u8]) -> Vec<bool> {
    let mut to = vec![false; from.len()];
    let mut one = |accepts: &dyn Fn(u8) -> bool| {
        for (at, &byte) in text.iter().enumerate() {
            to[at + 1] = from[at] && accepts(byte);
        }
    };
    match part {
        Part::Byte(wanted) => one(&|byte| byte == *wanted),
        Part::Any => one(&|byte| byte != b'/'),
        Part::Class { inside, negated } => one(&|byte| byte != b'/' && in_class(inside, byte) != *negated),
        Part::Never => {}
        Part::Star | Part::StarStar => {
            let slashes = matches!(part, Part::StarStar);
            let mut open = false;
            for at in 0..from.len() {
                open |= from[at];
                to[at] = open;
                open &= slashes || text.get(at) != Some(&b'/');
            }
        }
    }
    to
}

fn in_class(mut inside: &[u8], byte: u8) -> bool {
    let mut found = false;
    while let Some((&first, rest)) = inside.split_first() {
        inside = rest;
        if first == b'['
            && inside.first() == Some(&b':')
            && let Some(close) = inside[1..].windows(2).position(|pair| pair == b":]")
        {
            found |= in_named(&inside[1..=close], byte);
            inside = &inside[close + 3..];
            continue;
        }
        let low = unescaped(first, &mut inside);
        if inside.first() == Some(&b'-') && inside.len() > 1 {
            inside = &inside[1..];
            let (&next, rest) = inside.split_first().unwrap_or((&b'-', &[]));
            inside = rest;
            let high = unescaped(next, &mut inside);
            found |= (low..=high).contains(&byte);
        } else {
            found |= byte == low;
        }
    }
    found
}

fn unescaped(byte: u8, rest: &mut &[u8]) -> u8 {
    match (byte, rest.split_first()) {
        (b'\\', Some((&escaped, after))) => {
            *rest = after;
            escaped
        }
        _ => byte,
    }
}

fn in_named(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_a_slash_and_two_do_not() {
        for (pattern, text, expected) in [
            ("*.o", "a.o", true),
            ("*.o", "a/b.o", false),
            ("**.o", "a/b.o", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/b", false),
            ("?", "/", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[[:digit:]]", "7", true),
            ("[", "[", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a*b*c", "aXbYc", true),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_bounded_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(pattern.as_bytes(), "a".repeat(199).as_bytes()));
    }
}
