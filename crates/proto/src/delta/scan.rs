//! Going through the new file, and finding the old one's blocks in it.

use std::ops::Range;

use super::sum::{ANCHOR, FINE, Index, Sum, anchor, id, roll, roll_all};

/// A window must have so many blocks, unless it is the last one.
pub const WINDOW: usize = 8;

/// How many bytes may be digested for each byte of the new file, in addition to once at the place where it is expected.
pub const WORK: u64 = 4;

/// After a block that has changed, so many further ones are looked for where they would be if its length were the same.
const AHEAD: u32 = 4;

/// After so many bytes of which nothing was found, only one window in [`SELDOM`] is searched: a file that has nothing in common
/// with the old one costs little more than one that is sent whole. What is expected where it would be is always looked at.
const BARREN: u64 = 8 * 1024 * 1024;
const SELDOM: u64 = 16;

/// A part of the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It is in the old file.
    Old {
        /// Where in the old file.
        from: u64,
        /// How many bytes.
        len: u64,
    },
    /// It is not, as a whole.
    New {
        /// Where in the window.
        range: Range<usize>,
        /// The part of the old file that it seems to replace. It may be empty.
        old: Range<u64>,
    },
}

/// A way through the new file.
#[derive(Debug)]
pub struct Scan<'a> {
    index: &'a Index,
    /// The offset in the old file that the next byte would have if nothing changed.
    cursor: u64,
    /// Bytes that may be digested.
    credit: u64,
    /// Bytes since the last block that was found.
    barren: u64,
    /// Windows since then.
    windows: u64,
}

impl<'a> Scan<'a> {
    /// From the beginning of the new file.
    pub fn new(index: &'a Index) -> Scan<'a> {
        Scan { index, cursor: 0, credit: 64 * index.block() as u64, barren: 0, windows: 0 }
    }

    /// Divides the next bytes of the new file; gives the pieces, and how many bytes they are. The next window begins after
    /// these.
    ///
    /// A window that isn't the `last` one needs at least [`WINDOW`] blocks; pieces come of it then.
    pub fn next(&mut self, window: &[u8], last: bool) -> (Vec<Piece>, usize) {
        let mut pieces = Vec::new();
        let mut at = 0;
        self.windows += 1;
        while at < window.len() && (last || window.len() - at >= (WINDOW - 2) * self.index.block()) {
            match self.expected(window, at).or_else(|| self.search(window, at, last)) {
                Some((found, number)) => {
                    let offset = self.index.offset(number);
                    self.push_new(&mut pieces, at..found, Some(offset));
                    let length = self.index.length(number);
                    push_old(&mut pieces, offset, length as u64);
                    self.cursor = offset + length as u64;
                    at = found + length;
                    (self.barren, self.windows) = (0, 0);
                }
                None => {
                    // Blocks that begin later may still end in the next window.
                    let end = if last { window.len() } else { window.len() + 1 - self.index.block() };
                    self.push_new(&mut pieces, at..end, None);
                    self.barren += (end - at) as u64;
                    at = end;
                    break;
                }
            }
        }
        (pieces, at)
    }

    /// The next block that is where it would be if only bytes had been replaced.
    fn expected(&mut self, window: &[u8], at: usize) -> Option<(usize, u32)> {
        let first = self.index.at(self.cursor)?;
        for ahead in 0..=AHEAD {
            let number = first.checked_add(ahead)?;
            self.index.at(self.index.offset(number))?;
            let start = at + ahead as usize * self.index.block();
            let bytes = window.get(start..start + self.index.length(number))?;
            if ahead > 0 && !self.spend() {
                return None;
            }
            if self.index.is(number, bytes) {
                return Some((start, number));
            }
        }
        None
    }

    /// The next block, wherever it was in the old file.
    fn search(&mut self, window: &[u8], at: usize, last: bool) -> Option<(usize, u32)> {
        if self.barren >= BARREN && !last && !self.windows.is_multiple_of(SELDOM) {
            return None;
        }
        let block = self.index.block();
        // The end of the old file, if it is the end of the new one.
        let short = self.index.short().filter(|_| last).and_then(|number| {
            let start = window.len().checked_sub(self.index.length(number))?;
            (start >= at && self.index.is(number, &window[start..])).then_some((start, number))
        });
        let end = short.map_or(window.len(), |(start, _)| start);
        let Some(last_start) = window.len().checked_sub(block).filter(|_| block >= ANCHOR && at < end) else {
            return short;
        };
        let mut hash = window.get(at..at + ANCHOR).map(roll_all)?;
        for start in at..=last_start {
            if start >= end {
                break;
            }
            let anchor = anchor(hash);
            if self.index.may_have(anchor)
                && let Some(number) = self.verify(anchor, &window[start..start + block])
            {
                return Some((start, number));
            }
            self.credit += WORK;
            match window.get(start + ANCHOR) {
                Some(&byte) => hash = roll(hash, byte),
                None => break,
            }
        }
        short
    }

    /// The block with this anchor that is these bytes.
    fn verify(&mut self, anchor: u32, bytes: &[u8]) -> Option<u32> {
        let mut candidates = self.index.with(anchor).peekable();
        candidates.peek()?;
        if !self.spend() {
            return None;
        }
        let id = id(bytes);
        candidates.find(|&number| self.index.id(number) == id)
    }

    /// Whether a block may be digested once more.
    fn spend(&mut self) -> bool {
        let left = self.credit.checked_sub(self.index.block() as u64);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }

    /// `next` is the offset in the old file of what follows it, if that is known.
    fn push_new(&mut self, pieces: &mut Vec<Piece>, range: Range<usize>, next: Option<u64>) {
        if range.is_empty() {
            return;
        }
        let (len, size) = (range.len() as u64, self.index.size());
        let near = len + u64::from(AHEAD) * self.index.block() as u64;
        let end = match next {
            Some(next) if next >= self.cursor && next - self.cursor <= near => next,
            _ => self.cursor.saturating_add(len).min(size),
        };
        let old = self.cursor.min(end)..end;
        self.cursor = self.cursor.saturating_add(len);
        pieces.push(Piece::New { range, old });
    }
}

fn push_old(pieces: &mut Vec<Piece>, from: u64, len: u64) {
    match pieces.last_mut() {
        Some(Piece::Old { from: first, len: before }) if *first + *before == from => *before += len,
        _ => pieces.push(Piece::Old { from, len }),
    }
}

/// Divides a piece that is new as a whole: `sums` are those of the blocks of [`FINE`] bytes of the part `old` of the old
/// file.
pub fn refine(new: &[u8], old: Range<u64>, sums: Vec<Sum>) -> Vec<Piece> {
    let index = Index::new(FINE, old.end.saturating_sub(old.start), sums);
    let (mut pieces, _) = Scan::new(&index).next(new, true);
    for piece in &mut pieces {
        match piece {
            Piece::Old { from, .. } => *from += old.start,
            Piece::New { old: part, .. } => *part = part.start + old.start..part.end + old.start,
        }
    }
    pieces
}
