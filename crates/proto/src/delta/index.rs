//! What the sender knows of the old file: the sums of its blocks, as far as they have come.

use super::sum::{ANCHOR, Sum};

/// Blocks with the same anchor that are compared with one place of the new file.
const SAME_ANCHOR: usize = 4;

/// The blocks of an old file, in order, and by their anchors.
#[derive(Debug)]
pub struct Index {
    block: u32,
    size: u64,
    seed: u32,
    sums: Vec<Sum>,
    anchors: Option<Anchors>,
}

/// Whether a block has a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It has.
    Yes(u32),
    /// Its sum has not come.
    Later,
    /// The old file has no such block.
    Never,
}

impl Index {
    /// The index of an old file of `size` bytes in blocks of `block` bytes, whose sums have this seed. No sum has come.
    pub fn new(block: u32, size: u64, seed: u32) -> Index {
        Index { block: block.max(1), size, seed, sums: Vec::new(), anchors: None }
    }

    /// The same with the sums of the next blocks. Those beyond the file's end are left out.
    pub fn with(mut self, sums: impl IntoIterator<Item = Sum>) -> Index {
        self.learn(sums);
        self
    }

    /// Takes the sums of the next blocks. Those beyond the file's end are left out.
    pub fn learn(&mut self, sums: impl IntoIterator<Item = Sum>) {
        let missing = self.count() - self.sums.len();
        self.sums.extend(sums.into_iter().take(missing));
        self.anchors = None;
    }

    /// Whether all sums have come.
    pub fn is_whole(&self) -> bool {
        self.sums.len() == self.count()
    }

    /// No more sums come: the blocks without one are not found.
    pub fn close(&mut self) {
        self.size = self.size.min(self.offset(u32::try_from(self.sums.len()).unwrap_or(u32::MAX)));
    }

    fn count(&self) -> usize {
        usize::try_from(self.size.div_ceil(u64::from(self.block))).unwrap_or(usize::MAX).min(u32::MAX as usize)
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

    /// The block that is so many blocks after the one that begins at this offset.
    pub(super) fn at(&self, offset: u64, ahead: u32) -> Known {
        let number = offset / u64::from(self.block) + u64::from(ahead);
        match u32::try_from(number) {
            Ok(number) if offset.is_multiple_of(u64::from(self.block)) => match number as usize {
                known if known < self.sums.len() => Known::Yes(number),
                later if later < self.count() => Known::Later,
                _ => Known::Never,
            },
            _ => Known::Never,
        }
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
        bytes.len() == self.length(number)
            && self.sums.get(number as usize).is_some_and(|sum| sum.id == Sum::of(bytes, self.seed).id)
    }

    /// The ids of these bytes.
    pub(super) fn id(&self, bytes: &[u8]) -> u64 {
        Sum::of(bytes, self.seed).id
    }

    /// Whether a block has this id.
    pub(super) fn has(&self, number: u32, id: u64) -> bool {
        self.sums.get(number as usize).is_some_and(|sum| sum.id == id)
    }

    /// Orders the blocks by their anchors, unless that is done.
    pub(super) fn order(&mut self) {
        if self.anchors.is_none() {
            let whole = usize::try_from(self.size / u64::from(self.block)).unwrap_or(usize::MAX);
            let count = if self.block() >= ANCHOR { self.sums.len().min(whole) } else { 0 };
            self.anchors = Some(Anchors::of(&self.sums[..count]));
        }
    }

    /// The blocks in the order of their anchors, once [`order`](Self::order) was called.
    pub(super) fn anchors(&self) -> &Anchors {
        const NONE: &Anchors = &Anchors { order: Vec::new(), first: Vec::new(), filter: Vec::new(), shift: 0 };
        self.anchors.as_ref().unwrap_or(NONE)
    }
}

/// Blocks by their anchors.
#[derive(Debug)]
pub(super) struct Anchors {
    /// The anchors and the blocks that have them, ordered.
    order: Vec<(u32, u32)>,
    /// Where the anchors with certain upper bits begin in that order.
    first: Vec<u32>,
    /// One bit for each value of more of the upper bits.
    filter: Vec<u64>,
    shift: u32,
}

impl Anchors {
    fn of(sums: &[Sum]) -> Anchors {
        let mut order: Vec<(u32, u32)> = (0..).zip(sums).map(|(number, sum)| (sum.anchor, number)).collect();
        order.sort_unstable();
        // Sixteen bits for each block: one place in sixteen is looked at for nothing.
        let bits = (order.len() * 16).next_power_of_two().clamp(64, 1 << 22);
        let shift = 32 - bits.ilog2();
        let mut filter = vec![0u64; bits / 64];
        let mut first = vec![0u32; bits / 16 + 1];
        for &(anchor, _) in &order {
            let bit = (anchor >> shift) as usize;
            filter[bit / 64] |= 1 << (bit % 64);
            first[bit / 16 + 1] += 1;
        }
        let mut sum = 0;
        for count in &mut first {
            sum += *count;
            *count = sum;
        }
        Anchors { order, first, filter, shift }
    }

    /// Whether some block may have this anchor.
    pub(super) fn may_have(&self, anchor: u32) -> bool {
        let bit = (anchor >> self.shift) as usize;
        self.filter.get(bit / 64).is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
    }

    /// The blocks with this anchor, a few of them at most.
    pub(super) fn with(&self, anchor: u32) -> impl Iterator<Item = u32> + '_ {
        let bucket = (anchor >> self.shift) as usize / 16;
        let range = match (self.first.get(bucket), self.first.get(bucket + 1)) {
            (Some(&start), Some(&end)) => start as usize..end as usize,
            _ => 0..0,
        };
        let bucket = &self.order[range];
        let first = bucket.partition_point(|&(other, _)| other < anchor);
        bucket[first..]
            .iter()
            .take_while(move |&&(other, _)| other == anchor)
            .take(SAME_ANCHOR)
            .map(|&(_, number)| number)
    }
}
