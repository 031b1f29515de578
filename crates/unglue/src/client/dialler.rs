//! The client's links, one after the other: how the present one is found, and how another one is made.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};
use unglue_identity::PublicKey;
use unglue_link::auth::Credentials;
use unglue_link::threads::on_thread;
use unglue_link::{ConnectError, Connected, HostTrust, LOGIN_STEPS, Link, LinkConfig, LinkError, Reached};
use unglue_proto::message::auth::Welcome;

use super::connector::Connector;
use super::failed::Failed;
use super::{Address, ClientOptions};

/// Finds the link that there is, or makes another one; for commands that outlive their link.
#[derive(Clone)]
pub(crate) struct Dialler {
    /// The latest connection.
    current: Arc<Mutex<Connection>>,
    /// Where to, and how; nothing where the caller made the connection.
    way: Option<Arc<Way>>,
}

/// How a server is reached.
pub(super) enum Way {
    /// By TCP and TLS.
    Tcp(Address, Box<ClientOptions>),
    /// By connections that authenticate by themselves; with the user to ask for.
    By(Box<dyn Connector>, Option<String>, LinkConfig),
}

impl Way {
    /// Makes a connection.
    ///
    /// # Errors
    /// There is none, for the reason given.
    pub(super) async fn dial(&self) -> Result<Connected, Failed> {
        match self {
            Way::Tcp(address, options) => Ok(dial(address, None, options).await?),
            Way::By(connector, user, config) => {
                Ok(unglue_link::connect_over(connector.connect().await?, user.clone(), config)?)
            }
        }
    }
}

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) link: Link,
    welcome: Arc<Mutex<WelcomeState>>,
}

impl Dialler {
    /// Starts with this connection.
    pub(super) fn new(current: Connection, way: Option<Way>) -> Dialler {
        Dialler { current: Arc::new(Mutex::new(current)), way: way.map(Arc::new) }
    }

    /// The link; where it has ended, another one if `again`.
    ///
    /// # Errors
    /// It has ended, and there is no other one.
    pub(crate) async fn link(&self, again: bool) -> Result<Link, Failed> {
        let mut current = self.current.lock().await;
        let Some(ended) = current.link.is_ended() else { return Ok(current.link.clone()) };
        let Some(way) = self.way.as_ref().filter(|_| again) else { return Err(ended.into()) };
        *current = Connection::start(way.dial().await?).0;
        Ok(current.link.clone())
    }

    /// Closes the latest link. One that is just being made is left alone.
    pub(super) fn close_latest(&self) {
        if let Ok(current) = self.current.try_lock() {
            current.link.close();
        }
    }

    /// Whether there may be another link once this one has ended.
    pub(crate) fn can_dial(&self) -> bool {
        self.way.is_some()
    }

    /// The journal of the server, as its welcome names it.
    ///
    /// # Errors
    /// There was no welcome.
    pub(crate) async fn journal(&self) -> Result<Option<String>, LinkError> {
        let connection = self.current.lock().await.clone();
        connection.welcome().await.map(|welcome| welcome.journal)
    }
}

impl Connection {
    /// Lets the link's bytes move; also gives the key that the server proved to have.
    pub(super) fn start(connected: Connected) -> (Connection, Option<PublicKey>) {
        tokio::spawn(connected.driver);
        let welcome = Arc::new(Mutex::new(WelcomeState::Awaited(connected.welcome)));
        (Connection { link: connected.link, welcome }, connected.host_key)
    }

    pub(super) async fn welcome(&self) -> Result<Welcome, LinkError> {
        let mut state = self.welcome.lock().await;
        if let WelcomeState::Awaited(receiver) = &mut *state {
            *state = match receiver.await {
                Ok(welcome) => WelcomeState::Came(welcome),
                Err(_) => WelcomeState::Denied,
            };
        }
        match &*state {
            WelcomeState::Came(welcome) => Ok(welcome.clone()),
            _ => Err(self.link.ended().await),
        }
    }
}

enum WelcomeState {
    Awaited(oneshot::Receiver<Welcome>),
    Came(Welcome),
    Denied,
}

/// Connects, with the keys that there are, to a server that is known; on a TCP connection that was `reached`, if there is one.
pub(super) async fn dial(
    address: &Address,
    reached: Option<Reached>,
    options: &ClientOptions,
) -> Result<Connected, ConnectError> {
    let search = options.search();
    // The agent's answer may take its time; finding files doesn't.
    let wrong = |error: unglue_identity::IdentityError| LinkError::from(error);
    let found = match search.agent.is_some() && search.file.is_none() {
        true => on_thread("unglue-agent", move || search.find())
            .await
            .map_err(|error| LinkError::Thread { what: "keys were not looked for", source: Arc::new(error) })?,
        false => search.find(),
    };
    let identities = found.map_err(wrong)?;
    for identity in &identities {
        let from = identity.describe();
        let (kind, key) = (identity.public_key().kind(), identity.public_key().fingerprint());
        tracing::debug!(target: LOGIN_STEPS, "a key to try: {kind} {key} of {from}");
        tracing::debug!(event = "login_key", %key, from);
    }
    let who = Credentials {
        user: address.user.clone(),
        identities: identities.into_iter().map(Arc::new).collect(),
        ask: options.ask_passphrase.clone(),
    };
    let files = options.known_hosts_files().map_err(wrong)?;
    let (agreed, alias) = (options.agreed.clone(), options.ssh.host_key_alias.clone());
    let trust = HostTrust { files, accept_new: options.accept_new, agreed, alias };
    match reached {
        Some(reached) => unglue_link::connect_reached(reached, &trust, &who, &options.link).await,
        None => unglue_link::connect(&address.target, &trust, &who, &options.link).await,
    }
}
