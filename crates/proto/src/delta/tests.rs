//! Random edit scripts against the file that they make, and files that are made to cost work.

use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Random, the same byte again and again, or a short pattern.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        match self.below(4) {
            0 => vec![self.next() as u8; len],
            1 => {
                let pattern = self.next().to_le_bytes();
                (0..len).map(|at| pattern[at % 3]).collect()
            }
            _ => (0..len).map(|_| self.next() as u8).collect(),
        }
    }

    /// Replaces, inserts, deletes, moves or repeats something.
    fn edit(&mut self, file: &mut Vec<u8>) {
        let start = self.below(file.len() + 1);
        let most = 1 << self.below(12);
        let len = self.below(most).min(file.len() - start);
        match self.below(5) {
            0 => {
                let bytes = self.bytes(len);
                file[start..start + len].copy_from_slice(&bytes);
            }
            1 => {
                let bytes = self.bytes(len);
                file.splice(start..start, bytes);
            }
            2 => drop(file.drain(start..start + len)),
            3 => {
                let bytes: Vec<u8> = file.drain(start..start + len).collect();
                let to = self.below(file.len() + 1);
                file.splice(to..to, bytes);
            }
            _ => {
                let bytes = file[start..start + len].to_vec();
                let to = self.below(file.len() + 1);
                file.splice(to..to, bytes);
            }
        }
    }
}

const SEED: u32 = 7;

/// The new file as its pieces make it, and how many of its bytes are new. Windows have `window` blocks. The sums come while the sender
/// goes through the new file.
fn rebuild(old: &[u8], new: &[u8], block: u32, window: usize) -> (Vec<u8>, usize) {
    let mut all = sums(old, block, SEED);
    let mut scan = Scan::new(Index::new(block, old.len() as u64, SEED));
    let (mut built, mut fresh, mut at) = (Vec::new(), 0, 0);
    let mut take = |piece: &Piece, bytes: &[u8], built: &mut Vec<u8>| match piece {
        Piece::Old { from, len } => built.extend(&old[*from as usize..(*from + *len) as usize]),
        Piece::New { range, .. } => {
            fresh += range.len();
            built.extend(&bytes[range.clone()]);
        }
    };
    while at < new.len() {
        let end = new.len().min(at + window * block as usize);
        let bytes = &new[at..end];
        if scan.is_waiting() {
            let next: Vec<Sum> = all.by_ref().take(window).collect();
            assert!(!next.is_empty(), "a sum is waited for that does not exist");
            scan.learn(next);
            continue;
        }
        if let Some((from, len)) = scan.follow(&bytes[..bytes.len().min(3 * block as usize)]) {
            take(&Piece::Old { from, len: len as u64 }, bytes, &mut built);
            at += len;
            continue;
        }
        let (pieces, consumed) = scan.next(bytes, end == new.len());
        assert!(consumed > 0 || scan.is_waiting(), "a window of {} bytes of {block} gives nothing", bytes.len());
        for piece in &pieces {
            let Piece::New { range, old: part } = piece else {
                take(piece, bytes, &mut built);
                continue;
            };
            assert!(part.start <= part.end && part.end <= old.len() as u64, "{part:?} of {}", old.len());
            let bytes = &bytes[range.clone()];
            let fine = sums(&old[part.start as usize..part.end as usize], FINE, SEED);
            refine(bytes, part.clone(), fine, SEED).iter().for_each(|piece| take(piece, bytes, &mut built));
        }
        at += consumed;
    }
    (built, fresh)
}

/// `UNGLUE_EDIT_SCRIPTS` is their number, if it isn't 10,000.
#[test]
fn the_pieces_of_random_edit_scripts_make_the_new_file() {
    let count = std::env::var("UNGLUE_EDIT_SCRIPTS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000u64);
    for seed in 0..count {
        let mut random = Random(seed);
        let most = 1 << random.below(16);
        let len = random.below(most);
        let old = random.bytes(len);
        let mut new = old.clone();
        (0..random.below(6)).for_each(|_| random.edit(&mut new));
        let block = [64, 100, 256, 1024, 2048][random.below(5)];
        let window = WINDOW + random.below(20);
        let (built, _) = rebuild(&old, &new, block, window);
        assert!(built == new, "seed {seed}: {} bytes became {}, not {}", old.len(), built.len(), new.len());
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| random.next() as u8).collect()
}

#[test]
fn little_is_new_where_little_has_changed() {
    let old = noise(1, 4 << 20);
    let block = coarse(old.len() as u64);
    assert_eq!(block, 4096);
    let fresh = |new: &[u8]| {
        let (built, fresh) = rebuild(&old, new, block, 64);
        assert!(built == new, "another file");
        fresh
    };
    assert_eq!(fresh(&old), 0);
    let mut random = Random(2);
    let mut scattered = old.clone();
    for _ in 0..40 {
        let at = random.below(old.len() - 1024);
        scattered[at..at + 1024].copy_from_slice(&noise(at as u64, 1024));
    }
    assert!(fresh(&scattered) <= 40 * 2048, "{}", fresh(&scattered));
    let mut contiguous = old.clone();
    contiguous[1_000_000..1_040_000].copy_from_slice(&noise(3, 40_000));
    assert!(fresh(&contiguous) <= 40_000 + 2 * 1024, "{}", fresh(&contiguous));
    let inserted = [noise(4, 40_000), old.clone()].concat();
    assert!(fresh(&inserted) <= 40_000, "{}", fresh(&inserted));
    let middle = [&old[..2_000_001], &noise(5, 333)[..], &old[2_000_001..]].concat();
    assert!(fresh(&middle) <= 333 + 2 * 1024, "{}", fresh(&middle));
    assert!(fresh(&old[40_001..]) <= 4096, "{}", fresh(&old[40_001..]));
    let swapped = [&old[2_000_000..], &old[..2_000_000]].concat();
    assert!(fresh(&swapped) <= 4 * 4096, "{}", fresh(&swapped));
    assert_eq!(fresh(&[&old[..], b"appended"].concat()), 8);
    assert_eq!(fresh(&old[..3 << 20]), 0);
}

#[test]
fn a_small_file_is_divided_in_one_pass() {
    for seed in 0..3000 {
        let mut random = Random(seed);
        let most = 1 << random.below(18);
        let len = random.below(most);
        let old = random.bytes(len);
        let mut new = old.clone();
        (0..random.below(4)).for_each(|_| random.edit(&mut new));
        let size = old.len() as u64;
        let pieces = divide(&new, size, sums(&old, short(size), SEED), SEED);
        let built: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Old { from, len } => &old[*from as usize..(*from + *len) as usize],
                Piece::New { range, .. } => &new[range.clone()],
            })
            .copied()
            .collect();
        assert!(built == new, "seed {seed}: {} bytes became {}, not {}", old.len(), built.len(), new.len());
    }
    for (size, block) in
        [(0, 1024), (64 << 10, 1024), (256 << 10, 1024), (1 << 20, 2048), (4 << 20, 4096), (u64::MAX, 1 << 21)]
    {
        assert_eq!(short(size), block, "{size}");
    }
    // One change costs a block.
    let mut new = noise(1, 200_000);
    let all: Vec<Sum> = sums(&new, short(200_000), SEED).collect();
    new[100_000] ^= 1;
    let pieces = divide(&new, 200_000, all, SEED);
    assert!(
        matches!(&pieces[..], [Piece::Old { .. }, Piece::New { range, .. }, Piece::Old { .. }] if range.len() == 1024)
    );
}

#[test]
fn the_work_is_bounded_for_any_file() {
    // Every place of the new file has the anchor of every block of the old one, and no block is the same.
    let block = 4096u32;
    let liar = Sum { anchor: Sum::of(&[0; 4096], SEED).anchor, id: 7 };
    let index = Index::new(block, u64::from(block) * MOST, SEED).with(vec![liar; MOST as usize]);
    let new = vec![0; 8 << 20];
    let mut scan = Scan::new(index);
    let began = std::time::Instant::now();
    let (pieces, consumed) = scan.next(&new, true);
    assert_eq!((pieces.len(), consumed), (1, new.len()));
    // Without the bound, 8 Mi blocks of 4 KiB would be digested: a minute at least.
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn lengths_and_numbers_are_bounded() {
    for size in [0, 1, 4096, 1 << 20, 1 << 30, 1 << 40, 1 << 48, u64::MAX] {
        let block = u64::from(coarse(size));
        assert!(block.is_power_of_two() && block >= u64::from(LEAST), "{size}: {block}");
        assert!(size > 1 << 48 || size.div_ceil(block) <= MOST, "{size}: {block}");
    }
    assert_eq!(coarse(1 << 30), 65_536);
    // More sums than the file has blocks, and fewer.
    let old = noise(6, 10_000);
    for count in [0, 1, 5, 50] {
        let mut some: Vec<Sum> = sums(&old, 2048, SEED).collect();
        some.resize(count, Sum { anchor: 0, id: 0 });
        let mut index = Index::new(2048, old.len() as u64, SEED).with(some);
        index.close();
        let (pieces, consumed) = Scan::new(index).next(&old, true);
        assert_eq!(consumed, old.len());
        for piece in pieces {
            if let Piece::Old { from, len } = piece {
                assert!(from + len <= old.len() as u64, "{from} {len}");
            }
        }
    }
}

#[test]
fn a_sum_survives_the_wire() {
    let sum = Sum::of(&noise(8, 5000), SEED);
    assert_eq!(Sum::decode(&sum.encode()), sum);
    assert_eq!(Sum::of(b"short", SEED).anchor, 0);
    for group in [Group::Blocks(0), Group::Blocks(16), Group::Answer(0), Group::Answer(4096)] {
        assert_eq!(Group::decode(group.encode()), group);
    }
}

#[test]
fn what_follows_many_new_bytes_is_still_found() {
    let mut random = Random(7);
    let mut noise = |len| (0..len).map(|_| random.next() as u8).collect::<Vec<u8>>();
    let old = noise(16 << 20);
    // 10 MiB of it begin after 9 MiB that the old file doesn't have.
    let new = [noise(9 << 20), old[3 << 20..13 << 20].to_vec()].concat();
    let block = coarse(old.len() as u64);
    let (built, fresh) = rebuild(&old, &new, block, (1 << 20) / block as usize);
    assert!(built == new);
    assert!(fresh <= (9 << 20) + 2 * block as usize, "{fresh} bytes are new");
}
