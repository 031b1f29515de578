//! The connections of one thread: each from its first byte to its end, in a task of its own.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::timeout;
use tracing::field::display;
use unglue_host::process::{Limits, Supervisors};
use unglue_identity::Principal;
use unglue_link::threads::panic_message;
use unglue_link::{Accepted, Peer, Refusal};
use unglue_proto::{Fault, Octets};

use super::realm::Realm;
use super::session::Session;
use super::shard::{Name, Resident};
use super::{Shared, Stage, system, unix};
use crate::ops::exec::Runner;
use crate::owner::{ACCEPTED, Passed, Preface, REFUSED};

/// Dropped, it ends them all.
pub(super) struct Connections {
    context: Context,
    tasks: JoinSet<()>,
    peers: HashMap<task::Id, Peer>,
}

/// What a connection needs.
#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    realm: Arc<Realm>,
    runner: Arc<OnceLock<Runner>>,
    stage: watch::Receiver<Stage>,
}

/// How long the first bytes of a connection to the owner of the state may take.
const PREFACE: Duration = Duration::from_secs(5);

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, realm: Arc<Realm>, stage: watch::Receiver<Stage>) -> Connections {
        let context = Context { shared, realm, runner: Arc::default(), stage };
        Connections { context, tasks: JoinSet::new(), peers: HashMap::new() }
    }

    /// Starts the processes that run commands, if any may be run, before the first connection needs them.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn warm_up(&self) -> io::Result<()> {
        self.context.runner().map(drop)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Takes a new TCP connection; its client is not known yet. Waits for nothing.
    pub(super) fn take(&mut self, tcp: TcpStream, address: SocketAddr) {
        let context = self.context.clone();
        self.spawn(address.into(), async move {
            let accepted = context.shared.acceptor.accept(tcp, address).await;
            // In a box, so that unauthenticated connections are small.
            Box::pin(context.serve(address.into(), accepted)).await;
        });
    }

    /// Takes a connection whose other end is known.
    pub(super) fn take_trusted<Io>(&mut self, io: Io, peer: Peer, principal: Principal)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let context = self.context.clone();
        self.spawn(peer, async move {
            let accepted = context.shared.acceptor.accept_trusted(io, peer, principal).await;
            context.serve(peer, accepted).await;
        });
    }

    /// Takes a connection to a unix socket. Its client is this server's own user, or root, or is refused.
    pub(super) fn take_local(&mut self, stream: UnixStream) {
        let context = self.context.clone();
        let (peer, admitted) = admission(&stream);
        self.spawn(peer, async move {
            let acceptor = &context.shared.acceptor;
            let accepted = match admitted {
                Ok(()) => acceptor.accept_trusted(stream, peer, context.shared.own_user(&context.realm)).await,
                Err(fault) => Err(acceptor.refuse(stream, peer, fault).await),
            };
            context.serve(peer, accepted).await;
        });
    }

    /// Takes a connection to the owner of the state: from another process of this user. What it is for is what it says first.
    pub(super) fn take_owners(&mut self, mut stream: UnixStream, resident: Option<Resident>, name: Arc<Name>) {
        let context = self.context.clone();
        let (peer, admitted) = admission(&stream);
        self.spawn(peer, async move {
            if let Err(fault) = admitted {
                return tracing::warn!(event = "refused", %peer, stage = "owner", why = %fault);
            }
            let preface = timeout(PREFACE, Preface::receive(&stream)).await.ok().flatten();
            match (preface, resident) {
                (Some((Preface::Link, _)), _) => context.serve_carried(stream, peer).await,
                (Some((Preface::Descriptors, descriptors)), _) => {
                    context.serve_passed(descriptors, stream, peer).await;
                }
                (Some((Preface::HandOver, _)), Some(resident)) => {
                    tracing::info!(event = "handing_over", %peer);
                    resident.hand_over(&context.shared.registry, &name).await;
                    let _ = stream.write_all(&[ACCEPTED]).await;
                }
                _ => drop(stream.write_all(&[REFUSED]).await),
            }
        });
    }

    fn spawn(&mut self, peer: Peer, connection: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.peers.insert(task.id(), peer);
    }

    /// Waits until one has ended; `None` where there is none.
    pub(super) async fn next_ended(&mut self) -> Option<()> {
        let (id, panic) = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let peer = self.peers.remove(&id);
        if let (Some(peer), Some(error)) = (peer, panic) {
            log_panic("connection", peer, error);
        }
        Some(())
    }

    pub(super) async fn all_ended(&mut self) {
        while self.next_ended().await.is_some() {}
    }

    pub(super) fn abort_all(&mut self) {
        self.tasks.abort_all();
    }
}

/// Who is at the other end, and whether it may be.
fn admission(stream: &UnixStream) -> (Peer, Result<(), Fault>) {
    match stream.peer_cred() {
        Ok(credentials) => (Peer::Unix { uid: credentials.uid() }, unix::admit(&credentials)),
        // It is gone.
        Err(error) => (Peer::Unix { uid: u32::MAX }, Err(system("the client's user is not known", &error))),
    }
}

impl Context {
    /// What runs commands; nothing where none may be run.
    fn runner(&self) -> io::Result<Option<Runner>> {
        if !self.realm.policy.exec {
            return Ok(None);
        }
        if let Some(runner) = self.runner.get() {
            return Ok(Some(runner.clone()));
        }
        let supervisors = Supervisors::new(self.shared.supervisor.clone(), Limits::default())?;
        let (environment, top) = (self.shared.environment.clone(), self.realm.top.clone());
        Ok(Some(self.runner.get_or_init(|| Runner { supervisors, environment, top }).clone()))
    }

    /// Serves a link that another process carries.
    async fn serve_carried(self, mut stream: UnixStream, peer: Peer) {
        if stream.write_all(&[ACCEPTED]).await.is_ok() {
            self.serve_own_user(stream, peer).await;
        }
    }

    /// Serves a link on the descriptors that another process has passed on.
    async fn serve_passed(self, descriptors: Vec<OwnedFd>, stream: UnixStream, peer: Peer) {
        match Passed::new(descriptors, stream) {
            Ok(mut passed) => {
                if passed.answer(ACCEPTED).await.is_ok() {
                    self.serve_own_user(passed, peer).await;
                }
            }
            Err((error, mut stream)) => {
                tracing::warn!(event = "refused", %peer, stage = "owner", why = %error);
                let _ = stream.write_all(&[REFUSED]).await;
            }
        }
    }

    async fn serve_own_user(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let user = self.shared.own_user(&self.realm);
        let accepted = self.shared.acceptor.accept_trusted(io, peer, user).await;
        self.serve(peer, accepted).await;
    }

    async fn serve(self, peer: Peer, accepted: Result<Accepted, Refusal>) {
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let (stage, why) = (refusal.stage, &refusal.error);
                return tracing::warn!(event = "refused", %peer, stage, %why);
            }
        };
        log_accepted(peer, &accepted.principal);
        let runner = self.runner().unwrap_or_else(|error| {
            tracing::error!(event = "no_commands", %error, "the processes that run commands can't be started");
            None
        });
        let driver = tokio::spawn(accepted.driver);
        let who = (accepted.principal, accepted.login);
        Session::new(accepted.link, peer, who, self.shared, (&self.realm, runner), self.stage).run().await;
        // The last bytes may still be on their way out.
        if let Err(error) = driver.await {
            log_panic("driver", peer, error);
        }
    }
}

fn log_accepted(peer: Peer, principal: &Principal) {
    let key = principal.key.as_ref().map(|key| display(key.fingerprint()));
    let certificate = principal.certificate.as_ref().map(display);
    let forced = principal.policy.command.as_ref().map(|command| display(Octets::from(command.clone())));
    let user = Octets::from(principal.user.as_str());
    tracing::info!(event = "accepted", %peer, %user, key, certificate, forced);
}

/// A bug of ours, which ended one task and nothing else. A task that was only cancelled is no event.
pub(super) fn log_panic(task: &str, peer: Peer, error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        let what = Octets::from(panic_message(&*panic).as_str());
        tracing::error!(event = "panic", task, %peer, %what, "a bug in unglue ended this connection: please report it");
    }
}
