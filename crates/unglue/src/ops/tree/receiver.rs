//! The end where the files land.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use unglue_host::store::Store;
use unglue_host::store::tree::{Batch, Committed, Landed, Landing, Step, Taken, TreeSink, Why};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::message::tree::Summary;
use unglue_proto::{Code, Fault};

use super::machine::Machine;
use super::{Broken, Pace, TreeListener, TreeUpdate, read_some, write_front};

/// Publishing what has come, in the background.
type Committing = Pin<Box<dyn Future<Output = Result<Committed, Fault>> + Send>>;

/// Bytes that are read from a stream at once.
const READ: usize = 256 * 1024;
/// Bytes of records that wait to be looked at; more stay in the stream.
const WAITING: usize = 1024 * 1024;
type Ended = Result<Landed, (u64, Why)>;

struct Receiving<'a> {
    link: &'a Link,
    store: &'a Store,
    sink: Machine<TreeSink, Result<Step, Fault>>,
    flow: RecvStream,
    answers: SendStream,
    pace: &'a Pace,
    listener: TreeListener<'a>,
    /// Records that wait to be looked at.
    pieces: Vec<Bytes>,
    held: usize,
    /// Answers that wait to be sent.
    unsent: VecDeque<Bytes>,
    ended: bool,
    batch: Option<Batch>,
    beside: JoinSet<Ended>,
    moved: (mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>),
}

/// Receives a tree, and returns when it is complete and durable.
///
/// # Errors
/// It broke off. What is in place stays, and temporary files are removed.
pub(super) async fn receive(
    link: &Link,
    store: &Store,
    sink: TreeSink,
    (flow, answers, pace): (RecvStream, SendStream, &Pace),
    listener: TreeListener<'_>,
) -> Result<Summary, Broken> {
    // Many small contents come without a turn for each doubling of the credit.
    flow.widen();
    let receiving = Receiving {
        link,
        store,
        sink: Machine::new(store, sink),
        flow,
        answers,
        pace,
        listener,
        pieces: Vec::new(),
        held: 0,
        unsent: VecDeque::new(),
        ended: false,
        batch: None,
        beside: JoinSet::new(),
        moved: mpsc::unbounded_channel(),
    };
    receiving.run().await
}

impl Receiving<'_> {
    async fn run(mut self) -> Result<Summary, Broken> {
        match self.until_all_ended().await {
            Ok(()) => self.conclude().await,
            Err(broken) => {
                // Their temporary files are given up before this returns.
                self.beside.shutdown().await;
                self.sink.discard().await;
                Err(broken)
            }
        }
    }

    async fn until_all_ended(&mut self) -> Result<(), Broken> {
        let mut commit: Option<Committing> = None;
        // Answers are few.
        let unpaced = Pace::default();
        loop {
            if commit.is_none()
                && let Some(batch) = self.batch.take()
            {
                let store = self.store.clone();
                commit = Some(Box::pin(async move { store.work(move || batch.commit()).await }));
            }
            // A batch that waits for the one before holds files back: no more are taken meanwhile.
            if self.sink.is_here()
                && self.batch.is_none()
                && !self.pieces.is_empty()
                && self.unsent.iter().map(Bytes::len).sum::<usize>() < WAITING
            {
                let pieces = std::mem::take(&mut self.pieces);
                self.held = 0;
                self.sink.start(move |sink| sink.take_all(pieces.iter().map(|piece| &piece[..])));
            }
            let idle = self.sink.is_here() && commit.is_none() && self.batch.is_none() && self.pieces.is_empty();
            if self.ended && idle && self.beside.is_empty() {
                return Ok(());
            }
            tokio::select! {
                step = self.sink.worked(), if !self.sink.is_here() => self.step(step??)?,
                done = done(&mut commit), if commit.is_some() && self.sink.is_here() => {
                    commit = None;
                    let committed = done?;
                    if let Some(sink) = self.sink.here() {
                        sink.committed(committed);
                    }
                }
                written = write_front(&mut self.answers, &mut self.unsent, &unpaced), if !self.unsent.is_empty() => written?,
                read = read_some(&mut self.flow, READ, self.pace), if !self.ended && self.held < WAITING => match read? {
                    Some(bytes) => {
                        self.held += bytes.len();
                        self.pieces.push(bytes);
                    }
                    None => self.ended = true,
                },
                Some(ended) = self.beside.join_next(), if !self.beside.is_empty() && self.sink.is_here() => {
                    let ended = ended.map_err(|error| Fault::us(format!("a file was not received: {error}")))?;
                    if let Some(sink) = self.sink.here() {
                        sink.beside_ended(ended);
                    }
                }
            }
            self.report();
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Broken> {
        if !step.answers.is_empty() {
            self.unsent.push_back(step.answers);
        }
        for (number, landing) in step.beside {
            let stream = self.link.claim(number)?;
            stream.widen();
            let (store, moved) = (self.store.clone(), self.moved.0.clone());
            self.beside.spawn(land((store, self.pace.clone()), stream, landing, moved));
        }
        for number in step.refused {
            // The sender is told that nobody reads it.
            drop(self.link.claim(number));
        }
        self.batch = step.batch;
        Ok(())
    }

    fn report(&mut self) {
        let Some(sink) = self.sink.here() else { return };
        while let Ok(bytes) = self.moved.1.try_recv() {
            sink.beside_moved(bytes);
        }
        sink.events().into_iter().for_each(|event| (self.listener)(TreeUpdate::Event(event)));
        (self.listener)(TreeUpdate::Moving(sink.moving()));
    }

    /// Everything has come: completes the tree, and sends the last answers.
    async fn conclude(mut self) -> Result<Summary, Broken> {
        let mut sink = self.sink.into_inner()?;
        let finished = self.store.work(move || {
            let finished = sink.finish();
            (sink, finished)
        });
        let (sink, finished) = finished.await?;
        self.sink = Machine::new(self.store, sink);
        self.report();
        self.unsent.push_back(finished?.into());
        let unpaced = Pace::default();
        while !self.unsent.is_empty() {
            write_front(&mut self.answers, &mut self.unsent, &unpaced).await?;
        }
        self.answers.finish();
        Ok(self.sink.into_inner()?.summary().clone())
    }
}

/// What became of the batch that is being put in place. Waits for ever if there is none.
async fn done(commit: &mut Option<Committing>) -> Result<Committed, Fault> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Receives a large file on its own stream.
async fn land(
    (store, pace): (Store, Pace),
    mut stream: RecvStream,
    mut landing: Box<Landing>,
    moved: mpsc::UnboundedSender<u64>,
) -> Ended {
    let number = landing.number();
    let broken = |fault: Fault| Err((number, Why::broken(fault)));
    loop {
        let mut pieces = match read_some(&mut stream, READ, &pace).await {
            Ok(Some(bytes)) => vec![bytes],
            Ok(None) => return broken(Fault::peer(Code::BadMessage, "a large file's stream ended within the file")),
            Err(error) => return broken(error.into()),
        };
        // What has come already is written in one go.
        let mut length = pieces[0].len();
        while length < READ
            && pace.rate().is_none()
            && let Some(Ok(Some(more))) = ready(&mut stream)
        {
            length += more.len();
            pieces.push(more);
        }
        let taken = store.work(move || {
            let mut total = 0;
            let mut landing = landing;
            for piece in &pieces {
                match landing.take(piece) {
                    (bytes, Taken::More(more)) => {
                        total += bytes;
                        landing = more;
                    }
                    (bytes, other) => return (total + bytes, other),
                }
            }
            (total, Taken::More(landing))
        });
        match taken.await {
            Err(fault) => return broken(fault),
            Ok((bytes, taken)) => {
                let _ = moved.send(bytes);
                match taken {
                    Taken::More(more) => landing = more,
                    Taken::Whole(landed) => return Ok(*landed),
                    Taken::Refused(number, why) => return Err((number, why)),
                }
            }
        }
    }
}

/// What can be read at once.
fn ready(stream: &mut RecvStream) -> Option<Result<Option<Bytes>, unglue_link::StreamError>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match stream.poll_read(&mut context, READ) {
        std::task::Poll::Ready(read) => Some(read),
        std::task::Poll::Pending => None,
    }
}
