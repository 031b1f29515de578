//! Segments put in order: each direction of each connection is a stream.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::Segment;

/// Bytes of a stream that wait for earlier ones.
const WAITING: usize = 1 << 20;
/// The same for all streams together.
const WAITING_IN_ALL: usize = 32 << 20;
/// Streams that are followed at a time.
const STREAMS: usize = 65_536;

/// Streams that are followed in all.
const STREAMS_IN_ALL: usize = 131_072;

/// One direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who sends.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// The capture has it from its first byte on.
    pub whole: bool,
    /// The sender opened the connection, as far as the capture shows.
    pub client: bool,
}

/// What a segment brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of a stream.
    Data {
        /// Which stream: an index into [`Streams::flows`].
        stream: usize,
        /// The packet that they came in.
        packet: u64,
        /// When, in nanoseconds since 1970.
        time: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes of a stream that the capture doesn't have.
    Lost {
        /// Which stream.
        stream: usize,
        /// How many.
        bytes: u64,
    },
}

/// What was seen besides the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments with bytes that had been seen before.
    pub repeated: u64,
    /// Segments that came before earlier ones.
    pub early: u64,
    /// Bytes that are missing.
    pub lost: u64,
    /// Segments of connections that were too many to follow.
    pub untracked: u64,
}

/// The streams of a capture, as far as it was read.
#[derive(Default)]
pub struct Streams {
    flows: Vec<Flow>,
    open: HashMap<(SocketAddr, SocketAddr), Direction>,
    waiting: usize,
    tally: Tally,
}

struct Direction {
    stream: usize,
    /// The sequence number of the next byte, and its offset in the stream.
    next: u32,
    offset: u64,
    /// Bytes behind a gap, by their offset.
    waiting: BTreeMap<u64, (u64, u64, Vec<u8>)>,
    held: usize,
    ended: bool,
}

impl Streams {
    /// No streams yet.
    pub fn new() -> Streams {
        Streams::default()
    }

    /// The streams found so far, in the order of their first segments.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// What was seen besides the bytes.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes the segment of a packet in, and gives what it brought.
    pub fn take(&mut self, packet: u64, time: u64, segment: &Segment<'_>, give: &mut impl FnMut(Event<'_>)) {
        self.acknowledged(segment, give);
        let key = (segment.from, segment.to);
        let again = segment.syn && self.open.get(&key).is_some_and(|direction| direction.begins_anew(segment));
        if again {
            self.close(key, give);
        }
        if !self.open.contains_key(&key) && (segment.syn || segment.size > 0) && !self.begin(segment) {
            self.tally.untracked += 1;
            return;
        }
        let Some(direction) = self.open.get_mut(&key) else { return };
        if segment.size > 0 {
            let from = segment.seq.wrapping_add(u32::from(segment.syn));
            let held = direction.held;
            direction.put(packet, time, from, segment, &mut self.tally, give);
            self.waiting = self.waiting + direction.held - held;
            if direction.held > WAITING || self.waiting > WAITING_IN_ALL {
                self.waiting -= direction.held;
                direction.give_up(u64::MAX, &mut self.tally, give);
                self.waiting += direction.held;
            }
        }
        direction.ended |= segment.fin || segment.rst;
    }

    /// The capture's end: what waits for bytes that will not come.
    pub fn finish(&mut self, give: &mut impl FnMut(Event<'_>)) {
        let mut keys: Vec<_> = self.open.iter().map(|(key, direction)| (direction.stream, *key)).collect();
        keys.sort_unstable();
        keys.into_iter().for_each(|(_, key)| self.close(key, give));
    }

    fn begin(&mut self, segment: &Segment<'_>) -> bool {
        if self.open.len() >= STREAMS {
            self.open.retain(|_, direction| !direction.ended || direction.held > 0);
        }
        if self.open.len() >= STREAMS || self.flows.len() >= STREAMS_IN_ALL {
            return false;
        }
        let (stream, next) = (self.flows.len(), segment.seq.wrapping_add(u32::from(segment.syn)));
        let opener = segment.syn && segment.ack.is_none();
        let answers = self.open.get(&(segment.to, segment.from)).is_some_and(|other| self.flows[other.stream].client);
        let client = opener || (!segment.syn && !answers && segment.from.port() > segment.to.port());
        self.flows.push(Flow { from: segment.from, to: segment.to, whole: segment.syn, client });
        let direction = Direction { stream, next, offset: 0, waiting: BTreeMap::new(), held: 0, ended: false };
        self.open.insert((segment.from, segment.to), direction);
        true
    }

    fn close(&mut self, key: (SocketAddr, SocketAddr), give: &mut impl FnMut(Event<'_>)) {
        if let Some(mut direction) = self.open.remove(&key) {
            self.waiting -= direction.held;
            while direction.held > 0 {
                direction.give_up(u64::MAX, &mut self.tally, give);
            }
        }
    }

    /// What the receiver has, the capture lacks if it hasn't come yet.
    fn acknowledged(&mut self, segment: &Segment<'_>, give: &mut impl FnMut(Event<'_>)) {
        let Some(ack) = segment.ack else { return };
        let Some(other) = self.open.get_mut(&(segment.to, segment.from)) else { return };
        if other.held > 0 {
            let up_to = other.place(ack);
            self.waiting -= other.held;
            other.give_up(up_to.unwrap_or(0), &mut self.tally, give);
            self.waiting += other.held;
        }
    }
}

impl Direction {
    /// Where a sequence number stands in the stream; `None` before its start.
    fn place(&self, seq: u32) -> Option<u64> {
        self.offset.checked_add_signed(i64::from(seq.wrapping_sub(self.next) as i32))
    }

    /// Whether a SYN is of another connection between the same ports.
    fn begins_anew(&self, segment: &Segment<'_>) -> bool {
        self.ended || (self.offset > 0 && self.place(segment.seq.wrapping_add(1)) != Some(0))
    }

    fn put(
        &mut self,
        packet: u64,
        time: u64,
        from: u32,
        segment: &Segment<'_>,
        tally: &mut Tally,
        give: &mut impl FnMut(Event<'_>),
    ) {
        let (place, seen) = match self.place(from) {
            Some(place) => (place, self.offset.saturating_sub(place)),
            None => (0, u64::from(self.next.wrapping_sub(from))),
        };
        let data = segment.data.get(usize::try_from(seen).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        tally.repeated += u64::from(seen > 0);
        if data.is_empty() {
            return;
        }
        if place > self.offset {
            tally.early += 1;
            if self.waiting.get(&place).is_none_or(|(.., known)| known.len() < data.len()) {
                let old = self.waiting.insert(place, (packet, time, data.to_vec()));
                self.held = self.held + data.len() - old.map_or(0, |(.., old)| old.len());
            }
            return;
        }
        self.give(packet, time, data, give);
        self.catch_up(give);
    }

    fn give(&mut self, packet: u64, time: u64, bytes: &[u8], give: &mut impl FnMut(Event<'_>)) {
        self.next = self.next.wrapping_add(bytes.len() as u32);
        self.offset += bytes.len() as u64;
        give(Event::Data { stream: self.stream, packet, time, bytes });
    }

    /// Gives what waited and now follows.
    fn catch_up(&mut self, give: &mut impl FnMut(Event<'_>)) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= self.offset) {
            let (place, (packet, time, bytes)) = entry.remove_entry();
            self.held -= bytes.len();
            if let Some(rest) = bytes.get((self.offset - place) as usize..).filter(|rest| !rest.is_empty()) {
                self.give(packet, time, rest, give);
            }
        }
    }

    /// Takes the gap before what waits for lost, if it lies before `up_to`.
    fn give_up(&mut self, up_to: u64, tally: &mut Tally, give: &mut impl FnMut(Event<'_>)) {
        let Some(first) = self.waiting.keys().next().copied().filter(|first| *first <= up_to) else { return };
        let lost = first.saturating_sub(self.offset);
        tally.lost += lost;
        self.next = self.next.wrapping_add(lost as u32);
        self.offset = self.offset.max(first);
        give(Event::Lost { stream: self.stream, bytes: lost });
        self.catch_up(give);
    }
}
