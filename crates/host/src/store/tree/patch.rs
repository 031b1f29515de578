//! The sender's end of files that are made of old ones: they are read whole, and only what the old file doesn't have is sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use unglue_proto::delta::{Piece, SUM, Speed, Sum, divide, short};
use unglue_proto::tree::{DATA_MAX, Digest, Kind, LARGE, Record, SUMS_MOST};
use unglue_proto::{Code, Fault};

use super::content::{Content, Ended};
use super::source::{Slot, TreeSource, add_content};

/// What the receiver has said of old files, and the files that were made of them.
#[derive(Debug, Default)]
pub(super) struct Patches {
    olds: HashMap<u64, Old>,
    /// The bytes that came of them.
    bytes: usize,
    /// Files that were sent in parts, until the receiver has them: their digests and sizes.
    sent: HashMap<u64, (Slot, Digest, u64)>,
    /// Bytes that were compared with old files for this piece.
    pub(super) compared: u64,
    /// Whether that is worth it, and the bytes since the last file that was found.
    speed: Speed,
    barren: u64,
    /// When the last piece was given.
    given: Option<Instant>,
}

/// What the receiver has said of an old file.
#[derive(Debug)]
pub(super) enum Old {
    Sums { size: u64, seed: u32, sums: Box<[u8]> },
    Digest(Digest),
}

impl Old {
    fn bytes(&self) -> usize {
        match self {
            Old::Sums { sums, .. } => sums.len(),
            Old::Digest(digest) => digest.len(),
        }
    }

    /// A new file with this content and digest as parts of the old one. `None`: the old one has too little of it.
    fn divide(self, data: &[u8], digest: &Digest) -> Option<Vec<Piece>> {
        match self {
            Old::Digest(old) => (old == *digest).then(|| vec![Piece::Old { from: 0, len: data.len() as u64 }]),
            Old::Sums { size, seed, sums } => {
                let pieces = divide(data, size, sums.as_chunks().0.iter().map(Sum::decode), seed);
                let length = |piece: &Piece| match piece {
                    Piece::New { range, .. } => range.len(),
                    Piece::Old { .. } => 0,
                };
                let new: usize = pieces.iter().map(length).sum();
                (new <= data.len() / 4 * 3).then_some(pieces)
            }
        }
    }
}

impl Patches {
    /// How many files were sent of which the receiver may want more.
    pub(super) fn unsure(&self) -> usize {
        self.sent.len()
    }

    /// Whether the receiver has said something of an entry.
    pub(super) fn knows(&self, entry: u64) -> bool {
        self.olds.contains_key(&entry)
    }

    /// A piece is asked for: the one before has been sent.
    pub(super) fn begin_piece(&mut self) {
        self.compared = 0;
        if let Some(given) = self.given.take() {
            self.speed.sent(given.elapsed());
        }
    }

    /// A piece is given, to be sent.
    pub(super) fn end_piece(&mut self) {
        self.given = Some(Instant::now());
    }

    /// A file of so many bytes was compared, and was found or not.
    fn searched(&mut self, bytes: u64, took: Duration, found: bool) {
        self.barren = if found { 0 } else { self.barren + bytes };
        self.speed.searched(took, self.barren);
    }
}

impl TreeSource {
    /// The receiver has sums of an old file.
    pub(super) fn sums(&mut self, entry: u64, size: u64, seed: u32, sums: &[u8]) -> Result<(), Fault> {
        let count = size.div_ceil(u64::from(short(size)));
        if size >= LARGE || sums.len() as u64 != count * SUM as u64 {
            let what = format!("{} bytes of sums came for an old file of {size} bytes", sums.len());
            return Err(Fault::peer(Code::BadMessage, what));
        }
        self.old(entry, Old::Sums { size, seed, sums: sums.into() })
    }

    /// The receiver has a file that may be the same.
    pub(super) fn candidate(&mut self, entry: u64, digest: Digest) -> Result<(), Fault> {
        self.old(entry, Old::Digest(digest))
    }

    fn old(&mut self, entry: u64, old: Old) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::peer(Code::BadMessage, what));
        if !self.options.delta_small || self.options.dry_run {
            return wrong("the receiver sent something of an old file, which was not asked for".to_owned());
        }
        let undecided = self.slots.binary_search_by_key(&entry, |(number, _)| *number);
        if !undecided.is_ok_and(|at| self.slots[at].1.kind == Kind::File) || self.patches.knows(entry) {
            return wrong(format!("the receiver has an old file for entry {entry}, for which there can't be one"));
        }
        self.patches.bytes += old.bytes();
        if self.patches.bytes > SUMS_MOST {
            let what = format!("the receiver sent more than {SUMS_MOST} bytes of sums before their files");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        self.patches.olds.insert(entry, old);
        Ok(())
    }

    /// Sends a file as parts of an old one, if the receiver has one that is good for it.
    pub(super) fn send_patched(&mut self, entry: u64, slot: Slot, out: &mut Vec<u8>) -> Result<(), Slot> {
        let Some(old) = self.patches.olds.remove(&entry) else { return Err(slot) };
        self.patches.bytes -= old.bytes();
        if self.patches.speed.exceeds_search() {
            return Err(slot);
        }
        let Some(content) = self.dirs.file(slot.node).ok().and_then(|dir| {
            let content = Content::open(&dir, &slot.name, &self.guard).ok()?;
            // Nothing of an old file is in an empty one.
            (content.size() > 0 && content.size() < LARGE && !content.is_sparse()).then_some(content)
        }) else {
            return Err(slot);
        };
        self.patches.compared += content.size();
        let began = Instant::now();
        let mut buffer = std::mem::take(&mut self.buffer);
        let sent = self.send_parts((entry, &content), old, &mut buffer, out);
        self.buffer = buffer;
        self.patches.searched(content.size(), began.elapsed(), sent.is_some());
        let Some(ended) = sent else { return Err(slot) };
        self.moving.moved += ended.data;
        let data = ended.data;
        if let Ok(digest) = ended.digest {
            self.ended(entry, &slot, ended);
            self.patches.sent.insert(entry, (slot, digest, data));
        }
        Ok(())
    }

    fn send_parts(
        &self,
        (entry, content): (u64, &Content),
        old: Old,
        buffer: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<Ended> {
        let data = content.read_unchanged(buffer)?;
        let digest = *blake3::hash(data).as_bytes();
        let pieces = old.divide(data, &digest)?;
        content.begin(entry, out);
        for piece in pieces {
            match piece {
                Piece::Old { from, len } => Record::Copy { from, length: len }.encode(out),
                Piece::New { range, .. } => {
                    data[range].chunks(DATA_MAX).for_each(|part| Record::Data(part).encode(out));
                }
            }
        }
        Record::Close { digest: Some(digest) }.encode(out);
        Some(Ended { data: data.len() as u64, digest: Ok(digest) })
    }

    /// What became of files that were sent in parts: those that are not right are sent whole.
    pub(super) fn made(&mut self, right: &[u64], wrong: &[u64]) -> Result<(), Fault> {
        let unknown = |entry: &u64| {
            Fault::peer(Code::BadMessage, format!("the receiver has made entry {entry}, which was not sent in parts"))
        };
        for entry in right {
            self.patches.sent.remove(entry).ok_or_else(|| unknown(entry))?;
        }
        for entry in wrong {
            let (slot, digest, data) = self.patches.sent.remove(entry).ok_or_else(|| unknown(entry))?;
            // Adding it once more takes it away.
            add_content(&mut self.contents, *entry, &digest);
            self.summary.files = self.summary.files.saturating_sub(1);
            self.summary.bytes = self.summary.bytes.saturating_sub(data);
            self.moving.files = self.moving.files.saturating_sub(1);
            self.want(*entry, slot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the search has ended after 60 MiB of files, where each MiB takes a millisecond to compare and `sending` to send.
    fn has_ended(sending: Duration, found: bool) -> bool {
        let mut patches = Patches::default();
        for _ in 0..60 {
            patches.given = Instant::now().checked_sub(sending);
            patches.begin_piece();
            patches.searched(1 << 20, Duration::from_millis(1), found);
        }
        patches.speed.exceeds_search()
    }

    #[test]
    fn old_files_are_left_alone_where_none_is_of_use_and_the_link_is_fast() {
        assert!(has_ended(Duration::ZERO, false));
        assert!(!has_ended(Duration::from_millis(20), false), "the link is slow");
        assert!(!has_ended(Duration::ZERO, true), "they are of use");
    }
}
