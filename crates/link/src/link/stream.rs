//! The two halves of a stream, as an operation uses them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use unglue_proto::mux::{Compression, Direction, Read, StreamId};
use unglue_proto::{Code, Fault};

use super::waits::{Counted, Streams};
use super::{Shared, State, StreamWakers, wake};
use crate::error::LinkError;

/// Why a stream can't go on. The protocol has no third way.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// The peer gave this stream up, or this end did; the link goes on.
    #[error("the stream was reset ({0:?})")]
    Reset(Code),
    /// The link has ended.
    #[error(transparent)]
    Lost(LinkError),
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Fault {
        match error {
            StreamError::Lost(error) => error.into(),
            StreamError::Reset(Code::GoingAway) => {
                Fault::system(Code::GoingAway, "the server is stopping and takes no new operations")
                    .advise("try again when it is back")
            }
            StreamError::Reset(Code::Busy) => {
                let what = "too much of what was sent is waiting to be read, so this operation was refused";
                Fault::system(Code::Busy, what).advise("let other operations end, and try again")
            }
            StreamError::Reset(code) => Fault::peer(code, format!("the peer gave the stream up ({code:?})")),
        }
    }
}

/// The writing half. Dropped unfinished, it resets the stream, so that its reader never takes a part for the whole.
pub struct SendStream {
    shared: Arc<Shared>,
    id: StreamId,
    done: bool,
    /// Whether it waits for room.
    waits: bool,
    compression: Compression,
}

impl SendStream {
    pub(super) fn new(shared: Arc<Shared>, id: StreamId) -> SendStream {
        if carries_data(id) {
            shared.lock().counted.sending.open();
        }
        SendStream { shared, id, done: false, waits: false, compression: Compression::Off }
    }

    /// Its number, to be named in a control message.
    pub fn number(&self) -> u64 {
        self.id.0
    }

    /// Writes all of `data`, waiting for room as often as need be. Cancelled, it has written some prefix of it.
    ///
    /// # Errors
    /// The reader stopped the stream, or the link has ended.
    pub async fn write_all(&mut self, mut data: Bytes) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_write_all(cx, &mut data)).await
    }

    /// Takes some of `data` off its front, at least a byte unless it is empty; waits where there is no room for one.
    ///
    /// # Errors
    /// The reader stopped the stream, or the link has ended.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), StreamError>> {
        let before = data.len();
        match self.poll_write_all(cx, data) {
            Poll::Pending if data.len() < before => Poll::Ready(Ok(())),
            poll => poll,
        }
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), StreamError>> {
        let mut state = self.shared.lock();
        if let Some(error) = &state.lost {
            return Poll::Ready(Err(StreamError::Lost(error.clone())));
        }
        *data = state.mux.write(self.id, std::mem::take(data)).map_err(|code| state.reset_with(code))?;
        let driver = state.driver.take();
        note_wait(&mut state, (self.id, Half::Sending), &mut self.waits, !data.is_empty());
        if !data.is_empty() {
            state.wakers.entry(self.id).or_default().writer = Some(cx.waker().clone());
        }
        drop(state);
        wake(driver);
        if data.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Keeps little of what is written on its way ([`Mux::narrow`](unglue_proto::mux::Mux::narrow)).
    pub fn narrow(&self) {
        self.shared.lock().mux.narrow(self.id);
    }

    /// Compresses what is written from now on, if the peer takes that. The reader gets the same bytes.
    pub fn compress(&mut self, compression: Compression) {
        self.compression = compression;
        self.shared.lock().mux.compress(self.id, compression);
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Waits until the reader gives the stream up, or the link has ended. Cancelling it loses nothing.
    pub async fn stopped(&mut self) -> StreamError {
        poll_fn(|cx| match self.poll_write_all(cx, &mut Bytes::new()) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => {
                self.shared.lock().wakers.entry(self.id).or_default().writer = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// Ends the stream: what was written will arrive, and then the end.
    pub fn finish(mut self) {
        self.done = true;
        self.shared.lock().mux.finish(self.id);
        self.shared.wake_driver();
    }

    /// Resets the stream: the reader gets `code`, so that it knows that what it has is not all.
    pub fn reset(mut self, code: Code) {
        self.give_up(code);
    }

    fn give_up(&mut self, code: Code) {
        self.done = true;
        self.shared.lock().mux.reset(self.id, code);
        self.shared.wake_driver();
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.done {
            self.give_up(Code::Cancelled);
        }
        if carries_data(self.id) {
            self.shared.lock().counted.sending.close(self.waits);
        }
        forget_waker(&self.shared, self.id, |wakers| wakers.writer = None);
    }
}

impl SendStream {
    /// Counts this stream as waiting for what the other end has of its content, until the guard is dropped ([`Link::waits`](super::Link::waits)).
    pub fn being_compared(&self) -> CountedApart {
        CountedApart::begin(&self.shared, self.id, |counted| &mut counted.sending)
    }
}

/// The reading half. Dropped before its end, it sends the writer a stop.
pub struct RecvStream {
    shared: Arc<Shared>,
    id: StreamId,
    done: bool,
    /// Whether it waits for data.
    waits: bool,
}

impl RecvStream {
    pub(super) fn new(shared: Arc<Shared>, id: StreamId) -> RecvStream {
        if carries_data(id) {
            shared.lock().counted.receiving.open();
        }
        RecvStream { shared, id, done: false, waits: false }
    }

    /// Reads at most `max` bytes, at least one; `None` is the end that the writer meant. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The writer reset the stream, or the link has ended: what was read so far is not all.
    pub async fn read(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        let mut read = Reading { stream: self, waits: false };
        poll_fn(|cx| {
            let polled = read.stream.poll_read(cx, max);
            read.waits = polled.is_pending();
            polled
        })
        .await
    }

    /// Lets little more be on its way than was read ([`Mux::narrow`](unglue_proto::mux::Mux::narrow)).
    pub fn narrow(&self) {
        self.shared.lock().mux.narrow(self.id);
    }

    /// Lets much be on its way at once ([`Mux::widen`](unglue_proto::mux::Mux::widen)).
    pub fn widen(&self) {
        self.shared.lock().mux.widen(self.id);
        self.shared.wake_driver();
    }

    /// Counts bytes that the reader keeps of this stream against the link's memory.
    pub fn hold(&self) -> Held {
        Held { shared: self.shared.clone(), id: self.id, bytes: 0 }
    }

    /// Counts what was read of this stream, which has ended, as being synced until the guard is dropped
    /// ([`Link::waits`](super::Link::waits)). Drop it before the stream.
    pub fn being_synced(&self) -> CountedApart {
        CountedApart::begin(&self.shared, self.id, |counted| &mut counted.receiving)
    }

    /// Reads no more of a stream whose writer is about to end it anyway, without a word to the writer.
    pub fn ignore(mut self) {
        self.done = true;
        self.shared.lock().mux.ignore(self.id);
    }

    /// See [`RecvStream::read`].
    pub fn poll_read(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, StreamError>> {
        let mut state = self.shared.lock();
        let result = match state.mux.read(self.id, max) {
            Read::Data(data) => Ok(Some(data)),
            Read::Finished => {
                self.done = true;
                Ok(None)
            }
            Read::Reset(code) => {
                self.done = true;
                Err(state.reset_with(code))
            }
            Read::Blocked => match &state.lost {
                Some(error) => Err(StreamError::Lost(error.clone())),
                None => {
                    state.wakers.entry(self.id).or_default().reader = Some(cx.waker().clone());
                    note_wait(&mut state, (self.id, Half::Receiving), &mut self.waits, true);
                    return Poll::Pending;
                }
            },
        };
        note_wait(&mut state, (self.id, Half::Receiving), &mut self.waits, false);
        let driver = if state.mux.has_output() { state.driver.take() } else { None };
        drop(state);
        wake(driver);
        Poll::Ready(result)
    }
}

/// A read under way. Cancelled, it leaves no waker behind.
struct Reading<'a> {
    stream: &'a mut RecvStream,
    waits: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.waits {
            forget_waker(&self.stream.shared, self.stream.id, |wakers| wakers.reader = None);
        }
    }
}

/// A stream is counted as what it is until this is dropped: being synced, or compared.
pub struct CountedApart(Option<(Arc<Shared>, Of)>);

type Of = fn(&mut Counted) -> &mut Streams;

impl CountedApart {
    fn begin(shared: &Arc<Shared>, id: StreamId, direction: Of) -> CountedApart {
        CountedApart(carries_data(id).then(|| {
            direction(&mut shared.lock().counted).begin_other();
            (shared.clone(), direction)
        }))
    }
}

impl Drop for CountedApart {
    fn drop(&mut self) {
        if let Some((shared, direction)) = &self.0 {
            direction(&mut shared.lock().counted).end_other();
        }
    }
}

/// Bytes that a reader keeps of a control stream, such as half a message, or a request that is being served. They count
/// against the memory of the link until this is dropped.
pub struct Held {
    shared: Arc<Shared>,
    id: StreamId,
    bytes: u64,
}

impl Held {
    /// That many are kept by now; a lower number than before changes nothing.
    ///
    /// # Errors
    /// [`Code::Busy`]: the link has no room for them. The stream is refused then, in both directions.
    pub fn at_least(&mut self, bytes: usize) -> Result<(), StreamError> {
        let wanted = (bytes as u64).max(self.bytes);
        let mut state = self.shared.lock();
        if state.mux.hold(&mut self.bytes, wanted) {
            return Ok(());
        }
        state.mux.refuse(self.id);
        state.dispatch_events();
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Err(StreamError::Reset(Code::Busy))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let given_back = self.shared.lock().mux.hold(&mut self.bytes, 0);
        debug_assert!(given_back, "there is always room for nothing");
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.done {
            self.shared.lock().mux.stop(self.id, Code::Cancelled);
            self.shared.wake_driver();
        }
        if carries_data(self.id) {
            self.shared.lock().counted.receiving.close(self.waits);
        }
        forget_waker(&self.shared, self.id, |wakers| wakers.reader = None);
    }
}

fn forget_waker(shared: &Shared, id: StreamId, forget: impl FnOnce(&mut StreamWakers)) {
    let mut state = shared.lock();
    if let Some(wakers) = state.wakers.get_mut(&id) {
        forget(wakers);
        if wakers.reader.is_none() && wakers.writer.is_none() {
            state.wakers.remove(&id);
        }
    }
}

/// Whether its waits count: messages on control streams don't.
fn carries_data(id: StreamId) -> bool {
    id.direction() == Direction::Unidirectional
}

#[derive(Clone, Copy)]
enum Half {
    Sending,
    Receiving,
}

/// Counts that a stream begins to wait, or goes on.
fn note_wait(state: &mut State, (id, half): (StreamId, Half), waits: &mut bool, now: bool) {
    if *waits == now || !carries_data(id) {
        return;
    }
    *waits = now;
    let streams = match half {
        Half::Sending => &mut state.counted.sending,
        Half::Receiving => &mut state.counted.receiving,
    };
    match now {
        true => streams.wait(id),
        false => streams.go_on(),
    }
}
