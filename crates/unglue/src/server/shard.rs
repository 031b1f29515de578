//! One loop of the server, with its own connections and its own supervisors: a thread of its own, or a task of the caller's.

use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use unglue_host::process::{Limits, Supervisors};
use unglue_proto::Fault;
use unglue_proto::limits::GO_AWAY_GRACE;

use super::connections::Connections;
use super::{Shared, Stage, system};
use crate::ops::exec::Runner;

/// How long the loop waits before it tries to accept again when the system has no room for another connection.
const FULL: Duration = Duration::from_millis(20);
/// How many unauthenticated connections are evicted then, so that the next ones find room.
const ROOM: usize = 16;
/// How long what was under way may take to end, once it was asked to.
const ENDING: Duration = Duration::from_secs(2);

pub(super) struct Shard {
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
    pub(super) connections: Connections,
}

impl Shard {
    /// Must be called within a runtime.
    pub(super) fn new(shared: Arc<Shared>, stage: watch::Receiver<Stage>) -> Result<Shard, Fault> {
        let runner = runner(&shared).map_err(|error| system("commands can't be run", &error))?;
        shared.registry.adopt();
        let connections = Connections::new(shared.clone(), runner, stage.clone());
        Ok(Shard { shared, stage, connections })
    }

    /// Starts a thread with a runtime of its own. It ends when `stage` does.
    pub(super) fn start(
        number: usize,
        listener: &StdTcpListener,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
    ) -> Result<JoinHandle<()>, Fault> {
        let failed = |error: std::io::Error| system("a thread of the server can't start", &error);
        let listener = listener.try_clone().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let made = {
            let _in_runtime = runtime.enter();
            Shard::new(shared, stage).and_then(|shard| Ok((shard, TcpListener::from_std(listener).map_err(failed)?)))
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
    pub(super) async fn serve(mut self, listener: TcpListener) {
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
        if let Some(store) = &self.shared.store {
            let _ = timeout(ENDING, store.idle()).await;
        }
    }

    /// Waits for nothing but the next connection: what one needs before it is served is waited for in its own task.
    async fn accept(&mut self, listener: &TcpListener) {
        let mut stage = self.stage.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        self.connections.take(tcp, peer);
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
                () = reached(&mut stage, Stage::Leaving) => return,
            }
        }
    }

    /// The operations under way go on for a while; then everything ends.
    async fn wind_down(&mut self) {
        let mut stage = self.stage.clone();
        tokio::select! {
            () = self.connections.all_ended() => return,
            _ = timeout(GO_AWAY_GRACE, reached(&mut stage, Stage::Ending)) => {}
        }
        self.connections.abort_all();
        let _ = timeout(ENDING, self.connections.all_ended()).await;
    }
}

/// Waits until the server has come so far on its way to the end, or is gone.
async fn reached(stage: &mut watch::Receiver<Stage>, at: Stage) {
    drop(stage.wait_for(|stage| *stage >= at).await);
}

fn runner(shared: &Shared) -> std::io::Result<Option<Runner>> {
    if !shared.exec {
        return Ok(None);
    }
    let supervisors = Supervisors::new(shared.supervisor.clone(), Limits::default())?;
    Ok(Some(Runner { supervisors, environment: shared.environment.clone(), top: shared.top.clone() }))
}
