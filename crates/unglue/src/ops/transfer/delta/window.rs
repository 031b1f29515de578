//! The next bytes of the new file, side by side.

use std::mem;

use bytes::{Buf as _, Bytes};
use unglue_host::store::{Source, StoreError};

/// Bytes of a source that were read and not yet passed. They are copied only where a piece of the source is too short.
#[derive(Default)]
pub(super) struct Window {
    /// Those that come first, if there are any.
    joined: Vec<u8>,
    /// How many of them have passed.
    start: usize,
    /// Those that come after them.
    piece: Bytes,
    ended: bool,
}

impl Window {
    /// The bytes that are side by side.
    pub(super) fn rest(&self) -> &[u8] {
        match self.joined.is_empty() {
            true => &self.piece,
            false => &self.joined[self.start..],
        }
    }

    /// Whether [`rest`](Self::rest) is all that is left of the source.
    pub(super) fn is_last(&self) -> bool {
        self.ended && (self.joined.is_empty() || self.piece.is_empty())
    }

    /// Reads on until so many bytes are side by side, or all that is left. False if nothing is left. A dropped call loses nothing.
    pub(super) async fn fill(&mut self, source: &mut impl Source, least: usize) -> Result<bool, StoreError> {
        while self.rest().len() < least {
            if self.piece.is_empty() {
                match source.next().await? {
                    Some(piece) => self.piece = piece,
                    None => self.ended = true,
                }
                if self.ended {
                    break;
                }
            } else {
                self.join(least);
            }
        }
        Ok(!self.rest().is_empty())
    }

    /// Moves bytes of the piece to those that are side by side.
    fn join(&mut self, least: usize) {
        if self.start > 0 && self.joined.len() + self.piece.len() > self.joined.capacity() {
            self.joined.drain(..self.start);
            self.start = 0;
        }
        let missing = least - (self.joined.len() - self.start);
        let moved = self.piece.split_to(missing.min(self.piece.len()));
        self.joined.extend_from_slice(&moved);
    }

    /// The bytes that are side by side, which have passed.
    pub(super) fn take(&mut self) -> Bytes {
        if self.joined.is_empty() {
            return mem::take(&mut self.piece);
        }
        let mut joined = Bytes::from(mem::take(&mut self.joined));
        joined.advance(mem::take(&mut self.start));
        joined
    }

    /// So many bytes have passed.
    pub(super) fn advance(&mut self, bytes: usize) {
        if self.joined.is_empty() {
            return self.piece.advance(bytes);
        }
        self.start += bytes;
        if self.start == self.joined.len() {
            self.joined.clear();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use unglue_host::store::{BytesSource, Facts};

    use super::*;

    #[tokio::test]
    async fn every_byte_passes_once_and_in_order() {
        let content: Vec<u8> = (0..1_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let mut source = BytesSource::new(content.clone().into(), Facts::default());
        let (mut window, mut passed, mut step) = (Window::default(), Vec::new(), 1);
        while window.fill(&mut source, step).await.expect("bytes") {
            let rest = window.rest();
            assert!(rest.len() >= step || window.is_last(), "{} of {step} bytes", rest.len());
            let taken = step.min(rest.len());
            passed.extend_from_slice(&rest[..taken]);
            window.advance(taken);
            step = step * 7 % 700_001;
        }
        assert!(window.is_last() && passed == content);
    }
}
