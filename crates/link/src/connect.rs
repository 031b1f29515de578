//! The client's way to a link.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use unglue_identity::{Identity, PublicKey};
use unglue_proto::message::auth::{FromServer, Sign, Welcome};
use unglue_proto::mux::Role;
use unglue_proto::{Blame, Code, Fault};

use crate::LOGIN_STEPS;
use crate::auth::{Credentials, certificates_wanted, hello_without_proof, welcome_exchange};
use crate::config::LinkConfig;
use crate::error::LinkError;
use crate::link::{Driver, Link, Start};
use crate::opening::{self, Opening};
use crate::transport::tcp::{self, Room};
use crate::transport::wire::Wire;
use crate::transport::{Io, tls};
use crate::trust::{HostTrust, HostVerdict, UnknownHost};

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No file knows the server. A person may decide to trust it, with [`unglue_identity::KnownHosts::append`].
    #[error(
        "the server at {} is not known: its host key is {}; if that is right, trust it with: unglue key trust '{}' {}",
        .0.target, .0.key.fingerprint(), .0.target, .0.key.fingerprint()
    )]
    Unknown(Box<UnknownHost>),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] LinkError),
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Fault {
        match error {
            ConnectError::Failed(error) => error.into(),
            ConnectError::Unknown(_) => Fault::user(Code::UntrustedHost, error.to_string()),
        }
    }
}

/// A link to a server that is trusted, and whose answer to the client's hello is still under way.
#[non_exhaustive]
pub struct Connected {
    /// The link; what is written to it travels with the hello.
    pub link: Link,
    /// To be spawned by the caller.
    pub driver: Driver,
    /// The server's answer. Dropped if the server denies, or doesn't answer in time: [`Link::ended`] then gives the reason.
    pub welcome: oneshot::Receiver<Welcome>,
    /// The key that the server proved to have; `None` where the transport authenticates.
    pub host_key: Option<PublicKey>,
}

/// A TCP connection to a server on which nothing was sent yet.
#[derive(Debug)]
pub struct Reached {
    target: Target,
    tcp: TcpStream,
}

/// Opens a TCP connection, and no more: whether there is one tells whether another transport must be tried. Dropped,
/// it closes the connection.
///
/// # Errors
/// [`LinkError::is_unreachable`], or the name could not be looked up on a thread.
pub async fn reach(target: &Target, limit: Duration) -> Result<Reached, LinkError> {
    tracing::debug!(target: LOGIN_STEPS, "connecting to {target}");
    let tcp = tcp::open(target, limit).await?;
    if let Ok(address) = tcp.peer_addr() {
        tracing::debug!(target: LOGIN_STEPS, "connected to {address}");
    }
    Ok(Reached { target: target.clone(), tcp })
}

/// As [`connect`], on a connection that is open already. Dropped, it closes the connection.
///
/// # Errors
/// As [`connect`].
pub async fn connect_reached(
    reached: Reached,
    trust: &HostTrust,
    who: &Credentials,
    config: &LinkConfig,
) -> Result<Connected, ConnectError> {
    let target = reached.target.clone();
    log_in(&target, Some(reached), trust, who, config).await
}

/// Connects by TCP and TLS, checks the host key against the known hosts, and proves who the client is. A key that the
/// server accepts and that can't be used (its passphrase isn't given, the agent doesn't sign) gives way to the next one, on a
/// new connection. Dropped before it returns, it leaves nothing but, perhaps, a new line in the known hosts.
///
/// # Errors
/// The server can't be reached, isn't an unglue server, isn't trusted, or wants a key that isn't there. A server that
/// *denies* a key which was not offered first arrives later, through the link.
pub async fn connect(
    target: &Target,
    trust: &HostTrust,
    who: &Credentials,
    config: &LinkConfig,
) -> Result<Connected, ConnectError> {
    log_in(target, None, trust, who, config).await
}

/// `reached` is used for the first attempt.
async fn log_in(
    target: &Target,
    mut reached: Option<Reached>,
    trust: &HostTrust,
    who: &Credentials,
    config: &LinkConfig,
) -> Result<Connected, ConnectError> {
    let mut who = who.clone();
    // The first key that the server would have accepted, and what is wrong with it.
    let mut unusable: Option<LinkError> = None;
    loop {
        match attempt((target, reached.take()), trust, &who, config, unusable.is_some()).await {
            Err(Attempt::Unusable(identity, error)) => {
                who = who.without(&identity);
                let first = unusable.get_or_insert(error);
                if who.identities.is_empty() {
                    return Err(first.clone().into());
                }
            }
            Err(Attempt::Failed(ConnectError::Failed(error))) => {
                // Where the server accepts none of the keys that are left, what is wrong is the one that it would have accepted.
                return Err(unusable.filter(|_| error.is_denial()).unwrap_or(error).into());
            }
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(connected) => {
                unusable.iter().for_each(|error| tracing::warn!("skipped a key: {error}"));
                return Ok(connected);
            }
        }
    }
}

/// Why one connection came to nothing.
enum Attempt {
    /// The server would accept this key, which can't be used.
    Unusable(Arc<Identity>, LinkError),
    Failed(ConnectError),
}

impl<E: Into<ConnectError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Attempt::Failed(error.into())
    }
}

/// One connection. The server is asked which key it accepts if there are several, or if `offer` is set.
async fn attempt(
    (target, reached): (&Target, Option<Reached>),
    trust: &HostTrust,
    who: &Credentials,
    config: &LinkConfig,
    offer: bool,
) -> Result<Connected, Attempt> {
    let server = trust.of(target)?;
    let reached = match reached {
        Some(reached) => reached,
        None => reach(target, config.connect).await?,
    };
    let mut opening = Opening::new(reached.tcp, Wire::Tls(Box::new(tls::connect(&server.kinds())?)));
    let late =
        |what: &str, limit| LinkError::TimedOut { what: format!("{what} with {target}"), limit, blame: Blame::System };
    let handshake = timeout(config.handshake, opening.handshake(|| ())).await;
    handshake
        .map_err(|_| late("the TLS handshake", config.handshake))?
        .map_err(|error| LinkError::Handshake { target: target.to_string(), source: Arc::new(error) })?;
    let host_key = tls::host_key(opening.tls()?)?;
    let (kind, shown) = (host_key.kind(), host_key.fingerprint());
    tracing::debug!(target: LOGIN_STEPS, "the server proved by TLS 1.3 to have the host key {kind} {shown}");
    if let HostVerdict::AskForCertificates = server.check(&host_key)? {
        let shown = timeout(config.first_message, certificates(&mut opening)).await;
        let shown = shown.map_err(|_| late("the exchange about the host's certificates", config.first_message))??;
        server.check_certificates(&host_key, &shown)?;
    }

    let exporter = tls::exporter(opening.tls()?)?;
    let identity = match offer || who.wants_offer() {
        false => who.choose(None)?,
        true => {
            opening.queue(&who.offer()?)?;
            let count = who.identities.len();
            tracing::debug!(target: LOGIN_STEPS, "asking the server which of {count} public keys it accepts");
            let answer = timeout(config.first_message, offer_answer(&mut opening)).await;
            who.choose(Some(&answer.map_err(|_| late("the exchange about our keys", config.first_message))??))?
        }
    };
    let (key, from) = (identity.public_key().fingerprint(), identity.describe());
    tracing::debug!(target: LOGIN_STEPS, "signing this connection's own value with the key {key} of {from}");
    tracing::debug!(event = "proving", key = %identity.public_key().fingerprint());
    let hello = who.hello(identity.clone(), exporter).await.map_err(|error| match error {
        LinkError::Identity { .. } => Attempt::Unusable(identity, error),
        error => error.into(),
    })?;
    let room = tcp::widen(&opening.io);
    Ok(connected(opening, room, &hello, Some(host_key), config)?)
}

/// A link over a connection that has authenticated both ends already: a unix socket, or an `ssh` process (`tokio::io::join`
/// of its output and input). Must be called within a tokio runtime.
///
/// # Errors
/// The user's name is too long for a message.
pub fn connect_over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    user: Option<String>,
    config: &LinkConfig,
) -> Result<Connected, LinkError> {
    let hello = hello_without_proof(user)?;
    connected(Opening::new(io, Wire::plain()), None, &hello, None, config)
}

/// The hello is queued, and travels with the first requests.
fn connected(
    mut opening: Opening<impl Io + 'static>,
    room: Option<Room>,
    hello: &[u8],
    host_key: Option<PublicKey>,
    config: &LinkConfig,
) -> Result<Connected, LinkError> {
    opening.queue(hello)?;
    let (sender, welcome) = oneshot::channel();
    let deadline = (Instant::now() + config.welcome, config.welcome);
    let exchange = Some((welcome_exchange(sender), deadline));
    let start = Start { unread: opening.unread, exchange, room, ..Start::default() };
    let (link, driver) = Link::new(Role::Client, Box::new(opening.io), opening.wire, start, config);
    Ok(Connected { link, driver, welcome, host_key })
}

/// The certificates of the host key.
async fn certificates(opening: &mut Opening<TcpStream>) -> Result<Vec<String>, LinkError> {
    opening.queue(&certificates_wanted()?)?;
    opening.send().await?;
    let mut inbox = opening::inbox();
    match opening.next(&mut inbox).await? {
        FromServer::Certificates(shown) => {
            opening.unread = inbox.into_rest();
            Ok(shown.certificates)
        }
        FromServer::Denied(fault) => Err(LinkError::Refused { fault }),
        _ => Err(LinkError::misplaced("the server answers something else than the host key's certificates")),
    }
}

/// Sends the offer and waits for the server's choice.
async fn offer_answer(opening: &mut Opening<TcpStream>) -> Result<Sign, LinkError> {
    opening.send().await?;
    let mut inbox = opening::inbox();
    match opening.next(&mut inbox).await? {
        FromServer::Denied(fault) => {
            tracing::debug!(event = "denied", why = %fault.what);
            Err(LinkError::Refused { fault })
        }
        FromServer::Welcome(_) => Err(LinkError::misplaced("the server welcomes before it has seen a proof")),
        FromServer::Certificates(_) => {
            Err(LinkError::misplaced("the server shows certificates that were not asked for"))
        }
        FromServer::Sign(sign) => {
            opening.unread = inbox.into_rest();
            Ok(sign)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_identity::KnownHostsFiles;

    /// Nobody answers there: a listener that never accepts, and whose queue is full, would do the same.
    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target { host: "127.0.0.1".into(), port: listener.local_addr().expect("an address").port() };
        let files = KnownHostsFiles { read: Vec::new(), append: "/nonexistent".into() };
        let trust = HostTrust { files, accept_new: false, agreed: None, alias: None };
        let who = Credentials { user: None, identities: Vec::new(), ask: Arc::new(|_| None) };
        let config = LinkConfig { handshake: std::time::Duration::from_millis(200), ..LinkConfig::default() };
        match connect(&target, &trust, &who, &config).await {
            Err(ConnectError::Failed(error @ LinkError::TimedOut { .. })) => {
                assert_eq!(error.code(), Code::TimedOut);
                assert!(error.to_string().contains("took longer than 0.2 s"), "{error}");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("nobody answered"),
        }
    }
}
