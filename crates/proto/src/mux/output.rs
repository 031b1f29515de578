//! Where frames go on their way out: into one buffer, or gathered without a copy of their data.

use std::io::IoSlice;

use bytes::Bytes;

/// What [`super::Mux::poll_output`] appends to.
pub trait Output {
    /// The bytes so far.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes that `fill` writes to the end of the buffer.
    fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>));

    /// Appends a stream's bytes.
    fn data(&mut self, data: Bytes);
}

impl Output for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        fill(self);
    }

    fn data(&mut self, data: Bytes) {
        self.extend_from_slice(&data);
    }
}

/// Shorter data is cheaper to copy than to point at.
const COPIED: usize = 2 * 1024;

/// Frames in pieces that follow each other, for a vectored write: a stream's longer data is not copied.
///
/// ```
/// use std::time::Instant;
/// use unglue_proto::mux::{Direction, Gather, Mux, Output as _, Role};
///
/// let mut mux = Mux::new(Role::Client, Instant::now());
/// let stream = mux.open(Direction::Unidirectional).unwrap();
/// mux.write(stream, vec![7; 10_000].into()).unwrap();
///
/// let mut out = Gather::default();
/// mux.poll_output(&mut out, usize::MAX, Instant::now());
/// assert_eq!(out.slices().iter().map(|slice| slice.len()).collect::<Vec<_>>(), [9, 10_000]);
/// assert_eq!(out.len(), 10_009);
/// assert_eq!(out.take().iter().map(|piece| piece.len()).collect::<Vec<_>>(), [9, 10_000]);
/// assert!(out.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Gather {
    short: Vec<u8>,
    /// Where in `short` a piece of `long` stands.
    long: Vec<(usize, Bytes)>,
    len: usize,
}

impl Gather {
    /// Empties it; its memory is kept.
    pub fn clear(&mut self) {
        self.short.clear();
        self.long.clear();
        self.len = 0;
    }

    /// The pieces in order.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.long.len() + 1);
        let mut from = 0;
        for (at, data) in &self.long {
            slices.push(IoSlice::new(&self.short[from..*at]));
            slices.push(IoSlice::new(data));
            from = *at;
        }
        slices.push(IoSlice::new(&self.short[from..]));
        slices.retain(|slice| !slice.is_empty());
        slices
    }

    /// Moves the pieces out, in order and without a copy; it is empty then.
    pub fn take(&mut self) -> Vec<Bytes> {
        let mut short = Bytes::from(std::mem::take(&mut self.short));
        let mut pieces = Vec::with_capacity(2 * self.long.len() + 1);
        let mut from = 0;
        for (at, data) in self.long.drain(..) {
            pieces.push(short.split_to(at - from));
            pieces.push(data);
            from = at;
        }
        pieces.push(short);
        self.len = 0;
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

impl Output for Gather {
    fn len(&self) -> usize {
        self.len
    }

    fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let before = self.short.len();
        fill(&mut self.short);
        self.len += self.short.len() - before;
    }

    fn data(&mut self, data: Bytes) {
        if data.len() < COPIED {
            return self.append(|short| short.extend_from_slice(&data));
        }
        self.len += data.len();
        self.long.push((self.short.len(), data));
    }
}
