//! A link: an authenticated connection with its streams.
//!
//! A [`Link`] is a cheap handle that can be cloned and sent. The [`Driver`] behind it is a future that moves the bytes;
//! the caller that makes a link spawns its driver. The link closes in order when its last handle is dropped, and
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
mod packing;
mod stream;
mod waiters;
mod waits;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use unglue_proto::message::waits::Waits;
use unglue_proto::mux::{Direction, Event, Mux, Role, StreamId};
use unglue_proto::{Code, Fault};

pub use driver::Driver;
pub(crate) use driver::{Opened, OpeningExchange, Start};
pub use stream::{CountedApart, Held, RecvStream, SendStream, StreamError};

use crate::config::LinkConfig;
use crate::error::LinkError;
use crate::transport::BoxedIo;
use crate::transport::wire::Wire;
use waiters::{Waiters, wait_in};
use waits::Counted;

/// A handle on an authenticated connection. The link lives as long as its handles.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    _last: Arc<LastHandle>,
}

/// Closes the link when its last handle is gone.
struct LastHandle(Arc<Shared>);

impl Drop for LastHandle {
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
    acceptors: Waiters,
    openers: [Waiters; 2],
    /// Those who wait for the link's end.
    watchers: Waiters,
    flushers: Waiters,
    /// Those who wait for the answer to a ping.
    pingers: Waiters,
    /// The highest number of a ping that was answered.
    answered: u64,
    counted: Counted,
    driver: Option<Waker>,
    closing: bool,
    lost: Option<LinkError>,
    /// Why the peer ends the link, in its own words.
    reason: Option<String>,
}

#[derive(Default)]
struct StreamWakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    fn new(role: Role, config: &LinkConfig) -> Arc<Shared> {
        Arc::new(Shared {
            state: Mutex::new(State {
                mux: Mux::with_config(role, Instant::now(), &config.mux),
                role,
                wakers: HashMap::new(),
                accepted: VecDeque::new(),
                acceptors: Waiters::default(),
                openers: Default::default(),
                watchers: Waiters::default(),
                flushers: Waiters::default(),
                pingers: Waiters::default(),
                answered: 0,
                counted: Counted::default(),
                driver: None,
                closing: false,
                lost: None,
                reason: None,
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
    /// Wakes those who wait for what has happened.
    pub(crate) fn dispatch_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => self.accept(id),
                Event::Readable(id) => wake(self.wakers.get_mut(&id).and_then(|wakers| wakers.reader.take())),
                Event::Writable(id) => wake(self.wakers.get_mut(&id).and_then(|wakers| wakers.writer.take())),
                Event::Openable(direction) => self.openers[direction as usize].wake_all(),
                Event::Pong(number) => {
                    self.answered = number;
                    self.pingers.wake_all();
                }
                Event::GoAway(code, reason) => {
                    if code != Code::GoingAway {
                        self.reason = Some(reason);
                    }
                    self.openers.iter_mut().for_each(Waiters::wake_all);
                }
            }
        }
        if !self.flushers.is_empty() && self.mux.all_flushed() {
            self.flushers.wake_all();
        }
    }

    /// Why a stream was reset. An end that closes the link for a reason resets its streams first, and the reason says more.
    fn reset_with(&self, code: Code) -> StreamError {
        match &self.reason {
            Some(reason) if code == Code::Cancelled => {
                StreamError::Lost(LinkError::ClosedByPeer { reason: Some(reason.clone()) })
            }
            _ => StreamError::Reset(code),
        }
    }

    /// Control streams wait to be accepted; data streams wait for the control message that names them.
    fn accept(&mut self, id: StreamId) {
        if id.direction() == Direction::Bidirectional {
            self.accepted.push_back(id);
            self.acceptors.wake_all();
        }
    }

    /// The link is over: all who wait see it.
    pub(crate) fn lose(&mut self, error: LinkError) {
        if self.lost.is_none() {
            self.lost = Some(error);
        }
        for (_, wakers) in self.wakers.drain() {
            wake(wakers.reader);
            wake(wakers.writer);
        }
        for waiters in [&mut self.acceptors, &mut self.watchers, &mut self.flushers, &mut self.pingers] {
            waiters.wake_all();
        }
        self.openers.iter_mut().for_each(Waiters::wake_all);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A direction's list of those who wait to open a stream.
fn openers(direction: Direction) -> waiters::List {
    match direction {
        Direction::Bidirectional => |state| &mut state.openers[0],
        Direction::Unidirectional => |state| &mut state.openers[1],
    }
}

impl Link {
    /// A link over `wire`, and the driver that moves its bytes over `io`.
    pub(crate) fn new(role: Role, io: BoxedIo, wire: Wire, start: Start, config: &LinkConfig) -> (Link, Driver) {
        let shared = Shared::new(role, config);
        let link = Link { shared: shared.clone(), _last: Arc::new(LastHandle(shared.clone())) };
        (link, Driver::new(shared, io, wire, start, config))
    }

    /// Opens an operation's control stream. Waits while the limit of open streams is reached. Dropped, it has opened none.
    ///
    /// # Errors
    /// The link is lost, or the peer goes away.
    pub async fn open_bidirectional(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let id = self.open(Direction::Bidirectional).await?;
        Ok((SendStream::new(self.shared.clone(), id), RecvStream::new(self.shared.clone(), id)))
    }

    /// Opens a data stream that this end writes. Waits while the limit of open streams is reached. Dropped, it has opened
    /// none.
    ///
    /// # Errors
    /// The link is lost, or the peer goes away.
    pub async fn open_unidirectional(&self) -> Result<SendStream, StreamError> {
        let id = self.open(Direction::Unidirectional).await?;
        Ok(SendStream::new(self.shared.clone(), id))
    }

    async fn open(&self, direction: Direction) -> Result<StreamId, StreamError> {
        wait_in(&self.shared, openers(direction), |state| {
            if let Some(error) = &state.lost {
                return Some(Err(StreamError::Lost(error.clone())));
            }
            if let Some(id) = state.mux.open(direction) {
                return Some(Ok(id));
            }
            state.mux.peer_left().map(|code| Err(StreamError::Reset(code)))
        })
        .await
    }

    /// The next control stream that the peer has opened. Dropped, it has taken none.
    ///
    /// # Errors
    /// The link has ended, and this is how.
    pub async fn accept(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let accepted = wait_in(
            &self.shared,
            |state| &mut state.acceptors,
            |state| {
                let lost = || state.lost.as_ref().map(|error| Err(StreamError::Lost(error.clone())));
                state.accepted.pop_front().map(Ok).or_else(lost)
            },
        );
        let id = accepted.await?;
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

    /// Takes no new streams from now on; the peer is sent the reason. Open ones go on.
    pub fn go_away(&self, code: Code, reason: &str) {
        self.shared.lock().mux.go_away(code, reason);
        self.shared.wake_driver();
    }

    /// Asks the other end for a sign of life, and waits for it: how long that took. With a deadline of the caller's
    /// own, an end that waits for a person knows within a second that the link is dead, long before [`Link::ended`]
    /// does. Dropped, it changes nothing: the answer is ignored.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// let (client, _server) = unglue_link::memory();
    /// let alive = tokio::time::timeout(Duration::from_secs(1), client.ping()).await;
    /// assert!(alive.is_ok_and(|answer| answer.is_ok()));
    /// # });
    /// ```
    ///
    /// # Errors
    /// The link has ended.
    pub async fn ping(&self) -> Result<Duration, LinkError> {
        let start = Instant::now();
        let number = self.shared.lock().mux.ping();
        self.shared.wake_driver();
        wait_in(
            &self.shared,
            |state| &mut state.pingers,
            |state| match &state.lost {
                _ if state.answered >= number => Some(Ok(start.elapsed())),
                Some(error) => Some(Err(error.clone())),
                None => None,
            },
        )
        .await
    }

    /// Waits until the link has ended, and returns how: [`LinkError::Closed`] when this end closed it in order.
    /// Cancelling it loses nothing.
    pub async fn ended(&self) -> LinkError {
        wait_in(&self.shared, |state| &mut state.watchers, |state| state.lost.clone()).await
    }

    /// How the link has ended; `None` while it goes on.
    pub fn is_ended(&self) -> Option<LinkError> {
        self.shared.lock().lost.clone()
    }

    /// Waits until everything that was written, on streams that are finished as well, has found its credit and its
    /// turn; or until the link has ended. Cancelling it loses nothing.
    pub async fn flushed(&self) {
        let over = |state: &mut State| (state.lost.is_some() || state.mux.all_flushed()).then_some(());
        wait_in(&self.shared, |state| &mut state.flushers, over).await;
    }

    /// Ends the link now. What its streams still hold is sent as far as there is credit for it: [`Link::flushed`] waits
    /// for the rest.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake_driver();
    }

    /// What the link holds in memory for its peer, in bytes: unread, credit beyond first windows, unsent.
    pub fn memory_taken(&self) -> [u64; 3] {
        self.shared.lock().mux.memory_taken()
    }

    /// How long this end of the link and its streams of data have waited so far, and for what.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// let (client, _server) = unglue_link::memory();
    /// let stream = client.open_unidirectional().await.unwrap();
    /// tokio::time::sleep(Duration::from_millis(20)).await;
    /// // Nothing was written: it waited for its source.
    /// assert!(client.waits().source_us >= 20_000);
    /// # });
    /// ```
    pub fn waits(&self) -> Waits {
        self.shared.lock().counted.so_far(Instant::now())
    }

    /// How many tasks wait for something that happens to the link as a whole.
    pub fn waiting(&self) -> usize {
        let state = self.shared.lock();
        let lists = [&state.acceptors, &state.watchers, &state.flushers, &state.pingers];
        lists.into_iter().chain(&state.openers).map(Waiters::len).sum()
    }
}

/// Two ends joined in memory, with their drivers spawned on the current tokio runtime.
pub fn memory() -> (Link, Link) {
    memory_with(&LinkConfig::default())
}

/// The same with settings of their own.
pub(crate) fn memory_with(config: &LinkConfig) -> (Link, Link) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    let start = || Start { zstd: true, ..Start::default() };
    let (client, driver) = Link::new(Role::Client, Box::new(a), Wire::plain(), start(), config);
    tokio::spawn(driver);
    let (server, driver) = Link::new(Role::Server, Box::new(b), Wire::plain(), start(), config);
    tokio::spawn(driver);
    (client, server)
}
