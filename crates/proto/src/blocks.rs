//! A large file as blocks of 16 MiB, each with a digest of its own: what resuming an interrupted transfer needs.
//!
//! A block's digest is the chaining value of its subtree in the file's BLAKE3 tree. So the digests of all blocks give the
//! file's digest ([`Blocks::digest`]), and nothing is read a second time for it.
//!
//! - Both ends make a [`Blocks`] of the file's size. The receiver sends the [digests](Hashing) of the blocks that it has.
//! - The sender sends each block that the receiver doesn't have, or has with another digest: its number, then its bytes.
//! - The receiver gives each number to [`Arrivals::begin`], which refuses what makes no sense.
//!
//! ```
//! use unglue_proto::blocks::{BLOCK, Blocks, Hashing};
//!
//! let file = vec![7; BLOCK as usize + 10];
//! let blocks = Blocks::of(file.len() as u64).expect("more than one block");
//! let digests: Vec<_> = (0..blocks.count())
//!     .map(|block| {
//!         let range = blocks.range(block).expect("one of the file's");
//!         let mut hashing = Hashing::of(block);
//!         hashing.pass(&file[range.start as usize..range.end as usize]);
//!         hashing.digest()
//!     })
//!     .collect();
//! assert_eq!(blocks.digest(&digests), blake3::hash(&file).to_hex().to_string());
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{Code, Fault};

/// The length of a block, in bytes. The last one of a file may be shorter.
pub const BLOCK: u64 = 16 * 1024 * 1024;

/// The length of a block's digest, in bytes.
pub const DIGEST: usize = 32;

/// The length of a block's number on the wire, in bytes: big-endian.
pub const NUMBER: usize = 4;

/// A block's digest.
pub type BlockDigest = [u8; DIGEST];

/// The blocks of a file. There are two at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    size: u64,
    count: u32,
}

impl Blocks {
    /// Those of a file of `size` bytes. `None` if one block holds all of it, or if there would be more than 2^32.
    pub fn of(size: u64) -> Option<Blocks> {
        let count = u32::try_from(size.div_ceil(BLOCK)).ok()?;
        (count > 1).then_some(Blocks { size, count })
    }

    /// The file's size, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where a block is in the file.
    pub fn range(&self, block: u32) -> Option<Range<u64>> {
        let start = u64::from(block) * BLOCK;
        (block < self.count).then(|| start..self.size.min(start + BLOCK))
    }

    /// How many blocks the first `bytes` bytes hold whole.
    pub fn within(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.min(self.size) / BLOCK).unwrap_or(self.count)
    }

    /// The file's digest, in lower-case hexadecimal, of the digests of all its blocks.
    ///
    /// # Panics
    /// If there is another number of digests than of blocks.
    pub fn digest(&self, digests: &[BlockDigest]) -> String {
        assert_eq!(digests.len(), self.count as usize, "one digest for each block");
        let (left, right) = digests.split_at(left(digests.len()));
        merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).to_hex().to_string()
    }
}

/// The blocks of the left subtree, of so many: the largest power of two that leaves one for the right.
fn left(blocks: usize) -> usize {
    blocks.next_power_of_two() / 2
}

fn subtree(digests: &[BlockDigest]) -> BlockDigest {
    match digests {
        [digest] => *digest,
        digests => {
            let (left, right) = digests.split_at(left(digests.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Digests one block.
#[derive(Debug, Clone)]
pub struct Hashing(Box<Hasher>);

impl Hashing {
    /// Begins with a block.
    pub fn of(block: u32) -> Hashing {
        let mut hasher = Box::new(Hasher::new());
        hasher.set_input_offset(u64::from(block) * BLOCK);
        Hashing(hasher)
    }

    /// Takes the next bytes of the block.
    pub fn pass(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The block's digest. At least one byte must have been passed.
    pub fn digest(&self) -> BlockDigest {
        self.0.finalize_non_root()
    }
}

/// Which blocks of a file have come. It grows with those that come, whatever the file's announced size.
#[derive(Debug)]
pub struct Arrivals {
    blocks: Blocks,
    /// The receiver has these from the beginning on.
    kept: u32,
    /// Those that came, with their digests once they are complete.
    came: BTreeMap<u32, Option<BlockDigest>>,
}

impl Arrivals {
    /// The receiver has the first `kept` blocks.
    pub fn new(blocks: Blocks, kept: u32) -> Arrivals {
        Arrivals { blocks, kept: kept.min(blocks.count), came: BTreeMap::new() }
    }

    /// The sender begins with a block; its bytes are those of this range.
    ///
    /// # Errors
    /// [`Code::BadMessage`]: there is no such block, or it comes a second time.
    pub fn begin(&mut self, number: [u8; NUMBER]) -> Result<(u32, Range<u64>), Fault> {
        let block = u32::from_be_bytes(number);
        let range = self.blocks.range(block).ok_or_else(|| self.bad(block, "came, which the file doesn't have"))?;
        match self.came.contains_key(&block) {
            true => Err(self.bad(block, "came twice")),
            false => {
                self.came.insert(block, None);
                Ok((block, range))
            }
        }
    }

    /// A block that was begun is complete.
    pub fn complete(&mut self, block: u32, digest: BlockDigest) {
        self.came.insert(block, Some(digest));
    }

    /// The stream has ended: the digests of all blocks of the file. `kept` has those of the blocks that were there, in order.
    ///
    /// # Errors
    /// [`Code::BadMessage`]: a block is missing, or is not complete.
    pub fn end(&self, kept: &[BlockDigest]) -> Result<Vec<BlockDigest>, Fault> {
        let kept = &kept[..kept.len().min(self.kept as usize)];
        let mut digests = Vec::with_capacity(kept.len() + self.came.len());
        for block in 0..self.blocks.count {
            digests.push(match self.came.get(&block) {
                Some(Some(digest)) => *digest,
                Some(None) => return Err(self.bad(block, "is not complete")),
                None => *kept.get(block as usize).ok_or_else(|| self.bad(block, "was neither there nor sent"))?,
            });
        }
        Ok(digests)
    }

    fn bad(&self, block: u32, what: &str) -> Fault {
        Fault::peer(Code::BadMessage, format!("block {block} of {} {what}", self.blocks.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_all_blocks_give_that_of_the_file() {
        let file: Vec<u8> = (0..5 * BLOCK as usize + 1).map(|n| (n / 1021) as u8).collect();
        for size in [BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, 4 * BLOCK, 5 * BLOCK, 5 * BLOCK + 1] {
            let blocks = Blocks::of(size).expect("two blocks");
            let file = &file[..size as usize];
            let digest = |block: u32| {
                let range = blocks.range(block).expect("a block");
                let mut hashing = Hashing::of(block);
                file[range.start as usize..range.end as usize].chunks(700_001).for_each(|part| hashing.pass(part));
                hashing.digest()
            };
            let digests: Vec<_> = (0..blocks.count()).map(digest).collect();
            assert_eq!(blocks.digest(&digests), blake3::hash(file).to_hex().to_string(), "{size}");
        }
    }

    #[test]
    fn a_file_of_one_block_has_no_blocks() {
        assert_eq!([0, 1, BLOCK].map(Blocks::of), [None; 3]);
        assert_eq!(Blocks::of(u64::MAX), None);
        let blocks = Blocks::of(2 * BLOCK + 5).expect("three blocks");
        assert_eq!([0, BLOCK - 1, BLOCK, 2 * BLOCK + 5, u64::MAX].map(|bytes| blocks.within(bytes)), [0, 0, 1, 2, 2]);
        assert_eq!(blocks.range(2), Some(2 * BLOCK..2 * BLOCK + 5));
        assert_eq!(blocks.range(3), None);
    }

    #[test]
    fn blocks_that_make_no_sense_are_refused() {
        let blocks = Blocks::of(3 * BLOCK).expect("three blocks");
        let mut arrivals = Arrivals::new(blocks, 1);
        assert!(arrivals.begin(3u32.to_be_bytes()).unwrap_err().what.contains("block 3 of 3 came, which"));
        assert_eq!(arrivals.begin(2u32.to_be_bytes()).unwrap(), (2, 2 * BLOCK..3 * BLOCK));
        assert!(arrivals.begin(2u32.to_be_bytes()).unwrap_err().what.contains("block 2 of 3 came twice"));
        let kept = [[1; DIGEST]; 3];
        assert!(arrivals.end(&kept).unwrap_err().what.contains("block 1 of 3 was neither"));
        arrivals.begin(1u32.to_be_bytes()).unwrap();
        arrivals.complete(1, [2; DIGEST]);
        assert!(arrivals.end(&kept).unwrap_err().what.contains("block 2 of 3 is not complete"));
        arrivals.complete(2, [3; DIGEST]);
        assert!(arrivals.end(&[]).unwrap_err().what.contains("block 0 of 3 was neither"));
        assert_eq!(arrivals.end(&kept).unwrap(), [[1; DIGEST], [2; DIGEST], [3; DIGEST]]);
    }

    #[test]
    fn an_announced_size_costs_nothing() {
        let blocks = Blocks::of(BLOCK << 31).expect("2^31 blocks");
        for kept in [0, 1, u32::MAX] {
            let mut arrivals = Arrivals::new(blocks, kept);
            arrivals.begin((1u32 << 30).to_be_bytes()).unwrap();
            assert!(arrivals.came.len() == 1 && arrivals.end(&[[1; DIGEST]; 4]).is_err());
        }
    }
}
