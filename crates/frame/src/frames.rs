//! All the frames of a chunk.

use crate::{
    DecodeError, Frame,
    deframer::{State, room},
    rule::{Miss, Rule},
};
use alloc::vec::Vec;

/// The frames of a chunk, in order; see [`Deframer::frames`](crate::Deframer::frames). Ends after an error.
#[derive(Debug)]
pub struct Frames<'a, 'b, 'i> {
    rule: &'a Rule,
    /// No frame is kept, dropped or bad: the hot path may be tried.
    quick: bool,
    state: &'a mut State,
    /// Where the frame that earlier chunks began is put together: the first of the batch, if any.
    whole: Option<&'a mut Vec<u8>>,
    scratch: &'a mut [u8],
    rest: &'a [u8],
    home: Home<'a, 'b, 'i>,
    ended: bool,
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
        rule: &'a Rule,
        state: &'a mut State,
        whole: &'a mut Vec<u8>,
        scratch: &'a mut Vec<u8>,
        rest: &'a [u8],
        home: Home<'a, 'b, 'i>,
    ) -> Frames<'a, 'b, 'i> {
        let scratch = room(rule, state, scratch, rest.len());
        let quick = state.idle();
        Frames { rule, quick, state, whole: Some(whole), scratch, rest, home, ended: false }
    }

    /// The frames that the hot path can't give: the first, the last, the bad, and those of other framings.
    #[inline(never)]
    fn slow(&mut self, miss: Miss) -> Option<Result<Frame<'a>, DecodeError>> {
        if self.ended {
            return None;
        }
        // Only the first frame of a batch can have begun earlier: once its buffer is lent, the rest lie in the input.
        let found = match self.whole.take() {
            Some(whole) => self.state.next(self.rule, whole, &mut self.rest, &mut self.scratch, miss),
            None => self.state.slice(self.rule, &mut self.rest, &mut self.scratch, miss),
        };
        self.ended = !matches!(found, Ok(Some(_)));
        self.quick = self.state.idle();
        found.transpose()
    }
}

impl<'a> Iterator for Frames<'a, '_, '_> {
    type Item = Result<Frame<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let mut miss = Miss::Unknown;
        if self.quick {
            match self.rule.quick(self.rest) {
                Ok(span) => {
                    let (raw, rest) = self.rest.split_at(span.total);
                    self.rest = rest;
                    return Some(Ok(Frame::plain(raw, span, self.state.pass(span.total), self.rule)));
                }
                Err(why) => miss = why,
            }
        }
        self.slow(miss)
    }
}

impl Drop for Frames<'_, '_, '_> {
    #[inline]
    fn drop(&mut self) {
        let left = self.rest.len();
        match &mut self.home {
            Home::Caller(input) => **input = &input[input.len() - left..],
            Home::Inbox { at, end } => **at = *end - left,
        }
    }
}
