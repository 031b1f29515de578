//! One thread of the server, with its own loop and its own supervisors.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tracing::field::display;
use unglue_host::process::{Limits, Supervisors};
use unglue_identity::Principal;
use unglue_link::tcp;
use unglue_proto::limits::GO_AWAY_GRACE;
use unglue_proto::{Fault, Octets};

use super::session::Session;
use super::{Shared, Stage, system};
use crate::ops::exec::Runner;

/// How long the loop waits before it tries to accept again when the system has no room for another connection.
const FULL: Duration = Duration::from_millis(100);
/// How long what was under way may take to end, once it was told to.
const ENDING: Duration = Duration::from_secs(2);

pub(super) struct Shard {
    shared: Arc<Shared>,
    host: Option<Runner>,
    stage: watch::Receiver<Stage>,
    connections: JoinSet<()>,
}

impl Shard {
    /// Starts the thread. It ends when `stage` says so.
    pub(super) fn start(
        number: usize,
        listener: &TcpListener,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
    ) -> Result<JoinHandle<()>, Fault> {
        let failed = |error: std::io::Error| system("a thread of the server can't start", &error);
        let listener = listener.try_clone().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let host = {
            let _in_runtime = runtime.enter();
            Shard::host(&shared).map_err(failed)?
        };
        let shard = Shard { shared, host, stage, connections: JoinSet::new() };
        let thread = std::thread::Builder::new().name(format!("unglue-{number}"));
        thread.spawn(move || runtime.block_on(shard.run(listener))).map_err(failed)
    }

    fn host(shared: &Shared) -> std::io::Result<Option<Runner>> {
        if !shared.exec {
            return Ok(None);
        }
        let supervisors = Supervisors::new(shared.supervisor.clone(), Limits::default())?;
        Ok(Some(Runner { supervisors, environment: shared.environment.clone(), top: shared.top.clone() }))
    }

    async fn run(mut self, listener: TcpListener) {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => self.serve(&listener).await,
            Err(error) => tracing::error!(%error, "can't listen"),
        }
        self.wind_down().await;
    }

    async fn serve(&mut self, listener: &tokio::net::TcpListener) {
        let mut stage = self.stage.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        let stranger = self.shared.lobby.enter(peer.ip()).await;
                        self.take(tcp, peer, stranger);
                        // Those who are in get on between any two arrivals.
                        yield_now().await;
                    }
                    Err(error) => {
                        tracing::warn!(event = "accept_failed", %error);
                        sleep(FULL).await;
                    }
                },
                Some(_) = self.connections.join_next() => {}
                _ = stage.wait_for(|stage| *stage > Stage::Serving) => return,
            }
        }
    }

    fn take(&mut self, tcp: TcpStream, peer: SocketAddr, stranger: tcp::Stranger) {
        let (shared, host, stage) = (self.shared.clone(), self.host.clone(), self.stage.clone());
        self.connections.spawn(async move {
            match tcp::accept(tcp, peer, &shared.tls, shared.gatekeeper.clone(), stranger).await {
                Ok(accepted) => {
                    log_accepted(peer, &accepted.principal);
                    let driver = tokio::spawn(accepted.driver);
                    Session::new(accepted.link, peer, accepted.principal, shared, host, stage).run().await;
                    // The last bytes may still be on their way out.
                    let _ = driver.await;
                }
                Err(refusal) => {
                    tracing::warn!(event = "refused", %peer, stage = refusal.stage, why = %refusal.fault.what);
                }
            }
        });
    }

    /// The operations under way go on for a while; then everything ends.
    async fn wind_down(&mut self) {
        let mut stage = self.stage.clone();
        let done = async { while self.connections.join_next().await.is_some() {} };
        tokio::select! {
            () = done => return,
            _ = timeout(GO_AWAY_GRACE, stage.wait_for(|stage| *stage == Stage::Ending)) => {}
        }
        self.connections.abort_all();
        let _ = timeout(ENDING, async { while self.connections.join_next().await.is_some() {} }).await;
    }
}

fn log_accepted(peer: SocketAddr, principal: &Principal) {
    let key = principal.key.as_ref().map(|key| display(key.fingerprint()));
    tracing::info!(event = "accepted", %peer, user = %Octets::from(principal.user.as_str()), key);
}
