//! A framing: the rule for where messages end, with its options.

use crate::{Int, Layout, layout::Part};

/// The largest data of a frame unless [`Framing::max`] says otherwise: 8 MiB.
pub const DEFAULT_MAX: u64 = 8 << 20;

/// A rule for message boundaries: what shape a frame has, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    pub(crate) shape: Shape,
    pub(crate) max: u64,
    pub(crate) empty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Layout(Layout),
}

impl Framing {
    pub(crate) fn from_layout(layout: Layout) -> Framing {
        Framing { shape: Shape::Layout(layout), max: DEFAULT_MAX, empty: true }
    }

    /// A length, then as many bytes.
    pub fn prefixed(int: Int) -> Framing {
        Framing::from_layout(Layout {
            parts: [Part::Length { name: "len".into(), int }, Part::Data { adjust: 0 }].into(),
        })
    }

    /// A length of four bytes, most significant first, then as many bytes of data.
    pub fn u32be() -> Framing {
        Framing::prefixed(Int::U32BE)
    }

    /// Allows at most `bytes` bytes of data in a frame.
    pub fn max(mut self, bytes: u64) -> Framing {
        self.max = bytes;
        self
    }

    /// Refuses frames without data.
    pub fn deny_empty(mut self) -> Framing {
        self.empty = false;
        self
    }
}
