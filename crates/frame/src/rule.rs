//! A framing, compiled: what the deframer and the enframer run.

mod head;

use crate::{Fault, Framing, framing::Shape};
pub(crate) use head::{Head, least_width};

/// Where a frame's parts lie, counted from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where the data begins.
    pub(crate) head: usize,
    /// The data's bytes.
    pub(crate) data: usize,
    /// The bytes of the whole frame.
    pub(crate) total: usize,
}

/// What the first bytes of a frame tell about its end.
pub(crate) enum Measure {
    Known(Span),
    /// Nothing until this many bytes (more than there were) are there.
    More(usize),
}

/// A compiled framing.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) limits: Limits,
    pub(crate) head: Head,
}

/// How many bytes of data a frame may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max: u64,
    pub(crate) empty: bool,
}

impl Rule {
    pub(crate) fn new(framing: Framing) -> Rule {
        let limits = Limits { max: framing.max, empty: framing.empty };
        let Shape::Layout(layout) = framing.shape;
        Rule { limits, head: Head::new(layout, limits) }
    }

    /// Finds the end of the frame that begins with `bytes`. A fault found in some bytes is found in the same way when
    /// more have come: that is what makes errors independent of the chunking.
    pub(crate) fn measure(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        self.head.measure(bytes, self.limits)
    }

    /// Checks what stands behind the data of a frame that is all there.
    pub(crate) fn check(&self, frame: &[u8], span: Span) -> Result<(), Fault> {
        self.head.check_tail(frame, span)
    }
}
