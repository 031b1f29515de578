//! Text from peers and files, made fit for a terminal or a line of a log.

use core::fmt;

/// Whether a character acts on the text around it, or shows nothing, instead of being shown: control characters, line and
/// paragraph separators, bidirectional controls (Unicode Standard Annex 9, section 2), and characters without width.
///
/// ```
/// use unglue_proto::is_deceptive;
///
/// assert!("\n\u{202e}\u{2066}\u{200b}\u{feff}".chars().all(is_deceptive));
/// assert!(!"naïve 你好 שלום".chars().any(is_deceptive));
/// ```
pub fn is_deceptive(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let separators_and_bidi =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let no_width = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    c.is_control() || separators_and_bidi || no_width
}

/// Shows text with each [deceptive](is_deceptive) character escaped, as `\n` or `\u{202e}`.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match is_deceptive(c) {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
