//! Finding frames in a buffer that keeps the bytes of unfinished ones.

use super::{discard::Discard, state::State};
use crate::{
    DecodeError, Fault, MAX_DELIMITER,
    compiled::{Compiled, Kind, Lost, Measure, Opened, Span},
};

/// What the first bytes of a buffer are.
pub(crate) enum Peek {
    /// A frame that is all there.
    Frame(Span),
    /// So many bytes of a body, with so many left behind them.
    Piece(usize, u64),
    /// So many bytes that belong to no frame.
    Pass(usize),
    /// The beginning of a frame; it has so many bytes, as far as that is known.
    Wait(usize),
}

/// What is known of the unfinished frame at the buffer's front.
#[derive(Debug, Default)]
pub(crate) struct Peeked {
    span: Option<Span>,
    /// The bytes in which its delimiter isn't.
    seen: usize,
    /// Whether anything is known: the hot path would forget it.
    pub(crate) some: bool,
}

impl State {
    /// Finds out what stands at the front of `bytes`, which come again, with what follows them, after [`Peek::Wait`].
    pub(crate) fn peek(&mut self, rule: &Compiled, bytes: &[u8], known: &mut Peeked) -> Result<Peek, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = bytes;
        self.drop_from(rule, &mut rest);
        if rest.len() < bytes.len() {
            self.settle();
            return Ok(Peek::Pass(bytes.len() - rest.len()));
        }
        if bytes.is_empty() {
            return Ok(Peek::Wait(0));
        }
        if let Some((total, left)) = self.body {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - some as u64;
            self.body = (left > 0).then_some((total, left));
            self.settle();
            return Ok(Peek::Piece(some, left));
        }
        let span = match known.span {
            Some(span) => span,
            None => match self.measure_peeked(rule, bytes, known)? {
                Measure::Known(span) => span,
                other => return Ok(self.no_frame(other, bytes.len(), known)),
            },
        };
        *known = Peeked::default();
        if span.total > bytes.len() {
            *known = Peeked { span: Some(span), some: true, seen: 0 };
            return Ok(Peek::Wait(span.total));
        }
        Ok(Peek::Frame(span))
    }

    fn measure_peeked(&mut self, rule: &Compiled, bytes: &[u8], known: &Peeked) -> Result<Measure, DecodeError> {
        let measured = match (&rule.kind, &mut self.memory, rule.until()) {
            (Kind::Custom(custom), Some(memory), _) => custom.measure(memory, bytes, &rule.limits),
            (_, _, Some(until)) if known.seen > 0 => {
                // The delimiter may have begun in the last bytes seen.
                let from = known.seen.saturating_sub(MAX_DELIMITER);
                match until.find_from(bytes, from) {
                    Some(hit) => rule.ended(bytes, hit),
                    None if bytes.len() >= until.window => rule.unended(bytes),
                    None => Ok(Measure::Until),
                }
            }
            _ => rule.measure(bytes),
        };
        measured.map_err(|fault| self.fail(fault))
    }

    fn no_frame(&mut self, measured: Measure, have: usize, known: &mut Peeked) -> Peek {
        match measured {
            Measure::Filler(bytes) => {
                self.pass(bytes);
                Peek::Pass(bytes)
            }
            Measure::Drop(bytes) => {
                self.dropped += bytes as u64;
                self.settle();
                Peek::Pass(bytes)
            }
            Measure::Skip(lost) => {
                *known = Peeked::default();
                let dropped = core::mem::take(&mut self.dropped);
                self.discard = Discard::skip(lost, dropped);
                self.settle();
                Peek::Pass(0)
            }
            Measure::Until => {
                *known = Peeked { seen: have, some: true, span: None };
                Peek::Wait(0)
            }
            Measure::More(bytes) => Peek::Wait(bytes),
            Measure::Known(span) => Peek::Wait(span.total),
        }
    }

    /// Moves past a frame that [`peek`](Self::peek) found, whose rest is dropped if it was cut.
    pub(crate) fn taken(&mut self, span: Span, body: Option<u64>) {
        self.discard = Discard::rest_of(span);
        if self.discard.is_none() {
            self.pass(span.total);
        }
        self.body = body.filter(|body| *body > 0).map(|body| (body, body));
        self.settle();
    }

    /// Opens a frame that is all there; a fault is final.
    pub(crate) fn open<'a>(
        &mut self,
        rule: &Compiled,
        raw: &'a [u8],
        span: Span,
        mut scratch: &'a mut [u8],
    ) -> Result<(Opened<'a>, Option<u64>), DecodeError> {
        let data = rule.open(raw, span, &mut scratch).map_err(|fault| self.fail(fault))?;
        let body = rule.body(data.0).map_err(|fault| self.fail(fault))?;
        Ok((data, body.filter(|_| span.lost == Lost::Nothing)))
    }

    /// What the bytes at the end of the input are, of which [`peek`](Self::peek) knows no frame: the last, that lacks
    /// its end, or nothing.
    pub(crate) fn peek_last(
        &mut self,
        rule: &Compiled,
        rest: &[u8],
        known: &Peeked,
    ) -> Result<Option<Peek>, DecodeError> {
        self.end_discard(rule);
        if let Some(error) = self.failed {
            return Err(error);
        }
        let measured = match (&rule.kind, &mut self.memory) {
            _ if self.discard.is_some() || self.body.is_some() || self.dropped > 0 => Ok(None),
            (Kind::Custom(custom), Some(memory)) => custom.end(memory, rest, &rule.limits),
            _ if rest.is_empty() => Ok(None),
            _ => rule.last(rest),
        };
        let peek = match measured.map_err(|fault| self.fail(fault))? {
            Some(Measure::Known(span)) if span.total <= rest.len() => Some(Peek::Frame(span)),
            Some(Measure::Filler(bytes)) if bytes == rest.len() => {
                self.pass(bytes);
                Some(Peek::Pass(bytes))
            }
            Some(Measure::Skip(lost)) => {
                self.discard = Discard::skip(lost, 0);
                self.drop_from(rule, &mut &rest[..]);
                self.settle();
                Some(Peek::Pass(rest.len()))
            }
            _ => None,
        };
        if peek.is_none() {
            if let Some(at) = rule.bare_line_feed(rest.iter()) {
                return Err(DecodeError { offset: self.offset, fault: Fault::LineEnd { at } });
            }
            let need = known.span.map(|span| span.total as u64);
            self.must_not_end(rest.len() as u64, need)?;
        }
        Ok(peek)
    }
}
