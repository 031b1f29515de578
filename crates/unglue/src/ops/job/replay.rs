//! The input of a command that outlives the link: what the command has not taken yet is kept, to be sent again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;
use unglue_link::{SendStream, StreamError};
use unglue_proto::Code;

/// Bytes that are kept before the writer has to wait.
const WINDOW: usize = 256 * 1024;

/// Shared by the writer and by the task that sends.
#[derive(Clone, Default)]
pub(crate) struct Replay(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Something was written, or the writer has ended.
    written: Notify,
    /// The command takes no more.
    closed: Notify,
}

#[derive(Default)]
struct State {
    /// The offset of the first byte that is kept.
    base: u64,
    pieces: VecDeque<Bytes>,
    len: usize,
    end: Option<End>,
    closed: bool,
    writer: Option<Waker>,
}

/// How the writer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the last byte.
    Finished,
    /// It broke the input off: the command must not take what it has for the whole.
    Cancelled,
    /// It went, and another may go on.
    Left,
}

impl Replay {
    /// Takes some of `data` off its front; waits where there is no room.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &mut Bytes) -> Poll<Result<(), StreamError>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(StreamError::Reset(Code::Cancelled)));
        }
        let room = WINDOW.saturating_sub(state.len);
        if room == 0 && !data.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let piece = data.split_to(room.min(data.len()));
        state.len += piece.len();
        if !piece.is_empty() {
            state.pieces.push_back(piece);
        }
        self.0.written.notify_one();
        Poll::Ready(Ok(()))
    }

    /// What is written first follows so many bytes that others have given the command.
    pub(crate) fn start_at(&self, offset: u64) {
        self.lock().base = offset;
    }

    /// The writer has ended; the first word counts.
    pub(crate) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.0.written.notify_one();
    }

    /// The command was given so many bytes.
    pub(crate) fn taken(&self, up_to: u64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        while state.base < up_to
            && let Some(first) = state.pieces.front_mut()
        {
            let done = usize::try_from(up_to - state.base).unwrap_or(usize::MAX).min(first.len());
            let _ = first.split_to(done);
            if first.is_empty() {
                state.pieces.pop_front();
            }
            state.base += done as u64;
            state.len -= done;
        }
        let writer = state.writer.take();
        drop(guard);
        writer.into_iter().for_each(Waker::wake);
    }

    /// The command takes no more.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        self.0.closed.notify_waiters();
    }

    /// Waits until the command takes no more.
    pub(crate) async fn closed(&self) {
        let closed = self.0.closed.notified();
        if !self.lock().closed {
            closed.await;
        }
    }

    /// Sends what is kept and what is written, from this offset on. Returns once the command takes no more; otherwise it
    /// goes on until it is dropped, and gives the stream up in a way that leaves the command's input open.
    pub(crate) async fn send(&self, stream: SendStream, mut at: u64) {
        let mut stream = Leaving(Some(stream));
        self.taken(at);
        loop {
            let (piece, end) = self.piece(at);
            let Some(open) = &mut stream.0 else { return };
            match (piece, end) {
                (Some(piece), _) => {
                    let len = piece.len() as u64;
                    if let Err(error) = open.write_all(piece).await {
                        return self.given_up(&error);
                    }
                    at += len;
                }
                (None, None) => {
                    tokio::select! {
                        () = self.0.written.notified() => {}
                        error = open.stopped() => return self.given_up(&error),
                    }
                }
                (None, Some(end)) => {
                    let open = stream.0.take();
                    match end {
                        End::Finished => open.into_iter().for_each(SendStream::finish),
                        End::Cancelled => open.into_iter().for_each(|open| open.reset(Code::Cancelled)),
                        End::Left => open.into_iter().for_each(|open| open.reset(Code::GoingAway)),
                    }
                    return;
                }
            }
        }
    }

    /// The stream takes no more: either the command doesn't, or the link is lost, and the next one may.
    fn given_up(&self, error: &StreamError) {
        if let StreamError::Reset(_) = error {
            self.close();
        }
    }

    /// What is kept from this offset on, up to the end of a piece; and how the writer has ended.
    fn piece(&self, at: u64) -> (Option<Bytes>, Option<End>) {
        let state = self.lock();
        let at = at.max(state.base);
        let mut offset = state.base + state.len as u64;
        // From the end, which is near: only after a lost link are the first ones wanted again.
        let wanted = state.pieces.iter().rev().take_while(|piece| {
            let wanted = at < offset;
            offset -= if wanted { piece.len() as u64 } else { 0 };
            wanted
        });
        let piece = wanted.last();
        let piece =
            piece.map(|piece| piece.slice(usize::try_from(at - offset).unwrap_or(usize::MAX).min(piece.len())..));
        (piece, state.end)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is given up without breaking the input off.
struct Leaving(Option<SendStream>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.reset(Code::GoingAway);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(replay: &Replay, data: &[u8]) -> bool {
        let mut data = Bytes::copy_from_slice(data);
        let mut cx = Context::from_waker(Waker::noop());
        while !data.is_empty() {
            if replay.poll_write(&mut cx, &mut data).is_pending() {
                return false;
            }
        }
        true
    }

    fn kept(replay: &Replay, mut at: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while let (Some(piece), _) = replay.piece(at) {
            at += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn what_was_not_taken_can_be_sent_again() {
        let replay = Replay::default();
        assert!(write(&replay, b"one ") && write(&replay, b"two ") && write(&replay, b"three"));
        replay.taken(6);
        assert_eq!(kept(&replay, 6), b"o three");
        assert_eq!(kept(&replay, 8), b"three");
        replay.taken(3);
        assert_eq!(kept(&replay, 6), b"o three", "less than before changes nothing");
        assert_eq!(kept(&replay, 13), b"");
    }

    #[test]
    fn a_writer_waits_for_the_command() {
        let replay = Replay::default();
        assert!(!write(&replay, &vec![7; WINDOW + 1]));
        replay.taken(1);
        assert!(write(&replay, b"x"));
    }
}
