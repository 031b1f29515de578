//! Many streams over one ordered byte stream, each with its own credit.
//!
//! # The caller's contract
//!
//! - Give every byte that arrives to [`Mux::handle_input`], then take events with [`Mux::poll_event`] until there is
//!   none. A [`Fault`] from it is final: send what [`Mux::poll_output`] still gives, and close.
//! - After any call that may have made something to send, take it with [`Mux::poll_output`] and send all of it.
//! - When [`Mux::poll_timeout`] has passed, first give it the bytes that have arrived meanwhile, then call
//!   [`Mux::handle_timeout`]. So an end that was stopped and goes on does not declare its peer dead.
//! - Streams are opened with [`Mux::open`] or by the peer ([`Event::Opened`]), and used with [`Mux::write`],
//!   [`Mux::finish`], [`Mux::read`], [`Mux::reset`] and [`Mux::stop`]. Nothing blocks: what can't go on now says so, and
//!   an event tells when it can.
//!
//! # What holds
//!
//! - A stream whose reader stops holds at most its window at the receiver and [`limits::SEND_BUFFER`] at the sender, and
//!   delays no other stream: there is no credit for the connection as a whole.
//! - A stream counts against its opener's limit until the other end has read its end or given it up. So whoever accepts a
//!   stream must do one of the two in the end, also where the operation that it belongs to is refused.
//! - Bidirectional streams (control) are sent before unidirectional ones (data); among each kind, one frame in turn.
//! - Nothing is allocated because the peer announced it.

mod frame;
mod output;
mod quota;
mod recv;
mod send;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use unglue_frame::Deframer;

use crate::{Code, Fault, limits};
use frame::{Frame, FrameWriter, Kind};
pub use output::{Gather, Output};
use quota::{Admission, Opening};
pub use recv::Read;
use stream::Stream;
pub use stream::{Direction, Role, StreamId};

/// What happened on the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer opened a stream.
    Opened(StreamId),
    /// A stream has bytes, its end or its reset to be read.
    Readable(StreamId),
    /// A stream takes bytes again, or will take none any more.
    Writable(StreamId),
    /// A stream can be opened again after [`Mux::open`] gave `None`.
    Openable(Direction),
    /// The peer takes no new operations; those under way go on, unless the code says that the link has failed.
    GoAway(Code, String),
}

/// One end of a multiplexed link.
pub struct Mux {
    role: Role,
    /// Set aside while its frames are handled.
    deframer: Option<Deframer>,
    writer: FrameWriter,
    streams: HashMap<StreamId, Stream>,
    local: [Opening; 2],
    remote: [Admission; 2],
    control: VecDeque<StreamId>,
    data: VecDeque<StreamId>,
    events: VecDeque<Event>,
    heard: Instant,
    sent: Instant,
    ping_due: bool,
    farewell: Farewell,
    peer_left: Option<Code>,
}

/// Our own go-away.
enum Farewell {
    None,
    Due(Code, String),
    Sent,
}

impl Mux {
    /// A new link, on which nothing has been sent or received.
    pub fn new(role: Role, now: Instant) -> Mux {
        Mux {
            role,
            deframer: Some(frame::deframer()),
            writer: FrameWriter::new(),
            streams: HashMap::new(),
            local: Direction::BOTH.map(Opening::new),
            remote: Direction::BOTH.map(Admission::new),
            control: VecDeque::new(),
            data: VecDeque::new(),
            events: VecDeque::new(),
            heard: now,
            sent: now,
            ping_due: false,
            farewell: Farewell::None,
            peer_left: None,
        }
    }

    /// Opens a stream. `None` when the limit is reached, until [`Event::Openable`]; or, for a bidirectional one, when the
    /// peer goes away. Unidirectional ones belong to operations under way, which go on.
    pub fn open(&mut self, direction: Direction) -> Option<StreamId> {
        if self.peer_left.is_some() && direction == Direction::Bidirectional {
            return None;
        }
        let opening = &mut self.local[direction as usize];
        let Some(ordinal) = opening.open() else {
            if opening.is_exhausted() {
                // No event will ever come: this link has served its time.
                self.peer_left.get_or_insert(Code::LimitExceeded);
            }
            return None;
        };
        let id = StreamId::new(self.role, direction, ordinal);
        self.streams.insert(id, Stream::new(id, self.role));
        Some(id)
    }

    /// Why the peer takes no new streams, if it has said so.
    pub fn peer_left(&self) -> Option<Code> {
        self.peer_left
    }

    /// Takes no new operations (bidirectional streams) from now on and tells the peer why. Open ones go on, with whatever
    /// unidirectional streams they need.
    pub fn go_away(&mut self, code: Code, reason: &str) {
        if matches!(self.farewell, Farewell::None) {
            self.say_farewell(code, reason);
        }
    }

    fn say_farewell(&mut self, code: Code, reason: &str) {
        let mut reason = reason.to_owned();
        while reason.len() > limits::GO_AWAY_REASON {
            reason.pop();
        }
        self.farewell = Farewell::Due(code, reason);
    }

    /// The number of streams that are open or not yet read to their end.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }
}

/// Reading and writing.
impl Mux {
    /// Takes bytes to send, as many as there is room for, and gives back the rest: wait for [`Event::Writable`] then.
    ///
    /// # Errors
    /// The code with which the reader gave the stream up, or [`Code::Cancelled`] if this end did.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<Bytes, Code> {
        let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) else {
            return Err(Code::Cancelled);
        };
        let rest = send.write(data)?;
        self.schedule(id);
        Ok(rest)
    }

    /// Ends this direction of a stream, after what was written.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.finish();
            self.schedule(id);
        }
    }

    /// Gives this direction of a stream up: what was written and not yet sent is dropped, and the reader is told.
    pub fn reset(&mut self, id: StreamId, code: Code) {
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.reset(code);
            self.schedule(id);
        }
    }

    /// Whether everything that was written, and the end, has been handed to [`Mux::poll_output`].
    pub fn is_flushed(&self, id: StreamId) -> bool {
        self.streams.get(&id).and_then(|stream| stream.send.as_ref()).is_none_or(|send| send.is_flushed())
    }

    /// The same of every stream: nothing waits for credit or for its turn.
    pub fn all_flushed(&self) -> bool {
        self.streams.values().filter_map(|stream| stream.send.as_ref()).all(|send| send.is_flushed())
    }

    /// Opens a stream of the peer's before its first frame has arrived, since a control message has named it.
    ///
    /// # Errors
    /// The number isn't one that the peer may open.
    pub fn expect(&mut self, id: StreamId) -> Result<(), Fault> {
        self.accept(id).map(|_| ())
    }

    /// Reads at most `max` bytes; what is read gives the peer new credit.
    pub fn read(&mut self, id: StreamId, max: usize) -> Read {
        let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) else {
            return Read::Reset(Code::Cancelled);
        };
        let read = recv.read(max);
        if recv.owes_credit() {
            self.schedule(id);
        }
        self.retire(id);
        read
    }

    /// Gives up reading a stream: what arrived is dropped, and the writer is told.
    pub fn stop(&mut self, id: StreamId, code: Code) {
        if let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) {
            recv.stop(code);
            self.schedule(id);
            self.retire(id);
        }
    }

    /// Reads no more of a stream whose writer is about to end it anyway: what arrives is dropped, and the writer is not
    /// told.
    pub fn ignore(&mut self, id: StreamId) {
        if let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) {
            recv.ignore();
            self.retire(id);
        }
    }
}

/// Bytes in, events out.
impl Mux {
    /// Takes bytes from the link, in any chunks.
    ///
    /// # Errors
    /// The peer broke the protocol; the fault says at which byte of the link. The link is unusable then.
    pub fn handle_input(&mut self, input: &[u8], now: Instant) -> Result<(), Fault> {
        if !input.is_empty() {
            self.heard = now;
        }
        let Some(mut deframer) = self.deframer.take() else {
            return Err(Fault::us("bytes were given to a link that has failed"));
        };
        match self.handle_frames(&mut deframer, input) {
            Ok(()) => self.deframer = Some(deframer),
            Err(fault) => {
                self.say_farewell(fault.code, &fault.what);
                return Err(fault);
            }
        }
        Ok(())
    }

    fn handle_frames(&mut self, deframer: &mut Deframer, mut input: &[u8]) -> Result<(), Fault> {
        let mut frames = deframer.frames(&mut input);
        while let Some(frame) = frames.next().transpose().map_err(frame::malformed)? {
            let handled = Frame::parse(&frame).and_then(|parsed| self.handle_frame(parsed));
            handled.map_err(|fault| frame::located(fault, frame.offset()))?;
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match frame.kind {
            Kind::Ping => frame.expect_len(0),
            Kind::GoAway => self.handle_go_away(&frame),
            Kind::Streams => self.handle_streams(&frame),
            kind => {
                let id = StreamId(frame.stream);
                if !self.accept(id)? {
                    return Ok(());
                }
                match kind {
                    Kind::Data | Kind::Fin => self.handle_data(id, frame.data, kind == Kind::Fin),
                    Kind::Reset => self.handle_reset(id, frame.code()?),
                    Kind::Stop => self.handle_stop(id, frame.code()?),
                    _ => self.handle_window(id, frame.credit()?),
                }
            }
        }
    }

    /// Whether a frame's stream is there to take it; opens it, and those before it, where the peer may.
    fn accept(&mut self, id: StreamId) -> Result<bool, Fault> {
        let index = id.direction() as usize;
        if id.initiator() == self.role {
            if !self.local[index].has_opened(id.ordinal()) {
                return Err(Fault::peer(Code::BadFrame, format!("a frame for {id}, which this end never opened")));
            }
        } else if !self.remote[index].has_opened(id.ordinal()) {
            self.open_remote(id)?;
        }
        Ok(self.streams.contains_key(&id))
    }

    fn open_remote(&mut self, id: StreamId) -> Result<(), Fault> {
        let direction = id.direction();
        let admission = &mut self.remote[direction as usize];
        if !admission.admits(id.ordinal()) {
            let limit = direction.limit();
            let what = format!("{id} is one {direction} stream more than the {limit} that may be open at once");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        for ordinal in admission.open_up_to(id.ordinal()) {
            let id = StreamId::new(self.role.peer(), direction, ordinal);
            self.streams.insert(id, Stream::new(id, self.role));
            self.admit(id);
        }
        Ok(())
    }

    /// Tells of a new stream; refuses an operation that comes after the go-away.
    fn admit(&mut self, id: StreamId) {
        if matches!(self.farewell, Farewell::None) || id.direction() == Direction::Unidirectional {
            self.events.push_back(Event::Opened(id));
        } else {
            self.reset(id, Code::GoingAway);
            self.stop(id, Code::GoingAway);
        }
    }

    fn handle_data(&mut self, id: StreamId, data: &[u8], fin: bool) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(recv) = stream.recv.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("data on {id}, which only this end writes")));
        };
        let was_readable = recv.is_readable();
        recv.receive(id, data, fin)?;
        if !was_readable && recv.is_readable() {
            self.events.push_back(Event::Readable(id));
        }
        self.retire(id);
        Ok(())
    }

    fn handle_reset(&mut self, id: StreamId, code: Code) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(recv) = stream.recv.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("a reset of {id}, which only this end writes")));
        };
        recv.receive_reset(id, code)?;
        self.events.push_back(Event::Readable(id));
        self.retire(id);
        Ok(())
    }

    fn handle_stop(&mut self, id: StreamId, code: Code) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(send) = stream.send.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("a stop of {id}, which only the peer writes")));
        };
        if send.reset(code) {
            self.events.push_back(Event::Writable(id));
            self.schedule(id);
        }
        Ok(())
    }

    fn handle_window(&mut self, id: StreamId, credit: u64) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(send) = stream.send.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("credit for {id}, which only the peer writes")));
        };
        send.grant(credit);
        self.schedule(id);
        Ok(())
    }

    fn handle_go_away(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let (code, reason) = frame.go_away()?;
        // A fault may follow an orderly go-away: that is why the link ends then.
        if self.peer_left.is_none_or(|before| before == Code::GoingAway && code != before) {
            self.peer_left = Some(code);
            self.events.push_back(Event::GoAway(code, reason));
        }
        Ok(())
    }

    fn handle_streams(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        frame.expect_len(0)?;
        let id = StreamId(frame.stream);
        if id.initiator() != self.role {
            return Err(Fault::peer(Code::BadFrame, format!("room for {id}, which only the peer opens")));
        }
        if self.local[id.direction() as usize].allow_up_to(id.ordinal()) {
            self.events.push_back(Event::Openable(id.direction()));
        }
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// Bytes out.
impl Mux {
    /// Appends frames to `out` until it has grown by `budget` bytes or more, or nothing is left to send. Returns
    /// whether anything was appended. One frame may overshoot the budget.
    pub fn poll_output(&mut self, out: &mut impl Output, budget: usize, now: Instant) -> bool {
        let start = out.len();
        self.emit_link_frames(out);
        while out.len() - start < budget {
            let Some(id) = self.control.pop_front().or_else(|| self.data.pop_front()) else { break };
            self.emit_stream(id, out);
        }
        let sent = out.len() > start;
        if sent {
            self.sent = now;
        }
        sent
    }

    /// Whether [`Mux::poll_output`] has something to give.
    pub fn has_output(&self) -> bool {
        self.ping_due
            || matches!(self.farewell, Farewell::Due(..))
            || self.remote.iter().any(Admission::owes)
            || !self.control.is_empty()
            || !self.data.is_empty()
    }

    fn emit_link_frames(&mut self, out: &mut impl Output) {
        if std::mem::take(&mut self.ping_due) {
            self.writer.write(Kind::Ping, StreamId(0), &[], out);
        }
        if let Farewell::Due(code, reason) = &self.farewell {
            self.writer.write_go_away(*code, reason, out);
            self.farewell = Farewell::Sent;
        }
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
            recv.emit(id, &self.writer, out);
        }
        let mut more = false;
        if let Some(send) = stream.send.as_mut() {
            let was_full = send.is_full();
            more = send.emit(id, &self.writer, out);
            if was_full && !send.is_full() {
                self.events.push_back(Event::Writable(id));
            }
        }
        if more {
            self.schedule(id);
        }
        self.retire(id);
    }

    /// Puts a stream in line if it has something to send.
    fn schedule(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
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
    fn retire(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_forgotten) {
            self.streams.remove(&id);
            if id.initiator() != self.role {
                self.remote[id.direction() as usize].forget();
            }
        }
    }
}

/// Time.
impl Mux {
    /// When [`Mux::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let silence = self.heard + limits::SILENCE;
        if self.ping_due { silence } else { silence.min(self.sent + limits::HEARTBEAT) }
    }

    /// Sends a heartbeat where one is due.
    ///
    /// # Errors
    /// [`Code::LinkLost`] if the peer has been silent for [`limits::SILENCE`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Fault> {
        if now >= self.heard + limits::SILENCE {
            let silence = now.duration_since(self.heard).as_secs();
            return Err(Fault::system(Code::LinkLost, format!("nothing has arrived for {silence} s"))
                .advise("the network or the other end is down"));
        }
        if now >= self.sent + limits::HEARTBEAT {
            self.ping_due = true;
        }
        Ok(())
    }
}
