//! Frames that own their bytes, cut out of a `BytesMut` without a copy where they lie in it whole.

use crate::{
    DecodeError, Deframer, Frame, Output, Part,
    compiled::{Compiled, Kind, Lost, Measure, Span},
};
use alloc::vec::Vec;
use bytes::{Buf, BytesMut};

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whether there was more data than allowed, and this is its beginning.
    pub is_cut: bool,
}

/// The most room that is asked for before the bytes are there, unless as many came already.
const AHEAD: usize = 4096;

impl Deframer {
    /// Cuts the next frame out of `input`. `None` means that more bytes are needed: append them to what is left of
    /// `input` and call again. A frame that lies in `input` is not copied.
    ///
    /// # Errors
    /// The bytes are no frame; see [`DecodeError`]. It is final.
    pub fn decode_bytes(&mut self, input: &mut BytesMut) -> Result<Option<OwnedFrame>, DecodeError> {
        self.cut_out(input, cut, OwnedFrame::copied)
    }

    /// As [`decode_bytes`](Self::decode_bytes), for the data alone, which takes less work.
    ///
    /// # Errors
    /// As [`decode_bytes`](Self::decode_bytes).
    #[inline]
    pub fn decode_data(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, DecodeError> {
        self.cut_out(input, |input, span, _, _| cut_data(input, span), |frame| frame.data().into())
    }

    #[inline]
    fn cut_out<T>(
        &mut self,
        input: &mut BytesMut,
        cut: impl FnOnce(&mut BytesMut, Span, u64, &Compiled) -> T,
        copied: impl FnOnce(&Frame<'_>) -> T,
    ) -> Result<Option<T>, DecodeError> {
        let (rule, state) = self.parts();
        if state.idle()
            && let Some((span, sound)) = in_place(rule, input)
        {
            if span.total > input.len() {
                let more = span.total - input.len();
                input.reserve(more.min(input.len().max(AHEAD)));
                return Ok(None);
            }
            if sound || rule.open(&input[..span.total], span, &mut &mut [][..]).is_ok() {
                let offset = state.pass(span.total);
                return Ok(Some(cut(input, span, offset, rule)));
            }
        }
        let mut rest = &input[..];
        let found = self.decode(&mut rest)?.map(|frame| copied(&frame));
        let left = rest.len();
        input.advance(input.len() - left);
        Ok(found)
    }
}

/// The span of a frame that needs no looking at its data, once its header is there, and whether it was checked.
#[inline]
fn in_place(rule: &Compiled, input: &[u8]) -> Option<(Span, bool)> {
    rule.quick(input).map_or_else(|_| announced(rule, input), |span| Some((span, true)))
}

fn announced(rule: &Compiled, input: &[u8]) -> Option<(Span, bool)> {
    match &rule.kind {
        Kind::Head(_) | Kind::Digits(_) | Kind::Fixed(_) if !input.is_empty() => {}
        _ => return None,
    }
    match rule.measure(input) {
        Ok(Measure::Known(span)) if span.lost == Lost::Nothing => Some((span, false)),
        _ => None,
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
    pub(crate) fn copied(frame: &Frame<'_>) -> OwnedFrame {
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
    fn cut(&mut self, len: usize) {
        self.truncate(len);
    }
}
