//! Bytes in, events out.

use std::time::Instant;

use unglue_frame::Deframer;

use super::frame::{self, Frame, Kind};
use super::{Direction, Event, GoAway, Mux, Stream, StreamId};
use crate::{Code, Fault};

impl Mux {
    /// Takes bytes from the link, in any chunks.
    ///
    /// # Errors
    /// The peer broke the protocol; the fault names the byte of the link. The link is unusable then.
    pub fn handle_input(&mut self, input: &[u8], now: Instant) -> Result<(), Fault> {
        if !input.is_empty() {
            self.heartbeat.received(now);
        }
        let Some(mut deframer) = self.deframer.take() else {
            return Err(Fault::us("bytes were given to a link that has failed"));
        };
        match self.handle_frames(&mut deframer, input) {
            Ok(()) => self.deframer = Some(deframer),
            Err(fault) => {
                self.prepare_go_away(fault.code, &fault.what);
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
            Kind::Ping => frame.ping().map(|number| self.heartbeat.pinged(number)),
            Kind::Pong => self.handle_pong(&frame),
            Kind::GoAway => self.handle_go_away(&frame),
            Kind::Streams => self.handle_streams(&frame),
            kind => {
                let id = StreamId(frame.stream);
                if !self.accept(id)? {
                    return Ok(());
                }
                match kind {
                    Kind::Data | Kind::Fin | Kind::Zstd => self.handle_data(id, frame.data, kind),
                    Kind::Reset => self.handle_reset(id, frame.code()?),
                    Kind::Stop => self.handle_stop(id, frame.code()?),
                    _ => self.handle_window(id, frame.number()?),
                }
            }
        }
    }

    /// Whether a frame's stream is there to take it; opens it, and those before it, where the peer may.
    pub(super) fn accept(&mut self, id: StreamId) -> Result<bool, Fault> {
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

    /// Reports a new stream; refuses an operation that comes after the go-away.
    fn admit(&mut self, id: StreamId) {
        if matches!(self.go_away, GoAway::None) || id.direction() == Direction::Unidirectional {
            self.events.push_back(Event::Opened(id));
        } else {
            self.reset(id, Code::GoingAway);
            self.stop(id, Code::GoingAway);
        }
    }

    fn handle_data(&mut self, id: StreamId, data: &[u8], kind: Kind) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(recv) = stream.recv.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("data on {id}, which only this end writes")));
        };
        let was_readable = recv.is_readable();
        let has_room = match kind {
            Kind::Zstd => recv.receive_packed(id, data, &mut self.unpacker, &mut self.memory)?,
            kind => recv.receive(id, data, kind == Kind::Fin, &mut self.memory)?,
        };
        if !has_room {
            self.refuse(id);
            return Ok(());
        }
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
        recv.receive_reset(id, code, &mut self.memory)?;
        self.events.push_back(Event::Readable(id));
        self.retire(id);
        Ok(())
    }

    fn handle_stop(&mut self, id: StreamId, code: Code) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Some(send) = stream.send.as_mut() else {
            return Err(Fault::peer(Code::BadFrame, format!("a stop of {id}, which only the peer writes")));
        };
        if send.reset(code, &mut self.memory.unsent) {
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

    fn handle_pong(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let number = frame.number()?;
        if !self.heartbeat.has_asked(number) {
            return Err(Fault::peer(Code::BadFrame, format!("a pong for ping {number}, which this end never sent")));
        }
        if self.heartbeat.answered(number) {
            self.events.push_back(Event::Pong(number));
        }
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
