//! The writing half of a stream.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frame::{FrameWriter, Kind};
use super::memory::Account;
use super::pack::{Block, Packed};
use super::pilot::Pilot;
use super::pipeline::{Pipeline, Ready};
use super::{Compression, Output, StreamId};
use crate::Code;
use crate::limits::{FRAME_PAYLOAD, INITIAL_WINDOW, PACKED_BUFFER, SEND_BUFFER, SEND_RESERVE};

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
    /// The front of the queue, on its way through compression.
    pipeline: Option<Pipeline>,
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
            pipeline: None,
        }
    }

    /// Queues no more than its reserve from now on.
    pub(super) fn narrow(&mut self) {
        self.most = SEND_RESERVE;
    }

    /// Compresses what is written from now on, or no longer does.
    pub(super) fn compress(&mut self, compression: Compression) {
        // What is on its way goes first; a stream that was compressed keeps its blocks, and only their level changes.
        if self.pipeline.as_ref().is_none_or(Pipeline::is_empty) {
            self.pipeline = Pipeline::new(compression);
            if self.pipeline.is_some() {
                self.most = PACKED_BUFFER;
            }
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.pipeline.is_some()
    }

    /// Whether everything that could be sent is still being compressed.
    pub(super) fn is_behind(&self) -> bool {
        self.pipeline.as_ref().is_some_and(Pipeline::is_behind)
    }

    /// Whether a writer waits, and nothing of what is queued has credit.
    pub(super) fn lacks_credit(&self) -> bool {
        let held = self.pipeline.as_ref().map_or(0, Pipeline::held) as u64;
        self.blocked && self.queued as u64 > held && self.credit == self.sent + held
    }

    /// Cuts blocks from the queue. Short ones only where nothing else is on its way, so that what is written meanwhile comes
    /// together.
    pub(super) fn cut(&mut self, id: StreamId, pilot: &mut Pilot, blocks: &mut VecDeque<Block>) {
        let Some(mut pipeline) = self.pipeline.take() else { return };
        while matches!(self.state, State::Open | State::Finishing) && !pipeline.is_full() {
            let waiting = self.queued - pipeline.held();
            let credit = usize::try_from(self.credit - self.sent).unwrap_or(usize::MAX) - pipeline.held();
            let len = waiting.min(credit).min(FRAME_PAYLOAD);
            let last = self.state == State::Finishing && len == waiting;
            if len == 0 || len < FRAME_PAYLOAD && !last && !pipeline.is_empty() {
                break;
            }
            let mut plain = Vec::with_capacity(1);
            self.split(len, |piece| plain.push(piece));
            blocks.extend(pipeline.push(id, plain, len, pilot));
        }
        self.pipeline = Some(pipeline);
    }

    /// Takes a block back from compression.
    pub(super) fn packed(&mut self, packed: Packed) {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.packed(packed);
        }
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
            self.pipeline.iter_mut().for_each(Pipeline::clear);
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
            State::Open => self.has_data(),
            State::Finishing => self.queued == 0 || self.has_data(),
            State::Resetting(_) => true,
            State::Finished | State::Reset(_) => false,
        }
    }

    fn has_data(&self) -> bool {
        match &self.pipeline {
            None => self.sendable() > 0,
            Some(pipeline) => pipeline.is_ready(),
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
        let fin = match self.pipeline.as_mut().and_then(Pipeline::pop) {
            Some(ready) => self.emit_block(ready, id, writer, out),
            None => {
                let len = if self.pipeline.is_some() { 0 } else { self.sendable() };
                let fin = self.write_head(len, id, writer, out);
                self.split(len, |piece| out.data(piece));
                fin
            }
        };
        self.settle(unsent);
        if fin {
            self.state = State::Finished;
        }
        self.has_output()
    }

    /// Begins a frame of `len` plain bytes, which leave the queue. Returns whether they are the last.
    fn write_head(&mut self, len: usize, id: StreamId, writer: &FrameWriter, out: &mut impl Output) -> bool {
        let fin = self.state == State::Finishing && len == self.queued;
        writer.write_head(if fin { Kind::Fin } else { Kind::Data }, id, len, out);
        self.account(len);
        fin
    }

    fn account(&mut self, len: usize) {
        self.sent += len as u64;
        self.queued -= len;
    }

    fn emit_block(&mut self, ready: Ready, id: StreamId, writer: &FrameWriter, out: &mut impl Output) -> bool {
        match ready {
            Ready::Plain(plain, len) => {
                let fin = self.write_head(len, id, writer, out);
                plain.into_iter().for_each(|piece| out.data(piece));
                fin
            }
            Ready::Packed(data, len) => {
                writer.write_head(Kind::Zstd, id, data.len(), out);
                out.data(data);
                self.account(len);
                false
            }
        }
    }

    /// Takes bytes off the front of the queue, piece by piece.
    fn split(&mut self, mut len: usize, mut piece: impl FnMut(Bytes)) {
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
            piece(taken);
        }
    }
}
