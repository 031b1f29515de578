//! A decoded frame, borrowed.

use crate::rule::{Rule, Span};

/// A whole frame, borrowed from the input or, if it came in pieces, from the deframer.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) head: usize,
    pub(crate) data: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) rule: &'a Rule,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub(crate) fn new(raw: &'a [u8], span: Span, offset: u64, rule: &'a Rule) -> Frame<'a> {
        Frame { raw, head: span.head, data: &raw[span.head..span.head + span.data], offset, rule }
    }

    /// The message.
    #[inline(always)]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes before the data, as they came.
    #[inline(always)]
    pub fn head(&self) -> &'a [u8] {
        &self.raw[..self.head]
    }

    /// The whole frame, as it came.
    #[inline(always)]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The stream offset of the frame's first byte.
    #[inline(always)]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The value of the field with this index, in the order of the layout; lengths don't count. 0 if there is no
    /// such field.
    #[inline]
    pub fn field(&self, index: usize) -> u64 {
        self.rule.head.read(index, self.raw, self.head + self.data.len(), self.raw.len()).unwrap_or(0)
    }

    /// The value of the field, or of the length, that has this name.
    pub fn field_named(&self, name: &str) -> Option<u64> {
        let head = &self.rule.head;
        let mut places = head.fields.iter().chain([&head.length]);
        let place = places.find(|place| place.name == name)?;
        head.read_place(place, self.raw, self.head + self.data.len(), self.raw.len())
    }
}

impl core::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frame")
            .field("offset", &self.offset)
            .field("head", &self.head())
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
