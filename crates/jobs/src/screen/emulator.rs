//! A terminal's output, drawn: which cells it shows, and what has scrolled out of them.

use avt::{Color, Line, Pen, Terminal};
use unglue_proto::message::exec::TerminalSize;

use unicode_width::UnicodeWidthChar as _;

use super::modes::Modes;
use super::symbols::{Symbols, Waiting, Writer};

/// The largest terminal that is drawn. A program may have a larger one; what it prints is then laid out for this size.
const LARGEST: TerminalSize = TerminalSize { rows: 500, columns: 1000 };
/// Lines that have scrolled out, and cells in them, that are kept.
const LINES: usize = 5000;
const CELLS: usize = 1 << 20;
/// A character and its marks are no longer than this, in bytes.
const TAIL: usize = 64;

/// A terminal that is drawn in memory. It takes some 20 bytes for each cell.
///
/// ```
/// use unglue_jobs::screen::Emulator;
/// use unglue_proto::message::exec::TerminalSize;
///
/// let mut emulator = Emulator::new(TerminalSize::new(24, 80), false);
/// emulator.feed(b"$ ls\r\n\x1b[32mgreen\x1b[m");
/// assert_eq!(emulator.settled().text(), "$ ls\ngreen");
/// ```
pub struct Emulator {
    pub(super) terminal: Terminal,
    modes: Modes,
    pub(super) symbols: Symbols,
    size: TerminalSize,
    /// The bytes of a character of which the rest is to come.
    partial: Vec<u8>,
    waiting: Waiting,
}

impl Emulator {
    /// An empty terminal of this size; one without cells gets one. `history`: whether lines that scroll out are kept.
    pub fn new(size: TerminalSize, history: bool) -> Self {
        let (rows, columns) = drawn(size);
        let lines = if history { LINES.min(CELLS / columns) } else { 0 };
        #[expect(clippy::expect_used, reason = "a size without cells is the one error, and this has cells")]
        let terminal = Terminal::with_scrollback(columns, rows, Some(lines)).expect("it has cells");
        let (modes, symbols, waiting) = (Modes::default(), Symbols::default(), Waiting::default());
        Self { terminal, modes, symbols, size, partial: Vec::new(), waiting }
    }

    /// Its size.
    pub fn size(&self) -> TerminalSize {
        self.size
    }

    /// Gives it another size; long lines are laid out anew.
    pub fn resize(&mut self, size: TerminalSize) {
        if size != self.size {
            self.settle();
            let (rows, columns) = drawn(size);
            self.size = size;
            self.terminal.resize(columns, rows);
        }
    }

    /// Draws output up to the last place that is outside of all sequences. Gives how many bytes that are; all where there is no such
    /// place. Nothing can be fed after it. With `goes_on`, another emulator draws the rest: then the last character is left to that, since
    /// marks may follow.
    pub(super) fn feed_last(&mut self, bytes: &[u8], goes_on: bool) -> usize {
        let mut modes = self.modes.clone();
        modes.read(&self.partial);
        let outside = |upto: usize| modes.clone().read(&bytes[..upto]);
        let end = outside(bytes.len()).unwrap_or(if modes.is_between() { 0 } else { bytes.len() });
        let before = without_last(&bytes[..end]);
        let end = if goes_on && outside(before) == Some(before) { before } else { end };
        self.feed(&bytes[..end]);
        end
    }

    /// Draws some output. What is not UTF-8 is drawn as U+FFFD, as terminals do.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut joined = std::mem::take(&mut self.partial);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let mut drawn = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|character| self.read(character, &mut drawn));
            match chunk.invalid() {
                [] => {}
                rest if chunks.peek().is_none() && is_beginning(rest) => self.partial = rest.to_vec(),
                _ => self.read(char::REPLACEMENT_CHARACTER, &mut drawn),
            }
        }
        self.terminal.feed(&*drawn);
    }

    /// Takes a character: text waits for its marks, everything else goes to the emulator as it is.
    fn read(&mut self, character: char, drawn: &mut String) {
        if self.modes.is_outside() && !character.is_control() {
            drawn.extend(self.waiting.take(character, self.modes.link(), &mut self.symbols));
            return;
        }
        drawn.extend(self.waiting.end(self.modes.link(), &mut self.symbols));
        drawn.push(character);
        character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.modes.byte(byte));
    }

    /// Draws the last character, too: no mark follows it.
    pub(super) fn settle(&mut self) {
        if let Some(last) = self.waiting.end(self.modes.link(), &mut self.symbols) {
            self.terminal.feed(last);
        }
    }

    /// What brings an empty terminal of this size into this state, without the lines that have scrolled out.
    pub(super) fn state(&mut self) -> Vec<u8> {
        self.settle();
        self.written_out()
    }

    /// The same of one that is settled.
    pub(super) fn written_out(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.modes.of_primary(&mut out);
        let mut writer = Writer::new(&self.symbols);
        repeat(&self.terminal.dump(), &mut writer);
        out.extend(writer.finish());
        self.modes.of_shown(&mut out);
        out
    }

    /// What shows all of this on a person's terminal of `viewer`'s size, whatever that shows now: its own lines scroll out of the
    /// way, then come those that have scrolled out here, then the screen.
    pub(super) fn picture(&mut self, viewer: TerminalSize) -> Vec<u8> {
        self.settle();
        let (rows, columns) = drawn(viewer);
        let mut out = Vec::new();
        // The primary screen, no margins, no colours, the usual characters, and nothing that its program had set.
        out.extend(b"\x1b[?1049l\x1b[!p\x1b[?6l\x1b[r\x1b[4l\x1b[?7h\x1b[?25h\x1b[?1l\x1b(B\x1b)B\x0f\x1b[m");
        Modes::unset(&mut out);
        scroll_out(rows, rows, &mut out);
        let screen = self.terminal.primary_screen();
        let lines = screen.all_lines().count().saturating_sub(screen.visible_lines().len());
        for (number, line) in screen.all_lines().take(lines).enumerate() {
            out.extend(printed(line, &self.symbols));
            // One that goes on in the next line wraps by itself; the last of all goes on in what is shown.
            if !line.is_wrapped() || number + 1 == lines {
                out.extend(b"\r\n");
            }
        }
        // As long lines take several of a narrow terminal, there may be more of them; never more than all but one.
        let narrow = columns < drawn(self.size).1;
        let taken = if narrow && lines > 0 { rows } else { lines };
        scroll_out(rows, taken.min(rows - 1), &mut out);
        out.extend(b"\x1b[H");
        out.extend(self.written_out());
        out
    }
}

fn drawn(size: TerminalSize) -> (usize, usize) {
    let of = |wanted: u16, most: u16| usize::from(wanted.clamp(1, most));
    (of(size.rows, LARGEST.rows), of(size.columns, LARGEST.columns))
}

/// Whether these bytes are the beginning of a character.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// How many bytes lie before the last character and its marks.
fn without_last(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    let text =
        tail.utf8_chunks().last().map_or("", |chunk| if chunk.invalid().is_empty() { chunk.valid() } else { "" });
    let mut from_behind = text.char_indices().rev();
    match from_behind.find(|(_, last)| last.width() != Some(0)) {
        Some((at, last)) if !last.is_control() => bytes.len() - text.len() + at,
        _ => bytes.len(),
    }
}

/// Copies a dump, with characters in place of their repetition (`CSI n b`), which not every terminal knows.
fn repeat(dump: &str, writer: &mut Writer<'_>) {
    let mut rest = dump;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        write(before, writer);
        let digits = sequence[2..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = sequence[2..].split_at(digits);
        match (after.strip_prefix('b'), before.chars().next_back(), number.parse::<usize>()) {
            (Some(after), Some(last), Ok(count)) => {
                (0..count).for_each(|_| writer.character(last));
                rest = after;
            }
            _ => {
                writer.out.extend(b"\x1b[");
                rest = sequence.strip_prefix("\x1b[").unwrap_or_default();
                let end = rest.find(|last: char| ('@'..='~').contains(&last)).map_or(rest.len(), |at| at + 1);
                writer.out.extend(rest[..end].bytes());
                rest = &rest[end..];
            }
        }
    }
    write(rest, writer);
}

/// Copies text. Other sequences than control sequences are short and have no character of the emulator's.
fn write(text: &str, writer: &mut Writer<'_>) {
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        rest[..at].chars().for_each(|character| writer.character(character));
        let end = rest[at..].find(|last: char| ('0'..='~').contains(&last)).map_or(rest.len(), |last| at + last + 1);
        writer.out.extend(rest[at..end].bytes());
        rest = &rest[end..];
    }
    rest.chars().for_each(|character| writer.character(character));
}

/// Scrolls so many lines out of a terminal with so many rows, and goes to its first one.
fn scroll_out(rows: usize, lines: usize, out: &mut Vec<u8>) {
    out.extend(format!("\x1b[{rows};1H").bytes());
    out.extend(std::iter::repeat_n(b'\n', lines));
    out.extend(b"\x1b[H");
}

/// The bytes that print a line, without the blanks at its end.
pub(super) fn printed(line: &Line, symbols: &Symbols) -> Vec<u8> {
    let mut writer = Writer::new(symbols);
    let cells = line.cells();
    let blank = |cell: &avt::Cell| cell.char() == ' ' && cell.pen().is_default();
    let end = if line.is_wrapped() {
        cells.len()
    } else {
        cells.iter().rposition(|cell| !blank(cell)).map_or(0, |last| last + 1)
    };
    let mut pen = Pen::default();
    for cell in &cells[..end] {
        if *cell.pen() != pen {
            pen = *cell.pen();
            select(&pen, &mut writer.out);
        }
        // The second half of a wide character has no width.
        if cell.width() > 0 {
            writer.character(cell.char());
        }
    }
    if pen != Pen::default() {
        writer.out.extend(b"\x1b[m");
    }
    writer.finish()
}

/// Selects a pen (SGR).
pub(super) fn select(pen: &Pen, out: &mut Vec<u8>) {
    out.extend(b"\x1b[0");
    let attributes = [
        (pen.is_bold(), "1"),
        (pen.is_faint(), "2"),
        (pen.is_italic(), "3"),
        (pen.is_underline(), "4"),
        (pen.is_blink(), "5"),
        (pen.is_inverse(), "7"),
        (pen.is_strikethrough(), "9"),
    ];
    for (_, number) in attributes.iter().filter(|(set, _)| *set) {
        out.extend(format!(";{number}").bytes());
    }
    for (place, color) in [(38, pen.foreground()), (48, pen.background())] {
        match color {
            None => {}
            // As most programs say it, and every terminal knows.
            Some(Color::Indexed(index @ ..8)) => out.extend(format!(";{}", place - 8 + u32::from(index)).bytes()),
            Some(Color::Indexed(index)) => out.extend(format!(";{place};5;{index}").bytes()),
            Some(Color::RGB(rgb)) => out.extend(format!(";{place};2;{};{};{}", rgb.r, rgb.g, rgb.b).bytes()),
        }
    }
    out.push(b'm');
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TerminalSize = TerminalSize { rows: 5, columns: 20 };

    /// A terminal that has been shown this.
    fn showing(pieces: &[&[u8]]) -> Emulator {
        let mut emulator = Emulator::new(SIZE, true);
        pieces.iter().for_each(|piece| emulator.feed(piece));
        emulator.settle();
        emulator
    }

    fn text(emulator: &Emulator) -> Vec<String> {
        emulator.terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect()
    }

    fn all(emulator: &Emulator) -> Vec<String> {
        emulator.terminal.primary_screen().all_lines().map(|line| line.text().trim_end().to_owned()).collect()
    }

    const SAMPLES: &[&[u8]] = &[
        b"$ ls\r\none two\r\n$ ",
        b"1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\x1b[1;31mred\x1b[m plain",
        b"a line that is longer than the terminal is wide, and then some\r\nnext",
        b"shell\r\n\x1b[?1049h\x1b[2;4r\x1b[3;3H\x1b[7mvim\x1b[m\x1b[?25l\x1b[?2004h",
        b"\x1b[10;10Hfar\x1b7\x1b[Hhome\x1b[4h\x1b(0qqq",
        "wide \u{4f60}\u{597d} e\u{301} end\r\n\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}\u{4f60}x".as_bytes(),
        b"\x1b]8;;http://one/\x07link\x1b]8;;\x07 \x1b]8;id=2;http://two/\x1b\\tw\xe4\xbd\xa0o\r\nstill the link, for longer than a line",
        "\u{4f60}\u{300}n\u{303}\u{323}o\u{308}\r\n\x1b[35ma\u{301}\x1b[3b\x1b[m\u{100000}\u{38000}".as_bytes(),
        b"\xff\xfe\x80 not text \xe2\x82",
        b"01234567890123456789",
    ];

    #[test]
    fn a_picture_shows_the_same_on_another_terminal_of_this_size() {
        for sample in SAMPLES {
            let mut original = showing(&[sample]);
            // A person's terminal, on which something stands already.
            let mut viewer = showing(&[b"mine\r\nmine too\r\n$ \x1b[1;2r\x1b[32m", &original.picture(SIZE)]);
            let sample = sample.escape_ascii();
            assert_eq!(text(&viewer), text(&original), "{sample}");
            assert_eq!(viewer.terminal.cursor(), original.terminal.cursor(), "{sample}");
            assert_eq!(viewer.state(), original.state(), "{sample}");
            let own = &all(&original)[..all(&original).len() - 5];
            let scrolled = all(&viewer);
            let scrolled: Vec<_> = scrolled[..scrolled.len() - 5].iter().filter(|line| !line.is_empty()).collect();
            assert!(scrolled.starts_with(&[&"mine".to_owned(), &"mine too".to_owned()]), "{sample}: {scrolled:?}");
            assert!(scrolled.ends_with(&own.iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()), "{sample}");
        }
    }

    #[test]
    fn a_state_goes_on_as_the_original() {
        for sample in SAMPLES {
            for cut in 0..sample.len() {
                let (before, after) = sample.split_at(cut);
                let mut first = Emulator::new(SIZE, false);
                let taken = first.feed_last(before, true);
                let mut second = Emulator::new(SIZE, false);
                second.feed(&first.state());
                second.feed(&sample[taken..]);
                let (mut sample, after) = (showing(&[sample]), after.escape_ascii());
                assert_eq!(second.settled().text(), sample.settled().text(), "before {after}");
                assert_eq!(second.terminal.cursor(), sample.terminal.cursor(), "before {after}");
            }
        }
    }

    #[test]
    fn output_may_be_fed_in_any_pieces() {
        for sample in SAMPLES {
            let mut whole = showing(&[sample]);
            let single: Vec<&[u8]> = sample.chunks(1).collect();
            assert_eq!(showing(&single).state(), whole.state(), "{}", sample.escape_ascii());
        }
    }

    #[test]
    fn sizes_without_cells_and_huge_ones_are_drawn() {
        for (rows, columns) in [(0, 0), (1, 1), (u16::MAX, u16::MAX)] {
            let mut emulator = Emulator::new(TerminalSize { rows, columns }, true);
            emulator.feed(b"hello\r\nworld");
            emulator.resize(TerminalSize { rows: columns, columns: 0 });
            emulator.feed("\u{4f60}\x1b[99999;99999Hx".as_bytes());
            assert!(!emulator.picture(TerminalSize { rows: 0, columns: 0 }).is_empty());
        }
    }
}
