//! What one user does with an end, and what became of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use unglue_proto::Code;
use unglue_proto::mux::{Direction, Event, Mux, Read, Role, StreamId};
use unglue_testkit::Prng;

/// A user: tasks that open, write and read, each of which acts or waits for an event.
pub(super) struct User {
    pub(super) mux: Mux,
    pub(super) role: Role,
    openers: [Opener; 2],
    writers: BTreeMap<StreamId, Writer>,
    readers: BTreeMap<StreamId, Reader>,
}

/// How many streams are still to be opened.
struct Opener {
    left: usize,
    waits: bool,
}

struct Writer {
    total: u64,
    written: u64,
    /// The most bytes in one write.
    piece: usize,
    /// The code to reset with when all is written, rather than to finish.
    reset: Option<Code>,
    waits: bool,
    end: Option<WriteEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteEnd {
    Finished,
    Reset(Code),
    Stopped(Code),
}

struct Reader {
    read: u64,
    /// The most bytes in one read.
    piece: usize,
    /// The count at which it has enough.
    enough: Option<u64>,
    /// Reads nothing until it is woken.
    asleep: bool,
    waits: bool,
    end: Option<ReadEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadEnd {
    Finished,
    Reset(Code),
    Stopped,
}

const ENOUGH: Code = Code::NotAllowed;
const DIRECTIONS: [Direction; 2] = [Direction::Bidirectional, Direction::Unidirectional];

/// What is written on every stream, over and over, from a place that depends on the stream.
static CONTENT: LazyLock<Bytes> = LazyLock::new(|| Prng::new(99).bytes(1 << 16).repeat(2).into());

fn content(stream: StreamId, writer: Role, offset: u64, len: usize) -> Bytes {
    let place = (offset + stream.0 * 977 + (writer == Role::Server) as u64 * 31) % (1 << 16);
    CONTENT.slice(place as usize..place as usize + len.min(1 << 16))
}

impl User {
    pub(super) fn new(mux: Mux, role: Role, random: &mut Prng) -> User {
        let openers = DIRECTIONS.map(|_| Opener { left: random.below(6), waits: false });
        User { mux, role, openers, writers: BTreeMap::new(), readers: BTreeMap::new() }
    }

    /// One task that may act does so. `false` if all wait.
    pub(super) fn act(&mut self, random: &mut Prng) -> bool {
        let may_open = DIRECTIONS.into_iter().find(|direction| self.openers[*direction as usize].may_act());
        let writers: Vec<_> = self.writers.iter().filter(|(_, writer)| writer.may_act()).map(|(id, _)| *id).collect();
        let readers: Vec<_> = self.readers.iter().filter(|(_, reader)| reader.may_act()).map(|(id, _)| *id).collect();
        let acts = writers.len() + readers.len();
        match may_open {
            Some(direction) if acts == 0 || random.chance(acts) => self.open(direction, random),
            None if acts == 0 => return false,
            _ => match random.below(acts) {
                n if n < writers.len() => self.write(writers[n], random),
                n => self.read_some(readers[n - writers.len()], random),
            },
        }
        self.take_events(random);
        true
    }

    fn open(&mut self, direction: Direction, random: &mut Prng) {
        let opener = &mut self.openers[direction as usize];
        let Some(id) = self.mux.open(direction) else {
            opener.waits = true;
            return;
        };
        opener.left -= 1;
        self.adopt(id, random);
    }

    /// Starts the tasks of a stream.
    fn adopt(&mut self, id: StreamId, random: &mut Prng) {
        let both = id.direction() == Direction::Bidirectional;
        let ours = id.initiator() == self.role;
        if both || ours {
            self.writers.insert(id, Writer::new(random));
        }
        if both || !ours {
            self.readers.insert(id, Reader::new(random));
        }
    }

    fn write(&mut self, id: StreamId, random: &mut Prng) {
        let Some(writer) = self.writers.get_mut(&id) else { return };
        if writer.written == writer.total {
            match writer.reset {
                Some(code) => self.mux.reset(id, code),
                None => self.mux.finish(id),
            }
            writer.end = Some(writer.reset.map_or(WriteEnd::Finished, WriteEnd::Reset));
            return;
        }
        let left = usize::try_from(writer.total - writer.written).expect("small");
        let data = content(id, self.role, writer.written, random.log_uniform(1, writer.piece.min(left)));
        let len = data.len();
        match self.mux.write(id, data) {
            Ok(rest) => {
                writer.written += (len - rest.len()) as u64;
                writer.waits = !rest.is_empty();
            }
            Err(code) => writer.end = Some(WriteEnd::Stopped(code)),
        }
    }

    fn read_some(&mut self, id: StreamId, random: &mut Prng) {
        let Some(reader) = self.readers.get_mut(&id) else { return };
        if reader.enough.is_some_and(|enough| reader.read >= enough) {
            self.mux.stop(id, ENOUGH);
            reader.end = Some(ReadEnd::Stopped);
            return;
        }
        match self.mux.read(id, random.log_uniform(1, reader.piece)) {
            Read::Data(data) => {
                assert!(!data.is_empty());
                let want = content(id, self.role.peer(), reader.read, data.len());
                assert!(data == want, "{id}: {} bytes from {} on are not what was written", data.len(), reader.read);
                reader.read += data.len() as u64;
            }
            Read::Blocked => reader.waits = true,
            Read::Finished => reader.end = Some(ReadEnd::Finished),
            Read::Reset(code) => reader.end = Some(ReadEnd::Reset(code)),
        }
    }

    /// Wakes whoever an event is for.
    pub(super) fn take_events(&mut self, random: &mut Prng) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => self.adopt(id, random),
                Event::Readable(id) => self.readers.get_mut(&id).expect("a reader").waits = false,
                Event::Writable(id) => self.writers.get_mut(&id).expect("a writer").waits = false,
                Event::Openable(direction) => self.openers[direction as usize].waits = false,
                Event::GoAway(..) | Event::Pong(_) => panic!("nobody goes away or pings"),
            }
        }
    }

    pub(super) fn wake_sleepers(&mut self) {
        self.readers.values_mut().for_each(|reader| reader.asleep = false);
    }

    /// How much was taken of each writer that has not ended.
    pub(super) fn written(&self) -> impl Iterator<Item = (StreamId, u64)> {
        self.writers.iter().filter(|(_, writer)| writer.end.is_none()).map(|(id, writer)| (*id, writer.written))
    }

    /// How much each reader that has not ended was given.
    pub(super) fn read(&self) -> impl Iterator<Item = (StreamId, u64)> {
        self.readers.iter().filter(|(_, reader)| reader.end.is_none()).map(|(id, reader)| (*id, reader.read))
    }

    /// Whoever waits for no sleeper has come to an end.
    pub(super) fn assert_only_the_unread_are_left(&self) {
        assert!(self.openers.iter().all(|opener| opener.left == 0), "{:?}: streams were not opened", self.role);
        for (id, reader) in &self.readers {
            let ended = reader.end.is_some() || reader.asleep;
            assert!(ended, "{:?} waits for ever to read {id} after {} bytes", self.role, reader.read);
        }
    }

    /// Compares what this user wrote with what the other one read.
    pub(super) fn assert_ended_as(&self, other: &User) {
        for (id, writer) in &self.writers {
            let reader = &other.readers[id];
            let at = format!("{id} from {:?}: {} bytes of {}", self.role, reader.read, writer.written);
            match (writer.end, reader.end) {
                (None, _) => panic!("{at}: the writer waits for ever"),
                (_, None) => panic!("{at}: the reader waits for ever"),
                (Some(WriteEnd::Finished), Some(ReadEnd::Finished)) => assert_eq!(reader.read, writer.total, "{at}"),
                (Some(WriteEnd::Reset(code)), Some(ReadEnd::Reset(seen))) => assert_eq!(code, seen, "{at}"),
                // Once the stop has been answered, the stream is forgotten, and its code too.
                (Some(WriteEnd::Stopped(code)), Some(ReadEnd::Stopped)) => {
                    assert!(code == ENOUGH || code == Code::Cancelled, "{at}: {code:?}");
                }
                (Some(WriteEnd::Finished | WriteEnd::Reset(_)), Some(ReadEnd::Stopped)) => {}
                (written, read) => panic!("{at}: {written:?} became {read:?}"),
            }
        }
        assert_eq!(self.writers.len(), other.readers.len());
    }
}

impl Opener {
    fn may_act(&self) -> bool {
        self.left > 0 && !self.waits
    }
}

impl Writer {
    fn new(random: &mut Prng) -> Writer {
        Writer {
            total: random.log_uniform(0, 400_000) as u64,
            written: 0,
            piece: random.log_uniform(1, 1 << 16),
            reset: random.chance(6).then_some(Code::SourceChanged),
            waits: false,
            end: None,
        }
        .with_few_pieces()
    }

    /// Long streams in tiny pieces take long, and show nothing that short ones don't.
    fn with_few_pieces(mut self) -> Writer {
        self.total = self.total.min(self.piece as u64 * 100);
        self
    }

    fn may_act(&self) -> bool {
        self.end.is_none() && !self.waits
    }
}

impl Reader {
    fn new(random: &mut Prng) -> Reader {
        Reader {
            read: 0,
            piece: random.log_uniform(1000, 1 << 16),
            enough: random.chance(6).then(|| random.log_uniform(0, 100_000) as u64),
            asleep: random.chance(8),
            waits: false,
            end: None,
        }
    }

    fn may_act(&self) -> bool {
        self.end.is_none() && !self.waits && !self.asleep
    }
}
