//! Text that may come from the other end, made fit for a terminal and for a line of a log.

/// Escapes every character that could move a cursor, break a line, or show text in another order than it is written.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match misleads(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether a character acts on what is around it instead of being shown: control characters, line and paragraph separators,
/// and the bidirectional controls (Unicode Standard Annex 9, section 2).
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_safe_from_what_the_other_end_sends() {
        assert_eq!(printable("a\x1b[2J\nb \u{e9}"), "a\\u{1b}[2J\\nb \u{e9}");
    }

    #[test]
    fn text_can_not_change_its_direction() {
        assert_eq!(printable("invoice\u{202e}fdp.exe"), "invoice\\u{202e}fdp.exe");
        for c in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202d}\u{2066}\u{2069}\u{2028}\u{2029}\u{85}\u{9b}".chars() {
            assert!(misleads(c), "{c:?}");
        }
        assert!(!"naïve 你好 שלום \u{200d}".chars().any(misleads));
    }
}
