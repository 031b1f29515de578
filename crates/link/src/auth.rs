//! The exchange that comes before every stream: who is asking, and may they?
//!
//! Both halves of [`unglue_proto::message::auth`] over a finished TLS handshake. The client's proof and its first
//! requests travel in one flight; the server reads nothing behind the proof until it holds.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::oneshot;
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::{AUTH_MESSAGE, AUTH_TRIES};
use unglue_proto::message::auth::{FromClient, FromServer, Hello, Offer, Proof, Sign, Welcome};
use unglue_proto::{Code, Fault, PROTOCOL};

use crate::link::Gate;
use crate::thread::in_a_thread;
use unglue_identity::proof::{self, EXPORTER_LEN};
use unglue_identity::{AskPassphrase, Denial, Identity, IdentityError, Principal, PublicKey};

/// The name and version of this program, for the other end's log.
const AGENT: &str = concat!("unglue ", env!("CARGO_PKG_VERSION"));

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
    pub(crate) fn offer(&self) -> Result<Vec<u8>, Fault> {
        let keys = self.identities.iter().take(AUTH_TRIES).map(|identity| identity.public_key().to_openssh());
        let offer = Offer { protocol: PROTOCOL.into(), user: self.user.clone(), keys: keys.collect() };
        message(&FromClient::Offer(offer))
    }

    /// The identity that the server wants to see proved; the only one, if it wasn't asked.
    pub(crate) fn choose(&self, sign: Option<&Sign>) -> Result<Arc<Identity>, Fault> {
        let chosen = match sign {
            None => self.identities.first(),
            Some(sign) => self.identities.iter().find(|identity| identity.public_key().to_openssh() == sign.key),
        };
        chosen.cloned().ok_or_else(|| match sign {
            Some(_) => Fault::peer(Code::BadMessage, "the server asks for a key that was not offered"),
            None => Fault::user(Code::Denied, "there is no key to log in with").advise("run: unglue key init"),
        })
    }

    /// The same without a key that turned out not to be usable.
    pub(crate) fn without(&self, identity: &Arc<Identity>) -> Credentials {
        let left = self.identities.iter().filter(|other| !Arc::ptr_eq(other, identity));
        Credentials { identities: left.cloned().collect(), ..self.clone() }
    }

    /// The proof that holds on this connection alone. May wait for a human.
    ///
    /// # Errors
    /// The key can't be used: its passphrase was not given, or the agent doesn't sign.
    pub(crate) async fn prove(
        &self,
        identity: &Arc<Identity>,
        exporter: [u8; EXPORTER_LEN],
    ) -> Result<Vec<u8>, IdentityError> {
        let user = self.user.clone().unwrap_or_default();
        if !identity.may_ask() {
            return identity.prove(user.as_bytes(), &exporter, &|_| None);
        }
        let (ask, identity) = (self.ask.clone(), identity.clone());
        let prove = move || identity.prove(user.as_bytes(), &exporter, &*ask);
        in_a_thread(prove).await.map_err(IdentityError::Thread)?
    }

    /// The hello that carries a proof.
    pub(crate) fn hello(&self, identity: &Identity, signature: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = identity.public_key().to_openssh();
        let proof = Some(Proof { key, signature: STANDARD.encode(signature) });
        let hello = Hello { protocol: PROTOCOL.into(), agent: AGENT.into(), user: self.user.clone(), proof };
        message(&FromClient::Hello(hello))
    }
}

/// The gate of a client's link: lets the server's welcome through to `welcome`, and everything behind it to the mux.
pub(crate) fn welcome_gate(welcome: oneshot::Sender<Welcome>) -> Gate {
    let mut inbox = Some(Inbox::new(AUTH_MESSAGE));
    let mut welcome = Some(welcome);
    Box::new(move |plain| {
        let Some(open) = inbox.as_mut() else { return Ok(Some(plain.to_vec())) };
        open.feed(plain);
        match open.next()? {
            None => return Ok(None),
            Some(FromServer::Denied(fault)) => return Err(fault),
            Some(FromServer::Sign(_)) => {
                return Err(Fault::peer(Code::BadMessage, "the server asks for a signature that it has"));
            }
            Some(FromServer::Welcome(text)) => {
                // Nobody may be waiting for it.
                let _ = welcome.take().map(|sender| sender.send(text));
            }
        }
        Ok(inbox.take().map(Inbox::into_rest))
    })
}

/// Says who may log in.
pub trait Gatekeeper: Send + Sync {
    /// What a principal that was let in is told.
    fn welcome(&self, principal: &Principal) -> Welcome;

    /// Whom this key makes its owner, who asks for this user (`None`: the server's own). May read files.
    ///
    /// # Errors
    /// It is not let in. The reason goes to the log; the client learns only whether its key was refused, or the server
    /// failed to look it up.
    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Denial>;
}

/// What the server does about a message of a stranger.
pub(crate) enum Verdict {
    /// Ask for the proof of this key.
    Sign(Sign),
    /// Let them in.
    Welcome(Box<Welcome>, Principal),
}

/// The server's half, for one connection.
pub(crate) struct Examiner {
    gatekeeper: Arc<dyn Gatekeeper>,
    exporter: [u8; EXPORTER_LEN],
    offered: bool,
}

impl Examiner {
    pub(crate) fn new(gatekeeper: Arc<dyn Gatekeeper>, exporter: [u8; EXPORTER_LEN]) -> Examiner {
        Examiner { gatekeeper, exporter, offered: false }
    }

    /// Judges a message. May read files.
    pub(crate) fn examine(&mut self, message: FromClient) -> Result<Verdict, Fault> {
        match message {
            FromClient::Offer(_) if self.offered => {
                Err(Fault::peer(Code::LimitExceeded, "a second offer of keys on one connection"))
            }
            FromClient::Offer(offer) => {
                self.offered = true;
                self.examine_offer(&offer).map(Verdict::Sign)
            }
            FromClient::Hello(hello) => self.examine_hello(&hello),
        }
    }

    fn examine_offer(&self, offer: &Offer) -> Result<Sign, Fault> {
        check_protocol(&offer.protocol)?;
        let got = offer.keys.len();
        if got > AUTH_TRIES {
            return Err(Fault::peer(Code::LimitExceeded, format!("{got} keys offered; the limit is {AUTH_TRIES}")));
        }
        let mut refusal = Fault::user(Code::Denied, "no key was offered");
        for key in &offer.keys {
            let authorised = parse_key(key).and_then(|key| self.authorise(offer.user.as_deref(), &key));
            match authorised {
                Ok(_) => return Ok(Sign { key: key.clone() }),
                // An authorised key, for another user than this server's: other keys change nothing.
                Err(fault) if fault.code == Code::NotAllowed => return Err(fault),
                Err(fault) => refusal = fault,
            }
        }
        if got > 1 {
            refusal.what = format!("none of {got} keys is authorised; the last: {}", refusal.what);
        }
        Err(refusal)
    }

    fn examine_hello(&self, hello: &Hello) -> Result<Verdict, Fault> {
        check_protocol(&hello.protocol)?;
        let denied = |what: String| Fault::user(Code::Denied, what);
        let Some(proof) = &hello.proof else {
            return Err(denied("the client sent no proof of who it is".into()));
        };
        let claimed = parse_key(&proof.key)?;
        let blob = STANDARD.decode(&proof.signature).map_err(|_| denied("the signature is not base64".into()))?;
        let user = hello.user.as_deref().unwrap_or_default();
        let key = proof::check(&blob, user.as_bytes(), &self.exporter)
            .map_err(|error| denied(format!("{}: {error}", claimed.fingerprint())))?;
        if key != claimed {
            return Err(denied(format!("signed by {}, not by {}", key.fingerprint(), claimed.fingerprint())));
        }
        let principal = self.authorise(hello.user.as_deref(), &key)?;
        Ok(Verdict::Welcome(Box::new(self.gatekeeper.welcome(&principal)), principal))
    }

    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Fault> {
        self.gatekeeper.authorise(user, key).map_err(|denial| {
            let code = match denial {
                Denial::Unavailable(_) => Code::System,
                // The key is authorised: its owner may know the reason.
                Denial::AnotherUser { .. } => {
                    return Fault::user(Code::NotAllowed, denial.to_string())
                        .advise("leave the user out, or have the server run as that user");
                }
                _ => Code::Denied,
            };
            Fault::user(code, format!("{}: {denial}", key.fingerprint()))
        })
    }
}

/// The control message that carries a verdict.
pub(crate) fn reply(verdict: &Verdict) -> Result<Vec<u8>, Fault> {
    message(&match verdict {
        Verdict::Sign(sign) => FromServer::Sign(sign.clone()),
        Verdict::Welcome(welcome, _) => FromServer::Welcome((**welcome).clone()),
    })
}

/// The control message that ends a stranger's connection. What exactly was wrong is the log's business; a client of
/// good will is told what to do.
pub(crate) fn denial(fault: &Fault) -> Result<Vec<u8>, Fault> {
    let told = match fault.code {
        Code::Denied => Fault::user(Code::Denied, "the server did not accept your key").advise(
            "add its line to ~/.ssh/authorized_keys there (unglue key show prints it); the server's log says more",
        ),
        Code::System => Fault::system(Code::System, "the server could not look your key up")
            .advise("nothing is wrong with the key: try again later; the server's log says what failed"),
        _ => fault.clone(),
    };
    message(&FromServer::Denied(told))
}

fn parse_key(line: &str) -> Result<PublicKey, Fault> {
    PublicKey::from_openssh(line).map_err(|error| Fault::user(Code::Denied, error.to_string()))
}

fn check_protocol(protocol: &str) -> Result<(), Fault> {
    match protocol {
        PROTOCOL => Ok(()),
        other => Err(Fault::peer(Code::Unsupported, format!("the client speaks {other:?}, this server {PROTOCOL}"))),
    }
}

fn message<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    encode(message, &mut out)?;
    Ok(out)
}
