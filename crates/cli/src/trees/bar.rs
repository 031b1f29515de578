//! A tree's progress, on a terminal: one line.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use unglue::{Moving, Octets};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(100);

/// The line; nothing where standard error is not a terminal.
pub(super) struct TreeBar {
    shown: bool,
    drawn: Option<Instant>,
    total: u64,
}

impl TreeBar {
    /// A line, if it is `wanted` and there is a terminal.
    pub(super) fn new(wanted: bool) -> TreeBar {
        TreeBar { shown: wanted && std::io::stderr().is_terminal(), drawn: None, total: 0 }
    }

    /// How far it is.
    pub(super) fn moving(&mut self, moving: &Moving) {
        self.total = moving.wanted.max(self.total).max(moving.moved);
        if !self.shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let columns = match rustix::termios::tcgetwinsize(std::io::stderr()) {
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => 80,
        };
        write(&format!("\r{}\x1b[K", line(moving, self.total, columns)));
    }

    /// Writes something else to the terminal.
    pub(super) fn aside(&mut self, tell: impl FnOnce()) {
        self.clear();
        tell();
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if self.shown && self.drawn.take().is_some() {
            write("\r\x1b[K");
        }
    }

    /// The last line stays.
    pub(super) fn done(&mut self, sentence: &str) {
        if self.shown {
            write(&format!("{sentence}\n"));
        }
    }
}

/// There is nowhere to complain about a closed stderr.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The line: what is done, what is known so far, and the file under way. A plus stands behind what is still being discovered.
fn line(moving: &Moving, total: u64, columns: usize) -> String {
    let more = if moving.complete { "" } else { "+" };
    let (moved, total) = (super::amount(moving.moved), super::amount(total));
    let front = format!("{moved} of {total}{more}, {} files of {}{more} entries  ", moving.files, moving.entries);
    let name = Octets::from(moving.current.as_os_str()).to_string();
    let room = columns.saturating_sub(front.chars().count() + 1);
    let length = name.chars().count();
    let name: String = name.chars().skip(length.saturating_sub(room)).collect();
    (front + &name).chars().take(columns.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_every_terminal_and_shows_no_control_characters() {
        let mut moving = Moving::default();
        moving.entries = 1_234_567;
        moving.current = std::ffi::OsString::from(format!("a\x1b[2J/{}", "long".repeat(90)));
        for columns in 1..300 {
            let line = line(&moving, 1 << 50, columns);
            assert!(line.chars().count() < columns.max(1) + 1, "{columns}: {line}");
            assert!(!line.contains('\x1b'), "{line}");
        }
        assert!(line(&moving, 1 << 50, 80).contains("+, 0 files of 1234567+ entries"));
    }
}
