//! The messages of a capture, each with the packets that it came in.
//!
//! A message may span packets, and packets may hold several: what one `recv` gives is neither. [`Dissector`] takes the events
//! of [`capture::follow`](crate::capture::follow) and gives messages.

use std::collections::VecDeque;

use unglue_frame::{DecodeError, Deframer, Frame, Framing};

use crate::capture::Event;

/// The packets of an unfinished message that are told one by one.
const PACKETS: usize = 4096;

/// Bytes of unfinished messages, of all streams together.
const HELD: u64 = 256 << 20;

/// A message with where it came from.
#[derive(Debug)]
pub struct Message<'a> {
    /// The stream: an index into [`Streams::flows`](crate::capture::Streams::flows).
    pub stream: usize,
    /// Where it begins in its stream.
    pub offset: u64,
    /// When its last packet came, in nanoseconds since 1970.
    pub time: u64,
    /// The packets that it came in.
    pub packets: Vec<u64>,
    /// One of them holds bytes of another message too.
    pub shares: bool,
    /// It was found behind a gap, or behind a start that the capture lacks, by trying where packets begin.
    pub resumed: bool,
    /// The message.
    pub frame: Frame<'a>,
}

/// What is told.
#[derive(Debug)]
pub enum Told<'a> {
    /// A message.
    Message(Message<'a>),
    /// Bytes of this stream, from this offset on, are missing.
    Lost {
        /// The stream.
        stream: usize,
        /// Where they should stand.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// From here on the stream's bytes are no frames.
    Broken {
        /// The stream.
        stream: usize,
        /// What is wrong, with its offset in the stream.
        error: DecodeError,
    },
    /// Unfinished messages of all streams together are more than 256 MiB: this one is no longer waited for.
    Dropped {
        /// The stream.
        stream: usize,
        /// Where the message begins.
        offset: u64,
        /// The bytes of it that came.
        bytes: u64,
    },
    /// The capture ended inside a message.
    Unfinished {
        /// The stream.
        stream: usize,
        /// What is missing, with its offset in the stream.
        error: DecodeError,
    },
}

/// Takes the bytes of all streams in, and gives their messages.
pub struct Dissector {
    framing: Framing,
    streams: Vec<Stream>,
    /// Bytes of unfinished messages.
    held: u64,
}

struct Stream {
    deframer: Option<Deframer>,
    /// The stream's offset where the deframer began, and where it stands.
    base: u64,
    offset: u64,
    /// Packets with bytes of the message that has begun: number, and where its bytes begin and end.
    packets: VecDeque<(u64, u64, u64)>,
    /// Behind a gap no message has been found yet.
    searching: bool,
    resumed: bool,
}

impl Dissector {
    /// Streams of this framing.
    pub fn new(framing: Framing) -> Dissector {
        Dissector { framing, streams: Vec::new(), held: 0 }
    }

    /// Takes an event of a capture in. `whole` says that the stream's first byte is the first that its sender sent.
    pub fn take(&mut self, event: Event<'_>, whole: bool, tell: &mut impl FnMut(Told<'_>)) {
        let index = match event {
            Event::Data { stream, .. } | Event::Lost { stream, .. } => stream,
        };
        while self.streams.len() <= index {
            self.streams.push(Stream::new(&self.framing));
        }
        let stream = &mut self.streams[index];
        self.held -= stream.held();
        match event {
            Event::Lost { bytes, .. } => {
                tell(Told::Lost { stream: index, offset: stream.offset, bytes });
                stream.offset += bytes;
                stream.packets.clear();
                stream.restart(&self.framing);
            }
            Event::Data { packet, time, bytes, .. } => {
                if stream.offset == 0 && !whole {
                    stream.searching = true;
                    stream.resumed = true;
                }
                stream.data(&self.framing, index, (packet, time), bytes, tell);
            }
        }
        if self.held + stream.held() > HELD {
            let bytes = stream.held();
            tell(Told::Dropped { stream: index, offset: stream.offset - bytes, bytes });
            stream.deframer = None;
        }
        self.held += stream.held();
    }

    /// The capture's end.
    pub fn finish(&mut self, tell: &mut impl FnMut(Told<'_>)) {
        for (index, stream) in self.streams.iter().enumerate() {
            let Some(deframer) = stream.deframer.as_ref().filter(|_| !stream.searching) else { continue };
            if let Err(mut error) = deframer.finish() {
                error.offset += stream.base;
                tell(Told::Unfinished { stream: index, error });
            }
        }
    }
}

impl Stream {
    fn new(framing: &Framing) -> Stream {
        let deframer = Some(Deframer::new(framing.clone()));
        Stream { deframer, base: 0, offset: 0, packets: VecDeque::new(), searching: false, resumed: false }
    }

    /// The bytes of an unfinished message.
    fn held(&self) -> u64 {
        let at = self.deframer.as_ref().map_or(self.offset, |deframer| self.base + deframer.offset());
        self.offset.saturating_sub(at)
    }

    /// Begins anew at the next packet.
    fn restart(&mut self, framing: &Framing) {
        self.deframer = Some(Deframer::new(framing.clone()));
        self.base = self.offset;
        self.searching = true;
        self.resumed = true;
        self.packets.clear();
    }

    fn data(
        &mut self,
        framing: &Framing,
        index: usize,
        (packet, time): (u64, u64),
        bytes: &[u8],
        tell: &mut impl FnMut(Told<'_>),
    ) {
        let begin = self.offset;
        self.offset += bytes.len() as u64;
        if self.deframer.is_none() {
            return;
        }
        self.hold(packet, begin, self.offset);
        match self.frames(index, time, bytes, tell) {
            Ok(()) => {}
            // It was no start of a message: perhaps the next packet's is.
            Err(_) if self.searching => self.restart(framing),
            Err(mut error) => {
                error.offset += self.base;
                self.deframer = None;
                tell(Told::Broken { stream: index, error });
            }
        }
    }

    fn hold(&mut self, packet: u64, begin: u64, end: u64) {
        let full = self.packets.len() >= PACKETS;
        match self.packets.back_mut() {
            Some(last) if last.0 == packet || full => last.2 = end,
            _ => self.packets.push_back((packet, begin, end)),
        }
    }

    fn frames(
        &mut self,
        index: usize,
        time: u64,
        bytes: &[u8],
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), DecodeError> {
        let Some(deframer) = &mut self.deframer else { return Ok(()) };
        let mut input = bytes;
        for frame in deframer.frames(&mut input) {
            let frame = frame?;
            let offset = self.base + frame.offset();
            let end = offset + frame.raw().len() as u64;
            while self.packets.front().is_some_and(|(.., last)| *last <= offset) && self.packets.len() > 1 {
                self.packets.pop_front();
            }
            let touched = || self.packets.iter().filter(|(_, begin, last)| *begin < end && *last > offset);
            let shares = touched().any(|(_, begin, last)| *begin < offset || *last > end);
            let packets = touched().map(|(packet, ..)| *packet).collect();
            let resumed = self.resumed && self.searching;
            self.searching = false;
            tell(Told::Message(Message { stream: index, offset, time, packets, shares, resumed, frame }));
        }
        Ok(())
    }
}
