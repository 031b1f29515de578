//! Where a deframer stands in its stream.

use crate::{
    DecodeError, Fault, Frame,
    rule::{Measure, Rule, Span},
    stash::Stash,
};
use alloc::vec::Vec;

/// Everything that outlives a chunk.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The stream offset of the frame that comes next, or has begun.
    pub(crate) offset: u64,
    /// Its bytes from earlier chunks.
    stash: Stash,
    /// Its span, once known.
    span: Option<Span>,
    /// How many of its bytes are needed to go on.
    want: usize,
    failed: Option<DecodeError>,
}

impl State {
    /// No frame has begun, and none has failed.
    #[inline(always)]
    pub(crate) fn idle(&self) -> bool {
        self.stash.is_empty() && self.failed.is_none()
    }

    /// Moves past a frame and gives its offset.
    #[inline(always)]
    pub(crate) fn pass(&mut self, span: Span) -> u64 {
        let offset = self.offset;
        self.offset += span.total as u64;
        offset
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> DecodeError {
        let error = DecodeError { offset: self.offset, fault };
        self.failed = Some(error);
        error
    }

    /// The frame at the front of `input`; an unfinished one is kept. For an idle state.
    pub(crate) fn slice<'a, 'i: 'a>(
        &mut self,
        rule: &'a Rule,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        if input.is_empty() {
            return Ok(None);
        }
        match rule.measure(input).map_err(|fault| self.fail(fault))? {
            Measure::Known(span) if span.total <= input.len() => {
                let (raw, rest) = input.split_at(span.total);
                rule.check(raw, span).map_err(|fault| self.fail(fault))?;
                *input = rest;
                return Ok(Some(Frame::new(raw, span, self.pass(span), rule)));
            }
            Measure::Known(span) => (self.span, self.want) = (Some(span), span.total),
            Measure::More(want) => self.want = want,
        }
        self.stash.push(input, self.want);
        *input = &[];
        Ok(None)
    }

    /// The frame that earlier chunks began, if `input` finishes it. It is moved to `whole`.
    #[inline(never)]
    pub(crate) fn straddler<'a>(
        &mut self,
        rule: &'a Rule,
        whole: &'a mut Vec<u8>,
        input: &mut &[u8],
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let span = loop {
            self.top_up(input);
            if self.stash.len() < self.want {
                return Ok(None);
            }
            if let Some(span) = self.span {
                break span;
            }
            match rule.measure(self.stash.head()).map_err(|fault| self.fail(fault))? {
                Measure::Known(span) => (self.span, self.want) = (Some(span), span.total),
                Measure::More(want) => self.want = want,
            }
        };
        self.stash.swap(whole);
        self.span = None;
        rule.check(whole, span).map_err(|fault| self.fail(fault))?;
        Ok(Some(Frame::new(whole, span, self.pass(span), rule)))
    }

    /// Moves as much of `input` to a frame that has begun as it is known to need.
    pub(crate) fn top_up(&mut self, input: &mut &[u8]) {
        if self.stash.is_empty() || self.failed.is_some() {
            return;
        }
        let more = self.want.saturating_sub(self.stash.len()).min(input.len());
        let (taken, rest) = input.split_at(more);
        self.stash.push(taken, self.want);
        *input = rest;
    }

    /// Whether the stream may end here, with `waiting` bytes not looked at.
    pub(crate) fn finish(&self, rule: &Rule, waiting: usize) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let have = (self.stash.len() + waiting) as u64;
        if have == 0 {
            return Ok(());
        }
        let need = match (self.span, rule.measure(self.stash.head())) {
            (Some(span), _) | (None, Ok(Measure::Known(span))) => Some(span.total as u64),
            (None, Ok(Measure::More(_))) => None,
            (None, Err(fault)) => return Err(DecodeError { offset: self.offset, fault }),
        };
        Err(DecodeError { offset: self.offset, fault: Fault::Truncated { have, need } })
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.stash.into_bytes()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.stash.capacity()
    }
}
