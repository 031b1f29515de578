//! BER values (ITU-T X.690), one after the other: LDAP, SNMP over TCP, and whatever is written in DER.

use super::value::{MAX_DEPTH, Scan, Scanned, announce, fault, too_deep};
use crate::Fault;

#[derive(Debug, Default)]
pub(super) struct Ber {
    at: u64,
    part: Part,
    constructed: bool,
    /// The tag is that of an end mark.
    zero: bool,
    /// The open values of indefinite length.
    depth: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Tag,
    /// A tag of several bytes, of which so many came.
    LongTag(u8),
    Length,
    /// The bytes left of a length, and its value so far.
    LongLength(u8, u64),
    Content(u64),
}

/// The most bytes of a tag number, and of a length.
const MOST: u8 = 8;

impl Scan for Ber {
    const NAME: &'static str = "ber";
    const NOT_ONE: &'static str = "the message is not one BER value";

    fn scan(&mut self, bytes: &[u8], most: u64) -> Result<Scanned, Fault> {
        let mut index = 0;
        loop {
            if let Part::Content(left) = self.part {
                let some = left.min((bytes.len() - index) as u64);
                self.at += some;
                index += some as usize;
                self.part = if some == left { Part::Tag } else { Part::Content(left - some) };
                if some < left {
                    return Ok(Scanned::More(left - some));
                }
                if self.depth == 0 {
                    return Ok(Scanned::End(index));
                }
            }
            let Some(&byte) = bytes.get(index) else { return Ok(Scanned::More(1)) };
            self.step(byte)?;
            if let Part::Content(left) = self.part {
                announce((self.at + 1).saturating_add(left), most)?;
            }
            index += 1;
            self.at += 1;
        }
    }
}

impl Ber {
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.part = match self.part {
            Part::Tag => {
                self.constructed = byte & 0x20 != 0;
                self.zero = byte == 0;
                if self.zero && self.depth == 0 {
                    return Err(fault(self.at, "an end mark stands where nothing of indefinite length has begun"));
                }
                if byte & 0x1f == 0x1f { Part::LongTag(0) } else { Part::Length }
            }
            Part::LongTag(MOST) => return Err(fault(self.at, "its tag has more than 9 bytes")),
            Part::LongTag(0) if byte == 0x80 => return Err(fault(self.at, "its tag is padded with zeros")),
            Part::LongTag(count) if byte & 0x80 != 0 => Part::LongTag(count + 1),
            Part::LongTag(_) => Part::Length,
            Part::Length if self.zero && byte != 0 => return Err(fault(self.at, "an end mark has no content")),
            Part::Length if self.zero => {
                self.depth -= 1;
                Part::Content(0)
            }
            Part::Length if byte < 0x80 => Part::Content(u64::from(byte)),
            Part::Length if byte == 0x80 => {
                if !self.constructed {
                    return Err(fault(self.at, "a primitive value can't have an indefinite length"));
                }
                if self.depth == MAX_DEPTH {
                    return Err(too_deep(self.at));
                }
                self.depth += 1;
                Part::Tag
            }
            Part::Length if byte & 0x7f > MOST => return Err(fault(self.at, "its length has more than 8 bytes")),
            Part::Length => Part::LongLength(byte & 0x7f, 0),
            Part::LongLength(1, value) => Part::Content(value << 8 | u64::from(byte)),
            Part::LongLength(left, value) => Part::LongLength(left - 1, value << 8 | u64::from(byte)),
            Part::Content(left) => Part::Content(left),
        };
        Ok(())
    }
}
