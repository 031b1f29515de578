//! The bytes of a stream that have arrived and wait for their reader.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The largest piece of memory that bytes are collected in.
const SEGMENT: usize = 256 * 1024;
/// The smallest one for bytes that follow others.
const SMALLEST: usize = 1024;
/// Pieces of memory that are kept for the next bytes; together they are half a window at most.
const SPARE: usize = 2;

/// A queue of pieces of memory: what has arrived is copied once, and never moved. For a stream in full flow the pieces are large,
/// and used again; otherwise they grow with what waits, so that bytes that come one at a time take few of them.
#[derive(Default)]
pub(super) struct Unread {
    segments: VecDeque<Segment>,
    len: usize,
    /// Emptied pieces of a stream in full flow, whose memory comes back once their readers are done with it.
    spare: VecDeque<Segment>,
}

struct Segment {
    bytes: BytesMut,
    /// Its whole memory, if that is to be used again.
    size: Option<usize>,
}

impl Segment {
    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

impl Unread {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes behind the others; with the window of a stream in full flow.
    pub(super) fn push(&mut self, mut data: &[u8], flows: Option<u64>) {
        while !data.is_empty() {
            let taken = match self.segments.back_mut().filter(|last| last.room() > 0) {
                Some(last) => {
                    let taken = last.room().min(data.len());
                    last.bytes.extend_from_slice(&data[..taken]);
                    taken
                }
                None => {
                    let segment = match flows {
                        Some(window) => self.large((window as usize / 4).min(SEGMENT)),
                        None => self.small(data.len()),
                    };
                    self.segments.push_back(segment);
                    0
                }
            };
            self.len += taken;
            data = &data[taken..];
        }
    }

    fn small(&self, wanted: usize) -> Segment {
        let behind = if self.is_empty() { 0 } else { self.len.clamp(SMALLEST, SEGMENT) };
        Segment { bytes: BytesMut::with_capacity(wanted.min(SEGMENT).max(behind)), size: None }
    }

    fn large(&mut self, size: usize) -> Segment {
        self.spare.retain(|spare| spare.size == Some(size));
        if let Some(mut spare) = self.spare.pop_front() {
            if spare.bytes.try_reclaim(size) {
                return spare;
            }
            self.spare.push_front(spare);
        }
        Segment { bytes: BytesMut::with_capacity(size), size: Some(size) }
    }

    /// Takes at most `max` of the bytes in front; fewer where a piece of memory ends.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        let Some(first) = self.segments.front_mut() else { return Bytes::new() };
        let taken = first.bytes.split_to(first.bytes.len().min(max));
        self.len -= taken.len();
        // What is left of a large piece takes the next bytes.
        if first.bytes.is_empty() && (first.size.is_none() || first.room() == 0) {
            let emptied = self.segments.pop_front().filter(|emptied| emptied.size.is_some());
            self.spare.extend(emptied);
            self.spare.truncate(SPARE);
        }
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_are_cut() {
        let data: Vec<u8> = (0..3_000_000u32).map(|number| (number * 7 / 3) as u8).collect();
        for (piece, read, flows) in
            [(1, 999, None), (16_384, 262_144, Some(1 << 20)), (65_536, 1, Some(131_072)), (700_000, 65_536, None)]
        {
            let (mut unread, mut rest, mut seen) = (Unread::default(), &data[..data.len().min(piece * 5_000)], 0);
            let whole = rest;
            while seen < whole.len() {
                for _ in 0..3 {
                    let (now, later) = rest.split_at(piece.min(rest.len()));
                    unread.push(now, flows);
                    rest = later;
                }
                while !unread.is_empty() {
                    let taken = unread.take(read);
                    assert!(!taken.is_empty() && taken.len() <= read);
                    assert_eq!(taken, whole[seen..seen + taken.len()], "at {seen} in pieces of {piece}");
                    seen += taken.len();
                }
            }
        }
    }

    #[test]
    fn single_bytes_take_few_pieces_of_memory() {
        let mut unread = Unread::default();
        (0..65_536).for_each(|_| unread.push(b"x", None));
        assert!(unread.segments.len() < 12, "{}", unread.segments.len());
        let memory: usize = unread.segments.iter().map(|segment| segment.bytes.capacity()).sum();
        assert!(memory <= 2 * 65_536, "{memory}");
    }

    #[test]
    fn memory_is_used_again() {
        let mut unread = Unread::default();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..100 {
            unread.push(&[7; SEGMENT], Some(4 << 20));
            let taken = unread.take(SEGMENT);
            places.insert(taken.as_ptr());
        }
        assert_eq!(places.len(), 1);
    }
}
