//! What the user's terminal shows, for the few times that this client itself writes to it.
//!
//! A terminal emulator costs more than the copying of the output, and its state is seldom needed. So the output is collected,
//! and emulated when there is time ([`Picture::rest`]) or need ([`Picture::screen`]). Of a flood, only the end is emulated: what
//! came before it has scrolled away.

use unglue::TerminalSize;
use unglue::screen::{Emulator, Shown};

/// Output that waits for its emulation, at most. Twice as much is kept before the older half goes.
const WAITING: usize = 256 * 1024;

/// A terminal emulator that lags behind.
pub(super) struct Picture {
    emulator: Emulator,
    waiting: Vec<u8>,
}

/// The size of a terminal: rows and columns.
pub(super) type Size = (u16, u16);

/// A terminal that doesn't know its size is taken for one of 24 x 80.
fn dimensions((rows, columns): Size) -> TerminalSize {
    let or = |number, default| if number == 0 { default } else { number };
    TerminalSize::new(or(rows, 24), or(columns, 80))
}

impl Picture {
    /// An empty screen.
    pub(super) fn new(size: Size) -> Picture {
        Picture { emulator: Emulator::new(dimensions(size), false), waiting: Vec::new() }
    }

    /// Takes what the terminal is given.
    pub(super) fn pass(&mut self, shown: &[u8]) {
        self.waiting.extend_from_slice(shown);
        if self.waiting.len() > 2 * WAITING {
            let cut = self.waiting.len() - WAITING;
            // At a line's start there is no sequence under way.
            let line = self.waiting[cut..].iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            self.waiting.drain(..cut + line);
        }
    }

    /// Emulates what waits. Call this when there is nothing else to do.
    pub(super) fn rest(&mut self) {
        self.emulator.feed(&self.waiting);
        self.waiting.clear();
        // After a flood.
        self.waiting.shrink_to(WAITING / 4);
    }

    /// Whether something waits.
    pub(super) fn lags(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What is shown.
    pub(super) fn screen(&mut self) -> Shown<'_> {
        self.rest();
        self.emulator.settled()
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: Size) {
        self.rest();
        self.emulator.resize(dimensions(size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_its_end() {
        let mut picture = Picture::new((3, 20));
        for number in 0..200_000 {
            picture.pass(format!("line {number}\r\n").as_bytes());
        }
        assert!(picture.waiting.len() <= 2 * WAITING + 20);
        assert_eq!(picture.screen().text(), "line 199998\nline 199999");
        assert!(!picture.lags() && picture.waiting.capacity() <= WAITING);
    }

    #[test]
    fn what_was_painted_before_a_pause_stays() {
        let mut picture = Picture::new((3, 20));
        picture.pass(b"\x1b[2Jtop\x1b[3;1Hbottom");
        picture.rest();
        picture.pass(b"\x1b[2;5Hmiddle");
        assert_eq!(picture.screen().text(), "top\n    middle\nbottom");
        picture.resize((0, 0));
        assert_eq!(picture.screen().size(), (24, 80));
    }
}
