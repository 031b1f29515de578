//! The bytes of a frame that isn't whole yet.

use alloc::vec::Vec;

/// The most memory that lies unused behind received bytes.
const SLACK: usize = 4096;

/// A buffer that survives its frame is let go above this size.
const KEEP: usize = 256 * 1024;

/// A partial frame. While it grows it never holds more than [`SLACK`] bytes beyond what came, and it copies each
/// byte at most twice: into a block, and from there to its place once the frame's last byte is within reach.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    /// The frame's first bytes, in one piece.
    run: Vec<u8>,
    /// What follows them.
    blocks: Vec<Vec<u8>>,
    /// The bytes in `blocks`.
    blocked: usize,
}

impl Stash {
    pub(crate) fn len(&self) -> usize {
        self.run.len() + self.blocked
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.run.is_empty()
    }

    /// Copies the last bytes to the end of `to`, as many as fit, and gives them.
    pub(crate) fn tail<'t>(&self, to: &'t mut [u8]) -> &'t [u8] {
        let mut room = to.len();
        for piece in self.blocks.iter().rev().chain([&self.run]) {
            let some = piece.len().min(room);
            to[room - some..room].copy_from_slice(&piece[piece.len() - some..]);
            room -= some;
            if room == 0 {
                break;
            }
        }
        &to[room..]
    }

    /// All bytes, in one piece.
    pub(crate) fn joined(&mut self) -> &[u8] {
        self.gather(self.len());
        &self.run
    }

    /// The frame's first bytes: all of them below [`SLACK`].
    pub(crate) fn head(&self) -> &[u8] {
        &self.run
    }

    /// All bytes, one after the other.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.run.iter().chain(self.blocks.iter().flatten())
    }

    /// Takes bytes in. `want` is the size of the whole, where it is known.
    pub(crate) fn push(&mut self, bytes: &[u8], want: Option<usize>) {
        let len = self.len() + bytes.len();
        match want {
            Some(want) if self.blocks.is_empty() && want.max(len) <= self.run.capacity() => {
                return self.run.extend_from_slice(bytes);
            }
            Some(want) if want.saturating_sub(len) <= SLACK => self.gather(want.max(len)),
            _ if len > self.run.capacity() && self.len() < SLACK => {
                self.run.reserve_exact(len + len.min(SLACK) - self.run.len());
            }
            _ => {}
        }
        let rest = if self.blocks.is_empty() { fill(&mut self.run, bytes) } else { bytes };
        self.blocked += rest.len();
        let rest = self.blocks.last_mut().map_or(rest, |block| fill(block, rest));
        if !rest.is_empty() {
            let mut block = Vec::with_capacity(rest.len().max(SLACK));
            block.extend_from_slice(rest);
            self.blocks.push(block);
        }
    }

    /// Takes bytes in, all in one piece: for rules that look at all of them. Its memory grows by half or by what comes.
    pub(crate) fn grow(&mut self, bytes: &[u8]) {
        let len = self.run.len() + bytes.len();
        if len > self.run.capacity() {
            self.run.reserve_exact((len + len / 2).max(64) - self.run.len());
        }
        self.run.extend_from_slice(bytes);
    }

    /// Forgets the first bytes, which [`grow`](Self::grow) took in.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.run.drain(..bytes.min(self.run.len()));
    }

    /// Gives the last bytes back, which [`grow`](Self::grow) took in.
    pub(crate) fn shorten(&mut self, len: usize) {
        self.run.truncate(len);
    }

    /// Brings all into one piece with room for `want` bytes.
    fn gather(&mut self, want: usize) {
        if want > self.run.capacity() {
            self.run.reserve_exact(want - self.run.len());
        }
        for block in self.blocks.drain(..) {
            self.run.extend_from_slice(&block);
        }
        self.blocked = 0;
    }

    /// Takes a spent buffer, where it has more room, for the next frame.
    pub(crate) fn reuse(&mut self, spent: &mut Vec<u8>) {
        if self.is_empty() && self.blocks.is_empty() && spent.capacity() > self.run.capacity() {
            core::mem::swap(&mut self.run, spent);
            self.run.clear();
        }
    }

    /// Hands the whole over in exchange for a spent buffer, which serves the next frame.
    pub(crate) fn swap(&mut self, whole: &mut Vec<u8>) {
        if !self.blocks.is_empty() {
            self.gather(self.len());
        }
        core::mem::swap(&mut self.run, whole);
        self.run.clear();
        if self.run.capacity() > KEEP {
            self.run = Vec::new();
        }
    }

    /// Everything, in one piece.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.gather(self.len());
        self.run
    }

    /// The memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.run.capacity() + self.blocks.iter().map(Vec::capacity).sum::<usize>()
    }
}

/// Appends as many bytes as there is room for. Gives the others.
fn fill<'b>(buffer: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    let (first, rest) = bytes.split_at(bytes.len().min(buffer.capacity() - buffer.len()));
    buffer.extend_from_slice(first);
    rest
}
