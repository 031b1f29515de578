//! Predicted echo (`--predict`): what is typed is shown at once, underlined, before the program has echoed it.
//!
//! Only what nearly always holds is predicted: a character appears at the cursor, where nothing stands, and backspace takes it
//! away again. A line's predictions are shown once one of them has come true, so nothing is ever shown of a password. They are
//! removed when the program prints something else, and after a round trip without an echo.
//!
//! The program's own output must find the terminal as the program knows it. So around each piece of output:
//!
//! 1. write [`Predictor::erase`], and then the output;
//! 2. have the emulator take the output, and call [`Predictor::output`];
//! 3. write [`Predictor::draw`].
//!
//! [`Predictor::typed`] takes keys (erase before it and draw after it). At [`Predictor::deadline`], [`Predictor::expire`] gives
//! up what has not come true.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use unglue::screen::{Cell, Shown};

/// Echoes that are this quick need no prediction.
const SHOWN_FROM: Duration = Duration::from_millis(20);
/// How long a round trip is taken to be at most before an echo was measured.
const UNMEASURED: Duration = Duration::from_secs(1);
/// The echoes that a round trip is estimated from.
const SAMPLES: usize = 8;
/// Keys that may wait for their echo; more are not predicted.
const MOST: usize = 200;

/// What is expected of the keys that have no echo yet.
#[derive(Default)]
pub(super) struct Predictor {
    pending: Vec<Key>,
    /// Where the cursor is before the first of them: row and column.
    base: (u16, u16),
    /// One prediction of this line has come true.
    confirmed: bool,
    /// A key came whose effect is not known: nothing is predicted until the others are settled.
    closed: bool,
    samples: VecDeque<Duration>,
    drawn: Option<Drawn>,
}

/// A key, and what the line is expected to be after it.
struct Key {
    at: Instant,
    cursor: u16,
    /// The cells of the row that differ from what is shown without predictions.
    cells: BTreeMap<u16, char>,
}

/// Predictions that are on the screen.
struct Drawn {
    /// Columns, the first and the last.
    cells: (u16, u16),
    cursor: u16,
}

impl Predictor {
    /// Takes what was typed. The screen is the one without predictions.
    pub(super) fn typed(&mut self, keys: &[u8], screen: Shown<'_>, now: Instant) {
        let Ok(keys) = std::str::from_utf8(keys) else { return self.close() };
        for key in keys.chars() {
            if self.pending.is_empty() {
                (self.closed, self.base) = (false, screen.cursor());
            }
            if self.closed || self.pending.len() >= MOST {
                return self.close();
            }
            match self.after(key, screen) {
                Some((cursor, cells)) => self.pending.push(Key { at: now, cursor, cells }),
                // What follows it in the same piece belongs to it, as in the sequence of an arrow key.
                None => return self.close(),
            }
        }
    }

    /// What the line is after this key; `None` if that can't be known.
    fn after(&self, key: char, screen: Shown<'_>) -> Option<(u16, BTreeMap<u16, char>)> {
        let (cursor, mut cells) = match self.pending.last() {
            Some(last) => (last.cursor, last.cells.clone()),
            None => (self.base.1, BTreeMap::new()),
        };
        let shown = |column: u16| screen.cell(self.base.0, column).filter(Cell::is_plain);
        match key {
            '\x7f' | '\x08' => {
                let column = cursor.checked_sub(1)?;
                // Only at the end of a line: what stands behind it would move.
                (shown(cursor)?.shows(' ') || cells.get(&cursor) == Some(&' ')).then_some(())?;
                shown(column)?;
                cells.insert(column, ' ');
                Some((column, cells))
            }
            key if is_narrow(key) => {
                let last = screen.size().1 - 1;
                let free = shown(cursor)?.shows(' ') || cells.get(&cursor) == Some(&' ');
                (free && cursor < last).then(|| {
                    cells.insert(cursor, key);
                    (cursor + 1, cells)
                })
            }
            _ => None,
        }
    }

    /// The screen has taken output.
    pub(super) fn output(&mut self, screen: Shown<'_>, now: Instant) {
        let cursor = screen.cursor();
        let is_true = |key: &Key| {
            let holds = |(&column, &expected): (&u16, &char)| {
                screen.cell(self.base.0, column).is_some_and(|cell| cell.shows(expected))
            };
            cursor == (self.base.0, key.cursor) && key.cells.iter().all(holds)
        };
        match self.pending.iter().rposition(is_true) {
            Some(last) => {
                let echo = now.saturating_duration_since(self.pending[last].at);
                self.samples.push_back(echo);
                if self.samples.len() > SAMPLES {
                    self.samples.pop_front();
                }
                self.pending.drain(..=last);
                (self.confirmed, self.base) = (!self.closed, cursor);
            }
            // Nothing has been echoed yet.
            None if cursor == self.base && self.is_untouched(screen) => {}
            None => self.give_up(),
        }
    }

    /// Whether nothing else was printed where something is expected.
    fn is_untouched(&self, screen: Shown<'_>) -> bool {
        let Some(last) = self.pending.last() else { return true };
        let as_before = |(&column, &expected): (&u16, &char)| {
            let cell = screen.cell(self.base.0, column).filter(Cell::is_plain);
            cell.is_some_and(|cell| expected == ' ' || cell.shows(' ') || cell.shows(expected))
        };
        last.cells.iter().all(as_before)
    }

    /// When the oldest prediction must have come true.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.first().and_then(|key| key.at.checked_add(self.round_trip()))
    }

    /// Gives up what should have come true by now.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up();
        }
    }

    /// Gives up all predictions, as when the terminal gets another size.
    pub(super) fn give_up(&mut self) {
        self.pending.clear();
        self.confirmed = false;
    }

    /// The longest of the latest echoes.
    fn round_trip(&self) -> Duration {
        self.samples.iter().max().copied().unwrap_or(UNMEASURED)
    }

    fn close(&mut self) {
        (self.closed, self.confirmed) = (true, self.confirmed && !self.pending.is_empty());
    }

    /// The bytes that show the predictions.
    pub(super) fn draw(&mut self, screen: Shown<'_>) -> Vec<u8> {
        let worth = self.round_trip() >= SHOWN_FROM;
        let Some(last) = self.pending.last().filter(|_| self.confirmed && worth) else { return Vec::new() };
        let differs = |(column, expected): &(&u16, &char)| {
            !screen.cell(self.base.0, **column).is_some_and(|cell| cell.shows(**expected))
        };
        let mut columns = last.cells.iter().filter(differs).map(|(column, _)| *column);
        let Some(from) = columns.next() else { return Vec::new() };
        let to = columns.next_back().unwrap_or(from);
        // What has a style of its own could not be shown again.
        if !(from..=to).all(|column| screen.cell(self.base.0, column).is_some_and(|cell| cell.is_plain())) {
            return Vec::new();
        }
        let shown: String = (from..=to).map(|column| last.cells.get(&column).copied().unwrap_or(' ')).collect();
        let mut bytes = format!("{}\x1b[0;4m{shown}", step(self.base.1, from)).into_bytes();
        bytes.extend(screen.style());
        bytes.extend(step(to + 1, last.cursor).bytes());
        self.drawn = Some(Drawn { cells: (from, to), cursor: last.cursor });
        bytes
    }

    /// The bytes that remove what is drawn, and leave the cursor where the program believes it to be. The screen is the one
    /// without predictions.
    pub(super) fn erase(&mut self, screen: Shown<'_>) -> Vec<u8> {
        let Some(Drawn { cells: (from, to), cursor }) = self.drawn.take() else { return Vec::new() };
        let (row, column) = screen.cursor();
        let shown = |column| screen.cell(row, column).filter(|cell| !cell.shows(' '));
        let filled = (from..=to).rev().find(|&column| shown(column).is_some()).map_or(from, |last| last + 1);
        let text: String = (from..filled).map(|column| shown(column).map_or(" ".into(), |cell| cell.text())).collect();
        let rest = if filled <= to { format!("\x1b[{}X", to + 1 - filled) } else { String::new() };
        let mut bytes = format!("{}\x1b[0m{text}{rest}{}", step(cursor, from), step(filled, column)).into_bytes();
        bytes.extend(screen.style());
        bytes
    }
}

/// The bytes that move the cursor within its row.
fn step(from: u16, to: u16) -> String {
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Less => format!("\x1b[{}C", to - from),
        std::cmp::Ordering::Greater => format!("\x1b[{}D", from - to),
    }
}

/// Whether a character takes one column in every terminal. Others are rare in a line that is being typed.
fn is_narrow(key: char) -> bool {
    matches!(key, ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{373}' | '\u{391}'..='\u{3c9}' | '\u{410}'..='\u{44f}')
}
