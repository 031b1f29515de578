//! Which keys may log in: `authorized_keys` as sshd reads it (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
//!
//! The file is read afresh at every check, so a key that has been removed is refused on the next connection. A line
//! with any option admits nobody in this release, and [`Denied`] says which: an option that isn't enforced would
//! otherwise give more than its author meant to.
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
mod strict;

use super::bounded;
use super::key::{Fingerprint, PublicKey, PublicKeyText};
use line::{CERT_AUTHORITY, Line};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
pub use strict::Unsafe;

/// The longest file that is read.
const MAX_FILE: usize = 1024 * 1024;

/// The longest line that is looked at: sshd's limit for a public key.
const MAX_LINE: usize = 16 * 1024;

/// The file that says who may log in as a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKeys {
    path: PathBuf,
    home: PathBuf,
    uid: u32,
}

impl AuthorizedKeys {
    /// `path` speaks for the user `uid`, whose home bounds the check of the directories above it.
    pub fn new(path: impl Into<PathBuf>, home: impl Into<PathBuf>, uid: u32) -> Self {
        Self { path: path.into(), home: home.into(), uid }
    }

    /// The usual file, `~/.ssh/authorized_keys`.
    pub fn of_home(home: impl Into<PathBuf>, uid: u32) -> Self {
        let home = home.into();
        Self { path: home.join(".ssh/authorized_keys"), home, uid }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and says whether `key` may log in as the user.
    ///
    /// # Errors
    ///
    /// [`Denied`] if it may not, for whatever reason: a failing lookup denies.
    pub fn check(&self, key: &PublicKey) -> Result<Authorised, Denied> {
        let text = self.read()?;
        let path = || self.path.clone();
        match lookup(&text, key) {
            Lookup::Authorised { line, comment } => Ok(Authorised { path: path(), line, comment }),
            Lookup::Refused { line, option } => Err(Denied::Option { path: path(), line, option }),
            Lookup::Absent { malformed } => {
                Err(Denied::NotListed { path: path(), key: key.fingerprint(), malformed: malformed.len() })
            }
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
}

impl fmt::Display for Authorised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// What a file's text says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A line without options bears the key.
    Authorised {
        /// Its number, from 1.
        line: usize,
        /// What follows the key.
        comment: String,
    },
    /// A line bears the key and an option.
    Refused {
        /// Its number, from 1.
        line: usize,
        /// The option's name: its first, or `cert-authority`.
        option: String,
    },
    /// No line bears the key.
    Absent {
        /// The numbers of malformed lines, from 1.
        malformed: Vec<usize>,
    },
}

/// Looks `key` up in the text of a file. As in sshd, the first line that bears the key decides, but for
/// `cert-authority` lines, which speak about certificates: a later plain line still admits the key itself.
pub fn lookup(text: &[u8], key: &PublicKey) -> Lookup {
    let mut malformed = Vec::new();
    let mut authority = None;
    for (index, bytes) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = index + 1;
        let parsed = if bytes.len() > MAX_LINE { Err("it is too long") } else { Line::parse(bytes) };
        match parsed {
            Ok(Some(found)) if found.key == PublicKeyText::Ed25519(*key) => {
                match found.options.iter().find(|option| *option == CERT_AUTHORITY) {
                    Some(option) => authority = authority.or(Some(Lookup::Refused { line, option: option.clone() })),
                    None => return decide(line, found),
                }
            }
            Ok(_) => {}
            Err(why) => {
                tracing::debug!(line, why, "a line of authorized_keys is malformed");
                malformed.push(line);
            }
        }
    }
    authority.unwrap_or(Lookup::Absent { malformed })
}

fn decide(line: usize, found: Line) -> Lookup {
    match found.options.into_iter().next() {
        Some(option) => Lookup::Refused { line, option },
        None => Lookup::Authorised { line, comment: found.comment },
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
    /// The key's line has an option that this release doesn't enforce.
    #[error("{}:{line} lists the key with the option {option:?}, which this release does not enforce. Remove the option to admit the key without it", .path.display())]
    Option {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The option's name.
        option: String,
    },
    /// No line bears the key.
    #[error("{} does not list the key {key} ({malformed} malformed lines skipped). Add its .pub line to admit it", .path.display())]
    NotListed {
        /// The file.
        path: PathBuf,
        /// The key's fingerprint.
        key: Fingerprint,
        /// How many lines were malformed.
        malformed: usize,
    },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        crate::PrivateKey::from_seed(&[seed; 32]).public_key()
    }

    #[test]
    fn a_plain_line_admits_its_key_only() {
        let text = format!("# keys\n\n{} ada\n{}\r\n", key(1), key(2));
        assert_eq!(lookup(text.as_bytes(), &key(1)), Lookup::Authorised { line: 3, comment: "ada".into() });
        assert_eq!(lookup(text.as_bytes(), &key(2)), Lookup::Authorised { line: 4, comment: String::new() });
        assert_eq!(lookup(text.as_bytes(), &key(3)), Lookup::Absent { malformed: vec![] });
    }

    #[test]
    fn a_line_with_any_option_admits_nobody() {
        for (options, named) in [
            ("command=\"ls -l\"", "command"),
            ("restrict", "restrict"),
            ("from=\"10.0.0.0/8\"", "from"),
            ("cert-authority", "cert-authority"),
            ("no-pty,cert-authority", "cert-authority"),
            ("an-option-of-the-future", "an-option-of-the-future"),
        ] {
            let text = format!("{options} {}\n", key(1));
            let refused = Lookup::Refused { line: 1, option: named.into() };
            assert_eq!(lookup(text.as_bytes(), &key(1)), refused);
        }
    }

    #[test]
    fn the_first_line_of_a_key_decides_unless_it_is_about_certificates() {
        let plain = key(1).to_openssh();
        let restricted = format!("command=\"x\" {plain}\n{plain}\n");
        assert!(matches!(lookup(restricted.as_bytes(), &key(1)), Lookup::Refused { line: 1, .. }));
        let first = format!("{plain}\ncommand=\"x\" {plain}\n");
        assert!(matches!(lookup(first.as_bytes(), &key(1)), Lookup::Authorised { line: 1, .. }));
        let authority = format!("cert-authority {plain}\n{plain}\n");
        assert!(matches!(lookup(authority.as_bytes(), &key(1)), Lookup::Authorised { line: 2, .. }));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_authorises_nobody(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let authorised = matches!(lookup(&text, &key(1)), Lookup::Authorised { .. });
            proptest::prop_assert!(!authorised);
        }
    }

    #[test]
    fn malformed_and_endless_lines_are_skipped_and_counted() {
        let long = format!("{} {}", key(1), "x".repeat(MAX_LINE));
        let text = format!("nonsense\n{long}\nssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ== other kind\n{}", key(2));
        assert_eq!(lookup(text.as_bytes(), &key(1)), Lookup::Absent { malformed: vec![1, 2] });
        assert!(matches!(lookup(text.as_bytes(), &key(2)), Lookup::Authorised { line: 4, .. }));
    }
}
