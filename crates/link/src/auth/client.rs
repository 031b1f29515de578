//! The client's half: which key to prove, and the server's answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::oneshot;
use unglue_identity::proof::EXPORTER_LEN;
use unglue_identity::{AskPassphrase, Identity};
use unglue_proto::PROTOCOL;
use unglue_proto::limits::{AUTH_MESSAGE, AUTH_TRIES};
use unglue_proto::message::auth::{CertificatesWanted, FromClient, FromServer, Hello, Offer, Proof, Sign, Welcome};

use super::{AGENT, accepts, message, takes_zstd};
use crate::LOGIN_STEPS;
use crate::error::LinkError;
use crate::link::{Opened, OpeningExchange};
use crate::opening::{inbox, protocol};
use crate::threads::on_thread;

/// What an offer has besides its keys, the user's name included.
const OFFER_OVERHEAD: usize = 1024;

/// Who the client is: the user to become, and the keys to prove it with.
#[derive(Clone)]
pub struct Credentials {
    /// The user to become; the server's own where it is `None`.
    pub user: Option<String>,
    /// The keys to try, in order; no more than [`AUTH_TRIES`] are.
    pub identities: Vec<Arc<Identity>>,
    /// Asked when a key is encrypted.
    pub ask: Arc<AskPassphrase<'static>>,
}

impl Credentials {
    /// Whether the server is asked first which key it would take: there are several, or a signature may cost a touch.
    pub(crate) fn wants_offer(&self) -> bool {
        self.identities.len() > 1 || self.identities.iter().any(|identity| identity.may_ask())
    }

    /// The offer of all keys.
    pub(crate) fn offer(&self) -> Result<Vec<u8>, LinkError> {
        // Certificates of large RSA keys could be more than a message takes; those that don't fit are left out.
        let mut room = AUTH_MESSAGE - OFFER_OVERHEAD;
        let mut keys = Vec::new();
        for key in self.identities.iter().take(AUTH_TRIES).map(|identity| identity.credential()) {
            let Some(left) = room.checked_sub(key.len() + 4) else { continue };
            room = left;
            keys.push(key);
        }
        message(&FromClient::Offer(Offer { protocol: PROTOCOL.into(), user: self.user.clone(), keys }))
    }

    /// The identity that the server wants to see proved; the only one, if it wasn't asked.
    pub(crate) fn choose(&self, sign: Option<&Sign>) -> Result<Arc<Identity>, LinkError> {
        let chosen = match sign {
            None => self.identities.first(),
            Some(sign) => self.identities.iter().find(|identity| identity.credential() == sign.key),
        };
        chosen.cloned().ok_or_else(|| match sign {
            Some(_) => LinkError::misplaced("the server asks for a key that was not offered"),
            None => LinkError::NoKey,
        })
    }

    /// The same without a key that turned out not to be usable.
    pub(crate) fn without(&self, identity: &Arc<Identity>) -> Credentials {
        let left = self.identities.iter().filter(|other| !Arc::ptr_eq(other, identity));
        Credentials { identities: left.cloned().collect(), ..self.clone() }
    }

    /// The hello, with the proof that holds on this connection alone. May wait for a human.
    pub(crate) async fn hello(
        &self,
        identity: Arc<Identity>,
        exporter: [u8; EXPORTER_LEN],
    ) -> Result<Vec<u8>, LinkError> {
        let user = self.user.clone().unwrap_or_default();
        let key = identity.credential();
        let signature = match identity.may_ask() {
            false => identity.prove(user.as_bytes(), &exporter, &|_| None),
            true => {
                let ask = self.ask.clone();
                let prove = move || identity.prove(user.as_bytes(), &exporter, &*ask);
                let proving = on_thread("unglue-sign", prove).await;
                proving.map_err(|error| LinkError::Thread {
                    what: "the signature was not made",
                    source: Arc::new(error),
                })?
            }
        };
        let proof = Some(Proof { key, signature: STANDARD.encode(signature?) });
        hello(self.user.clone(), proof)
    }
}

/// The request for the certificates of the host key.
pub(crate) fn certificates_wanted() -> Result<Vec<u8>, LinkError> {
    message(&FromClient::Certificates(CertificatesWanted { protocol: PROTOCOL.into() }))
}

/// The hello on a transport that has authenticated the client already.
pub(crate) fn hello_without_proof(user: Option<String>) -> Result<Vec<u8>, LinkError> {
    hello(user, None)
}

fn hello(user: Option<String>, proof: Option<Proof>) -> Result<Vec<u8>, LinkError> {
    message(&FromClient::Hello(Hello {
        protocol: PROTOCOL.into(),
        agent: AGENT.into(),
        user,
        proof,
        accepts: accepts(),
    }))
}

/// What a client's driver does with the first bytes: the server's welcome goes to `welcome`, everything behind it to the
/// streams.
pub(crate) fn welcome_exchange(welcome: oneshot::Sender<Welcome>) -> OpeningExchange {
    let mut messages = Some(inbox());
    let mut welcome = Some(welcome);
    Box::new(move |plain| {
        let Some(open) = messages.as_mut() else { return Ok(Some(Opened { behind: plain.to_vec(), zstd: false })) };
        open.feed(plain);
        let zstd = match open.next().map_err(protocol)? {
            None => return Ok(None),
            Some(FromServer::Denied(fault)) => {
                tracing::debug!(event = "denied", why = %fault.what);
                return Err(LinkError::Refused { fault });
            }
            Some(FromServer::Sign(_)) => {
                return Err(LinkError::misplaced("the server asks for a signature that it has"));
            }
            Some(FromServer::Certificates(_)) => {
                return Err(LinkError::misplaced("the server shows certificates that were not asked for"));
            }
            Some(FromServer::Welcome(text)) => {
                tracing::debug!(event = "welcome", user = text.user, agent = text.agent);
                let allowed = text.allow.join(" and ");
                tracing::debug!(target: LOGIN_STEPS, "logged in as {} at {}; allowed: {allowed}", text.user, text.agent);
                let zstd = takes_zstd(&text.accepts);
                // Nobody may be waiting for it.
                if let Some(sender) = welcome.take() {
                    let _ = sender.send(text);
                }
                zstd
            }
        };
        Ok(messages.take().map(|open| Opened { behind: open.into_rest(), zstd }))
    })
}
