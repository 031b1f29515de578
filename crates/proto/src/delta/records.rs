//! The records that make the new file: what the sender of a delta sends.

use std::ops::Range;

use super::sum::FINE;
use crate::{Code, Fault};

/// Old files of fewer bytes are not worth it.
pub const OLD_LEAST: u64 = 64 * 1024;

/// In a tree, where sums travel along with other answers, old files of fewer bytes are not worth it.
pub const SUMS_LEAST: u64 = 16 * 1024;

/// The longest block that is used; longer ones would have to be held in memory by the sender.
pub const BLOCK_MOST: u32 = 4 * 1024 * 1024;

/// The most bytes of the old file that the sender may ask finer sums of at once.
pub const ASK_MOST: u64 = 4 * 1024 * 1024;

/// The longest record's header, in bytes.
pub const HEADER_MOST: usize = 17;

/// How many bytes of the old file the sender may ask finer sums of in all.
pub fn asks_allowed(old: u64, new: u64) -> u64 {
    old.saturating_add(new).saturating_mul(4).saturating_add(ASK_MOST)
}

/// The header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// So many bytes follow, which come next in the new file.
    New(u32),
    /// So many bytes of the old file, from an offset on, come next in the new file.
    Old {
        /// The offset.
        from: u64,
        /// How many.
        len: u64,
    },
    /// The sender asks for sums of this part of the old file, in blocks of [`FINE`] bytes.
    Ask {
        /// The offset.
        from: u64,
        /// How many bytes.
        len: u32,
    },
}

impl Record {
    /// As it travels: a kind, then numbers, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Record::New(len) => [&[1][..], &len.to_be_bytes()].concat(),
            Record::Old { from, len } => [&[2][..], &from.to_be_bytes(), &len.to_be_bytes()].concat(),
            Record::Ask { from, len } => [&[3][..], &from.to_be_bytes(), &len.to_be_bytes()].concat(),
        }
    }

    /// How many bytes follow a kind.
    ///
    /// # Errors
    /// [`Code::BadMessage`]: there is no such kind.
    pub fn rest(kind: u8) -> Result<usize, Fault> {
        match kind {
            1 => Ok(4),
            2 => Ok(16),
            3 => Ok(12),
            kind => Err(Fault::peer(Code::BadMessage, format!("a record of a delta has the unknown kind {kind}"))),
        }
    }

    /// The record with this kind and these bytes, of which there are as many as [`rest`](Self::rest) says.
    pub fn decode(kind: u8, rest: &[u8]) -> Option<Record> {
        let long = |at: usize| Some(u64::from_be_bytes(rest.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        match kind {
            1 => Some(Record::New(short(0)?)),
            2 => Some(Record::Old { from: long(0)?, len: long(8)? }),
            3 => Some(Record::Ask { from: long(0)?, len: short(8)? }),
            _ => None,
        }
    }
}

/// What the receiver lets a sender do.
#[derive(Debug)]
pub struct Rules {
    old: u64,
    /// Bytes of the new file that have not come.
    left: u64,
    /// Bytes of the old file that finer sums may still be asked of.
    asks: u64,
}

impl Rules {
    /// For an old file and a new one of these sizes.
    pub fn new(old: u64, new: u64) -> Rules {
        Rules { old, left: new, asks: asks_allowed(old, new) }
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// [`Code::BadMessage`] or [`Code::LimitExceeded`]: a part that the old file doesn't have, a new file that is longer than
    /// announced, more questions than allowed.
    pub fn check(&mut self, record: &Record) -> Result<(), Fault> {
        match record {
            Record::New(len) => self.comes(u64::from(*len)),
            Record::Old { from, len } => {
                self.part(*from, *len)?;
                self.comes(*len)
            }
            Record::Ask { from, len } => {
                let len = u64::from(*len);
                self.part(*from, len)?;
                match self.asks.checked_sub(len).filter(|_| len > 0 && len <= ASK_MOST) {
                    Some(left) => self.asks = left,
                    None => return Err(limit(format!("sums of {len} bytes are asked for, which is too much"))),
                }
                Ok(())
            }
        }
    }

    fn part(&self, from: u64, len: u64) -> Result<Range<u64>, Fault> {
        match from.checked_add(len).filter(|&end| end <= self.old) {
            Some(end) => Ok(from..end),
            None => {
                let what = format!("{len} bytes at {from} of an old file of {} bytes are wanted", self.old);
                Err(Fault::peer(Code::BadMessage, what))
            }
        }
    }

    fn comes(&mut self, len: u64) -> Result<(), Fault> {
        self.left = self
            .left
            .checked_sub(len)
            .ok_or_else(|| limit(format!("{len} bytes come next, and {} of the announced ones are left", self.left)))?;
        Ok(())
    }
}

fn limit(what: String) -> Fault {
    Fault::peer(Code::LimitExceeded, what)
}

/// How many sums answer a question of so many bytes.
pub fn answers(len: u64) -> usize {
    usize::try_from(len.div_ceil(u64::from(FINE))).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_wire() {
        for record in
            [Record::New(7), Record::Old { from: 1 << 40, len: 1 << 33 }, Record::Ask { from: 1 << 40, len: 1 << 20 }]
        {
            let bytes = record.encode();
            assert!(bytes.len() <= HEADER_MOST);
            assert_eq!(Record::rest(bytes[0]).unwrap(), bytes.len() - 1);
            assert_eq!(Record::decode(bytes[0], &bytes[1..]), Some(record));
        }
        assert_eq!(Record::rest(4).unwrap_err().code, Code::BadMessage);
        assert_eq!(Record::decode(2, &[0; 15]), None);
    }

    #[test]
    fn what_the_old_file_does_not_have_and_what_is_too_much_are_refused() {
        let mut rules = Rules::new(1000, 500);
        let old = |from, len| Record::Old { from, len };
        for wrong in [old(1000, 1), old(0, 1001), old(u64::MAX, 2), old(1, u64::MAX)] {
            assert_eq!(rules.check(&wrong).unwrap_err().code, Code::BadMessage, "{wrong:?}");
        }
        assert!(rules.check(&old(900, 100)).is_ok() && rules.check(&old(900, 100)).is_ok());
        assert_eq!(rules.check(&old(0, 301)).unwrap_err().code, Code::LimitExceeded);
        assert!(rules.check(&Record::New(300)).is_ok());
        assert_eq!(rules.check(&Record::New(1)).unwrap_err().code, Code::LimitExceeded);
        assert_eq!(rules.check(&Record::Ask { from: 0, len: 0 }).unwrap_err().code, Code::LimitExceeded);

        let (mut rules, ask) = (Rules::new(8 << 20, 0), Record::Ask { from: 0, len: 4 << 20 });
        let asked = std::iter::repeat_with(|| rules.check(&ask)).take_while(Result::is_ok).take(100).count();
        assert_eq!(asked as u64, asks_allowed(8 << 20, 0) / (4 << 20));
    }
}
