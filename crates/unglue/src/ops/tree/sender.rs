//! The end that has the files.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use unglue_host::store::Store;
use unglue_host::store::tree::{Ended, Produced, TreeEvent, TreeSource};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::Fault;
use unglue_proto::message::transfer::Have;
use unglue_proto::message::tree::Summary;
use unglue_proto::tree::Record;

use super::large::{self, Outgoing};
use super::machine::Machine;
use super::{Broken, Pace, TreeListener, TreeUpdate, write_front};

/// Bytes that are read from the answers at once.
const READ: usize = 64 * 1024;
/// Answers that wait to be looked at; more stay in the stream.
const WAITING: usize = 1024 * 1024;
/// Once so many bytes of answers have come, more follow: sums of old files.
const MANY: usize = 32 * 1024;
/// Pieces that wait to be sent.
const PIECES: usize = 2;
/// As many large files are sent at once; others wait for what the receiver has of them.
const AT_ONCE: usize = 2;

/// The receiver's answers: their stream may still have to be named by the receiver, while records are sent already.
pub(super) enum Answers<'a> {
    /// The receiver has not named it.
    Coming(Pin<Box<dyn Future<Output = Result<RecvStream, Fault>> + Send + 'a>>),
    /// The stream.
    Here(RecvStream),
}

impl Answers<'_> {
    /// The next bytes. Cancelling it loses nothing.
    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self {
                Answers::Here(stream) => return Ok(stream.read(READ).await?),
                Answers::Coming(named) => *self = Answers::Here(named.as_mut().await?),
            }
        }
    }
}

/// A transfer under way.
struct Sending<'a> {
    link: &'a Link,
    store: &'a Store,
    source: Machine<TreeSource, Result<Produced, Fault>>,
    flow: SendStream,
    answers: Answers<'a>,
    pace: &'a Pace,
    /// Whether the user is at the other end.
    announce: bool,
    listener: TreeListener<'a>,
    /// Records that wait to be sent.
    pieces: VecDeque<Bytes>,
    /// Answers that wait to be looked at.
    waiting: Vec<u8>,
    /// Bytes of answers that have come, up to [`MANY`].
    came: usize,
    /// Whether asking the source again can bring something.
    stirred: bool,
    finished: bool,
    beside: JoinSet<(u64, Result<Option<Ended>, Fault>)>,
    /// Where large files wait for what the receiver has of them; `None` for those that have ended.
    haves: HashMap<u64, Option<mpsc::Sender<Have>>>,
    /// Permits to send a large file.
    turns: Arc<Semaphore>,
    moved: (mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>),
}

/// Sends a tree, and waits until the receiver has it.
///
/// # Errors
/// It broke off.
pub(super) async fn send(
    link: &Link,
    store: &Store,
    source: TreeSource,
    (flow, answers, pace): (SendStream, Answers<'_>, &Pace),
    announce: bool,
    listener: TreeListener<'_>,
) -> Result<Summary, Broken> {
    let sending = Sending {
        link,
        store,
        source: Machine::new(store, source),
        flow,
        answers,
        pace,
        announce,
        listener,
        pieces: VecDeque::new(),
        waiting: Vec::new(),
        came: 0,
        stirred: true,
        finished: false,
        beside: JoinSet::new(),
        haves: HashMap::new(),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
        moved: mpsc::unbounded_channel(),
    };
    sending.run().await
}

impl Sending<'_> {
    async fn run(mut self) -> Result<Summary, Broken> {
        loop {
            if self.stirred && self.pieces.len() < PIECES && self.source.is_here() {
                self.stirred = false;
                let answers = std::mem::take(&mut self.waiting);
                self.source.start(move |source| source.answer(&answers).map(|()| source.produce()));
            }
            if self.finished && self.pieces.is_empty() && self.beside.is_empty() && self.source.is_here() {
                break;
            }
            tokio::select! {
                produced = self.source.worked(), if !self.source.is_here() => self.produced(produced??).await?,
                written = write_front(&mut self.flow, &mut self.pieces, self.pace), if !self.pieces.is_empty() => written?,
                read = self.answers.read(), if self.waiting.len() < WAITING => {
                    let Some(bytes) = read? else {
                        let what = "the receiver ended its answers before everything was sent";
                        return Err(Fault::peer(unglue_proto::Code::BadMessage, what).into());
                    };
                    self.waiting.extend_from_slice(&bytes);
                    self.count(bytes.len());
                    self.stirred = true;
                }
                Some(ended) = self.beside.join_next(), if !self.beside.is_empty() && self.source.is_here() => {
                    let (entry, ended) = ended.map_err(|error| Fault::us(format!("a file was not sent: {error}")))?;
                    let ended = ended?;
                    if let Some(have) = self.haves.get_mut(&entry) {
                        *have = None;
                    }
                    if let Some(source) = self.source.here() {
                        source.beside_ended(entry, ended);
                    }
                    self.stirred = true;
                }
            }
            self.report();
            self.pass_haves()?;
        }
        self.conclude().await
    }

    /// Many answers come without a turn for each doubling of the credit.
    fn count(&mut self, bytes: usize) {
        if self.came < MANY {
            self.came += bytes;
            if self.came >= MANY
                && let Answers::Here(stream) = &self.answers
            {
                stream.widen();
            }
        }
    }

    async fn produced(&mut self, produced: Produced) -> Result<(), Broken> {
        match produced {
            Produced::Piece(piece) => {
                self.pieces.push_back(piece);
                self.stirred = true;
            }
            Produced::Beside(entry, content) => {
                let stream = self.open_stream().await?;
                self.announce(&Record::Beside { entry, stream: stream.number() });
                let sent = large::send(self.outgoing(), stream, (entry, content));
                self.beside.spawn(async move { (entry, Ok(sent.await)) });
            }
            Produced::Large(entry, content) => {
                let (stream, parts) = (self.open_stream().await?, self.open_stream().await?);
                self.announce(&Record::Large { entry, stream: stream.number(), parts: parts.number() });
                // One before the parts, and one after them.
                let (tell, haves) = mpsc::channel(2);
                self.haves.insert(entry, Some(tell));
                let link = self.link.clone();
                let sent = large::send_parts(self.outgoing(), link, (stream, parts), (entry, content), haves);
                self.beside.spawn(async move { (entry, sent.await) });
            }
            Produced::Waiting => {}
            Produced::Finished => self.finished = true,
        }
        Ok(())
    }

    async fn open_stream(&mut self) -> Result<SendStream, Broken> {
        let mut stream = self.link.open_unidirectional().await?;
        stream.compress(self.flow.compression());
        Ok(stream)
    }

    fn announce(&mut self, record: &Record<'_>) {
        let mut piece = Vec::new();
        record.encode(&mut piece);
        self.pieces.push_back(piece.into());
        self.stirred = true;
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing {
            store: self.store.clone(),
            pace: self.pace.clone(),
            moved: self.moved.0.clone(),
            turns: self.turns.clone(),
        }
    }

    /// Passes on what the receiver has of large files.
    fn pass_haves(&mut self) -> Result<(), Fault> {
        let haves = self.source.here().map(TreeSource::haves).unwrap_or_default();
        for (entry, have) in haves {
            let asked = match self.haves.get(&entry) {
                // It ended while this was on its way.
                Some(None) => true,
                Some(Some(tell)) => !matches!(tell.try_send(have), Err(mpsc::error::TrySendError::Full(_))),
                None => false,
            };
            if !asked {
                let what = format!("the receiver has something of entry {entry}, of which it was not asked");
                return Err(Fault::peer(unglue_proto::Code::BadMessage, what));
            }
        }
        Ok(())
    }

    /// Tells the user what happened, or the other end, if the user is there.
    fn report(&mut self) {
        let Some(source) = self.source.here() else { return };
        while let Ok(bytes) = self.moved.1.try_recv() {
            source.beside_moved(bytes);
        }
        for event in source.events() {
            match event {
                TreeEvent::Problem(fault) if self.announce => {
                    let json = serde_json::to_vec(&fault).unwrap_or_default();
                    let mut record = Vec::new();
                    Record::Problem { fault: &json }.encode(&mut record);
                    self.pieces.push_back(record.into());
                }
                _ if self.announce => {}
                event => (self.listener)(TreeUpdate::Event(event)),
            }
        }
        if !self.announce {
            (self.listener)(TreeUpdate::Moving(source.moving()));
        }
    }

    /// Everything is sent: waits for the last answers.
    async fn conclude(mut self) -> Result<Summary, Broken> {
        self.report();
        while !self.pieces.is_empty() {
            write_front(&mut self.flow, &mut self.pieces, self.pace).await?;
        }
        self.flow.finish();
        let mut source = self.source.into_inner()?;
        source.answer(&std::mem::take(&mut self.waiting))?;
        while let Some(bytes) = self.answers.read().await? {
            source.answer(&bytes)?;
            if !self.announce {
                source.events().into_iter().for_each(|event| (self.listener)(TreeUpdate::Event(event)));
            }
        }
        Ok(source.summary()?)
    }
}
