//! What a program has switched on in the terminal and not off again, and the bytes that undo it.
//!
//! A program on the other machine may be killed, or the link be lost, while the mouse is reported, the cursor is hidden or the
//! alternate screen is shown. Nothing is undone that the program did not do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use vte::{Params, Parser, Perform};

/// DEC private modes that are off unless a program sets them (xterm, "Control Sequences", DECSET).
const OFF: [u16; 22] =
    [1, 5, 6, 9, 47, 66, 69, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004, 2026, 2031, 2048];
/// DEC private modes that are on unless a program resets them: automatic wrap, the cursor.
const ON: [u16; 2] = [7, 25];
/// ANSI modes that are off by default: keyboard lock, insertion, new line.
const ANSI_OFF: [u16; 3] = [2, 4, 20];
/// Ones that show the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// How many entries of the keyboard's stack of modes are undone (kitty's keyboard protocol).
const MOST_PUSHED: u16 = 99;

/// Follows what is written to the terminal.
#[derive(Default)]
pub(super) struct Modes {
    parser: Parser,
    left: Left,
}

/// What differs from a terminal that has just been reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Left {
    private: BTreeSet<u16>,
    ansi: BTreeSet<u16>,
    keypad: bool,
    region: bool,
    styled: bool,
    cursor_shape: bool,
    /// `ESC ( 0` and its like, or SO.
    charset: bool,
    shifted: bool,
    link: bool,
    other_keys: bool,
    pushed: u16,
    keyboard: bool,
    /// Colours: the palette, and the numbers 10 to 12 (text, background, cursor).
    palette: bool,
    colours: BTreeSet<u16>,
}

impl Modes {
    /// Takes what is written to the terminal, in pieces of any size.
    pub(super) fn pass(&mut self, written: &[u8]) {
        self.parser.advance(&mut self.left, written);
    }

    /// Whether something is left on.
    pub(super) fn is_clean(&self) -> bool {
        self.left == Left::default()
    }

    /// The bytes that undo everything; they end a sequence that has not ended. Empty if nothing is left on, unless the output
    /// `broke_off`.
    pub(super) fn undo(&self, broke_off: bool) -> Vec<u8> {
        match self.is_clean() && !broke_off {
            true => Vec::new(),
            // ST ends what has not ended, and means nothing otherwise (ECMA-48, 8.3.143).
            false => format!("\x1b\\{}", self.left.undo()).into_bytes(),
        }
    }

    /// The bytes that switch on again what [`undo`](Self::undo) switched off, for a program that paints its screen anew.
    pub(super) fn redo(&self) -> Vec<u8> {
        self.left.redo().into_bytes()
    }
}

impl Left {
    fn undo(&self) -> String {
        let mut text = String::new();
        let alternate = |mode: &u16| ALTERNATE.contains(mode);
        for mode in self.private.iter().filter(|mode| !alternate(mode)) {
            let _ = write!(text, "\x1b[?{mode}{}", if ON.contains(mode) { 'h' } else { 'l' });
        }
        for mode in &self.ansi {
            let _ = write!(text, "\x1b[{mode}l");
        }
        if self.region || self.private.contains(&6) {
            // It moves the cursor to the top; the alternate screen's end moves it back to where it was.
            text += "\x1b[r\x1b[999;1H";
        }
        for mode in self.private.iter().filter(|mode| alternate(mode)).rev() {
            let _ = write!(text, "\x1b[?{mode}l");
        }
        for (left, undone) in [
            (self.keypad, "\x1b>"),
            (self.shifted, "\x0f"),
            (self.charset, "\x1b(B"),
            (self.cursor_shape, "\x1b[0 q"),
            (self.link, "\x1b]8;;\x1b\\"),
            (self.other_keys, "\x1b[>4m"),
            (self.keyboard, "\x1b[=0u"),
            (self.palette, "\x1b]104\x1b\\"),
            (self.styled, "\x1b[m"),
        ] {
            if left {
                text += undone;
            }
        }
        if self.pushed > 0 {
            let _ = write!(text, "\x1b[<{}u", self.pushed);
        }
        for colour in &self.colours {
            let _ = write!(text, "\x1b]{}\x1b\\", colour + 100);
        }
        text
    }

    fn redo(&self) -> String {
        let mut text = String::new();
        // The alternate screen first: some of the others belong to a screen.
        let (first, rest): (Vec<u16>, Vec<u16>) = self.private.iter().partition(|mode| ALTERNATE.contains(mode));
        for mode in first.into_iter().chain(rest) {
            let _ = write!(text, "\x1b[?{mode}{}", if ON.contains(&mode) { 'l' } else { 'h' });
        }
        if self.keypad {
            text += "\x1b=";
        }
        text
    }

    fn set_private(&mut self, params: &Params, on: bool) {
        for mode in params.iter().map(first) {
            match (OFF.contains(&mode), ON.contains(&mode)) {
                (true, _) => self.note(mode, on),
                (_, true) => self.note(mode, !on),
                _ => {}
            }
        }
    }

    fn note(&mut self, mode: u16, left: bool) {
        match left {
            true => drop(self.private.insert(mode)),
            false => drop(self.private.remove(&mode)),
        }
    }

    fn set_ansi(&mut self, params: &Params, on: bool) {
        for mode in params.iter().map(first).filter(|mode| ANSI_OFF.contains(mode)) {
            match on {
                true => drop(self.ansi.insert(mode)),
                false => drop(self.ansi.remove(&mode)),
            }
        }
    }

    /// RIS, the full reset. Not every terminal leaves the alternate screen: tmux does not.
    fn full_reset(&mut self) {
        let private = self.private.iter().copied().filter(|mode| ALTERNATE.contains(mode)).collect();
        *self = Left { private, ..Left::default() };
    }

    /// DECSTR, the soft reset: not the screen that is shown, and not the mouse.
    fn soft_reset(&mut self) {
        for mode in [1, 6, 7, 25, 66, 69] {
            self.private.remove(&mode);
        }
        self.ansi.clear();
        (self.keypad, self.region, self.styled) = (false, false, false);
        (self.charset, self.shifted) = (false, false);
    }
}

fn first(param: &[u16]) -> u16 {
    param.first().copied().unwrap_or_default()
}

impl Perform for Left {
    fn execute(&mut self, byte: u8) {
        match byte {
            0x0e => self.shifted = true,
            0x0f => self.shifted = false,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        let number = params.iter().next().map(first).unwrap_or_default();
        match (intermediates, action) {
            (b"?", 'h') => self.set_private(params, true),
            (b"?", 'l') => self.set_private(params, false),
            ([], 'h') => self.set_ansi(params, true),
            ([], 'l') => self.set_ansi(params, false),
            ([], 'm') => self.styled = params.iter().last().map(first).unwrap_or_default() != 0,
            ([], 'r') => self.region = params.iter().any(|param| first(param) != 0),
            (b" ", 'q') => self.cursor_shape = number != 0,
            (b"!", 'p') => self.soft_reset(),
            (b">", 'm') if number == 4 => self.other_keys = params.iter().nth(1).map(first).unwrap_or_default() != 0,
            (b">", 'u') => self.pushed = (self.pushed + 1).min(MOST_PUSHED),
            (b"<", 'u') => self.pushed = self.pushed.saturating_sub(number.max(1)),
            (b"=", 'u') => self.keyboard = number != 0,
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        match (intermediates, byte) {
            ([], b'c') => self.full_reset(),
            ([], b'=') => self.keypad = true,
            ([], b'>') => self.keypad = false,
            (b"(", charset) => self.charset = charset != b'B',
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        let asks = params.last().is_some_and(|last| *last == b"?");
        match params {
            [b"8", _, rest @ ..] => self.link = rest.iter().any(|part| !part.is_empty()),
            [b"4", ..] if !asks => self.palette = true,
            [b"104"] => self.palette = false,
            [b"10" | b"11" | b"12", ..] if !asks => drop(self.colours.insert(number(params[0]))),
            [b"110" | b"111" | b"112", ..] => drop(self.colours.remove(&(number(params[0]).saturating_sub(100)))),
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> u16 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(written: &str) -> Modes {
        let mut modes = Modes::default();
        modes.pass(written.as_bytes());
        modes
    }

    fn undo(written: &str) -> String {
        String::from_utf8(after(written).undo(false)).expect("text").escape_debug().to_string().replace("\\u{1b}", "E")
    }

    #[test]
    fn what_was_switched_off_again_needs_nothing() {
        for clean in [
            "plain text, \x1b[1;31mred\x1b[0m and \x1b[4mlines\x1b[m",
            "\x1b[?1049h\x1b[?25l\x1b[?1000;1006hvim\x1b[?1000;1006l\x1b[?25h\x1b[?1049l",
            "\x1b[?2004h$ \x1b[?2004l",
            "\x1b=\x1b>\x1b(0\x1b(B\x0e\x0f\x1b[4h\x1b[4l\x1b[2;5r\x1b[r",
            "\x1b[>1u\x1b[<u\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1b]4;1;red\x07\x1b]104\x07\x1b]11;blue\x07\x1b]111\x07",
            "\x1b[?25l\x1b=\x1b[?1000h\x1b[7m\x1bc",
            "\x1b]11;?\x07\x1b]52;c;Zm9v\x07\x1b]0;title\x07",
        ] {
            assert_eq!(undo(clean), "", "{clean:?}");
        }
    }

    #[test]
    fn what_was_left_on_is_switched_off() {
        assert_eq!(undo("\x1b[?1000;1006h\x1b[?2004h"), "E\\\\E[?1000lE[?1006lE[?2004l");
        assert_eq!(undo("\x1b[?25l\x1b[?7l"), "E\\\\E[?7hE[?25h");
        assert_eq!(undo("\x1b[?1049h\x1b[2;5r"), "E\\\\E[rE[999;1HE[?1049l");
        assert_eq!(undo("\x1b=\x0e\x1b(0\x1b[3 q\x1b[1m"), "E\\\\E>\\u{f}E(BE[0 qE[m");
        assert_eq!(undo("\x1b[>1u\x1b[>5u\x1b[=3u\x1b[>4;2m"), "E\\\\E[>4mE[=0uE[<2u");
        assert_eq!(undo("\x1b]8;;http://x\x07\x1b]4;1;red\x07\x1b]10;red\x07"), "E\\\\E]8;;E\\\\E]104E\\\\E]110E\\\\");
        assert_eq!(undo("\x1b[?1049h\x1b[?25l\x1bc"), "E\\\\E[?1049l", "tmux stays on the alternate screen");
        assert_eq!(undo("\x1b[4;20h\x1b[2h"), "E\\\\E[2lE[4lE[20l");
    }

    #[test]
    fn an_output_that_broke_off_ends_what_has_not_ended() {
        for begun in ["\x1b]0;a title that never ends", "\x1bPqsixel", "\x1b[?10", "\x1b", "\x1b_", "plain"] {
            assert_eq!(after(begun).undo(true), b"\x1b\\", "{begun:?}");
        }
    }

    #[test]
    fn pieces_change_nothing() {
        let written = "\x1b[?1049h\x1b[?1;25;1002;1006l\x1b[?1002;1006h\x1b]8;;u\x1b\\\x1b[38;2;1;2;3m\x1b[>1u\u{9b}é";
        let whole = after(written).undo(true);
        for cut in 0..written.len() {
            let mut modes = Modes::default();
            modes.pass(&written.as_bytes()[..cut]);
            modes.pass(&written.as_bytes()[cut..]);
            assert_eq!(modes.undo(true), whole, "cut at {cut}");
        }
    }

    #[test]
    fn undoing_is_enough_and_redoing_brings_it_back() {
        let mut modes =
            after("\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l\x1b[?1003h\x1b[5;6r\x1b[1m\x1b(0\x1b[>1u\x1b]12;red\x07\x1b[4h");
        let (undone, redone) = (modes.undo(false), modes.redo());
        modes.pass(&undone);
        assert!(modes.is_clean(), "{:?}", modes.left);
        modes.pass(&redone);
        let private = [1, 25, 1003, 1049].into_iter().collect();
        assert_eq!(modes.left, Left { private, keypad: true, ..Left::default() });
    }

    #[test]
    fn a_hostile_output_takes_no_memory() {
        let mut modes = Modes::default();
        for _ in 0..1000 {
            modes.pass(&[b"\x1b]8;;".as_slice(), &[b'x'; 10_000]].concat());
            modes.pass(b"\x1b[>1u\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27;28;29;30;31;32;33;34m");
        }
        assert!(modes.undo(true).len() < 200);
    }
}
