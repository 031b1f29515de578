//! Frames that own their bytes, cut out of a `BytesMut` without a copy where they lie in it whole.

use crate::{
    DecodeError, Frame, Framing, Output, Part, Skipped,
    compiled::{Compiled, Lost, Span},
    deframer::{Peek, Peeked, State},
};
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedFrame {
    /// The message. `freeze` makes it cheap to clone.
    pub data: BytesMut,
    /// The bytes before the data, as they came.
    pub head: BytesMut,
    /// The values of the layout's fields; lengths don't count.
    pub fields: Vec<u64>,
    /// The stream offset of the frame's first byte.
    pub offset: u64,
    /// Whether this is a whole message, or a header, or a piece of a body.
    pub part: Part,
    /// Whether there was more data than allowed, and this is its beginning. The rest is still in the buffer, or comes: the
    /// next call drops it.
    pub is_cut: bool,
}

/// The most room that is asked for before the bytes are there, unless as many came already.
const AHEAD: usize = 4096;

/// Finds the frames in a [`BytesMut`] that its user appends to: the form of `tokio_util`'s decoders. It takes whole frames
/// out, without a copy; the bytes of an unfinished one stay in the buffer, which must come again with what follows them.
///
/// ```
/// use bytes::BytesMut;
/// use unglue_frame::{BytesDeframer, Framing};
///
/// let mut deframer = BytesDeframer::new(Framing::u32be());
/// let mut input = BytesMut::from(&b"\0\0\0\x03one\0\0"[..]);
/// assert_eq!(deframer.decode_data(&mut input)?.unwrap(), b"one"[..]);
/// assert!(deframer.decode_data(&mut input)?.is_none());
/// assert_eq!(input, b"\0\0"[..]);
/// # Ok::<(), unglue_frame::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct BytesDeframer {
    rule: Compiled,
    state: State,
    known: Peeked,
    scratch: Vec<u8>,
}

impl BytesDeframer {
    /// A deframer at the start of a stream.
    pub fn new(framing: Framing) -> BytesDeframer {
        let rule = Compiled::new(framing);
        BytesDeframer { state: State::new(&rule), rule, known: Peeked::default(), scratch: Vec::new() }
    }

    /// Goes on where another deframer, of whose bytes none are kept, stands.
    #[cfg(any(feature = "tokio", feature = "futures"))]
    pub(crate) fn go_on(rule: Compiled, state: State) -> BytesDeframer {
        BytesDeframer { rule, state, known: Peeked::default(), scratch: Vec::new() }
    }

    /// Takes the next frame out of `input`. `None` means that more bytes are needed: append them to what is left of
    /// `input` and call again.
    ///
    /// # Errors
    /// The bytes are no frame; see [`DecodeError`]. It is final.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<OwnedFrame>, DecodeError> {
        self.take(input, cut, OwnedFrame::copied)
    }

    /// As [`decode`](Self::decode), for the data alone, which takes less work. What tells a frame that was cut, or a
    /// piece of a body, from a whole one is lost.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    #[inline(always)]
    pub fn decode_data(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, DecodeError> {
        if self.state.idle()
            && !self.known.some
            && let Some(cut) = self.rule.hot.cut(&self.rule.plan, input)
        {
            let (head, data) = (cut.head, cut.data.len());
            self.state.pass(head + data);
            input.advance(head);
            return Ok(Some(input.split_to(data)));
        }
        self.decode_data_slowly(input)
    }

    #[inline(never)]
    fn decode_data_slowly(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, DecodeError> {
        if self.state.idle() && !self.known.some {
            match self.rule.quick(input) {
                Ok(span) => {
                    self.state.pass(span.total);
                    return Ok(Some(cut_data(input, span)));
                }
                Err(_) if input.is_empty() => return Ok(None),
                Err(_) => {}
            }
        }
        self.take(input, |input, span, _, _| cut_data(input, span), |frame| frame.data().into())
    }

    /// As [`decode_data`](Self::decode_data), ready to be shared. Where many small frames are taken, this is the faster of
    /// the two: `Bytes` is handed on in registers.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    #[inline(always)]
    pub fn decode_bytes(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, DecodeError> {
        if self.state.idle()
            && !self.known.some
            && let Some(cut) = self.rule.hot.cut(&self.rule.plan, input)
        {
            let (head, data) = (cut.head, cut.data.len());
            self.state.pass(head + data);
            input.advance(head);
            return Ok(Some(input.split_to(data).freeze()));
        }
        Ok(self.decode_data_slowly(input)?.map(BytesMut::freeze))
    }

    /// The input has ended: as [`decode`](Self::decode), and then the last frame, if it may lack its end.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and if the input ended inside a frame.
    pub fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<OwnedFrame>, DecodeError> {
        match self.decode(input)? {
            None => self.last(input, cut, OwnedFrame::copied),
            found => Ok(found),
        }
    }

    /// As [`decode_eof`](Self::decode_eof), for the data alone.
    ///
    /// # Errors
    /// As [`decode_eof`](Self::decode_eof).
    pub fn decode_data_eof(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, DecodeError> {
        match self.decode_data(input)? {
            None => self.last(input, |input, span, _, _| cut_data(input, span), |frame| frame.data().into()),
            found => Ok(found),
        }
    }

    #[inline(never)]
    fn take<T>(
        &mut self,
        input: &mut BytesMut,
        cut: impl FnOnce(&mut BytesMut, Span, u64, &Compiled) -> T,
        copied: impl FnOnce(&Frame<'_>) -> T,
    ) -> Result<Option<T>, DecodeError> {
        loop {
            let offset = self.state.offset;
            match self.state.peek(&self.rule, input, &mut self.known)? {
                Peek::Frame(span) => return self.hand_out(input, span, cut, copied).map(Some),
                Peek::Pass(bytes) => input.advance(bytes),
                Peek::Wait(need) => {
                    let more = need.saturating_sub(input.len());
                    input.reserve(more.min(input.len().max(AHEAD)));
                    return Ok(None);
                }
                Peek::Piece(bytes, left) => {
                    self.state.pass(bytes);
                    let piece = copied(&Frame::piece(&input[..bytes], left, offset, &self.rule));
                    input.advance(bytes);
                    return Ok(Some(piece));
                }
            }
        }
    }

    fn hand_out<T>(
        &mut self,
        input: &mut BytesMut,
        span: Span,
        cut: impl FnOnce(&mut BytesMut, Span, u64, &Compiled) -> T,
        copied: impl FnOnce(&Frame<'_>) -> T,
    ) -> Result<T, DecodeError> {
        let (offset, raw) = (self.state.offset, &input[..span.total]);
        let room = self.rule.scratch(span.total);
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        let (data, body) = self.state.open(&self.rule, raw, span, &mut self.scratch)?;
        let whole = span.lost == Lost::Nothing && !data.1 && body.is_none();
        let owned = if whole {
            cut(input, span, offset, &self.rule)
        } else {
            let frame = Frame::opened(raw, span, data, offset, &self.rule);
            let owned = copied(&body.map_or(frame, |body| frame.with_body(body)));
            input.advance(span.total);
            owned
        };
        self.state.taken(span, body);
        Ok(owned)
    }

    fn last<T>(
        &mut self,
        input: &mut BytesMut,
        cut: impl FnOnce(&mut BytesMut, Span, u64, &Compiled) -> T,
        copied: impl FnOnce(&Frame<'_>) -> T,
    ) -> Result<Option<T>, DecodeError> {
        match self.state.peek_last(&self.rule, input, &self.known)? {
            Some(Peek::Frame(span)) => self.hand_out(input, span, cut, copied).map(Some),
            Some(Peek::Pass(bytes)) => {
                input.advance(bytes);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Allows another number of bytes of data in a frame, from the next frame on whose size isn't known yet.
    pub fn set_max(&mut self, bytes: u64) {
        self.rule.set_max(bytes);
    }

    /// Goes on with another framing: it reads the bytes that are left in the buffer, those of a frame that has begun
    /// included.
    pub fn switch(&mut self, framing: Framing) {
        let old = core::mem::replace(&mut self.rule, Compiled::new(framing));
        self.state.switch(&old, &self.rule);
        self.known = Peeked::default();
    }

    /// The frames that were left out so far, since they were too long.
    pub fn skipped(&self) -> Skipped {
        self.state.skipped
    }

    /// The stream offset of the first byte that belongs to no frame taken yet.
    pub fn offset(&self) -> u64 {
        self.state.offset
    }
}

fn fields(frame: &Frame<'_>, rule: &Compiled) -> Vec<u64> {
    (0..rule.fields()).map(|index| frame.field(index)).collect()
}

#[inline]
fn cut_data(input: &mut BytesMut, span: Span) -> BytesMut {
    input.advance(span.head);
    let data = input.split_to(span.data);
    input.advance(span.total - span.head - span.data);
    data
}

fn cut(input: &mut BytesMut, span: Span, offset: u64, rule: &Compiled) -> OwnedFrame {
    let fields = fields(&Frame::plain(&input[..span.total], span, offset, rule), rule);
    let head = input.split_to(span.head);
    let data = cut_data(input, Span { head: 0, total: span.total - span.head, ..span });
    OwnedFrame { data, head, fields, offset, part: Part::Whole, is_cut: false }
}

impl OwnedFrame {
    fn copied(frame: &Frame<'_>) -> OwnedFrame {
        OwnedFrame {
            data: frame.data().into(),
            head: frame.head().into(),
            fields: fields(frame, frame.rule()),
            offset: frame.offset(),
            part: frame.part(),
            is_cut: frame.is_cut(),
        }
    }
}

impl Output for BytesMut {
    #[inline]
    fn written(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        BytesMut::reserve(self, more);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn put_framed(&mut self, head: [u8; 16], len: usize, data: &[u8]) {
        let end = self.len() + len;
        BytesMut::reserve(self, head.len() + data.len());
        self.extend_from_slice(&head);
        self.truncate(end);
        self.extend_from_slice(data);
    }

    #[inline]
    fn cut(&mut self, len: usize) {
        self.truncate(len);
    }
}
