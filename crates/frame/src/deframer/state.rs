//! Where a deframer stands in its stream.

use super::discard::{Discard, Why};
use crate::{
    DecodeError, Fault, Frame, MAX_DELIMITER, Skipped,
    compiled::{Compiled, Kind, Lost, Measure, Miss, Span, Until},
    custom::Memory,
    stash::Stash,
};
use alloc::vec::Vec;
use core::mem;

/// Everything that outlives a chunk.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The stream offset of the frame that comes next, or has begun.
    pub(crate) offset: u64,
    /// Its bytes from earlier chunks.
    pub(super) stash: Stash,
    pub(super) need: Need,
    /// A frame whose bytes are dropped.
    pub(super) discard: Option<Discard>,
    /// What is dropped next.
    pub(super) ahead: Vec<Discard>,
    /// What was left out so far.
    pub(crate) skipped: Skipped,
    /// A body that comes in pieces: its bytes in all, and those left.
    pub(super) body: Option<(u64, u64)>,
    pub(super) failed: Option<DecodeError>,
    /// What a rule of one's own remembers.
    pub(super) memory: Option<Memory>,
    /// The bytes already dropped of a frame that is left out, whose end such a rule looks for.
    pub(super) dropped: u64,
    /// The input has ended.
    closed: bool,
    /// A frame has begun or has failed.
    pub(super) busy: bool,
    /// The last frame that [`next`](Self::next) gave was the kept one.
    pub(super) from_kept: bool,
}

/// What the frame that has begun waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Need {
    /// Nothing: its delimiter came, or as many bytes as may come without one.
    #[default]
    Judgement,
    /// So many bytes of it, to tell more.
    Bytes(usize),
    /// The end of what is kept of it.
    Span(Span),
    /// Its delimiter.
    Until,
}

pub(super) type Found<'a> = Result<Option<Frame<'a>>, DecodeError>;

impl State {
    /// The start of a stream.
    pub(crate) fn new(rule: &Compiled) -> State {
        State { memory: rule.memory(), ..State::default() }
    }

    /// No frame has begun, and none has failed.
    #[inline(always)]
    pub(crate) fn idle(&self) -> bool {
        !self.busy
    }

    pub(crate) fn settle(&mut self) {
        let drops = self.drops() || self.dropped > 0;
        self.busy = drops || !self.stash.is_empty() || self.body.is_some() || self.failed.is_some();
    }

    /// Moves past a frame and gives its offset.
    #[inline(always)]
    pub(crate) fn pass(&mut self, bytes: usize) -> u64 {
        let offset = self.offset;
        self.offset += bytes as u64;
        offset
    }

    #[cold]
    pub(super) fn fail(&mut self, fault: Fault) -> DecodeError {
        let error = DecodeError { offset: self.offset, fault };
        self.failed = Some(error);
        error
    }

    /// The bytes kept of the frame that has begun.
    #[inline]
    pub(crate) fn kept(&self) -> usize {
        self.stash.len()
    }

    /// Takes the buffer of a frame that isn't lent any more for the next one.
    #[inline]
    pub(super) fn reuse(&mut self, spent: &mut Vec<u8>) {
        self.stash.reuse(spent);
    }

    /// The next frame: it began in an earlier chunk, or begins in `input`. The former is moved to `whole`.
    #[inline(never)]
    pub(crate) fn next<'a, 'i: 'a>(
        &mut self,
        rule: &'a Compiled,
        whole: &'a mut Vec<u8>,
        input: &mut &'i [u8],
        scratch: &mut &'a mut [u8],
        miss: Miss,
    ) -> Found<'a> {
        if let Some((span, rest)) = self.complete(rule, input) {
            *input = rest;
            self.lend(whole);
            return Ok(Some(Frame::plain(whole, span, self.pass(span.total), rule)));
        }
        let whole_span = self.resume(rule, input)?;
        self.from_kept = whole_span.is_some();
        let Some(span) = whole_span else {
            return match self.slice(rule, input, scratch, miss)? {
                None if self.closed => self.last(rule, whole, scratch),
                found => Ok(found),
            };
        };
        self.stash.swap(whole);
        let found = self.hand_out(rule, whole, span, scratch).map(Some);
        self.settle();
        found
    }

    /// The frame at the front of `input`; an unfinished one is kept. Nothing must be kept before.
    pub(crate) fn slice<'a, 'i: 'a>(
        &mut self,
        rule: &'a Compiled,
        input: &mut &'i [u8],
        scratch: &mut &'a mut [u8],
        miss: Miss,
    ) -> Found<'a> {
        if let Some(span) = rule.hot.begun(&rule.plan, input).filter(|_| !self.busy) {
            self.begin(span, mem::take(input));
            return Ok(None);
        }
        if let Miss::Stuffed(bytes) = miss {
            return self.unstuff(rule, bytes, input, scratch).map(Some);
        }
        let found = self.look_at(rule, input, scratch, miss);
        self.settle();
        found
    }

    fn look_at<'a, 'i: 'a>(
        &mut self,
        rule: &'a Compiled,
        input: &mut &'i [u8],
        scratch: &mut &'a mut [u8],
        mut miss: Miss,
    ) -> Found<'a> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        loop {
            self.drop_from(rule, input);
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((total, left)) = self.body {
                return Ok(Some(self.piece(rule, input, total, left)));
            }
            let measured = match (&rule.kind, &mut self.memory) {
                (Kind::Custom(custom), Some(memory)) => custom.measure(memory, input, &rule.limits),
                _ => rule.measure_missed(input, mem::take(&mut miss)),
            };
            match measured.map_err(|fault| self.fail(fault))? {
                Measure::Known(span) if span.total <= input.len() => {
                    let (raw, rest) = input.split_at(span.total);
                    *input = rest;
                    return self.hand_out(rule, raw, span, scratch).map(Some);
                }
                Measure::Filler(bytes) => {
                    self.pass(bytes);
                    *input = &input[bytes..];
                }
                Measure::Skip(lost) => self.discard = Discard::skip(lost, mem::take(&mut self.dropped)),
                Measure::Drop(bytes) => {
                    self.dropped += bytes as u64;
                    *input = &input[bytes..];
                }
                Measure::Known(span) => return self.keep(input, Need::Span(span)),
                Measure::More(bytes) => return self.keep(input, Need::Bytes(bytes)),
                Measure::Until => return self.keep(input, Need::Until),
            }
        }
    }

    fn keep<'a>(&mut self, input: &mut &[u8], need: Need) -> Found<'a> {
        self.need = need;
        match need {
            Need::Bytes(_) if self.memory.is_some() => self.stash.grow(input),
            _ => self.stash.push(input, need.size()),
        }
        *input = &[];
        Ok(None)
    }

    /// Opens a frame that is all there.
    pub(super) fn hand_out<'a>(
        &mut self,
        rule: &'a Compiled,
        bytes: &'a [u8],
        span: Span,
        scratch: &mut &'a mut [u8],
    ) -> Result<Frame<'a>, DecodeError> {
        let raw = &bytes[..span.total];
        let data = rule.open(raw, span, scratch).map_err(|fault| self.fail(fault))?;
        let body = rule.body(data.0).map_err(|fault| self.fail(fault))?.filter(|_| span.lost == Lost::Nothing);
        let frame = Frame::opened(raw, span, data, self.offset, rule);
        self.discard = Discard::rest_of(span);
        if self.discard.is_none() {
            self.pass(span.total);
        }
        self.drop_from(rule, &mut &bytes[span.total..]);
        self.body = body.filter(|body| *body > 0).map(|body| (body, body));
        Ok(body.map_or(frame, |body| frame.with_body(body)))
    }

    fn piece<'a, 'i: 'a>(&mut self, rule: &'a Compiled, input: &mut &'i [u8], total: u64, left: u64) -> Frame<'a> {
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at(some);
        *input = rest;
        let left = left - some as u64;
        self.body = (left > 0).then_some((total, left));
        Frame::piece(data, left, self.pass(some), rule)
    }

    /// Drops bytes of a frame that is left out, or cut, and those that the application doesn't want.
    pub(super) fn drop_from(&mut self, rule: &Compiled, input: &mut &[u8]) {
        self.drop_bytes(rule.until(), input);
    }

    fn drop_bytes(&mut self, until: Option<&Until>, input: &mut &[u8]) {
        while self.discard.is_some() || !self.ahead.is_empty() {
            if self.discard.is_none() {
                self.discard = Some(self.ahead.remove(0));
            }
            match self.discard.as_mut().and_then(|discard| discard.drop_from(until, input)) {
                Some((total, why)) => self.dropped_all(total, why),
                None => return,
            }
        }
    }

    fn dropped_all(&mut self, total: u64, why: Why) {
        self.offset = self.offset.saturating_add(total);
        self.discard = None;
        if why == Why::Skipped {
            self.skipped.frames += 1;
            self.skipped.bytes += total;
        }
    }

    /// Drops so many of the bytes that come next.
    pub(crate) fn skip(&mut self, bytes: u64) {
        if bytes > 0 {
            self.ahead.push(Discard::bytes(bytes));
        }
        self.settle();
    }

    /// Drops what comes next, up to the end of these bytes.
    pub(crate) fn skip_past(&mut self, pattern: &[u8]) {
        self.ahead.push(Discard::past(pattern));
        self.settle();
    }

    /// Forgets the frame that has begun, and gives its bytes.
    pub(crate) fn unread(&mut self, rule: &Compiled) -> Vec<u8> {
        let kept = mem::take(&mut self.stash).into_bytes();
        if !kept.is_empty() {
            self.memory = rule.memory();
        }
        self.settle();
        kept
    }

    /// The same place in the stream, for another framing than `old`. A frame that is left out, or was cut, is still dropped to
    /// its end.
    pub(crate) fn switch(&mut self, old: &Compiled, rule: &Compiled) {
        let State { offset, skipped, closed, .. } = *self;
        let discard = self.discard.take().map(|discard| discard.beyond(old.until()));
        let ahead = mem::take(&mut self.ahead);
        *self = State { offset, skipped, closed, discard, ahead, ..State::new(rule) };
        self.settle();
    }

    /// Whether bytes are to be dropped before others count.
    pub(crate) fn drops(&self) -> bool {
        self.discard.is_some() || !self.ahead.is_empty()
    }

    /// Whether an error was given.
    #[cfg(feature = "std")]
    pub(crate) fn failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether the frame given last was put together from several chunks.
    pub(crate) fn was_kept(&self) -> bool {
        self.from_kept
    }

    /// Goes on with the frame that earlier chunks began. Gives its span once it is whole.
    fn resume(&mut self, rule: &Compiled, input: &mut &[u8]) -> Result<Option<Span>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        while !self.stash.is_empty() {
            if let Kind::Custom(custom) = &rule.kind
                && !matches!(self.need, Need::Span(_))
            {
                if !self.resume_custom(custom, &rule.limits, input)? {
                    return Ok(None);
                }
                continue;
            }
            self.top_up(rule, input);
            let measured = match self.need {
                Need::Span(span) if self.stash.len() >= span.total => return Ok(Some(span)),
                Need::Bytes(bytes) if self.stash.len() < bytes => return Ok(None),
                Need::Span(_) | Need::Until => return Ok(None),
                Need::Judgement => self.measure_end(rule),
                Need::Bytes(_) => rule.measure(self.stash.head()),
            };
            match measured.map_err(|fault| self.fail(fault))? {
                Measure::Known(span) => self.need = Need::Span(span),
                Measure::More(bytes) => self.need = Need::Bytes(bytes),
                Measure::Until => self.need = Need::Until,
                Measure::Filler(_) | Measure::Drop(_) => return Ok(None),
                Measure::Skip(lost) => self.skip_kept(rule, lost),
            }
        }
        Ok(None)
    }

    /// Leaves out the frame that has begun.
    fn skip_kept(&mut self, rule: &Compiled, lost: Lost) {
        let kept = mem::take(&mut self.stash).into_bytes();
        self.discard = Discard::skip(lost, 0);
        self.drop_from(rule, &mut &kept[..]);
    }

    /// Leaves out a frame of which `kept` are the first bytes that weren't dropped before.
    pub(super) fn discard_from(&mut self, lost: Lost, mut kept: &[u8]) {
        let dropped = mem::take(&mut self.dropped);
        self.discard = Discard::skip(lost, dropped);
        self.drop_bytes(None, &mut kept);
    }

    /// What the kept bytes are: they end with the delimiter, or are as many as may come without one.
    fn measure_end(&mut self, rule: &Compiled) -> Result<Measure, Fault> {
        let Some(until) = rule.until() else { return Ok(Measure::More(self.stash.len() + 1)) };
        let bytes = self.stash.joined();
        match until.ends(bytes) {
            Some(hit) => rule.ended(bytes, hit),
            None => rule.unended(bytes),
        }
    }

    /// Moves as much of `input` to a frame that has begun as it is known to need.
    pub(crate) fn top_up(&mut self, rule: &Compiled, input: &mut &[u8]) {
        let asks = self.memory.is_some() && !matches!(self.need, Need::Span(_));
        if self.stash.is_empty() || self.failed.is_some() || asks {
            return;
        }
        let more = match (self.need, rule.until()) {
            (Need::Until, Some(until)) => {
                let fresh = &input[..input.len().min(until.window.saturating_sub(self.stash.len()))];
                let mut tail = [0; MAX_DELIMITER];
                let found = until.reach(self.stash.tail(&mut tail), fresh);
                if found.is_some() || self.stash.len() + fresh.len() >= until.window {
                    self.need = Need::Judgement;
                }
                found.unwrap_or(fresh.len())
            }
            (need, _) => need.size().unwrap_or(0).saturating_sub(self.stash.len()).min(input.len()),
        };
        let (taken, rest) = input.split_at(more);
        self.stash.push(taken, self.need.size());
        *input = rest;
    }

    /// The last frame of an input that has ended, if it may lack its end.
    fn last<'a>(&mut self, rule: &'a Compiled, whole: &'a mut Vec<u8>, scratch: &mut &'a mut [u8]) -> Found<'a> {
        self.end_discard(rule);
        if self.failed.is_some() || self.discard.is_some() || self.body.is_some() {
            return Ok(None);
        }
        let found = match rule.custom() {
            Some(custom) => self.end_custom(rule, custom, whole, scratch),
            None => self.end_ended(rule, whole, scratch),
        };
        self.settle();
        found
    }

    /// A frame that is left out may lack its end, like any other.
    pub(super) fn end_discard(&mut self, rule: &Compiled) {
        if rule.limits.last
            && let Some((passed, why)) = self.discard.as_ref().and_then(Discard::lacks_delimiter)
        {
            self.dropped_all(passed, why);
            self.settle();
        }
    }

    /// What is kept, if it may lack its delimiter.
    fn end_ended<'a>(&mut self, rule: &'a Compiled, whole: &'a mut Vec<u8>, scratch: &mut &'a mut [u8]) -> Found<'a> {
        if self.stash.is_empty() {
            return Ok(None);
        }
        match rule.last(self.stash.joined()).map_err(|fault| self.fail(fault))? {
            Some(Measure::Known(span)) => {
                self.stash.swap(whole);
                self.from_kept = true;
                self.hand_out(rule, whole, span, scratch).map(Some)
            }
            Some(Measure::Skip(lost)) => {
                self.skip_kept(rule, lost);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// No more input follows what there was. Whether bytes of a frame are kept, that may be the last.
    pub(crate) fn close(&mut self) -> bool {
        !core::mem::replace(&mut self.closed, true) && self.busy && self.failed.is_none()
    }

    /// Whether the stream may end here, with `waiting` bytes not looked at.
    pub(crate) fn finish(&self, rule: &Compiled, waiting: usize) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(at) = rule.bare_line_feed(self.stash.bytes()) {
            return Err(DecodeError { offset: self.offset, fault: Fault::LineEnd { at } });
        }
        let need = match self.need {
            Need::Span(span) if !self.stash.is_empty() => Some(span.total as u64),
            Need::Bytes(_) if !self.stash.is_empty() && self.memory.is_none() => {
                match rule.measure(self.stash.head()) {
                    Ok(Measure::Known(span)) => Some(span.total as u64),
                    Ok(_) => None,
                    Err(fault) => return Err(DecodeError { offset: self.offset, fault }),
                }
            }
            _ => None,
        };
        self.must_not_end((self.stash.len() + waiting) as u64, need)
    }

    /// Refuses the end of the input behind `kept` bytes of a frame that has `need` bytes, as far as that is known.
    pub(super) fn must_not_end(&self, kept: u64, need: Option<u64>) -> Result<(), DecodeError> {
        let (dropped, total) = self.discard.as_ref().map_or((0, None), Discard::progress);
        let body = self.body.map_or(0, |(total, left)| total - left);
        let have = dropped + self.dropped + body + kept;
        if have == 0 && self.body.is_none() && self.discard.is_none() && self.ahead.is_empty() {
            return Ok(());
        }
        let need = need.or(total).or(self.body.map(|(total, _)| total));
        Err(DecodeError { offset: self.offset - body, fault: Fault::Truncated { have, need } })
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.stash.into_bytes()
    }

    /// Lets memory go that holds no bytes.
    #[cfg(feature = "std")]
    pub(crate) fn shed(&mut self) {
        if self.stash.is_empty() {
            self.stash = Stash::default();
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.stash.capacity()
    }
}

impl Need {
    /// The bytes that the frame, or what is to be known of it, has in all, where that is known.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Need::Span(span) => Some(span.total),
            Need::Bytes(bytes) => Some(bytes),
            Need::Judgement | Need::Until => None,
        }
    }
}
