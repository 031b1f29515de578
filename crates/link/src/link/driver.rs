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

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use unglue_proto::mux::Role;
use unglue_proto::mux::{Gather, Output as _};
use unglue_proto::{Code, Fault};

use super::Shared;
use crate::wire::{Received, Wire};

/// Plain bytes that are framed and sealed at once.
const SEAL: usize = 128 * 1024;
/// Bytes that are read from the socket at once.
const READ: usize = 256 * 1024;
/// Rounds of writing and reading before other tasks have their turn.
const ROUNDS: usize = 8;
/// How long a closed link waits for the peer to take the last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// What was exchanged before the streams begin.
#[derive(Default)]
pub(crate) struct Opening {
    /// Plain bytes that arrived behind the opening messages.
    pub(crate) unread: Vec<u8>,
    /// What takes the peer's first bytes, before the mux: a client waits for its welcome here.
    pub(crate) gate: Option<Gate>,
}

/// Takes the peer's opening message off the front of its bytes. `Some` once it is through, with what lies behind it.
pub(crate) type Gate = Box<dyn FnMut(&[u8]) -> Result<Option<Vec<u8>>, Fault> + Send>;

/// The future that moves a link's bytes over `Io` until the link ends; its output says how it ended.
pub struct Driver<Io> {
    shared: Arc<Shared>,
    io: Io,
    wire: Wire,
    gate: Option<Gate>,
    plain: Gather,
    input: Box<[u8]>,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
}

enum Phase {
    Open,
    /// Everything is being flushed; the link then ends as the fault says.
    Closing(Fault, Instant),
    /// Our direction is shut; the peer may still be sending, and must not see a reset before it has read our last words.
    Lingering(Fault, Instant),
}

/// Whether a step moved anything.
type Step = Result<bool, Fault>;

impl<Io> Driver<Io> {
    pub(super) fn new(shared: Arc<Shared>, io: Io, wire: Wire, opening: Opening) -> Driver<Io> {
        let mut driver = Driver {
            shared,
            io,
            wire,
            gate: opening.gate,
            plain: Gather::default(),
            input: vec![0; READ].into_boxed_slice(),
            timer: Box::pin(tokio::time::sleep(unglue_proto::limits::HEARTBEAT)),
            phase: Phase::Open,
        };
        if !opening.unread.is_empty() {
            let result = deliver(&driver.shared, &mut driver.gate, &opening.unread);
            if let Err(fault) = result {
                driver.begin_close(fault);
            }
        }
        driver
    }

    /// Ends the link after what is left has been sent.
    fn begin_close(&mut self, fault: Fault) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Closing(fault, Instant::now() + LINGER);
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
            self.wire.seal(&mut self.plain.slices())?;
            self.plain.clear();
        }
        Ok(self.wire.wants_write())
    }
}

/// Gives plain bytes to the streams, or to the gate while it stands before them.
fn deliver(shared: &Shared, gate: &mut Option<Gate>, plain: &[u8]) -> Result<(), Fault> {
    let behind = match gate {
        None => None,
        Some(open) => match open(plain)? {
            None => return Ok(()),
            Some(behind) => Some(behind),
        },
    };
    *gate = None;
    let mut state = shared.lock();
    let result = state.mux.handle_input(behind.as_deref().unwrap_or(plain), Instant::now());
    state.dispatch_events();
    result
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Driver<Io> {
    /// Writes until the socket is full or nothing is left; after a long output the other direction has its turn.
    fn send(&mut self, cx: &mut Context<'_>) -> Step {
        let mut sent = 0;
        while self.wire.wants_write() || self.refill(cx)? {
            match self.wire.write_to(&mut Socket { io: &mut self.io, cx }) {
                Ok(0) => return Err(lost("the connection takes no more bytes")),
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(lost(format!("the connection failed: {error}"))),
            }
            if sent >= SEAL {
                break;
            }
        }
        Ok(sent > 0)
    }

    /// Reads once.
    fn receive(&mut self, cx: &mut Context<'_>) -> Step {
        let mut buffer = ReadBuf::new(&mut self.input);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(lost(format!("the connection failed: {error}"))),
            Poll::Ready(Ok(())) => {}
        }
        let len = buffer.filled().len();
        if len == 0 {
            return Err(self.end_of_input());
        }
        let (shared, gate) = (&self.shared, &mut self.gate);
        match self.wire.open(&self.input[..len], |plain| deliver(shared, gate, plain))? {
            Received::Open => Ok(true),
            Received::Closed => Err(lost("the other end closed the link")),
        }
    }

    fn end_of_input(&self) -> Fault {
        match self.wire.needs_close() {
            true => lost("the connection ended without a close: the other end or the network broke off"),
            false => lost("the other end closed the link"),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        for _ in 0..ROUNDS {
            let moved = self.send(cx).and_then(|sent| Ok(self.receive(cx)? || sent));
            match moved {
                Ok(true) => {}
                Ok(false) => return self.poll_idle(cx),
                Err(fault) => return Poll::Ready(fault),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Nothing moved: is a deadline due, or does the link end?
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        loop {
            let state = self.shared.lock();
            if state.closing && !self.wire.wants_write() && !state.mux.has_output() {
                return Poll::Ready(Fault::user(Code::Cancelled, "the link was closed"));
            }
            let due = state.mux.poll_timeout();
            drop(state);
            if self.timer.deadline() != due.into() && self.timer.is_elapsed() {
                self.timer.as_mut().reset(due.into());
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < due {
                self.timer.as_mut().reset(due.into());
                continue;
            }
            if let Err(fault) = self.shared.lock().mux.handle_timeout(now) {
                return Poll::Ready(fault);
            }
            if let Err(fault) = self.send(cx) {
                return Poll::Ready(fault);
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

impl<Io: AsyncRead + AsyncWrite + Unpin> Future for Driver<Io> {
    type Output = Fault;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fault> {
        let this = &mut *self;
        loop {
            match &this.phase {
                Phase::Open => {
                    let fault = ready!(this.poll_open(cx));
                    this.shared.lock().lose(fault.clone());
                    this.begin_close(fault);
                }
                Phase::Closing(fault, deadline) => {
                    let (fault, deadline) = (fault.clone(), *deadline);
                    this.shared.lock().lose(fault.clone());
                    ready!(this.poll_closing(cx, deadline));
                    this.phase = Phase::Lingering(fault, deadline);
                }
                Phase::Lingering(fault, deadline) => {
                    let (fault, deadline) = (fault.clone(), *deadline);
                    // Who has lost the peer has nobody left to talk to, nor has a client that closed its link in order.
                    let leaves = fault.code == Code::Cancelled && this.shared.lock().role == Role::Client;
                    if !leaves && fault.code != Code::LinkLost {
                        ready!(this.poll_lingering(cx, deadline));
                    }
                    return Poll::Ready(fault);
                }
            }
        }
    }
}

/// The socket, for whoever writes to it as far as it takes bytes now.
struct Socket<'a, 'b, Io> {
    io: &'a mut Io,
    cx: &'a mut Context<'b>,
}

impl<Io: AsyncWrite + Unpin> io::Write for Socket<'_, '_, Io> {
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

impl<Io> Drop for Driver<Io> {
    fn drop(&mut self) {
        self.shared.lock().lose(lost("the link's driver was dropped"));
    }
}

fn lost(what: impl Into<String>) -> Fault {
    Fault::system(Code::LinkLost, what)
}
