//! The end where the files land.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use unglue_host::store::Store;
use unglue_host::store::tree::{Batch, Committed, Step, TreeSink};
use unglue_link::{CountedApart, Link, RecvStream, SendStream};
use unglue_proto::Fault;
use unglue_proto::message::tree::Summary;

use super::large::{self, Incoming, Landing};
use super::machine::Machine;
use super::{Broken, Pace, TreeListener, TreeUpdate, read_some, write_front};

/// Publishing what has come, in the background.
type Committing = Pin<Box<dyn Future<Output = Result<Committed, Fault>> + Send>>;

/// Bytes that are read from a stream at once.
const READ: usize = 256 * 1024;
/// Bytes of records that wait to be looked at; more stay in the stream.
const WAITING: usize = 1024 * 1024;

struct Receiving<'a> {
    link: &'a Link,
    store: &'a Store,
    sink: Machine<TreeSink, Result<Step, Fault>>,
    flow: RecvStream,
    answers: SendStream,
    pace: &'a Pace,
    listener: TreeListener<'a>,
    /// Records that wait to be looked at.
    pieces: VecDeque<Bytes>,
    held: usize,
    /// Whether the sink has more to do, also if nothing comes.
    more: bool,
    /// Answers that wait to be sent.
    unsent: VecDeque<Bytes>,
    ended: bool,
    /// Counts the time since everything has come.
    syncing: Option<CountedApart>,
    batch: Option<Batch>,
    beside: JoinSet<Landing>,
    /// What there is of large files that were announced.
    haves: (mpsc::UnboundedSender<Bytes>, mpsc::UnboundedReceiver<Bytes>),
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
        pieces: VecDeque::new(),
        more: false,
        held: 0,
        unsent: VecDeque::new(),
        ended: false,
        syncing: None,
        batch: None,
        beside: JoinSet::new(),
        haves: mpsc::unbounded_channel(),
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
                && (self.more || !self.pieces.is_empty())
                && self.unsent.iter().map(Bytes::len).sum::<usize>() < WAITING
            {
                let pieces = std::mem::take(&mut self.pieces);
                self.held = 0;
                self.sink.start(move |sink| sink.take_all(pieces));
            }
            if self.ended && self.sink.is_here() && self.pieces.is_empty() && !self.more && self.beside.is_empty() {
                // From here on, what has come is only synced and put in place.
                self.syncing.get_or_insert_with(|| self.flow.being_synced());
                if commit.is_none() && self.batch.is_none() {
                    return Ok(());
                }
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
                        self.pieces.push_back(bytes);
                    }
                    None => self.ended = true,
                },
                Some(ended) = self.beside.join_next(), if !self.beside.is_empty() && self.sink.is_here() => {
                    let ended = ended.map_err(|error| Fault::us(format!("a file was not received: {error}")))?;
                    if let Some(sink) = self.sink.here() {
                        sink.beside_ended(ended);
                        let urgent = sink.urgent();
                        if !urgent.is_empty() {
                            self.unsent.push_back(urgent);
                        }
                        if self.batch.is_none() {
                            self.batch = sink.full_batch();
                        }
                    }
                }
                Some(have) = self.haves.1.recv() => self.unsent.push_back(have),
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
            self.beside.spawn(large::land(self.incoming(), stream, landing));
        }
        for large in step.large {
            let streams = (self.link.claim(large.stream)?, self.link.claim(large.parts)?);
            streams.0.widen();
            streams.1.widen();
            let haves = self.haves.0.clone();
            self.beside.spawn(large::land_parts(self.incoming(), self.link.clone(), streams, large, haves));
        }
        for number in step.refused {
            // The sender is told that nobody reads it.
            drop(self.link.claim(number));
        }
        self.batch = step.batch;
        self.more = step.more;
        for piece in step.left.into_iter().rev() {
            self.held += piece.len();
            self.pieces.push_front(piece);
        }
        Ok(())
    }

    fn incoming(&self) -> Incoming {
        Incoming { store: self.store.clone(), pace: self.pace.clone(), moved: self.moved.0.clone() }
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
        drop(self.syncing.take());
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
