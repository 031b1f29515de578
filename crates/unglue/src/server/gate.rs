//! Who may log in to this server: the owners of the keys in its user's `authorized_keys`, or those that the caller's own
//! gatekeeper lets in.

use std::sync::Arc;

use unglue_identity::{AuthorizedKeys, Denial, Policy, Principal, PublicKey};
use unglue_link::auth::Gatekeeper;
use unglue_proto::PROTOCOL;
use unglue_proto::message::auth::Welcome;

/// Serves one user: the one that the server runs as.
pub(super) struct Gate {
    keys: AuthorizedKeys,
    user: String,
    policy: Policy,
    journal: Option<String>,
}

impl Gate {
    pub(super) fn new(keys: AuthorizedKeys, user: String, policy: Policy, journal: Option<String>) -> Gate {
        Gate { keys, user, policy, journal }
    }
}

impl Gatekeeper for Gate {
    fn welcome(&self, principal: &Principal) -> Welcome {
        let allowed = [
            ("exec", principal.policy.exec),
            ("files", principal.policy.files),
            ("forward", principal.policy.forward.is_allowed()),
        ];
        Welcome {
            protocol: PROTOCOL.into(),
            agent: concat!("unglue ", env!("CARGO_PKG_VERSION")).into(),
            user: principal.user.clone(),
            allow: allowed.iter().filter(|(_, allowed)| *allowed).map(|(name, _)| (*name).to_owned()).collect(),
            journal: self.journal.clone(),
        }
    }

    /// The file is read afresh each time, so that a key that was removed is refused on the next connection.
    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Denial> {
        // First the key: only the owner of an authorised key learns which user this server serves.
        self.keys.check(key)?;
        if let Some(other) = user.filter(|user| *user != self.user) {
            return Err(Denial::AnotherUser { asked: other.to_owned(), serves: self.user.clone() });
        }
        Ok(Principal::new(self.user.clone(), Some(*key), self.policy.clone()))
    }
}

/// The caller's own gatekeeper, which can't allow more than the server's options do.
pub(super) struct Allowed {
    inner: Arc<dyn Gatekeeper>,
    policy: Policy,
    journal: Option<String>,
}

impl Allowed {
    pub(super) fn new(inner: Arc<dyn Gatekeeper>, policy: Policy, journal: Option<String>) -> Allowed {
        Allowed { inner, policy, journal }
    }
}

impl Gatekeeper for Allowed {
    fn welcome(&self, principal: &Principal) -> Welcome {
        Welcome { journal: self.journal.clone(), ..self.inner.welcome(principal) }
    }

    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Denial> {
        let mut principal = self.inner.authorise(user, key)?;
        principal.policy.exec &= self.policy.exec;
        principal.policy.files &= self.policy.files;
        if !self.policy.forward.is_allowed() {
            principal.policy.forward = self.policy.forward.clone();
        }
        Ok(principal)
    }
}
