//! Why a server refuses a login.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use unglue_identity::Denial;
use unglue_proto::limits::AUTH_TRIES;
use unglue_proto::{Blame, Code};

/// Why a server refuses a login. It is for the log: the client is sent no more than it may know.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The hello has no proof, and the connection doesn't authenticate by itself.
    #[error("the client sent no proof of who it is")]
    NoProof,
    /// The offer is empty.
    #[error("no key was offered")]
    NoKey,
    /// A key that can't be read.
    #[error("{source}")]
    BadKey {
        /// What is wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The signature is not base64.
    #[error("the signature is not base64")]
    NotBase64,
    /// The signature doesn't hold.
    #[error("{claimed}: {source}")]
    BadProof {
        /// The fingerprint of the key that the client claims to have.
        claimed: String,
        /// What is wrong with the signature.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Another key than the one in the hello made the signature. Both are fingerprints.
    #[error("signed by {signer}, not by {claimed}")]
    OtherSigner {
        /// The key that signed.
        signer: String,
        /// The key in the hello.
        claimed: String,
    },
    /// The gatekeeper doesn't let the key in, or could not find out.
    #[error("{fingerprint}: {source}")]
    Denied {
        /// The key.
        fingerprint: String,
        /// The gatekeeper's reason.
        source: Arc<Denial>,
    },
    /// The gatekeeper lets none of several keys in.
    #[error("none of {offered} keys is authorised; the last: {last}")]
    NoneOf {
        /// How many were offered.
        offered: usize,
        /// What was wrong with the last one.
        #[source]
        last: Box<LoginError>,
    },
    /// The owner of an authorised key asks for a user that this server, or this connection, doesn't serve.
    #[error("this server serves the user {serves:?} only, and the login is for {asked:?}")]
    AnotherUser {
        /// The user that was asked for.
        asked: String,
        /// The user that is served.
        serves: String,
    },
    /// More keys than a connection may offer.
    #[error("{offered} keys offered; the limit is {AUTH_TRIES}")]
    TooManyKeys {
        /// How many.
        offered: usize,
    },
    /// A connection offers its keys once.
    #[error("a second offer of keys on one connection")]
    SecondOffer,
    /// Keys or a proof on a connection that authenticates by itself.
    #[error("{what} where the connection itself says who the client is")]
    NotAsked {
        /// What was sent.
        what: &'static str,
    },
    /// The gatekeeper didn't answer in time.
    #[error("looking the key up took longer than {} s", limit.as_secs())]
    Slow {
        /// How long it may take.
        limit: Duration,
    },
}

impl LoginError {
    /// The kind of failure, as programs see it.
    pub fn code(&self) -> Code {
        match self {
            LoginError::AnotherUser { .. } => Code::NotAllowed,
            LoginError::TooManyKeys { .. } | LoginError::SecondOffer => Code::LimitExceeded,
            LoginError::NotAsked { .. } => Code::BadMessage,
            error if error.is_lookup_failure() => Code::System,
            _ => Code::Denied,
        }
    }

    /// Whether the server could not find out if the key is authorised: nothing is wrong with the key.
    pub fn is_lookup_failure(&self) -> bool {
        match self {
            LoginError::Slow { .. } => true,
            LoginError::Denied { source, .. } => matches!(**source, Denial::Unavailable(_)),
            LoginError::NoneOf { last, .. } => last.is_lookup_failure(),
            _ => false,
        }
    }

    pub(crate) fn blame(&self) -> Blame {
        match self.code() {
            Code::LimitExceeded | Code::BadMessage => Blame::Peer,
            Code::System => Blame::System,
            _ => Blame::User,
        }
    }

    pub(crate) fn advice(&self) -> &'static str {
        match self {
            LoginError::AnotherUser { .. } => "leave the user out, or have the server run as that user",
            _ => "",
        }
    }
}
