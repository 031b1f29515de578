//! The ways without detours for the commonest of what isn't on the hot path. Each gives what the long way gives.

use super::state::{Need, State};
use crate::{
    DecodeError, Frame,
    compiled::{Compiled, Lost, Span},
};

impl State {
    /// Adds to a kept frame what it lacks, where it is of the simplest framings and `input` has it all: most frames that
    /// straddle two chunks. Gives its span.
    pub(super) fn complete(&mut self, rule: &Compiled, input: &mut &[u8]) -> Option<Span> {
        let Need::Span(span) = self.need else { return None };
        let alone = self.failed.is_none() && self.discard.is_none() && self.ahead.is_empty();
        if !rule.hot.is_any() || self.stash.is_empty() || !alone {
            return None;
        }
        let (taken, rest) = input.split_at_checked(span.total.checked_sub(self.stash.len())?)?;
        self.stash.push(taken, Some(span.total));
        *input = rest;
        self.busy = false;
        Some(span)
    }

    /// Takes out the frame of so many bytes whose data has to be decoded: what [`look_at`](Self::look_at) does, without
    /// what other framings need.
    pub(super) fn unstuff<'a, 'i: 'a>(
        &mut self,
        rule: &'a Compiled,
        bytes: usize,
        input: &mut &'i [u8],
        scratch: &mut &'a mut [u8],
    ) -> Result<Frame<'a>, DecodeError> {
        let (raw, rest) = input.split_at(bytes);
        *input = rest;
        let span = Span { head: 0, data: bytes - 1, total: bytes, lost: Lost::Nothing };
        match rule.open(raw, span, scratch) {
            Ok(data) => Ok(Frame::opened(raw, span, data, self.pass(bytes), rule)),
            Err(fault) => {
                self.busy = true;
                Err(self.fail(fault))
            }
        }
    }
}
