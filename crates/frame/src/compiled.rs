//! A framing, compiled: what the deframer and the enframer run.

mod blocks;
mod digits;
mod ended;
mod fast;
mod head;
#[cfg(feature = "json")]
mod json;
mod lsp;
mod stores;
mod stuffing;
mod until;

use crate::{
    Fault, Framing, Int, Layout, Limits, Step,
    custom::{Custom, Memory},
    framing::Shape,
    layout::Part,
};
use alloc::vec::Vec;
pub(crate) use digits::{Decimal, Digits};
pub(crate) use ended::{Ended, Style};
use fast::Fast;
pub(crate) use fast::{Cut, Hot, Miss, Plan};
pub(crate) use head::{Head, Place, least_width};
pub(crate) use stores::{Packed, SURPLUS};
pub(crate) use stuffing::{cobs_encode, slip_encode};
pub(crate) use until::{Hit, Until};

/// Where a frame's parts lie, counted from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Where the data begins.
    pub(crate) head: usize,
    /// The data's bytes.
    pub(crate) data: usize,
    /// The bytes of the whole frame, or of the part that is kept.
    pub(crate) total: usize,
    /// What follows of a frame that was cut.
    pub(crate) lost: Lost,
}

/// The rest of a frame that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Nothing,
    Bytes(u64),
    /// Everything up to and with the next delimiter.
    Until,
}

/// What the first bytes of a frame tell about its end.
pub(crate) enum Measure {
    Known(Span),
    /// Nothing until this many bytes (more than there were) are there.
    More(usize),
    /// Nothing until [`Compiled::until`] is found: it isn't in these bytes.
    Until,
    /// These bytes belong to no frame.
    Filler(usize),
    /// The frame is too long and to be skipped.
    Skip(Lost),
    /// So many bytes of a frame that is to be skipped, whose end isn't known.
    Drop(usize),
}

/// A frame's data, and whether it lies elsewhere than in the frame.
pub(crate) type Opened<'a> = (&'a [u8], bool);

/// A compiled framing.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) limits: Limits,
    pub(crate) kind: Kind,
    /// The commonest framings deserve the least work.
    pub(crate) hot: Hot,
    pub(crate) plan: Plan,
}

/// The ways of telling where a frame ends. There is one for each deframer, and the largest is the one on the hot path: a
/// box would cost more than it saves.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Kind {
    /// By a number in a binary header.
    Head(Head),
    /// Always after so many bytes.
    Fixed(usize),
    /// By a delimiter.
    Ended(Ended),
    /// By a decimal number.
    Digits(Digits),
    /// By a `Content-Length` header.
    Lsp(Until),
    /// A header whose JSON tells the length of a body that comes in pieces.
    #[cfg(feature = "json")]
    Json { head: Head, body: alloc::string::String },
    /// By a rule of one's own.
    Custom(Custom),
}

impl Compiled {
    pub(crate) fn new(framing: Framing) -> Compiled {
        let Framing { max, empty, too_long, last, .. } = framing;
        let mut limits = Limits { max, empty, too_long, last };
        let kind = match framing.shape {
            Shape::Layout(layout) => Kind::Head(Head::new(layout, limits)),
            Shape::Prefixed { int, incl } => Kind::Head(prefixed(int, incl, limits)),
            Shape::Fixed(size) => Kind::Fixed(size),
            Shape::Lines => Kind::Ended(Ended::new(b"\n", Style::Lines, limits)),
            Shape::Delim(delims) => {
                let delims: Vec<&[u8]> = delims.iter().map(Vec::as_slice).collect();
                Kind::Ended(Ended::any(&delims, Style::Plain, limits))
            }
            Shape::Cobs => Kind::Ended(Ended::new(&[0], Style::Cobs, limits)),
            Shape::Slip => Kind::Ended(Ended::new(&[stuffing::END], Style::Slip, limits)),
            Shape::Netstring => Kind::Digits(Digits::NETSTRING),
            Shape::OctetCount => {
                limits.empty = false;
                Kind::Digits(Digits::OCTET_COUNT)
            }
            Shape::Lsp => Kind::Lsp(lsp::header()),
            #[cfg(feature = "json")]
            Shape::Json { int, body } => {
                // Without the whole header the body's length is unknown: there is nothing to skip to.
                limits.too_long = crate::TooLong::Fail;
                Kind::Json { head: prefixed(int, false, limits), body }
            }
            Shape::Custom(custom) => Kind::Custom(custom),
        };
        Compiled { limits, hot: Hot::of(&kind), plan: Hot::plan(&kind), kind }
    }

    /// The frame that begins with `bytes`, if it is whole, valid, found without much ado, and none that
    /// [`hot`](Self::hot) finds.
    #[inline(always)]
    pub(crate) fn quick(&self, bytes: &[u8]) -> Result<Span, Miss> {
        match &self.kind {
            Kind::Head(head) => head.quick(bytes),
            Kind::Ended(ended) => ended.quick(bytes),
            _ => Err(Miss::Unknown),
        }
    }

    /// As [`measure`](Self::measure), for bytes that the hot path gave no frame of.
    pub(crate) fn measure_missed(&self, bytes: &[u8], miss: Miss) -> Result<Measure, Fault> {
        match self.until() {
            Some(until) if miss == Miss::NoDelimiter && bytes.len() >= until.window => self.unended(bytes),
            Some(_) if miss == Miss::NoDelimiter => Ok(Measure::Until),
            _ => self.measure(bytes),
        }
    }

    /// The compiled header, for framings that have fields.
    #[inline(always)]
    pub(crate) fn head(&self) -> Option<&Head> {
        match &self.kind {
            Kind::Head(head) => Some(head),
            #[cfg(feature = "json")]
            Kind::Json { head, .. } => Some(head),
            _ => None,
        }
    }

    /// Finds the end of the frame that begins with `bytes`. A fault found in some bytes is found in the same way when
    /// more have come: that is what makes errors independent of the chunking.
    pub(crate) fn measure(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        match &self.kind {
            Kind::Head(head) => head.measure(bytes, self.limits),
            #[cfg(feature = "json")]
            Kind::Json { head, .. } => head.measure(bytes, self.limits),
            Kind::Fixed(size) => Ok(Measure::Known(Span { head: 0, data: *size, total: *size, lost: Lost::Nothing })),
            Kind::Digits(digits) => digits.measure(bytes, self.limits),
            Kind::Ended(ended) => ended.measure(bytes),
            Kind::Lsp(until) => match until.find(bytes) {
                Some(hit) => lsp::measure(bytes, hit, self.limits),
                None if bytes.len() >= until.window => self.unended(bytes),
                None => Ok(Measure::Until),
            },
            // A rule of one's own has a memory: the deframer asks it by itself.
            Kind::Custom(_) => Ok(Measure::More(bytes.len() + 1)),
        }
    }

    /// What is looked for where [`Measure::Until`] was given.
    pub(crate) fn until(&self) -> Option<&Until> {
        match &self.kind {
            Kind::Ended(ended) => Some(&ended.until),
            Kind::Lsp(until) => Some(until),
            _ => None,
        }
    }

    /// The end of the frame whose delimiter was found.
    pub(crate) fn ended(&self, bytes: &[u8], hit: Hit) -> Result<Measure, Fault> {
        match &self.kind {
            Kind::Ended(ended) => ended.found(bytes, hit),
            Kind::Lsp(_) => lsp::measure(bytes, hit, self.limits),
            _ => self.measure(bytes),
        }
    }

    /// Where an unfinished frame has a line feed alone, if both a carriage return and a line feed would have ended a line of it.
    pub(crate) fn bare_line_feed<'b>(&self, bytes: impl Iterator<Item = &'b u8>) -> Option<u64> {
        let lines = match &self.kind {
            Kind::Ended(ended) => ended.until.delims() == [b"\r\n"],
            Kind::Lsp(_) => true,
            _ => false,
        };
        let mut before = 0;
        let bare = |byte: &u8| core::mem::replace(&mut before, *byte) != b'\r' && *byte == b'\n';
        bytes.take_while(|_| lines).position(bare).map(|at| at as u64)
    }

    /// What becomes of a frame without a delimiter within its window.
    pub(crate) fn unended(&self, bytes: &[u8]) -> Result<Measure, Fault> {
        match &self.kind {
            Kind::Ended(ended) => ended.too_long(bytes),
            _ => Err(Fault::NoDelimiter { limit: self.until().map_or(0, |until| until.window as u64) }),
        }
    }

    /// The room that decoding a frame of this many bytes needs beside it.
    pub(crate) fn scratch(&self, bytes: usize) -> usize {
        match &self.kind {
            Kind::Ended(ended) if ended.stuffed() => bytes,
            Kind::Custom(custom) if custom.decodes() => bytes,
            _ => 0,
        }
    }

    /// Checks a frame that is all there, and finds its data: in place, or decoded into `scratch`, which is told by true.
    pub(crate) fn open<'a>(&self, raw: &'a [u8], span: Span, scratch: &mut &'a mut [u8]) -> Result<Opened<'a>, Fault> {
        let data = &raw[span.head..span.head + span.data];
        match &self.kind {
            Kind::Head(head) if span.lost == Lost::Nothing => head.check_tail(raw, span)?,
            Kind::Ended(ended) if ended.stuffed() => {
                return ended.unstuff(data, span.lost != Lost::Nothing, self.limits, scratch);
            }
            Kind::Custom(custom) => {
                let apart = custom.open(raw, span, &self.limits, scratch)?;
                return Ok(apart.map_or((data, false), |data| (data, true)));
            }
            Kind::Digits(digits) if span.lost == Lost::Nothing => digits.check_tail(raw)?,
            _ => {}
        }
        Ok((data, false))
    }

    /// Allows another number of bytes of data from now on.
    pub(crate) fn set_max(&mut self, max: u64) {
        self.limits.max = max;
        match &mut self.kind {
            Kind::Head(head) => head.limit(self.limits),
            #[cfg(feature = "json")]
            Kind::Json { head, .. } => head.limit(self.limits),
            Kind::Ended(ended) => ended.limit(self.limits),
            _ => {}
        }
        (self.hot, self.plan) = (Hot::of(&self.kind), Hot::plan(&self.kind));
    }

    /// What the bytes are that stand behind the last delimiter of an input that has ended.
    pub(crate) fn last(&self, bytes: &[u8]) -> Result<Option<Measure>, Fault> {
        match &self.kind {
            Kind::Ended(ended) if self.limits.last => ended.last(bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the data isn't what the wire has.
    pub(crate) fn stuffed(&self) -> bool {
        matches!(&self.kind, Kind::Ended(ended) if ended.stuffed())
    }

    /// The rule of one's own, if it is one.
    #[inline(always)]
    pub(crate) fn custom(&self) -> Option<&Custom> {
        match &self.kind {
            Kind::Custom(custom) => Some(custom),
            _ => None,
        }
    }

    /// What a rule of one's own remembers of a stream, at its beginning.
    pub(crate) fn memory(&self) -> Option<Memory> {
        self.custom().map(Custom::memory)
    }

    /// How many fields the application sets and reads.
    #[cfg(feature = "bytes")]
    pub(crate) fn fields(&self) -> usize {
        match self.custom() {
            Some(custom) => custom.fields().len(),
            None => self.head().map_or(0, |head| head.fields.len()),
        }
    }

    /// The bytes that follow the frame in pieces.
    pub(crate) fn body(&self, _data: &[u8]) -> Result<Option<u64>, Fault> {
        match &self.kind {
            #[cfg(feature = "json")]
            Kind::Json { body, .. } => json::number(_data, body).map(Some),
            _ => Ok(None),
        }
    }
}

impl Limits {
    /// Judges a frame whose header announces `data` bytes, with `head` bytes before them and `behind` bytes behind.
    pub(crate) fn judge(&self, head: usize, data: u64, behind: u64) -> Result<Measure, Fault> {
        Ok(match self.frame(head, data, behind)? {
            Step::Frame { head, data, tail } => {
                Measure::Known(Span { head, data, total: head + data + tail, lost: Lost::Nothing })
            }
            Step::Cut { head, data: kept, rest } => match head.checked_add(kept) {
                Some(total) => Measure::Known(Span { head, data: kept, total, lost: Lost::Bytes(rest) }),
                // Not even its beginning can be in memory.
                None => return Err(Fault::TooLong { got: data, limit: self.max, looks: None }),
            },
            Step::Skip(bytes) => Measure::Skip(Lost::Bytes(bytes)),
            Step::More(_) | Step::Drop(_) | Step::Filler(_) => Measure::More(head),
        })
    }
}

/// A length and as many bytes; with `incl` the length counts itself.
fn prefixed(int: Int, incl: bool, limits: Limits) -> Head {
    let adjust = if incl { -(int.least_width() as i64) } else { 0 };
    let parts = Vec::from([Part::length("len", int), Part::Data { scale: 1, adjust }]);
    Head::new(Layout { parts }, limits)
}
