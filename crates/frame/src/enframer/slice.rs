//! A slice as the output.

use crate::{EncodeError, Output};

/// Bytes written to the front of a slice, and how many there would be if they don't fit.
pub(super) struct Slice<'s> {
    bytes: &'s mut [u8],
    /// Bytes that are there, or would be.
    len: usize,
}

impl<'s> Slice<'s> {
    pub(super) fn new(bytes: &'s mut [u8]) -> Slice<'s> {
        Slice { bytes, len: 0 }
    }

    /// How many bytes there would be with room for all.
    pub(super) fn size(&self) -> usize {
        self.len
    }

    /// How many bytes were written.
    pub(super) fn fits(&self) -> Result<usize, EncodeError> {
        let have = self.bytes.len();
        if self.len <= have { Ok(self.len) } else { Err(EncodeError::NoRoom { need: self.len, have }) }
    }
}

impl Output for Slice<'_> {
    #[inline]
    fn written(&mut self) -> &mut [u8] {
        let len = self.len.min(self.bytes.len());
        &mut self.bytes[..len]
    }

    #[inline]
    fn reserve(&mut self, _: usize) {}

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        self.len = end;
    }

    #[inline]
    fn put_short(&mut self, bytes: [u8; 8], len: usize) {
        let end = self.len.saturating_add(len);
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            // A copy whose size is known takes less.
            match len {
                4 => place.copy_from_slice(&bytes[..4]),
                2 => place.copy_from_slice(&bytes[..2]),
                1 => place.copy_from_slice(&bytes[..1]),
                8 => place.copy_from_slice(&bytes),
                _ => place.copy_from_slice(&bytes[..len]),
            }
        }
        self.len = end;
    }

    #[inline]
    fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
