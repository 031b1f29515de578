//! Bytes between a store and a stream.
//!
//! Any [`Source`] can be sent and any [`Sink`] filled. Both hold a few pieces, so that reading, digesting, encrypting and
//! writing overlap; while a peer sends nothing they hold no thread.

use std::future::Future;

use bytes::Bytes;
use tokio::time::timeout;
use unglue_host::store::{Sink, Source, StoreError};
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::limits::FINAL_MESSAGE;
use unglue_proto::message::Tally;
use unglue_proto::{Code, Fault};

use super::pace::Pace;

/// Bytes that are taken from a stream at once.
const PIECE: usize = 256 * 1024;

/// A file of this size gets credit for all that a long link holds, at once. A smaller one is through before that would help.
const LARGE: u64 = 1024 * 1024;

/// Lets much of a large file be on its way at once: otherwise its credit begins with a first window and takes a turn of the link
/// for each time that it doubles.
pub(crate) fn widen(stream: &RecvStream, size: Option<u64>) {
    if size.is_some_and(|size| size >= LARGE) {
        stream.widen();
    }
}

/// Why a source was not sent whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It can't be read, or it changed meanwhile.
    #[error(transparent)]
    Source(#[from] StoreError),
    /// The reader wants no more, or the link has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The receiver reported something that makes no sense.
    #[error("{0}")]
    Receiver(Fault),
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Fault {
        match error {
            SendError::Source(error) => error.into(),
            SendError::Stream(error) => error.into(),
            SendError::Receiver(fault) => fault,
        }
    }
}

/// Sends a whole source, and finishes the stream. `progress` is called with the bytes sent so far.
///
/// # Errors
/// The stream is reset then.
pub(crate) async fn send(
    mut source: impl Source,
    mut stream: SendStream,
    pace: &Pace,
    mut progress: impl FnMut(u64),
) -> Result<Tally, SendError> {
    let mut sent = 0;
    loop {
        let piece = tokio::select! {
            biased;
            piece = source.next() => piece?,
            // A source may wait for its bytes for as long as it likes.
            error = stream.stopped() => return Err(error.into()),
        };
        let Some(piece) = piece else { break };
        write(&mut stream, piece, pace, |bytes| {
            sent += bytes;
            progress(sent);
        })
        .await?;
    }
    let tally = source.finish().await?;
    stream.finish();
    Ok(tally)
}

/// Writes a piece, at the pace that is set. `passed` is called with the bytes of each part.
pub(super) async fn write(
    stream: &mut SendStream,
    mut piece: Bytes,
    pace: &Pace,
    mut passed: impl FnMut(u64),
) -> Result<(), StreamError> {
    while !piece.is_empty() {
        pace.ready().await;
        let part = piece.split_to(pace.piece(piece.len()));
        let bytes = part.len();
        pace.spend(bytes);
        stream.write_all(part).await?;
        passed(bytes as u64);
    }
    Ok(())
}

/// Reads at most `most` bytes, at the pace that is set.
pub(super) async fn read(stream: &mut RecvStream, pace: &Pace, most: usize) -> Result<Option<Bytes>, StreamError> {
    pace.ready().await;
    let data = stream.read(pace.piece(most.min(PIECE))).await?;
    pace.spend(data.as_ref().map_or(0, Bytes::len));
    Ok(data)
}

/// Why a sink was not filled. `E` is why the sender didn't send all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError<E> {
    /// It can't be written.
    #[error(transparent)]
    Sink(#[from] StoreError),
    /// The sender stopped, or the link has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The sender reported why it stopped, or sent a message that could not be read.
    #[error("{0}")]
    Sender(E),
    /// More than announced came.
    #[error("more than the {0} bytes came that were announced")]
    TooMany(u64),
    /// The data ended, and no figures came.
    #[error("all data has come, but within {} s nothing said how many bytes it was", FINAL_MESSAGE.as_secs())]
    Unsaid,
    /// What came is not what was sent.
    #[error("{0}")]
    Mismatch(Fault),
}

impl<E> ReceiveError<E> {
    /// Whether the transfer only broke off: what came may be kept for the next one.
    pub(super) fn broke_off(&self) -> bool {
        matches!(self, ReceiveError::Stream(_) | ReceiveError::Sender(_) | ReceiveError::Unsaid)
    }
}

/// Receives the whole stream, waits for the sender's figures, and commits the sink if both agree. In every other
/// case the sink is discarded before this returns, or set aside if the transfer only broke off.
///
/// `most` bytes may come at most. `progress` is called with the bytes received so far.
pub(crate) async fn receive<K: Sink, E>(
    mut sink: K,
    (stream, pace): (&mut RecvStream, &Pace),
    most: u64,
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let verified = verified(&mut sink, (stream, pace), most, progress, sent).await;
    conclude(sink, verified, stream).await
}

/// Commits a sink whose content, all of `stream`, is verified; otherwise discards it, or sets it aside if the transfer only broke off.
pub(super) async fn conclude<E>(
    sink: impl Sink,
    verified: Result<Tally, ReceiveError<E>>,
    stream: &RecvStream,
) -> Result<Tally, ReceiveError<E>> {
    match verified {
        Ok(tally) => {
            let _counted = stream.being_synced();
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
    sink: &mut impl Sink,
    (stream, pace): (&mut RecvStream, &Pace),
    most: u64,
    progress: impl FnMut(u64),
    sent: impl Future<Output = Result<Tally, E>>,
) -> Result<Tally, ReceiveError<E>> {
    let received = match fill(sink, (stream, pace), most, progress).await {
        // A sender that stopped reports the reason itself.
        Err(stopped @ ReceiveError::Stream(_)) => Err(stopped),
        received => Ok(received?),
    };
    let sent = reported(sent).await?;
    let received = received?;
    received.verify(&sent, "the file").map_err(ReceiveError::Mismatch)?;
    Ok(received)
}

/// The sender's figures, which must come soon after the data.
pub(super) async fn reported<E>(sent: impl Future<Output = Result<Tally, E>>) -> Result<Tally, ReceiveError<E>> {
    timeout(FINAL_MESSAGE, sent).await.map_err(|_| ReceiveError::Unsaid)?.map_err(ReceiveError::Sender)
}

async fn fill<E>(
    sink: &mut impl Sink,
    (stream, pace): (&mut RecvStream, &Pace),
    most: u64,
    mut progress: impl FnMut(u64),
) -> Result<Tally, ReceiveError<E>> {
    let mut received = 0;
    loop {
        let Some(data) = read(stream, pace, PIECE).await? else { break };
        received += data.len() as u64;
        if received > most {
            return Err(ReceiveError::TooMany(most));
        }
        sink.write(data).await?;
        progress(received);
    }
    Ok(sink.written().await?)
}

impl<E: Into<Fault> + std::fmt::Display> From<ReceiveError<E>> for Fault {
    fn from(error: ReceiveError<E>) -> Fault {
        let text = error.to_string();
        match error {
            ReceiveError::Sink(error) => error.into(),
            ReceiveError::Stream(error) => error.into(),
            ReceiveError::Sender(error) => error.into(),
            ReceiveError::Mismatch(fault) => fault,
            ReceiveError::TooMany(_) => Fault::peer(Code::LimitExceeded, text)
                .advise("the rest was not taken: copy it again when nothing changes the file"),
            ReceiveError::Unsaid => Fault::peer(Code::TimedOut, text).advise("copy it again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_file_gets_much_credit_at_once_and_a_small_one_does_not() {
        for (size, wide) in [(None, false), (Some(LARGE - 1), false), (Some(LARGE), true), (Some(u64::MAX), true)] {
            let (client, server) = unglue_link::memory();
            let sender = client.open_unidirectional().await.expect("a stream");
            let receiver = server.claim(2).expect("the client's first one");
            widen(&receiver, size);
            let [_, windows, _] = server.memory_taken();
            assert_eq!(windows >= 1 << 20, wide, "{windows} bytes of credit for {size:?}");
            drop((sender, receiver));
            assert_eq!(server.memory_taken(), [0; 3], "all of it comes back");
        }
    }
}
