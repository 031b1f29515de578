//! Which servers a client trusts: its known hosts.

use std::path::PathBuf;

use unglue_identity::{Certificate, KeyKind, KnownHosts, KnownHostsFiles, PublicKey, Verdict};
use unglue_proto::Blame;

use crate::LOGIN_STEPS;
use crate::connect::{ConnectError, Target};
use crate::error::LinkError;

/// The port that entries of `known_hosts` leave out.
const SSH_PORT: u16 = 22;

/// Which servers are trusted.
#[derive(Debug, Clone)]
pub struct HostTrust {
    /// The files that these entries are in.
    pub files: KnownHostsFiles,
    /// Whether a server that no file knows is added, rather than refused.
    pub accept_new: bool,
    /// A key that a person has agreed to: it is trusted where no file knows the server.
    pub agreed: Option<PublicKey>,
    /// The name under which the server is looked up and added, in place of its host and port (`HostKeyAlias`).
    pub alias: Option<String>,
}

/// What the files say about one server.
pub(crate) struct KnownServer<'a> {
    trust: &'a HostTrust,
    target: &'a Target,
    known: KnownHosts,
}

/// What became of a host key.
pub(crate) enum HostVerdict {
    /// It is the server's.
    Trusted,
    /// No file knows it, and an authority may have signed it.
    AskForCertificates,
}

impl UnknownHost {
    /// Adds it to the file, for a person who has agreed.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn remember(&self) -> Result<(), unglue_identity::IdentityError> {
        match &self.alias {
            Some(alias) => KnownHosts::append(&self.file, alias, SSH_PORT, &self.key),
            None => KnownHosts::append(&self.file, &self.target.host, self.target.port, &self.key),
        }
    }
}

/// A server that no file knows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnknownHost {
    /// Where it answered.
    pub target: Target,
    /// The key that it proved to have.
    pub key: PublicKey,
    /// The file that would learn about it.
    pub file: PathBuf,
    /// The name that it would get there, in place of its host and port.
    pub alias: Option<String>,
}

impl HostTrust {
    /// Reads the files.
    pub(crate) fn of<'a>(&'a self, target: &'a Target) -> Result<KnownServer<'a>, ConnectError> {
        let unreadable = |error: unglue_identity::IdentityError| LinkError::Untrusted {
            what: error.to_string(),
            advice: "",
            blame: Blame::User,
        };
        let known = KnownHosts::load(&self.files.read).map_err(unreadable)?;
        Ok(KnownServer { trust: self, target, known })
    }
}

impl KnownServer<'_> {
    /// The name and the port that the files have the server under. An alias has no port.
    fn name(&self) -> (&str, u16) {
        match &self.trust.alias {
            Some(alias) => (alias, SSH_PORT),
            None => (&self.target.host, self.target.port),
        }
    }

    /// The kinds of the keys that the files have for it.
    pub(crate) fn kinds(&self) -> Vec<KeyKind> {
        let (host, port) = self.name();
        self.known.kinds(host, port)
    }

    /// Whether `key` is the one that the files know. May add it to a file.
    pub(crate) fn check(&self, key: &PublicKey) -> Result<HostVerdict, ConnectError> {
        let (target, (host, port)) = (self.target, self.name());
        tracing::debug!(event = "host_key", %target, kind = key.kind(), key = %key.fingerprint());
        match self.known.lookup(host, port, key) {
            Verdict::Trusted { at } => {
                tracing::debug!(event = "trusted", %at);
                tracing::debug!(target: LOGIN_STEPS, "the host key is known: {at}");
                Ok(HostVerdict::Trusted)
            }
            Verdict::Revoked { at } => Err(changed(target, key, &format!("{at} revokes that key")).into()),
            _ if self.known.has_authorities(host, port) => Ok(HostVerdict::AskForCertificates),
            verdict => self.without_certificate(key, verdict).map(|()| HostVerdict::Trusted),
        }
    }

    /// Whether one of the certificates makes `key` the server's. Otherwise the key is judged without them.
    pub(crate) fn check_certificates(&self, key: &PublicKey, certificates: &[String]) -> Result<(), ConnectError> {
        let (host, port) = self.name();
        for line in certificates {
            let certificate = match Certificate::from_openssh(line) {
                Ok(certificate) if certificate.key() == key => certificate,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(event = "host_certificate", skipped = %error);
                    continue;
                }
            };
            match self.known.lookup_certificate(host, port, &certificate) {
                Ok(Some(at)) => {
                    tracing::debug!(event = "trusted", %at, %certificate);
                    tracing::debug!(target: LOGIN_STEPS, "the host key is known by the {certificate}: {at}");
                    return Ok(());
                }
                // Another authority's.
                Ok(None) => {}
                Err(refused) => {
                    let what = format!("the server at {} shows the {certificate}, but {refused}", self.target);
                    return Err(LinkError::Untrusted { what, advice: "", blame: Blame::Peer }.into());
                }
            }
        }
        self.without_certificate(key, self.known.lookup(host, port, key))
    }

    fn without_certificate(&self, key: &PublicKey, verdict: Verdict) -> Result<(), ConnectError> {
        let (target, (host, port)) = (self.target, self.name());
        match verdict {
            Verdict::Trusted { .. } => Ok(()),
            Verdict::Revoked { at } => Err(changed(target, key, &format!("{at} revokes that key")).into()),
            Verdict::Changed { at, known } => Err(changed(target, key, &format!("{at} knows it by {known}")).into()),
            Verdict::Unknown { .. } if self.trust.agreed.as_ref() == Some(key) => Ok(()),
            Verdict::Unknown { .. } if self.trust.accept_new => {
                // As ssh: a home that can't be written to keeps nobody from connecting.
                if let Err(error) = KnownHosts::append(&self.trust.files.append, host, port, key) {
                    tracing::warn!(
                        "{target} is trusted this time only: {error}. --known-hosts FILE names another file"
                    );
                }
                Ok(())
            }
            Verdict::Unknown { .. } => {
                let file = self.trust.files.append.clone();
                let alias = self.trust.alias.clone();
                let unknown = UnknownHost { target: target.clone(), key: key.clone(), file, alias };
                Err(ConnectError::Unknown(Box::new(unknown)))
            }
        }
    }
}

fn changed(target: &Target, key: &PublicKey, known: &str) -> LinkError {
    let what = format!("the server at {target} shows the host key {}, but {known}", key.fingerprint());
    let advice = "somebody may be in between; if the key was changed on purpose, remove that line and connect again";
    LinkError::Untrusted { what, advice, blame: Blame::Peer }
}
