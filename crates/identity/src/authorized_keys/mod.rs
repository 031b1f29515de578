//! Which keys may log in: `authorized_keys` as sshd reads it (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
//!
//! The file is read afresh at every check, so a key that has been removed is refused on the next connection. What the
//! options of a line allow is the [`Policy`] of who logs in by it. A line with an option that isn't known admits nobody, and
//! [`Denied`] says which.
//!
//! ```no_run
//! # use unglue_identity::{AuthorizedKeys, PublicKey};
//! # fn check(key: &PublicKey) {
//! let keys = AuthorizedKeys::of_home("/home/ada", 1000);
//! match keys.check(key) {
//!     Ok(line) => println!("admitted by {line}"),
//!     Err(denied) => println!("refused: {denied}"),
//! }
//! # }
//! ```

mod line;
mod lookup;
mod options;
mod strict;

use super::bounded;
use super::key::{Fingerprint, PublicKey};
use super::local_time;
use super::login::Login;
use super::policy::Policy;
use super::revoked::RevokedKeys;
pub use lookup::{Lookup, Refused, lookup};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
pub use strict::Unsafe;

/// The longest file that is read.
const MAX_FILE: usize = 1024 * 1024;

/// The file that says who may log in as a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKeys {
    path: PathBuf,
    home: PathBuf,
    uid: u32,
    revoked: Option<RevokedKeys>,
}

impl AuthorizedKeys {
    /// `path` speaks for the user `uid`, whose home bounds the check of the directories above it.
    pub fn new(path: impl Into<PathBuf>, home: impl Into<PathBuf>, uid: u32) -> Self {
        Self { path: path.into(), home: home.into(), uid, revoked: None }
    }

    /// The usual file, `~/.ssh/authorized_keys`.
    pub fn of_home(home: impl Into<PathBuf>, uid: u32) -> Self {
        let home = home.into();
        Self { path: home.join(".ssh/authorized_keys"), home, uid, revoked: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, but what this file revokes is refused.
    pub fn revoking(self, revoked: Option<RevokedKeys>) -> Self {
        Self { revoked, ..self }
    }

    /// Reads the file and says whether `key` may log in as the user, without regard to where it comes from.
    ///
    /// # Errors
    ///
    /// [`Denied`] if it may not, for whatever reason: a failing lookup denies.
    pub fn check(&self, key: &PublicKey) -> Result<Authorised, Denied> {
        self.judge(&Login::offer(key.clone()), "")
    }

    /// Reads the files and says whether this login may become `user`, and what its line allows it.
    ///
    /// # Errors
    ///
    /// [`Denied`] if it may not, for whatever reason: a failing lookup denies.
    pub fn judge(&self, login: &Login, user: &str) -> Result<Authorised, Denied> {
        if let Some(revoked) = &self.revoked {
            let path = || revoked.path().to_owned();
            match revoked.revokes(&login.credential) {
                Ok(false) => {}
                Ok(true) => return Err(Denied::Revoked { path: path(), what: login.credential.to_string() }),
                Err(source) => return Err(Denied::Unreadable { path: path(), source }),
            }
        }
        let text = self.read()?;
        let path = || self.path.clone();
        match lookup(&text, login, user, local_time::now()) {
            Lookup::Authorised { line, comment, policy } => {
                Ok(Authorised { path: path(), line, comment, policy: *policy })
            }
            Lookup::Refused { line, why } => Err(Denied::Line { path: path(), line, why }),
            Lookup::Absent { malformed } => Err(match login.credential.certificate() {
                Some(certificate) => {
                    Denied::NoAuthority { path: path(), authority: certificate.authority().fingerprint() }
                }
                None => {
                    let key = login.credential.fingerprint();
                    Denied::NotListed { path: path(), key, malformed: malformed.len() }
                }
            }),
        }
    }

    fn read(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, Denied> {
        let unreadable = |source| Denied::Unreadable { path: self.path.clone(), source };
        let (file, _) = bounded::open(&self.path).map_err(|error| match error {
            error if bounded::is_missing(&error) => Denied::NoFile { path: self.path.clone() },
            error => unreadable(error),
        })?;
        strict::check(&file, &self.path, &self.home, self.uid)
            .map_err(|reason| Denied::Unsafe { path: self.path.clone(), reason })?;
        bounded::read(&file, MAX_FILE).map_err(unreadable)
    }
}

/// The line that admits a key. Its text is `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorised {
    /// The file.
    pub path: PathBuf,
    /// The line's number, from 1.
    pub line: usize,
    /// The line's comment, which often names the key's owner.
    pub comment: String,
    /// What the line's options allow, and those of the certificate.
    pub policy: Policy,
}

impl fmt::Display for Authorised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why a key may not log in. For the server's log: the client learns nothing of it but
/// [whether the lookup failed](Denied::is_lookup_failure).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// There is no file.
    #[error("there is no {}, so nobody may log in. Put the public keys of those who may into it, one a line", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and can't be read.
    #[error("{} could not be read: {source}. Nobody may log in until it can", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have written the file, so it was not read.
    #[error("{} is not read: {reason}", .path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Which file or directory is at fault, and what to do.
        #[source]
        reason: Unsafe,
    },
    /// A line bears the key and refuses it.
    #[error("{}:{line} lists the key, and does not admit it: {why}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// Why it does not admit it.
        #[source]
        why: Refused,
    },
    /// The key, the certificate or its authority is revoked.
    #[error("{} revokes {what}", .path.display())]
    Revoked {
        /// The file of what is revoked.
        path: PathBuf,
        /// The key, and what identifies the certificate.
        what: String,
    },
    /// No line makes the certificate's authority one.
    #[error("{} has no cert-authority line for the certificate's authority {authority}. Add one to admit its certificates", .path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// The authority's fingerprint.
        authority: Fingerprint,
    },
    /// No line bears the key.
    #[error("{} does not list the key {key}{}. Add its .pub line to admit it", .path.display(), skipped(*.malformed))]
    NotListed {
        /// The file.
        path: PathBuf,
        /// The key's fingerprint.
        key: Fingerprint,
        /// How many lines were malformed.
        malformed: usize,
    },
}

/// The malformed lines, where there are some: one of them may be the one that is missed.
fn skipped(malformed: usize) -> String {
    match malformed {
        0 => String::new(),
        1 => " (1 malformed line skipped)".into(),
        lines => format!(" ({lines} malformed lines skipped)"),
    }
}

impl Denied {
    /// Whether the question was not answered: the file could not be read, so that nobody knows whether the key is in it.
    /// Otherwise the file, or its absence, denies the key.
    pub fn is_lookup_failure(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. } | Self::Unsafe { reason: Unsafe::Unreachable { .. } | Unsafe::Replaced { .. }, .. }
        )
    }
}
