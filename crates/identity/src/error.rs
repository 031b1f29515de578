//! What can go wrong with one's own identity: two sentences each, what happened and what to do.

use super::bounded;
use super::key::KeyError;
use super::key_file::NotAKey;
use super::shell_word::ShellWord;
use std::io;
use std::path::{Path, PathBuf};

/// A failure to find, read, make or use an identity of our own (a key file, the agent, a host key), or to read
/// or extend `known_hosts`. The user or the system erred; what a peer sends is judged by
/// [`ProofError`](super::ProofError), and what a server's user allows by [`Denied`](super::Denied).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file or directory could not be read or written.
    #[error("could not {action} {}: {source}. Check the path and its permissions", .path.display())]
    Io {
        /// The verb, such as `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A private key that others can read is not a secret (ssh refuses it too).
    #[error("the private key {} can be read by others (mode {mode:04o}). Make it yours alone: chmod 600 {}", .path.display(), ShellWord(.path))]
    TooOpen {
        /// The private key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds a key that can't be used.
    #[error("{}: {source}", .path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// A file holds something else than a private key that this release reads.
    #[error("{} is not a private key that can be used: {found}. {}", .path.display(), .found.advice(.path))]
    NotAPrivateKey {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: NotAKey,
    },
    /// A key is encrypted and nobody gave its passphrase.
    #[error("the private key {} is encrypted, and no passphrase was given. Run this where one can be typed, or hand the key to an agent first: ssh-add {}", .path.display(), ShellWord(.path))]
    Locked {
        /// The key's file.
        path: PathBuf,
    },
    /// A host key is encrypted: a server starts without a person who could type a passphrase.
    #[error("the host key {} is encrypted, and a server can't ask for its passphrase. Remove the passphrase: ssh-keygen -p -N '' -f {}", .path.display(), ShellWord(.path))]
    LockedHostKey {
        /// The key's file.
        path: PathBuf,
    },
    /// No passphrase that was given opens the key.
    #[error("none of {tries} passphrases opens {}. Check the passphrase with: ssh-keygen -y -f {}", .path.display(), ShellWord(.path))]
    WrongPassphrase {
        /// The key's file.
        path: PathBuf,
        /// How many were tried.
        tries: u32,
    },
    /// A file stands where a new key would be written. Keys are never overwritten.
    #[error("{} is there already, and a key is never overwritten. Choose another path, or move it away", .path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The agent could not be reached, or did not do what it was asked.
    #[error("the ssh-agent at {} {what}. Check it with: ssh-add -l", .socket.display())]
    Agent {
        /// The agent's socket.
        socket: PathBuf,
        /// What it did, or failed to do.
        what: String,
    },
    /// There is nothing to prove oneself with.
    #[error(
        "no key was found to log in with ({looked}). {}Make one with `unglue key init`, or name one with --identity FILE",
        only_others(.other_kinds)
    )]
    NoIdentity {
        /// Where we looked and what was there.
        looked: String,
        /// The keys of other kinds that were found, such as `the RSA key /home/ada/.ssh/id_rsa`.
        other_kinds: Vec<String>,
    },
    /// The user has no home directory, and named no file that would be used instead.
    #[error("your home directory is not known. Set HOME, or name the files with --identity and --known-hosts")]
    NoHome,
    /// A host's name that can't stand in `known_hosts`.
    #[error(
        "{host:?} can't be written to known_hosts as a host's name. Give the name or address alone, without spaces, commas or wildcards"
    )]
    HostName {
        /// The name as it was given.
        host: String,
    },
    /// The operating system gave no randomness.
    #[error("the system gave no randomness for a new key: {0}. Try again, or make the key elsewhere")]
    Randomness(String),
}

/// A user who logs in by ssh with such a key wonders why it isn't found.
fn only_others(keys: &[String]) -> String {
    match keys {
        [] => String::new(),
        keys => format!("Not handled: {}. ", keys.join(" or ")),
    }
}

impl IdentityError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn key(path: &Path, source: KeyError) -> Self {
        Self::Key { path: path.to_owned(), source }
    }

    /// Whether the cause is that a file isn't there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if bounded::is_missing(source))
    }

    /// Whether the cause is that a file is not for us to read.
    pub(super) fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}
