//! What a drawn terminal shows, for a program that writes over it and removes that again.

use super::emulator::{Emulator, printed, select};

/// What a terminal shows at a time: cells, cursor and style.
#[derive(Clone, Copy)]
pub struct Shown<'a>(&'a Emulator);

/// One cell.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    emulator: &'a Emulator,
    cell: avt::Cell,
}

impl Emulator {
    /// What it shows now. A combining mark that comes later than this is not drawn.
    pub fn settled(&mut self) -> Shown<'_> {
        self.settle();
        Shown(self)
    }
}

impl<'a> Shown<'a> {
    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        (self.0.size().rows.max(1), self.0.size().columns.max(1))
    }

    /// Row and column of the cursor. Behind the last column it stands when the next character wraps.
    pub fn cursor(&self) -> (u16, u16) {
        let cursor = self.0.terminal.cursor();
        let of = |number| u16::try_from(number).unwrap_or(u16::MAX);
        (of(cursor.row), of(cursor.col))
    }

    /// The cell in this row and column, if there is one.
    pub fn cell(&self, row: u16, column: u16) -> Option<Cell<'a>> {
        let cell = self.0.terminal.screen().line(row.into())?.cells().get(usize::from(column)).copied()?;
        Some(Cell { emulator: self.0, cell })
    }

    /// Whether this row goes on in the next one.
    pub fn wraps(&self, row: u16) -> bool {
        self.0.terminal.screen().line(row.into()).is_some_and(avt::Line::is_wrapped)
    }

    /// The bytes that print a row from its first column on, without the blanks at its end, in the usual style at the beginning and at the
    /// end.
    pub fn row(&self, row: u16) -> Vec<u8> {
        self.0.terminal.screen().line(row.into()).map(|line| printed(line, &self.0.symbols)).unwrap_or_default()
    }

    /// The bytes that bring the cursor back, and the style of what is printed next.
    pub fn back(&self) -> Vec<u8> {
        let (row, column) = self.cursor();
        let last = self.size().1 - 1;
        let mut out = format!("\x1b[{};{}H", row + 1, column.min(last) + 1).into_bytes();
        if column > last {
            // Only a character in the last column leaves the terminal about to wrap.
            let start = if self.cell(row, last).is_some_and(|cell| cell.cell.width() == 0) {
                last.saturating_sub(1)
            } else {
                last
            };
            if let Some(cell) = self.cell(row, start) {
                out.extend(format!("\x1b[{};{}H", row + 1, start + 1).bytes());
                select(cell.cell.pen(), &mut out);
                out.extend(cell.text().bytes());
            }
        }
        out.extend(self.style());
        out.extend(if self.0.terminal.cursor().visible { b"\x1b[?25h" } else { b"\x1b[?25l" });
        out
    }

    /// The bytes that select the style of what is printed next.
    pub fn style(&self) -> Vec<u8> {
        // The emulator gives it away in its state only, where it is the last style: behind it are modes.
        let dump = self.0.terminal.dump();
        let style = dump.rmatch_indices("\x1b[").find_map(|(at, _)| {
            let rest = &dump.as_bytes()[at..];
            let end = rest.iter().skip(2).take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count() + 2;
            (rest.get(end) == Some(&b'm')).then(|| rest[..=end].to_vec())
        });
        style.unwrap_or_else(|| b"\x1b[m".to_vec())
    }

    /// The text of all rows, without the blanks at their ends and the empty rows at the end.
    pub fn text(&self) -> String {
        let rows = self.0.terminal.screen().visible_lines().map(|line| {
            let cells = line.cells().iter().filter(|cell| cell.width() > 0);
            let text: String = cells.map(|&cell| Cell { emulator: self.0, cell }.text()).collect();
            text.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n").trim_end_matches('\n').to_owned()
    }

    /// What brings an empty terminal of this size into this state: two terminals that show the same have the same one.
    pub fn state(&self) -> Vec<u8> {
        self.0.written_out()
    }
}

impl Cell<'_> {
    /// A character and its marks; nothing in the second half of a wide one.
    pub fn text(&self) -> String {
        let character = self.cell.char();
        match self.emulator.symbols.get(character) {
            _ if self.cell.width() == 0 => String::new(),
            Some(content) => content.text.clone(),
            None => character.to_string(),
        }
    }

    /// Whether it shows this character and nothing else.
    pub fn shows(&self, character: char) -> bool {
        self.cell.width() > 0 && self.cell.char() == character
    }

    /// Whether it is one character of one column in the usual style, so that it can be shown again by printing that.
    pub fn is_plain(&self) -> bool {
        self.cell.width() == 1 && self.cell.pen().is_default() && self.emulator.symbols.get(self.cell.char()).is_none()
    }

    /// Whether it is underlined.
    pub fn is_underlined(&self) -> bool {
        self.cell.pen().is_underline()
    }
}
