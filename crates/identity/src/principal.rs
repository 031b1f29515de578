//! Who was let in, and what they may do; or why nobody was.

use std::error::Error;
use std::fmt;

use super::authorized_keys::Denied;
use super::key::PublicKey;

/// An authenticated user. Everything that a connection does is done in its name.
///
/// ```
/// use unglue_identity::{Policy, Principal};
///
/// let principal = Principal::new("ada", None, Policy::default().allow_files());
/// assert!(principal.policy.files && !principal.policy.exec);
/// assert_eq!(principal.to_string(), "ada");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The user that operations run as.
    pub user: String,
    /// The key that was proved; `None` where the transport has authenticated the peer (a unix socket, an `ssh` process).
    pub key: Option<PublicKey>,
    /// What it may do.
    pub policy: Policy,
}

impl Principal {
    /// The owner of `key`, as the user `user`.
    pub fn new(user: impl Into<String>, key: Option<PublicKey>, policy: Policy) -> Principal {
        Principal { user: user.into(), key, policy }
    }
}

impl fmt::Display for Principal {
    /// The user, and the key's fingerprint if there is a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        match &self.key {
            Some(key) => write!(f, " by {}", key.fingerprint()),
            None => Ok(()),
        }
    }
}

/// The operations that a principal may use. The default allows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Whether commands may be run.
    pub exec: bool,
    /// Whether files may be read and written.
    pub files: bool,
    /// Which ports may be forwarded.
    pub forward: Forwarding,
}

impl Policy {
    /// Everything that this version knows.
    pub fn everything() -> Policy {
        Policy { exec: true, files: true, forward: Forwarding::all() }
    }

    /// Commands too.
    pub fn allow_exec(self) -> Policy {
        Policy { exec: true, ..self }
    }

    /// Files too.
    pub fn allow_files(self) -> Policy {
        Policy { files: true, ..self }
    }

    /// These ports too.
    pub fn allow_forward(self, forward: Forwarding) -> Policy {
        Policy { forward, ..self }
    }
}

/// Which ports may be forwarded. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarding {
    allowed: bool,
}

impl Forwarding {
    /// Every port and every unix socket.
    pub fn all() -> Forwarding {
        Forwarding { allowed: true }
    }

    /// Whether anything may be forwarded.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether the server may connect to this host and port for the client.
    pub fn may_open(&self, _host: &str, _port: u16) -> bool {
        self.allowed
    }

    /// Whether the server may accept connections at this address and port for the client.
    pub fn may_listen(&self, _host: &str, _port: u16) -> bool {
        self.allowed
    }

    /// Whether the server may connect to unix sockets for the client.
    pub fn may_open_socket(&self) -> bool {
        self.allowed
    }

    /// Whether the server may accept connections at unix sockets for the client.
    pub fn may_listen_socket(&self) -> bool {
        self.allowed
    }
}

/// Why a key was not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum Denial {
    /// The key is not authorised, or not for that user.
    Refused(Box<dyn Error + Send + Sync>),
    /// The server could not find out: a file that can't be read, a directory service that doesn't answer. Trying again
    /// later may succeed.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// The key is authorised, and its owner asks for a user that this server doesn't serve.
    AnotherUser {
        /// The user that was asked for.
        asked: String,
        /// The user that the server serves.
        serves: String,
    },
}

impl Denial {
    /// The key is not authorised; `reason` goes to the server's log.
    pub fn refused(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Denial {
        Denial::Refused(reason.into())
    }

    /// The server could not find out; `reason` goes to the server's log.
    pub fn unavailable(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Denial {
        Denial::Unavailable(reason.into())
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Refused(reason) => write!(f, "{reason}"),
            Denial::Unavailable(reason) => write!(f, "the key could not be looked up: {reason}"),
            Denial::AnotherUser { asked, serves } => {
                write!(f, "this server serves the user {serves:?} only, and the login is for {asked:?}")
            }
        }
    }
}

impl Error for Denial {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Denial::Refused(reason) | Denial::Unavailable(reason) => Some(&**reason),
            Denial::AnotherUser { .. } => None,
        }
    }
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Denial {
        match denied.is_lookup_failure() {
            true => Denial::unavailable(denied),
            false => Denial::refused(denied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_file_that_cannot_be_read_is_the_servers_failure() {
        let source = io::Error::from_raw_os_error(24);
        let denial = Denial::from(Denied::Unreadable { path: "/keys".into(), source });
        assert!(matches!(denial, Denial::Unavailable(_)), "{denial}");
        assert!(denial.to_string().contains("/keys"), "{denial}");
        assert!(denial.source().is_some());
        assert!(matches!(Denial::from(Denied::NoFile { path: "/keys".into() }), Denial::Refused(_)));
    }
}
