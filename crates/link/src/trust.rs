//! Which servers a client trusts: its known hosts.

use std::path::PathBuf;

use unglue_identity::{KnownHosts, KnownHostsFiles, PublicKey, Verdict};
use unglue_proto::Blame;

use crate::connect::{ConnectError, Target};
use crate::error::LinkError;

/// Which servers are trusted.
#[derive(Debug, Clone)]
pub struct HostTrust {
    /// The files that these entries are in.
    pub files: KnownHostsFiles,
    /// Whether a server that no file knows is added, rather than refused.
    pub accept_new: bool,
    /// A key that a person has agreed to: it is trusted where no file knows the server.
    pub agreed: Option<PublicKey>,
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
}

impl HostTrust {
    /// Whether `key` is the one that the files know for `target`. May add it to a file.
    pub(crate) fn check(&self, target: &Target, key: PublicKey) -> Result<(), ConnectError> {
        let unreadable = |error: unglue_identity::IdentityError| LinkError::Untrusted {
            what: error.to_string(),
            advice: "",
            blame: Blame::User,
        };
        let known = KnownHosts::load(&self.files.read).map_err(unreadable)?;
        tracing::debug!(event = "host_key", %target, key = %key.fingerprint());
        match known.lookup(&target.host, target.port, &key) {
            Verdict::Trusted { at } => {
                tracing::debug!(event = "trusted", %at);
                Ok(())
            }
            Verdict::Changed { at, known } => Err(changed(target, &key, &format!("{at} knows it by {known}")).into()),
            Verdict::Revoked { at } => Err(changed(target, &key, &format!("{at} revokes that key")).into()),
            Verdict::Unknown { .. } if self.agreed == Some(key) => Ok(()),
            Verdict::Unknown { .. } if self.accept_new => {
                // As ssh: a home that can't be written to keeps nobody from connecting.
                if let Err(error) = KnownHosts::append(&self.files.append, &target.host, target.port, &key) {
                    tracing::warn!(
                        "{target} is trusted this time only: {error}. --known-hosts FILE names another file"
                    );
                }
                Ok(())
            }
            Verdict::Unknown { .. } => {
                let file = self.files.append.clone();
                Err(ConnectError::Unknown(Box::new(UnknownHost { target: target.clone(), key, file })))
            }
        }
    }
}

fn changed(target: &Target, key: &PublicKey, known: &str) -> LinkError {
    let what = format!("the server at {target} shows the host key {}, but {known}", key.fingerprint());
    let advice = "somebody may be in between; if the key was changed on purpose, remove that line and connect again";
    LinkError::Untrusted { what, advice, blame: Blame::Peer }
}
