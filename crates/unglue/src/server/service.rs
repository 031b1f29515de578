//! A server inside the caller's runtime.

use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use unglue_identity::{Principal, PublicKey};
use unglue_link::Peer;
use unglue_proto::Fault;

use super::shard::{Accepting, Shard};
use super::{ServerOptions, Shared, Stage, system};

/// A server inside the caller's tokio runtime, for listeners and connections that the caller has made.
///
/// ```no_run
/// use tokio::net::TcpListener;
/// use unglue::{ServerOptions, Service};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Service::new(ServerOptions::default())?;
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// service.serve(listener, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    host_key: Option<PublicKey>,
}

impl Service {
    /// Loads the host key, and sweeps what a dead server left.
    ///
    /// # Errors
    /// A file that it needs can't be read or written.
    pub fn new(options: ServerOptions) -> Result<Service, Fault> {
        let (shared, host_key) = Shared::with_keys(&options)?;
        Ok(Service { shared, host_key: Some(host_key) })
    }

    /// A service for connections that authenticate by themselves ([`Service::serve_trusted`]) and no others: it has no host key.
    ///
    /// # Errors
    /// A file that it needs can't be read or written.
    pub fn trusting(options: ServerOptions) -> Result<Service, Fault> {
        Ok(Service { shared: Shared::without_keys(&options)?, host_key: None })
    }

    /// The key that it proves itself with; `None` for a service that is [`trusting`](Service::trusting).
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.as_ref()
    }

    /// The user that this process runs as, who may do what the options allow: the principal of a connection that is known to
    /// be that user's own.
    pub fn own_user(&self) -> Principal {
        self.shared.own_user(&self.shared.offered)
    }

    /// Accepts connections until `shutdown` is ready; then takes no new ones, and returns when the operations under way are
    /// done, or [`unglue_proto::limits::GO_AWAY_GRACE`] has passed. Dropped before, it ends everything at once.
    ///
    /// # Errors
    /// The processes that run commands can't be started.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), Fault> {
        let (shard, stage) = self.shard()?;
        until(shutdown, stage, shard.serve(Accepting::Tcp(listener))).await;
        Ok(())
    }

    /// Serves one connection that the caller has accepted, as [`Service::serve`] would. Returns at its end. Dropped
    /// before, it ends the connection and what runs on it at once.
    ///
    /// # Errors
    /// As [`Service::serve`]; or the connection has no address any more.
    pub async fn serve_connection(&self, tcp: TcpStream, shutdown: impl Future<Output = ()>) -> Result<(), Fault> {
        let address = tcp.peer_addr().map_err(|error| system("the connection has no address", &error))?;
        let (mut shard, stage) = self.shard()?;
        shard.connections.take(tcp, address);
        until(shutdown, stage, shard.finish()).await;
        Ok(())
    }

    /// Serves one connection whose other end is known to be `principal`: a unix socket (for its credentials see
    /// unix(7)), or [`unglue_link::stdio`] in a program that an ssh server has started. It has neither TLS nor a proof.
    /// Dropped before, it ends the connection and what runs on it at once.
    ///
    /// # Errors
    /// As [`Service::serve`].
    pub async fn serve_trusted(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        principal: Principal,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Fault> {
        let (mut shard, stage) = self.shard()?;
        shard.connections.take_trusted(io, peer, principal);
        until(shutdown, stage, shard.finish()).await;
        Ok(())
    }

    fn shard(&self) -> Result<(Shard, watch::Sender<Stage>), Fault> {
        let (stage, watch) = watch::channel(Stage::Serving);
        Ok((Shard::new(self.shared.clone(), self.shared.offered.clone(), watch)?, stage))
    }
}

/// Runs `serving` to its end, which `shutdown` hastens.
async fn until(shutdown: impl Future<Output = ()>, stage: watch::Sender<Stage>, serving: impl Future<Output = ()>) {
    let mut serving = pin!(serving);
    tokio::select! {
        () = &mut serving => return,
        () = shutdown => drop(stage.send(Stage::Leaving)),
    }
    serving.await;
}
