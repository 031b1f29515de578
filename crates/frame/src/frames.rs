//! All the frames of a chunk.

use crate::{DecodeError, Frame, deframer::State, rule::Rule};
use alloc::vec::Vec;

/// The frames of a chunk, in order; see [`Deframer::frames`](crate::Deframer::frames). Ends after an error.
#[derive(Debug)]
pub struct Frames<'a, 'b, 'i> {
    rule: &'a Rule,
    state: &'a mut State,
    /// Where the frame that earlier chunks began is put together: the first of the batch, if any.
    whole: Option<&'a mut Vec<u8>>,
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
        rest: &'a [u8],
        home: Home<'a, 'b, 'i>,
    ) -> Frames<'a, 'b, 'i> {
        Frames { rule, whole: (!state.idle()).then_some(whole), state, rest, home, ended: false }
    }

    /// The frames that the hot path can't give: the first, the last, the bad, and those of other framings.
    #[inline(never)]
    fn slow(&mut self) -> Option<Result<Frame<'a>, DecodeError>> {
        if self.ended {
            return None;
        }
        let found = match self.whole.take() {
            Some(whole) => match self.state.straddler(self.rule, whole, &mut self.rest) {
                Ok(None) if !self.rest.is_empty() => self.state.slice(self.rule, &mut self.rest),
                found => found,
            },
            None => self.state.slice(self.rule, &mut self.rest),
        };
        self.ended = !matches!(found, Ok(Some(_)));
        found.transpose()
    }
}

impl<'a> Iterator for Frames<'a, '_, '_> {
    type Item = Result<Frame<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.whole.is_none() && !self.ended {
            if let Some(span) = self.rule.head.fast.as_ref().and_then(|fast| fast.span(self.rest)) {
                let (raw, rest) = self.rest.split_at(span.total);
                self.rest = rest;
                return Some(Ok(Frame::new(raw, span, self.state.pass(span), self.rule)));
            }
        }
        self.slow()
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
