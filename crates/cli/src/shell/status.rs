//! The line that says that the link is dead, over what the program shows, and its removal.
//!
//! It takes the top row, as mosh's does, or the bottom row while the cursor is on the top one. Before anything else is written
//! to the terminal it is removed, and the row shows again what it showed.

use std::time::Duration;

use unglue::Printable;
use unglue::screen::Shown;

/// What a line says, before it is cut to the terminal's width.
pub(super) fn text(host: &str, silence: Duration, reason: Option<&str>, key: Option<u8>) -> String {
    let seconds = silence.as_secs().max(1);
    let time = match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    };
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let leave = key.map(|key| format!("; Enter {0}. leaves", char::from(key))).unwrap_or_default();
    Printable(&format!("unglue: no answer from {host} for {time}{leave}{why}")).to_string()
}

/// The row that the line takes on this screen.
pub(super) fn row(screen: Shown<'_>) -> u16 {
    match screen.cursor() {
        (0, _) => screen.size().0 - 1,
        _ => 0,
    }
}

/// The bytes that show `text` in a row of the screen, and leave cursor and style as they are.
pub(super) fn draw(screen: Shown<'_>, row: u16, text: &str) -> Vec<u8> {
    let columns = usize::from(screen.size().1);
    // One column short: the last one would leave the terminal about to wrap.
    let shown: String = text.chars().take(columns.saturating_sub(1)).collect();
    let position = row + 1;
    let mut drawn = format!("\x1b[?25l\x1b[{position};1H\x1b[0;7m{shown}\x1b[K").into_bytes();
    drawn.extend(screen.back());
    drawn
}

/// The bytes that show again what the screen has in a row.
pub(super) fn remove(screen: Shown<'_>, row: u16) -> Vec<u8> {
    // The terminal has become smaller, and the row is gone.
    if row >= screen.size().0 {
        return Vec::new();
    }
    let mut shown = format!("\x1b[?25l\x1b[{};1H\x1b[0m\x1b[K", row + 1).into_bytes();
    shown.extend(screen.row(row));
    if screen.wraps(row) {
        // So that the terminal knows the two rows for one line: the first character of the next row wraps.
        shown.extend(screen.row(row + 1));
    }
    shown.extend(screen.back());
    shown
}

#[cfg(test)]
mod tests {
    use super::super::picture::Picture;
    use super::*;

    /// A terminal that has shown this, and the same terminal with the line drawn and removed.
    fn disturbed(shown: &[u8]) -> (Picture, Picture, String) {
        let (mut before, mut after) = (Picture::new((5, 30)), Picture::new((5, 30)));
        before.pass(shown);
        after.pass(shown);
        let text = text("build.example", Duration::from_secs(3), None, Some(b'~'));
        let row = row(before.screen());
        after.pass(&draw(before.screen(), row, &text));
        let drawn = after.screen().text();
        assert_eq!(after.screen().cursor(), before.screen().cursor());
        after.pass(&remove(before.screen(), row));
        (before, after, drawn)
    }

    #[test]
    fn the_screen_is_the_same_afterwards() {
        for shown in [
            &b"$ ls\r\na  b  c\r\n$ vi"[..],
            b"",
            b"\x1b[31mred \x1b[1;44mbold\x1b[5;1H\x1b[7mbar",
            b"\x1b[?25l\x1b[3;3Hhidden cursor",
            "wide \u{4f60}\u{597d}\r\n$ ".as_bytes(),
            "e\u{301}t\u{e9}\r\n\u{4f60}n\u{303} ".as_bytes(),
            b"\x1b]8;;http://here/\x1b\\a link\x1b]8;;\x1b\\ and \x1b[9mmore\x1b[m\r\n$ ",
            "1\r\n\r\n01234567890123456789012345678\u{4f60}".as_bytes(),
            "1\r\n\r\n0123456789012345678901234567\u{4f60}".as_bytes(),
            b"123456789012345678901234567890abc\r\nx",
            b"\r\n123456789012345678901234567890",
            b"\x1b[?1049h\x1b[2J\x1b[1;1Htop\x1b[2;1H",
        ] {
            let (mut before, mut after, drawn) = disturbed(shown);
            assert!(drawn.contains("unglue: no answer from build"), "{drawn:?}");
            let (before, after) = (before.screen(), after.screen());
            let state = |screen: Shown<'_>| screen.state().escape_ascii().to_string();
            assert_eq!(state(before), state(after), "{:?}", shown.escape_ascii());
            assert_eq!((before.cursor(), before.text()), (after.cursor(), after.text()));
        }
    }

    #[test]
    fn the_line_avoids_the_cursor() {
        let mut picture = Picture::new((5, 30));
        assert_eq!(row(picture.screen()), 4);
        picture.pass(b"\r\n");
        assert_eq!(row(picture.screen()), 0);
    }

    #[test]
    fn the_line_says_for_how_long_and_what_can_be_done() {
        let said = text("h", Duration::from_secs(5), Some("no route\x1b[2J"), Some(b'~'));
        assert_eq!(said, "unglue: no answer from h for 5 s; Enter ~. leaves (no route\\u{1b}[2J)");
        assert_eq!(text("h", Duration::from_secs(600), None, None), "unglue: no answer from h for 10 min");
    }
}
