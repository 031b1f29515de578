//! The one loop that moves a link's bytes.
//!
//! Out: streams → mux frames → records → socket. In: socket → records → mux frames → streams. One task does both, so
//! that a short exchange costs no hop between threads; it yields after a bounded amount of work.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::Sleep;
use unglue_proto::Blame;
use unglue_proto::mux::{Gather, Output as _, Role, Wait};

use super::{Shared, packing};
use crate::config::LinkConfig;
use crate::error::LinkError;
use crate::opening::protocol;
use crate::transport::BoxedIo;
use crate::transport::tcp::Room;
use crate::transport::wire::{Received, Wire};

/// Plain bytes that are framed and sealed at once.
const SEAL: usize = 128 * 1024;
/// Bytes that are read from the socket at once.
const READ: usize = 256 * 1024;
/// Rounds of writing and reading before other tasks have their turn.
const ROUNDS: usize = 8;
/// How long a closed link waits for the peer to take the last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// A timer that is so much too late means that the process did not run.
const LATE: Duration = Duration::from_secs(5);

/// What was exchanged before the streams begin, and what is left of it to do.
#[derive(Default)]
pub(crate) struct Start {
    /// Plain bytes that arrived behind the opening messages.
    pub(crate) unread: Vec<u8>,
    /// What takes the peer's first bytes, before the streams, until when, and how long that is: a client waits for its
    /// welcome here.
    pub(crate) exchange: Option<(OpeningExchange, (tokio::time::Instant, Duration))>,
    /// The peer is known to take compressed blocks.
    pub(crate) zstd: bool,
    /// The connection's place among those with a larger buffer than the system allows.
    pub(crate) room: Option<Room>,
}

/// Takes the peer's opening message off the front of its bytes. `Some` once it is through, with what lies behind it.
pub(crate) type OpeningExchange = Box<dyn FnMut(&[u8]) -> Result<Option<Opened>, LinkError> + Send>;

/// The opening messages are through.
pub(crate) struct Opened {
    /// Plain bytes behind them.
    pub(crate) behind: Vec<u8>,
    /// The peer takes compressed blocks.
    pub(crate) zstd: bool,
}

/// The future that moves a link's bytes until the link ends; its output is how it ended.
pub struct Driver {
    shared: Arc<Shared>,
    io: BoxedIo,
    wire: Wire,
    exchange: Option<OpeningExchange>,
    exchange_deadline: Option<(Instant, Duration)>,
    plain: Gather,
    input: Box<[u8]>,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
    silence: Duration,
    /// When it last ran.
    ran: Instant,
    /// How long the process did not run before, if it was long, and when it came back.
    paused: Option<(Duration, Instant)>,
    /// What it waits for, and since when.
    waits: Option<(Wait, Instant)>,
    /// Kept as long as the connection.
    _room: Option<Room>,
}

enum Phase {
    Open,
    /// Everything is being flushed; the link then ends with the fault.
    Closing(LinkError, Instant),
    /// Our direction is shut; the peer may still be sending, and must not see a reset before it has read our final messages.
    Lingering(LinkError, Instant),
}

/// Whether a step moved anything.
type Step = Result<bool, LinkError>;

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, io: BoxedIo, wire: Wire, start: Start, config: &LinkConfig) -> Driver {
        let (exchange, deadline) = start.exchange.unzip();
        let exchange_deadline = deadline.map(|(at, limit): (tokio::time::Instant, _)| (at.into_std(), limit));
        let beat = config.mux.heartbeat.min(config.mux.silence);
        let first = exchange_deadline.map_or(beat, |(_, limit)| limit.min(beat));
        let mut driver = Driver {
            shared,
            io,
            wire,
            exchange,
            exchange_deadline,
            plain: Gather::default(),
            input: vec![0; READ].into_boxed_slice(),
            timer: Box::pin(tokio::time::sleep(first)),
            phase: Phase::Open,
            silence: config.mux.silence,
            ran: Instant::now(),
            paused: None,
            waits: None,
            _room: start.room,
        };
        if start.zstd {
            driver.shared.lock().mux.allow_compression(packing::threads());
        }
        if !start.unread.is_empty() {
            let result = deliver(&driver.shared, &mut driver.exchange, &start.unread);
            if let Err(error) = result {
                driver.begin_close(error);
            }
        }
        driver
    }

    /// Ends the link after what is left has been sent.
    fn begin_close(&mut self, error: LinkError) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Closing(error, Instant::now() + LINGER);
            self.timer.as_mut().reset((Instant::now() + LINGER).into());
        }
    }

    /// Frames and seals what the streams have to send. Returns whether there is something to write.
    fn refill(&mut self, cx: &mut Context<'_>) -> Step {
        let mut state = self.shared.lock();
        state.driver = Some(cx.waker().clone());
        state.mux.poll_output(&mut self.plain, SEAL, Instant::now());
        state.dispatch_events();
        drop(state);
        if !self.plain.is_empty() {
            self.wire.seal_gathered(&mut self.plain)?;
        }
        Ok(self.wire.wants_write())
    }
}

/// Gives plain bytes to the streams, or to the opening exchange as long as there is one.
fn deliver(shared: &Shared, exchange: &mut Option<OpeningExchange>, plain: &[u8]) -> Result<(), LinkError> {
    let opened = match exchange {
        None => None,
        Some(open) => match open(plain)? {
            None => return Ok(()),
            Some(opened) => Some(opened),
        },
    };
    *exchange = None;
    let mut state = shared.lock();
    if opened.as_ref().is_some_and(|opened| opened.zstd) {
        state.mux.allow_compression(packing::threads());
    }
    let plain = opened.as_ref().map_or(plain, |opened| &opened.behind);
    let result = state.mux.handle_input(plain, Instant::now());
    state.dispatch_events();
    result.map_err(protocol)
}

impl Driver {
    /// Writes until the socket is full or nothing is left; after a long output the other direction has its turn.
    fn send(&mut self, cx: &mut Context<'_>) -> Step {
        self.end_wait();
        let mut sent = 0;
        while self.wire.wants_write() || self.refill(cx)? {
            match self.wire.write_to(&mut Socket { io: &mut self.io, cx }) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if sent >= SEAL {
                break;
            }
        }
        self.begin_wait();
        Ok(sent > 0)
    }

    /// Measures what the link waits for, from here on, and has blocks compressed meanwhile.
    fn begin_wait(&mut self) {
        let mut state = self.shared.lock();
        let wait = match self.wire.wants_write() {
            true => Some(Wait::Socket),
            false if state.mux.is_packing() => Some(Wait::Packing),
            false => {
                let waiting = state.counted.sending.waiting();
                waiting.is_some_and(|id| state.mux.lacks_credit(id)).then_some(Wait::Credit)
            }
        };
        let blocks: Vec<_> = std::iter::from_fn(|| state.mux.poll_block()).collect();
        drop(state);
        self.waits = wait.map(|wait| (wait, Instant::now()));
        blocks.into_iter().for_each(|block| packing::pack(&self.shared, block));
    }

    fn end_wait(&mut self) {
        if let Some((wait, since)) = self.waits.take() {
            let (time, mut state) = (since.elapsed(), self.shared.lock());
            state.mux.waited(wait, time);
            state.counted.waited(wait, time);
        }
    }

    /// Reads once.
    fn receive(&mut self, cx: &mut Context<'_>) -> Step {
        let mut buffer = ReadBuf::new(&mut self.input);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Ready(Ok(())) => {}
        }
        let len = buffer.filled().len();
        if len == 0 {
            return Err(self.end_of_input());
        }
        let (shared, exchange) = (&self.shared, &mut self.exchange);
        match self.wire.open(&self.input[..len], |plain| deliver(shared, exchange, plain))? {
            Received::Open => Ok(true),
            Received::Closed => Err(self.closed_by_peer()),
        }
    }

    fn end_of_input(&self) -> LinkError {
        match self.wire.needs_close() {
            true => LinkError::Truncated,
            false => self.closed_by_peer(),
        }
    }

    fn closed_by_peer(&self) -> LinkError {
        LinkError::ClosedByPeer { reason: self.shared.lock().reason.clone() }
    }

    /// Notices that the process did not run for a while: its timer is far too late.
    fn notice_pause(&mut self) {
        let now = Instant::now();
        let away = now.saturating_duration_since(self.ran);
        self.ran = now;
        if away > LATE && now.saturating_duration_since(self.timer.deadline().into_std()) > LATE {
            self.paused = Some((away, now));
        }
    }

    /// A link that is found lost right after a pause was lost by it, whatever its end looks like.
    fn explained(&self, error: LinkError) -> LinkError {
        let silence = self.silence;
        match self.paused {
            Some((paused, until)) if error.is_broken() && paused > silence / 2 && until.elapsed() < LATE => {
                LinkError::Paused { paused, silence, source: Arc::new(error) }
            }
            _ => error,
        }
    }

    fn poll_phases(&mut self, cx: &mut Context<'_>) -> Poll<LinkError> {
        loop {
            match &self.phase {
                Phase::Open => {
                    let error = ready!(self.poll_open(cx));
                    let error = self.explained(error);
                    self.shared.lock().lose(error.clone());
                    // No welcome comes any more: those who wait for it learn that now.
                    self.exchange = None;
                    self.begin_close(error);
                }
                Phase::Closing(error, deadline) => {
                    let (error, deadline) = (error.clone(), *deadline);
                    self.shared.lock().lose(error.clone());
                    ready!(self.poll_closing(cx, deadline));
                    self.phase = Phase::Lingering(error, deadline);
                }
                Phase::Lingering(error, deadline) => {
                    let (error, deadline) = (error.clone(), *deadline);
                    // Nothing is waited for where the peer is gone, nor where a client closed its link in order.
                    let leaves = matches!(error, LinkError::Closed) && self.shared.lock().role == Role::Client;
                    if !leaves && !error.is_broken() {
                        ready!(self.poll_lingering(cx, deadline));
                    }
                    return Poll::Ready(error);
                }
            }
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<LinkError> {
        for _ in 0..ROUNDS {
            let moved = self.send(cx).and_then(|sent| Ok(self.receive(cx)? || sent));
            match moved {
                Ok(true) => {}
                Ok(false) => return self.poll_idle(cx),
                Err(error) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing moved: is a deadline due, or does the link end?
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<LinkError> {
        loop {
            let state = self.shared.lock();
            if state.closing && !self.wire.wants_write() && !state.mux.has_output() && !state.mux.has_blocks() {
                return Poll::Ready(LinkError::Closed);
            }
            let due = state.mux.poll_timeout();
            drop(state);
            let due = match self.exchange_deadline {
                Some((deadline, limit)) if self.exchange.is_some() => {
                    if Instant::now() >= deadline {
                        let what = "the server's answer to the login".into();
                        return Poll::Ready(LinkError::TimedOut { what, limit, blame: Blame::System });
                    }
                    due.min(deadline)
                }
                _ => due,
            };
            if self.timer.deadline() != due.into() && self.timer.is_elapsed() {
                self.timer.as_mut().reset(due.into());
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < due {
                self.timer.as_mut().reset(due.into());
                continue;
            }
            // Its one error is silence: the peer is sent a reason that counts the seconds.
            if self.shared.lock().mux.handle_timeout(now).is_err() {
                return Poll::Ready(LinkError::Silent { silence: self.silence });
            }
            if let Err(error) = self.send(cx) {
                return Poll::Ready(error);
            }
            let next = self.shared.lock().mux.poll_timeout();
            self.timer.as_mut().reset(next.into());
        }
    }

    /// Sends what is left, the orderly end included; then shuts this direction.
    fn poll_closing(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            match self.send(cx) {
                Err(_) => return Poll::Ready(()),
                Ok(true) => {}
                Ok(false) if self.wire.wants_write() => return self.poll_deadline(cx, deadline),
                Ok(false) => {
                    self.wire.close();
                    if !self.wire.wants_write() {
                        return Pin::new(&mut self.io).poll_shutdown(cx).map(|_| ());
                    }
                }
            }
        }
    }

    /// Reads and drops until the peer closes too, or the deadline passes.
    fn poll_lingering(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            let mut buffer = ReadBuf::new(&mut self.input);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.poll_deadline(cx, deadline),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && Instant::now() < deadline => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.timer.deadline() != deadline.into() {
            self.timer.as_mut().reset(deadline.into());
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Future for Driver {
    type Output = LinkError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LinkError> {
        let this = &mut *self;
        this.notice_pause();
        let polled = this.poll_phases(cx);
        let ran = this.ran.elapsed();
        this.shared.lock().counted.ran(ran);
        polled
    }
}

/// The connection, written to as far as it takes bytes now.
struct Socket<'a, 'b> {
    io: &'a mut BoxedIo,
    cx: &'a mut Context<'b>,
}

impl io::Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ready_now(Pin::new(&mut *self.io).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        ready_now(Pin::new(&mut *self.io).poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ready_now(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.lock().lose(LinkError::Dropped);
    }
}
