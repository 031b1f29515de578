//! Who may log in to this server: the owners of the keys in its user's `authorized_keys`, or those that the caller's own
//! gatekeeper lets in.

use std::sync::Arc;

use unglue_identity::{AuthorizedKeys, Denial, Forwarding, Login, Policy, Principal};
use unglue_link::auth::Gatekeeper;
use unglue_proto::PROTOCOL;
use unglue_proto::message::auth::Welcome;

/// Serves one user: the one that the server runs as.
pub(super) struct Gate {
    keys: AuthorizedKeys,
    user: String,
    policy: Policy,
    journal: Option<String>,
    user_environment: bool,
}

impl Gate {
    pub(super) fn new(keys: AuthorizedKeys, user: String, policy: Policy, journal: Option<String>) -> Gate {
        Gate { keys, user, policy, journal, user_environment: false }
    }

    /// Whether variables of `environment=` options are set for commands, as sshd's PermitUserEnvironment has it.
    pub(super) fn user_environment(self, user_environment: bool) -> Gate {
        Gate { user_environment, ..self }
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
            accepts: Vec::new(),
        }
    }

    /// The file is read afresh each time, so that a key that was removed is refused on the next connection.
    fn authorise(&self, login: &Login) -> Result<Principal, Denial> {
        // First the key: only the owner of an authorised key learns which user this server serves.
        let mut line = self.keys.judge(login, &self.user)?;
        if let Some(other) = login.user.as_ref().filter(|user| **user != self.user) {
            return Err(Denial::AnotherUser { asked: other.clone(), serves: self.user.clone() });
        }
        if !self.user_environment {
            line.policy.environment.clear();
        }
        let mut policy = self.policy.limited_to(&line.policy);
        // One command and nothing else, unless the line names ports.
        if policy.command.is_some() && !policy.forward.is_listed() {
            policy.forward = Forwarding::default();
        }
        let key = login.credential.key().clone();
        Ok(Principal::new(self.user.clone(), Some(key), policy).certificate(login.credential.certificate().cloned()))
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

impl Allowed {
    fn limit(&self, mut principal: Principal) -> Principal {
        principal.policy = self.policy.limited_to(&principal.policy);
        principal
    }
}

impl Gatekeeper for Allowed {
    fn welcome(&self, principal: &Principal) -> Welcome {
        Welcome { journal: self.journal.clone(), ..self.inner.welcome(principal) }
    }

    fn authorise(&self, login: &Login) -> Result<Principal, Denial> {
        self.inner.authorise(login).map(|principal| self.limit(principal))
    }

    fn reconsider(&self, login: &Login) -> Result<Principal, Denial> {
        self.inner.reconsider(login).map(|principal| self.limit(principal))
    }
}
