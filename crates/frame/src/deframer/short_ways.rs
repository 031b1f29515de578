//! The ways without detours for the commonest of what isn't on the hot path. Each gives what the long way gives.

use super::state::{Need, State};
use crate::{
    DecodeError, Frame,
    compiled::{Compiled, Lost, Span},
};
use alloc::vec::Vec;
use core::mem;

impl State {
    /// Adds to a kept frame what it lacks, where it is of the simplest framings and `input` has it all: most frames that
    /// straddle two chunks. Gives its span, and what follows it.
    #[inline(never)]
    pub(crate) fn complete<'i>(&mut self, rule: &Compiled, input: &'i [u8]) -> Option<(Span, &'i [u8])> {
        let Need::Span(span) = self.need else { return None };
        let alone = self.failed.is_none() && self.discard.is_none() && self.ahead.is_empty();
        if !rule.hot.is_any() || self.stash.is_empty() || !alone || span.lost != Lost::Nothing {
            return None;
        }
        let (taken, rest) = input.split_at_checked(span.total.checked_sub(self.stash.len())?)?;
        self.stash.push(taken, Some(span.total));
        self.busy = false;
        Some((span, rest))
    }

    /// What is done with `input` of the simplest framings, where the hot path found no frame, and none is lent: a kept
    /// frame is completed and put into `whole`, or the bytes are kept. `None` if it is neither.
    #[inline(always)]
    pub(super) fn short(&mut self, rule: &Compiled, whole: &mut Vec<u8>, input: &mut &[u8]) -> Option<Option<Span>> {
        if !rule.hot.is_any() {
            return None;
        }
        if self.busy {
            let (span, rest) = self.complete(rule, input)?;
            self.lend(whole);
            *input = rest;
            return Some(Some(span));
        }
        if !input.is_empty() {
            let span = rule.hot.begun(&rule.plan, input)?;
            self.reuse(whole);
            self.begin(span, mem::take(input));
        }
        Some(None)
    }

    /// Keeps the first bytes of a frame with this span, when none is kept.
    #[inline(never)]
    pub(crate) fn begin(&mut self, span: Span, bytes: &[u8]) {
        (self.busy, self.need) = (true, Need::Span(span));
        self.stash.push(bytes, Some(span.total));
    }

    /// Puts the kept frame into `whole`.
    #[inline(always)]
    pub(crate) fn lend(&mut self, whole: &mut Vec<u8>) {
        self.from_kept = true;
        self.stash.swap(whole);
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
