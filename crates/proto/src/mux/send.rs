//! The writing half of a stream.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frame::{FrameWriter, Kind};
use super::memory::Account;
use super::{Output, StreamId};
use crate::Code;
use crate::limits::{FRAME_PAYLOAD, INITIAL_WINDOW, SEND_BUFFER, SEND_RESERVE};

/// Shorter writes are copied together: a line must not keep the block that it was cut from, nor cost an entry.
const COPIED: usize = 16 * 1024;

/// What was written and not yet sent, and how much may be.
pub(super) struct SendHalf {
    queue: VecDeque<Bytes>,
    /// Short writes behind the queue.
    tail: BytesMut,
    queued: usize,
    /// Queued bytes beyond the reserve: the link was charged for them.
    held: u64,
    /// The most that is queued.
    most: usize,
    /// Whether a writer waits for room.
    blocked: bool,
    sent: u64,
    credit: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The writer has finished; the queue and the end are still to be sent.
    Finishing,
    /// To be sent to the reader.
    Resetting(Code),
    /// The end was sent.
    Finished,
    /// The reset was sent.
    Reset(Code),
}

impl SendHalf {
    pub(super) fn new() -> SendHalf {
        SendHalf {
            queue: VecDeque::new(),
            tail: BytesMut::new(),
            queued: 0,
            held: 0,
            most: SEND_BUFFER,
            blocked: false,
            sent: 0,
            credit: INITIAL_WINDOW,
            state: State::Open,
        }
    }

    /// Queues no more than its reserve from now on.
    pub(super) fn narrow(&mut self) {
        self.most = SEND_RESERVE;
    }

    /// Takes what there is room for, and gives back the rest.
    pub(super) fn write(&mut self, mut data: Bytes, unsent: &mut Account) -> Result<Bytes, Code> {
        match self.state {
            State::Open => {}
            State::Resetting(code) | State::Reset(code) => return Err(code),
            State::Finishing | State::Finished => return Err(Code::Cancelled),
        }
        let taken = data.split_to(self.make_room(data.len(), unsent));
        self.blocked |= !data.is_empty();
        self.queued += taken.len();
        if taken.len() < COPIED {
            self.tail.extend_from_slice(&taken);
        } else {
            self.close_tail();
            self.queue.push_back(taken);
        }
        Ok(data)
    }

    /// How much of `wanted` the stream takes: up to its reserve always, beyond it what the link has room for.
    fn make_room(&mut self, wanted: usize, unsent: &mut Account) -> usize {
        let wanted = wanted.min(self.most.saturating_sub(self.queued));
        let own = wanted.min(SEND_RESERVE.saturating_sub(self.queued));
        let beyond = unsent.take_some((wanted - own) as u64);
        self.held += beyond;
        own + beyond as usize
    }

    /// Gives back what the queue no longer holds beyond the reserve.
    fn settle(&mut self, unsent: &mut Account) {
        let beyond = self.queued.saturating_sub(SEND_RESERVE) as u64;
        unsent.give_back(self.held - beyond);
        self.held = beyond;
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.queue.push_back(self.tail.split().freeze());
        }
    }

    pub(super) fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Finishing;
        }
    }

    /// Drops what is left and owes the reader a reset. Returns whether that was news: the stream had not ended yet.
    pub(super) fn reset(&mut self, code: Code, unsent: &mut Account) -> bool {
        let open = matches!(self.state, State::Open | State::Finishing);
        if open {
            self.state = State::Resetting(code);
            self.queue = VecDeque::new();
            self.tail = BytesMut::new();
            self.queued = 0;
            self.settle(unsent);
        }
        open
    }

    pub(super) fn grant(&mut self, credit: u64) {
        self.credit = self.credit.max(credit);
    }

    /// Whether a writer that waits for room finds some now. Said once.
    pub(super) fn takes_again(&mut self) -> bool {
        let again = self.blocked && self.queued < self.most;
        self.blocked &= !again;
        again
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.queued == 0 && !matches!(self.state, State::Finishing | State::Resetting(_))
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Finished | State::Reset(_))
    }

    pub(super) fn has_output(&self) -> bool {
        match self.state {
            State::Open => self.sendable() > 0,
            State::Finishing => self.queued == 0 || self.sendable() > 0,
            State::Resetting(_) => true,
            State::Finished | State::Reset(_) => false,
        }
    }

    fn sendable(&self) -> usize {
        let credit = usize::try_from(self.credit - self.sent).unwrap_or(usize::MAX);
        self.queued.min(credit).min(FRAME_PAYLOAD)
    }

    /// Appends one frame, if there is one to send. Returns whether there is another.
    pub(super) fn emit(
        &mut self,
        id: StreamId,
        writer: &FrameWriter,
        unsent: &mut Account,
        out: &mut impl Output,
    ) -> bool {
        if !self.has_output() {
            return false;
        }
        if let State::Resetting(code) = self.state {
            writer.write(Kind::Reset, id, &(code as u32).to_be_bytes(), out);
            self.state = State::Reset(code);
            return false;
        }
        let len = self.sendable();
        let fin = self.state == State::Finishing && len == self.queued;
        let kind = if fin { Kind::Fin } else { Kind::Data };
        writer.write_head(kind, id, len, out);
        self.take(len, out);
        self.settle(unsent);
        if fin {
            self.state = State::Finished;
        }
        self.has_output()
    }

    fn take(&mut self, mut len: usize, out: &mut impl Output) {
        self.sent += len as u64;
        self.queued -= len;
        while len > 0 {
            if self.queue.is_empty() {
                self.close_tail();
            }
            let Some(chunk) = self.queue.front_mut() else { break };
            let taken = chunk.split_to(chunk.len().min(len));
            len -= taken.len();
            if chunk.is_empty() {
                self.queue.pop_front();
            }
            out.data(taken);
        }
    }
}
