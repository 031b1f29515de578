//! Items that begin with a byte that tells what follows: more bytes of a number, bytes to pass over, or other items.

use super::{
    nest::Nest,
    value::{Scanned, announce},
};
use crate::Fault;

/// How far a value was looked at.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The place of the byte that comes next.
    pub(super) at: u64,
    pub(super) nest: Nest,
    /// Bytes that are passed over. An item ends with them.
    skip: u64,
    passing: bool,
}

impl Walk {
    /// Passes over so many of the bytes behind this one, which the item that has begun ends with.
    pub(super) fn pass(&mut self, bytes: u64, most: u64) -> Result<bool, Fault> {
        announce((self.at + 1).saturating_add(bytes), most)?;
        (self.skip, self.passing) = (bytes, true);
        Ok(false)
    }
}

/// A format of such items.
pub(super) trait Items {
    fn walk(&mut self) -> &mut Walk;

    /// Takes a byte that isn't passed over. True if the value ends with it.
    fn step(&mut self, byte: u8, most: u64) -> Result<bool, Fault>;
}

/// Looks at the bytes that follow those of the last call; see [`Scan::scan`](super::value::Scan::scan).
pub(super) fn scan(items: &mut impl Items, bytes: &[u8], most: u64) -> Result<Scanned, Fault> {
    let mut index = 0;
    loop {
        let walk = items.walk();
        if walk.skip > 0 {
            let some = walk.skip.min((bytes.len() - index) as u64);
            walk.skip -= some;
            walk.at += some;
            index += some as usize;
            if walk.skip > 0 {
                return Ok(Scanned::More(walk.skip));
            }
        }
        if core::mem::take(&mut walk.passing) && walk.nest.item() {
            return Ok(Scanned::End(index));
        }
        let Some(&byte) = bytes.get(index) else { return Ok(Scanned::More(1)) };
        let ended = items.step(byte, most)?;
        index += 1;
        items.walk().at += 1;
        if ended {
            return Ok(Scanned::End(index));
        }
    }
}
