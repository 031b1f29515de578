//! The client: a link to a server, and the operations on it.

mod connector;
mod dialler;
mod failed;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use unglue_host::store::{Facts, Sink, Source, Store, StoreError};
use unglue_identity::{AskPassphrase, IdentitySearch, KnownHostsFiles, PublicKey, ssh_config};
use unglue_link::{ConnectError, Connected, Link, LinkConfig, Reached, Target};
use unglue_proto::message::Tally;
use unglue_proto::message::auth::Welcome;
use unglue_proto::message::files::{Done, FileEntry, Verb};
use unglue_proto::message::jobs::Entry;
use unglue_proto::message::tree::Summary;
use unglue_proto::{Code, Fault};

pub use connector::{Connecting, Connector, NotConnected};
use connector::{Spawning, UnixSocket};
pub(crate) use dialler::Dialler;
use dialler::{Connection, Way, dial};
pub(crate) use failed::Failed;

use crate::ops::exec::{self, Exec, Running};
use crate::ops::files;
use crate::ops::forward::{self, Forward, Forwarded};
use crate::ops::job::{self, AttachOptions};
use crate::ops::transfer::{self, Download, TransferOptions, Upload};
use crate::ops::tree::{self, TreeListener, TreeMove};
use crate::ops::watch::Watch;

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
            Fault::user(Code::BadMessage, format!("{text:?} is not an address: {what}"))
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
    connection: Connection,
    host_key: Option<PublicKey>,
    dialler: Dialler,
}

impl Client {
    /// Connects to a server that is known, and proves who the client is. Must be called within a tokio runtime.
    ///
    /// Returns without waiting for the server's word on the proof: the first operation travels along with it, and fails
    /// if the proof did not hold. [`Client::welcome`] waits for that word. Dropped, it leaves nothing but, perhaps,
    /// a new line in the known hosts.
    ///
    /// # Errors
    /// [`ConnectError::Unknown`] for a server that no file knows: ask a person, add it to the known hosts, call again.
    pub async fn connect(address: &Address, options: &ClientOptions) -> Result<Client, ConnectError> {
        let connected = dial(address, None, options).await?;
        Ok(Client::over(connected, Some(Way::Tcp(address.clone(), Box::new(options.clone())))))
    }

    /// As [`Client::connect`], on a TCP connection that is open already ([`reach`](unglue_link::reach)): a caller who can use another transport
    /// learns from it whether there is a connection at all. Dropped, it closes the connection.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_reached(
        reached: Reached,
        address: &Address,
        options: &ClientOptions,
    ) -> Result<Client, ConnectError> {
        let connected = dial(address, Some(reached), options).await?;
        Ok(Client::over(connected, Some(Way::Tcp(address.clone(), Box::new(options.clone())))))
    }

    /// Connects over a process that `command` describes, whose input and output lead to a server: `ssh HOST unglue serve
    /// --stdio`. When the link is lost under a command that outlives it, the process is started again. Must be called within a
    /// tokio runtime; returns without waiting for an answer, as [`Client::connect`]. A cancelled call ends the process.
    ///
    /// ```no_run
    /// use std::process::Command;
    /// use unglue::Client;
    ///
    /// # async fn example() -> Result<(), unglue::Fault> {
    /// let ssh = || {
    ///     let mut ssh = Command::new("ssh");
    ///     ssh.args(["build.example", "unglue", "serve", "--stdio"]);
    ///     ssh
    /// };
    /// let client = Client::connect_command(ssh, None, &Default::default()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The program can't be started. One that ends with a failure is an error of the link.
    pub async fn connect_command(
        command: impl Fn() -> Command + Send + Sync + 'static,
        user: Option<String>,
        options: &ClientOptions,
    ) -> Result<Client, Fault> {
        Client::connect_by(Spawning(command), user, options).await
    }

    /// Connects to a server that listens on a unix socket; it admits its own user and root. As [`Client::connect_command`];
    /// a cancelled call closes the connection.
    ///
    /// # Errors
    /// There is no socket at `path`, or no process listens there.
    pub async fn connect_unix(
        path: impl Into<PathBuf>,
        user: Option<String>,
        options: &ClientOptions,
    ) -> Result<Client, Fault> {
        Client::connect_by(UnixSocket(path.into()), user, options).await
    }

    /// Connects by connections that the caller makes, and that authenticate both ends by themselves. As
    /// [`Client::connect_command`]; a cancelled call drops the connection.
    ///
    /// # Errors
    /// Those of the connector; or the user's name is too long for a message.
    pub async fn connect_by(
        connector: impl Connector + 'static,
        user: Option<String>,
        options: &ClientOptions,
    ) -> Result<Client, Fault> {
        let way = Way::By(Box::new(connector), user, options.link.clone());
        Ok(Client::over(way.dial().await?, Some(way)))
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

    fn over(connected: Connected, way: Option<Way>) -> Client {
        let (connection, host_key) = Connection::start(connected);
        let dialler = Dialler::new(connection.clone(), way);
        Client { connection, host_key, dialler }
    }

    /// What the server is and allows, once it has accepted the client's proof. Dropped, it can be called again.
    ///
    /// # Errors
    /// It did not, the link has ended, or no answer came within [`unglue_proto::limits::WELCOME`].
    pub async fn welcome(&self) -> Result<Welcome, Fault> {
        Ok(self.connection.welcome().await?)
    }

    /// The key that the server proved to have; `None` where the connection authenticates by itself.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.as_ref()
    }

    /// Asks the server for a sign of life: how long its answer took. With a deadline of the caller's own, this shows within a
    /// second that the link is dead. It asks over the latest link: if one was lost and another one made for a command that is
    /// followed, over that one. While another one is being made, it waits for that. Dropped, it changes
    /// nothing: the answer is ignored.
    ///
    /// # Errors
    /// The link has ended, and there is no other one.
    pub async fn ping(&self) -> Result<Duration, Fault> {
        Ok(self.dialler.link(false).await?.ping().await?)
    }

    /// Treats the latest link as lost, without waiting until it is found dead: commands that are followed connect again at once,
    /// and go on where they were. All else on that link ends as lost. Nothing is left undone where the call is dropped.
    pub async fn renew_link(&self) {
        self.close();
    }

    /// Closes the latest link in order. A link closes by itself once nothing uses it, but a call that was dropped may still wait for
    /// its answer: this doesn't. What uses the link ends as where it is lost.
    pub fn close(&self) {
        self.dialler.close_latest();
    }

    /// Starts a command. Any number may run at once on one link. Dropped, the command may have started or not. With the
    /// lease [`Lease::Kill`](crate::Lease::Kill) it is then killed; with another one it runs on under its lease,
    /// without a holder.
    ///
    /// # Errors
    /// The link has ended, or the server takes no new operations. A command that can't be started is no error here: its
    /// report says so.
    ///
    /// A command with a lease other than [`Lease::Kill`](crate::Lease::Kill) is followed: when the link is lost, the client
    /// connects again by itself, and its outputs go on where they were. [`Running::link_state`] tells.
    pub async fn exec(&self, exec: &Exec) -> Result<Running, Fault> {
        match exec.kept() {
            None => exec::start(&self.connection.link, exec).await,
            Some(lease) => job::start_kept(self.dialler.clone(), exec, lease).await,
        }
    }

    /// Attaches to a command that was started before, by its id or its name. When the link is lost, the client connects
    /// again by itself. Dropped, it watches and holds nothing.
    ///
    /// # Errors
    /// The link has ended for good. A command that isn't known is no error here: its report says so.
    pub async fn attach(&self, job: &str, options: &AttachOptions) -> Result<Running, Fault> {
        job::attach(self.dialler.clone(), job, options).await
    }

    /// The commands that the server knows, the latest last; or the one with this id or name. Dropped, it changes
    /// nothing.
    ///
    /// # Errors
    /// The link has ended, the server refused, or the one command isn't known.
    pub async fn jobs(&self, job: Option<&str>) -> Result<Vec<Entry>, Fault> {
        job::list(&self.connection.link, job).await
    }

    /// Sends a signal to the process group of a command that runs. Cancelled, it may have been sent or not.
    ///
    /// # Errors
    /// The link has ended, or there is no such command that runs.
    pub async fn signal(&self, job: &str, number: i32) -> Result<(), Fault> {
        job::signal(&self.connection.link, job, number).await
    }

    /// Forgets a command that has ended, and what it printed. Its id can't be used again. Dropped, it may have been
    /// done or not.
    ///
    /// # Errors
    /// The link has ended, there is no such command, or it has not ended.
    pub async fn remove(&self, job: &str) -> Result<(), Fault> {
        job::remove(&self.connection.link, job).await
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
        transfer::put(&self.connection.link, upload, to.as_ref(), options).await
    }

    /// Copies a caller's own [`Source`] to the path `to` on the server, where a directory's path keeps `name`. Everything else, a
    /// dropped call too, is as for [`put`](Self::put).
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
        transfer::put_source(&self.connection.link, source, facts, name.as_ref(), to.as_ref(), options).await
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
        transfer::get_into(&self.connection.link, from.as_ref(), open, options).await
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
        transfer::get(&self.connection.link, from.as_ref(), download, options).await
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
        tree::push(&self.connection.link, (store, sources), to.as_ref(), tree, listener).await
    }

    /// Copies `sources` of the server, and everything in them, to the path `to` of a store. As [`push`](Self::push).
    /// Dropped, it leaves in the store what was finished, and nothing else.
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
        tree::pull(&self.connection.link, sources, (store, to.as_ref()), tree, listener).await
    }

    /// Looks at files of the server, or changes their names. `entry` is called with each entry that it lists. Dropped,
    /// it may have been done, in part, or not at all.
    ///
    /// # Errors
    /// It was not done, or not all of it.
    pub async fn files(&self, verb: Verb, entry: impl FnMut(FileEntry) + Send) -> Result<Done, Fault> {
        files::ask(&self.connection.link, verb, entry).await
    }

    /// Begins to watch what this link waits for, to find the bottleneck of what is done next on it ([`Watch`]). Dropped, it
    /// has changed nothing.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn watch(&self) -> Result<Watch, Fault> {
        Watch::begin(&self.connection.link).await
    }

    pub(crate) fn link(&self) -> &Link {
        &self.connection.link
    }

    /// Waits until the link has ended, and returns how. Dropped, it can be called again.
    pub async fn ended(&self) -> Fault {
        self.connection.link.ended().await.into()
    }
}
