//! Where encoded bytes go.

use alloc::vec::Vec;

/// A growing byte buffer that an [`Enframer`](crate::Enframer) writes to.
pub trait Output {
    /// The bytes written so far; a patched prefix is written through this.
    fn written(&mut self) -> &mut [u8];
    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize);
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
    /// Appends the first `len` of these bytes, at most eight: a copy of known size is faster than one that fits.
    #[inline]
    fn put_short(&mut self, bytes: [u8; 8], len: usize) {
        self.put(&bytes[..len]);
    }
    /// Appends the first `len` of sixteen bytes, then `data`.
    #[inline]
    fn put_framed(&mut self, head: [u8; 16], len: usize, data: &[u8]) {
        self.put(&head[..len]);
        self.put(data);
    }
    /// Cuts the buffer back to `len` bytes.
    fn cut(&mut self, len: usize);
}

impl Output for Vec<u8> {
    #[inline]
    fn written(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        Vec::reserve(self, more);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn put_short(&mut self, bytes: [u8; 8], len: usize) {
        let end = self.len() + len;
        self.extend_from_slice(&bytes);
        self.truncate(end);
    }

    #[inline(always)]
    fn put_framed(&mut self, head: [u8; 16], len: usize, data: &[u8]) {
        let end = self.len() + len;
        Vec::reserve(self, head.len() + data.len());
        self.extend_from_slice(&head);
        self.truncate(end);
        self.extend_from_slice(data);
    }

    #[inline]
    fn cut(&mut self, len: usize) {
        self.truncate(len);
    }
}
