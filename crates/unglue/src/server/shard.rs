//! One loop of the server, with its own connections and its own supervisors: a thread of its own, or a task of the caller's.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use unglue_jobs::{OwnedSocket, Registry};
use unglue_proto::Fault;
use unglue_proto::limits::GO_AWAY_GRACE;

use super::connections::Connections;
use super::realm::Realm;
use super::unix::{SocketName, UnixSocket};
use super::{Shared, Stage, advance, system};

/// How long the loop waits before it tries to accept again when the system has no room for another connection.
const FULL: Duration = Duration::from_millis(20);
/// How many unauthenticated connections are evicted then, so that the next ones find room.
const ROOM: usize = 16;
/// How often a resident looks whether it has something left to do, at least and at most.
const LOOK: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_secs(15);
/// How long what was under way may take to end, once it was asked to.
const ENDING: Duration = Duration::from_secs(2);

/// What a thread of the server listens on.
pub(super) enum Listener {
    Tcp(Arc<StdTcpListener>),
    Unix(UnixSocket),
    /// For other processes of the server's user.
    Own(OwnListener),
}

/// Where the owner of the state listens.
pub(super) struct OwnListener {
    pub(super) socket: StdUnixListener,
    pub(super) name: OwnedSocket,
    /// Set for a server that ends by itself.
    pub(super) resident: Option<Resident>,
}

/// The name of the owner's socket; removed with the state's ownership.
pub(super) struct Name(Mutex<Option<OwnedSocket>>);

impl Name {
    fn remove(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// A server that ends when it has nothing left to own, or when another one wants the state.
#[derive(Clone)]
pub(super) struct Resident {
    pub(super) linger: Duration,
    pub(super) stage: watch::Sender<Stage>,
}

impl Resident {
    /// Takes no more work, and lets another process own the state.
    pub(super) async fn hand_over(&self, registry: &Registry, name: &Name) {
        self.stage.send_if_modified(|stage| advance(stage, Stage::HandedOver));
        name.remove();
        registry.release().await;
    }
}

/// What a loop accepts connections from.
pub(super) enum Accepting {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _name: SocketName },
    Own(UnixListener, Arc<Name>, Option<Resident>),
}

/// A connection that was just made.
enum Arrival {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    Own(UnixStream),
}

impl Accepting {
    /// Must be called within a runtime.
    fn from(listener: Listener) -> io::Result<Accepting> {
        Ok(match listener {
            Listener::Tcp(listener) => Accepting::Tcp(TcpListener::from_std(listener.try_clone()?)?),
            Listener::Unix(socket) => {
                let (listener, name) = socket.into_parts();
                Accepting::Unix { listener: UnixListener::from_std(listener)?, _name: name }
            }
            Listener::Own(OwnListener { socket, name, resident }) => {
                Accepting::Own(UnixListener::from_std(socket)?, Arc::new(Name(Mutex::new(Some(name)))), resident)
            }
        })
    }

    async fn next(&self) -> io::Result<Arrival> {
        Ok(match self {
            Accepting::Tcp(listener) => listener.accept().await.map(|(tcp, peer)| Arrival::Tcp(tcp, peer))?,
            Accepting::Unix { listener, .. } => Arrival::Unix(listener.accept().await?.0),
            Accepting::Own(listener, ..) => Arrival::Own(listener.accept().await?.0),
        })
    }

    fn resident(&self) -> Option<&Resident> {
        match self {
            Accepting::Own(_, _, resident) => resident.as_ref(),
            _ => None,
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        if let Accepting::Own(_, name, _) = self {
            name.remove();
        }
    }
}

pub(super) struct Shard {
    shared: Arc<Shared>,
    realm: Arc<Realm>,
    stage: watch::Receiver<Stage>,
    pub(super) connections: Connections,
}

impl Shard {
    /// Must be called within a runtime.
    pub(super) fn new(shared: Arc<Shared>, realm: Arc<Realm>, stage: watch::Receiver<Stage>) -> Result<Shard, Fault> {
        let shard = Shard::idle(shared, realm, stage);
        shard.connections.warm_up().map_err(|error| system("commands can't be run", &error))?;
        Ok(shard)
    }

    /// The same; the processes that run commands are started for the first connection.
    fn idle(shared: Arc<Shared>, realm: Arc<Realm>, stage: watch::Receiver<Stage>) -> Shard {
        shared.registry.adopt();
        let connections = Connections::new(shared.clone(), realm.clone(), stage.clone());
        Shard { shared, realm, stage, connections }
    }

    /// Starts a thread with a runtime of its own. It ends when `stage` does.
    pub(super) fn start(
        number: usize,
        listener: Listener,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
    ) -> Result<JoinHandle<()>, Fault> {
        let failed = |error: io::Error| system("a thread of the server can't start", &error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let made = {
            let _in_runtime = runtime.enter();
            let shard = match &listener {
                Listener::Tcp(_) | Listener::Unix(_) => {
                    let realm = shared.offered.clone();
                    Shard::new(shared, realm, stage)
                }
                Listener::Own(own) => {
                    let realm = shared.own.clone();
                    match own.resident {
                        Some(_) => Shard::new(shared, realm, stage),
                        None => Ok(Shard::idle(shared, realm, stage)),
                    }
                }
            };
            shard.and_then(|shard| Ok((shard, Accepting::from(listener).map_err(failed)?)))
        };
        let (shard, listener) = match made {
            Ok(made) => made,
            Err(fault) => {
                // The caller may be in a runtime, where another one can't be dropped.
                runtime.shutdown_background();
                return Err(fault);
            }
        };
        let thread = std::thread::Builder::new().name(format!("unglue-{number}"));
        thread.spawn(move || runtime.block_on(shard.serve(listener))).map_err(failed)
    }

    /// Accepts connections until the server's end, and sees them to theirs.
    pub(super) async fn serve(mut self, listener: Accepting) {
        self.accept(&listener).await;
        drop(listener);
        self.wind_down().await;
    }

    /// Sees the connections to their end.
    pub(super) async fn finish(mut self) {
        let mut stage = self.stage.clone();
        tokio::select! {
            () = self.connections.all_ended() => return,
            () = reached(&mut stage, Stage::Leaving) => {}
        }
        self.wind_down().await;
        // What was being written when it ended is removed, as far as the disk answers.
        if let Some(store) = &self.realm.store {
            let _ = timeout(ENDING, store.idle()).await;
        }
    }

    /// Waits for nothing but the next connection: what one needs before it is served is waited for in its own task.
    async fn accept(&mut self, listener: &Accepting) {
        let mut stage = self.stage.clone();
        let mut idle = Idle::new(listener.resident());
        loop {
            tokio::select! {
                arrived = listener.next() => match arrived {
                    Ok(arrival) => {
                        idle.begin_again();
                        self.take(arrival, listener);
                        // The others get on between any two arrivals.
                        yield_now().await;
                    }
                    Err(error) => {
                        tracing::warn!(event = "accept_failed", %error);
                        self.shared.acceptor.admission().make_room(ROOM);
                        sleep(FULL).await;
                    }
                },
                Some(()) = self.connections.next_ended() => {}
                () = reached(&mut stage, Stage::HandedOver) => return,
                () = idle.look() => {
                    if idle.is_over(self.connections.is_empty() && !self.shared.registry.is_busy()) {
                        tracing::info!(event = "nothing_left", "nothing was under way for a while");
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, arrival: Arrival, listener: &Accepting) {
        match (arrival, listener) {
            (Arrival::Tcp(tcp, peer), _) => self.connections.take(tcp, peer),
            (Arrival::Own(stream), Accepting::Own(_, name, resident)) => {
                self.connections.take_owners(stream, resident.clone(), name.clone());
            }
            (Arrival::Unix(stream) | Arrival::Own(stream), _) => self.connections.take_local(stream),
        }
    }

    /// The operations under way go on for a while, or for as long as they need if the state was handed over; then everything
    /// ends.
    async fn wind_down(&mut self) {
        let mut stage = self.stage.clone();
        let patience = async {
            let handed_over = *stage.borrow() == Stage::HandedOver;
            if handed_over {
                reached(&mut stage, Stage::Leaving).await;
            }
            let _ = timeout(GO_AWAY_GRACE, reached(&mut stage, Stage::Ending)).await;
        };
        tokio::select! {
            () = self.connections.all_ended() => return,
            () = patience => {}
        }
        self.connections.abort_all();
        let _ = timeout(ENDING, self.connections.all_ended()).await;
    }
}

/// How long a resident has had nothing under way.
struct Idle {
    linger: Option<Duration>,
    since: Option<Instant>,
}

impl Idle {
    fn new(resident: Option<&Resident>) -> Idle {
        Idle { linger: resident.map(|resident| resident.linger), since: None }
    }

    fn begin_again(&mut self) {
        self.since = None;
    }

    /// Waits until it is time to look; for ever where the server doesn't end by itself.
    async fn look(&self) {
        match self.linger {
            Some(linger) => sleep((linger / 8).clamp(LOOK, MOST)).await,
            None => std::future::pending().await,
        }
    }

    fn is_over(&mut self, is_idle: bool) -> bool {
        if !is_idle {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        self.linger.is_some_and(|linger| since.elapsed() >= linger)
    }
}

/// Waits until the server has come so far on its way to the end, or is gone.
async fn reached(stage: &mut watch::Receiver<Stage>, at: Stage) {
    drop(stage.wait_for(|stage| *stage >= at).await);
}
