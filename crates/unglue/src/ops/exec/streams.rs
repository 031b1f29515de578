//! One output of a running command, and its input.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use unglue_link::{RecvStream, SendStream, StreamError};
use unglue_proto::{Code, Meter};

use super::check::{Observation, Observed, ObservedEnd};

/// What is put through [`AsyncWrite`] at once: it is copied.
const WRITE: usize = 64 * 1024;

/// Reports what a stream was once it has ended.
struct Report {
    meter: Meter,
    to: Option<oneshot::Sender<Observed>>,
}

impl Report {
    fn new() -> (Report, Observation) {
        let (sender, receiver) = oneshot::channel();
        (Report { meter: Meter::default(), to: Some(sender) }, Observation::Awaited(receiver))
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
    stream: RecvStream,
    report: Report,
}

impl Output {
    pub(super) fn new(stream: RecvStream) -> (Output, Observation) {
        let (report, observation) = Report::new();
        (Output { stream, report }, observation)
    }

    /// Reads at most `max` bytes, at least one; `None` is the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The output broke off: the link ended, or the server could not read it.
    pub async fn read(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        std::future::poll_fn(|cx| self.poll_read_bytes(cx, max)).await
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        let data = ready!(self.stream.poll_read(cx, max));
        match &data {
            Ok(Some(data)) => self.report.meter.pass(data),
            Ok(None) => self.report.end(ObservedEnd::Whole),
            Err(error) => self.report.end(ObservedEnd::Cut(error.clone())),
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
        self.report.end(ObservedEnd::Abandoned);
    }
}

/// The input of a running command.
///
/// Dropped without [`Input::finish`], it breaks the input off, which kills the command: a part of its input must not pass for
/// the whole.
pub struct Input {
    stream: Option<SendStream>,
    report: Report,
}

impl Input {
    pub(super) fn new(stream: SendStream) -> (Input, Observation) {
        let (report, observation) = Report::new();
        (Input { stream: Some(stream), report }, observation)
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
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(StreamError::Reset(Code::Cancelled))) };
        let mut taken = data.clone();
        let written = ready!(stream.poll_write(cx, data));
        taken.truncate(taken.len() - data.len());
        self.report.meter.pass(&taken);
        if let Err(error) = &written {
            self.report.end(ObservedEnd::Cut(error.clone()));
        }
        Poll::Ready(written)
    }

    /// Waits until the command reads no more, or the link has ended. Cancelling it loses nothing.
    pub async fn stopped(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.stopped().await;
        }
    }

    /// Ends the input: the command sees its end of file.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.finish();
            self.report.end(ObservedEnd::Whole);
        }
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
        self.report.end(ObservedEnd::Abandoned);
    }
}

fn to_io(error: StreamError) -> io::Error {
    let kind = match &error {
        StreamError::Lost(_) => io::ErrorKind::ConnectionAborted,
        StreamError::Reset(_) => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}
