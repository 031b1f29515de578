//! Both halves of the data of a file that replaces an old one: what is new, and where the rest is in the old file.
//!
//! The receiver sends sums of the old file's blocks, the sender finds them in the new file. Where a part has changed, it asks
//! for finer sums, and goes on meanwhile.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use unglue_host::store::{BlockSource, Sink, Source, StoreError};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::delta::{
    ASK_MOST, BLOCK_MOST, FINE, Index, OLD_LEAST, Piece, Record, Rules, SUM, Scan, Sum, WINDOW, answers, asks_allowed,
    coarse, refine,
};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::Old;
use unglue_proto::{Code, Fault};

use super::resume::fill;
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;

/// Bytes of the old file that are read at once.
const PART: u64 = 1024 * 1024;
/// Bytes of the new file that are gone through at once, at least.
const STEP: usize = 1024 * 1024;
/// Bytes of the new file that wait for finer sums.
const HELD: usize = 4 * 1024 * 1024;
/// Questions that the receiver has not answered.
const QUESTIONS: usize = 1024;

/// The old file of a receiver, and where its sums go.
pub(super) struct Basis {
    pub(super) old: Old,
    pub(super) file: BlockSource,
    pub(super) sums: SendStream,
}

/// What a receiver offers of the file that is to be replaced; nothing if that is too small.
pub(super) async fn offer(link: &Link, file: BlockSource) -> Result<Option<Basis>, StreamError> {
    let size = file.facts().size.filter(|&size| size >= OLD_LEAST && coarse(size) <= BLOCK_MOST);
    let Some(size) = size else { return Ok(None) };
    let sums = link.open_unidirectional().await?;
    Ok(Some(Basis { old: Old { size, block: coarse(size), sums: sums.number() }, file, sums }))
}

/// The stream of the sums that a receiver offers.
///
/// # Errors
/// [`Code::BadMessage`].
pub(super) fn accept(link: &Link, old: &Old) -> Result<RecvStream, Fault> {
    let sums = link.claim(old.sums)?;
    match old.block == coarse(old.size) && old.block <= BLOCK_MOST {
        true => Ok(sums),
        false => {
            let what = format!("an old file of {} bytes is offered in blocks of {}", old.size, old.block);
            Err(Fault::peer(Code::BadMessage, what))
        }
    }
}

/// Sends a whole source to a receiver that has an old file. `progress` is called with the bytes of the new file that are done.
///
/// # Errors
/// The stream is reset then.
pub(super) async fn send(
    source: impl Source,
    (stream, sums): (SendStream, RecvStream),
    old: &Old,
    pace: &Pace,
    progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let (first, coarse) = oneshot::channel();
    let (ask, asked) = mpsc::unbounded_channel();
    let (answer, answered) = mpsc::unbounded_channel();
    let new = source.facts().size.unwrap_or(0);
    let sending = Sending {
        stream,
        pace,
        progress,
        done: 0,
        pending: None,
        queue: VecDeque::new(),
        held: 0,
        ask,
        answered,
        left: asks_allowed(old.size, new),
        asked: 0,
        found: 0,
    };
    // The receiver is never kept from sending sums, or it would not read the data.
    let reading = read_sums(sums, old, first, (asked, answer));
    let (tally, ()) = tokio::try_join!(sending.all(source, old, coarse), reading)?;
    Ok(tally)
}

/// Reads the sums of all blocks, and then those that were asked for.
async fn read_sums(
    mut sums: RecvStream,
    old: &Old,
    first: oneshot::Sender<Vec<Sum>>,
    (mut asked, answer): (mpsc::UnboundedReceiver<usize>, mpsc::UnboundedSender<Vec<Sum>>),
) -> Result<(), SendError> {
    let count = usize::try_from(old.size.div_ceil(u64::from(old.block))).unwrap_or(usize::MAX);
    // If the data have failed, they are not waited for.
    let _ = first.send(read_some(&mut sums, count).await?);
    while let Some(count) = asked.recv().await {
        let _ = answer.send(read_some(&mut sums, count).await?);
    }
    Ok(())
}

async fn read_some(stream: &mut RecvStream, count: usize) -> Result<Vec<Sum>, SendError> {
    let mut sums = Vec::new();
    let mut bytes = [0; SUM];
    while sums.len() < count {
        if !fill(stream, &mut bytes).await? {
            let what = format!("{count} sums of an old file were to come, and {} came", sums.len());
            return Err(SendError::Receiver(Fault::peer(Code::BadMessage, what)));
        }
        sums.push(Sum::decode(&bytes));
    }
    Ok(sums)
}

/// The data of a delta, on their way.
struct Sending<'a, P> {
    stream: SendStream,
    pace: &'a Pace,
    progress: P,
    /// Bytes of the new file that were sent or found.
    done: u64,
    /// A part of the old file that the next one may go on with.
    pending: Option<(u64, u64)>,
    /// What waits for finer sums, in the order of the new file.
    queue: VecDeque<Waiting>,
    /// Its bytes.
    held: usize,
    ask: mpsc::UnboundedSender<usize>,
    answered: mpsc::UnboundedReceiver<Vec<Sum>>,
    /// Bytes of the old file that may still be asked about.
    left: u64,
    /// Bytes of the new file that were asked about, and how many of them were found.
    asked: u64,
    found: u64,
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
    async fn all(
        mut self,
        mut source: impl Source,
        old: &Old,
        coarse: oneshot::Receiver<Vec<Sum>>,
    ) -> Result<Tally, SendError> {
        // If they don't come, the other half of this has failed, and says why.
        let Ok(sums) = coarse.await else { return std::future::pending().await };
        let index = Index::new(old.block, old.size, sums);
        let mut scan = Scan::new(&index);
        let least = STEP.max((WINDOW + 2) * old.block as usize);
        let (mut window, mut last) = (Vec::with_capacity(least + STEP), false);
        while !last || !window.is_empty() {
            while !last && window.len() < least {
                match source.next().await? {
                    Some(piece) => window.extend_from_slice(&piece),
                    None => last = true,
                }
            }
            let (pieces, consumed) = scan.next(&window, last);
            for piece in pieces {
                self.piece(piece, &window, u64::from(old.block)).await?;
            }
            window.drain(..consumed);
            self.drain(HELD).await?;
            // It has worked for a millisecond or so.
            tokio::task::yield_now().await;
        }
        self.drain(0).await?;
        self.flush().await?;
        let tally = source.finish().await?;
        self.stream.finish();
        Ok(tally)
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
        let about = old.end - old.start;
        // Where nothing is found, only what is between two old blocks is worth a question.
        let hopeless = self.asked > 16 * HELD as u64 && self.found * 16 < self.asked && about > 4 * block;
        if bytes.len() < FINE as usize || about < u64::from(FINE) || about > ASK_MOST.min(self.left) || hopeless {
            self.queue.push_back(Waiting::New(bytes));
            return Ok(());
        }
        self.left -= about;
        self.asked += bytes.len() as u64;
        let record = Record::Ask { from: old.start, len: u32::try_from(about).unwrap_or(u32::MAX) };
        self.stream.write_all(record.encode().into()).await?;
        let _ = self.ask.send(answers(about));
        self.queue.push_back(Waiting::Asked(bytes, old));
        Ok(())
    }

    /// Sends what need not wait; waits for finer sums while more than `most` bytes are held.
    async fn drain(&mut self, most: usize) -> Result<(), SendError> {
        while let Some(first) = self.queue.pop_front() {
            match first {
                Waiting::Old { from, len } => self.send_old(from, len).await?,
                Waiting::New(bytes) => {
                    self.held -= bytes.len();
                    self.send_new(bytes).await?;
                }
                Waiting::Asked(bytes, old) => {
                    let sums = match self.answered.try_recv() {
                        Ok(sums) => sums,
                        Err(_) if self.held <= most && most > 0 => {
                            self.queue.push_front(Waiting::Asked(bytes, old));
                            return Ok(());
                        }
                        Err(_) => match self.answered.recv().await {
                            Some(sums) => sums,
                            None => return std::future::pending().await,
                        },
                    };
                    self.held -= bytes.len();
                    for piece in refine(&bytes, old, sums) {
                        match piece {
                            Piece::Old { from, len } => {
                                self.found += len;
                                self.send_old(from, len).await?;
                            }
                            Piece::New { range, .. } => self.send_new(bytes.slice(range)).await?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn send_old(&mut self, from: u64, len: u64) -> Result<(), SendError> {
        match &mut self.pending {
            Some((first, before)) if *first + *before == from => *before += len,
            _ => {
                self.flush().await?;
                self.pending = Some((from, len));
            }
        }
        Ok(())
    }

    async fn send_new(&mut self, bytes: Bytes) -> Result<(), SendError> {
        self.flush().await?;
        let record = Record::New(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.stream.write_all(record.encode().into()).await?;
        let (done, progress) = (&mut self.done, &mut self.progress);
        flow::write(&mut self.stream, bytes, self.pace, |bytes| {
            *done += bytes;
            progress(*done);
        })
        .await?;
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

/// Receives a file of `size` bytes, waits for the sender's figures, and commits the sink if both agree. In every other case the
/// sink is discarded before this returns, or set aside if the transfer only broke off.
pub(super) async fn receive<K: Sink, E>(
    mut sink: K,
    basis: Basis,
    size: u64,
    (stream, pace): (&mut RecvStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let Basis { old, file, sums } = basis;
    let (ask, asked) = mpsc::channel(QUESTIONS);
    let rules = Rules::new(old.size, size);
    let telling = async { Ok(tell(&file, &old, sums, asked).await?) };
    let taking = take(&mut sink, &file, rules, (stream, pace, ask), progress);
    let received = tokio::try_join!(telling, taking).map(|_| ());
    let verified = async {
        match received {
            // A sender that stopped reports the reason itself.
            Ok(()) | Err(ReceiveError::Stream(_)) => {}
            Err(error) => return Err(error),
        }
        let sent = flow::reported(sent).await?;
        received?;
        let tally = sink.written().await?;
        tally.verify(&sent, "the file").map_err(ReceiveError::Mismatch)?;
        Ok(tally)
    };
    let verified = verified.await;
    flow::conclude(sink, verified).await
}

/// Sends the sums of all blocks, and then those that are asked for.
async fn tell(
    file: &BlockSource,
    old: &Old,
    mut sums: SendStream,
    mut asked: mpsc::Receiver<Range<u64>>,
) -> Result<(), StoreError> {
    let step = PART.max(u64::from(old.block));
    let mut at = 0;
    while at < old.size {
        let end = old.size.min(at + step);
        if sums.write_all(file.sums(at..end, old.block).await?).await.is_err() {
            return Ok(());
        }
        at = end;
    }
    while let Some(range) = asked.recv().await {
        if sums.write_all(file.sums(range, FINE).await?).await.is_err() {
            return Ok(());
        }
    }
    sums.finish();
    Ok(())
}

/// Makes the new file of the records that come.
async fn take<E>(
    sink: &mut impl Sink,
    file: &BlockSource,
    mut rules: Rules,
    (stream, pace, ask): (&mut RecvStream, &Pace, mpsc::Sender<Range<u64>>),
    mut progress: impl FnMut(u64),
) -> Result<(), ReceiveError<E>> {
    let mut done = 0;
    while let Some(kind) = stream.read(1).await? {
        let mut rest = vec![0; Record::rest(kind[0]).map_err(ReceiveError::Mismatch)?];
        whole(fill(stream, &mut rest).await?)?;
        let record = Record::decode(kind[0], &rest).ok_or_else(cut)?;
        rules.check(&record).map_err(ReceiveError::Mismatch)?;
        match record {
            Record::New(len) => {
                let mut left = len as usize;
                while left > 0 {
                    let Some(data) = flow::read(stream, pace, left).await? else { return Err(cut()) };
                    left -= data.len();
                    done += data.len() as u64;
                    sink.write(data).await?;
                    progress(done);
                }
            }
            Record::Old { from, len } => {
                let mut at = from;
                while at < from + len {
                    let end = (from + len).min(at + PART);
                    sink.write(file.bytes(at..end).await?).await?;
                    done += end - at;
                    at = end;
                    progress(done);
                }
            }
            // A sender that wants no more sums has stopped the stream.
            Record::Ask { from, len } => drop(ask.send(from..from + u64::from(len)).await),
        }
    }
    Ok(())
}

fn whole<E>(whole: bool) -> Result<(), ReceiveError<E>> {
    whole.then_some(()).ok_or_else(cut)
}

fn cut<E>() -> ReceiveError<E> {
    ReceiveError::Mismatch(Fault::peer(Code::BadMessage, "the data end in the middle of a record"))
}
