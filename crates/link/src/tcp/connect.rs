//! The client's way in.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use unglue_proto::control::Inbox;
use unglue_proto::limits::{AUTH_MESSAGE, FIRST_MESSAGE, HANDSHAKE};
use unglue_proto::message::auth::{FromServer, Welcome};
use unglue_proto::mux::Role;
use unglue_proto::{Code, Fault};

use super::handshake::Session;
use crate::auth::{Credentials, welcome_gate};
use crate::link::{Driver, Link, Opening};
use crate::thread::in_a_thread;
use crate::tls;
use unglue_identity::{Identity, IdentityError, KnownHosts, KnownHostsFiles, PublicKey, Verdict};

/// How long a TCP connection may take to open.
const TCP: Duration = Duration::from_secs(10);

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

/// Which servers are trusted.
#[derive(Debug, Clone)]
pub struct HostTrust {
    /// The files that say so.
    pub files: KnownHostsFiles,
    /// Whether a server that no file knows is added, rather than refused.
    pub accept_new: bool,
    /// A key that a person has agreed to: it is trusted where no file knows the server.
    pub agreed: Option<PublicKey>,
}

/// A server that no file knows.
#[derive(Debug, Clone)]
pub struct UnknownHost {
    /// Where it answered.
    pub target: Target,
    /// The key that it proved to have.
    pub key: PublicKey,
    /// The file that would learn about it.
    pub file: PathBuf,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No file knows the server. A person may decide to trust it, with [`KnownHosts::append`].
    #[error(
        "the server at {} is not known: its host key is {}; if that is right, trust it with: unglue key trust '{}' {}",
        .0.target, .0.key.fingerprint(), .0.target, .0.key.fingerprint()
    )]
    Unknown(Box<UnknownHost>),
    /// Anything else.
    #[error("{0}")]
    Failed(Fault),
}

impl From<Fault> for ConnectError {
    fn from(fault: Fault) -> Self {
        ConnectError::Failed(fault)
    }
}

/// A link to a server that is trusted, and whose answer to the client's proof is still under way.
pub struct Connected {
    /// The link; what is written to it travels with the proof.
    pub link: Link,
    /// To be spawned by the caller.
    pub driver: Driver<TcpStream>,
    /// The server's answer. Dropped if the server denies: [`Link::ended`] then says why.
    pub welcome: oneshot::Receiver<Welcome>,
    /// The key that the server proved to have.
    pub host_key: PublicKey,
}

/// Connects, checks the host key against the known hosts, and proves who the client is. A key that the server accepts and
/// that can't be used (its passphrase isn't given, the agent doesn't sign) gives way to the next one, on a new connection.
///
/// # Errors
/// The server can't be reached, isn't an unglue server, isn't trusted, or wants a key that isn't there. A server that
/// *denies* is heard of later, through the link.
pub async fn connect(target: &Target, trust: &HostTrust, who: &Credentials) -> Result<Connected, ConnectError> {
    let mut who = who.clone();
    let mut unusable: Option<IdentityError> = None;
    loop {
        match attempt(target, trust, &who, unusable.is_some()).await {
            Err(Attempt::Unusable(identity, error)) => {
                who = who.without(&identity);
                let first = unusable.take();
                if who.identities.is_empty() {
                    return Err(Fault::user(Code::Denied, first.unwrap_or(error).to_string()).into());
                }
                if let Some(further) = first.as_ref().map(|_| &error) {
                    tracing::warn!("skipped a key: {further}");
                }
                unusable = Some(first.unwrap_or(error));
            }
            // The server accepts none of the keys that are left: what was wrong is the one that it would have accepted.
            Err(Attempt::Failed(ConnectError::Failed(fault))) if fault.code == Code::Denied => {
                let what = unusable.map_or(fault.clone(), |error| Fault::user(Code::Denied, error.to_string()));
                return Err(what.into());
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
    Unusable(Arc<Identity>, IdentityError),
    Failed(ConnectError),
}

impl<E: Into<ConnectError>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Attempt::Failed(error.into())
    }
}

/// One connection. The server is asked which key it accepts if there are several, or if `offer` says so.
async fn attempt(target: &Target, trust: &HostTrust, who: &Credentials, offer: bool) -> Result<Connected, Attempt> {
    let tcp = open(target).await?;
    let mut session = Session::new(tcp, tls::connect()?);
    let handshake = timeout(HANDSHAKE, session.handshake()).await;
    handshake.map_err(|_| timed_out(target, "the TLS handshake", HANDSHAKE))?.map_err(|fault| about(target, fault))?;
    let host_key = tls::host_key(session.tls()?)?;
    check_host(target, trust, host_key)?;

    let exporter = tls::exporter(session.tls()?)?;
    let identity = match offer || who.wants_offer() {
        false => who.choose(None)?,
        true => {
            session.queue(&who.offer()?)?;
            let answer = timeout(FIRST_MESSAGE, offer_answer(&mut session)).await;
            who.choose(Some(&answer.map_err(|_| timed_out(target, "the answer to our keys", FIRST_MESSAGE))??))?
        }
    };
    let signature = who.prove(&identity, exporter).await.map_err(|error| Attempt::Unusable(identity.clone(), error))?;
    session.queue(&who.hello(&identity, &signature)?)?;

    let (sender, welcome) = oneshot::channel();
    let opening = Opening { unread: session.unread, gate: Some(welcome_gate(sender)) };
    let (link, driver) = Link::new(Role::Client, session.tcp, session.wire, opening);
    Ok(Connected { link, driver, welcome, host_key })
}

async fn open(target: &Target) -> Result<TcpStream, Fault> {
    let failed = |error: std::io::Error| {
        Fault::system(Code::LinkLost, format!("can't connect to {target}: {error}"))
            .advise("check the host and the port, and that unglue serve runs there")
    };
    let opening = async {
        let addresses = addresses(target).await?;
        TcpStream::connect(&addresses[..]).await.map_err(failed)
    };
    let opening = timeout(TCP, opening).await;
    let tcp = opening.map_err(|_| timed_out(target, "the TCP connection", TCP))??;
    super::tune(&tcp).map_err(failed)?;
    Ok(tcp)
}

/// The target's addresses. A name is looked up in a thread of its own, since the system's resolver waits.
async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, Fault> {
    let (host, port) = (target.host.clone(), target.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let looked_up = in_a_thread(move || (host.as_str(), port).to_socket_addrs()).await.map_err(|error| {
        Fault::system(Code::System, format!("the system gave no thread to look {} up: {error}", target.host))
            .advise("raise the limit of processes (ulimit -u), or end some")
    })?;
    let addresses = looked_up.map_err(|error| {
        Fault::system(Code::Unreachable, format!("the name {} was not found: {error}", target.host))
            .advise("check the spelling and the network")
    })?;
    Ok(addresses.collect())
}

/// Sends the offer and waits for the server's choice.
async fn offer_answer(session: &mut Session) -> Result<unglue_proto::message::auth::Sign, Fault> {
    session.send().await?;
    let mut inbox = Inbox::new(AUTH_MESSAGE);
    loop {
        inbox.feed(&std::mem::take(&mut session.unread));
        match inbox.next()? {
            None => session.receive().await?,
            Some(FromServer::Denied(fault)) => return Err(fault),
            Some(FromServer::Welcome(_)) => {
                return Err(Fault::peer(Code::BadMessage, "the server welcomes before it has seen a proof"));
            }
            Some(FromServer::Sign(sign)) => {
                session.unread = inbox.into_rest();
                return Ok(sign);
            }
        }
    }
}

fn check_host(target: &Target, trust: &HostTrust, key: PublicKey) -> Result<(), ConnectError> {
    let unreadable = |error: unglue_identity::IdentityError| Fault::user(Code::UntrustedHost, error.to_string());
    let known = KnownHosts::load(&trust.files.read).map_err(unreadable)?;
    match known.lookup(&target.host, target.port, &key) {
        Verdict::Trusted { .. } => Ok(()),
        Verdict::Changed { at, known } => Err(changed(target, &key, &format!("{at} knows it by {known}")).into()),
        Verdict::Revoked { at } => Err(changed(target, &key, &format!("{at} revokes that key")).into()),
        Verdict::Unknown { .. } if trust.agreed == Some(key) => Ok(()),
        Verdict::Unknown { .. } if trust.accept_new => {
            // As ssh: a home that can't be written to keeps nobody from connecting.
            if let Err(error) = KnownHosts::append(&trust.files.append, &target.host, target.port, &key) {
                tracing::warn!("{target} is trusted this time only: {error}. --known-hosts FILE names another file");
            }
            Ok(())
        }
        Verdict::Unknown { .. } => {
            let file = trust.files.append.clone();
            Err(ConnectError::Unknown(Box::new(UnknownHost { target: target.clone(), key, file })))
        }
    }
}

fn changed(target: &Target, key: &PublicKey, known: &str) -> Fault {
    let what = format!("the server at {target} shows the host key {}, but {known}", key.fingerprint());
    Fault::peer(Code::UntrustedHost, what)
        .advise("somebody may be in between; if the key was changed on purpose, remove that line and connect again")
}

fn timed_out(target: &Target, what: &str, limit: Duration) -> Fault {
    let seconds = limit.as_secs();
    Fault::system(Code::TimedOut, format!("{what} with {target} took longer than {seconds} s"))
        .advise("check the address, the network and a firewall in between")
}

fn about(target: &Target, mut fault: Fault) -> Fault {
    fault.what = format!("{target}: {}", fault.what);
    fault
}
