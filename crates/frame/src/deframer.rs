//! Bytes in, frames out.

mod custom;
mod discard;
#[cfg(feature = "bytes")]
mod peek;
mod short_ways;
mod state;

use crate::{
    DecodeError, Frame, Frames, Framing, LayoutError, MAX_DELIMITER, Skipped,
    compiled::{Compiled, Miss},
    frame::Located,
    frames::Home,
};
use alloc::vec::Vec;
use core::mem;
#[cfg(feature = "bytes")]
pub(crate) use peek::{Peek, Peeked};
use state::Found;
pub(crate) use state::State;

/// The most memory that is held beside a frame's bytes while there is nothing to do.
#[cfg(feature = "std")]
pub(crate) const IDLE: usize = 4096;

/// Finds the frames in a byte stream that comes in chunks of any size. It performs no IO.
///
/// There are two ways to give it bytes, with the same results; they can be mixed, since each goes on with the same stream,
/// behind the bytes that the other has taken:
///
/// - **Borrowed**: [`decode`](Self::decode) and [`frames`](Self::frames) take the caller's slice and hand out frames
///   that lie in it. Only a frame that straddles two slices is copied.
/// - **Buffered**: [`feed`](Self::feed) copies bytes in, or [`space`](Self::space) and [`filled`](Self::filled) let the
///   caller read straight into the deframer; then [`next`](Self::next) hands out frames until there is none.
///
/// An error is final: every later call gives the same one. At the end of the input [`finish`](Self::finish) tells
/// whether a frame was left unfinished; when the protocol switches, [`into_parts`](Self::into_parts) hands back the
/// bytes that belong to no frame yet.
#[derive(Debug)]
pub struct Deframer {
    rule: Compiled,
    state: State,
    /// The last frame that straddled two chunks, while it is lent.
    whole: Vec<u8>,
    /// Room for the data of framings that change it on the wire.
    scratch: Vec<u8>,
    /// Bytes fed, and how many of them are behind us.
    inbox: Vec<u8>,
    at: usize,
    /// The bytes of `inbox` that were really filled.
    end: usize,
}

impl Deframer {
    /// A deframer at the start of a stream.
    pub fn new(framing: Framing) -> Deframer {
        let rule = Compiled::new(framing);
        Deframer {
            state: State::new(&rule),
            rule,
            whole: Vec::new(),
            scratch: Vec::new(),
            inbox: Vec::new(),
            at: 0,
            end: 0,
        }
    }

    /// Takes the next frame out of `input`, and moves `input` past it. `None` means that `input` was used up: what
    /// is left of it was kept, call again with the bytes that follow.
    ///
    /// # Errors
    /// The bytes are no frame; see [`DecodeError`]. It is final.
    #[inline(always)]
    #[allow(clippy::should_implement_trait)]
    pub fn decode<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, DecodeError> {
        let mut miss = Miss::Unknown;
        if self.state.idle() && self.at == self.end {
            if let Some(cut) = self.rule.hot.cut(&self.rule.plan, input) {
                let offset = self.state.pass(cut.head + cut.data.len());
                let frame = Frame::cut(input, &cut, offset, &self.rule);
                *input = cut.rest;
                return Ok(Some(frame));
            }
            match self.rule.quick(input) {
                Ok(span) => {
                    let (raw, rest) = input.split_at(span.total);
                    *input = rest;
                    return Ok(Some(Frame::plain(raw, span, self.state.pass(span.total), &self.rule)));
                }
                Err(why) => miss = why,
            }
        }
        if self.at == self.end
            && let Some(short) = self.state.short(&self.rule, &mut self.whole, input)
        {
            return Ok(short.map(|span| Frame::plain(&self.whole, span, self.state.pass(span.total), &self.rule)));
        }
        // By value, and taken apart and put together again: so what the hot path works on stays in registers.
        let (found, rest) = self.decode_slowly(input, miss);
        *input = rest;
        match found {
            Ok(Some(frame)) => Ok(Some(frame.again())),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[inline(never)]
    fn decode_slowly<'a, 'i: 'a>(&'a mut self, mut input: &'i [u8], miss: Miss) -> (Found<'a>, &'i [u8]) {
        if self.at < self.end {
            self.feed(input);
            return (self.next(), &[]);
        }
        let found = take_slowly(&self.rule, &mut self.state, &mut self.whole, &mut self.scratch, &mut input, miss);
        (found, input)
    }

    /// Takes all the frames out of `input`, as an iterator whose frames may live beside each other. It moves `input`
    /// past each frame taken; at the iterator's end `input` is empty and its unfinished last frame was kept.
    #[inline]
    pub fn frames<'a, 'i: 'a, 'b>(&'a mut self, input: &'b mut &'i [u8]) -> Frames<'a, 'b, 'i> {
        if self.at < self.end {
            self.feed(input);
            *input = &[];
            return self.fed_frames();
        }
        let bytes = *input;
        Frames::new(&self.rule, &mut self.state, &mut self.whole, &mut self.scratch, bytes, Home::Caller(input))
    }

    /// All the frames of the bytes fed, as [`frames`](Self::frames) has them.
    #[inline]
    pub fn batch(&mut self) -> Frames<'_, '_, 'static> {
        self.fed_frames()
    }

    #[inline]
    fn fed_frames<'a, 'b, 'i>(&'a mut self) -> Frames<'a, 'b, 'i> {
        Frames::new(
            &self.rule,
            &mut self.state,
            &mut self.whole,
            &mut self.scratch,
            &self.inbox[self.at..self.end],
            Home::Inbox { at: &mut self.at, end: self.end },
        )
    }

    /// Copies bytes in, for [`next`](Self::next).
    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.at == self.end {
            // A frame that has begun goes on where it lies: one copy less.
            self.state.top_up(&self.rule, &mut bytes);
        }
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// At least `bytes` bytes to read into. Tell how many came with [`filled`](Self::filled).
    pub fn space(&mut self, bytes: usize) -> &mut [u8] {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        } else if self.inbox.len() - self.end < bytes && self.at > 0 {
            self.inbox.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        }
        if self.inbox.len() < self.end + bytes {
            self.inbox.resize(self.end + bytes, 0);
        }
        &mut self.inbox[self.end..]
    }

    /// The first `bytes` bytes of the space given by [`space`](Self::space) are now input.
    ///
    /// # Panics
    /// If that is more than there was.
    pub fn filled(&mut self, bytes: usize) {
        assert!(bytes <= self.inbox.len() - self.end, "filled({bytes}) is more than the space there was");
        self.end += bytes;
    }

    /// The next frame of the bytes fed, or `None` if more are needed.
    ///
    /// # Errors
    /// The bytes are no frame; see [`DecodeError`]. It is final.
    #[inline]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, DecodeError> {
        let mut input = &self.inbox[self.at..self.end];
        let found = take(&self.rule, &mut self.state, &mut self.whole, &mut self.scratch, &mut input);
        self.at = self.end - input.len();
        found
    }

    /// As [`next`](Self::next), without the frame itself: for loops that read between two tries, which a borrowed frame
    /// would forbid.
    #[inline]
    pub(crate) fn locate(&mut self) -> Result<Option<Located>, DecodeError> {
        let kept = !self.state.idle();
        let found = self.next()?.map(Located::of);
        Ok(found.map(|found| found.lies(kept && self.state.was_kept(), self.at)))
    }

    /// The frame that [`locate`](Self::locate) has just found.
    #[inline]
    pub(crate) fn located(&self, found: Located) -> Frame<'_> {
        let raw = if found.kept { &self.whole[..found.total] } else { &self.inbox[found.end - found.total..found.end] };
        found.frame(raw, &self.scratch, &self.rule)
    }

    /// Whether [`next`](Self::next) has something to say: bytes were fed that it has not looked at, or it failed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn waiting(&self) -> bool {
        self.at < self.end || self.state.failed()
    }

    /// Tells that the input has ended.
    ///
    /// # Errors
    /// It ended inside a frame, or had failed before. Frames that were not taken yet count as unfinished.
    pub fn finish(&self) -> Result<(), DecodeError> {
        self.state.finish(&self.rule, self.end - self.at)
    }

    /// Tells that the input has ended, and gives the last frame if it lacks its end and the framing allows that: call it
    /// once there is no other frame, and again until it gives `None`.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn end(&mut self) -> Result<Option<Frame<'_>>, DecodeError> {
        self.close();
        match self.locate()? {
            Some(found) => Ok(Some(self.located(found))),
            None => {
                self.finish()?;
                Ok(None)
            }
        }
    }

    /// No more input follows. Whether [`next`](Self::next) may have another frame to give because of it.
    pub(crate) fn close(&mut self) -> bool {
        self.state.close() || self.at < self.end
    }

    /// Allows another number of bytes of data in a frame, from the next frame on whose size isn't known yet.
    pub fn set_max(&mut self, bytes: u64) {
        self.rule.set_max(bytes);
    }

    /// Goes on with another framing: the bytes that belong to no frame taken yet are read by it, those of a frame that
    /// has begun included. A frame that is being left out, and the rest of one that was cut, are dropped as before. An error
    /// given before is forgotten. The offset goes on counting.
    ///
    /// ```
    /// # use unglue_frame::{Deframer, Framing};
    /// // PostgreSQL: the first message has no tag.
    /// let mut deframer = Deframer::new(Framing::u32be().incl()?);
    /// deframer.feed(b"\0\0\0\x08\0\x03\0\0Q\0\0\0\x0dselect 1\0");
    /// assert_eq!(deframer.next()?.unwrap().data(), b"\0\x03\0\0");
    /// deframer.switch("tag:u8 len:u32be data[len-4]".parse()?);
    /// assert_eq!(deframer.next()?.unwrap().data(), b"select 1\0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn switch(&mut self, framing: Framing) {
        self.unread();
        let old = mem::replace(&mut self.rule, Compiled::new(framing));
        self.state.switch(&old, &self.rule);
    }

    /// Takes at most `most` of the bytes fed that belong to no frame taken yet, as they are: for what stands raw between
    /// two frames. What is to be left out comes before them. Fewer, or none, means that no more were fed.
    pub fn take_raw(&mut self, most: usize) -> &[u8] {
        self.unread();
        if self.state.drops() {
            let mut rest = &self.inbox[self.at..self.end];
            self.state.drop_from(&self.rule, &mut rest);
            self.state.settle();
            self.at = self.end - rest.len();
        }
        let from = self.at;
        self.at += (self.end - self.at).min(most);
        self.state.pass(self.at - from);
        &self.inbox[from..self.at]
    }

    /// As [`take_raw`](Self::take_raw), copied to the front of `space`. Gives their number; none if more must be fed, since not
    /// all is there yet that is to be left out.
    #[cfg(feature = "std")]
    pub(crate) fn copy_raw(&mut self, space: &mut [u8]) -> Option<usize> {
        let there = self.take_raw(space.len());
        space[..there.len()].copy_from_slice(there);
        let bytes = there.len();
        (!self.state.drops()).then_some(bytes)
    }

    /// Leaves out the next `bytes` bytes that belong to no frame taken yet.
    pub fn skip(&mut self, bytes: u64) {
        self.unread();
        self.state.skip(bytes);
    }

    /// Leaves out everything up to the end of `pattern`, where it comes next in the bytes that belong to no frame taken
    /// yet.
    ///
    /// # Errors
    /// The pattern has no bytes, or more than [`MAX_DELIMITER`](crate::MAX_DELIMITER).
    pub fn skip_past(&mut self, pattern: &[u8]) -> Result<(), LayoutError> {
        if pattern.is_empty() || pattern.len() > MAX_DELIMITER {
            return Err(LayoutError::Delimiter(pattern.len()));
        }
        self.unread();
        self.state.skip_past(pattern);
        Ok(())
    }

    /// The frames that were left out so far, since they were too long.
    pub fn skipped(&self) -> Skipped {
        self.state.skipped
    }

    /// Counts bytes that the caller read past this deframer, between two frames.
    #[cfg(feature = "std")]
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.state.pass(bytes);
    }

    /// Takes a buffer to read to, where there is none of this size and nothing in it.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) fn lend(&mut self, bytes: usize, take: impl FnOnce() -> Vec<u8>) {
        if self.at == self.end && self.inbox.len() < bytes {
            self.inbox = take();
            (self.at, self.end) = (0, 0);
        }
    }

    /// Gives back what isn't needed until more bytes come, if it is more than a little.
    #[cfg(feature = "std")]
    pub(crate) fn shed(&mut self, give: impl FnOnce(Vec<u8>)) {
        if self.at < self.end {
            return;
        }
        if self.whole.capacity() + self.scratch.capacity() + self.state.capacity() > IDLE {
            (self.whole, self.scratch) = (Vec::new(), Vec::new());
            self.state.shed();
        }
        if self.inbox.capacity() + self.capacity_beside() > IDLE {
            give(mem::take(&mut self.inbox));
            (self.at, self.end) = (0, 0);
        }
    }

    #[cfg(feature = "std")]
    fn capacity_beside(&self) -> usize {
        self.whole.capacity() + self.scratch.capacity()
    }

    /// The same for a buffer of the caller's, and the bytes that go there.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) fn into_owning(mut self) -> (crate::BytesDeframer, bytes::BytesMut) {
        self.unread();
        let bytes = bytes::BytesMut::from(&self.inbox[self.at..self.end]);
        (crate::BytesDeframer::go_on(self.rule, self.state), bytes)
    }

    /// Puts the bytes of a frame that has begun back to those fed.
    fn unread(&mut self) {
        let mut kept = self.state.unread(&self.rule);
        if !kept.is_empty() {
            kept.extend_from_slice(&self.inbox[self.at..self.end]);
            (self.at, self.end) = (0, kept.len());
            self.inbox = kept;
        }
    }

    /// The bytes that belong to no frame taken yet, for whoever reads the stream next. After [`decode`](Self::decode)
    /// the rest of the caller's slice follows them. What is still to be left out, or follows a frame that was cut, is forgotten.
    pub fn into_parts(self) -> Vec<u8> {
        let mut rest = self.state.into_bytes();
        rest.extend_from_slice(&self.inbox[self.at..self.end]);
        rest
    }

    /// The stream offset of the first byte that belongs to no frame taken yet.
    pub fn offset(&self) -> u64 {
        self.state.offset
    }

    /// The memory held for unfinished and buffered bytes.
    pub fn capacity(&self) -> usize {
        self.state.capacity() + self.whole.capacity() + self.scratch.capacity() + self.inbox.capacity()
    }
}

/// The next frame: the kept one, once it is whole, or one that lies in `input`.
#[inline]
fn take<'a, 'i: 'a>(
    rule: &'a Compiled,
    state: &mut State,
    whole: &'a mut Vec<u8>,
    scratch: &'a mut Vec<u8>,
    input: &mut &'i [u8],
) -> Result<Option<Frame<'a>>, DecodeError> {
    let mut miss = Miss::Unknown;
    if state.idle() {
        if let Some(cut) = rule.hot.cut(&rule.plan, input) {
            let offset = state.pass(cut.head + cut.data.len());
            let frame = Frame::cut(input, &cut, offset, rule);
            *input = cut.rest;
            return Ok(Some(frame));
        }
        match rule.quick(input) {
            Ok(span) => {
                let (raw, rest) = input.split_at(span.total);
                *input = rest;
                return Ok(Some(Frame::plain(raw, span, state.pass(span.total), rule)));
            }
            Err(why) => miss = why,
        }
    }
    if let Some(short) = state.short(rule, whole, input) {
        return Ok(short.map(|span| Frame::plain(whole, span, state.pass(span.total), rule)));
    }
    // Taken apart and put together again: so a frame of the hot path stays in registers.
    match take_slowly(rule, state, whole, scratch, input, miss) {
        Ok(Some(frame)) => Ok(Some(frame.again())),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    }
}

#[inline(never)]
fn take_slowly<'a, 'i: 'a>(
    rule: &'a Compiled,
    state: &mut State,
    whole: &'a mut Vec<u8>,
    scratch: &'a mut Vec<u8>,
    input: &mut &'i [u8],
    miss: Miss,
) -> Result<Option<Frame<'a>>, DecodeError> {
    // No frame is lent now: where none is kept either, one buffer is enough for both.
    state.reuse(whole);
    state.next(rule, whole, input, &mut room(rule, state, scratch, input.len()), miss)
}

/// The room in `scratch` for all the frames that `fresh` bytes finish.
pub(crate) fn room<'a>(rule: &Compiled, state: &State, scratch: &'a mut Vec<u8>, fresh: usize) -> &'a mut [u8] {
    let room = rule.scratch(state.kept() + fresh);
    if scratch.len() < room {
        scratch.resize(room, 0);
    }
    scratch
}
