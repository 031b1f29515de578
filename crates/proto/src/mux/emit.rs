//! Bytes out.

use std::time::Instant;

use super::frame::Kind;
use super::quota::Admission;
use super::{Direction, Event, GoAway, Mux, Output, Stream, StreamId};

impl Mux {
    /// Appends frames to `out` until it has grown by `budget` bytes or more, or nothing is left to send. Returns
    /// whether anything was appended. One frame may overshoot the budget.
    pub fn poll_output(&mut self, out: &mut impl Output, budget: usize, now: Instant) -> bool {
        let start = out.len();
        self.pilot.tick(now);
        self.emit_link_frames(out);
        while out.len() - start < budget {
            let Some(id) = self.control.pop_front().or_else(|| self.data.pop_front()) else { break };
            self.emit_stream(id, out);
        }
        let sent = out.len() > start;
        if sent {
            self.heartbeat.sent(now);
        }
        sent
    }

    /// Whether [`Mux::poll_output`] has something to give.
    pub fn has_output(&self) -> bool {
        self.heartbeat.has_output()
            || matches!(self.go_away, GoAway::Due(..))
            || self.remote.iter().any(Admission::owes)
            || !self.control.is_empty()
            || !self.data.is_empty()
    }

    fn emit_link_frames(&mut self, out: &mut impl Output) {
        if let GoAway::Due(code, reason) = &self.go_away {
            self.writer.write_go_away(*code, reason, out);
            self.go_away = GoAway::Sent;
        }
        self.heartbeat.emit(&self.writer, out);
        for direction in Direction::BOTH {
            let admission = &mut self.remote[direction as usize];
            if admission.owes() {
                let last = StreamId::new(self.role.peer(), direction, admission.allow());
                self.writer.write(Kind::Streams, last, &[], out);
            }
        }
    }

    fn emit_stream(&mut self, id: StreamId, out: &mut impl Output) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.scheduled = false;
        if let Some(recv) = stream.recv.as_mut() {
            recv.emit(id, &self.writer, &mut self.memory, out);
        }
        let mut more = false;
        if let Some(send) = stream.send.as_mut() {
            let before = out.len();
            more = send.emit(id, &self.writer, &mut self.memory.unsent, out);
            if send.is_compressed() {
                self.pilot.sent(out.len() - before);
                // Its next blocks are cut.
                more = true;
            }
            if send.takes_again() {
                self.events.push_back(Event::Writable(id));
            }
        }
        if more {
            self.schedule(id);
        }
        self.retire(id);
    }

    /// Puts a stream in line if it has something to send.
    pub(super) fn schedule(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(send) = stream.send.as_mut() {
            send.cut(id, &mut self.pilot, &mut self.blocks);
        }
        if stream.scheduled || !stream.has_output() {
            return;
        }
        stream.scheduled = true;
        match id.direction() {
            Direction::Bidirectional => self.control.push_back(id),
            Direction::Unidirectional => self.data.push_back(id),
        }
    }

    /// Forgets a stream once both directions have ended, and their readers know.
    pub(super) fn retire(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_forgotten) {
            if let Some(mut recv) = self.streams.remove(&id).and_then(|stream| stream.recv) {
                recv.release(&mut self.memory);
            }
            if id.initiator() != self.role {
                self.remote[id.direction() as usize].forget();
            }
        }
    }
}
