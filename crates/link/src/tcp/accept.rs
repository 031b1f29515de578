//! The server's way in: each stage has its deadline, and each refusal says where it happened.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use unglue_proto::control::Inbox;
use unglue_proto::limits::{AUTH_MESSAGE, FIRST_MESSAGE, HANDSHAKE, SIGNATURE};
use unglue_proto::message::auth::FromClient;
use unglue_proto::mux::Role;
use unglue_proto::{Code, Fault};

use super::handshake::Session;
use super::lobby::Stranger;
use crate::auth::{self, Examiner, Gatekeeper, Verdict};
use crate::link::{Driver, Link, Opening};
use crate::tls;
use unglue_identity::{Principal, PrivateKey};

/// How long a denied stranger may take to read why.
const PARTING: Duration = Duration::from_secs(2);

/// What a server proves itself with, made once from its host key.
#[derive(Clone)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

impl ServerTls {
    /// Settings for this host key.
    ///
    /// # Errors
    /// TLS does not take the key.
    pub fn new(host_key: &PrivateKey) -> Result<ServerTls, Fault> {
        tls::server_config(host_key).map(ServerTls)
    }
}

/// An authenticated client.
pub struct Accepted {
    /// The link.
    pub link: Link,
    /// To be spawned by the caller.
    pub driver: Driver<TcpStream>,
    /// Who it is.
    pub principal: Principal,
}

/// A connection that came to nothing: one line for the log.
#[derive(Debug)]
pub struct Refusal {
    /// Where it came from.
    pub peer: SocketAddr,
    /// How far it got: `handshake`, `authentication`.
    pub stage: &'static str,
    /// Why it ended.
    pub fault: Fault,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {} at {}: {}", self.peer, self.stage, self.fault.what)
    }
}

/// Takes a new connection through handshake and authentication. Returns within the deadlines, whatever the peer does.
///
/// # Errors
/// The peer is refused, for the reason given; it has been told, where it listens.
pub async fn accept(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: &ServerTls,
    gatekeeper: Arc<dyn Gatekeeper>,
    mut stranger: Stranger,
) -> Result<Accepted, Refusal> {
    tokio::select! {
        accepted = admit(tcp, peer, tls, gatekeeper) => accepted,
        () = stranger.crowded_out() => {
            let what = "too many connections wait to authenticate, and this was the oldest";
            Err(Refusal { peer, stage: "lobby", fault: Fault::peer(Code::LimitExceeded, what) })
        }
    }
}

async fn admit(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: &ServerTls,
    gatekeeper: Arc<dyn Gatekeeper>,
) -> Result<Accepted, Refusal> {
    let refusal = |stage| move |fault| Refusal { peer, stage, fault };
    let failed = |error: std::io::Error| Fault::system(Code::LinkLost, format!("the connection failed: {error}"));
    super::tune(&tcp).map_err(failed).map_err(refusal("handshake"))?;
    let mut session = Session::new(tcp, tls::accept(tls.0.clone()).map_err(refusal("handshake"))?);
    let handshake = timeout(HANDSHAKE, session.handshake()).await;
    handshake.unwrap_or_else(|_| Err(late("the handshake", HANDSHAKE))).map_err(refusal("handshake"))?;

    match authenticate(&mut session, gatekeeper).await {
        Ok((principal, unread)) => {
            let opening = Opening { unread, gate: None };
            let (link, driver) = Link::new(Role::Server, session.tcp, session.wire, opening);
            Ok(Accepted { link, driver, principal })
        }
        Err(fault) => {
            if auth::denial(&fault).and_then(|message| session.queue(&message)).is_ok() {
                let _ = timeout(PARTING, session.part()).await;
            }
            Err(refusal("authentication")(fault))
        }
    }
}

/// The messages before the streams. Gives who it is, and the bytes behind its hello.
async fn authenticate(session: &mut Session, gatekeeper: Arc<dyn Gatekeeper>) -> Result<(Principal, Vec<u8>), Fault> {
    let exporter = tls::exporter(session.tls()?)?;
    let mut examiner = Examiner::new(gatekeeper, exporter);
    let mut inbox = Inbox::new(AUTH_MESSAGE);
    let (mut what, mut limit) = ("the first message", FIRST_MESSAGE);
    loop {
        let deadline = Instant::now() + limit;
        let message =
            timeout_at(deadline, next(session, &mut inbox)).await.unwrap_or_else(|_| Err(late(what, limit)))?;
        // It reads files: an authorized_keys on a dead NFS server must not stop the other connections.
        let examined = tokio::task::spawn_blocking(move || (examiner.examine(message), examiner));
        let examined = timeout(FIRST_MESSAGE, examined).await;
        let examined = examined.map_err(|_| late("looking the key up", FIRST_MESSAGE))?;
        let verdict;
        (verdict, examiner) = examined.map_err(|error| Fault::us(format!("the key was not looked up: {error}")))?;
        let verdict = verdict?;
        session.queue(&auth::reply(&verdict)?)?;
        match verdict {
            Verdict::Welcome(_, principal) => return Ok((principal, inbox.into_rest())),
            Verdict::Sign(_) => {
                session.send().await?;
                (what, limit) = ("the signature", SIGNATURE);
            }
        }
    }
}

async fn next(session: &mut Session, inbox: &mut Inbox) -> Result<FromClient, Fault> {
    loop {
        inbox.feed(&std::mem::take(&mut session.unread));
        if let Some(message) = inbox.next()? {
            return Ok(message);
        }
        session.receive().await?;
    }
}

fn late(what: &str, limit: Duration) -> Fault {
    Fault::peer(Code::TimedOut, format!("{what} took longer than {} s", limit.as_secs()))
}
