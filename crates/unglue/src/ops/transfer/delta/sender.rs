//! The end that has the new file, and finds the old one's parts in it.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use unglue_host::store::Source;
use unglue_link::{RecvStream, SendStream};
use unglue_proto::delta::{
    ASK_MOST, FINE, GROUP, Group, Index, Piece, Record, SUM, Scan, Speed, Sum, WINDOW, answers, asks_allowed, refine,
};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::Old;
use unglue_proto::{Code, Fault};

use super::super::resume::fill;
use super::window::Window;
use crate::ops::flow::{self, SendError};
use crate::ops::pace::Pace;

/// Bytes of the new file that are searched at once, at least.
const STEP: usize = 1024 * 1024;
/// Bytes of the new file that wait for finer sums.
const HELD: usize = 4 * 1024 * 1024;
/// A part of the old file that has so many bytes is named at once: the receiver begins to read it.
const RUN: u64 = 1024 * 1024;
/// Sums that are taken from the stream at once.
const SUMS: usize = 4096;
/// From so many bytes on that were asked about, it counts how many of them were found.
const PROBED: u64 = 16 * 1024 * 1024;

/// Sends a whole source to a receiver that has an old file. `progress` is called with the bytes of the new file that are done.
///
/// # Errors
/// The stream is reset then.
pub(in crate::ops::transfer) async fn send(
    source: impl Source,
    (stream, sums): (SendStream, RecvStream),
    old: &Old,
    pace: &Pace,
    progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let (ask, asked) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let new = source.facts().size.unwrap_or(0);
    let sending = Sending {
        seed: old.seed,
        told: Told { groups: told, blocks: Vec::new(), answers: VecDeque::new() },
        asking: Asking { ask, left: asks_allowed(old.size, new), asked: 0, found: 0 },
        queue: VecDeque::new(),
        held: 0,
        out: Out { stream, pace, progress, done: 0, pending: None, speed: Speed::default() },
    };
    // The receiver is never kept from sending sums, or it would not read the data.
    let reading = read_sums(sums, old, asked, tell);
    let sending = sending.all(source, old);
    tokio::pin!(reading, sending);
    tokio::select! {
        biased;
        read = &mut reading => {
            read?;
            sending.await
        }
        tally = &mut sending => tally,
    }
}

/// Sums that have come.
enum Came {
    Blocks(Vec<Sum>),
    Answer(Vec<Sum>),
}

/// Reads the sums until they end, or are not wanted any more.
async fn read_sums(
    mut stream: RecvStream,
    old: &Old,
    mut asked: mpsc::UnboundedReceiver<usize>,
    tell: mpsc::UnboundedSender<Came>,
) -> Result<(), SendError> {
    let mut left = usize::try_from(old.size.div_ceil(u64::from(old.block))).unwrap_or(usize::MAX);
    let mut header = [0; GROUP];
    loop {
        let filled = tokio::select! {
            biased;
            () = tell.closed() => false,
            filled = fill(&mut stream, &mut header) => filled?,
        };
        if !filled {
            return Ok(());
        }
        let came = match Group::decode(header) {
            Group::Blocks(count) if count as usize <= left => {
                left -= count as usize;
                Came::Blocks(read_some(&mut stream, count as usize).await?)
            }
            Group::Answer(count) if asked.try_recv() == Ok(count as usize) => {
                Came::Answer(read_some(&mut stream, count as usize).await?)
            }
            group => return Err(senseless(format!("the sums of an old file come as {group:?}, which is wrong"))),
        };
        // If it is not wanted any more, nothing more is read.
        let _ = tell.send(came);
    }
}

async fn read_some(stream: &mut RecvStream, count: usize) -> Result<Vec<Sum>, SendError> {
    let mut sums = Vec::new();
    let mut bytes = vec![0; SUM * count.min(SUMS)];
    while sums.len() < count {
        let part = &mut bytes[..SUM * (count - sums.len()).min(SUMS)];
        if !fill(stream, part).await? {
            return Err(senseless(format!("{count} sums of an old file were to come, and {} came", sums.len())));
        }
        sums.extend(part.as_chunks().0.iter().map(Sum::decode));
    }
    Ok(sums)
}

fn senseless(what: String) -> SendError {
    SendError::Receiver(Fault::peer(Code::BadMessage, what))
}

/// What the receiver has sent.
struct Told {
    groups: mpsc::UnboundedReceiver<Came>,
    /// Sums of the next blocks, which the scan doesn't have.
    blocks: Vec<Sum>,
    /// Answers to questions, in their order.
    answers: VecDeque<Vec<Sum>>,
}

impl Told {
    /// Takes what is there.
    fn look(&mut self) {
        while let Ok(came) = self.groups.try_recv() {
            self.sort(came);
        }
    }

    /// Waits for more.
    async fn wait(&mut self) -> Result<(), SendError> {
        match self.groups.recv().await {
            Some(came) => self.sort(came),
            None => return Err(senseless("the sums of an old file ended too early".to_owned())),
        }
        self.look();
        Ok(())
    }

    fn sort(&mut self, came: Came) {
        match came {
            Came::Blocks(sums) => self.blocks.extend(sums),
            Came::Answer(sums) => self.answers.push_back(sums),
        }
    }

    /// The sums that answer the first question, once they have come.
    async fn answer(&mut self) -> Result<Vec<Sum>, SendError> {
        loop {
            if let Some(sums) = self.answers.pop_front() {
                return Ok(sums);
            }
            self.wait().await?;
        }
    }
}

/// Questions to the receiver.
struct Asking {
    ask: mpsc::UnboundedSender<usize>,
    /// Bytes of the old file that may still be asked about.
    left: u64,
    /// Bytes of the new file that were asked about, and how many of them were found.
    asked: u64,
    found: u64,
}

impl Asking {
    /// Whether finer sums of this part of the old file may show that these bytes are in it. A block has `block` bytes.
    fn is_worth(&self, bytes: usize, old: &Range<u64>, block: u64) -> bool {
        let about = old.end - old.start;
        // Where nothing is found, only what is between two old blocks is worth a question.
        let hopeless = self.asked > PROBED && self.found * 16 < self.asked && about > 4 * block;
        bytes >= FINE as usize && about >= u64::from(FINE) && about <= ASK_MOST.min(self.left) && !hopeless
    }
}

/// The data of a delta, on their way.
struct Sending<'a, P> {
    seed: u32,
    told: Told,
    asking: Asking,
    /// What waits for finer sums, in the order of the new file.
    queue: VecDeque<Waiting>,
    /// Its bytes.
    held: usize,
    out: Out<'a, P>,
}

/// A part of the new file that has not been sent.
enum Waiting {
    Old {
        from: u64,
        len: u64,
    },
    New(Bytes),
    /// Finer sums of this part of the old file will come.
    Asked(Bytes, Range<u64>),
}

impl<P: FnMut(u64)> Sending<'_, P> {
    async fn all(mut self, mut source: impl Source, old: &Old) -> Result<Tally, SendError> {
        let mut scan = Box::new(Scan::new(Index::new(old.block, old.size, old.seed)));
        let mut window = Window::default();
        while window.fill(&mut source, 1).await? {
            if self.out.speed.exceeds_search() {
                return self.rest(source, window).await;
            }
            self.follow(&mut source, &mut scan, &mut window).await?;
            if !scan.is_waiting() && !window.rest().is_empty() {
                scan = self.search(&mut source, scan, &mut window, u64::from(old.block)).await?;
            }
            self.drain(HELD).await?;
        }
        self.drain(0).await?;
        self.out.flush().await?;
        let tally = source.finish().await?;
        self.out.stream.finish();
        Ok(tally)
    }

    /// Goes through what is the same in the old file, at the same place or as far away as before.
    async fn follow(
        &mut self,
        source: &mut impl Source,
        scan: &mut Scan,
        window: &mut Window,
    ) -> Result<(), SendError> {
        loop {
            self.told.look();
            scan.learn(self.told.blocks.drain(..));
            if scan.is_waiting() {
                return self.wait().await;
            }
            let Some(length) = scan.expects() else { return Ok(()) };
            if !window.fill(source, length).await? || window.rest().len() < length {
                return Ok(());
            }
            let Some((from, len)) = scan.follow(window.rest()) else { return Ok(()) };
            window.advance(len);
            self.queue.push_back(Waiting::Old { from, len: len as u64 });
            self.drain(HELD).await?;
        }
    }

    /// Finds what was inserted, replaced, removed or moved here.
    async fn search(
        &mut self,
        source: &mut impl Source,
        mut scan: Box<Scan>,
        window: &mut Window,
        block: u64,
    ) -> Result<Box<Scan>, SendError> {
        window.fill(source, STEP.max((WINDOW + 2) * block as usize)).await?;
        let mut taken = std::mem::take(window);
        let began = Instant::now();
        let (pieces, consumed);
        ((scan, taken), (pieces, consumed)) = source
            .apart(move || {
                let found = scan.next(taken.rest(), taken.is_last());
                ((scan, taken), found)
            })
            .await?;
        *window = taken;
        self.out.speed.searched(began.elapsed(), scan.barren());
        for piece in pieces {
            self.piece(piece, window.rest(), block).await?;
        }
        window.advance(consumed);
        Ok(scan)
    }

    /// Waits for sums. Meanwhile the receiver works on what was found.
    async fn wait(&mut self) -> Result<(), SendError> {
        self.drain(HELD).await?;
        self.out.flush().await?;
        let _counted = self.out.stream.being_compared();
        self.told.wait().await
    }

    async fn piece(&mut self, piece: Piece, window: &[u8], block: u64) -> Result<(), SendError> {
        let (range, old) = match piece {
            Piece::Old { from, len } => {
                self.queue.push_back(Waiting::Old { from, len });
                return Ok(());
            }
            Piece::New { range, old } => (range, old),
        };
        let bytes = Bytes::copy_from_slice(&window[range]);
        self.held += bytes.len();
        if !self.asking.is_worth(bytes.len(), &old, block) {
            self.queue.push_back(Waiting::New(bytes));
            return Ok(());
        }
        let about = old.end - old.start;
        self.asking.left -= about;
        self.asking.asked += bytes.len() as u64;
        // If it is not taken, the other half of this has failed, and says why.
        let _ = self.asking.ask.send(answers(about));
        let record = Record::Ask { from: old.start, len: u32::try_from(about).unwrap_or(u32::MAX) };
        self.out.stream.write_all(record.encode().into()).await?;
        self.queue.push_back(Waiting::Asked(bytes, old));
        Ok(())
    }

    /// Sends what need not wait; waits for finer sums while more than `most` bytes are held.
    async fn drain(&mut self, most: usize) -> Result<(), SendError> {
        while let Some(first) = self.queue.pop_front() {
            match first {
                Waiting::Old { from, len } => self.out.send_old(from, len).await?,
                Waiting::New(bytes) => {
                    self.held -= bytes.len();
                    self.out.send_new(bytes).await?;
                }
                Waiting::Asked(bytes, old) => {
                    self.told.look();
                    if self.told.answers.is_empty() && self.held <= most && most > 0 {
                        self.queue.push_front(Waiting::Asked(bytes, old));
                        return Ok(());
                    }
                    let sums = {
                        let _counted = self.out.stream.being_compared();
                        self.told.answer().await?
                    };
                    self.held -= bytes.len();
                    for piece in refine(&bytes, old, sums, self.seed) {
                        match piece {
                            Piece::Old { from, len } => {
                                self.asking.found += len;
                                self.out.send_old(from, len).await?;
                            }
                            Piece::New { range, .. } => self.out.send_new(bytes.slice(range)).await?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends what is left without looking for it in the old file.
    async fn rest(mut self, mut source: impl Source, mut window: Window) -> Result<Tally, SendError> {
        tracing::debug!(at = self.out.done, "the link is faster than a search, so the rest of the file is sent whole");
        self.drain(0).await?;
        // The receiver need not read more of the old file.
        self.told.groups.close();
        while window.fill(&mut source, 1).await? {
            let bytes = window.take();
            self.out.send_new(bytes).await?;
        }
        self.out.flush().await?;
        let tally = source.finish().await?;
        self.out.stream.finish();
        Ok(tally)
    }
}

/// The stream of records.
struct Out<'a, P> {
    stream: SendStream,
    pace: &'a Pace,
    progress: P,
    /// Bytes of the new file that were sent or found.
    done: u64,
    /// A part of the old file that the next one may go on with.
    pending: Option<(u64, u64)>,
    speed: Speed,
}

impl<P: FnMut(u64)> Out<'_, P> {
    async fn send_old(&mut self, from: u64, len: u64) -> Result<(), SendError> {
        match &mut self.pending {
            Some((first, before)) if *first + *before == from => *before += len,
            _ => {
                self.flush().await?;
                self.pending = Some((from, len));
            }
        }
        match self.pending {
            Some((_, len)) if len >= RUN => self.flush().await,
            _ => Ok(()),
        }
    }

    async fn send_new(&mut self, bytes: Bytes) -> Result<(), SendError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.flush().await?;
        let began = Instant::now();
        let record = Record::New(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.stream.write_all(record.encode().into()).await?;
        let (done, progress) = (&mut self.done, &mut self.progress);
        flow::write(&mut self.stream, bytes, self.pace, |bytes| {
            *done += bytes;
            progress(*done);
        })
        .await?;
        self.speed.sent(began.elapsed());
        Ok(())
    }

    /// Sends the part of the old file that waits for another one.
    async fn flush(&mut self) -> Result<(), SendError> {
        if let Some((from, len)) = self.pending.take() {
            self.stream.write_all(Record::Old { from, len }.encode().into()).await?;
            self.done += len;
            (self.progress)(self.done);
        }
        Ok(())
    }
}
