//! The end that has the old file, and makes the new one.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use tokio::sync::mpsc;
use unglue_host::store::{BlockSource, Sink, StoreError, Summed, Working};
use unglue_link::{RecvStream, SendStream};
use unglue_proto::delta::{FINE, GROUP, Group, Record, Rules, SUM};
use unglue_proto::message::Tally;
use unglue_proto::message::transfer::Old;
use unglue_proto::{Code, Fault};

use super::super::resume::fill;
use super::Basis;
use super::recent::Recent;
use crate::ops::flow::{self, ReceiveError};
use crate::ops::pace::Pace;

/// Bytes of the old file that are read at once.
const PART: u64 = 512 * 1024;
/// Parts of the old file that are read for the sums of its blocks at the same time.
const SUMMED: usize = 2;
/// Questions that are answered at the same time.
const ANSWERED: usize = 2;
/// Questions that wait for that.
const QUESTIONS: usize = 1024;
/// Parts of the new file that are read, or have come, while others are written. None is longer than [`PART`].
const PIECES: usize = 8;

/// Receives a file of `size` bytes, waits for the sender's figures, and commits the sink if both agree. In every other case the
/// sink is discarded before this returns, or set aside if the transfer only broke off.
pub(in crate::ops::transfer) async fn receive<K: Sink, E>(
    mut sink: K,
    basis: Basis,
    size: u64,
    (stream, pace): (&mut RecvStream, &Pace),
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let Basis { old, file, sums } = basis;
    let (ask, asked) = mpsc::channel(QUESTIONS);
    let (give, given) = mpsc::channel(PIECES);
    let recent = Recent::default();
    let telling = async { tell((&file, &recent), &old, sums, asked).await.map_err(unusable) };
    let making = async {
        let rules = Rules::new(old.size, size);
        let taking = take((&file, &recent), rules, (stream, pace), (ask, give));
        let writing = write(&mut sink, given, progress);
        tokio::pin!(taking, writing);
        tokio::select! {
            biased;
            // It ends first only if it fails.
            written = &mut writing => written,
            // What came before an error is written all the same.
            taken = &mut taking => writing.await.and(taken),
        }
    };
    let received = tokio::try_join!(telling, making).map(|_| ());
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
    let concluded = flow::conclude(sink, verified, stream).await;
    file.close();
    concluded
}

/// The old file can't be read, or is another one by now: the new one has to be sent whole.
fn unusable<E>(error: StoreError) -> ReceiveError<E> {
    let what = format!("the file that is replaced can't be used: {}", Fault::from(error).what);
    ReceiveError::Mismatch(Fault::system(Code::Mismatch, what))
}

/// Sends the sums of all blocks, and those that are asked for; ends when nothing more can be asked.
async fn tell(
    (file, recent): (&BlockSource, &Recent),
    old: &Old,
    mut sums: SendStream,
    mut asked: mpsc::Receiver<Range<u64>>,
) -> Result<(), StoreError> {
    let step = PART.max(u64::from(old.block));
    let (mut parts, mut answers) = (VecDeque::new(), VecDeque::new());
    // Where the next part is that is read, and the next one that is sent.
    let (mut at, mut told) = (0, 0);
    loop {
        let end = old.size.min(at + step);
        let group = tokio::select! {
            biased;
            range = asked.recv(), if answers.len() < ANSWERED => {
                let Some(range) = range else { break };
                answers.push_back(file.sums(range, FINE, old.seed));
                continue;
            }
            summed = first(&mut answers) => group(&summed?, Group::Answer),
            summed = first(&mut parts) => {
                let summed = summed?;
                let group = group(&summed, Group::Blocks);
                let start = told;
                told += summed.bytes.len() as u64;
                recent.keep(start, summed.bytes);
                group
            }
            () = recent.room(at..end), if parts.len() < SUMMED && at < old.size => {
                parts.push_back(file.sums(at..end, old.block, old.seed));
                at = end;
                continue;
            }
        };
        if sums.write_all(group).await.is_err() {
            // The sender wants no more of them.
            return Ok(());
        }
    }
    sums.finish();
    Ok(())
}

/// The first of them, once it is read; never if there is none. A dropped call loses nothing.
async fn first<T>(reading: &mut VecDeque<Working<T>>) -> Result<T, StoreError> {
    let Some(first) = reading.front_mut() else { return std::future::pending().await };
    let read = first.await;
    reading.pop_front();
    read
}

fn group(summed: &Summed, header: impl FnOnce(u32) -> Group) -> Bytes {
    let header = header(u32::try_from(summed.sums.len() / SUM).unwrap_or(0)).encode();
    let mut bytes = Vec::with_capacity(GROUP + summed.sums.len());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&summed.sums);
    bytes.into()
}

/// What comes next in the new file.
enum Piece {
    There(Bytes),
    Read(Working<Bytes>),
}

/// Takes the records that come: begins to read what they name of the old file, and passes everything on in order.
async fn take<E>(
    (file, recent): (&BlockSource, &Recent),
    mut rules: Rules,
    (stream, pace): (&mut RecvStream, &Pace),
    (ask, give): (mpsc::Sender<Range<u64>>, mpsc::Sender<Piece>),
) -> Result<(), ReceiveError<E>> {
    while let Some(kind) = stream.read(1).await? {
        let mut rest = vec![0; Record::rest(kind[0]).map_err(ReceiveError::Mismatch)?];
        if !fill(stream, &mut rest).await? {
            return Err(cut());
        }
        let record = Record::decode(kind[0], &rest).ok_or_else(cut)?;
        rules.check(&record).map_err(ReceiveError::Mismatch)?;
        match record {
            Record::New(len) => {
                let mut left = len as usize;
                while left > 0 {
                    let Some(data) = flow::read(stream, pace, left).await? else { return Err(cut()) };
                    left -= data.len();
                    if give.send(Piece::There(data)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Record::Old { from, len } => {
                let mut at = from;
                while at < from + len {
                    let end = (from + len).min((at / PART + 1) * PART);
                    let Ok(room) = give.reserve().await else { return Ok(()) };
                    room.send(match recent.find(at..end) {
                        Some(bytes) => Piece::There(bytes),
                        None => Piece::Read(file.bytes(at..end)),
                    });
                    at = end;
                }
            }
            // A sender that wants no more sums has stopped the stream.
            Record::Ask { from, len } => drop(ask.send(from..from + u64::from(len)).await),
        }
    }
    Ok(())
}

/// Writes what comes next in the new file. `progress` is called with the bytes that it has so far.
async fn write<E>(
    sink: &mut impl Sink,
    mut given: mpsc::Receiver<Piece>,
    mut progress: impl FnMut(u64),
) -> Result<(), ReceiveError<E>> {
    let mut done = 0;
    while let Some(piece) = given.recv().await {
        let bytes = match piece {
            Piece::There(bytes) => bytes,
            Piece::Read(reading) => reading.await.map_err(unusable)?,
        };
        done += bytes.len() as u64;
        sink.write(bytes).await?;
        progress(done);
    }
    Ok(())
}

fn cut<E>() -> ReceiveError<E> {
    ReceiveError::Mismatch(Fault::peer(Code::BadMessage, "the data end in the middle of a record"))
}
