//! Both halves of the data of a transfer that is resumed: blocks, of which those that are there already are not sent.
//!
//! The sender sends the blocks that the receiver doesn't have at once. Meanwhile both ends digest the others, and the
//! receiver sends its digests; a block that has another digest here is sent in the end.

use unglue_host::store::{BlockSink, BlockSource, DiskSink, Prover, StoreError};
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::blocks::{Arrivals, BLOCK, BlockDigest, Blocks, DIGEST, Hashing, NUMBER};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::Have;
use unglue_proto::{Code, Fault};

use crate::ops::flow::{self, ReceiveError, SendError};
use crate::ops::pace::Pace;

/// The receiver has nothing of the file.
pub(super) const NOTHING: Have = Have { bytes: 0, digests: None, old: None };

/// The blocks that a receiver has of a file.
pub(super) struct Kept {
    pub(super) blocks: Blocks,
    /// How many of the first ones.
    pub(super) count: u32,
    /// Where their digests go.
    pub(super) digests: SendStream,
}

/// What the receiver has of a file of `size` bytes, as it tells the sender; nothing if it is not a block.
pub(super) async fn offer(
    link: &Link,
    sink: &DiskSink,
    size: Option<u64>,
) -> Result<(Have, Option<Kept>), StreamError> {
    let blocks = size.and_then(Blocks::of);
    let kept = blocks.map(|blocks| (blocks, blocks.within(sink.kept()))).filter(|(_, count)| *count > 0);
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
    (mut stream, digests): (SendStream, RecvStream),
    pace: &Pace,
    mut progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let mut there = blocks.range(kept).map_or(blocks.size(), |range| range.start);
    progress(there);
    let mut passed = |bytes| {
        there = blocks.size().min(there + bytes);
        progress(there);
    };
    let missing = async {
        let mut sent = Vec::new();
        for block in kept..blocks.count() {
            sent.push(send_block(&source, (blocks, block), &mut stream, pace, &mut passed).await?);
        }
        Ok::<_, SendError>(sent)
    };
    let (sent, (mut proved, wrong)) = tokio::try_join!(missing, prove(&source, (blocks, kept), digests))?;
    if !wrong.is_empty() {
        tracing::info!(
            blocks = wrong.len(),
            of = kept,
            "blocks that were kept are not the source's, and are sent again"
        );
    }
    for block in wrong {
        proved[block as usize] = send_block(&source, (blocks, block), &mut stream, pace, &mut passed).await?;
    }
    source.finish().await?;
    stream.finish();
    proved.extend(sent);
    Ok(Tally { bytes: blocks.size(), blake3: blocks.digest(&proved) })
}

/// Sends a block: its number, then its bytes.
async fn send_block(
    source: &BlockSource,
    (blocks, block): (Blocks, u32),
    stream: &mut SendStream,
    pace: &Pace,
    passed: &mut impl FnMut(u64),
) -> Result<BlockDigest, SendError> {
    let range = blocks.range(block).unwrap_or(0..0);
    stream.write_all(block.to_be_bytes().to_vec().into()).await?;
    let mut part = source.read((range.start, range.end), Hashing::of(block)).await?;
    let mut at = range.start + part.bytes.len() as u64;
    while at < range.end {
        // The next part is read while this one is sent.
        let reading = source.read((at, range.end), part.hashing);
        let (written, read) = tokio::join!(flow::write(stream, part.bytes, pace, &mut *passed), reading);
        written?;
        part = read?;
        at += part.bytes.len() as u64;
    }
    flow::write(stream, part.bytes, pace, passed).await?;
    Ok(part.hashing.digest())
}

/// The digests of the blocks that the receiver has, and those of them that it has with another digest.
async fn prove(
    source: &BlockSource,
    (blocks, kept): (Blocks, u32),
    mut digests: RecvStream,
) -> Result<(Vec<BlockDigest>, Vec<u32>), SendError> {
    let (mut proved, mut wrong) = (Vec::new(), Vec::new());
    for block in 0..kept {
        let mut theirs = [0; DIGEST];
        let (own, read) = tokio::join!(source.digest(blocks, block), fill(&mut digests, &mut theirs));
        match read? {
            true => {}
            false => {
                let what = format!("the digests of {kept} blocks were announced, and {block} came");
                return Err(SendError::Receiver(Fault::peer(Code::BadMessage, what)));
            }
        }
        let own = own?;
        if own != theirs {
            wrong.push(block);
        }
        proved.push(own);
    }
    Ok((proved, wrong))
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
    mut sink: BlockSink,
    (blocks, kept): (Blocks, u32),
    (stream, digests, pace): (&mut RecvStream, SendStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    match verified(&mut sink, (blocks, kept), (stream, digests, pace), progress, sent).await {
        Ok(tally) => {
            sink.commit().await?;
            Ok(tally)
        }
        Err(error) => {
            match error.broke_off() {
                true => sink.set_aside().await,
                false => sink.discard().await,
            }
            Err(error)
        }
    }
}

async fn verified<E>(
    sink: &mut BlockSink,
    (blocks, kept): (Blocks, u32),
    (stream, digests, pace): (&mut RecvStream, SendStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let prover = sink.prover();
    let told = tell(&prover, kept, digests);
    let taken = take(sink, (blocks, kept), (stream, pace), progress);
    let received = match tokio::try_join!(async { Ok(told.await?) }, taken) {
        // A sender that stopped reports the reason itself.
        Err(stopped @ ReceiveError::Stream(_)) => Err(stopped),
        received => Ok(received?),
    };
    let sent = flow::reported(sent).await?;
    let (told, came) = received?;
    let mut whole = Vec::with_capacity(blocks.count() as usize);
    for (block, came) in (0..).zip(came) {
        whole.push(match (came, told.get(block as usize)) {
            (Some(digest), _) | (None, Some(&digest)) => digest,
            (None, None) => prover.digest(block).await?,
        });
    }
    let received = Tally { bytes: blocks.size(), blake3: blocks.digest(&whole) };
    received.verify(&sent, "the file").map_err(ReceiveError::Mismatch)?;
    Ok(received)
}

/// Sends the digests of the blocks that are there. A sender that needs no more of them stops the stream.
async fn tell(prover: &Prover, kept: u32, mut digests: SendStream) -> Result<Vec<BlockDigest>, StoreError> {
    let mut told = Vec::new();
    for block in 0..kept {
        let digest = prover.digest(block).await?;
        told.push(digest);
        if digests.write_all(digest.to_vec().into()).await.is_err() {
            return Ok(told);
        }
    }
    digests.finish();
    Ok(told)
}

/// Receives the blocks that come; gives the digest of each of them.
async fn take<E>(
    sink: &mut BlockSink,
    (blocks, kept): (Blocks, u32),
    (stream, pace): (&mut RecvStream, &Pace),
    mut progress: impl FnMut(u64),
) -> Result<Vec<Option<BlockDigest>>, ReceiveError<E>> {
    let mut arrivals = Arrivals::new(blocks, kept);
    let mut came = vec![None; blocks.count() as usize];
    let mut there = blocks.range(kept).map_or(blocks.size(), |range| range.start);
    progress(there);
    loop {
        let mut number = [0; NUMBER];
        let Some(first) = stream.read(NUMBER).await? else { break };
        number[..first.len()].copy_from_slice(&first);
        whole(fill(stream, &mut number[first.len()..]).await?)?;
        let (block, range) = arrivals.begin(number).map_err(ReceiveError::Mismatch)?;
        sink.begin(block).await?;
        let mut left = range.end - range.start;
        while left > 0 {
            let data = flow::read(stream, pace, usize::try_from(left).unwrap_or(usize::MAX)).await?;
            let Some(data) = data else { return whole(false).map(|()| Vec::new()) };
            left -= data.len() as u64;
            there = blocks.size().min(there + data.len() as u64);
            sink.write(data).await?;
            progress(there);
        }
        came[block as usize] = Some(sink.end().await?);
    }
    arrivals.end().map_err(ReceiveError::Mismatch)?;
    Ok(came)
}

fn whole<E>(whole: bool) -> Result<(), ReceiveError<E>> {
    match whole {
        true => Ok(()),
        false => Err(ReceiveError::Mismatch(Fault::peer(Code::BadMessage, "the data end in the middle of a block"))),
    }
}
