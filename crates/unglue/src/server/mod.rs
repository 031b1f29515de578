//! The server: a listener, the connections that it took in, and an orderly end.
//!
//! A few threads each run a loop of their own and take connections from the same socket; everything about a connection
//! stays on the thread that took it, since hops between threads are what latency is made of.

mod connections;
mod gate;
mod grant;
pub(crate) mod listen;
mod options;
mod service;
mod session;
mod shard;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use unglue_host::process::{Account, SupervisorCommand, login_environment};
use unglue_host::store::{Partials, Protected, Store};
use unglue_identity::{AuthorizedKeys, Forwarding, HostKey, HostKeys, Policy, PublicKey, RevokedKeys};
use unglue_jobs::Registry;
use unglue_link::auth::Gatekeeper;
use unglue_link::{Acceptor, LinkConfig, ServerTls, SharedMemory};
use unglue_proto::{Code, Fault};

use crate::ops::forward::Ports;
use crate::ops::slots::Slots;
use gate::{Allowed, Gate};
pub use options::ServerOptions;
pub use service::Service;
use shard::Shard;

/// A server that accepts connections, on threads of its own.
pub struct Server {
    addresses: Vec<SocketAddr>,
    host_key: PublicKey,
    stage: watch::Sender<Stage>,
    threads: Vec<JoinHandle<()>>,
}

/// How far the server is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Operations are taken.
    Serving,
    /// No new ones are; those under way go on.
    Leaving,
    /// Everything ends.
    Ending,
}

/// Becomes true when the server is to stop.
#[derive(Clone)]
pub(crate) struct Leaving(watch::Receiver<Stage>);

impl Leaving {
    pub(crate) fn new(stage: watch::Receiver<Stage>) -> Leaving {
        Leaving(stage)
    }

    /// Waits until the server is to stop.
    pub(crate) async fn begins(&mut self) {
        if self.0.wait_for(|stage| *stage > Stage::Serving).await.is_err() {
            std::future::pending().await
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) acceptor: Acceptor,
    pub(crate) store: Option<Store>,
    pub(crate) slots: Slots,
    pub(crate) ports: Ports,
    pub(crate) registry: Registry,
    pub(crate) exec: bool,
    /// What this server allows to anybody.
    pub(crate) policy: Policy,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) shell: PathBuf,
    pub(crate) top: PathBuf,
    pub(crate) supervisor: SupervisorCommand,
}

impl Server {
    /// Binds, sweeps what a dead server left, and starts to accept connections.
    ///
    /// # Errors
    /// The address is taken, or a file that it needs can't be read or written.
    pub fn start(options: ServerOptions) -> Result<Server, Fault> {
        let listeners = listen::bind(&options.listen)?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
        let addresses = addresses.map_err(|error| system("the listening address is not known", &error))?;
        let (shared, host_key) = Shared::with_keys(options)?;
        let (stage, watch) = watch::channel(Stage::Serving);
        // Mostly one: a name may have an address of each family, and then each has threads of its own.
        let listeners = listeners.iter().flat_map(|listener| (0..shards()).map(move |_| listener)).enumerate();
        let threads = listeners.map(|(number, listener)| Shard::start(number, listener, shared.clone(), watch.clone()));
        let threads = threads.collect::<Result<Vec<_>, Fault>>()?;
        Ok(Server { addresses, host_key, stage, threads })
    }

    /// Where it listens; the first address, if there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses at which it listens. A name may have several; they have the same port.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The key that it proves itself with.
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// What ends it, from any thread; also while another one waits in [`Server::join`].
    pub fn ending(&self) -> Ending {
        Ending(self.stage.clone())
    }

    /// As [`Ending::leave`].
    pub fn leave(&self) {
        self.ending().leave();
    }

    /// As [`Ending::end`].
    pub fn end(&self) {
        self.ending().end();
    }

    /// Waits until the server has ended. Blocks the thread.
    pub fn join(mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended, too; its message is on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    /// Nobody can end it any more, so it ends.
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// Everything that connections need, and the host key; sweeps what a dead server left.
    fn with_keys(options: ServerOptions) -> Result<(Arc<Shared>, PublicKey), Fault> {
        let (account, state) = (account()?, state(&options)?);
        let host_keys =
            HostKeys::load(&options.host_keys, &state).map_err(|error| Fault::user(Code::System, error.to_string()))?;
        let tls = ServerTls::with_keys(&host_keys.private_keys()).map_err(Fault::from)?;
        let tls = tls.certificates(host_keys.certificates());
        let host_key = host_keys.first.key.public_key();
        let shared = Shared::prepare(options, &account, &state, Some(&host_keys), |gatekeeper, config| {
            Acceptor::new(tls, gatekeeper, config)
        })?;
        Ok((shared, host_key))
    }

    /// The same for connections that authenticate by themselves; needs no host key.
    fn without_keys(options: ServerOptions) -> Result<Arc<Shared>, Fault> {
        let (account, state) = (account()?, state(&options)?);
        Shared::prepare(options, &account, &state, None, Acceptor::trusting)
    }

    fn prepare(
        options: ServerOptions,
        account: &Account,
        state: &Path,
        host_keys: Option<&HostKeys>,
        acceptor: impl FnOnce(Arc<dyn Gatekeeper>, LinkConfig) -> Acceptor,
    ) -> Result<Arc<Shared>, Fault> {
        let supervisor = raise_open_files(options.supervisor.clone());
        let protected = protected(&options, account, state, host_keys);
        let store = store(&options, account, state)?.protecting(protected);
        let registry = Registry::open(state)?;
        let gatekeeper = gatekeeper(&options, account, registry.journal());
        let shared = Shared {
            acceptor: acceptor(gatekeeper, link_config(&options)),
            store: options.files.then_some(store),
            slots: Slots::transfers(),
            ports: Ports::of_server(options.gateway_ports),
            registry,
            exec: options.exec,
            policy: policy(&options),
            environment: login_environment(),
            shell: account.shell.clone(),
            top: top(&options, account)?,
            supervisor,
        };
        Ok(Arc::new(shared))
    }
}

fn account() -> Result<Account, Fault> {
    Account::current().map_err(|error| Fault::system(Code::System, error.to_string()))
}

/// The state directory.
fn state(options: &ServerOptions) -> Result<PathBuf, Fault> {
    match &options.state {
        Some(state) => Ok(state.clone()),
        None => Ok(account()?.home.join(".local/state/unglue")),
    }
}

/// All links of the server share its memory, unless the caller has them share with others already.
fn link_config(options: &ServerOptions) -> LinkConfig {
    let mut config = options.link.clone();
    config.mux.memory.shared.get_or_insert_with(|| Arc::new(SharedMemory::default()));
    config
}

/// Ends a [`Server`], gently or not.
#[derive(Debug, Clone)]
pub struct Ending(watch::Sender<Stage>);

impl Ending {
    /// Takes no new connections and operations, and sends the clients a go-away. [`Server::join`] returns when the operations
    /// under way are done, or [`unglue_proto::limits::GO_AWAY_GRACE`] has passed.
    pub fn leave(&self) {
        self.0.send_if_modified(|stage| advance(stage, Stage::Leaving));
    }

    /// Ends everything now: every command's tree is killed, every transfer is discarded.
    pub fn end(&self) {
        self.0.send_if_modified(|stage| advance(stage, Stage::Ending));
    }
}

fn advance(stage: &mut Stage, to: Stage) -> bool {
    let moves = *stage < to;
    *stage = (*stage).max(to);
    moves
}

/// One thread for each core, up to four: what a server does is moving bytes.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

fn store(options: &ServerOptions, account: &Account, state: &Path) -> Result<Store, Fault> {
    let store = match &options.root {
        Some(root) => Store::confined(root),
        None => Store::home(&account.home),
    }?;
    let partials = Partials::open(state)?;
    let swept = partials.sweep()?;
    tracing::debug!(?swept, "swept temporary files of dead servers");
    Ok(store.with_partials(partials))
}

/// What clients can't write by moving files: what would take the server over. Where commands are allowed, the list of keys
/// is the user's to change in any case.
fn protected(options: &ServerOptions, account: &Account, state: &Path, host_keys: Option<&HostKeys>) -> Protected {
    let protected =
        Protected::default().directory(state).directory(state.join("partials")).secret(state.join("host_key"));
    let keys = host_keys.into_iter().flat_map(HostKeys::iter);
    let protected = keys.fold(protected, |protected, HostKey { path, .. }| protected.secret(path));
    if options.exec {
        return protected;
    }
    let revoked = options.revoked_keys.iter();
    let protected = revoked.fold(protected, |protected, revoked| protected.file(revoked));
    protected.file(authorized_keys(options, account).path())
}

/// Where commands start. Absolute, since what starts them stands elsewhere.
fn top(options: &ServerOptions, account: &Account) -> Result<PathBuf, Fault> {
    // As sshd: where the home isn't there, commands start at the root.
    let home = if account.home.is_dir() { &account.home } else { Path::new("/") };
    let top = options.root.as_deref().unwrap_or(home);
    std::path::absolute(top).map_err(|error| system("the root's path is not known", &error))
}

fn authorized_keys(options: &ServerOptions, account: &Account) -> AuthorizedKeys {
    let keys = match &options.authorized_keys {
        Some(file) => AuthorizedKeys::new(file, &account.home, account.uid),
        None => AuthorizedKeys::of_home(&account.home, account.uid),
    };
    keys.revoking(options.revoked_keys.as_ref().map(RevokedKeys::at))
}

/// What the options allow to anybody.
fn policy(options: &ServerOptions) -> Policy {
    let mut policy = Policy::everything();
    (policy.exec, policy.files) = (options.exec, options.files);
    policy.forward = if options.forward { Forwarding::all() } else { Forwarding::default() };
    policy
}

fn gatekeeper(options: &ServerOptions, account: &Account, journal: Option<&str>) -> Arc<dyn Gatekeeper> {
    let journal = journal.map(str::to_owned);
    let policy = policy(options);
    if let Some(own) = &options.gatekeeper {
        return Arc::new(Allowed::new(own.clone(), policy, journal));
    }
    let keys = authorized_keys(options, account);
    let user = account.name.to_string_lossy().into_owned();
    Arc::new(Gate::new(keys, user, policy, journal).user_environment(options.user_environment))
}

/// A thousand commands need some thousands of pipes: raises this process's limit of open files to what it may. Commands
/// get the old one back.
fn raise_open_files(supervisor: SupervisorCommand) -> SupervisorCommand {
    let old = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: old.maximum, maximum: old.maximum };
    match (old.current, setrlimit(Resource::Nofile, raised)) {
        (Some(soft), Ok(())) => supervisor.open_files(soft),
        _ => supervisor,
    }
}

fn system(what: &str, error: &std::io::Error) -> Fault {
    Fault::system(Code::System, format!("{what}: {error}"))
}
