//! The demo's server and keys, in a directory that goes away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use unglue::identity::{KnownHosts, make_key_file};
use unglue::{Address, Client, ClientOptions, Server, ServerOptions, Target};

use super::Stopped;
use crate::complaint::Complaint;

/// How many files the listing shows: enough for more than 1024 bytes.
const CHAPTERS: usize = 22;

/// A server on loopback, with throw-away keys and some files.
pub(super) struct Stage {
    directory: TempDir,
    server: Server,
}

impl Stage {
    /// Makes the directory, the keys and the files, and starts the server.
    ///
    /// # Errors
    /// There is no room for it, or no free port.
    pub(super) fn set() -> Result<Stage, Complaint> {
        let directory = tempfile::Builder::new().prefix("unglue-demo-").tempdir().map_err(|error| unset(&error))?;
        // So that `pwd` prints the same.
        let path = directory.path().canonicalize().map_err(|error| unset(&error))?;
        furnish(&path).map_err(|error| unset(&error))?;
        let server = start(&path)?;
        Ok(Stage { directory, server })
    }

    /// Where the server listens, as `127.0.0.1:PORT`.
    pub(super) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// The server key's fingerprint.
    pub(super) fn fingerprint(&self) -> String {
        self.server.host_key().map(|key| key.fingerprint().to_string()).unwrap_or_default()
    }

    /// The temporary directory.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the server serves: its files, and where its commands run.
    pub(super) fn served(&self) -> PathBuf {
        served(self.directory.path())
    }

    /// Connects as any client does: the server is known, and the key is authorised.
    pub(super) async fn connect(&self) -> Result<Client, Stopped> {
        let address = self.server.address();
        let known_hosts = self.directory.path().join("known_hosts");
        let (host, port) = (address.ip().to_string(), address.port());
        let host_key = self.server.host_key().ok_or_else(|| Complaint::new("the server has no host key"))?;
        KnownHosts::append(&known_hosts, &host, port, host_key).map_err(|error| Complaint::new(error.to_string()))?;
        let options =
            ClientOptions::default().identity(self.directory.path().join("client_key")).known_hosts(known_hosts);
        let connected = Client::connect(&Address { user: None, target: Target { host, port } }, &options).await;
        Ok(connected.map_err(|error| Complaint::new(error.to_string()))?)
    }

    /// Ends the server, and removes the directory.
    ///
    /// # Errors
    /// Something stays behind; it says where.
    pub(super) fn clear(self) -> Result<(), Complaint> {
        self.server.end();
        self.server.join();
        let path = self.directory.path().display().to_string();
        self.directory.close().map_err(|error| Complaint::new(format!("{path} could not be removed: {error}")))
    }
}

fn unset(error: &io::Error) -> Complaint {
    Complaint::new(format!("the demo needs 300 MB in the temporary directory: {error}; TMPDIR names another"))
}

fn served(directory: &Path) -> PathBuf {
    directory.join("home")
}

/// Some files to be listed.
fn furnish(directory: &Path) -> io::Result<()> {
    let served = served(directory);
    fs::create_dir(&served)?;
    for chapter in 1..=CHAPTERS {
        fs::write(served.join(format!("chapter-{chapter:02}.txt")), format!("Chapter {chapter}\n"))?;
    }
    Ok(())
}

fn start(directory: &Path) -> Result<Server, Complaint> {
    let made = |name: &str| {
        let path = directory.join(name);
        let key = make_key_file(&path, "unglue demo", None).map_err(|error| Complaint::new(error.to_string()))?;
        Ok::<_, Complaint>((path, key.public_key()))
    };
    let (host_key, _) = made("host_key")?;
    let (_, client_key) = made("client_key")?;
    let authorized_keys = directory.join("authorized_keys");
    fs::write(&authorized_keys, format!("{client_key}\n")).map_err(|error| unset(&error))?;
    let options = ServerOptions::default()
        .listen("127.0.0.1:0")
        .root(served(directory))
        .state(directory.join("state"))
        .host_key(host_key)
        .authorized_keys(authorized_keys);
    Ok(Server::start(options)?)
}
