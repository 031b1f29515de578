//! Going through the new file, and finding the old one's blocks in it.

use std::ops::Range;

use super::index::{Index, Known};
use super::sum::{ANCHOR, FINE, Sum, anchor, roll, roll_all, short};

/// A window must have so many blocks, unless it is the last one.
pub const WINDOW: usize = 8;

/// How many bytes may be digested for each byte of the new file, in addition to once at the place where it is expected.
pub const WORK: u64 = 4;

/// Bytes that may be digested at once, in blocks.
const CREDIT: u64 = 1024;

/// After a block that has changed, so many further ones are looked for where they would be if its length were the same.
const AHEAD: u32 = 16;

/// What has changed may be shorter than what it replaces by so many blocks.
const SHORTER: u64 = 4;

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
pub struct Scan {
    index: Index,
    /// The offset in the old file that the next byte would have if nothing changed.
    cursor: u64,
    /// So many blocks from the cursor on were compared with where they would be, and are not there.
    looked: u32,
    /// Whether the sums of all blocks are needed to go on.
    stuck: bool,
    /// Bytes that may be digested.
    credit: u64,
    /// Bytes since the last block that was found.
    barren: u64,
}

/// What a look at the next bytes has shown.
enum Look {
    /// A block, and where it begins in the window.
    Found(usize, u32),
    /// Nothing without further sums.
    Later,
    Nothing,
}

impl Scan {
    /// From the beginning of the new file.
    pub fn new(index: Index) -> Scan {
        let credit = 64 * index.block() as u64;
        Scan { index, cursor: 0, looked: 0, stuck: false, credit, barren: 0 }
    }

    /// Takes the sums of the next blocks.
    pub fn learn(&mut self, sums: impl IntoIterator<Item = Sum>) {
        self.index.learn(sums);
    }

    /// Whether nothing more can be found before further sums have come.
    pub fn is_waiting(&self) -> bool {
        match self.stuck {
            true => !self.index.is_whole(),
            false => self.index.at(self.cursor, self.looked) == Known::Later,
        }
    }

    /// How many bytes of the new file have gone by since the last one that was found.
    pub fn barren(&self) -> u64 {
        self.barren
    }

    /// The length of the block that comes next if nothing changed, if its sum is known.
    pub fn expects(&self) -> Option<usize> {
        match self.index.at(self.cursor, 0) {
            Known::Yes(number) if self.looked == 0 => Some(self.index.length(number)),
            _ => None,
        }
    }

    /// Gives where in the old file the next blocks of the new one are, and how many bytes they have, if they follow what was found
    /// before. The next call is about what comes after these bytes.
    pub fn follow(&mut self, bytes: &[u8]) -> Option<(u64, usize)> {
        let (from, mut at) = (self.cursor, 0);
        while let Some(length) = self.expects() {
            let Some(block) = bytes.get(at..at + length) else { break };
            let Known::Yes(number) = self.index.at(self.cursor, 0) else { break };
            if !self.index.is(number, block) {
                self.looked = 1;
                break;
            }
            self.passed(number);
            at += length;
        }
        self.earn(at);
        (at > 0).then_some((from, at))
    }

    /// Divides the next bytes of the new file; gives the pieces, and how many bytes they are. The next window begins after
    /// these.
    ///
    /// A window that isn't the `last` one needs at least [`WINDOW`] blocks; pieces come of it then. While sums are missing,
    /// there may be none: call this again with the same window once it isn't [waiting](Self::is_waiting) any more.
    pub fn next(&mut self, window: &[u8], last: bool) -> (Vec<Piece>, usize) {
        let mut pieces = Vec::new();
        let (mut at, mut earned) = (0, 0);
        while at < window.len() && (last || window.len() - at >= (WINDOW - 2) * self.index.block()) {
            self.earn(at - earned);
            earned = at;
            let look = match self.expected(window, at) {
                Look::Nothing if self.index.is_whole() => self.search(window, at, last, &mut earned),
                Look::Nothing => {
                    self.stuck = true;
                    Look::Later
                }
                look => look,
            };
            match look {
                Look::Found(found, number) => {
                    let offset = self.index.offset(number);
                    self.push_new(&mut pieces, at..found, Some(offset));
                    let length = self.index.length(number);
                    push_old(&mut pieces, offset, length as u64);
                    self.passed(number);
                    at = found + length;
                }
                Look::Later => break,
                Look::Nothing => {
                    // Blocks that begin later may still end in the next window.
                    let end = if last { window.len() } else { window.len() + 1 - self.index.block() };
                    self.push_new(&mut pieces, at..end, None);
                    self.barren += (end - at) as u64;
                    self.looked = 0;
                    at = end;
                    break;
                }
            }
        }
        self.earn(at.saturating_sub(earned));
        (pieces, at)
    }

    /// This block was found.
    fn passed(&mut self, number: u32) {
        self.cursor = self.index.offset(number) + self.index.length(number) as u64;
        (self.looked, self.stuck, self.barren) = (0, false, 0);
    }

    /// The next block that is where it would be if only bytes had been replaced.
    fn expected(&mut self, window: &[u8], at: usize) -> Look {
        while self.looked <= AHEAD {
            let number = match self.index.at(self.cursor, self.looked) {
                Known::Yes(number) => number,
                Known::Later => return Look::Later,
                Known::Never => break,
            };
            let start = at + self.looked as usize * self.index.block();
            let Some(bytes) = window.get(start..start + self.index.length(number)) else { break };
            if self.looked > 0 && !self.spend() {
                break;
            }
            if self.index.is(number, bytes) {
                return Look::Found(start, number);
            }
            self.looked += 1;
        }
        Look::Nothing
    }

    /// The next block, wherever it was in the old file. `earned` is the place in the window up to which bytes were counted.
    fn search(&mut self, window: &[u8], at: usize, last: bool, earned: &mut usize) -> Look {
        self.index.order();
        let block = self.index.block();
        // The end of the old file, if it is the end of the new one.
        let short = self.index.short().filter(|_| last).and_then(|number| {
            let start = window.len().checked_sub(self.index.length(number))?;
            (start >= at && self.index.is(number, &window[start..])).then_some((start, number))
        });
        let otherwise = short.map_or(Look::Nothing, |(start, number)| Look::Found(start, number));
        let end = short.map_or(window.len(), |(start, _)| start).min((window.len() + 1).saturating_sub(block));
        if block < ANCHOR || at >= end {
            return otherwise;
        }
        let mut hash = roll_all(&window[at..at + ANCHOR]);
        let mut bytes = window[at + ANCHOR..].iter();
        for start in at..end {
            let anchor = anchor(hash);
            if self.index.anchors().may_have(anchor) {
                self.earn(start - *earned);
                *earned = start;
                if let Some(number) = self.verify(anchor, &window[start..start + block]) {
                    return Look::Found(start, number);
                }
            }
            // The last place may have no byte after its anchor.
            hash = roll(hash, bytes.next().copied().unwrap_or(0));
        }
        otherwise
    }

    /// The block with this anchor that is these bytes.
    fn verify(&mut self, anchor: u32, bytes: &[u8]) -> Option<u32> {
        if self.credit < bytes.len() as u64 {
            return None;
        }
        let mut candidates = self.index.anchors().with(anchor).peekable();
        candidates.peek()?;
        self.credit -= bytes.len() as u64;
        let id = self.index.id(bytes);
        candidates.find(|&number| self.index.has(number, id))
    }

    /// So many more bytes have gone by.
    fn earn(&mut self, bytes: usize) {
        let most = CREDIT * self.index.block() as u64;
        self.credit = (self.credit + WORK * bytes as u64).min(most);
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
        let near = len + SHORTER * self.index.block() as u64;
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

/// Divides a small new file: `sums` are those of all blocks of the old file, whose size is `size`.
pub fn divide(new: &[u8], size: u64, sums: impl IntoIterator<Item = Sum>, seed: u32) -> Vec<Piece> {
    let mut index = Index::new(short(size), size, seed).with(sums);
    index.close();
    Scan::new(index).next(new, true).0
}

/// Divides a piece that is new as a whole: `sums` are those of the blocks of [`FINE`] bytes of the part `old` of the old
/// file.
pub fn refine(new: &[u8], old: Range<u64>, sums: impl IntoIterator<Item = Sum>, seed: u32) -> Vec<Piece> {
    let mut index = Index::new(FINE, old.end.saturating_sub(old.start), seed).with(sums);
    index.close();
    let (mut pieces, _) = Scan::new(index).next(new, true);
    for piece in &mut pieces {
        match piece {
            Piece::Old { from, .. } => *from += old.start,
            Piece::New { old: part, .. } => *part = part.start + old.start..part.end + old.start,
        }
    }
    pieces
}
