//! What a program has set in its terminal besides what is drawn: mouse, keyboard, title, colours, a link. And where its control sequences begin and
//! end, so that nothing is cut inside of one.

use std::collections::{BTreeMap, BTreeSet};

use super::symbols::Link;

/// Private modes (`CSI ? n h`) that change what the terminal sends or how it looks as a whole. Those that change how it draws are the
/// emulator's. A mode that has the terminal answer at once is not among them.
const MODES: &[u16] = &[5, 9, 12, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004];
/// The longest control sequence that is looked at, and the longest title.
const LONGEST: usize = 4096;
const TITLE: usize = 1024;
/// The longest name of a colour.
const COLOUR: usize = 64;
/// The colours that a program may change (OSC): those of the palette, and those of text, background, cursor, and so on.
const PALETTE: u16 = 4;
const SPECIAL: std::ops::RangeInclusive<u16> = 10..=19;
/// Added to them, the sequence sets the colour back.
const BACK: u16 = 100;
/// How deep the settings of the keyboard are stacked.
const STACK: usize = 16;

/// Reads a terminal's output, and remembers what it has set.
#[derive(Clone, Debug, Default)]
pub(super) struct Modes {
    state: State,
    body: Vec<u8>,
    /// Bytes of a character that are still to come.
    missing: u8,
    set: BTreeSet<u16>,
    application_keypad: bool,
    cursor_style: u16,
    modify_other_keys: u16,
    /// The kitty keyboard protocol's flags, of each screen.
    keyboard: [Vec<u16>; 2],
    alternate: bool,
    title: Vec<u8>,
    /// By the number of the sequence, and by the number in the palette.
    colours: BTreeMap<(u16, u16), Vec<u8>>,
    link: Option<Link>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// An escape sequence with a byte that is not its last.
    Intermediate,
    Csi,
    Osc,
    /// A string that nothing is done with: DCS, SOS, PM, APC.
    Other,
    /// An escape in a string, which may end it.
    StringEscape {
        osc: bool,
    },
}

impl Modes {
    /// Reads some output. Gives how many of the bytes lie before the last place that is outside of all sequences and characters;
    /// `None` if there is no such place.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut outside = None;
        for (at, &byte) in bytes.iter().enumerate() {
            self.byte(byte);
            if self.is_between() {
                outside = Some(at + 1);
            }
        }
        outside
    }

    /// Whether what comes next is text or begins a sequence.
    pub(super) fn is_outside(&self) -> bool {
        self.state == State::Ground
    }

    /// Whether this is outside of all sequences and characters.
    pub(super) fn is_between(&self) -> bool {
        self.is_outside() && self.missing == 0
    }

    /// The link that text belongs to now.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    pub(super) fn byte(&mut self, byte: u8) {
        match (self.state, byte) {
            // Cancel and substitute end every sequence.
            (state, 0x18 | 0x1a) if state != State::Ground => self.state = State::Ground,
            (State::Ground, 0x1b) => (self.state, self.missing) = (State::Escape, 0),
            (State::Ground, byte) => self.missing = missing_after(self.missing, byte),
            (State::Osc, 0x07) => self.end_string(true),
            (State::Osc, 0x1b) => self.state = State::StringEscape { osc: true },
            (State::Other, 0x1b) => self.state = State::StringEscape { osc: false },
            (State::Osc, byte) => self.keep(byte),
            (State::Other, _) => {}
            (State::StringEscape { osc }, b'\\') => self.end_string(osc),
            // Another sequence begins in place of the string's end.
            (State::StringEscape { .. }, byte) => self.escape(byte),
            (_, 0x1b) => self.begin(State::Escape),
            (State::Escape, byte) => self.escape(byte),
            (State::Intermediate, 0x30..=0x7e) => self.state = State::Ground,
            (State::Csi, 0x40..=0x7e) => {
                self.state = State::Ground;
                let body = std::mem::take(&mut self.body);
                self.control(&body, byte);
            }
            (State::Csi, 0x20..=0x3f) => self.keep(byte),
            // A control character in a sequence is obeyed at once.
            (State::Intermediate | State::Csi, _) => {}
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.body.clear();
    }

    /// A byte beyond the longest makes the whole mean nothing.
    fn keep(&mut self, byte: u8) {
        if self.body.len() < LONGEST {
            self.body.push(byte);
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'[' => self.begin(State::Csi),
            b']' => self.begin(State::Osc),
            b'P' | b'X' | b'^' | b'_' => self.begin(State::Other),
            0x20..=0x2f => self.begin(State::Intermediate),
            byte => {
                self.begin(State::Ground);
                match byte {
                    b'=' => self.application_keypad = true,
                    b'>' => self.application_keypad = false,
                    // A full reset.
                    b'c' => *self = Self::default(),
                    _ => {}
                }
            }
        }
    }

    fn end_string(&mut self, osc: bool) {
        let body = std::mem::take(&mut self.body);
        self.state = State::Ground;
        if osc && body.len() < LONGEST {
            self.command(&body);
        }
    }

    /// A command of the operating system (OSC).
    fn command(&mut self, body: &[u8]) {
        let (number, rest) = split(body);
        match numbers(number).next().unwrap_or(0) {
            0 | 2 if !number.is_empty() => {
                self.title = rest.iter().copied().filter(|byte| !byte.is_ascii_control()).take(TITLE).collect();
            }
            // None of the others has control characters.
            _ if body.iter().any(u8::is_ascii_control) => {}
            8 => self.link = (!split(rest).1.is_empty()).then(|| rest.into()),
            PALETTE => {
                let (mut index, mut rest) = split(rest);
                while !index.is_empty() {
                    let (colour, after) = split(rest);
                    self.colour((PALETTE, numbers(index).next().unwrap_or(u16::MAX)), colour);
                    (index, rest) = split(after);
                }
            }
            // Each further one is the next number's.
            first if SPECIAL.contains(&first) => {
                let colours = rest.split(|&byte| byte == b';');
                (first..=*SPECIAL.end()).zip(colours).for_each(|(number, colour)| self.colour((number, 0), colour));
            }
            number if number == BACK + PALETTE => {
                let all = rest.is_empty();
                let which: BTreeSet<u16> = numbers(rest).collect();
                self.colours.retain(|(number, index), _| *number != PALETTE || !(all || which.contains(index)));
            }
            number if number >= BACK => drop(self.colours.remove(&(number - BACK, 0))),
            _ => {}
        }
    }

    /// One colour; a question changes none.
    fn colour(&mut self, which: (u16, u16), colour: &[u8]) {
        if which.1 < 256 && (1..=COLOUR).contains(&colour.len()) && colour != b"?" {
            self.colours.insert(which, colour.to_vec());
        }
    }

    /// A control sequence.
    fn control(&mut self, body: &[u8], last: u8) {
        match (body.first(), last) {
            (Some(b'?'), b'h' | b'l') => self.private_modes(&body[1..], last == b'h'),
            (_, b'q') => {
                if let Some(style) = body.strip_suffix(b" ") {
                    self.cursor_style = numbers(style).next().unwrap_or(0);
                }
            }
            (Some(b'!'), b'p') => self.application_keypad = false,
            (Some(b'>'), b'm') => {
                let mut numbers = numbers(&body[1..]);
                if numbers.next() == Some(4) {
                    self.modify_other_keys = numbers.next().unwrap_or(0);
                }
            }
            (Some(first), b'u') => self.keyboard(*first, &body[1..]),
            _ => {}
        }
    }

    fn private_modes(&mut self, body: &[u8], set: bool) {
        for mode in numbers(body) {
            match mode {
                47 | 1047 | 1049 => self.alternate = set,
                mode if !MODES.contains(&mode) => {}
                mode if set => drop(self.set.insert(mode)),
                mode => drop(self.set.remove(&mode)),
            }
        }
    }

    fn keyboard(&mut self, first: u8, body: &[u8]) {
        let stack = &mut self.keyboard[usize::from(self.alternate)];
        let mut numbers = numbers(body);
        let number = numbers.next();
        match first {
            b'>' => {
                if stack.len() == STACK {
                    stack.remove(0);
                }
                stack.push(number.unwrap_or(0));
            }
            b'<' => stack.truncate(stack.len().saturating_sub(number.filter(|&count| count > 0).unwrap_or(1).into())),
            b'=' => {
                let flags = number.unwrap_or(0);
                let before = stack.pop().unwrap_or(0);
                stack.push(match numbers.next().unwrap_or(1) {
                    2 => before | flags,
                    3 => before & !flags,
                    _ => flags,
                });
            }
            _ => {}
        }
    }

    /// What sets all this in a terminal in which nothing is set, on the primary screen.
    pub(super) fn of_primary(&self, out: &mut Vec<u8>) {
        self.keyboard[0].iter().for_each(|flags| out.extend(format!("\x1b[>{flags}u").bytes()));
    }

    /// The rest of it, on the screen that is shown.
    pub(super) fn of_shown(&self, out: &mut Vec<u8>) {
        if self.alternate {
            self.keyboard[1].iter().for_each(|flags| out.extend(format!("\x1b[>{flags}u").bytes()));
        }
        self.set.iter().for_each(|mode| out.extend(format!("\x1b[?{mode}h").bytes()));
        if self.application_keypad {
            out.extend(b"\x1b=");
        }
        if self.cursor_style > 0 {
            out.extend(format!("\x1b[{} q", self.cursor_style).bytes());
        }
        if self.modify_other_keys > 0 {
            out.extend(format!("\x1b[>4;{}m", self.modify_other_keys).bytes());
        }
        if !self.title.is_empty() {
            out.extend(b"\x1b]2;");
            out.extend(&self.title);
            out.push(0x07);
        }
        for ((number, index), colour) in &self.colours {
            let index = if *number == PALETTE { format!("{index};") } else { String::new() };
            out.extend(format!("\x1b]{number};{index}").bytes());
            out.extend(colour);
            out.extend(b"\x1b\\");
        }
        if let Some(link) = &self.link {
            out.extend(b"\x1b]8;");
            out.extend(link.iter());
            out.extend(b"\x1b\\");
        }
    }

    /// What unsets all of it in a terminal in which something may be set.
    pub(super) fn unset(out: &mut Vec<u8>) {
        out.extend(b"\x1b>\x1b]8;;\x1b\\");
        let modes: Vec<_> = MODES.iter().map(u16::to_string).collect();
        out.extend(format!("\x1b[?{}l", modes.join(";")).bytes());
    }
}

/// What lies before the first semicolon, and behind it.
fn split(body: &[u8]) -> (&[u8], &[u8]) {
    let at = body.iter().position(|&byte| byte == b';').unwrap_or(body.len());
    (&body[..at], body.get(at + 1..).unwrap_or_default())
}

/// The numbers of a sequence, separated by semicolons; one that is left out is 0.
fn numbers(body: &[u8]) -> impl Iterator<Item = u16> + '_ {
    body.split(|&byte| byte == b';').map(|digits| {
        let digit =
            |number: u32, byte: &u8| number.saturating_mul(10).saturating_add(u32::from(byte.wrapping_sub(b'0')));
        u16::try_from(digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, digit)).unwrap_or(u16::MAX)
    })
}

/// How many bytes of a character are to come after this byte (RFC 3629).
fn missing_after(missing: u8, byte: u8) -> u8 {
    match byte {
        0x80..=0xbf => missing.saturating_sub(1),
        0xc2..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf4 => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &[u8]) -> String {
        let mut modes = Modes::default();
        modes.read(output);
        let mut out = Vec::new();
        modes.of_shown(&mut out);
        String::from_utf8(out).expect("text").replace('\x1b', "^")
    }

    #[test]
    fn what_is_set_is_set_again_and_what_was_unset_is_not() {
        assert_eq!(shown(b"\x1b[?2004h\x1b[?1002;1006h\x1b[?25l\x1b="), "^[?1002h^[?1006h^[?2004h^=");
        assert_eq!(shown(b"\x1b[?2004h\x1b[?2004l\x1b=\x1b>\x1b[4 q\x1b[0 q"), "");
        assert_eq!(shown(b"\x1b]0;one\x07\x1b]2;t\xc3\xa4st\x1b\\\x1b[>4;2m"), "^[>4;2m^]2;t\u{e4}st\u{7}");
        assert_eq!(shown(b"\x1b[?1049h\x1b[>1u\x1b[>5u\x1b[<u\x1b[=8;2u"), "^[>9u");
        assert_eq!(shown(b"\x1b[?1000h\x1b]2;gone\x07\x1bc"), "", "a full reset");
    }

    #[test]
    fn colours_and_an_open_link_are_set_again() {
        assert_eq!(shown(b"\x1b]4;1;rgb:ff/00/00;2;#0f0\x07"), "^]4;1;rgb:ff/00/00^\\^]4;2;#0f0^\\");
        assert_eq!(shown(b"\x1b]4;1;red;2;green\x07\x1b]104;1\x07"), "^]4;2;green^\\");
        assert_eq!(shown(b"\x1b]4;1;red;2;green\x07\x1b]104\x07"), "");
        assert_eq!(shown(b"\x1b]10;white;black\x1b\\\x1b]12;red\x07\x1b]110\x07"), "^]11;black^\\^]12;red^\\");
        assert_eq!(shown(b"\x1b]4;1;?\x07\x1b]4;999;red\x07\x1b]4;1\x07\x1b]4\x07\x1b]\x07"), "");
        assert_eq!(shown(b"\x1b]8;id=1;http://h/\x1b\\text"), "^]8;id=1;http://h/^\\");
        assert_eq!(shown(b"\x1b]8;;http://h/\x1b\\text\x1b]8;;\x1b\\"), "");
        let long = format!("\x1b]8;;http://h/{}\x07", "x".repeat(5000));
        assert_eq!(shown(long.as_bytes()), "", "one that is too long is none");
    }

    #[test]
    fn nothing_that_asks_the_terminal_is_repeated() {
        let queries = b"\x1b[c\x1b[>c\x1b[6n\x1b[?6n\x1b[5n\x1b[?1$p\x1b]10;?\x07\x1b]11;?\x1b\\\x1bP+q544e\x1b\\\x1b[?u\x1b[18t\x1b]52;c;?\x07";
        assert_eq!(shown(queries), "");
        assert_eq!(shown(b"\x1b]52;c;aGk=\x07\x1b[?2048h\x1b[?2026h"), "", "a clipboard is not filled a second time");
    }

    #[test]
    fn a_place_outside_of_all_sequences_is_found() {
        let outside = |output: &[u8]| Modes::default().read(output);
        assert_eq!(outside(b"abc"), Some(3));
        assert_eq!(outside(b"abc\x1b[3"), Some(3));
        assert_eq!(outside(b"abc\x1b[31m"), Some(8));
        assert_eq!(outside(b"a\xe2\x82"), Some(1));
        assert_eq!(outside(b"a\xe2\x82\xac"), Some(4));
        assert_eq!(outside(b"\x1b]0;abc"), None);
        assert_eq!(outside(b"\x1b]0;abc\x1b"), None);
        assert_eq!(outside(b"\x1b]0;abc\x1b[mx"), Some(11), "another sequence ends it");
        assert_eq!(outside(b"\x1bPabc\x18"), Some(6), "it is cancelled");
        assert_eq!(outside(b"\x1b(B\xff\x80x"), Some(6));
    }
}
