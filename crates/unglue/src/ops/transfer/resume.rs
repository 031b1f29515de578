//! Both halves of the data of a transfer that is resumed: blocks, of which those that are there already are not sent.
//!
//! The sender sends the blocks that the receiver doesn't have at once. Meanwhile both ends digest the others, and the
//! receiver sends its digests; a block that has another digest here is sent, too. So the data are a [`Source`] and a [`Sink`] of
//! their own, which go through [`flow`], or, where the receiver has an old file as well, through [`delta`].

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use unglue_host::store::{BlockSink, BlockSource, Facts, Part, Prover, Sink, Source, StoreError};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::blocks::{Arrivals, BLOCK, BlockDigest, Blocks, DIGEST, Hashing, NUMBER};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::{Have, Old};
use unglue_proto::{Code, Fault};

use super::delta::{self, Basis};
use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;

/// The receiver has nothing of the file.
pub(in crate::ops) const NOTHING: Have = Have { bytes: 0, digests: None, old: None };

/// Blocks that an end digests at once, so that reading one and digesting another overlap.
const AHEAD: u32 = 2;

/// The blocks that a receiver has of a file.
pub(in crate::ops) struct Kept {
    pub(super) blocks: Blocks,
    /// How many of the first ones.
    pub(super) count: u32,
    /// Where their digests go.
    pub(super) digests: SendStream,
}

/// What the receiver, with `kept` bytes of an earlier transfer, has of a file of `size` bytes, as it tells the sender; nothing if it is not a block.
pub(super) async fn offer(link: &Link, kept: u64, size: Option<u64>) -> Result<(Have, Option<Kept>), StreamError> {
    let blocks = size.and_then(Blocks::of);
    let kept = blocks.map(|blocks| (blocks, blocks.within(kept))).filter(|(_, count)| *count > 0);
    let Some((blocks, count)) = kept else { return Ok((NOTHING, None)) };
    let digests = link.open_unidirectional().await?;
    let have = Have { bytes: u64::from(count) * BLOCK, digests: Some(digests.number()), old: None };
    Ok((have, Some(Kept { blocks, count, digests })))
}

/// The blocks of a file, how many of the first ones the receiver has, and where their digests come from.
pub(super) type Accepted = (Blocks, u32, RecvStream);

/// What the receiver told, as the sender of a file of `size` bytes understands it; nothing if it needs the whole file.
///
/// # Errors
/// [`Code::BadMessage`].
pub(super) fn accept(link: &Link, have: &Have, size: Option<u64>) -> Result<Option<Accepted>, Fault> {
    let Some(number) = have.digests else { return Ok(None) };
    let digests = link.claim(number)?;
    let blocks = size.and_then(Blocks::of).ok_or(size.unwrap_or(0));
    match blocks.map(|blocks| (blocks, blocks.within(have.bytes))) {
        Ok((blocks, count)) if count > 0 && u64::from(count) * BLOCK == have.bytes => {
            Ok(Some((blocks, count, digests)))
        }
        Ok((blocks, _)) => Err(senseless(have, blocks.size())),
        Err(size) => Err(senseless(have, size)),
    }
}

fn senseless(have: &Have, size: u64) -> Fault {
    let what =
        format!("the receiver has {} bytes of a file of {size}: that isn't a number of blocks of it", have.bytes);
    Fault::peer(Code::BadMessage, what)
}

/// Sends the blocks that the receiver doesn't have. It has the first `kept` ones, and sends their digests. `progress` is
/// called with the bytes that are there or were sent.
///
/// # Errors
/// The stream is reset then.
pub(super) async fn send(
    source: BlockSource,
    (blocks, kept): (Blocks, u32),
    (stream, digests): (SendStream, RecvStream),
    pace: &Pace,
    progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let (missing, proving) = missing(source, (blocks, kept), digests);
    let sending = flow::send(missing, stream, pace, beyond((blocks, kept), progress));
    Ok(tokio::try_join!(sending, proving)?.0)
}

/// The same where the receiver also has an old file, of which parts are in the missing blocks.
pub(super) async fn send_changed(
    source: BlockSource,
    (blocks, kept): (Blocks, u32),
    (stream, digests): (SendStream, RecvStream),
    (old, sums): (&Old, RecvStream),
    pace: &Pace,
    progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let (missing, proving) = missing(source, (blocks, kept), digests);
    let sending = delta::send(missing, (stream, sums), old, pace, beyond((blocks, kept), progress));
    Ok(tokio::try_join!(sending, proving)?.0)
}

/// The progress of a whole file of which the first `kept` blocks are there.
fn beyond((blocks, kept): (Blocks, u32), mut progress: impl FnMut(u64)) -> impl FnMut(u64) {
    let there = blocks.range(kept).map_or(blocks.size(), |range| range.start);
    progress(there);
    move |bytes| progress(blocks.size().min(there + bytes))
}

/// The blocks that are sent, and what finds out which of those that are there are not the source's.
fn missing(
    source: BlockSource,
    (blocks, kept): (Blocks, u32),
    digests: RecvStream,
) -> (Missing, impl Future<Output = Result<(), SendError>>) {
    let (found, wrong) = mpsc::unbounded_channel();
    let (done, proved) = oneshot::channel();
    let proving = prove(source.clone(), (blocks, kept), digests, (found, done));
    let missing =
        Missing { source, blocks, absent: kept..blocks.count(), wrong, proved, reading: None, sent: Vec::new() };
    (missing, proving)
}

/// Compares the digests of the blocks that the receiver has with their own.
async fn prove(
    source: BlockSource,
    (blocks, kept): (Blocks, u32),
    mut digests: RecvStream,
    (found, done): (mpsc::UnboundedSender<u32>, oneshot::Sender<Vec<BlockDigest>>),
) -> Result<(), SendError> {
    let mut proved = Vec::new();
    let mut own = Ahead::new(kept, |block| source.digest(blocks, block));
    for block in 0..kept {
        let mut theirs = [0; DIGEST];
        if !fill(&mut digests, &mut theirs).await? {
            let what = format!("the digests of {kept} blocks were announced, and {block} came");
            return Err(SendError::Receiver(Fault::peer(Code::BadMessage, what)));
        }
        let own = own.next().await?;
        if own != theirs {
            tracing::info!(block, of = kept, "a block that was kept is not the source's, and is sent again");
            // If the data have failed, nothing is sent again.
            let _ = found.send(block);
        }
        proved.push(own);
    }
    let _ = done.send(proved);
    Ok(())
}

/// Digests of the first blocks, of which a few are begun before they are asked for.
struct Ahead<B, F> {
    begin: B,
    blocks: Range<u32>,
    begun: VecDeque<Pin<Box<F>>>,
}

impl<F: Future, B: FnMut(u32) -> F> Ahead<B, F> {
    fn new(count: u32, begin: B) -> Ahead<B, F> {
        Ahead { begin, blocks: 0..count, begun: VecDeque::new() }
    }

    /// The next one. It must not be called more often than there are blocks.
    async fn next(&mut self) -> F::Output {
        while self.begun.len() < AHEAD as usize
            && let Some(block) = self.blocks.next()
        {
            self.begun.push_back(Box::pin((self.begin)(block)));
        }
        match self.begun.pop_front() {
            Some(first) => first.await,
            None => pending().await,
        }
    }
}

/// The blocks that a receiver doesn't have, then those that it has wrong, as they travel: the number of each, then its bytes.
struct Missing {
    source: BlockSource,
    blocks: Blocks,
    absent: Range<u32>,
    /// Closed when all that are there were compared.
    wrong: mpsc::UnboundedReceiver<u32>,
    /// The digests of those that are there, as they are here.
    proved: oneshot::Receiver<Vec<BlockDigest>>,
    reading: Option<Block>,
    sent: Vec<(u32, BlockDigest)>,
}

/// A block on its way.
struct Block {
    number: u32,
    announced: bool,
    /// Where the next part begins, and the block ends.
    at: u64,
    end: u64,
    part: Pin<Box<dyn Future<Output = Result<Part, StoreError>> + Send>>,
}

impl Missing {
    /// Begins to read a block.
    fn begin(&self, number: u32) -> Block {
        let Range { start: at, end } = self.blocks.range(number).unwrap_or(0..0);
        let part = Box::pin(self.source.read((at, end), Hashing::of(number)));
        Block { number, announced: false, at, end, part }
    }
}

impl Source for Missing {
    fn facts(&self) -> Facts {
        self.source.facts()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.reading.is_none() {
            let next = match self.absent.next() {
                Some(block) => Some(block),
                None => self.wrong.recv().await,
            };
            let Some(next) = next else { return Ok(None) };
            self.reading = Some(self.begin(next));
        }
        let Some(block) = &mut self.reading else { return Ok(None) };
        if !std::mem::replace(&mut block.announced, true) {
            return Ok(Some(Bytes::copy_from_slice(&block.number.to_be_bytes())));
        }
        let Part { bytes, hashing } = block.part.as_mut().await?;
        block.at += bytes.len() as u64;
        // What comes next is read while this is sent.
        if block.at < block.end {
            block.part = Box::pin(self.source.read((block.at, block.end), hashing));
        } else {
            self.sent.push((block.number, hashing.digest()));
            self.reading = self.absent.next().map(|block| self.begin(block));
        }
        Ok(Some(bytes))
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        self.source.finish().await?;
        // If they don't come, the other half of this has failed, and says why.
        let Ok(mut digests) = self.proved.await else { return pending().await };
        digests.resize(self.blocks.count() as usize, [0; DIGEST]);
        for (block, digest) in self.sent {
            digests[block as usize] = digest;
        }
        Ok(Tally { bytes: self.blocks.size(), blake3: self.blocks.digest(&digests) })
    }
}

/// Fills `buffer` from the stream; `false` if the stream ends before.
pub(super) async fn fill(stream: &mut RecvStream, buffer: &mut [u8]) -> Result<bool, StreamError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(data) = stream.read(buffer.len() - filled).await? else { return Ok(false) };
        buffer[filled..filled + data.len()].copy_from_slice(&data);
        filled += data.len();
    }
    Ok(true)
}

/// Receives what is missing, waits for the sender's figures, and commits the sink if both agree. In every other case
/// the sink is set aside before this returns, or discarded if what is in it is wrong.
pub(super) async fn receive<E>(
    sink: BlockSink,
    (blocks, kept): (Blocks, u32),
    (stream, digests, pace): (&mut RecvStream, SendStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let (landing, telling) = landing(sink, (blocks, kept), digests);
    let progress = beyond((blocks, kept), progress);
    beside(flow::receive(landing, (stream, pace), on_the_wire(blocks), progress, sent), telling).await
}

/// The same where the receiver also has an old file, of which parts are in the missing blocks.
pub(super) async fn receive_changed<E>(
    sink: BlockSink,
    (blocks, kept): (Blocks, u32),
    basis: Basis,
    (stream, digests, pace): (&mut RecvStream, SendStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let (landing, telling) = landing(sink, (blocks, kept), digests);
    let progress = beyond((blocks, kept), progress);
    beside(delta::receive(landing, basis, on_the_wire(blocks), (stream, pace), progress, sent), telling).await
}

/// The bytes of all blocks, with their numbers.
fn on_the_wire(blocks: Blocks) -> u64 {
    blocks.size() + u64::from(blocks.count()) * NUMBER as u64
}

/// Waits for `main`, while `side` goes on as well.
async fn beside<T>(main: impl Future<Output = T>, side: impl Future<Output = ()>) -> T {
    let side = async {
        side.await;
        pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        done = main => done,
        never = side => match never {},
    }
}

/// Where blocks land, and what tells the sender the digests of those that are there.
fn landing(sink: BlockSink, (blocks, kept): (Blocks, u32), digests: SendStream) -> (Landing, impl Future<Output = ()>) {
    let (done, told) = oneshot::channel();
    let telling = tell(sink.prover(), kept, digests, done);
    let arrivals = Arrivals::new(blocks, kept);
    (Landing { sink, blocks, arrivals, number: Vec::with_capacity(NUMBER), block: None, told: Some(told) }, telling)
}

/// Sends the digests of the blocks that are there. One that can't be read has none, so the sender sends it.
async fn tell(prover: Prover, kept: u32, digests: SendStream, done: oneshot::Sender<Vec<BlockDigest>>) {
    let mut told = Vec::new();
    let mut digests = Some(digests);
    let mut own = Ahead::new(kept, |block| prover.digest(block));
    for _ in 0..kept {
        let digest = own.next().await.unwrap_or([0; DIGEST]);
        told.push(digest);
        // A sender that needs no more of them stops the stream.
        if let Some(stream) = &mut digests
            && stream.write_all(digest.to_vec().into()).await.is_err()
        {
            digests = None;
        }
    }
    if let Some(stream) = digests {
        stream.finish();
    }
    let _ = done.send(told);
}

/// Where blocks land, as they travel.
struct Landing {
    sink: BlockSink,
    blocks: Blocks,
    arrivals: Arrivals,
    /// A part of the next block's number.
    number: Vec<u8>,
    /// The block that comes, and how many bytes of it are still to come.
    block: Option<(u32, u64)>,
    /// The digests of the blocks that were there. Read once.
    told: Option<oneshot::Receiver<Vec<BlockDigest>>>,
}

impl Landing {
    /// Takes bytes of a block's number.
    async fn number(&mut self, bytes: &mut Bytes) -> Result<(), StoreError> {
        let part = bytes.split_to(bytes.len().min(NUMBER - self.number.len()));
        self.number.extend_from_slice(&part);
        if let Ok(number) = <[u8; NUMBER]>::try_from(&self.number[..]) {
            self.number.clear();
            let (block, range) = self.arrivals.begin(number).map_err(StoreError::malformed)?;
            self.sink.begin(block).await?;
            self.block = Some((block, range.end - range.start));
        }
        Ok(())
    }
}

impl Sink for Landing {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let Some((block, left)) = self.block else {
                self.number(&mut bytes).await?;
                continue;
            };
            let part = bytes.split_to(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            let left = left - part.len() as u64;
            self.sink.write(part).await?;
            self.block = (left > 0).then_some((block, left));
            if left == 0 {
                self.arrivals.complete(block, self.sink.end().await?);
            }
        }
        Ok(())
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        if self.block.is_some() || !self.number.is_empty() {
            let what = "the data end in the middle of a block";
            return Err(StoreError::malformed(Fault::peer(Code::BadMessage, what)));
        }
        let told = match self.told.take() {
            Some(told) => told.await.unwrap_or_default(),
            None => Vec::new(),
        };
        let digests = self.arrivals.end(&told).map_err(StoreError::malformed)?;
        Ok(Tally { bytes: self.blocks.size(), blake3: self.blocks.digest(&digests) })
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.sink.commit().await
    }

    async fn discard(self) {
        self.sink.discard().await;
    }

    async fn set_aside(self) {
        self.sink.set_aside().await;
    }
}
