//! Dropping the bytes of a frame that is too long, where that was asked for.

use crate::{
    MAX_DELIMITER,
    compiled::{Lost, Span, Until},
};
use alloc::boxed::Box;

/// Bytes that are dropped.
#[derive(Debug)]
pub(super) struct Discard {
    way: Way,
    why: Why,
}

/// Why bytes are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// They are a frame that is left out.
    Skipped,
    /// They are the rest of a frame that was cut.
    Cut,
    /// The application asked for it.
    Asked,
}

#[derive(Debug)]
enum Way {
    /// So many are left, of so many.
    Bytes { left: u64, total: u64 },
    /// Up to the framing's delimiter.
    Until(Seek),
    /// Up to another one.
    Past(Box<(Until, Seek)>),
}

/// A search for a delimiter whose bytes aren't kept.
#[derive(Debug)]
pub(super) struct Seek {
    passed: u64,
    /// The last bytes passed: the delimiter may begin in them.
    tail: [u8; MAX_DELIMITER],
    tail_len: usize,
}

impl Discard {
    /// Leaves out a frame, behind `kept` bytes of it that were dropped before.
    pub(super) fn skip(lost: Lost, kept: u64) -> Option<Discard> {
        Discard::new(lost, kept, Why::Skipped)
    }

    /// Drops the rest of a frame that was cut.
    pub(super) fn rest_of(span: Span) -> Option<Discard> {
        Discard::new(span.lost, span.total as u64, Why::Cut)
    }

    fn new(lost: Lost, kept: u64, why: Why) -> Option<Discard> {
        let way = match lost {
            Lost::Nothing => return None,
            Lost::Bytes(left) => Way::Bytes { left, total: left.saturating_add(kept) },
            Lost::Until => Way::Until(Seek::new(kept)),
        };
        Some(Discard { way, why })
    }

    /// Drops so many bytes.
    pub(super) fn bytes(bytes: u64) -> Discard {
        Discard { way: Way::Bytes { left: bytes, total: bytes }, why: Why::Asked }
    }

    /// Drops everything up to these 1 to [`MAX_DELIMITER`] bytes, and them.
    pub(super) fn past(pattern: &[u8]) -> Discard {
        Discard { way: Way::Past(Box::new((Until::new(pattern, u64::MAX), Seek::new(0)))), why: Why::Asked }
    }

    /// The same, where the framing changes: its delimiter goes on to be the one that it was.
    pub(super) fn beyond(self, until: Option<&Until>) -> Discard {
        let way = match (self.way, until) {
            (Way::Until(seek), Some(until)) => Way::Past(Box::new((until.clone(), seek))),
            (way, _) => way,
        };
        Discard { way, ..self }
    }

    /// Drops bytes of `input`. At the end it gives how many they were in all, and why.
    pub(super) fn drop_from(&mut self, until: Option<&Until>, input: &mut &[u8]) -> Option<(u64, Why)> {
        let total = match &mut self.way {
            Way::Bytes { left, total } => {
                let some = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *input = &input[some..];
                *left -= some as u64;
                (*left == 0).then_some(*total)
            }
            Way::Until(seek) => seek.drop_from(until, input),
            Way::Past(past) => past.1.drop_from(Some(&past.0), input),
        };
        total.map(|total| (total, self.why))
    }

    /// The bytes dropped, and how many there are in all where it is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        match &self.way {
            Way::Bytes { left, total } => (total - left, Some(*total)),
            Way::Until(seek) => (seek.passed, None),
            Way::Past(past) => (past.1.passed, None),
        }
    }

    /// The bytes dropped, and why, if only the framing's delimiter is missing.
    pub(super) fn lacks_delimiter(&self) -> Option<(u64, Why)> {
        matches!(self.way, Way::Until(_)).then(|| (self.progress().0, self.why))
    }
}

impl Seek {
    fn new(passed: u64) -> Seek {
        Seek { passed, tail: [0; MAX_DELIMITER], tail_len: 0 }
    }

    fn drop_from(&mut self, until: Option<&Until>, input: &mut &[u8]) -> Option<u64> {
        let found = until.and_then(|until| until.reach(&self.tail[..self.tail_len], input));
        let (dropped, rest) = input.split_at(found.unwrap_or(input.len()));
        *input = rest;
        self.carry(dropped);
        found.map(|_| self.passed)
    }

    /// Passes bytes and remembers the last.
    fn carry(&mut self, bytes: &[u8]) {
        self.passed += bytes.len() as u64;
        let fresh = &bytes[bytes.len() - bytes.len().min(MAX_DELIMITER)..];
        let old = self.tail_len.min(MAX_DELIMITER - fresh.len());
        self.tail.copy_within(self.tail_len - old..self.tail_len, 0);
        self.tail[old..old + fresh.len()].copy_from_slice(fresh);
        self.tail_len = old + fresh.len();
    }
}
