//! Who may log in to this server: the owners of the keys in its user's `authorized_keys`.

use unglue_identity::{AuthorizedKeys, PublicKey};
use unglue_link::auth::Gatekeeper;
use unglue_proto::message::auth::Welcome;
use unglue_proto::{Code, Fault, PROTOCOL};

/// Serves one user: the one that the server runs as.
pub(super) struct Gate {
    keys: AuthorizedKeys,
    user: String,
    allow: Vec<String>,
}

impl Gate {
    pub(super) fn new(keys: AuthorizedKeys, user: String, allow: Vec<String>) -> Gate {
        Gate { keys, user, allow }
    }
}

impl Gatekeeper for Gate {
    fn welcome(&self) -> Welcome {
        Welcome {
            protocol: PROTOCOL.into(),
            agent: concat!("unglue ", env!("CARGO_PKG_VERSION")).into(),
            user: self.user.clone(),
            allow: self.allow.clone(),
        }
    }

    /// The file is read afresh each time, so that a key that was removed is refused on the next connection.
    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<(), Fault> {
        let refused = |why: String| Fault::user(Code::Denied, format!("{}: {why}", key.fingerprint()));
        if let Some(other) = user.filter(|user| *user != self.user) {
            return Err(refused(format!("asks for the user {other:?}, and this server serves {:?} only", self.user)));
        }
        self.keys.check(key).map(|_| ()).map_err(|denied| refused(denied.to_string()))
    }
}
