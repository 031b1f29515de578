//! The server's way to a link: each stage has its deadline, and each refusal names the stage.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use unglue_identity::{Principal, PrivateKey};
use unglue_proto::message::auth::{FromClient, Welcome};
use unglue_proto::mux::Role;

use crate::admission::{Admission, Evicted, Place};
use crate::auth::{self, Answer, Examiner, Gatekeeper, LoginError, Logins};
use crate::config::LinkConfig;
use crate::error::LinkError;
use crate::link::{Driver, Link, Start};
use crate::opening::{self, Opening};
use crate::transport::wire::Wire;
use crate::transport::{Peer, tcp, tls};

/// How long a denied client may take to read why.
const PARTING: Duration = Duration::from_secs(2);

/// What a server proves itself with, made once from its host key.
#[derive(Clone)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

impl ServerTls {
    /// Settings for this host key.
    ///
    /// # Errors
    /// TLS does not take the key.
    pub fn new(host_key: &PrivateKey) -> Result<ServerTls, LinkError> {
        tls::server_config(host_key).map(ServerTls)
    }
}

/// Turns connections into links. One for all connections of a server; cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    tls: ServerTls,
    gatekeeper: Arc<dyn Gatekeeper>,
    admission: Admission,
    logins: Logins,
    config: LinkConfig,
}

/// An authenticated client.
#[non_exhaustive]
pub struct Accepted {
    /// The link.
    pub link: Link,
    /// To be spawned by the caller.
    pub driver: Driver,
    /// Who it is.
    pub principal: Principal,
}

/// A connection that came to nothing: one line for the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub struct Refusal {
    /// Where it came from.
    pub peer: Peer,
    /// How far it got: `admission`, `handshake`, `authentication`.
    pub stage: &'static str,
    /// Why it ended.
    #[source]
    pub error: LinkError,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {} at {}: {}", self.peer, self.stage, self.error)
    }
}

impl Acceptor {
    /// Shows this host key, asks this gatekeeper.
    pub fn new(tls: ServerTls, gatekeeper: Arc<dyn Gatekeeper>, config: LinkConfig) -> Acceptor {
        Acceptor { tls, gatekeeper, admission: Admission::default(), logins: Logins::default(), config }
    }

    /// Where connections wait until they have authenticated.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Takes a new TCP connection through handshake and authentication. Returns within the deadlines, whatever the peer
    /// does. Dropped before that, it closes the connection.
    ///
    /// # Errors
    /// The peer is refused, for the reason given; it has been sent the reason, if it reads.
    pub async fn accept(&self, tcp: TcpStream, peer: SocketAddr) -> Result<Accepted, Refusal> {
        let crowded = |Evicted| Refusal { peer: peer.into(), stage: "admission", error: LinkError::Crowded };
        let place = self.admission.enter(peer.ip()).await.map_err(crowded)?;
        tokio::select! {
            // In a box, so that those who wait for a place are small.
            accepted = Box::pin(self.admit(tcp, peer.into(), &place)) => accepted,
            evicted = place.evicted() => Err(crowded(evicted)),
        }
    }

    /// Takes a connection whose other end is known to be `principal`: a unix socket, or the standard input and output that an
    /// `ssh` server has connected. No TLS, no proof.
    ///
    /// # Errors
    /// The peer doesn't send the hello that belongs here in time, or asks for another user.
    pub async fn accept_trusted(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        principal: Principal,
    ) -> Result<Accepted, Refusal> {
        let mut opening = Opening::new(Box::new(io), Wire::plain());
        match self.greet(&mut opening, &principal).await {
            Ok(unread) => Ok(self.accepted(opening, unread, principal)),
            Err(error) => Err(self.part(opening, peer, error).await),
        }
    }

    /// The hello without a proof, and its answer. Gives the bytes behind the hello.
    async fn greet(&self, opening: &mut Opening, principal: &Principal) -> Result<Vec<u8>, LinkError> {
        let mut inbox = opening::inbox();
        let limit = self.config.first_message;
        let first: FromClient = timeout(limit, opening.next(&mut inbox))
            .await
            .unwrap_or_else(|_| Err(LinkError::late("the first message", limit)))?;
        auth::examine_trusted(first, principal)?;
        let welcome: Welcome = self.gatekeeper.welcome(principal);
        opening.queue(&auth::reply(&Answer::Welcome(Box::new(welcome), principal.clone()))?)?;
        Ok(inbox.into_rest())
    }

    async fn admit(&self, tcp: TcpStream, peer: Peer, place: &Place) -> Result<Accepted, Refusal> {
        let refusal = |error| Refusal { peer, stage: "handshake", error };
        tcp::tune(&tcp).map_err(|error| refusal(error.into()))?;
        let tls = tls::accept(self.tls.0.clone()).map_err(refusal)?;
        let mut opening = Opening::new(Box::new(tcp), Wire::Tls(Box::new(tls)));
        let limit = self.config.handshake;
        let handshake = timeout(limit, opening.handshake(|| place.in_handshake())).await;
        handshake.unwrap_or_else(|_| Err(LinkError::late("the handshake", limit))).map_err(refusal)?;
        match self.authenticate(&mut opening, place).await {
            Ok((principal, unread)) => Ok(self.accepted(opening, unread, principal)),
            Err(error) => Err(self.part(opening, peer, error).await),
        }
    }

    fn accepted(&self, opening: Opening, unread: Vec<u8>, principal: Principal) -> Accepted {
        let start = Start { unread, exchange: None };
        let (link, driver) = Link::new(Role::Server, opening.io, opening.wire, start, &self.config);
        Accepted { link, driver, principal }
    }

    /// Tells the client why, as far as it may know.
    async fn part(&self, mut opening: Opening, peer: Peer, error: LinkError) -> Refusal {
        if auth::denial(&error).and_then(|message| opening.queue(&message)).is_ok() {
            let _ = timeout(PARTING, opening.part()).await;
        }
        Refusal { peer, stage: "authentication", error }
    }

    /// The messages before the streams. Gives who it is, and the bytes behind its hello.
    async fn authenticate(&self, opening: &mut Opening, place: &Place) -> Result<(Principal, Vec<u8>), LinkError> {
        let exporter = tls::exporter(opening.tls()?)?;
        let mut examiner = Examiner::new(self.gatekeeper.clone(), exporter);
        let mut inbox = opening::inbox();
        let (mut what, mut limit) = ("the first message", self.config.first_message);
        loop {
            let deadline = Instant::now() + limit;
            let message = timeout_at(deadline, opening.next(&mut inbox))
                .await
                .unwrap_or_else(|_| Err(LinkError::late(what, limit)))?;
            let answer;
            (answer, examiner) = self.examine(examiner, message).await?;
            opening.queue(&auth::reply(&answer)?)?;
            match answer {
                Answer::Welcome(_, principal) => return Ok((principal, inbox.into_rest())),
                Answer::Sign(_) => {
                    place.has_shown_a_key();
                    opening.send().await?;
                    (what, limit) = ("the signature", self.config.signature);
                }
            }
        }
    }

    /// On a thread of the logins, since it reads files: an `authorized_keys` on a dead file server must not stop the other
    /// connections.
    async fn examine(&self, examiner: Examiner, message: FromClient) -> Result<(Answer, Examiner), LinkError> {
        let limit = self.config.first_message;
        let examined = timeout(limit, self.logins.examine(examiner, message)).await;
        let examined = examined.map_err(|_| LoginError::Slow { limit })?;
        let (answer, examiner) = examined
            .map_err(|error| LinkError::Thread { what: "the key was not looked up", source: Arc::new(error) })?;
        Ok((answer?, examiner))
    }
}
