//! What the sender knows of the old file: a digest of each block, and where a block may begin.

/// The length of a block of the second pass, in bytes.
pub const FINE: u32 = 1024;

/// The shortest block of the first pass, in bytes.
pub const LEAST: u32 = 2048;

/// The most blocks that an old file is divided into.
pub const MOST: u64 = 1 << 18;

/// The length of a sum on the wire, in bytes.
pub const SUM: usize = 20;

/// How many bytes at the beginning of a block its anchor is made of.
pub(super) const ANCHOR: usize = 64;

/// The length of the blocks of an old file of `size` bytes: a power of two, about twice the square root of the size.
pub fn coarse(size: u64) -> u32 {
    let root = (size.isqrt() * 2).next_power_of_two();
    let length = root.max(size.div_ceil(MOST).next_power_of_two());
    u32::try_from(length).unwrap_or(1 << 31).max(LEAST)
}

/// What is known of a block: where it may be, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// A rolling hash of its first 64 bytes; 0 if it has fewer.
    pub anchor: u32,
    /// The first 16 bytes of its BLAKE3 digest.
    pub id: [u8; 16],
}

impl Sum {
    /// That of a block.
    pub fn of(block: &[u8]) -> Sum {
        Sum { anchor: block.get(..ANCHOR).map_or(0, |start| anchor(roll_all(start))), id: id(block) }
    }

    /// As it travels: the anchor (big-endian), then the id.
    pub fn encode(&self) -> [u8; SUM] {
        let mut bytes = [0; SUM];
        bytes[..4].copy_from_slice(&self.anchor.to_be_bytes());
        bytes[4..].copy_from_slice(&self.id);
        bytes
    }

    /// The sum that these bytes are.
    pub fn decode(bytes: &[u8; SUM]) -> Sum {
        let [a, b, c, d, id @ ..] = *bytes;
        Sum { anchor: u32::from_be_bytes([a, b, c, d]), id }
    }
}

/// The sums of all blocks of a file, or of a part of one.
pub fn sums(bytes: &[u8], block: u32) -> Vec<Sum> {
    bytes.chunks(block as usize).map(Sum::of).collect()
}

pub(super) fn id(block: &[u8]) -> [u8; 16] {
    let digest = blake3::hash(block);
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    id
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

/// The blocks of an old file, to be found by their anchors.
#[derive(Debug)]
pub struct Index {
    block: u32,
    size: u64,
    sums: Vec<Sum>,
    /// The numbers of the blocks that have an anchor, ordered by it.
    order: Vec<u32>,
    /// One bit for each value of some bits of an anchor.
    filter: Vec<u64>,
    shift: u32,
}

impl Index {
    /// The index of an old file of `size` bytes in blocks of `block` bytes. Sums beyond its end are left out, and what has no
    /// sum is not found.
    pub fn new(block: u32, size: u64, mut sums: Vec<Sum>) -> Index {
        let block = block.max(1);
        sums.truncate(usize::try_from(size.div_ceil(u64::from(block))).unwrap_or(usize::MAX));
        let whole = usize::try_from(size / u64::from(block)).unwrap_or(usize::MAX);
        let count = u32::try_from(sums.len().min(whole)).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = if block as usize >= ANCHOR { (0..count).collect() } else { Vec::new() };
        order.sort_by_key(|&number| sums[number as usize].anchor);
        // Sixteen bits for each block: one place in sixteen is looked at for nothing.
        let bits = (order.len() * 16).next_power_of_two().clamp(64, 1 << 22);
        let shift = 32 - bits.ilog2();
        let mut filter = vec![0u64; bits / 64];
        for &number in &order {
            let bit = (sums[number as usize].anchor >> shift) as usize;
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Index { block, size, sums, order, filter, shift }
    }

    /// The length of all blocks but the last one.
    pub(super) fn block(&self) -> usize {
        self.block as usize
    }

    /// The old file's size.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Where a block is in the old file.
    pub(super) fn offset(&self, number: u32) -> u64 {
        u64::from(number) * u64::from(self.block)
    }

    /// The block that begins at this offset.
    pub(super) fn at(&self, offset: u64) -> Option<u32> {
        let number = u32::try_from(offset / u64::from(self.block)).ok()?;
        (offset.is_multiple_of(u64::from(self.block)) && (number as usize) < self.sums.len()).then_some(number)
    }

    /// A block's length.
    pub(super) fn length(&self, number: u32) -> usize {
        let left = self.size.saturating_sub(self.offset(number));
        self.block().min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// The last block, if it is shorter than the others.
    pub(super) fn short(&self) -> Option<u32> {
        let last = u32::try_from(self.sums.len()).ok()?.checked_sub(1)?;
        (self.length(last) < self.block()).then_some(last)
    }

    /// Whether a block is these bytes, as far as its id says.
    pub(super) fn is(&self, number: u32, bytes: &[u8]) -> bool {
        bytes.len() == self.length(number) && self.sums.get(number as usize).is_some_and(|sum| sum.id == id(bytes))
    }

    /// Whether some block may have this anchor.
    pub(super) fn may_have(&self, anchor: u32) -> bool {
        let bit = (anchor >> self.shift) as usize;
        self.filter[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The blocks with this anchor that have different ids, a few of them at most.
    pub(super) fn with(&self, anchor: u32) -> impl Iterator<Item = u32> {
        let anchor_of = |number: u32| self.sums[number as usize].anchor;
        let first = self.order.partition_point(|&number| anchor_of(number) < anchor);
        self.order[first..].iter().copied().take_while(move |&number| anchor_of(number) == anchor).take(4)
    }

    /// The id of a block.
    pub(super) fn id(&self, number: u32) -> [u8; 16] {
        self.sums[number as usize].id
    }
}
