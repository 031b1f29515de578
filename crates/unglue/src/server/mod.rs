//! The server: a listener, the connections that it took in, and an orderly end.
//!
//! It owns its user's state, and so serves the connections that other processes of this user pass on, too.
//!
//! A few threads each run a loop of their own and take connections from the same socket; everything about a connection
//! stays on the thread that took it, since hops between threads are what latency is made of.

mod connections;
mod gate;
mod grant;
pub(crate) mod listen;
mod options;
mod realm;
mod service;
mod session;
mod shard;
mod unix;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use unglue_host::process::{Account, SupervisorCommand, login_environment};
use unglue_identity::{AuthorizedKeys, HostKeys, Principal, PublicKey, RevokedKeys};
use unglue_jobs::Registry;
use unglue_link::auth::Gatekeeper;
use unglue_link::{Acceptor, LinkConfig, ServerTls, SharedMemory};
use unglue_proto::{Code, Fault};

use crate::owner;
use gate::{Allowed, Gate};
pub use options::ServerOptions;
use realm::Realm;
pub use service::Service;
use shard::{Listener, OwnListener, Resident, Shard};

/// A server that accepts connections, on threads of its own.
pub struct Server {
    addresses: Vec<SocketAddr>,
    sockets: Vec<PathBuf>,
    host_key: Option<PublicKey>,
    stage: watch::Sender<Stage>,
    threads: Vec<JoinHandle<()>>,
}

/// How far the server is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Operations are taken.
    Serving,
    /// Another process owns the state: no new operations, and those under way go on as long as they need.
    HandedOver,
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
    /// For the clients that the options are about.
    pub(crate) offered: Arc<Realm>,
    /// For the server's own user, who has come by ssh and could do everything without this server.
    pub(crate) own: Arc<Realm>,
    /// The name of the server's user.
    pub(crate) user: String,
    pub(crate) registry: Registry,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) shell: PathBuf,
    pub(crate) supervisor: SupervisorCommand,
}

impl Server {
    /// Binds, takes the ownership of the state, sweeps what a dead server left, and starts to accept connections.
    ///
    /// # Errors
    /// An address is taken, or a file that it needs can't be read or written.
    pub fn start(options: ServerOptions) -> Result<Server, Fault> {
        let bound = listen::bind_all(&options)?;
        let (shared, host_key) = match bound.tcp.is_empty() {
            true => (Shared::without_keys(&options)?, None),
            false => Shared::with_keys(&options).map(|(shared, host_key)| (shared, Some(host_key)))?,
        };
        let (addresses, sockets) = (bound.addresses()?, bound.paths());
        let (stage, watch) = watch::channel(Stage::Serving);
        // Mostly one: a name may have an address of each family, and then each has threads of its own.
        let listeners = bound.into_listeners(shards());
        let own = own_listener(&shared, &options, &stage)?;
        let listeners = own.into_iter().chain(listeners).enumerate();
        let threads = listeners.map(|(number, listener)| Shard::start(number, listener, shared.clone(), watch.clone()));
        let threads = threads.collect::<Result<Vec<_>, Fault>>()?;
        Ok(Server { addresses, sockets, host_key, stage, threads })
    }

    /// Where it listens; the first address, if there are several. `0.0.0.0:0` if it listens on unix sockets only.
    pub fn address(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or(SocketAddr::from(([0; 4], 0)))
    }

    /// All addresses at which it listens. A name may have several; they have the same port.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The unix sockets that it was to listen on.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// The key that it proves itself with; `None` if it listens on unix sockets only.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.as_ref()
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
    fn with_keys(options: &ServerOptions) -> Result<(Arc<Shared>, PublicKey), Fault> {
        let (account, state) = (account()?, state(options)?);
        let host_keys =
            HostKeys::load(&options.host_keys, &state).map_err(|error| Fault::user(Code::System, error.to_string()))?;
        let tls = ServerTls::with_keys(&host_keys.private_keys()).map_err(Fault::from)?;
        let tls = tls.certificates(host_keys.certificates());
        let host_key = host_keys.first.key.public_key();
        let shared = Shared::prepare(options, &account, Some(&state), Some(&host_keys), |gatekeeper, config| {
            Acceptor::new(tls, gatekeeper, config)
        })?;
        Ok((shared, host_key))
    }

    /// The same for connections that authenticate by themselves; needs no host key.
    fn without_keys(options: &ServerOptions) -> Result<Arc<Shared>, Fault> {
        let account = account()?;
        let state = state(options)?;
        // A home that is missing is not made.
        let state = Some(&*state).filter(|_| options.state.is_some() || account.home.is_dir());
        Shared::prepare(options, &account, state, None, Acceptor::trusting)
    }

    fn prepare(
        options: &ServerOptions,
        account: &Account,
        state: Option<&Path>,
        host_keys: Option<&HostKeys>,
        acceptor: impl FnOnce(Arc<dyn Gatekeeper>, LinkConfig) -> Acceptor,
    ) -> Result<Arc<Shared>, Fault> {
        let supervisor = raise_open_files(options.supervisor.clone());
        let registry = registry(options, account, state)?;
        let (offered, own) = realm::stores(options, account, state, host_keys)?;
        let gatekeeper = gatekeeper(options, account, registry.journal());
        Ok(Arc::new(Shared {
            acceptor: acceptor(gatekeeper, link_config(options)),
            offered: Arc::new(Realm::offered(options, account, offered)?),
            own: Arc::new(Realm::own(account, own)),
            user: account.name.to_string_lossy().into_owned(),
            registry,
            environment: login_environment(),
            shell: account.shell.clone(),
            supervisor,
        }))
    }

    /// The server's own user, without a key.
    pub(crate) fn own_user(&self, realm: &Realm) -> Principal {
        Principal::new(self.user.clone(), None, realm.policy.clone())
    }
}

/// How often a resident is asked to hand over: another one may have been started just then.
const HAND_OVERS: usize = 5;

/// Takes the ownership of the state. A resident hands it over.
fn registry(options: &ServerOptions, account: &Account, state: Option<&Path>) -> Result<Registry, Fault> {
    let Some(state) = state else {
        let home = account.home.display();
        return Ok(Registry::unowned(&format!("the home directory {home} of {} is missing", account.name.display())));
    };
    if let Some(why) = &options.unowned {
        return Ok(Registry::unowned(why));
    }
    for _ in 0..HAND_OVERS {
        match Registry::open(state) {
            Err(_) if options.resident.is_none() && owner::ask_to_hand_over(state) => {
                tracing::info!(event = "taken_over", state = %state.display());
            }
            opened => return Ok(opened?),
        }
    }
    Ok(Registry::open(state)?)
}

pub(crate) fn account() -> Result<Account, Fault> {
    Account::current().map_err(|error| Fault::system(Code::System, error.to_string()))
}

/// The state directory.
fn state(options: &ServerOptions) -> Result<PathBuf, Fault> {
    options.state.clone().map_or_else(|| Ok(state_below(&account()?.home)), Ok)
}

/// The state directory of the user with this home.
pub(crate) fn state_below(home: &Path) -> PathBuf {
    home.join(".local/state/unglue")
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

/// Where other processes of this user find the owner of the state. A daemon that can't be found serves all the same; a resident
/// is of no use then.
fn own_listener(
    shared: &Shared,
    options: &ServerOptions,
    stage: &watch::Sender<Stage>,
) -> Result<Option<Listener>, Fault> {
    let listening = match shared.registry.listen() {
        Ok(listening) => listening,
        Err(error) => {
            let fault = system("the socket in the state directory can't be made", &error);
            if options.resident.is_some() {
                return Err(fault);
            }
            tracing::warn!(event = "not_found_by_ssh", why = %fault);
            None
        }
    };
    if listening.is_none() && options.resident.is_some() {
        return Err(shared.registry.unrecorded().unwrap_or_else(|| Fault::us("a resident owns nothing")));
    }
    Ok(listening.map(|(socket, name)| {
        let resident = options.resident.map(|linger| Resident { linger, stage: stage.clone() });
        Listener::Own(OwnListener { socket, name, resident })
    }))
}

/// One thread for each core, up to four: what a server does is moving bytes.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// Where commands start. Absolute, since what starts them stands elsewhere.
fn top(options: &ServerOptions, account: &Account) -> Result<PathBuf, Fault> {
    let top = options.root.clone().unwrap_or_else(|| realm::home_or_root(account));
    std::path::absolute(top).map_err(|error| system("the root's path is not known", &error))
}

fn authorized_keys(options: &ServerOptions, account: &Account) -> AuthorizedKeys {
    let keys = match &options.authorized_keys {
        Some(file) => AuthorizedKeys::new(file, &account.home, account.uid),
        None => AuthorizedKeys::of_home(&account.home, account.uid),
    };
    keys.revoking(options.revoked_keys.as_ref().map(RevokedKeys::at))
}

fn gatekeeper(options: &ServerOptions, account: &Account, journal: Option<&str>) -> Arc<dyn Gatekeeper> {
    let journal = journal.map(str::to_owned);
    let policy = realm::policy(options);
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
