//! A link: an authenticated connection with its streams.
//!
//! A [`Link`] is a cheap handle that can be cloned and sent. The [`Driver`] behind it is a future that moves the bytes;
//! whoever makes a link spawns its driver. The link closes in order when its last handle is dropped, and
//! every stream that is still open then ends as lost.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use unglue_link as link;
//!
//! let (client, server) = link::memory();
//! let (mut send, _recv) = client.open_bidirectional().await?;
//! send.write_all("hello".into()).await?;
//! send.finish();
//!
//! let (_send, mut recv) = server.accept().await?;
//! assert_eq!(recv.read(usize::MAX).await?.as_deref(), Some(b"hello".as_slice()));
//! assert_eq!(recv.read(usize::MAX).await?, None);
//! # Ok::<(), unglue_link::StreamError>(()) }).unwrap();
//! ```

mod driver;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use unglue_proto::mux::{Direction, Event, Mux, Role, StreamId};
use unglue_proto::{Code, Fault};

pub use driver::Driver;
pub(crate) use driver::{Gate, Opening};
pub use stream::{RecvStream, SendStream, StreamError};

use crate::wire::Wire;

/// A handle on an authenticated connection. The link lives as long as its handles.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    _lease: Arc<Lease>,
}

/// Closes the link when its last handle is gone.
struct Lease(Arc<Shared>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.wake_driver();
    }
}

/// What the handles and the driver share.
pub(crate) struct Shared {
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) mux: Mux,
    role: Role,
    wakers: HashMap<StreamId, StreamWakers>,
    accepted: VecDeque<StreamId>,
    acceptor: Option<Waker>,
    openers: [Vec<Waker>; 2],
    watchers: Vec<Waker>,
    flushers: Vec<Waker>,
    driver: Option<Waker>,
    closing: bool,
    lost: Option<Fault>,
}

#[derive(Default)]
struct StreamWakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    fn new(role: Role) -> Arc<Shared> {
        Arc::new(Shared {
            state: Mutex::new(State {
                mux: Mux::new(role, Instant::now()),
                role,
                wakers: HashMap::new(),
                accepted: VecDeque::new(),
                acceptor: None,
                openers: [Vec::new(), Vec::new()],
                watchers: Vec::new(),
                flushers: Vec::new(),
                driver: None,
                closing: false,
                lost: None,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves a state that is still a state: the panic itself is reported elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the driver send what was written. Called without the lock held.
    fn wake_driver(&self) {
        let driver = self.lock().driver.take();
        if let Some(waker) = driver {
            waker.wake();
        }
    }
}

impl State {
    /// Wakes whoever waits for what has happened.
    pub(crate) fn dispatch_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => self.accept(id),
                Event::Readable(id) => wake(self.wakers.get_mut(&id).and_then(|wakers| wakers.reader.take())),
                Event::Writable(id) => wake(self.wakers.get_mut(&id).and_then(|wakers| wakers.writer.take())),
                Event::Openable(direction) => self.openers[direction as usize].drain(..).for_each(Waker::wake),
                Event::GoAway(..) => {
                    self.openers.iter_mut().flat_map(|wakers| wakers.drain(..)).for_each(Waker::wake);
                    self.watchers.drain(..).for_each(Waker::wake);
                }
            }
        }
        if !self.flushers.is_empty() && self.mux.all_flushed() {
            self.flushers.drain(..).for_each(Waker::wake);
        }
    }

    /// Control streams wait to be accepted; data streams wait for the control message that names them.
    fn accept(&mut self, id: StreamId) {
        if id.direction() == Direction::Bidirectional {
            self.accepted.push_back(id);
            wake(self.acceptor.take());
        }
    }

    /// The link is over: everyone who waits shall see it.
    pub(crate) fn lose(&mut self, fault: Fault) {
        if self.lost.is_none() {
            self.lost = Some(fault);
        }
        for (_, wakers) in self.wakers.drain() {
            wake(wakers.reader);
            wake(wakers.writer);
        }
        wake(self.acceptor.take());
        self.openers.iter_mut().flat_map(|wakers| wakers.drain(..)).for_each(Waker::wake);
        self.watchers.drain(..).for_each(Waker::wake);
        self.flushers.drain(..).for_each(Waker::wake);
    }
}

/// Remembers whom to wake, once for each task however often it asks.
fn register(waiting: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Link {
    /// A link over `wire`, and the driver that moves its bytes over `io`.
    pub(crate) fn new<Io>(role: Role, io: Io, wire: Wire, opening: Opening) -> (Link, Driver<Io>) {
        let shared = Shared::new(role);
        let link = Link { shared: shared.clone(), _lease: Arc::new(Lease(shared.clone())) };
        (link, Driver::new(shared, io, wire, opening))
    }

    /// Opens an operation's control stream. Waits while the limit of open streams is reached.
    ///
    /// # Errors
    /// The link is lost, or the peer goes away.
    pub async fn open_bidirectional(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let id = poll_fn(|cx| self.poll_open(cx, Direction::Bidirectional)).await?;
        Ok((SendStream::new(self.shared.clone(), id), RecvStream::new(self.shared.clone(), id)))
    }

    /// Opens a data stream that this end writes. Waits while the limit of open streams is reached.
    ///
    /// # Errors
    /// The link is lost, or the peer goes away.
    pub async fn open_unidirectional(&self) -> Result<SendStream, StreamError> {
        let id = poll_fn(|cx| self.poll_open(cx, Direction::Unidirectional)).await?;
        Ok(SendStream::new(self.shared.clone(), id))
    }

    fn poll_open(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<Result<StreamId, StreamError>> {
        let mut state = self.shared.lock();
        if let Some(fault) = &state.lost {
            return Poll::Ready(Err(StreamError::Lost(fault.clone())));
        }
        if let Some(id) = state.mux.open(direction) {
            return Poll::Ready(Ok(id));
        }
        if let Some(code) = state.mux.peer_left() {
            return Poll::Ready(Err(StreamError::Reset(code)));
        }
        register(&mut state.openers[direction as usize], cx);
        Poll::Pending
    }

    /// The next control stream that the peer has opened.
    ///
    /// # Errors
    /// The link has ended; it says how.
    pub async fn accept(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let id = poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(id) = state.accepted.pop_front() {
                return Poll::Ready(Ok(id));
            }
            if let Some(fault) = &state.lost {
                return Poll::Ready(Err(StreamError::Lost(fault.clone())));
            }
            state.acceptor = Some(cx.waker().clone());
            Poll::Pending
        })
        .await?;
        Ok((SendStream::new(self.shared.clone(), id), RecvStream::new(self.shared.clone(), id)))
    }

    /// The data stream that a control message of the peer has named.
    ///
    /// # Errors
    /// The number is not one that the peer may write on.
    pub fn claim(&self, number: u64) -> Result<RecvStream, Fault> {
        let id = StreamId(number);
        let mut state = self.shared.lock();
        if id.direction() != Direction::Unidirectional || id.initiator() == state.role {
            return Err(Fault::peer(Code::BadMessage, format!("{id} can't carry the peer's data")));
        }
        state.mux.expect(id)?;
        drop(state);
        Ok(RecvStream::new(self.shared.clone(), id))
    }

    /// Takes no new streams from now on; the peer is told why. Open ones go on.
    pub fn go_away(&self, code: Code, reason: &str) {
        self.shared.lock().mux.go_away(code, reason);
        self.shared.wake_driver();
    }

    /// Waits until the link has ended, and says how: [`Code::Cancelled`] when this end closed it in order.
    pub async fn ended(&self) -> Fault {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            match &state.lost {
                Some(fault) => Poll::Ready(fault.clone()),
                None => {
                    register(&mut state.watchers, cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits until everything that was written, on streams that are finished as well, has found its credit and its turn;
    /// or until the link has ended.
    pub async fn flushed(&self) {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.lost.is_some() || state.mux.all_flushed() {
                return Poll::Ready(());
            }
            register(&mut state.flushers, cx);
            Poll::Pending
        })
        .await;
    }

    /// Ends the link now. What its streams still hold is sent as far as there is credit for it: [`Link::flushed`] waits
    /// for the rest.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake_driver();
    }
}

/// Two ends joined in memory, with their drivers spawned on the current tokio runtime.
pub fn memory() -> (Link, Link) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (client, driver) = Link::new(Role::Client, a, Wire::plain(), Opening::default());
    tokio::spawn(driver);
    let (server, driver) = Link::new(Role::Server, b, Wire::plain(), Opening::default());
    tokio::spawn(driver);
    (client, server)
}
