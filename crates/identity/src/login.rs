//! What a client presents, and where it comes from: all that a decision about a login depends on.

use super::certificate::{Certificate, CertificateError};
use super::key::{Fingerprint, PublicKey};
use super::signature::Presence;
use std::fmt;
use std::net::IpAddr;

/// A key, or a certificate for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// A key that is listed itself.
    Key(PublicKey),
    /// A key that a listed authority has signed.
    Certificate(Certificate),
}

impl Credential {
    /// Reads the one-line form of either.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] if it is neither, or of a kind that isn't handled.
    pub fn from_openssh(line: &str) -> Result<Self, CertificateError> {
        match Certificate::is_named_by(line) {
            true => Certificate::from_openssh(line).map(Self::Certificate),
            false => Ok(Self::Key(PublicKey::from_openssh(line)?)),
        }
    }

    /// The key that signs.
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.key(),
        }
    }

    /// The certificate, if it is one.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Key(_) => None,
            Self::Certificate(certificate) => Some(certificate),
        }
    }

    /// The key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.key().fingerprint()
    }
}

impl From<PublicKey> for Credential {
    fn from(key: PublicKey) -> Self {
        Self::Key(key)
    }
}

impl fmt::Display for Credential {
    /// For logs: the key's fingerprint, and what identifies the certificate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint())?;
        match self.certificate() {
            Some(certificate) => write!(f, " with the {certificate}"),
            None => Ok(()),
        }
    }
}

/// A request to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The user that is asked for; the server's own where it is `None`.
    pub user: Option<String>,
    /// What the client presents.
    pub credential: Credential,
    /// Where it comes from; `None` where the transport has no addresses.
    pub address: Option<IpAddr>,
    /// Whether the client has signed with the key. Before that it only offers it.
    pub proved: bool,
    /// What the key's authenticator reported with the signature.
    pub presence: Option<Presence>,
}

impl Login {
    /// A key that is offered, for the server's own user.
    pub fn offer(credential: impl Into<Credential>) -> Login {
        Login { user: None, credential: credential.into(), address: None, proved: false, presence: None }
    }

    /// For this user.
    pub fn user(self, user: Option<String>) -> Login {
        Login { user, ..self }
    }

    /// From this address.
    pub fn from(self, address: Option<IpAddr>) -> Login {
        // As sshd: an IPv4 client of an IPv6 socket is an IPv4 client.
        Login { address: address.map(|address| address.to_canonical()), ..self }
    }

    /// With a signature that holds.
    pub fn proved(self, presence: Option<Presence>) -> Login {
        Login { proved: true, presence, ..self }
    }
}
