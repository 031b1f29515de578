//! The connections of one thread: each from its first byte to its end, in a task of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinSet};
use tracing::field::display;
use unglue_identity::Principal;
use unglue_link::threads::panic_message;
use unglue_link::{Accepted, Peer, Refusal};
use unglue_proto::Octets;

use super::session::Session;
use super::{Shared, Stage};
use crate::ops::exec::Runner;

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
    runner: Option<Runner>,
    stage: watch::Receiver<Stage>,
}

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, runner: Option<Runner>, stage: watch::Receiver<Stage>) -> Connections {
        Connections { context: Context { shared, runner, stage }, tasks: JoinSet::new(), peers: HashMap::new() }
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

impl Context {
    async fn serve(self, peer: Peer, accepted: Result<Accepted, Refusal>) {
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let (stage, why) = (refusal.stage, &refusal.error);
                return tracing::warn!(event = "refused", %peer, stage, %why);
            }
        };
        log_accepted(peer, &accepted.principal);
        let driver = tokio::spawn(accepted.driver);
        let who = (accepted.principal, accepted.login);
        Session::new(accepted.link, peer, who, self.shared, self.runner, self.stage).run().await;
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
