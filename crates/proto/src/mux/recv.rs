//! The reading half of a stream.

use bytes::Bytes;

use super::frame::{FrameWriter, Kind};
use super::memory::Accounts;
use super::pack::Unpacker;
use super::unread::Unread;
use super::{Output, StreamId};
use crate::limits::{INITIAL_WINDOW, MAX_WINDOW, NARROW_WINDOW};
use crate::{Code, Fault};

/// The window of a stream on which much is to come. The first grant doubles it.
const WIDE_WINDOW: u64 = MAX_WINDOW / 4;

/// A reader that has made room for so much gets credit for it, however large the window: what is read between two grants is
/// missing from what may be on its way.
const LARGEST_STEP: u64 = MAX_WINDOW / 8;

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Bytes, at least one.
    Data(Bytes),
    /// Nothing yet: wait for [`super::Event::Readable`].
    Blocked,
    /// The writer finished, and everything before it has been read.
    Finished,
    /// The writer reset it, or this end stopped it.
    Reset(Code),
}

/// What arrived and was not yet read, and how much more may arrive.
pub(super) struct RecvHalf {
    buffer: Unread,
    received: u64,
    granted: u64,
    window: u64,
    /// What the window may grow to.
    most: u64,
    /// Bytes of the buffer that the link's account of unread bytes was charged for: those of the first window.
    held: u64,
    end: End,
    stop: Stop,
    /// What the reader gets after a stop.
    stopped_with: Code,
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
            buffer: Unread::default(),
            received: 0,
            granted: INITIAL_WINDOW,
            window: INITIAL_WINDOW,
            most: MAX_WINDOW,
            held: 0,
            end: End::Open,
            stop: Stop::No,
            stopped_with: Code::Cancelled,
            consumed: false,
        }
    }

    /// Its window grows no further than that of a stream that a person looks at.
    pub(super) fn narrow(&mut self) {
        self.most = NARROW_WINDOW;
    }

    /// Much is to come: the window doesn't grow from its beginnings, if the link has room for a larger one.
    pub(super) fn widen(&mut self, memory: &mut Accounts) {
        let growth = WIDE_WINDOW.min(self.most).saturating_sub(self.window);
        let is_open = self.end == End::Open && self.stop == Stop::No;
        if is_open && growth > 0 && memory.windows.take_share(growth, self.window - INITIAL_WINDOW) {
            self.window += growth;
        }
    }

    /// Takes bytes of the writer's. `false` if there is no room for them: the stream is to be refused.
    pub(super) fn receive(
        &mut self,
        id: StreamId,
        data: &[u8],
        fin: bool,
        memory: &mut Accounts,
    ) -> Result<bool, Fault> {
        self.use_credit(id, data.len())?;
        if self.stop == Stop::No {
            self.buffer.push(data, self.flows());
        }
        if fin {
            self.end = End::Finished;
        }
        Ok(self.charge(memory))
    }

    /// The same of a compressed block. Its plain bytes are what counts, and there are no more of them than it announces and
    /// has credit for.
    pub(super) fn receive_packed(
        &mut self,
        id: StreamId,
        block: &[u8],
        unpacker: &mut Unpacker,
        memory: &mut Accounts,
    ) -> Result<bool, Fault> {
        let (len, zstd) = Unpacker::announced(id, block)?;
        self.use_credit(id, len)?;
        if self.stop == Stop::No {
            let plain = unpacker.unpack(id, zstd, len)?;
            self.buffer.push(plain, self.flows());
        }
        Ok(self.charge(memory))
    }

    /// The window of a stream in full flow.
    fn flows(&self) -> Option<u64> {
        (self.window > INITIAL_WINDOW).then_some(self.window)
    }

    fn use_credit(&mut self, id: StreamId, len: usize) -> Result<(), Fault> {
        self.expect_open(id)?;
        self.received += len as u64;
        if self.received > self.granted {
            let (received, granted) = (self.received, self.granted);
            let what = format!("{received} bytes on {id}, which had credit for {granted}");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        Ok(())
    }

    pub(super) fn receive_reset(&mut self, id: StreamId, code: Code, memory: &mut Accounts) -> Result<(), Fault> {
        self.expect_open(id)?;
        self.end = End::Reset(code);
        self.release(memory);
        Ok(())
    }

    /// Charges the link for what is in the buffer. What goes beyond a first window is charged with the window.
    fn charge(&mut self, memory: &mut Accounts) -> bool {
        let wanted = (self.buffer.len() as u64).min(INITIAL_WINDOW);
        memory.unread.adjust(&mut self.held, wanted)
    }

    /// Drops what is buffered, and gives back everything that it was charged for. No more is granted afterwards.
    pub(super) fn release(&mut self, memory: &mut Accounts) {
        self.buffer = Unread::default();
        memory.unread.give_back(std::mem::take(&mut self.held));
        memory.windows.give_back(self.window - INITIAL_WINDOW);
        self.window = INITIAL_WINDOW;
    }

    fn expect_open(&self, id: StreamId) -> Result<(), Fault> {
        match self.end {
            End::Open => Ok(()),
            _ => Err(Fault::peer(Code::BadFrame, format!("a frame on {id} after its end"))),
        }
    }

    pub(super) fn read(&mut self, max: usize, memory: &mut Accounts) -> Read {
        if self.stop != Stop::No {
            self.consumed = true;
            return Read::Reset(self.stopped_with);
        }
        if !self.buffer.is_empty() {
            let data = self.buffer.take(max);
            // Less is charged than before: there is room.
            let _ = self.charge(memory);
            return Read::Data(data);
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

    pub(super) fn stop(&mut self, code: Code, memory: &mut Accounts) {
        let stopped = self.stop != Stop::No;
        self.ignore(memory);
        if !stopped && self.end == End::Open {
            self.stop = Stop::Due(code);
        }
    }

    /// There is no room for its bytes: the writer is sent a stop, and the reader gets a refusal.
    pub(super) fn refuse(&mut self, code: Code, memory: &mut Accounts) {
        if self.stop == Stop::No {
            self.stopped_with = code;
            let consumed = self.consumed;
            self.stop(code, memory);
            // The reader has yet to see it.
            self.consumed = consumed;
        }
    }

    pub(super) fn ignore(&mut self, memory: &mut Accounts) {
        self.release(memory);
        self.consumed = true;
        if self.stop == Stop::No {
            self.stop = Stop::Sent;
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.buffer.is_empty() || self.end != End::Open || self.stop != Stop::No
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

    /// Whether the reader has made room for at least half a window since the last grant, or for [`LARGEST_STEP`].
    pub(super) fn owes_credit(&self) -> bool {
        let step = (self.window / 2).min(LARGEST_STEP);
        self.end == End::Open && self.stop == Stop::No && self.deserved() - self.granted >= step
    }

    fn deserved(&self) -> u64 {
        self.received - self.buffer.len() as u64 + self.window
    }

    /// Appends what is owed to the writer. A reader that keeps up sees its window double with each grant, as long as the
    /// link has room for that.
    pub(super) fn emit(&mut self, id: StreamId, writer: &FrameWriter, memory: &mut Accounts, out: &mut impl Output) {
        if let Stop::Due(code) = self.stop {
            if self.end == End::Open {
                writer.write(Kind::Stop, id, &(code as u32).to_be_bytes(), out);
            }
            self.stop = Stop::Sent;
        } else if self.owes_credit() {
            let growth = (self.window * 2).min(self.most).saturating_sub(self.window);
            if growth > 0 && memory.windows.take_share(growth, self.window - INITIAL_WINDOW) {
                self.window += growth;
            }
            self.granted = self.deserved();
            writer.write(Kind::Window, id, &self.granted.to_be_bytes(), out);
        }
    }
}
