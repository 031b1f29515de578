//! Whether a host's key is the one that the user knows: `known_hosts` as ssh reads it (sshd(8),
//! SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! ```no_run
//! # use unglue_net::identity::{KnownHosts, KnownHostsFiles, PublicKey, Verdict};
//! # fn ask(_: &PublicKey) -> bool { false }
//! # fn check(key: &PublicKey) -> Result<bool, Box<dyn std::error::Error>> {
//! let files = KnownHostsFiles::from_env(None);
//! Ok(match KnownHosts::load(&files.read)?.lookup("build.example", 7227, key) {
//!     Verdict::Trusted { .. } => true,
//!     Verdict::Unknown { .. } if ask(key) => {
//!         KnownHosts::append(&files.append, "build.example", 7227, key)?;
//!         true
//!     }
//!     Verdict::Unknown { .. } | Verdict::Changed { .. } | Verdict::Revoked { .. } => false,
//! })
//! # }
//! ```

mod append;
mod line;
mod pattern;

use super::bounded;
use super::error::IdentityError;
use super::key::{Fingerprint, PublicKey, PublicKeyText};
use line::{Line, Marker};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest file that is read: two hundred thousand hashed hosts.
const MAX_FILE: usize = 32 * 1024 * 1024;

/// The port whose entries bear no port.
const SSH_PORT: u16 = 22;

/// Which files are read, and which one a newly trusted host is added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHostsFiles {
    /// All that are read; those that are missing count as empty.
    pub read: Vec<PathBuf>,
    /// The one that is appended to.
    pub append: PathBuf,
}

impl KnownHostsFiles {
    /// The file that `flag` (`--known-hosts`) or else `UNGLUE_KNOWN_HOSTS` names, alone; or else the two of the
    /// user's home: unglue's own `~/.config/unglue/known_hosts`, which is appended to, and `~/.ssh/known_hosts`.
    pub fn from_env(flag: Option<PathBuf>) -> Self {
        let named = flag.or_else(|| std::env::var_os("UNGLUE_KNOWN_HOSTS").and_then(non_empty).map(PathBuf::from));
        match named {
            Some(file) => Self { read: vec![file.clone()], append: file },
            None => Self::of_home(&std::env::home_dir().unwrap_or_default()),
        }
    }

    /// The two files of this home.
    pub fn of_home(home: &Path) -> Self {
        let own = home.join(".config/unglue/known_hosts");
        Self { read: vec![own.clone(), home.join(".ssh/known_hosts")], append: own }
    }
}

fn non_empty(value: OsString) -> Option<OsString> {
    Some(value).filter(|value| !value.is_empty())
}

/// The lines of all the files, in order.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    lines: Vec<(Location, Line)>,
    skipped: Vec<Skipped>,
}

/// A line of a file. Its text is `file:line`, as editors take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// The line's number, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A malformed line, which says nothing about any host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub at: Location,
    /// What is malformed about it.
    pub why: String,
}

/// What the files say about a host and the key that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is known by this key.
    Trusted {
        /// The line that says so.
        at: Location,
    },
    /// Nothing says which ed25519 key listens at this port of the host.
    Unknown {
        /// What is known of the host otherwise, for a human to weigh: sshd's own ed25519 key under the plain name
        /// (a server run by an ordinary user has another), or keys of other kinds.
        others: Vec<OtherKey>,
    },
    /// The host is known by another key at this very port. Fatal: it may be an impostor.
    Changed {
        /// The line with the other key.
        at: Location,
        /// That key's fingerprint.
        known: Fingerprint,
    },
    /// The key is revoked for this host, whatever other lines say. Fatal.
    Revoked {
        /// The line that revokes it.
        at: Location,
    },
}

/// Another key of the same host, which is neither trusted nor contradicted by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKey {
    /// The line that tells it.
    pub at: Location,
    /// The key's kind, such as `ssh-rsa`.
    pub kind: String,
    /// Its fingerprint, if it is of a kind that we handle.
    pub fingerprint: Option<Fingerprint>,
}

impl KnownHosts {
    /// Reads all the files. One that is missing counts as empty; malformed lines are skipped, and told by
    /// [`skipped`](Self::skipped).
    ///
    /// # Errors
    ///
    /// [`IdentityError::Io`] if a file is there and can't be read (it may hold what is revoked), or is longer than 32 MiB.
    pub fn load<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Result<Self, IdentityError> {
        let mut known = Self::default();
        for file in files {
            known.add_file(file.as_ref())?;
        }
        Ok(known)
    }

    /// The malformed lines.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What is known about `key` at `host` (a name or address, in any case) and `port`.
    ///
    /// Lines are looked up by `[host]:port` and by plain `host`, since sshd's own entry bears no port; for port 22
    /// by plain `host` alone. A match in either is trusted; `@revoked` wins over it.
    pub fn lookup(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let exact = self.about(&host_name(host, port));
        let plain = if port == SSH_PORT { Vec::new() } else { self.about(&host_name(host, SSH_PORT)) };
        let all = || exact.iter().chain(&plain).copied();
        let with_key = |marker| {
            let ours = PublicKeyText::Ed25519(*key);
            all().find(|(_, line)| line.marker == marker && line.key == ours).map(|(at, _)| at.clone())
        };
        if let Some(at) = with_key(Marker::Revoked) {
            return Verdict::Revoked { at };
        }
        if let Some(at) = with_key(Marker::None) {
            return Verdict::Trusted { at };
        }
        if let Some((at, known)) = exact.iter().find_map(|entry| contradiction(entry)) {
            return Verdict::Changed { at, known };
        }
        Verdict::Unknown { others: all().filter_map(other_key).collect() }
    }

    /// Adds a line for `host` at `port` to `file`; see the module's example. The port is left out if it is 22, and the
    /// name is not hashed.
    ///
    /// # Errors
    ///
    /// [`IdentityError::HostName`] if `host` would mean something else there, [`IdentityError::Io`] if the file can't
    /// be written.
    pub fn append(file: &Path, host: &str, port: u16, key: &PublicKey) -> Result<(), IdentityError> {
        append::append(file, host, port, key)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::io("read the known hosts in", path, source);
        let file = match bounded::open(path) {
            Ok((file, _)) => file,
            Err(error) if bounded::is_missing(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let text = bounded::read(&file, MAX_FILE).map_err(failed)?;
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let at = || Location { file: path.to_owned(), line: index + 1 };
            match Line::parse(line) {
                Ok(Some(line)) => self.lines.push((at(), line)),
                Ok(None) => {}
                Err(why) => self.skipped.push(Skipped { at: at(), why }),
            }
        }
        Ok(())
    }

    fn about(&self, name: &str) -> Vec<&(Location, Line)> {
        self.lines.iter().filter(|(_, line)| line.hosts.matches(name)).collect()
    }
}

/// The name under which a host is looked up and written.
fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == SSH_PORT { host } else { format!("[{host}]:{port}") }
}

/// A key of the kind that we demand, which isn't the one shown. Other kinds contradict nothing: a host has one key of
/// each kind, and we ask for the ed25519 one alone.
fn contradiction((at, line): &(Location, Line)) -> Option<(Location, Fingerprint)> {
    match &line.key {
        PublicKeyText::Ed25519(known) if line.marker == Marker::None => Some((at.clone(), known.fingerprint())),
        _ => None,
    }
}

fn other_key((at, line): &(Location, Line)) -> Option<OtherKey> {
    let (kind, fingerprint) = match &line.key {
        PublicKeyText::Ed25519(key) => (key.kind().to_owned(), Some(key.fingerprint())),
        PublicKeyText::Other(kind) => (kind.clone(), None),
    };
    (line.marker == Marker::None).then(|| OtherKey { at: at.clone(), kind, fingerprint })
}
