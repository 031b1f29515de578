//! Whether a host's key is the one that the user knows: `known_hosts` as ssh reads it (sshd(8),
//! SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! ```no_run
//! # use unglue_identity::{KnownHosts, KnownHostsFiles, PublicKey, Verdict};
//! # fn ask(_: &PublicKey) -> bool { false }
//! # fn check(key: &PublicKey) -> Result<bool, Box<dyn std::error::Error>> {
//! let files = KnownHostsFiles::from_env(None)?;
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
mod hosts;
mod line;

use super::bounded;
use super::certificate::{Certificate, CertificateError, CertificateUse};
use super::env::{home, path_from_env};
use super::error::IdentityError;
use super::key::{Fingerprint, KeyKind, PublicKey, PublicKeyText};
use super::local_time;
use super::pattern::wildcard_matches;
use line::{Line, Marker};
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest file that is read: two hundred thousand hashed hosts.
const MAX_FILE: usize = 32 * 1024 * 1024;

/// The machine's own file, which is read after the user's, and never written.
pub(crate) const SYSTEM: Option<&str> = Some("/etc/ssh/ssh_known_hosts");

/// The port whose entries name no port.
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
    /// user's home: unglue's own `~/.config/unglue/known_hosts`, which is appended to, and `~/.ssh/known_hosts`; then
    /// `/etc/ssh/ssh_known_hosts`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NoHome`] if no file is named and the user has no home.
    pub fn from_env(flag: Option<PathBuf>) -> Result<Self, IdentityError> {
        match flag.or_else(|| path_from_env("UNGLUE_KNOWN_HOSTS")) {
            Some(file) => Ok(Self { read: vec![file.clone()], append: file }),
            None => home().map(|home| Self::of_home(&home)).ok_or(IdentityError::NoHome),
        }
    }

    /// The two files of this home, and the machine's.
    pub fn of_home(home: &Path) -> Self {
        let own = home.join(".config/unglue/known_hosts");
        let read = [own.clone(), home.join(".ssh/known_hosts")].into_iter().chain(SYSTEM.map(PathBuf::from));
        Self { read: read.collect(), append: own }
    }
}

/// The lines of all the files, in order.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
}

/// A line, and where it stands: the file's place in the list of files, and the line's number from 1.
#[derive(Debug, Clone)]
struct Entry {
    file: usize,
    number: usize,
    line: Line,
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
    /// Whether it begins with a marker: it may have been meant to revoke a key, which it doesn't.
    pub marked: bool,
}

impl Skipped {
    fn log(&self) {
        let Self { at, why, marked } = self;
        match marked {
            true => tracing::warn!(
                "{at} has no effect, because it is malformed: {why}. If it was to revoke a key, correct it"
            ),
            false => tracing::debug!(%at, why, "a line of known_hosts is malformed"),
        }
    }
}

/// What the files say about a host and the key that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is known by this key.
    Trusted {
        /// The line that says so.
        at: Location,
    },
    /// Nothing says which key the host has at this port.
    Unknown {
        /// The keys that the host has under its plain name, for a human to weigh. They are sshd's; a server that an
        /// ordinary user runs has a key of its own.
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

/// Why a certificate of an authority of the host can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefused {
    /// The certificate is not for this host, or not for now.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its key or its authority is revoked.
    #[error("{at} revokes its key or its authority")]
    Revoked {
        /// The line that does.
        at: Location,
    },
}

/// Another key of the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKey {
    /// The line with the key.
    pub at: Location,
    /// The key's kind, such as `ssh-rsa`.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

impl KnownHosts {
    /// Reads all the files. One that is missing, or `/dev/null`, counts as empty. Malformed lines are skipped, and listed
    /// by [`skipped`](Self::skipped); a warning event names those that begin with a marker, as `@revoked` lines do.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Io`] if a file is there and can't be read (it may hold what is revoked), or is longer than 32 MiB.
    pub fn load<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Result<Self, IdentityError> {
        let mut known = Self::default();
        for file in files {
            known.add_file(file.as_ref())?;
        }
        known.skipped.iter().for_each(Skipped::log);
        Ok(known)
    }

    /// Reads the text of one file; `path` is for messages.
    pub fn parse(path: &Path, text: &[u8]) -> Self {
        let mut known = Self::default();
        known.add_text(path, text);
        known
    }

    /// The malformed lines.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What is known about `key` at `host` (a name or address, in any case) and `port`.
    ///
    /// As in ssh, the lines about `[host]:port` decide first: one of them has the key, or the key is a changed one, of
    /// whatever kind the known keys are. Only if no such line has a key are the lines about plain `host` looked at, since
    /// sshd's own entry has no port; they can confirm the key, and contradict nothing. For port 22 there is plain `host`
    /// alone.
    ///
    /// In one point this is stricter than ssh: `@revoked` under plain `host` refuses the key at every port.
    pub fn lookup(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let exact = self.about(&host_name(host, port));
        let plain = if port == SSH_PORT { Vec::new() } else { self.about(&host_name(host, SSH_PORT)) };
        if let Some(at) = self.find(&exact, Marker::Revoked, key).or_else(|| self.find(&plain, Marker::Revoked, key)) {
            return Verdict::Revoked { at };
        }
        if let Some(at) = self.find(&exact, Marker::None, key) {
            return Verdict::Trusted { at };
        }
        if let Some(other) = self.other_keys(&exact).next() {
            return Verdict::Changed { at: other.at, known: other.fingerprint };
        }
        match self.find(&plain, Marker::None, key) {
            Some(at) => Verdict::Trusted { at },
            None => Verdict::Unknown { others: self.other_keys(&plain).collect() },
        }
    }

    /// The kinds of the keys that are known for `host` at `port`, in the order of the lines, those about `[host]:port` first. A
    /// client asks for these before all others, so that a server with several keys shows one that is known.
    pub fn kinds(&self, host: &str, port: u16) -> Vec<KeyKind> {
        let mut kinds = Vec::new();
        for entry in self.about_both(host, port) {
            match (entry.line.marker, &entry.line.key) {
                (Marker::None, PublicKeyText::Key(key)) if !kinds.contains(&key.key_kind()) => {
                    kinds.push(key.key_kind());
                }
                _ => {}
            }
        }
        kinds
    }

    /// Whether a `@cert-authority` line is about `host`.
    pub fn has_authorities(&self, host: &str, port: u16) -> bool {
        self.about_both(host, port).iter().any(|entry| entry.line.marker == Marker::CertAuthority)
    }

    /// The `@cert-authority` line that makes `certificate` one of `host`; `None` if its authority is not one of this host's. As
    /// in ssh, the line may have the port or not, and the certificate names the host without a port; a certificate that names
    /// no host is for all hosts of the line.
    ///
    /// # Errors
    ///
    /// [`CertificateRefused`]: its authority is one, and it can't be used.
    pub fn lookup_certificate(
        &self,
        host: &str,
        port: u16,
        certificate: &Certificate,
    ) -> Result<Option<Location>, CertificateRefused> {
        let entries = self.about_both(host, port);
        for key in [certificate.key(), certificate.authority()] {
            if let Some(at) = self.find(&entries, Marker::Revoked, key) {
                return Err(CertificateRefused::Revoked { at });
            }
        }
        let Some(at) = self.find(&entries, Marker::CertAuthority, certificate.authority()) else { return Ok(None) };
        certificate.check(CertificateUse::Host, local_time::now())?;
        let name = host.to_ascii_lowercase();
        let mut principals = certificate.principals().peekable();
        let unnamed = principals.peek().is_none();
        if !unnamed && !principals.any(|pattern| wildcard_matches(pattern, name.as_bytes())) {
            return Err(CertificateError::Principal { name }.into());
        }
        match certificate.critical_options().first() {
            Some((name, _)) => Err(CertificateError::CriticalOption { name: name.escape_ascii().to_string() }.into()),
            None => Ok(Some(at)),
        }
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
        let file = match bounded::open_or_null(path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(error) if bounded::is_missing(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let text = bounded::read(&file, MAX_FILE).map_err(failed)?;
        self.add_text(path, &text);
        Ok(())
    }

    fn add_text(&mut self, path: &Path, text: &[u8]) {
        self.files.push(path.to_owned());
        for (number, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            match Line::parse(bytes) {
                Ok(Some(line)) => self.entries.push(Entry { file: self.files.len() - 1, number, line }),
                Ok(None) => {}
                Err(why) => {
                    let at = Location { file: path.to_owned(), line: number };
                    self.skipped.push(Skipped { at, why, marked: bytes.trim_ascii_start().starts_with(b"@") });
                }
            }
        }
    }

    fn about(&self, name: &str) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.line.hosts.matches(name)).collect()
    }

    /// The lines about `[host]:port`, then those about plain `host`.
    fn about_both(&self, host: &str, port: u16) -> Vec<&Entry> {
        let mut entries = self.about(&host_name(host, port));
        if port != SSH_PORT {
            entries.extend(self.about(&host_name(host, SSH_PORT)));
        }
        entries
    }

    fn location(&self, entry: &Entry) -> Location {
        Location { file: self.files[entry.file].clone(), line: entry.number }
    }

    /// Where one of the entries has this marker and this key.
    fn find(&self, entries: &[&Entry], marker: Marker, key: &PublicKey) -> Option<Location> {
        let key = PublicKeyText::Key(key.clone());
        let found = entries.iter().find(|entry| entry.line.marker == marker && entry.line.key == key);
        found.map(|entry| self.location(entry))
    }

    /// The hosts' own keys among the entries.
    fn other_keys<'a>(&'a self, entries: &'a [&Entry]) -> impl Iterator<Item = OtherKey> + 'a {
        let own = entries.iter().filter(|entry| entry.line.marker == Marker::None);
        // ssh passes over a line whose key it can't read.
        let readable = own.filter(|entry| match &entry.line.key {
            PublicKeyText::Key(_) => true,
            PublicKeyText::Other(other) => other.is_readable_by_openssh(),
        });
        readable.map(|entry| OtherKey {
            at: self.location(entry),
            kind: entry.line.key.kind().to_owned(),
            fingerprint: entry.line.key.fingerprint(),
        })
    }
}

/// The name under which a host is looked up and written.
fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == SSH_PORT { host } else { format!("[{host}]:{port}") }
}
