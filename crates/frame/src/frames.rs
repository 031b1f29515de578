//! All the frames of a chunk.

use crate::{
    DecodeError, Frame,
    compiled::{Compiled, Hot, Lost, Miss, Span},
    deframer::{State, room},
};
use alloc::vec::Vec;
use core::mem;

/// The frames of a chunk, in order; see [`Deframer::frames`](crate::Deframer::frames). Ends after an error.
///
/// Everything here but the slow path works on values, not through `&mut self`: so the compiler keeps `rest` in a register
/// from frame to frame, where memory would cost more than all the rest of the work.
#[derive(Debug)]
pub struct Frames<'a, 'b, 'i> {
    rule: &'a Compiled,
    state: &'a mut State,
    /// Where the frame that earlier chunks began is put together: the first of the batch, if any.
    whole: Option<&'a mut Vec<u8>>,
    scratch: &'a mut [u8],
    rest: &'a [u8],
    /// The stream offset at the end of `rest`.
    end: u64,
    /// No frame is kept, dropped or bad: the hot paths may be tried.
    quick: bool,
    /// The rule's hottest path, or none.
    hot: Hot,
    ended: bool,
    home: Home<'a, 'b, 'i>,
}

/// What the slow path gave, and what it left.
struct Slow<'a> {
    found: Result<Option<Frame<'a>>, DecodeError>,
    scratch: &'a mut [u8],
    rest: &'a [u8],
}

/// Whose bytes they are, told how far we came when the iterator goes.
#[derive(Debug)]
pub(crate) enum Home<'a, 'b, 'i> {
    Caller(&'b mut &'i [u8]),
    Inbox { at: &'a mut usize, end: usize },
}

impl<'a, 'b, 'i> Frames<'a, 'b, 'i> {
    #[inline]
    pub(crate) fn new(
        rule: &'a Compiled,
        state: &'a mut State,
        whole: &'a mut Vec<u8>,
        scratch: &'a mut Vec<u8>,
        rest: &'a [u8],
        home: Home<'a, 'b, 'i>,
    ) -> Frames<'a, 'b, 'i> {
        let scratch = room(rule, state, scratch, rest.len());
        let (quick, end) = (state.idle(), state.offset.wrapping_add(rest.len() as u64));
        let hot = if quick { rule.hot } else { Hot::NONE };
        Frames { rule, state, whole: Some(whole), scratch, rest, end, quick, hot, ended: false, home }
    }

    /// The stream offset at the start of `rest`.
    #[inline(always)]
    fn offset(&self) -> u64 {
        self.end.wrapping_sub(self.rest.len() as u64)
    }
}

/// The frames that the hot path can't give: the first, the last, the bad, and those of other framings.
#[inline(never)]
fn slow<'a>(
    rule: &'a Compiled,
    state: &mut State,
    whole: Option<&'a mut Vec<u8>>,
    mut scratch: &'a mut [u8],
    mut rest: &'a [u8],
    miss: Miss,
) -> Slow<'a> {
    // Only the first frame of a batch can have begun earlier: once its buffer is lent, the others lie in the input.
    let found = match whole {
        Some(whole) => state.next(rule, whole, &mut rest, &mut scratch, miss),
        None => state.slice(rule, &mut rest, &mut scratch, miss),
    };
    Slow { found, scratch, rest }
}

impl<'a> Frames<'a, '_, '_> {
    /// The frame that earlier chunks began, where it is of the simplest framings and ends in this chunk.
    #[inline(always)]
    fn completed(&mut self) -> Option<Frame<'a>> {
        let (span, rest) = self.state.complete(self.rule, self.rest)?;
        let whole = self.whole.take()?;
        self.state.lend(whole);
        (self.quick, self.hot, self.rest) = (true, self.rule.hot, rest);
        let frame = Frame::plain(whole, span, self.state.pass(span.total), self.rule);
        self.end = self.state.offset.wrapping_add(rest.len() as u64);
        Some(frame)
    }

    /// Keeps the last bytes, where they begin a frame of the simplest framings, or there are none. Whether that is so.
    #[inline(always)]
    fn kept(&mut self) -> bool {
        if self.rest.is_empty() {
            self.ended = true;
            return true;
        }
        let Some(span) = self.hot.begun(&self.rule.plan, self.rest) else { return false };
        self.state.offset = self.offset();
        self.state.begin(span, self.rest);
        (self.quick, self.hot, self.ended, self.rest) = (false, Hot::NONE, true, &[]);
        self.end = self.state.offset;
        true
    }

    /// The frame of so many bytes whose data has to be decoded, if it is valid.
    #[inline(always)]
    fn unstuffed(&mut self, bytes: usize) -> Option<Frame<'a>> {
        let (raw, rest) = self.rest.split_at(bytes);
        let span = Span { head: 0, data: bytes - 1, total: bytes, lost: Lost::Nothing };
        let data = self.rule.open(raw, span, &mut self.scratch).ok()?;
        let frame = Frame::opened(raw, span, data, self.offset(), self.rule);
        self.rest = rest;
        Some(frame)
    }
}

impl<'a> Iterator for Frames<'a, '_, '_> {
    type Item = Result<Frame<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(cut) = self.hot.cut(&self.rule.plan, self.rest) {
            let frame = Frame::cut(self.rest, &cut, self.offset(), self.rule);
            self.rest = cut.rest;
            return Some(Ok(frame));
        }
        let mut miss = Miss::Unknown;
        if !self.quick {
            if let Some(frame) = self.completed() {
                return Some(Ok(frame));
            }
        } else if self.hot.is_any() {
            if self.kept() {
                return None;
            }
        } else {
            match self.rule.quick(self.rest) {
                Ok(span) => {
                    let offset = self.offset();
                    let (raw, rest) = self.rest.split_at(span.total);
                    self.rest = rest;
                    return Some(Ok(Frame::plain(raw, span, offset, self.rule)));
                }
                Err(why) => miss = why,
            }
            if let Miss::Stuffed(bytes) = miss
                && let Some(frame) = self.unstuffed(bytes)
            {
                return Some(Ok(frame));
            }
        }
        if self.ended {
            return None;
        }
        self.state.offset = self.offset();
        let (whole, scratch) = (self.whole.take(), mem::take(&mut self.scratch));
        let Slow { found, scratch, rest } = slow(self.rule, self.state, whole, scratch, self.rest, miss);
        (self.scratch, self.rest) = (scratch, rest);
        self.end = self.state.offset.wrapping_add(rest.len() as u64);
        self.quick = self.state.idle();
        self.hot = if self.quick { self.rule.hot } else { Hot::NONE };
        self.ended = !matches!(found, Ok(Some(_)));
        found.transpose()
    }
}

impl Drop for Frames<'_, '_, '_> {
    #[inline]
    fn drop(&mut self) {
        self.state.offset = self.offset();
        let left = self.rest.len();
        match &mut self.home {
            Home::Caller(input) => **input = &input[input.len() - left..],
            Home::Inbox { at, end } => **at = *end - left,
        }
    }
}
