//! A decoded frame, borrowed.

use crate::compiled::{Compiled, Cut, Lost, Opened, Place, Span};

/// A whole frame, borrowed from the input or, if it came in pieces, from the deframer.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    raw: &'a [u8],
    head: usize,
    data: &'a [u8],
    offset: u64,
    rule: &'a Compiled,
    part: Part,
    lost: bool,
    /// The data doesn't lie in it.
    apart: bool,
}

/// What a frame is of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its header; so many bytes of body follow in pieces, none if it is 0.
    Header {
        /// The body's bytes.
        body: u64,
    },
    /// A piece of its body, cut as the bytes came in; so many bytes are left.
    Piece {
        /// The bytes of the body behind this piece.
        left: u64,
    },
}

impl<'a> Frame<'a> {
    /// A frame whose data lies in it.
    #[inline(always)]
    pub(crate) fn plain(raw: &'a [u8], span: Span, offset: u64, rule: &'a Compiled) -> Frame<'a> {
        Frame {
            raw,
            head: span.head,
            data: &raw[span.head..span.head + span.data],
            offset,
            rule,
            part: Part::Whole,
            lost: false,
            apart: false,
        }
    }

    /// The frame that `bytes` begin with.
    #[inline(always)]
    pub(crate) fn cut(bytes: &'a [u8], cut: &Cut<'a>, offset: u64, rule: &'a Compiled) -> Frame<'a> {
        // It is never more than there is: the compiler needn't check what isn't looked at.
        let raw = bytes.get(..cut.head + cut.data.len()).unwrap_or(bytes);
        Frame { raw, head: cut.head, data: cut.data, offset, rule, part: Part::Whole, lost: false, apart: false }
    }

    /// A frame whose data was checked, or taken out of it.
    pub(crate) fn opened(
        raw: &'a [u8],
        span: Span,
        (data, apart): Opened<'a>,
        offset: u64,
        rule: &'a Compiled,
    ) -> Frame<'a> {
        Frame { raw, head: span.head, data, offset, rule, part: Part::Whole, lost: span.lost != Lost::Nothing, apart }
    }

    /// The same, field by field.
    #[inline(always)]
    pub(crate) fn again(self) -> Frame<'a> {
        let Frame { raw, head, data, offset, rule, part, lost, apart } = self;
        Frame { raw, head, data, offset, rule, part, lost, apart }
    }

    /// A piece of a body.
    pub(crate) fn piece(data: &'a [u8], left: u64, offset: u64, rule: &'a Compiled) -> Frame<'a> {
        Frame { raw: data, head: 0, data, offset, rule, part: Part::Piece { left }, lost: false, apart: false }
    }

    /// The same as the header of a body.
    pub(crate) fn with_body(self, body: u64) -> Frame<'a> {
        Frame { part: Part::Header { body }, ..self }
    }

    /// The message.
    #[inline(always)]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes before the data, as they came; none if the data isn't what the wire has.
    #[inline]
    pub fn head(&self) -> &'a [u8] {
        if self.rule.stuffed() { &[] } else { &self.raw[..self.head] }
    }

    /// The whole frame, as it came; of one that was cut, the bytes up to the cut.
    #[inline(always)]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The stream offset of the frame's first byte.
    #[inline(always)]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether this is a whole message, or a header, or a piece of a body.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Whether there was more data than allowed, and this is its beginning; see [`TooLong::Cut`](crate::TooLong::Cut).
    pub fn is_cut(&self) -> bool {
        self.lost
    }

    /// The value of the field with this index, in the order of the layout; lengths don't count. 0 if there is no
    /// such field.
    #[inline]
    pub fn field(&self, index: usize) -> u64 {
        match self.rule.custom() {
            Some(custom) => custom.field(index, self.raw).unwrap_or(0),
            None => {
                let place = self.rule.head().and_then(|head| head.fields.get(index));
                place.and_then(|place| self.read(place)).unwrap_or(0)
            }
        }
    }

    /// How many fields the framing has; lengths don't count.
    pub fn field_count(&self) -> usize {
        match self.rule.custom() {
            Some(custom) => custom.fields().len(),
            None => self.rule.head().map_or(0, |head| head.fields.len()),
        }
    }

    /// The value of the field, or of the length, that has this name.
    pub fn field_named(&self, name: &str) -> Option<u64> {
        self.fields().find(|(named, _)| *named == name).map(|(_, value)| value)
    }

    /// The fields' names and values, the length last. Those behind the data of a frame that was cut are left out.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, u64)> {
        let frame = *self;
        let head = self.rule.head().filter(|_| !matches!(self.part, Part::Piece { .. }));
        let places = head.into_iter().flat_map(|head| head.fields.iter().chain([&head.length]));
        let layout = places.filter_map(move |place| Some((place.name.as_str(), frame.read(place)?)));
        let custom = self.rule.custom().into_iter().flat_map(move |custom| {
            let named = custom.fields().iter().enumerate();
            named.filter_map(move |(index, name)| Some((*name, custom.field(index, frame.raw)?)))
        });
        layout.chain(custom)
    }

    #[cfg(feature = "bytes")]
    pub(crate) fn rule(&self) -> &'a Compiled {
        self.rule
    }

    #[inline]
    fn read(&self, place: &Place) -> Option<u64> {
        if self.lost && place.behind() {
            return None;
        }
        self.rule.head()?.read_place(place, self.raw, self.head + self.data.len(), self.raw.len())
    }
}

impl core::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frame")
            .field("offset", &self.offset)
            .field("head", &self.head())
            .field("data", &self.data)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

/// A frame without its bytes: where it lies in the deframer that has just found it.
#[derive(Clone, Copy)]
pub(crate) struct Located {
    /// It was put together from several chunks.
    pub(crate) kept: bool,
    /// Where it ends in the bytes fed, if not.
    pub(crate) end: usize,
    pub(crate) total: usize,
    head: usize,
    data: usize,
    offset: u64,
    part: Part,
    lost: bool,
    apart: bool,
}

impl Located {
    #[inline]
    pub(crate) fn of(frame: Frame<'_>) -> Located {
        let Frame { raw, head, data, offset, part, lost, apart, rule: _ } = frame;
        Located { kept: false, end: 0, total: raw.len(), head, data: data.len(), offset, part, lost, apart }
    }

    /// Says where its bytes lie.
    #[inline]
    pub(crate) fn lies(self, kept: bool, end: usize) -> Located {
        Located { kept, end, ..self }
    }

    /// The frame again, from its bytes, or from those that its data was decoded to.
    #[inline]
    pub(crate) fn frame<'a>(self, raw: &'a [u8], scratch: &'a [u8], rule: &'a Compiled) -> Frame<'a> {
        let Located { head, data, offset, part, lost, apart, .. } = self;
        let data = if apart { &scratch[..data] } else { &raw[head..head + data] };
        Frame { raw, head, data, offset, rule, part, lost, apart }
    }
}
