//! The end that has the files.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use unglue_host::store::Store;
use unglue_host::store::tree::{Content, Ended, Produced, TreeEvent, TreeSource};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::Fault;
use unglue_proto::message::tree::Summary;
use unglue_proto::tree::Record;

use super::machine::Machine;
use super::{Broken, Pace, TreeListener, TreeUpdate, write_front};

/// Bytes that are read from the answers at once.
const READ: usize = 64 * 1024;
/// Answers that wait to be looked at; more stay in the stream.
const WAITING: usize = 1024 * 1024;
/// Pieces that wait to be sent.
const PIECES: usize = 2;
/// Bytes of a large file that are read at once.
const PIECE: usize = 256 * 1024;

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
    /// Whether asking the source again can bring something.
    stirred: bool,
    finished: bool,
    beside: JoinSet<(u64, Option<Ended>)>,
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
        stirred: true,
        finished: false,
        beside: JoinSet::new(),
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
                    self.stirred = true;
                }
                Some(ended) = self.beside.join_next(), if !self.beside.is_empty() && self.source.is_here() => {
                    let (entry, ended) = ended.map_err(|error| Fault::us(format!("a file was not sent: {error}")))?;
                    if let Some(source) = self.source.here() {
                        source.beside_ended(entry, ended);
                    }
                    self.stirred = true;
                }
            }
            self.report();
        }
        self.conclude().await
    }

    async fn produced(&mut self, produced: Produced) -> Result<(), Broken> {
        match produced {
            Produced::Piece(piece) => {
                self.pieces.push_back(piece);
                self.stirred = true;
            }
            Produced::Beside(entry, content) => {
                let mut stream = self.link.open_unidirectional().await?;
                stream.compress(self.flow.compression());
                let mut record = Vec::new();
                Record::Beside { entry, stream: stream.number() }.encode(&mut record);
                self.pieces.push_back(record.into());
                let (store, moved, pace) = (self.store.clone(), self.moved.0.clone(), self.pace.clone());
                let sent = send_beside((store, pace), stream, entry, content, moved);
                self.beside.spawn(async move { (entry, sent.await) });
                self.stirred = true;
            }
            Produced::Waiting => {}
            Produced::Finished => self.finished = true,
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

/// Sends a large file on a stream of its own. `None`: the receiver wants no more of it, and reports why.
async fn send_beside(
    (store, pace): (Store, Pace),
    mut stream: SendStream,
    entry: u64,
    content: Box<Content>,
    moved: mpsc::UnboundedSender<u64>,
) -> Option<Ended> {
    let mut head = Vec::with_capacity(PIECE + PIECE / 2);
    content.begin(entry, &mut head);
    let fill = |mut content: Box<Content>, mut out: Vec<u8>| {
        let store = store.clone();
        async move {
            let filled = store.work(move || {
                let before = content.data();
                let ended = content.fill(PIECE, &mut out);
                let data = ended.as_ref().map_or(content.data(), |ended| ended.data) - before;
                (content, out, ended, data)
            });
            filled.await.ok()
        }
    };
    let mut next = fill(content, head).await?;
    loop {
        let (content, piece, ended, data) = next;
        let _ = moved.send(data);
        if let Some(ended) = ended {
            write_all(&mut stream, piece.into(), &pace).await.ok()?;
            stream.finish();
            return Some(ended);
        }
        // The next bytes are read while these are sent.
        let (written, filled) = tokio::join!(
            write_all(&mut stream, piece.into(), &pace),
            fill(content, Vec::with_capacity(PIECE + PIECE / 2))
        );
        written.ok()?;
        next = filled?;
    }
}

async fn write_all(stream: &mut SendStream, piece: Bytes, pace: &Pace) -> Result<(), StreamError> {
    let mut pieces = VecDeque::from([piece]);
    while pieces.front().is_some_and(|piece| !piece.is_empty()) {
        write_front(stream, &mut pieces, pace).await?;
    }
    Ok(())
}
