//! Looking for a delimiter, or for any of several.

use crate::{
    MAX_DELIMITER,
    find::{find, find_any},
};
use alloc::vec::Vec;

/// A delimiter, and how far from the frame's start its end may lie.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    bytes: [u8; MAX_DELIMITER],
    len: usize,
    pub(crate) window: usize,
    /// Other delimiters, if there are any.
    more: Option<alloc::boxed::Box<Several>>,
}

/// All delimiters of several.
#[derive(Clone, Debug)]
struct Several {
    delims: Vec<Vec<u8>>,
    /// Their last bytes, each once.
    lasts: Vec<u8>,
    longest: usize,
}

/// A delimiter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) at: usize,
    pub(crate) end: usize,
}

impl Until {
    pub(crate) fn new(delim: &[u8], window: u64) -> Until {
        Until::any(&[delim], window)
    }

    /// Any of these, each of 1 to [`MAX_DELIMITER`] bytes.
    pub(crate) fn any(delims: &[&[u8]], window: u64) -> Until {
        let first = delims.first().copied().unwrap_or_default();
        let mut bytes = [0; MAX_DELIMITER];
        bytes[..first.len()].copy_from_slice(first);
        let more = (delims.len() > 1).then(|| {
            let mut lasts: Vec<u8> = delims.iter().filter_map(|delim| delim.last().copied()).collect();
            lasts.sort_unstable();
            lasts.dedup();
            let longest = delims.iter().map(|delim| delim.len()).max().unwrap_or(0);
            Several { delims: delims.iter().map(|delim| Vec::from(*delim)).collect(), lasts, longest }.into()
        });
        Until { bytes, len: first.len(), window: usize::try_from(window).unwrap_or(usize::MAX), more }
    }

    /// The delimiter that is written: the first.
    #[inline]
    pub(crate) fn delim(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn delims(&self) -> Vec<&[u8]> {
        match &self.more {
            Some(several) => several.delims.iter().map(Vec::as_slice).collect(),
            None => Vec::from([self.delim()]),
        }
    }

    /// Whether it has one byte, and no other is looked for.
    pub(crate) fn is_short(&self) -> bool {
        self.longest() == 1
    }

    fn longest(&self) -> usize {
        self.more.as_ref().map_or(self.len, |several| several.longest)
    }

    /// The delimiter's place in a frame's first bytes.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<Hit> {
        self.place(&bytes[..bytes.len().min(self.window)])
    }

    /// The same, where it isn't known to begin before `from`.
    #[cfg(feature = "bytes")]
    pub(crate) fn find_from(&self, bytes: &[u8], from: usize) -> Option<Hit> {
        let window = &bytes[..bytes.len().min(self.window)];
        let Hit { at, end } = self.place(window.get(from..)?)?;
        Some(Hit { at: from + at, end: from + end })
    }

    /// The first delimiter in `bytes`: of several, the one that ends first, and of those the longest. So it doesn't
    /// depend on what follows.
    #[inline]
    pub(crate) fn place(&self, bytes: &[u8]) -> Option<Hit> {
        match &self.more {
            None => find(self.delim(), bytes).map(|at| Hit { at, end: at + self.len }),
            Some(several) => several.place(bytes, 0),
        }
    }

    /// The delimiter that `bytes` end with.
    pub(crate) fn ends(&self, bytes: &[u8]) -> Option<Hit> {
        match &self.more {
            None => bytes.ends_with(self.delim()).then(|| Hit { at: bytes.len() - self.len, end: bytes.len() }),
            Some(several) => several.ending(bytes, bytes.len()),
        }
    }

    /// How many of the `fresh` bytes it takes to the delimiter's end. It may have begun in the bytes before, of which
    /// `tail` are the last.
    pub(crate) fn reach(&self, tail: &[u8], fresh: &[u8]) -> Option<usize> {
        let before = self.longest() - 1;
        let tail = &tail[tail.len() - tail.len().min(before)..];
        let mut seam = [0; 2 * MAX_DELIMITER];
        let joined = fresh.len().min(before);
        seam[..tail.len()].copy_from_slice(tail);
        seam[tail.len()..tail.len() + joined].copy_from_slice(&fresh[..joined]);
        let seam = &seam[..tail.len() + joined];
        let across = match &self.more {
            None => self.place(seam),
            // A shorter one that ended in the tail was passed.
            Some(several) => several.place(seam, tail.len()),
        };
        across.map(|hit| hit.end - tail.len()).or_else(|| self.place(fresh).map(|hit| hit.end))
    }
}

impl Several {
    /// The delimiter that ends first, behind `from`.
    fn place(&self, bytes: &[u8], from: usize) -> Option<Hit> {
        let mut at = from;
        while let Some(last) = find_any(&self.lasts, bytes.get(at..)?) {
            at += last + 1;
            if let Some(hit) = self.ending(bytes, at) {
                return Some(hit);
            }
        }
        None
    }

    /// The longest that ends there.
    fn ending(&self, bytes: &[u8], end: usize) -> Option<Hit> {
        let fitting = self.delims.iter().filter(|delim| bytes[..end].ends_with(delim));
        fitting.map(Vec::len).max().map(|len| Hit { at: end - len, end })
    }
}
