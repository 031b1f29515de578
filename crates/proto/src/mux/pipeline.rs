//! The blocks of a stream that is compressed, between its queue and the link.
//!
//! Blocks are cut from the queue in order, compressed elsewhere in any order, and sent in order. Credit counts plain bytes,
//! and is used up when a block is cut.

use std::collections::VecDeque;

use bytes::Bytes;

use super::StreamId;
use super::pack::{Block, Packed};
use super::pilot::Pilot;

/// Blocks of one stream that are compressed, or wait to be sent, at once.
pub(super) const SLOTS: usize = 4;

/// Shorter blocks are sent plain: zstd saves little, and the hop to another thread costs more.
const SHORT: usize = 256;

/// Blocks in a row that did not get smaller before others are let through untried.
const MISSES: u32 = 2;

/// The most blocks that are let through before one is tried again.
const MOST_SKIPPED: u32 = 256;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    Off,
    /// As measuring tells: not where the bytes don't shrink, nor where the link is faster than compressing; and otherwise at
    /// the level that keeps the link busy.
    Auto,
    /// At this level of zstd's, 1 to 19, each block that gets smaller by it.
    Zstd(u8),
}

/// The levels of zstd that may be asked for.
pub const ZSTD_LEVELS: std::ops::RangeInclusive<u8> = 1..=19;

enum Slot {
    Working(Vec<Bytes>, usize),
    Plain(Vec<Bytes>, usize),
    Packed(Bytes, usize),
}

/// What is to be sent next.
pub(super) enum Ready {
    Plain(Vec<Bytes>, usize),
    Packed(Bytes, usize),
}

pub(super) struct Pipeline {
    /// A fixed level, or nothing for `auto`.
    level: Option<i32>,
    slots: VecDeque<Slot>,
    /// The ticket of the first slot.
    first: u64,
    /// Plain bytes in the slots.
    held: usize,
    /// Blocks in a row that did not get smaller.
    misses: u32,
    /// Blocks to let through before the next one is tried.
    skip: u32,
}

impl Pipeline {
    /// `None` where nothing is to be compressed.
    pub(super) fn new(compression: Compression) -> Option<Pipeline> {
        let level = match compression {
            Compression::Off => return None,
            Compression::Auto => None,
            Compression::Zstd(level) => Some(i32::from(level.clamp(*ZSTD_LEVELS.start(), *ZSTD_LEVELS.end()))),
        };
        Some(Pipeline { level, slots: VecDeque::new(), first: 0, held: 0, misses: 0, skip: 0 })
    }

    /// Plain bytes that were cut and not sent.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= SLOTS
    }

    /// Whether the next block can be sent.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(self.slots.front(), None | Some(Slot::Working(..)))
    }

    /// Whether all slots are taken and the first one is still being compressed.
    pub(super) fn is_behind(&self) -> bool {
        self.is_full() && !self.is_ready()
    }

    /// Takes the next bytes of the stream. Gives what is to be compressed.
    pub(super) fn push(&mut self, stream: StreamId, plain: Vec<Bytes>, len: usize, pilot: &mut Pilot) -> Option<Block> {
        self.held += len;
        let level = self.level_of(&plain, len, pilot);
        if level == 0 {
            self.slots.push_back(Slot::Plain(plain, len));
            return None;
        }
        let ticket = self.first + self.slots.len() as u64;
        let block = Block { stream, ticket, level, plain: plain.clone(), len };
        self.slots.push_back(Slot::Working(plain, len));
        Some(block)
    }

    /// The level for the next block; 0: plain.
    fn level_of(&mut self, plain: &[Bytes], len: usize, pilot: &mut Pilot) -> i32 {
        if len < SHORT || !pilot.is_allowed() {
            return 0;
        }
        if let Some(level) = self.level {
            return level;
        }
        if self.skip > 0 {
            self.skip -= 1;
            if is_noise(plain, len) {
                return 0;
            }
            self.skip = 0;
        }
        match self.misses {
            0 => pilot.level(),
            _ => pilot.lightest(),
        }
    }

    /// Takes a block back.
    pub(super) fn packed(&mut self, packed: Packed) {
        let index = packed.ticket.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) else { return };
        let Slot::Working(plain, len) = slot else { return };
        *slot = match packed.data {
            Some(data) => {
                self.misses = 0;
                Slot::Packed(data, *len)
            }
            None => {
                self.misses += 1;
                if self.misses >= MISSES {
                    self.skip = (2 << self.misses.min(8)).min(MOST_SKIPPED);
                }
                Slot::Plain(std::mem::take(plain), *len)
            }
        };
    }

    /// The next block to send.
    pub(super) fn pop(&mut self) -> Option<Ready> {
        if !self.is_ready() {
            return None;
        }
        let (ready, len) = match self.slots.pop_front()? {
            Slot::Plain(plain, len) => (Ready::Plain(plain, len), len),
            Slot::Packed(data, len) => (Ready::Packed(data, len), len),
            Slot::Working(..) => return None,
        };
        self.first += 1;
        self.held -= len;
        Some(ready)
    }

    /// Forgets everything; blocks that come back later are dropped.
    pub(super) fn clear(&mut self) {
        self.first += self.slots.len() as u64;
        self.slots.clear();
        self.held = 0;
    }
}

/// Bytes of a block that are looked at.
const SAMPLE: usize = 4096;

/// Whether a sample of the bytes has nearly eight bits of entropy each: compressed or encrypted data. It sees no
/// repetitions; therefore blocks are tried now and then all the same.
fn is_noise(plain: &[Bytes], len: usize) -> bool {
    let step = (len / SAMPLE).max(1);
    let mut counts = [0u32; 256];
    let mut total = 0u32;
    for byte in plain.iter().flat_map(|piece| piece.iter().step_by(step)) {
        counts[usize::from(*byte)] += 1;
        total += 1;
    }
    let of = |count: u32| f64::from(count) * (f64::from(total) / f64::from(count)).log2();
    let bits: f64 = counts.iter().filter(|count| **count > 0).map(|count| of(*count)).sum();
    bits / f64::from(total.max(1)) > 7.7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_text_and_binaries() {
        let mut state = 1u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        let noise: Vec<u8> = (0..65_536).map(|_| random()).collect();
        assert!(is_noise(&[noise.clone().into()], noise.len()));
        let digits: Vec<u8> = noise.iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect();
        assert!(!is_noise(&[digits.clone().into()], digits.len()));
        let binary: Vec<u8> = noise.iter().enumerate().map(|(at, byte)| if at % 3 == 0 { 0 } else { *byte }).collect();
        assert!(!is_noise(&[binary.clone().into()], binary.len()));
    }
}
