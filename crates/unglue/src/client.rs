//! The client: a link to a server, and the operations on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, oneshot};
use unglue_host::store::{Facts, Sink, Source, Store, StoreError};
use unglue_identity::{AskPassphrase, IdentitySearch, KnownHostsFiles, PublicKey, ssh_config};
use unglue_link::auth::Credentials;
use unglue_link::threads::on_thread;
use unglue_link::{ConnectError, Connected, HostTrust, LOGIN_STEPS, Link, LinkConfig, LinkError, Target};
use unglue_proto::message::Tally;
use unglue_proto::message::auth::Welcome;
use unglue_proto::message::files::{Done, FileEntry, Verb};
use unglue_proto::message::jobs::Entry;
use unglue_proto::message::tree::Summary;
use unglue_proto::{Code, Fault};

use crate::ops::exec::{self, Exec, Running};
use crate::ops::files;
use crate::ops::forward::{self, Forward, Forwarded};
use crate::ops::job::{self, AttachOptions};
use crate::ops::transfer::{self, Download, TransferOptions, Upload};
use crate::ops::tree::{self, TreeListener, TreeMove};

/// The port that a server listens on by default.
pub const DEFAULT_PORT: u16 = 7227;

/// The server to connect to: `[user@]host[:port]`, an IPv6 address with a port in brackets.
///
/// ```
/// use unglue::Address;
///
/// let address: Address = "ada@[::1]:7000".parse().unwrap();
/// assert_eq!((address.user.as_deref(), address.target.host.as_str(), address.target.port), (Some("ada"), "::1", 7000));
/// assert_eq!("::1".parse::<Address>().unwrap().target.port, 7227);
/// assert!("host:http".parse::<Address>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The user to become; the server's own where it is `None`.
    pub user: Option<String>,
    /// Host and port.
    pub target: Target,
}

impl Address {
    /// Reads `[user@]host[:port]`; the second part is whether a port was named.
    ///
    /// # Errors
    /// [`Code::BadMessage`]: what is wrong with the text.
    pub fn parse(text: &str) -> Result<(Address, Option<u16>), Fault> {
        let wrong = |what: &str| {
            Fault::user(Code::BadMessage, format!("{text:?} is no address: {what}"))
                .advise("write [user@]HOST[:PORT], an IPv6 address with a port as [::1]:7227")
        };
        let (user, rest) = match text.rsplit_once('@') {
            Some(("", _)) => return Err(wrong("the user's name is empty")),
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest).map_err(wrong)?;
        if host.is_empty() {
            return Err(wrong("the host is empty"));
        }
        let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port != 0));
        let port = match port {
            None => None,
            Some(None) => return Err(wrong("the port is a number from 1 to 65535")),
            Some(port) => port,
        };
        let target = Target { host: host.to_owned(), port: port.unwrap_or(DEFAULT_PORT) };
        Ok((Address { user, target }, port))
    }
}

/// Splits `host:port`, `[host]:port`, `[host]` or a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("something stands behind the bracket"),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        _ => Ok((text, None)),
    }
}

impl FromStr for Address {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Address, Fault> {
        Address::parse(text).map(|(address, _)| address)
    }
}

/// Which keys to use and which servers to trust. The default is what the environment says: `UNGLUE_IDENTITY`,
/// `SSH_AUTH_SOCK`, `UNGLUE_KNOWN_HOSTS` and the user's own files.
///
/// ```
/// use std::time::Duration;
/// use unglue::ClientOptions;
///
/// let options = ClientOptions::default().identity("key").connect_timeout(Duration::from_secs(3));
/// assert_eq!(options.identity.as_deref(), Some("key".as_ref()));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// A private key's file, to be used alone.
    pub identity: Option<PathBuf>,
    /// A known-hosts file, to be used alone.
    pub known_hosts: Option<PathBuf>,
    /// Whether a server that no file knows is added to the known hosts, rather than refused.
    pub accept_new: bool,
    /// A host key that a person has agreed to: it is trusted where no file knows the server.
    pub agreed: Option<PublicKey>,
    /// Asked for the passphrase of an encrypted key.
    pub ask_passphrase: Arc<AskPassphrase<'static>>,
    /// What the user's ssh configuration says about the server: identities, known hosts, alias. The host's name and the user
    /// in it are for the caller to put into the [`Address`].
    pub ssh: ssh_config::Settings,
    /// Deadlines, heartbeat and memory of the link.
    pub link: LinkConfig,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            identity: None,
            known_hosts: None,
            accept_new: false,
            agreed: None,
            ask_passphrase: Arc::new(|_| None),
            ssh: ssh_config::Settings::default(),
            link: LinkConfig::default(),
        }
    }
}

impl ClientOptions {
    /// A private key's file, to be used alone.
    pub fn identity(self, file: impl Into<PathBuf>) -> ClientOptions {
        ClientOptions { identity: Some(file.into()), ..self }
    }

    /// A known-hosts file, to be used alone.
    pub fn known_hosts(self, file: impl Into<PathBuf>) -> ClientOptions {
        ClientOptions { known_hosts: Some(file.into()), ..self }
    }

    /// Whether a server that no file knows is added to the known hosts, rather than refused.
    pub fn accept_new(self, accept_new: bool) -> ClientOptions {
        ClientOptions { accept_new, ..self }
    }

    /// A host key that a person has agreed to: it is trusted where no file knows the server.
    pub fn agreed(self, key: PublicKey) -> ClientOptions {
        ClientOptions { agreed: Some(key), ..self }
    }

    /// Asked for the passphrase of an encrypted key, on a thread of its own.
    pub fn ask_passphrase(self, ask_passphrase: Arc<AskPassphrase<'static>>) -> ClientOptions {
        ClientOptions { ask_passphrase, ..self }
    }

    /// What the user's ssh configuration says about the server.
    pub fn ssh(self, ssh: ssh_config::Settings) -> ClientOptions {
        ClientOptions { ssh, ..self }
    }

    /// Where identities are looked for.
    pub fn search(&self) -> IdentitySearch {
        self.ssh.search(IdentitySearch::from_env(self.identity.clone()))
    }

    /// The files of known hosts.
    ///
    /// # Errors
    /// No file is named, and the user has no home.
    pub fn known_hosts_files(&self) -> Result<KnownHostsFiles, unglue_identity::IdentityError> {
        Ok(self.ssh.known_hosts(self.known_hosts.is_some(), KnownHostsFiles::from_env(self.known_hosts.clone())?))
    }

    /// How long the TCP connection may take to open.
    pub fn connect_timeout(mut self, limit: Duration) -> ClientOptions {
        self.link.connect = limit;
        self
    }

    /// Deadlines, heartbeat and memory of the link.
    pub fn link(self, link: LinkConfig) -> ClientOptions {
        ClientOptions { link, ..self }
    }
}

/// A client of one server. Cheap to clone; the link closes when the last clone and the last operation are gone.
#[derive(Clone)]
pub struct Client {
    link: Link,
    host_key: Option<PublicKey>,
    welcome: Arc<Mutex<WelcomeState>>,
    dialler: Dialler,
}

/// Finds the link that there is, or makes another one; for commands that outlive their link.
#[derive(Clone)]
pub(crate) struct Dialler {
    /// The latest connection.
    current: Arc<Mutex<Connection>>,
    /// Where to, and how; nothing where the caller made the connection.
    target: Option<Arc<(Address, ClientOptions)>>,
}

#[derive(Clone)]
struct Connection {
    link: Link,
    welcome: Arc<Mutex<WelcomeState>>,
}

impl Dialler {
    /// The link; where it has ended, another one if `again`.
    ///
    /// # Errors
    /// It has ended, and there is no other one.
    pub(crate) async fn link(&self, again: bool) -> Result<Link, Fault> {
        let mut current = self.current.lock().await;
        let Some(ended) = current.link.is_ended() else { return Ok(current.link.clone()) };
        let Some(target) = self.target.as_ref().filter(|_| again) else { return Err(ended.into()) };
        let connected = dial(&target.0, &target.1).await?;
        tokio::spawn(connected.driver);
        let welcome = Arc::new(Mutex::new(WelcomeState::Awaited(connected.welcome)));
        *current = Connection { link: connected.link, welcome };
        Ok(current.link.clone())
    }

    /// Whether there may be another link once this one has ended.
    pub(crate) fn can_dial(&self) -> bool {
        self.target.is_some()
    }

    /// The journal of the server, as its welcome names it.
    ///
    /// # Errors
    /// There was no welcome.
    pub(crate) async fn journal(&self) -> Result<Option<String>, Fault> {
        let connection = self.current.lock().await.clone();
        connection.welcome().await.map(|welcome| welcome.journal)
    }
}

impl Connection {
    async fn welcome(&self) -> Result<Welcome, Fault> {
        let mut state = self.welcome.lock().await;
        if let WelcomeState::Awaited(receiver) = &mut *state {
            *state = match receiver.await {
                Ok(welcome) => WelcomeState::Came(welcome),
                Err(_) => WelcomeState::Denied,
            };
        }
        match &*state {
            WelcomeState::Came(welcome) => Ok(welcome.clone()),
            _ => Err(self.link.ended().await.into()),
        }
    }
}

enum WelcomeState {
    Awaited(oneshot::Receiver<Welcome>),
    Came(Welcome),
    Denied,
}

impl Client {
    /// Connects to a server that is known, and proves who the client is. Must be called within a tokio runtime.
    ///
    /// Returns without waiting for the server's word on the proof: the first operation travels along with it, and fails
    /// if the proof did not hold. [`Client::welcome`] waits for that word.
    ///
    /// # Errors
    /// [`ConnectError::Unknown`] for a server that no file knows: ask a person, add it to the known hosts, call again.
    pub async fn connect(address: &Address, options: &ClientOptions) -> Result<Client, ConnectError> {
        let connected = dial(address, options).await?;
        Ok(Client::over(connected, Some(Arc::new((address.clone(), options.clone())))))
    }

    /// A client over a connection that authenticates by itself: a unix socket, or the output and input of an `ssh` process
    /// (joined with `tokio::io::join`). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The user's name is too long for a message.
    pub fn connect_over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        user: Option<String>,
        options: &ClientOptions,
    ) -> Result<Client, ConnectError> {
        Ok(Client::over(unglue_link::connect_over(io, user, &options.link)?, None))
    }

    fn over(connected: Connected, target: Option<Arc<(Address, ClientOptions)>>) -> Client {
        tokio::spawn(connected.driver);
        let welcome = Arc::new(Mutex::new(WelcomeState::Awaited(connected.welcome)));
        let current = Connection { link: connected.link.clone(), welcome: welcome.clone() };
        let dialler = Dialler { current: Arc::new(Mutex::new(current)), target };
        Client { link: connected.link, host_key: connected.host_key, welcome, dialler }
    }

    /// What the server is and allows, once it has accepted the client's proof. Dropped, it can be called again.
    ///
    /// # Errors
    /// It did not, the link has ended, or no answer came within [`unglue_proto::limits::WELCOME`].
    pub async fn welcome(&self) -> Result<Welcome, Fault> {
        Connection { link: self.link.clone(), welcome: self.welcome.clone() }.welcome().await
    }

    /// The key that the server proved to have; `None` where the connection authenticates by itself.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.as_ref()
    }

    /// Asks the server for a sign of life: how long its answer took. With a deadline of the caller's own, this shows within a
    /// second that the link is dead. It asks over the latest link: if one was lost and another one made for a command that is
    /// followed, over that one. While another one is being made, it waits for that.
    ///
    /// # Errors
    /// The link has ended, and there is no other one.
    pub async fn ping(&self) -> Result<Duration, Fault> {
        self.dialler.link(false).await?.ping().await.map_err(Fault::from)
    }

    /// Treats the latest link as lost, without waiting until it is found dead: commands that are followed connect again at once,
    /// and go on where they were. All else on that link ends as lost.
    pub async fn renew_link(&self) {
        // One that is just being made needs no renewal.
        if let Ok(current) = self.dialler.current.try_lock() {
            current.link.close();
        }
    }

    /// Starts a command. Any number may run at once on one link.
    ///
    /// # Errors
    /// The link has ended, or the server takes no new operations. A command that can't be started is no error here: its
    /// report says so.
    ///
    /// A command with a lease other than [`Lease::Kill`](crate::Lease::Kill) is followed: when the link is lost, the client
    /// connects again by itself, and its outputs go on where they were. [`Running::link_state`] tells.
    pub async fn exec(&self, exec: &Exec) -> Result<Running, Fault> {
        match exec.kept() {
            None => exec::start(&self.link, exec).await,
            Some(lease) => job::start_kept(self.dialler.clone(), exec, lease).await,
        }
    }

    /// Attaches to a command that was started before, by its id or its name. When the link is lost, the client connects again
    /// by itself.
    ///
    /// # Errors
    /// The link has ended for good. A command that isn't known is no error here: its report says so.
    pub async fn attach(&self, job: &str, options: &AttachOptions) -> Result<Running, Fault> {
        job::attach(self.dialler.clone(), job, options).await
    }

    /// The commands that the server knows, the latest last; or the one with this id or name.
    ///
    /// # Errors
    /// The link has ended, the server refused, or the one command isn't known.
    pub async fn jobs(&self, job: Option<&str>) -> Result<Vec<Entry>, Fault> {
        job::list(&self.link, job).await
    }

    /// Sends a signal to the process group of a command that runs. Cancelled, it may have been sent or not.
    ///
    /// # Errors
    /// The link has ended, or there is no such command that runs.
    pub async fn signal(&self, job: &str, number: i32) -> Result<(), Fault> {
        job::signal(&self.link, job, number).await
    }

    /// Forgets a command that has ended, and what it printed. Its id can't be used again.
    ///
    /// # Errors
    /// The link has ended, there is no such command, or it has not ended.
    pub async fn remove(&self, job: &str) -> Result<(), Fault> {
        job::remove(&self.link, job).await
    }

    /// Forwards ports: connections to places that the server reaches, or to places that this machine reaches. Every listener is
    /// ready when this returns. A link that is lost is replaced for up to `keep`; without it, forwarding ends with the link.
    /// Cancelled, it listens nowhere.
    ///
    /// # Errors
    /// A place is taken, or the server refuses to listen. Nothing listens then.
    pub async fn forward(&self, forwards: &[Forward], keep: Option<Duration>) -> Result<Forwarded, Fault> {
        forward::start(self.dialler.clone(), forwards, keep).await
    }

    /// Copies what `upload` names (a file of a store, bytes in memory, a reader) to the path `to` on the server, where a
    /// directory's path keeps the name. Returns once it is there: whole, verified, synced. A dropped call discards it at both
    /// ends, unless it is in place already.
    ///
    /// # Errors
    /// The destination holds what it held; for [`Code::LinkLost`] that is not known.
    pub async fn put(
        &self,
        upload: Upload<'_>,
        to: impl AsRef<OsStr>,
        options: TransferOptions,
    ) -> Result<Tally, Fault> {
        transfer::put(&self.link, upload, to.as_ref(), options).await
    }

    /// Copies a caller's own [`Source`] to the path `to` on the server, where a directory's path keeps `name`. Everything else is
    /// as for [`put`](Self::put).
    ///
    /// ```
    /// use unglue::{Facts, Meter, Source, StoreError, Tally, TransferOptions};
    ///
    /// /// As many zeros as it is asked for.
    /// struct Zeros(u64, Meter);
    ///
    /// impl Source for Zeros {
    ///     fn facts(&self) -> Facts {
    ///         Facts::default().with_size(Some(self.0)).with_mode(0o600)
    ///     }
    ///
    ///     async fn next(&mut self) -> Result<Option<bytes::Bytes>, StoreError> {
    ///         let piece = vec![0; (self.0 - self.1.bytes()).min(65_536) as usize];
    ///         self.1.pass(&piece);
    ///         Ok(if piece.is_empty() { None } else { Some(piece.into()) })
    ///     }
    ///
    ///     async fn finish(self) -> Result<Tally, StoreError> {
    ///         Ok(self.1.tally())
    ///     }
    /// }
    ///
    /// # async fn example(client: unglue::Client) -> Result<(), unglue::Fault> {
    /// let zeros = Zeros(1 << 30, Meter::default());
    /// client.put_from(zeros, "zeros.bin", "disks/", TransferOptions::default()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`put`](Self::put); or the source failed.
    pub async fn put_from(
        &self,
        source: impl Source,
        name: impl AsRef<OsStr>,
        to: impl AsRef<OsStr>,
        options: TransferOptions,
    ) -> Result<Tally, Fault> {
        let facts = source.facts();
        transfer::put_source(&self.link, source, facts, name.as_ref(), to.as_ref(), options).await
    }

    /// Copies the file `from` of the server into a caller's own [`Sink`]. `open` is called once, with what the server says of
    /// the file, and makes the sink; its error ends the transfer. The sink is committed if its
    /// count and digest are those of the server, and discarded in all other cases. A dropped call drops the sink.
    ///
    /// # Errors
    /// As for [`get`](Self::get); or the sink failed.
    pub async fn get_into<K: Sink, F: Future<Output = Result<K, StoreError>>>(
        &self,
        from: impl AsRef<OsStr>,
        open: impl FnOnce(Facts) -> F,
        options: TransferOptions,
    ) -> Result<Tally, Fault> {
        transfer::get_into(&self.link, from.as_ref(), open, options).await
    }

    /// Copies the file `from` of the server to where `download` says (a file of a store, a writer). Returns once it is there:
    /// whole and verified, and a file synced. A dropped call discards what came; [`Store::idle`](crate::Store::idle) waits
    /// until that is done.
    ///
    /// # Errors
    /// The destination holds what it held. What a writer got is not all, or not what the server sent.
    pub async fn get(
        &self,
        from: impl AsRef<OsStr>,
        download: Download<'_>,
        options: TransferOptions,
    ) -> Result<Tally, Fault> {
        transfer::get(&self.link, from.as_ref(), download, options).await
    }

    /// Copies `sources` of a store, and everything in them, to the path `to` on the server. Returns when all that was not reported as a
    /// problem is there: whole, verified, durable. Dropped, it leaves what was finished, and nothing else.
    ///
    /// # Errors
    /// It broke off. What is in place by then is whole.
    pub async fn push(
        &self,
        store: &Store,
        sources: &[PathBuf],
        to: impl AsRef<OsStr>,
        tree: &TreeMove,
        listener: TreeListener<'_>,
    ) -> Result<Summary, Fault> {
        tree::push(&self.link, (store, sources), to.as_ref(), tree, listener).await
    }

    /// Copies `sources` of the server, and everything in them, to the path `to` of a store. As [`push`](Self::push).
    ///
    /// # Errors
    /// It broke off. What is in place by then is whole.
    pub async fn pull(
        &self,
        sources: &[PathBuf],
        store: &Store,
        to: impl AsRef<Path>,
        tree: &TreeMove,
        listener: TreeListener<'_>,
    ) -> Result<Summary, Fault> {
        tree::pull(&self.link, sources, (store, to.as_ref()), tree, listener).await
    }

    /// Looks at files of the server, or changes their names. `entry` is called with each entry that it lists.
    ///
    /// # Errors
    /// It was not done, or not all of it.
    pub async fn files(&self, verb: Verb, entry: impl FnMut(FileEntry) + Send) -> Result<Done, Fault> {
        files::ask(&self.link, verb, entry).await
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Waits until the link has ended, and returns how.
    pub async fn ended(&self) -> Fault {
        self.link.ended().await.into()
    }
}

/// Connects, with the keys that there are, to a server that is known.
async fn dial(address: &Address, options: &ClientOptions) -> Result<Connected, ConnectError> {
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
    unglue_link::connect(&address.target, &trust, &who, &options.link).await
}
