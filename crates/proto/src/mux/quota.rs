//! How many streams each end may have open: QUIC's rule (RFC 9000 section 4.6).
//!
//! The receiver counts a stream until nothing of it is left, its unread bytes included, and reports to the opener up to which
//! one it may go. So the opener can't be wrong about the count, and streams that nobody reads are bounded too.

use super::Direction;

/// How many streams of one kind there can be: their numbers have 32 bits, of which two are the kind.
const NUMBERS: u64 = 1 << 30;

/// Streams of one direction that this end opens.
pub(super) struct Opening {
    next: u64,
    allowed: u64,
    /// Whether a stream was wanted, and could not be opened.
    wanted: bool,
}

impl Opening {
    pub(super) fn new(direction: Direction) -> Opening {
        Opening { next: 0, allowed: direction.limit() as u64, wanted: false }
    }

    /// The place of the next stream, if it may be opened.
    pub(super) fn open(&mut self) -> Option<u64> {
        if self.next >= self.allowed {
            self.wanted = true;
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Whether every number has been used.
    pub(super) fn is_exhausted(&self) -> bool {
        self.next >= NUMBERS
    }

    pub(super) fn has_opened(&self, ordinal: u64) -> bool {
        ordinal < self.next
    }

    /// The peer allows the streams up to this one. Returns whether somebody waits for that.
    pub(super) fn allow_up_to(&mut self, ordinal: u64) -> bool {
        let more = ordinal >= self.allowed;
        if more {
            self.allowed = ordinal + 1;
        }
        more && std::mem::take(&mut self.wanted)
    }
}

/// Streams of one direction that the peer opens.
pub(super) struct Admission {
    limit: u64,
    next: u64,
    allowed: u64,
    forgotten: u64,
}

impl Admission {
    pub(super) fn new(direction: Direction) -> Admission {
        let limit = direction.limit() as u64;
        Admission { limit, next: 0, allowed: limit, forgotten: 0 }
    }

    pub(super) fn has_opened(&self, ordinal: u64) -> bool {
        ordinal < self.next
    }

    pub(super) fn admits(&self, ordinal: u64) -> bool {
        ordinal < self.allowed
    }

    /// The places from the next stream to this one, which are now taken.
    pub(super) fn open_up_to(&mut self, ordinal: u64) -> std::ops::RangeInclusive<u64> {
        let first = self.next;
        self.next = ordinal + 1;
        first..=ordinal
    }

    /// Nothing is left of one of them.
    pub(super) fn forget(&mut self) {
        self.forgotten += 1;
    }

    /// Whether the peer gets a frame that lets it open more: once it has less than half of its limit left.
    pub(super) fn owes(&self) -> bool {
        self.deserved() > self.allowed && self.allowed - self.next < self.limit / 2
    }

    /// The last stream that the peer may open from now on.
    pub(super) fn allow(&mut self) -> u64 {
        self.allowed = self.deserved();
        self.allowed - 1
    }

    fn deserved(&self) -> u64 {
        (self.forgotten + self.limit).min(NUMBERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_used_and_none_after_it() {
        let mut opening = Opening { next: NUMBERS - 1, ..Opening::new(Direction::Bidirectional) };
        assert!(!opening.allow_up_to(NUMBERS - 1));
        assert_eq!((opening.open(), opening.open()), (Some(NUMBERS - 1), None));
        assert!(opening.is_exhausted());

        let start = Admission::new(Direction::Bidirectional);
        let mut admission = Admission { forgotten: NUMBERS, next: NUMBERS - 1, allowed: NUMBERS - 1, ..start };
        assert!(admission.owes());
        assert_eq!(admission.allow(), NUMBERS - 1);
        assert!(!admission.owes() && !admission.admits(NUMBERS));
    }
}
