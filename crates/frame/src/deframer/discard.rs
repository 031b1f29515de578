//! Dropping the bytes of a frame that is too long, where that was asked for.

use crate::{
    MAX_DELIMITER,
    compiled::{Lost, Until},
};

/// A frame whose bytes are dropped.
#[derive(Debug)]
pub(super) enum Discard {
    /// So many are left, of so many.
    Bytes { left: u64, total: u64 },
    /// Up to the delimiter.
    Until(Seek),
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
    /// Drops what `lost` says, behind `kept` bytes of the same frame.
    pub(super) fn new(lost: Lost, kept: u64) -> Option<Discard> {
        match lost {
            Lost::Nothing => None,
            Lost::Bytes(left) => Some(Discard::Bytes { left, total: left.saturating_add(kept) }),
            Lost::Until => Some(Discard::Until(Seek { passed: kept, tail: [0; MAX_DELIMITER], tail_len: 0 })),
        }
    }

    /// Drops bytes of `input`. At the frame's end it gives the frame's size.
    pub(super) fn drop_from(&mut self, until: Option<&Until>, input: &mut &[u8]) -> Option<u64> {
        match self {
            Discard::Bytes { left, total } => {
                let some = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *input = &input[some..];
                *left -= some as u64;
                (*left == 0).then_some(*total)
            }
            Discard::Until(seek) => seek.drop_from(until, input),
        }
    }

    /// The bytes dropped, and the frame's size where it is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        match self {
            Discard::Bytes { left, total } => (total - left, Some(*total)),
            Discard::Until(seek) => (seek.passed, None),
        }
    }
}

impl Seek {
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
