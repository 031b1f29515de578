//! Random numbers that a seed repeats.
//!
//! splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): not for secrets, good enough
//! to try things out, and the same on every machine.
//!
//! ```
//! use unglue_testkit::prng::{Prng, cases};
//!
//! assert_eq!(Prng::new(7).next_u64(), Prng::new(7).next_u64());
//! // Runs 10 cases; a panic in one tells the seed, and `UNGLUE_SEED=…` runs that one alone.
//! cases("addition commutes", 10, |random| {
//!     let (a, b) = (random.below(100), random.below(100));
//!     assert_eq!(a + b, b + a);
//! });
//! ```

use std::env;

/// A generator of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Prng(u64);

impl Prng {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Prng {
        Prng(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of a product: even enough for tests, without a division.
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included, whose logarithm is uniform: as many small ones as large ones.
    pub fn log_uniform(&mut self, low: usize, high: usize) -> usize {
        let (bits_low, bits_high) = ((low as u64 + 1).ilog2(), (high as u64 + 1).ilog2());
        let bits = bits_low as usize + self.below((bits_high - bits_low + 1) as usize);
        let value = (1usize << bits) - 1 + self.below(1 << bits);
        value.clamp(low, high)
    }

    /// `true` once in `one_in` times.
    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// One of `items`, which are not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Runs `case` with `count` generators of different seeds. A panic is followed by the seed on stderr.
///
/// `UNGLUE_CASES` sets another count, `UNGLUE_SEED` runs one seed alone.
pub fn cases(name: &str, count: u64, mut case: impl FnMut(&mut Prng)) {
    let number = |variable: &str| env::var(variable).ok().and_then(|text| text.parse().ok());
    let seeds = match number("UNGLUE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("UNGLUE_CASES").unwrap_or(count),
    };
    for seed in seeds {
        let _told = TellSeed { name, seed };
        case(&mut Prng::new(seed));
    }
}

/// Tells the seed if it is dropped by a panic.
pub struct TellSeed<'a> {
    /// The test's name.
    pub name: &'a str,
    /// The seed that it runs with.
    pub seed: u64,
}

impl Drop for TellSeed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: failed with seed {}; run it alone with UNGLUE_SEED={}", self.name, self.seed, self.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_splitmix64s() {
        let mut random = Prng::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_keep_to_their_bounds_and_reach_them() {
        let mut random = Prng::new(1);
        let seen: Vec<usize> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|n| seen.contains(&n)) && seen.iter().all(|n| *n < 3));
        let seen: Vec<usize> = (0..10_000).map(|_| random.log_uniform(2, 9)).collect();
        assert!((2..10).all(|n| seen.contains(&n)) && seen.iter().all(|n| (2..10).contains(n)));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.bytes(13).len(), 13);
    }
}
