//! A stream cut into frames by a hypothesis, whatever its kind.

/// How a parse ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// At the stream's last byte.
    Exact,
    /// Inside a frame of so many bytes, 0 if the header itself is cut.
    Cut(u64),
}

/// The frames of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parse {
    /// Where the first frame begins. Below 0 where the dump lacks the frame's first bytes.
    pub(super) start: i64,
    /// Where each whole frame ends.
    pub(super) ends: Vec<i64>,
    pub(super) end: End,
}

impl Parse {
    /// The whole frames: start and length.
    pub(super) fn frames(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let starts = [self.start].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| (start, end - start))
    }

    /// Where the last whole frame ends.
    pub(super) fn behind(&self) -> i64 {
        self.ends.last().copied().unwrap_or(self.start)
    }
}

/// The number of different lengths among the frames of all streams.
pub(super) fn distinct_lengths(parses: &[Parse]) -> usize {
    let mut lengths: Vec<i64> = parses.iter().flat_map(Parse::frames).map(|(_, length)| length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.len()
}

/// The number of whole frames of all streams.
pub(super) fn count(parses: &[Parse]) -> usize {
    parses.iter().map(|parse| parse.ends.len()).sum()
}
