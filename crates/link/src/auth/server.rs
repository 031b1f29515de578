//! The server's half: what an offer or a hello is answered.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unglue_identity::proof::{self, EXPORTER_LEN};
use unglue_identity::{Denial, Principal, PublicKey};
use unglue_proto::limits::AUTH_TRIES;
use unglue_proto::message::auth::{FromClient, FromServer, Hello, Offer, Sign, Welcome};
use unglue_proto::{Code, Fault};

use super::{check_protocol, message};
use crate::error::LinkError;
use crate::threads::{ThreadError, ThreadPool};

/// Threads for logins at most.
const LOGIN_THREADS: usize = 32;
/// How long a thread without work stays.
const LOGIN_IDLE: Duration = Duration::from_secs(10);

/// Says who may log in.
pub trait Gatekeeper: Send + Sync {
    /// The welcome of a principal that was let in.
    fn welcome(&self, principal: &Principal) -> Welcome;

    /// The principal of this key's owner, which asks for this user (`None`: the server's own). May read files: it runs on a
    /// thread of the logins.
    ///
    /// # Errors
    /// It is not let in. The reason goes to the log; the client learns only whether its key was refused, or the server
    /// failed to look it up.
    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Denial>;
}

/// The threads on which logins are looked up: their own, so that nothing else can use them up, and at most 32.
#[derive(Clone)]
pub struct Logins(ThreadPool);

impl Default for Logins {
    fn default() -> Logins {
        Logins(ThreadPool::new("unglue-login", LOGIN_THREADS, LOGIN_IDLE))
    }
}

impl Logins {
    /// Has a message judged.
    pub(crate) async fn examine(
        &self,
        mut examiner: Examiner,
        message: FromClient,
    ) -> Result<(Result<Answer, Fault>, Examiner), ThreadError> {
        self.0.run(move || (examiner.examine(message), examiner)).await
    }
}

/// What the server does about a message of an unauthenticated client.
pub(crate) enum Answer {
    /// Ask for the proof of this key.
    Sign(Sign),
    /// Let it in.
    Welcome(Box<Welcome>, Principal),
}

/// Judges the messages of one connection.
pub(crate) struct Examiner {
    gatekeeper: Arc<dyn Gatekeeper>,
    exporter: [u8; EXPORTER_LEN],
    offered: bool,
}

impl Examiner {
    pub(crate) fn new(gatekeeper: Arc<dyn Gatekeeper>, exporter: [u8; EXPORTER_LEN]) -> Examiner {
        Examiner { gatekeeper, exporter, offered: false }
    }

    /// May read files.
    fn examine(&mut self, message: FromClient) -> Result<Answer, Fault> {
        match message {
            FromClient::Offer(_) if self.offered => {
                Err(Fault::peer(Code::LimitExceeded, "a second offer of keys on one connection"))
            }
            FromClient::Offer(offer) => {
                self.offered = true;
                self.examine_offer(&offer).map(Answer::Sign)
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

    fn examine_hello(&self, hello: &Hello) -> Result<Answer, Fault> {
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
        Ok(Answer::Welcome(Box::new(self.gatekeeper.welcome(&principal)), principal))
    }

    fn authorise(&self, user: Option<&str>, key: &PublicKey) -> Result<Principal, Fault> {
        self.gatekeeper.authorise(user, key).map_err(|denial| {
            let what = format!("{}: {denial}", key.fingerprint());
            match denial {
                Denial::Unavailable(_) => Fault::system(Code::System, what),
                // The key is authorised: its owner may know the reason.
                Denial::AnotherUser { .. } => Fault::user(Code::NotAllowed, denial.to_string())
                    .advise("leave the user out, or have the server run as that user"),
                _ => Fault::user(Code::Denied, what),
            }
        })
    }
}

/// Judges the hello on a transport that has authenticated the client as `principal` already.
pub(crate) fn examine_trusted(message: FromClient, principal: &Principal) -> Result<(), Fault> {
    let FromClient::Hello(hello) = message else {
        return Err(Fault::peer(
            Code::BadMessage,
            "keys were offered where the connection itself says who the client is",
        ));
    };
    check_protocol(&hello.protocol)?;
    if hello.proof.is_some() {
        return Err(Fault::peer(Code::BadMessage, "a proof where the connection itself says who the client is"));
    }
    match hello.user {
        Some(other) if other != principal.user => {
            let serves = &principal.user;
            Err(Fault::user(Code::Denied, format!("asks for the user {other:?}, and this connection is {serves:?}'s")))
        }
        _ => Ok(()),
    }
}

/// The control message that carries an answer.
pub(crate) fn reply(answer: &Answer) -> Result<Vec<u8>, Fault> {
    message(&match answer {
        Answer::Sign(sign) => FromServer::Sign(sign.clone()),
        Answer::Welcome(welcome, _) => FromServer::Welcome((**welcome).clone()),
    })
}

/// The control message that ends an unauthenticated connection. What exactly was wrong is for the log alone; the client
/// is told what it can do.
pub(crate) fn denial(error: &LinkError) -> Result<Vec<u8>, Fault> {
    let fault = Fault::from(error.clone());
    let sent = match fault.code {
        _ if matches!(error, LinkError::Thread { .. }) => {
            Fault::system(Code::System, format!("on the server, {}", fault.what))
                .advise("its owner can raise the limits; trying again later may help")
        }
        Code::Denied => Fault::user(Code::Denied, "the server did not accept your key").advise(
            "add its line to ~/.ssh/authorized_keys there (unglue key show prints it); the server's log says more",
        ),
        Code::System => Fault::system(Code::System, "the server could not look your key up")
            .advise("nothing is wrong with the key: try again later; the server's log says what failed"),
        _ => fault,
    };
    message(&FromServer::Denied(sent))
}

fn parse_key(line: &str) -> Result<PublicKey, Fault> {
    PublicKey::from_openssh(line).map_err(|error| Fault::user(Code::Denied, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_identity::{Policy, PrivateKey};
    use unglue_proto::PROTOCOL;
    use unglue_proto::message::auth::Proof;

    /// Lets in the owners of the keys that it has.
    struct Keys(Vec<PublicKey>);

    impl Gatekeeper for Keys {
        fn welcome(&self, principal: &Principal) -> Welcome {
            let (protocol, agent) = (PROTOCOL.into(), "test".into());
            Welcome { protocol, agent, user: principal.user.clone(), allow: Vec::new(), journal: None }
        }

        fn authorise(&self, _user: Option<&str>, key: &PublicKey) -> Result<Principal, Denial> {
            match self.0.contains(key) {
                true => Ok(Principal::new("ada", Some(*key), Policy::default())),
                false => Err(Denial::refused("not listed")),
            }
        }
    }

    const EXPORTER: [u8; EXPORTER_LEN] = [7; EXPORTER_LEN];

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    /// Both keys are authorised.
    fn examiner() -> Examiner {
        Examiner::new(Arc::new(Keys(vec![key(1).public_key(), key(2).public_key()])), EXPORTER)
    }

    fn hello(claimed: &PrivateKey, signing: &PrivateKey) -> FromClient {
        let signature = STANDARD.encode(proof::prove(signing, b"", &EXPORTER).expect("a signature"));
        let proof = Some(Proof { key: claimed.public_key().to_openssh(), signature });
        FromClient::Hello(Hello { protocol: PROTOCOL.into(), agent: "test".into(), user: None, proof })
    }

    fn offer(keys: &[PrivateKey]) -> FromClient {
        let keys = keys.iter().map(|key| key.public_key().to_openssh()).collect();
        FromClient::Offer(Offer { protocol: PROTOCOL.into(), user: None, keys })
    }

    fn refusal(answer: Result<Answer, Fault>) -> Fault {
        answer.err().expect("it must be refused")
    }

    #[test]
    fn the_key_that_signed_is_the_one_that_was_claimed() {
        let Ok(Answer::Welcome(_, principal)) = examiner().examine(hello(&key(1), &key(1))) else {
            panic!("an authorised key is let in")
        };
        assert_eq!(principal.key, Some(key(1).public_key()));
        for (claimed, signing) in [(1, 2), (2, 1), (3, 1)] {
            let fault = refusal(examiner().examine(hello(&key(claimed), &key(signing))));
            assert_eq!(fault.code, Code::Denied, "claimed {claimed}, signed by {signing}");
        }
    }

    #[test]
    fn a_connection_offers_its_keys_once() {
        let mut examiner = examiner();
        assert!(matches!(examiner.examine(offer(&[key(3), key(2)])), Ok(Answer::Sign(_))));
        assert_eq!(refusal(examiner.examine(offer(&[key(1)]))).code, Code::LimitExceeded);

        let mut examiner = self::examiner();
        assert_eq!(refusal(examiner.examine(offer(&[key(3)]))).code, Code::Denied);
        assert_eq!(refusal(examiner.examine(offer(&[key(1)]))).code, Code::LimitExceeded, "a refused one counts");
    }

    #[test]
    fn a_login_without_a_thread_is_refused_with_the_reason() {
        let logins = Logins(ThreadPool::starved());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let examined = runtime.block_on(logins.examine(examiner(), hello(&key(1), &key(1))));
        let source = Arc::new(examined.err().expect("there is no thread"));
        let sent = denial(&LinkError::Thread { what: "the key was not looked up", source }).expect("it is short");
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.contains("no thread could be started") && sent.contains("\"system\""), "{sent}");
        assert!(!sent.contains("did not accept your key"), "{sent}");
    }
}
