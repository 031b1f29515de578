//! A place for one test: throw-away keys, a root for files, servers, and clients that they know.

use std::fs::{self, Permissions};
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unglue::{
    Address, Client, ClientOptions, Collected, Exec, Exit, Outcome, Report, Server, ServerOptions, Store,
    SupervisorCommand, Target,
};
use unglue_identity::{PrivateKey, make_key_file};

/// Runs a test on a runtime of its own; it fails when the seconds are over, even if a thread is stuck.
pub(crate) fn within(seconds: u64, test: impl AsyncFnOnce() + Send + 'static) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test());
        // A blocking thread of a failed test must not hold this one up.
        runtime.shutdown_background();
        let _ = sender.send(());
    });
    match receiver.recv_timeout(Duration::from_secs(seconds)) {
        Err(RecvTimeoutError::Timeout) => panic!("the test did not end within {seconds} s"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Fails unless the future is ready within this time.
pub(crate) async fn soon<T>(seconds: u64, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {seconds} s"),
    }
}

/// Waits until something becomes true; fails when the seconds are over.
pub(crate) async fn eventually(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "waited {seconds} s for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Keys and directories; removed when it is dropped.
pub(crate) struct Site {
    directory: TempDir,
    /// The client's key, also in the file `key`.
    pub(crate) key: PrivateKey,
}

impl Site {
    pub(crate) fn new() -> Site {
        let directory = tempfile::tempdir().expect("a directory");
        let key = make_key_file(&directory.path().join("key"), "client", None).expect("a key");
        let site = Site { directory, key };
        fs::create_dir(site.root()).expect("a root");
        fs::create_dir(site.local()).expect("a local directory");
        let host = make_key_file(&site.path("host_key"), "host", None).expect("a host key");
        site.authorise(&format!("{}\n", site.key.public_key()));
        fs::write(site.path("known_hosts"), format!("127.0.0.1 {}\n", host.public_key())).expect("known hosts");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The server's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The directory of the client's own files.
    pub(crate) fn local(&self) -> PathBuf {
        self.path("local")
    }

    pub(crate) fn local_store(&self) -> Store {
        Store::confined(&self.local()).expect("a local store")
    }

    /// Replaces the file of those who may log in.
    pub(crate) fn authorise(&self, lines: &str) {
        fs::write(self.path("authorized_keys"), lines).expect("authorized keys");
        fs::set_permissions(self.path("authorized_keys"), Permissions::from_mode(0o600)).expect("a mode");
    }

    pub(crate) fn server_options(&self) -> ServerOptions {
        ServerOptions::default()
            .listen("127.0.0.1:0")
            .root(self.root())
            .state(self.path("state"))
            .host_key(self.path("host_key"))
            .authorized_keys(self.path("authorized_keys"))
            .supervisor(SupervisorCommand::from_test("supervisor"))
    }

    /// A server in this process.
    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(|_| ())
    }

    pub(crate) fn serve_with(&self, set: impl FnOnce(&mut ServerOptions)) -> Serving {
        let mut options = self.server_options();
        set(&mut options);
        Serving(Some(Server::start(options).expect("the server starts")))
    }

    pub(crate) fn client_options(&self) -> ClientOptions {
        ClientOptions::default().identity(self.path("key")).known_hosts(self.path("known_hosts"))
    }

    /// A client of the server at this address.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Client {
        let (address, options) = (address_of(address), self.client_options());
        soon(30, "connecting", Client::connect(&address, &options)).await.expect("it connects")
    }
}

pub(crate) fn address_of(address: SocketAddr) -> Address {
    Address { user: None, target: Target { host: address.ip().to_string(), port: address.port() } }
}

/// A server in this process, which ends when it is dropped.
pub(crate) struct Serving(Option<Server>);

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.server().address()
    }

    pub(crate) fn server(&self) -> &Server {
        self.0.as_ref().expect("the server runs")
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn join(mut self) {
        let server = self.0.take().expect("the server runs");
        tokio::task::spawn_blocking(move || server.join()).await.expect("it ends");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(server) = self.0.take() {
            server.end();
            server.join();
        }
    }
}

/// Runs a command to its end and keeps up to 64 MiB of what it prints.
pub(crate) async fn run(client: &Client, exec: &Exec) -> Collected {
    client.exec(exec).await.expect("the command is taken").collect(64 << 20).await
}

/// The exit code of a command that ended by itself.
pub(crate) fn code(report: &Report) -> i32 {
    match report.outcome {
        Outcome::Ended(Exit::Exited(exited)) => exited.into(),
        ref other => panic!("expected an exit, got {other:?}"),
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory is there");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect();
    names.sort();
    names
}
