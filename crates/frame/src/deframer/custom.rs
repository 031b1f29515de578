//! Frames of rules of one's own that straddle chunks: such a rule sees all bytes of the frame in one piece.

use super::state::{Found, Need, State};
use crate::{
    DecodeError, Fault, Limits,
    compiled::{Compiled, Lost, Measure, Span},
    custom::Custom,
};
use alloc::vec::Vec;
use core::mem;

/// The most bytes taken from a chunk before the rule has said that it needs them.
const TASTE: usize = 4096;

/// A rule that said `More` must not find the frame's end within the bytes that it was shown then.
const EARLY: Fault = Fault::Rule { at: 0, reason: "the rule ended a frame within bytes that it wanted more of" };

/// The bytes of a frame, those of its rest included if it was cut: the rule may have looked at some of these.
fn whole_size(span: Span) -> usize {
    let rest = match span.lost {
        Lost::Bytes(rest) => usize::try_from(rest).unwrap_or(usize::MAX),
        Lost::Nothing | Lost::Until => 0,
    };
    span.total.saturating_add(rest)
}

impl State {
    /// Goes on with the frame that earlier chunks began, up to the next thing that its rule finds out. False if that
    /// needs more bytes than `input` has.
    pub(super) fn resume_custom(
        &mut self,
        custom: &Custom,
        limits: &Limits,
        input: &mut &[u8],
    ) -> Result<bool, DecodeError> {
        let (start, shown) = (*input, self.stash.len());
        let want = self.need.size().unwrap_or(shown + 1);
        let fresh = want.saturating_sub(shown).max(shown.max(TASTE)).min(start.len());
        self.stash.grow(&start[..fresh]);
        *input = &start[fresh..];
        let Some(memory) = self.memory.as_mut().filter(|_| self.stash.len() >= want) else { return Ok(false) };
        let measured = custom.measure(memory, self.stash.head(), limits).map_err(|fault| self.fail(fault))?;
        let have = self.stash.len();
        let ends = match measured {
            Measure::More(bytes) => {
                self.need = Need::Bytes(bytes);
                have
            }
            Measure::Known(span) => {
                self.need = Need::Span(span);
                whole_size(span).min(have)
            }
            Measure::Skip(Lost::Bytes(bytes)) => usize::try_from(bytes).unwrap_or(usize::MAX).min(have),
            // The rule has not asked for more of what stands behind: a frame may end in it.
            Measure::Filler(bytes) | Measure::Drop(bytes) if have - bytes <= fresh => bytes,
            _ => have,
        };
        // What isn't the frame's goes back to where it came from.
        let surplus = have - ends;
        if surplus > fresh {
            return Err(self.fail(EARLY));
        }
        *input = &start[fresh - surplus..];
        self.stash.shorten(ends);
        match measured {
            Measure::Skip(lost) => self.skip_custom(lost),
            Measure::Filler(bytes) => {
                self.pass(bytes);
                self.stash.pass(bytes);
                self.need = Need::Bytes(1);
            }
            Measure::Drop(bytes) => {
                self.dropped += bytes as u64;
                self.stash.pass(bytes);
                self.need = Need::Bytes(1);
            }
            _ => {}
        }
        Ok(true)
    }

    /// Leaves out the frame that has begun; nothing is kept that isn't its.
    fn skip_custom(&mut self, lost: Lost) {
        let kept = mem::take(&mut self.stash).into_bytes();
        self.discard_from(lost, &kept);
    }

    /// The last frame of an input that has ended, if its rule takes what is kept for one.
    pub(super) fn end_custom<'a>(
        &mut self,
        rule: &'a Compiled,
        custom: &Custom,
        whole: &'a mut Vec<u8>,
        scratch: &mut &'a mut [u8],
    ) -> Found<'a> {
        let Some(memory) = self.memory.as_mut().filter(|_| self.dropped == 0) else { return Ok(None) };
        let measured = custom.end(memory, self.stash.joined(), &rule.limits).map_err(|fault| self.fail(fault))?;
        let have = self.stash.len();
        match measured {
            Some(Measure::Known(span)) if whole_size(span) == have => {
                self.stash.swap(whole);
                self.from_kept = true;
                self.hand_out(rule, whole, span, scratch).map(Some)
            }
            Some(Measure::Filler(bytes)) if bytes == have => {
                self.pass(bytes);
                self.stash = Default::default();
                Ok(None)
            }
            Some(Measure::Skip(Lost::Bytes(bytes))) if bytes == have as u64 => {
                self.skip_custom(Lost::Bytes(bytes));
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}
