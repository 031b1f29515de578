//! Text that may come from the other end, made fit for a terminal and for a line of a log.

pub(crate) use unglue::is_deceptive as misleads;

/// Escapes every character that could move a cursor, break a line, show text in another order than it is written, or hide
/// in it.
pub(crate) fn printable(text: &str) -> String {
    unglue::Printable(text).to_string()
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
        assert!(!"naïve 你好 שלום".chars().any(misleads));
    }

    #[test]
    fn nothing_hides_in_a_text() {
        assert_eq!(printable("pay\u{200b}pal \u{feff}\u{2060}"), "pay\\u{200b}pal \\u{feff}\\u{2060}");
    }
}
