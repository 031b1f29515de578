//! Ids whose jobs are not remembered, and that must not run again.
//!
//! Of each id there is a hash of 64 bits. When a hash is dropped, too, the *horizon* moves: the latest time in an UUIDv7 whose
//! hash was dropped. An UUIDv7 up to the horizon that is not known counts as forgotten.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::record::{Batch, Line};

/// Ids that are forgotten within this many seconds are dropped together.
const BATCH_SECONDS: i64 = 60 * 60;
/// The most ids of a batch: it is one record of the file.
const BATCH: usize = 4096;

/// Forgotten ids, the first forgotten first.
#[derive(Debug, Clone, Default)]
pub(super) struct Forgotten {
    known: HashSet<u64, BuildHasherDefault<Itself>>,
    batches: VecDeque<Batch>,
    /// How many hashes at the start of the first batch are dropped.
    dropped: usize,
    /// In milliseconds since the epoch.
    horizon: u64,
}

impl Forgotten {
    /// An id that is forgotten at this time (seconds since the epoch). At most `room` are kept.
    pub(super) fn add(&mut self, hash: u64, uuid: Option<u64>, at: i64, room: usize) {
        if !self.known.insert(hash) {
            return;
        }
        // A client whose clock is wrong must not move the horizon into the future: it would refuse new ids.
        let latest = uuid.unwrap_or(0).min(u64::try_from(at).unwrap_or(0).saturating_mul(1000));
        match self.batches.back_mut() {
            Some(batch)
                if batch.hashes.len() < BATCH && at < batch.at + BATCH_SECONDS && at >= batch.at - BATCH_SECONDS =>
            {
                batch.hashes.push(hash);
                batch.latest = batch.latest.max(latest);
            }
            _ => self.batches.push_back(Batch { at, latest, hashes: vec![hash] }),
        }
        self.shrink(room);
    }

    /// Ids of an earlier file.
    pub(super) fn restore(&mut self, batch: &Batch, room: usize) {
        let mut batch = batch.clone();
        batch.hashes.retain(|hash| self.known.insert(*hash));
        self.batches.push_back(batch);
        self.shrink(room);
    }

    /// UUIDv7 ids up to this time are forgotten.
    pub(super) fn raise(&mut self, horizon: u64) {
        self.horizon = self.horizon.max(horizon);
    }

    /// Whether this id was forgotten.
    pub(super) fn holds(&self, hash: u64, uuid: Option<u64>) -> bool {
        uuid.is_some_and(|time| time <= self.horizon) || self.known.contains(&hash)
    }

    /// How many hashes are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Drops what was forgotten before this time (seconds since the epoch).
    pub(super) fn drop_before(&mut self, time: i64) {
        while self.batches.front().is_some_and(|batch| batch.at < time) {
            self.drop_first(usize::MAX);
        }
    }

    fn shrink(&mut self, room: usize) {
        while self.known.len() > room && !self.batches.is_empty() {
            self.drop_first(self.known.len() - room);
        }
    }

    /// Drops at most so many hashes of the first batch.
    fn drop_first(&mut self, most: usize) {
        let Some(batch) = self.batches.front() else { return };
        self.horizon = self.horizon.max(batch.latest);
        let end = batch.hashes.len().min(self.dropped.saturating_add(most));
        for hash in &batch.hashes[self.dropped..end] {
            self.known.remove(hash);
        }
        self.dropped = end;
        if end == batch.hashes.len() {
            self.batches.pop_front();
            self.dropped = 0;
        }
    }

    /// The lines that restore this.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let horizon = (self.horizon > 0).then_some(Line::Horizon(self.horizon));
        let batches = self.batches.iter().enumerate().map(|(index, batch)| {
            let from = if index == 0 { self.dropped } else { 0 };
            Line::Forgotten(Batch { hashes: batch.hashes[from..].to_vec(), ..*batch })
        });
        horizon.into_iter().chain(batches)
    }

    /// How many lines these are.
    pub(super) fn line_count(&self) -> usize {
        self.batches.len() + usize::from(self.horizon > 0)
    }
}

/// The hash of a user's id: the first eight bytes of a BLAKE3 digest of the user's length, the user and the id.
pub(super) fn hash(user: &str, id: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(user.len() as u64).to_le_bytes()).update(user.as_bytes()).update(id.as_bytes());
    let digest = hasher.finalize();
    digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// The time in an UUIDv7 (RFC 9562, section 5.7), in milliseconds since the epoch; nothing for any other id.
pub(super) fn uuid_time(id: &str) -> Option<u64> {
    let bytes = id.as_bytes();
    let hyphens = [8, 13, 18, 23];
    let fits = |(at, byte): (usize, &u8)| match hyphens.contains(&at) {
        true => *byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    let variant = matches!(bytes.get(19)?, b'8' | b'9' | b'a' | b'b' | b'A' | b'B');
    if bytes.len() != 36 || bytes[14] != b'7' || !variant || !bytes.iter().enumerate().all(fits) {
        return None;
    }
    u64::from_str_radix(&[&id[..8], &id[9..13]].concat(), 16).ok()
}

/// Hashes need no hashing.
#[derive(Debug, Clone, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_of_version_7_have_a_time() {
        // The example of RFC 9562, appendix A.6.
        assert_eq!(uuid_time("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), Some(0x017F_22E2_79B0));
        for other in [
            "",
            "build-42",
            "919108f7-52d1-4320-9bac-f847db4148a8",
            "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398",
            "017F22E2079B0-7CC3-98C4-DC0C0C07398F",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398é",
        ] {
            assert_eq!(uuid_time(other), None, "{other}");
        }
    }

    #[test]
    fn users_have_ids_of_their_own() {
        assert_eq!(hash("ada", "1"), hash("ada", "1"));
        assert_ne!(hash("ada", "1"), hash("ad", "a1"));
        assert_ne!(hash("ada", "1"), hash("bob", "1"));
    }

    #[test]
    fn a_dropped_hash_moves_the_horizon_and_no_further_than_the_server_s_time() {
        let mut forgotten = Forgotten::default();
        forgotten.add(1, Some(5_000), 10, 1);
        assert!(forgotten.holds(1, Some(5_000)) && !forgotten.holds(9, Some(4_000)));
        forgotten.add(2, Some(7_000_000), 20, 1);
        assert_eq!(forgotten.len(), 1, "there is room for one");
        assert!(forgotten.holds(9, Some(5_000)));
        forgotten.drop_before(i64::MAX);
        assert_eq!(forgotten.len(), 0);
        assert!(forgotten.holds(9, Some(20_000)) && !forgotten.holds(9, Some(20_001)), "its time was in the future");
        assert!(!forgotten.holds(9, None), "of another id nothing is known once its hash is dropped");
    }
}
