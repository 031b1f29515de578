//! The reading half of a stream.

use bytes::{Bytes, BytesMut};

use super::frame::{FrameWriter, Kind};
use super::{Output, StreamId};
use crate::limits::{INITIAL_WINDOW, MAX_WINDOW};
use crate::{Code, Fault};

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Bytes, at least one.
    Data(Bytes),
    /// Nothing yet: wait for [`super::Event::Readable`].
    Blocked,
    /// The writer finished, and everything before it has been read.
    Finished,
    /// The writer gave up, or this end did.
    Reset(Code),
}

/// What arrived and was not yet read, and how much more may arrive.
pub(super) struct RecvHalf {
    buffer: BytesMut,
    received: u64,
    granted: u64,
    window: u64,
    end: End,
    stop: Stop,
    /// Whether the reader has been given the end.
    consumed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Finished,
    Reset(Code),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Due(Code),
    Sent,
}

impl RecvHalf {
    pub(super) fn new() -> RecvHalf {
        RecvHalf {
            buffer: BytesMut::new(),
            received: 0,
            granted: INITIAL_WINDOW,
            window: INITIAL_WINDOW,
            end: End::Open,
            stop: Stop::No,
            consumed: false,
        }
    }

    pub(super) fn receive(&mut self, id: StreamId, data: &[u8], fin: bool) -> Result<(), Fault> {
        self.expect_open(id)?;
        self.received += data.len() as u64;
        if self.received > self.granted {
            let (received, granted) = (self.received, self.granted);
            let what = format!("{received} bytes on {id}, which had credit for {granted}");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        if self.stop == Stop::No {
            self.buffer.extend_from_slice(data);
        }
        if fin {
            self.end = End::Finished;
        }
        Ok(())
    }

    pub(super) fn receive_reset(&mut self, id: StreamId, code: Code) -> Result<(), Fault> {
        self.expect_open(id)?;
        self.end = End::Reset(code);
        self.buffer = BytesMut::new();
        Ok(())
    }

    fn expect_open(&self, id: StreamId) -> Result<(), Fault> {
        match self.end {
            End::Open => Ok(()),
            _ => Err(Fault::peer(Code::BadFrame, format!("a frame on {id} after its end"))),
        }
    }

    pub(super) fn read(&mut self, max: usize) -> Read {
        if self.stop != Stop::No {
            return Read::Reset(Code::Cancelled);
        }
        if !self.buffer.is_empty() {
            return Read::Data(self.buffer.split_to(self.buffer.len().min(max)).freeze());
        }
        match self.end {
            End::Open => return Read::Blocked,
            End::Finished | End::Reset(_) => self.consumed = true,
        }
        match self.end {
            End::Reset(code) => Read::Reset(code),
            _ => Read::Finished,
        }
    }

    pub(super) fn stop(&mut self, code: Code) {
        let told = self.stop != Stop::No;
        self.ignore();
        if !told && self.end == End::Open {
            self.stop = Stop::Due(code);
        }
    }

    pub(super) fn ignore(&mut self) {
        self.buffer = BytesMut::new();
        self.consumed = true;
        if self.stop == Stop::No {
            self.stop = Stop::Sent;
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.buffer.is_empty() || self.end != End::Open
    }

    pub(super) fn is_ended(&self) -> bool {
        self.end != End::Open
    }

    pub(super) fn is_consumed(&self) -> bool {
        self.consumed
    }

    pub(super) fn has_output(&self) -> bool {
        matches!(self.stop, Stop::Due(_)) && self.end == End::Open || self.owes_credit()
    }

    /// Whether the reader has made room for at least half a window since the last grant.
    pub(super) fn owes_credit(&self) -> bool {
        self.end == End::Open && self.stop == Stop::No && self.deserved() - self.granted >= self.window / 2
    }

    fn deserved(&self) -> u64 {
        self.received - self.buffer.len() as u64 + self.window
    }

    /// Appends what is owed to the writer. A reader that keeps up sees its window double with each grant.
    pub(super) fn emit(&mut self, id: StreamId, writer: &FrameWriter, out: &mut impl Output) {
        if let Stop::Due(code) = self.stop {
            if self.end == End::Open {
                writer.write(Kind::Stop, id, &(code as u32).to_be_bytes(), out);
            }
            self.stop = Stop::Sent;
        } else if self.owes_credit() {
            self.window = (self.window * 2).min(MAX_WINDOW);
            self.granted = self.deserved();
            writer.write(Kind::Window, id, &self.granted.to_be_bytes(), out);
        }
    }
}
