//! The hot path of length-prefixed frames: one load, one shift, one comparison each.

use super::{Lost, Span};

/// The plan for layouts whose end follows from one number at a fixed place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fast {
    /// Where the length stands.
    pub(super) at: usize,
    /// The unused bits of the eight bytes loaded there.
    pub(super) shift: u32,
    pub(super) big: bool,
    /// The smallest length allowed, and how many more are.
    pub(super) low: u64,
    pub(super) room: u64,
    /// Bytes before the data.
    pub(super) head: usize,
    /// Data's bytes less the length, modulo 2^64.
    pub(super) adjust: u64,
    pub(super) tail: usize,
}

impl Fast {
    /// The span of the frame that begins with `bytes`, if it is whole, valid and not near the end of the input: else
    /// the slow path finds out which.
    #[inline(always)]
    pub(crate) fn span(&self, bytes: &[u8]) -> Option<Span> {
        let load = bytes.get(self.at..)?.first_chunk::<8>()?;
        let length = if self.big {
            u64::from_be_bytes(*load) >> self.shift
        } else {
            u64::from_le_bytes(*load) << self.shift >> self.shift
        };
        if length.wrapping_sub(self.low) > self.room {
            return None;
        }
        // Can't overflow: lengths up to `low + room` were shown to fit when the plan was made.
        let data = length.wrapping_add(self.adjust) as usize;
        let total = self.head + data + self.tail;
        (total <= bytes.len()).then_some(Span { head: self.head, data, total, lost: Lost::Nothing })
    }
}
