//! The sum of a block: what it is, and what it begins with.

use twox_hash::XxHash3_64;

/// The length of a block of the second pass, in bytes.
pub const FINE: u32 = 1024;

/// The shortest block of the first pass, in bytes.
pub const LEAST: u32 = 2048;

/// The most blocks that an old file is divided into.
pub const MOST: u64 = 1 << 18;

/// The length of a sum on the wire, in bytes.
pub const SUM: usize = 12;

/// How many bytes at the beginning of a block its anchor is made of.
pub(super) const ANCHOR: usize = 64;

/// The length of the blocks of an old file of `size` bytes: a power of two, about twice the square root of the size.
pub fn coarse(size: u64) -> u32 {
    let root = (size.isqrt() * 2).next_power_of_two();
    let length = root.max(size.div_ceil(MOST).next_power_of_two());
    u32::try_from(length).unwrap_or(1 << 31).max(LEAST)
}

/// The length of the blocks of an old file of `size` bytes that is divided in one pass: a power of two, near to where one change costs as
/// much as all sums.
pub fn short(size: u64) -> u32 {
    let even = (size.min(1 << 40) * SUM as u64).isqrt();
    u32::try_from((even / 2 + 1).next_power_of_two()).unwrap_or(1 << 31).max(FINE)
}

/// What is known of a block: where it may be, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// A rolling hash of its first 64 bytes; 0 if it has fewer.
    pub anchor: u32,
    /// XXH3-64 of all of it, with the seed that the receiver has chosen.
    pub id: u64,
}

impl Sum {
    /// That of a block.
    pub fn of(block: &[u8], seed: u32) -> Sum {
        Sum { anchor: block.get(..ANCHOR).map_or(0, |start| anchor(roll_all(start))), id: id(block, seed) }
    }

    /// As it travels: the anchor, then the id, both big-endian.
    pub fn encode(&self) -> [u8; SUM] {
        let mut bytes = [0; SUM];
        bytes[..4].copy_from_slice(&self.anchor.to_be_bytes());
        bytes[4..].copy_from_slice(&self.id.to_be_bytes());
        bytes
    }

    /// The sum that these bytes are.
    pub fn decode(bytes: &[u8; SUM]) -> Sum {
        let [a, b, c, d, id @ ..] = *bytes;
        Sum { anchor: u32::from_be_bytes([a, b, c, d]), id: u64::from_be_bytes(id) }
    }
}

/// The sums of all blocks of a file, or of a part of one that begins where a block does.
pub fn sums(bytes: &[u8], block: u32, seed: u32) -> impl Iterator<Item = Sum> {
    bytes.chunks(block as usize).map(move |block| Sum::of(block, seed))
}

fn id(block: &[u8], seed: u32) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(seed), block)
}

/// The rolling hash with one more byte: bytes that are 64 or more before it have no effect any more.
pub(super) fn roll(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(GEAR[usize::from(byte)])
}

pub(super) fn roll_all(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |hash, &byte| roll(hash, byte))
}

/// The half of the hash that all 64 bytes have an effect on.
pub(super) fn anchor(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A random number for each byte: the first outputs of SplitMix64 with the seed 0.
static GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut state = 0u64;
    while index < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[index] = z ^ (z >> 31);
        index += 1;
    }
    table
};
