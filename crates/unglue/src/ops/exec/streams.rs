//! One output of a running command, and its input.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::{Code, Meter};

use super::check::{Observation, Observed, ObservedEnd};
use crate::ops::job::{End, Piece, Replay};

/// What is put through [`AsyncWrite`] at once: it is copied.
const WRITE: usize = 64 * 1024;

/// Counts and digests a stream, and reports once what it was.
struct Account {
    meter: Meter,
    to: Option<oneshot::Sender<Observed>>,
}

impl Account {
    fn new() -> (Account, Observation) {
        let (sender, receiver) = oneshot::channel();
        (Account { meter: Meter::default(), to: Some(sender) }, Observation::Awaited(receiver))
    }

    fn end(&mut self, end: ObservedEnd) {
        if let Some(to) = self.to.take() {
            // Nobody may be waiting for it.
            let _ = to.send(Observed { tally: self.meter.tally(), end });
        }
    }
}

/// One output of a running command.
///
/// Dropped before its end, it is *abandoned*: the command's next write to it fails, and the report says so.
pub struct Output {
    source: Source,
    account: Account,
}

enum Source {
    Direct(RecvStream),
    /// From link to link: the channel, and what was left of its last piece.
    Followed {
        pieces: mpsc::Receiver<Piece>,
        rest: Bytes,
        /// A picture came in place of some of it.
        pictured: bool,
    },
}

impl Source {
    fn poll_read(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        match self {
            Source::Direct(stream) => stream.poll_read(cx, max),
            Source::Followed { pieces, rest, pictured } => {
                if rest.is_empty() {
                    match ready!(pieces.poll_recv(cx)) {
                        Some(Piece::Data(data)) => *rest = data,
                        Some(Piece::Picture(data)) => (*rest, *pictured) = (data, true),
                        Some(Piece::Cut(error)) => return Poll::Ready(Err(error)),
                        Some(Piece::End) => return Poll::Ready(Ok(None)),
                        None => return Poll::Ready(Err(StreamError::Reset(Code::Internal))),
                    }
                }
                Poll::Ready(Ok(Some(rest.split_to(max.min(rest.len())))))
            }
        }
    }
}

impl Output {
    pub(super) fn new(stream: RecvStream) -> (Output, Observation) {
        let (account, observation) = Account::new();
        (Output { source: Source::Direct(stream), account }, observation)
    }

    /// The output of a command that is followed.
    pub(super) fn followed(pieces: mpsc::Receiver<Piece>) -> (Output, Observation) {
        let (account, observation) = Account::new();
        (Output { source: Source::Followed { pieces, rest: Bytes::new(), pictured: false }, account }, observation)
    }

    /// Reads at most `max` bytes, at least one; `None` is the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The output broke off: the link ended, or the server could not read it.
    pub async fn read(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        std::future::poll_fn(|cx| self.poll_read_bytes(cx, max)).await
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        let data = ready!(self.source.poll_read(cx, max));
        match &data {
            Ok(Some(data)) => self.account.meter.pass(data),
            Ok(None) if matches!(self.source, Source::Followed { pictured: true, .. }) => {
                self.account.end(ObservedEnd::Pictured)
            }
            Ok(None) => self.account.end(ObservedEnd::Whole),
            Err(error) => self.account.end(ObservedEnd::Cut(error.clone())),
        }
        Poll::Ready(data)
    }
}

impl AsyncRead for Output {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let data = ready!(self.poll_read_bytes(cx, buf.remaining())).map_err(to_io)?;
        if let Some(data) = data {
            buf.put_slice(&data);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.account.end(ObservedEnd::Abandoned);
    }
}

/// The input of a running command.
///
/// Dropped without [`Input::finish`], it breaks the input off, which kills the command: a part of its input must not pass for
/// the whole. Only a command that outlives its link is left alone then, and its input stays open for the next client that
/// holds it; [`Input::abort`] breaks it off.
pub struct Input {
    target: Target,
    account: Account,
}

enum Target {
    Direct(SendStream),
    /// From link to link.
    Followed(Replay),
    Ended,
}

impl Input {
    pub(super) fn new(stream: SendStream) -> (Input, Observation) {
        let (account, observation) = Account::new();
        (Input { target: Target::Direct(stream), account }, observation)
    }

    /// The input of a command that is followed.
    pub(super) fn followed(replay: Replay) -> (Input, Observation) {
        let (account, observation) = Account::new();
        (Input { target: Target::Followed(replay), account }, observation)
    }

    /// Writes all of `data`. Cancelled, it has written some prefix of it.
    ///
    /// # Errors
    /// The command reads no more, or the link has ended.
    pub async fn write_all(&mut self, mut data: Bytes) -> Result<(), StreamError> {
        while !data.is_empty() {
            std::future::poll_fn(|cx| self.poll_write_bytes(cx, &mut data)).await?;
        }
        Ok(())
    }

    /// Takes some of `data` off its front.
    fn poll_write_bytes(&mut self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), StreamError>> {
        let mut taken = data.clone();
        let written = ready!(match &mut self.target {
            Target::Direct(stream) => stream.poll_write(cx, data),
            Target::Followed(replay) => replay.poll_write(cx, data),
            Target::Ended => return Poll::Ready(Err(StreamError::Reset(Code::Cancelled))),
        });
        taken.truncate(taken.len() - data.len());
        self.account.meter.pass(&taken);
        if let Err(error) = &written {
            self.account.end(ObservedEnd::Cut(error.clone()));
        }
        Poll::Ready(written)
    }

    /// Waits until the command reads no more, or the link has ended. Cancelling it loses nothing.
    pub async fn stopped(&mut self) {
        match &mut self.target {
            Target::Direct(stream) => drop(stream.stopped().await),
            Target::Followed(replay) => replay.closed().await,
            Target::Ended => {}
        }
    }

    /// Ends the input: the command sees its end of file.
    pub fn finish(mut self) {
        self.end();
    }

    /// Breaks the input off: the command is killed, since it must not take what it has for the whole.
    pub fn abort(mut self) {
        if let Target::Followed(replay) = &self.target {
            replay.end(End::Cancelled);
        }
        self.target = Target::Ended;
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.target, Target::Ended) {
            Target::Direct(stream) => stream.finish(),
            Target::Followed(replay) => replay.end(End::Finished),
            Target::Ended => return,
        }
        self.account.end(ObservedEnd::Whole);
    }
}

/// Shutting it down is [`Input::finish`].
impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut data = Bytes::copy_from_slice(&buf[..buf.len().min(WRITE)]);
        let whole = data.len();
        ready!(self.poll_write_bytes(cx, &mut data)).map_err(to_io)?;
        Poll::Ready(Ok(whole - data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Target::Followed(replay) = &self.target {
            replay.end(End::Left);
        }
        self.account.end(ObservedEnd::Abandoned);
    }
}

fn to_io(error: StreamError) -> io::Error {
    let kind = match &error {
        StreamError::Lost(_) => io::ErrorKind::ConnectionAborted,
        StreamError::Reset(_) => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use unglue_link::{Link, memory};

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime
            .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(10), test).await })
            .expect("in time");
    }

    async fn stream(from: &Link, to: &Link) -> (SendStream, RecvStream) {
        let send = from.open_unidirectional().await.expect("a stream");
        let recv = to.claim(send.number()).expect("the same stream");
        (send, recv)
    }

    fn observed(observation: &mut Observation) -> Observed {
        let Observation::Awaited(receiver) = observation else { panic!("{observation:?}") };
        receiver.try_recv().expect("it has ended")
    }

    #[test]
    fn streams_are_read_and_written_as_tokio_does() {
        run(async {
            let (client, server) = memory();
            let (send, recv) = stream(&client, &server).await;
            let (mut input, mut written) = Input::new(send);
            let (mut output, mut read) = Output::new(recv);
            let data: Vec<u8> = (0..1_000_003u64).map(|number| (number * number % 251) as u8).collect();
            let writing = async {
                input.write_all_buf(&mut &data[..]).await.expect("it is taken");
                input.shutdown().await.expect("it ends");
            };
            let mut got = Vec::new();
            let (_, read_bytes) = tokio::join!(writing, output.read_to_end(&mut got));
            assert_eq!((read_bytes.expect("no error"), got == data), (data.len(), true));
            let (written, read) = (observed(&mut written), observed(&mut read));
            assert_eq!(written.tally, read.tally);
            assert!(matches!((written.end, read.end), (ObservedEnd::Whole, ObservedEnd::Whole)));
        });
    }

    /// What a cancelled write has put into the stream is counted, and no more.
    #[test]
    fn a_cancelled_write_counts_what_was_taken() {
        run(async {
            let (client, server) = memory();
            let (send, mut recv) = stream(&client, &server).await;
            let (mut input, mut written) = Input::new(send);
            let data = Bytes::from(vec![7; 8 << 20]);
            {
                let mut writing = std::pin::pin!(Input::write_all(&mut input, data));
                // Nobody reads, so it can't end.
                let once = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx).is_pending())).await;
                assert!(once);
            }
            input.finish();
            let mut received = 0;
            while let Some(bytes) = recv.read(usize::MAX).await.expect("no error") {
                received += bytes.len() as u64;
            }
            assert_eq!(observed(&mut written).tally.bytes, received);
            assert!(received > 0);
        });
    }

    #[test]
    fn an_input_that_is_dropped_is_cut_for_its_reader() {
        run(async {
            let (client, server) = memory();
            let (send, mut recv) = stream(&client, &server).await;
            let (mut input, _written) = Input::new(send);
            Input::write_all(&mut input, "half".into()).await.expect("it is taken");
            drop(input);
            let mut last = recv.read(100).await;
            while let Ok(Some(_)) = last {
                last = recv.read(100).await;
            }
            assert!(matches!(last, Err(StreamError::Reset(Code::Cancelled))), "{last:?}");
        });
    }
}
