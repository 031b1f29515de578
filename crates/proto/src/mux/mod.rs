//! Many streams over one ordered byte stream, each with its own credit.
//!
//! # The caller's contract
//!
//! - Give every byte that arrives to [`Mux::handle_input`], then take events with [`Mux::poll_event`] until there is
//!   none. A [`Fault`] from it is final: send what [`Mux::poll_output`] still gives, and close.
//! - After any call that may have made something to send, take it with [`Mux::poll_output`] and send all of it.
//! - When [`Mux::poll_timeout`] has passed, first give it the bytes that have arrived meanwhile, then call
//!   [`Mux::handle_timeout`]. So an end that was stopped and goes on does not declare its peer dead.
//! - After any call, take what is to be compressed with [`Mux::poll_block`], [pack](Block::pack) it on whatever thread, and
//!   give it back with [`Mux::packed`]. Without compressed streams there is none.
//! - Streams are opened with [`Mux::open`] or by the peer ([`Event::Opened`]), and used with [`Mux::write`],
//!   [`Mux::finish`], [`Mux::read`], [`Mux::reset`] and [`Mux::stop`]. Nothing blocks: a call that can't go on now returns at once, and
//!   an event follows when it can.
//!
//! # What holds
//!
//! - A stream whose reader stops holds at most its window at the receiver and [`limits::SEND_BUFFER`] at the sender, and
//!   delays no other stream: there is no credit for the connection as a whole. What all streams hold together is bounded by
//!   [`Memory`]: windows stop growing, and a stream that brings more than fits is refused.
//! - A stream counts against its opener's limit until the other end has read its end or stopped it. So the end that accepts a
//!   stream must do one of the two in the end, also where the operation that it belongs to is refused.
//! - Bidirectional streams (control) are sent before unidirectional ones (data); among each kind, one frame in turn.
//! - Nothing is allocated because the peer announced it.

mod emit;
mod frame;
mod heartbeat;
mod input;
mod memory;
mod output;
mod pack;
mod pilot;
mod pipeline;
mod quota;
mod recv;
mod send;
mod stream;
mod unread;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use unglue_frame::Deframer;

use crate::{Code, Fault, limits};
use frame::FrameWriter;
use heartbeat::Heartbeat;
use memory::Accounts;
pub use memory::{Memory, SharedMemory};
pub use output::{Gather, Output};
use pack::Unpacker;
pub use pack::{Block, Packed, Packer};
use pilot::Pilot;
pub use pilot::Wait;
pub use pipeline::{Compression, ZSTD_LEVELS};
use quota::{Admission, Opening};
pub use recv::Read;
use recv::RecvHalf;
use send::SendHalf;
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
    /// The peer has answered the ping with this number, and all before it ([`Mux::ping`]).
    Pong(u64),
    /// The peer takes no new operations; those under way go on, unless the code says that the link has failed.
    GoAway(Code, String),
}

/// What an end of a link may set for itself. The default is [`limits`]' own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// An end that has sent nothing for so long sends a ping.
    pub heartbeat: Duration,
    /// A link on which nothing has arrived for so long is lost. Longer than the peer's heartbeat.
    pub silence: Duration,
    /// What the link may hold in memory.
    pub memory: Memory,
}

impl Default for Config {
    fn default() -> Config {
        Config { heartbeat: limits::HEARTBEAT, silence: limits::SILENCE, memory: Memory::default() }
    }
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
    heartbeat: Heartbeat,
    memory: Accounts,
    go_away: GoAway,
    peer_left: Option<Code>,
    pilot: Pilot,
    /// To be compressed.
    blocks: VecDeque<Block>,
    /// Blocks that were given out to be compressed.
    packing: usize,
    unpacker: Unpacker,
}

/// Our own go-away.
enum GoAway {
    None,
    Due(Code, String),
    Sent,
}

impl Mux {
    /// A new link with the default settings, on which nothing has been sent or received.
    pub fn new(role: Role, now: Instant) -> Mux {
        Mux::with_config(role, now, &Config::default())
    }

    /// A new link, on which nothing has been sent or received.
    pub fn with_config(role: Role, now: Instant, config: &Config) -> Mux {
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
            heartbeat: Heartbeat::new(now, config),
            memory: Accounts::new(&config.memory),
            go_away: GoAway::None,
            peer_left: None,
            pilot: Pilot::new(now),
            blocks: VecDeque::new(),
            packing: 0,
            unpacker: Unpacker::default(),
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
                // No event will ever come: all numbers of streams are used.
                self.peer_left.get_or_insert(Code::LimitExceeded);
            }
            return None;
        };
        let id = StreamId::new(self.role, direction, ordinal);
        self.streams.insert(id, Stream::new(id, self.role));
        Some(id)
    }

    /// Why this end opens no more operations: the code of the peer's go-away, or [`Code::LimitExceeded`] once the link has used all
    /// stream numbers. `None` while it may open them.
    pub fn peer_left(&self) -> Option<Code> {
        self.peer_left
    }

    /// Takes no new operations (bidirectional streams) from now on and sends the peer the reason. Open ones go on, with whatever
    /// unidirectional streams they need.
    pub fn go_away(&mut self, code: Code, reason: &str) {
        if matches!(self.go_away, GoAway::None) {
            self.prepare_go_away(code, reason);
        }
    }

    fn prepare_go_away(&mut self, code: Code, reason: &str) {
        let mut reason = reason.to_owned();
        while reason.len() > limits::GO_AWAY_REASON {
            reason.pop();
        }
        self.go_away = GoAway::Due(code, reason);
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
        let rest = send.write(data, &mut self.memory.unsent)?;
        self.schedule(id);
        Ok(rest)
    }

    /// Keeps less of a stream on its way than speed asks for, at this end: its window grows no further than
    /// [`limits::NARROW_WINDOW`], and a writer has to wait once [`limits::SEND_RESERVE`] bytes are queued. For a stream that a
    /// person looks at, who waits for all that is on its way when they interrupt the program.
    pub fn narrow(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.send.iter_mut().for_each(SendHalf::narrow);
            stream.recv.iter_mut().for_each(RecvHalf::narrow);
        }
    }

    /// Lets much be on its way to this end at once: the writer gets credit for half of [`limits::MAX_WINDOW`] as soon as it can be
    /// sent, if the link's memory allows it. Otherwise, a stream's credit takes a turn for each time that it doubles.
    pub fn widen(&mut self, id: StreamId) {
        if let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) {
            recv.widen(&mut self.memory);
            self.schedule(id);
        }
    }

    /// Ends this direction of a stream, after what was written.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.finish();
            self.schedule(id);
        }
    }

    /// Resets this direction of a stream: what was written and not yet sent is dropped, and the reader is sent a reset.
    pub fn reset(&mut self, id: StreamId, code: Code) {
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.reset(code, &mut self.memory.unsent);
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
        let read = recv.read(max, &mut self.memory);
        if recv.owes_credit() {
            self.schedule(id);
        }
        self.retire(id);
        read
    }

    /// Stops reading a stream: what arrived is dropped, and the writer is sent a stop.
    pub fn stop(&mut self, id: StreamId, code: Code) {
        if let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) {
            recv.stop(code, &mut self.memory);
            self.schedule(id);
            self.retire(id);
        }
    }

    /// Reads no more of a stream whose writer is about to end it anyway: what arrives is dropped, and the writer is not
    /// told.
    pub fn ignore(&mut self, id: StreamId) {
        if let Some(recv) = self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()) {
            recv.ignore(&mut self.memory);
            self.retire(id);
        }
    }

    /// Counts `wanted` bytes in place of `held` that a reader has taken from a control stream and keeps: a message that is
    /// not yet whole, or an operation's request. Returns whether there was room; if not, nothing changed, and the caller
    /// [refuses](Mux::refuse) the stream.
    pub fn hold(&mut self, held: &mut u64, wanted: u64) -> bool {
        self.memory.unread.adjust(held, wanted)
    }

    /// Ends a stream in both directions since there is no room for it: the peer and this end's reader see
    /// [`Code::Busy`].
    pub fn refuse(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(recv) = stream.recv.as_mut() {
            recv.refuse(Code::Busy, &mut self.memory);
            self.events.push_back(Event::Readable(id));
        }
        if let Some(send) = stream.send.as_mut()
            && send.reset(Code::Busy, &mut self.memory.unsent)
        {
            self.events.push_back(Event::Writable(id));
        }
        self.schedule(id);
    }

    /// The peer takes compressed blocks: it has said so in its hello or welcome. Until then every stream is sent plain. The caller
    /// compresses up to `threads` blocks at once.
    pub fn allow_compression(&mut self, threads: usize) {
        self.pilot.allow(threads);
    }

    /// Compresses what is written to a stream from now on, where the peer takes that. It is for the caller to know that
    /// no other person chooses a part of the bytes: the lengths of compressed blocks tell something about their content.
    pub fn compress(&mut self, id: StreamId, compression: Compression) {
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.compress(compression);
        }
    }

    /// The next block to be compressed. The stream that it belongs to goes on with [`Mux::packed`].
    pub fn poll_block(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        self.packing += 1;
        Some(block)
    }

    /// Whether blocks are being compressed, or are to be.
    pub fn has_blocks(&self) -> bool {
        self.packing > 0 || !self.blocks.is_empty()
    }

    /// Whether there is nothing to send, since a stream's blocks are all still being compressed.
    pub fn is_packing(&self) -> bool {
        self.packing > 0
            && !self.has_output()
            && self.streams.values().filter_map(|stream| stream.send.as_ref()).any(SendHalf::is_behind)
    }

    /// Whether the writer of a stream waits for room that only more credit makes.
    pub fn lacks_credit(&self, id: StreamId) -> bool {
        self.streams.get(&id).and_then(|stream| stream.send.as_ref()).is_some_and(SendHalf::lacks_credit)
    }

    /// The link waited so long: `auto` learns from it.
    pub fn waited(&mut self, wait: Wait, time: Duration) {
        self.pilot.waited(wait, time);
    }

    /// Takes a block back from compression.
    pub fn packed(&mut self, packed: Packed) {
        self.packing = self.packing.saturating_sub(1);
        self.pilot.packed(&packed);
        let id = packed.stream;
        if let Some(send) = self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()) {
            send.packed(packed);
            self.schedule(id);
        }
    }

    /// What this link holds in memory, by account: unread, windows, unsent.
    pub fn memory_taken(&self) -> [u64; 3] {
        self.memory.taken()
    }
}
