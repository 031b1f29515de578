//! Random numbers and messages, the same on each run.

/// Marsaglia's xorshift.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            let _ = random.next();
        }
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// Messages of at most `most` bytes: text, JSON, structures full of zeros, or noise.
pub(super) fn payload(random: &mut Random, kind: u64, most: u64) -> Vec<u8> {
    const WORDS: [&str; 12] =
        ["alpha", "to", "request", "of", "value", "stream", "the", "close", "node", "a", "temperature", "ok"];
    let size = (1 + random.below(most)) as usize;
    let mut bytes = Vec::new();
    match kind % 4 {
        0 => {
            while bytes.len() < size {
                bytes.extend_from_slice(WORDS[random.below(12) as usize].as_bytes());
                bytes.push(b' ');
            }
        }
        1 => {
            let word = WORDS[random.below(12) as usize].repeat(size / 12 + 1);
            let text = format!("{{\"id\":{},\"method\":\"{word}\"}}", random.below(1000));
            bytes.extend_from_slice(text.as_bytes());
        }
        2 => {
            while bytes.len() < size {
                bytes.extend((random.below(3000) as u32).to_be_bytes());
            }
        }
        _ => bytes.extend((0..size).map(|_| random.next() as u8)),
    }
    bytes.truncate(if kind % 4 == 1 { bytes.len() } else { size });
    bytes
}
