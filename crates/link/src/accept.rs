//! The server's way to a link: each stage has its deadline, and each refusal names the stage.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use unglue_identity::{Certificate, Denial, Login, Principal, PrivateKey};
use unglue_proto::limits::AUTH_MESSAGE;
use unglue_proto::message::auth::{FromClient, Welcome};
use unglue_proto::mux::Role;
use unglue_proto::{Blame, Fault};

use crate::admission::{Admission, Evicted, Place};
use crate::auth::{self, Answer, Examiner, Gatekeeper, LoginError, Logins, Reconsiderations};
use crate::config::LinkConfig;
use crate::error::LinkError;
use crate::link::{Driver, Link, Start};
use crate::opening::{self, Opening};
use crate::transport::wire::Wire;
use crate::transport::{Io, Peer, tcp, tls};

/// How long a denied client may take to read why.
const PARTING: Duration = Duration::from_secs(2);

/// How often a link's login is looked at again ([`Gatekeeper::reconsider`]).
pub const RECONSIDER: Duration = Duration::from_secs(20);

/// What a server proves itself with, made once from its host keys.
#[derive(Clone)]
pub struct ServerTls {
    tls: Arc<rustls::ServerConfig>,
    certificates: Arc<Vec<Certificate>>,
}

impl ServerTls {
    /// Settings for this host key.
    ///
    /// # Errors
    /// TLS does not take the key.
    pub fn new(host_key: &PrivateKey) -> Result<ServerTls, LinkError> {
        ServerTls::with_keys(std::slice::from_ref(host_key))
    }

    /// Settings for several host keys of different kinds; a client chooses among the kinds.
    ///
    /// # Errors
    /// TLS does not take one of the keys, or there is none.
    pub fn with_keys(host_keys: &[PrivateKey]) -> Result<ServerTls, LinkError> {
        Ok(ServerTls { tls: tls::server_config(host_keys)?, certificates: Arc::default() })
    }

    /// Has certificates for the host keys, which clients that know the authority ask for.
    pub fn certificates(self, certificates: Vec<Certificate>) -> ServerTls {
        ServerTls { certificates: Arc::new(certificates), ..self }
    }
}

/// The certificates, in the form in which they are sent, which together fit into a message.
fn shown(certificates: &[Certificate]) -> Vec<String> {
    let mut room = AUTH_MESSAGE / 2;
    let lines = certificates.iter().map(Certificate::to_openssh);
    lines.take_while(|line| room.checked_sub(line.len()).map(|left| room = left).is_some()).collect()
}

/// Whether a hello says that its client takes compressed blocks.
fn takes_zstd(message: &FromClient) -> bool {
    matches!(message, FromClient::Hello(hello) if auth::takes_zstd(&hello.accepts))
}

/// Turns connections into links. One for all connections of a server; cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    /// Nothing where all connections authenticate by themselves.
    tls: Option<ServerTls>,
    gatekeeper: Arc<dyn Gatekeeper>,
    admission: Admission,
    logins: Logins,
    again: Reconsiderations,
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
    /// How it logged in; `None` where the transport has authenticated it.
    pub login: Option<Login>,
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
        let (admission, logins, again) = Default::default();
        Acceptor { tls: Some(tls), gatekeeper, admission, logins, again, config }
    }

    /// Takes only connections that authenticate by themselves ([`Acceptor::accept_trusted`]). The gatekeeper writes the welcome.
    pub fn trusting(gatekeeper: Arc<dyn Gatekeeper>, config: LinkConfig) -> Acceptor {
        let (admission, logins, again) = Default::default();
        Acceptor { tls: None, gatekeeper, admission, logins, again, config }
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

    /// Takes a connection whose other end is known to be `principal`: a unix socket, or the standard input and output
    /// that an `ssh` server has connected. No TLS, no proof. Dropped, it closes the connection.
    ///
    /// # Errors
    /// The peer doesn't send the hello that belongs here in time, or asks for another user.
    pub async fn accept_trusted(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        principal: Principal,
    ) -> Result<Accepted, Refusal> {
        let mut opening = Opening::new(io, Wire::plain());
        match self.greet(&mut opening, &principal).await {
            Ok((unread, zstd)) => {
                let start = Start { unread, zstd, ..Start::default() };
                Ok(self.accepted(opening, start, principal, None))
            }
            Err(error) => Err(self.part(opening, peer, error).await),
        }
    }

    /// Tells a client why it isn't served, on a connection that authenticates by itself. A cancelled call drops the connection.
    pub async fn refuse(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        fault: Fault,
    ) -> Refusal {
        self.part(Opening::new(io, Wire::plain()), peer, LinkError::Refused { fault }).await
    }

    /// Waits until a principal that was let in by this login may not stay any longer: its key was removed or has
    /// expired, or may do something else now. A file that can't be read is logged, and ends nothing. Cancelling it
    /// loses nothing.
    pub async fn expelled(&self, peer: Peer, login: Arc<Login>, principal: Arc<Principal>) -> Denial {
        let mut failing = false;
        loop {
            tokio::time::sleep(RECONSIDER).await;
            let asked = self.again.ask(self.gatekeeper.clone(), login.clone(), principal.clone()).await;
            let why = match asked {
                Ok(Ok(())) => {
                    failing = false;
                    continue;
                }
                Ok(Err(Denial::Unavailable(why))) => why.to_string(),
                Ok(Err(denial)) => return denial,
                Err(error) => error.to_string(),
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(event = "not_reconsidered", %peer, why, "the link goes on, and no new one is admitted");
            }
        }
    }

    /// The hello without a proof, and its answer. Gives the bytes behind the hello, and whether it takes compressed blocks.
    async fn greet(&self, opening: &mut Opening<impl Io>, principal: &Principal) -> Result<(Vec<u8>, bool), LinkError> {
        let mut inbox = opening::inbox();
        let limit = self.config.first_message;
        let first: FromClient = timeout(limit, opening.next(&mut inbox))
            .await
            .unwrap_or_else(|_| Err(LinkError::late("the first message", limit)))?;
        let zstd = takes_zstd(&first);
        auth::examine_trusted(first, principal)?;
        let welcome: Welcome = self.gatekeeper.welcome(principal);
        opening.queue(&auth::welcome(welcome)?)?;
        Ok((inbox.into_rest(), zstd))
    }

    async fn admit(&self, tcp: TcpStream, peer: Peer, place: &Place) -> Result<Accepted, Refusal> {
        let refusal = |error| Refusal { peer, stage: "handshake", error };
        let Some(ServerTls { tls, certificates }) = &self.tls else {
            let what = "this server has no host key".to_owned();
            return Err(refusal(LinkError::Tls { what, advice: "", blame: Blame::Us, source: None }));
        };
        tcp::tune(&tcp).map_err(|error| refusal(error.into()))?;
        let tls = tls::accept(tls.clone()).map_err(refusal)?;
        let mut opening = Opening::new(tcp, Wire::Tls(Box::new(tls)));
        let limit = self.config.handshake;
        let handshake = timeout(limit, opening.handshake(|| place.in_handshake())).await;
        handshake.unwrap_or_else(|_| Err(LinkError::late("the handshake", limit))).map_err(refusal)?;
        match self.authenticate(&mut opening, peer, place, shown(certificates)).await {
            Ok((principal, login, mut start)) => {
                start.room = tcp::widen(&opening.io);
                Ok(self.accepted(opening, start, principal, Some(login)))
            }
            Err(error) => Err(self.part(opening, peer, error).await),
        }
    }

    fn accepted(
        &self,
        opening: Opening<impl Io + 'static>,
        start: Start,
        principal: Principal,
        login: Option<Login>,
    ) -> Accepted {
        let (link, driver) = Link::new(Role::Server, Box::new(opening.io), opening.wire, start, &self.config);
        Accepted { link, driver, principal, login }
    }

    /// Tells the client why, as far as it may know.
    async fn part(&self, mut opening: Opening<impl Io>, peer: Peer, error: LinkError) -> Refusal {
        if auth::denial(&error).and_then(|message| opening.queue(&message)).is_ok() {
            let _ = timeout(PARTING, opening.part()).await;
        }
        Refusal { peer, stage: "authentication", error }
    }

    /// The messages before the streams. Gives who it is, and how its link starts.
    async fn authenticate(
        &self,
        opening: &mut Opening<TcpStream>,
        peer: Peer,
        place: &Place,
        certificates: Vec<String>,
    ) -> Result<(Principal, Login, Start), LinkError> {
        let exporter = tls::exporter(opening.tls()?)?;
        let mut examiner = Examiner::new(self.gatekeeper.clone(), exporter, peer.ip(), certificates);
        let mut inbox = opening::inbox();
        let (mut what, mut limit) = ("the first message", self.config.first_message);
        loop {
            let deadline = Instant::now() + limit;
            let message = timeout_at(deadline, opening.next(&mut inbox))
                .await
                .unwrap_or_else(|_| Err(LinkError::late(what, limit)))?;
            let zstd = takes_zstd(&message);
            let answer;
            (answer, examiner) = self.examine(examiner, message).await?;
            opening.queue(&auth::reply(&answer)?)?;
            match answer {
                Answer::Welcome(_, principal, login) => {
                    let start = Start { unread: inbox.into_rest(), zstd, ..Start::default() };
                    return Ok((*principal, *login, start));
                }
                Answer::Certificates(_) => opening.send().await.map(|_| ())?,
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
