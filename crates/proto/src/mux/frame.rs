//! The mux's frames: `len:u32be kind:u8 stream:u32be data[len]`.

use unglue_frame::{DecodeError, Deframer, Enframer, Framing, Int, Layout};

use super::{Output, StreamId};
use crate::limits::{FRAME_PAYLOAD, GO_AWAY_REASON};
use crate::{Code, Fault};

/// What a frame is for. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Bytes of a stream.
    Data = 0,
    /// The last bytes of a stream, perhaps none.
    Fin = 1,
    /// The writer gave the stream up: a code.
    Reset = 2,
    /// The reader gave the stream up: a code.
    Stop = 3,
    /// How many bytes the stream may carry in all, from its start: a `u64`.
    Window = 4,
    /// A sign of life; with a number, a `u64`, one that wants an answer.
    Ping = 5,
    /// No new streams: a code and a reason in UTF-8.
    GoAway = 6,
    /// The peer may open streams up to the frame's own, whose kind is its initiator and direction. No data.
    Streams = 7,
    /// The answer to the ping with this number, a `u64`, and to all before it.
    Pong = 8,
    /// Bytes of a stream, packed: how many they are, a `u32`, and one zstd frame.
    Zstd = 9,
}

impl Kind {
    fn from_wire(number: u64) -> Option<Kind> {
        use Kind::*;
        [Data, Fin, Reset, Stop, Window, Ping, GoAway, Streams, Pong, Zstd]
            .into_iter()
            .find(|kind| *kind as u64 == number)
    }
}

fn framing() -> Framing {
    Layout::new()
        .length("len", Int::U32BE)
        .field("kind", Int::U8)
        .field("stream", Int::U32BE)
        .data()
        .build()
        .expect("the layout is a constant")
        .max(FRAME_PAYLOAD as u64)
}

pub(super) fn deframer() -> Deframer {
    Deframer::new(framing())
}

/// A frame that the peer sent.
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) stream: u64,
    pub(super) data: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn parse(frame: &unglue_frame::Frame<'a>) -> Result<Frame<'a>, Fault> {
        let number = frame.field(0);
        let kind = Kind::from_wire(number)
            .ok_or_else(|| Fault::peer(Code::BadFrame, format!("a frame of the unknown kind {number}")))?;
        Ok(Frame { kind, stream: frame.field(1), data: frame.data() })
    }

    pub(super) fn expect_len(&self, len: usize) -> Result<(), Fault> {
        self.payload(len).map(|_| ())
    }

    fn payload(&self, len: usize) -> Result<&'a [u8], Fault> {
        if self.data.len() == len {
            return Ok(self.data);
        }
        let (kind, got) = (self.kind, self.data.len());
        Err(Fault::peer(Code::BadFrame, format!("a {kind:?} frame of {got} bytes, where {len} belong")))
    }

    pub(super) fn code(&self) -> Result<Code, Fault> {
        let bytes = self.payload(4)?.try_into().unwrap_or_default();
        Ok(Code::from_wire(u32::from_be_bytes(bytes)))
    }

    /// A window's credit, or a pong's number.
    pub(super) fn number(&self) -> Result<u64, Fault> {
        let bytes = self.payload(8)?.try_into().unwrap_or_default();
        Ok(u64::from_be_bytes(bytes))
    }

    /// The number of a ping that wants an answer.
    pub(super) fn ping(&self) -> Result<Option<u64>, Fault> {
        if self.data.is_empty() { Ok(None) } else { self.number().map(Some) }
    }

    pub(super) fn go_away(&self) -> Result<(Code, String), Fault> {
        let Some((code, reason)) = self.data.split_first_chunk::<4>() else {
            return Err(Fault::peer(Code::BadFrame, "a go-away without a code"));
        };
        if reason.len() > GO_AWAY_REASON {
            let got = reason.len();
            return Err(Fault::peer(Code::LimitExceeded, format!("a go-away's reason of {got} bytes")));
        }
        Ok((Code::from_wire(u32::from_be_bytes(*code)), String::from_utf8_lossy(reason).into_owned()))
    }
}

/// The fault for bytes that are not a frame.
pub(super) fn malformed(error: DecodeError) -> Fault {
    Fault::peer(Code::BadFrame, error.to_string())
}

/// Adds where on the link a fault lies.
pub(super) fn located(mut fault: Fault, offset: u64) -> Fault {
    fault.what = format!("{} (at byte {offset} of the link)", fault.what);
    fault
}

/// Writes frames.
pub(super) struct FrameWriter(Enframer);

impl FrameWriter {
    pub(super) fn new() -> FrameWriter {
        FrameWriter(Enframer::new(framing()))
    }

    /// Appends a frame with these bytes, at most [`FRAME_PAYLOAD`].
    pub(super) fn write(&self, kind: Kind, id: StreamId, data: &[u8], out: &mut impl Output) {
        out.append(|out| {
            let written = self.0.encode(&[kind as u64, id.0], data, out);
            written.expect("a kind and a number fit their fields, and no caller writes more than a frame holds");
        });
    }

    /// Appends what stands before `len` bytes of a stream, at most [`FRAME_PAYLOAD`].
    pub(super) fn write_head(&self, kind: Kind, id: StreamId, len: usize, out: &mut impl Output) {
        out.append(|out| {
            let written = self.0.header(&[kind as u64, id.0], len as u64, out);
            written.expect("a kind and a number fit their fields, and no caller writes more than a frame holds");
        });
    }

    pub(super) fn write_go_away(&self, code: Code, reason: &str, out: &mut impl Output) {
        let payload = [&(code as u32).to_be_bytes(), reason.as_bytes()].concat();
        self.write(Kind::GoAway, StreamId(0), &payload, out);
    }
}
