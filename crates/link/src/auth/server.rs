//! The server's half: what an offer or a hello is answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unglue_identity::proof::{self, EXPORTER_LEN};
use unglue_identity::{Credential, Denial, Login, Principal};
use unglue_proto::limits::AUTH_TRIES;
use unglue_proto::message::auth::{FromClient, FromServer, Hello, HostCertificates, Offer, Sign, Welcome};
use unglue_proto::{Code, Fault};

use super::{LoginError, accepts, check_protocol, message};
use crate::error::LinkError;
use crate::threads::{ThreadError, ThreadPool};

/// Threads for logins at most.
const LOGIN_THREADS: usize = 32;
/// Threads for looking at logins again.
const RECONSIDER_THREADS: usize = 2;
/// How long a thread without work stays.
const LOGIN_IDLE: Duration = Duration::from_secs(10);

/// Says who may log in.
pub trait Gatekeeper: Send + Sync {
    /// The welcome of a principal that was let in.
    fn welcome(&self, principal: &Principal) -> Welcome;

    /// The principal of this login. May read files: it runs on a thread of the logins. Asked for keys that are only offered,
    /// and again once one of them is proved ([`Login::proved`]).
    ///
    /// # Errors
    /// It is not let in. The reason goes to the log; the client learns only whether its key was refused, or the server
    /// failed to look it up.
    fn authorise(&self, login: &Login) -> Result<Principal, Denial>;

    /// The principal of a login that was let in before, as it would be now. Asked for each link every
    /// [`RECONSIDER`](crate::RECONSIDER); the link ends if the policy has changed.
    ///
    /// # Errors
    /// It would not be let in, and the link ends. [`Denial::Unavailable`] alone ends none.
    fn reconsider(&self, login: &Login) -> Result<Principal, Denial> {
        self.authorise(login)
    }
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
    ) -> Result<(Result<Answer, LinkError>, Examiner), ThreadError> {
        self.0.run(move || (examiner.examine(message), examiner)).await
    }
}

/// The threads on which logins are looked at again: few, and none of those that new logins need.
#[derive(Clone)]
pub(crate) struct Reconsiderations(ThreadPool);

impl Default for Reconsiderations {
    fn default() -> Reconsiderations {
        Reconsiderations(ThreadPool::new("unglue-again", RECONSIDER_THREADS, LOGIN_IDLE))
    }
}

impl Reconsiderations {
    /// Whether the principal may stay: it would be let in again, with the same policy.
    pub(crate) async fn ask(
        &self,
        gatekeeper: Arc<dyn Gatekeeper>,
        login: Arc<Login>,
        principal: Arc<Principal>,
    ) -> Result<Result<(), Denial>, ThreadError> {
        let changed = || Denial::refused("what the key may do was changed since it logged in");
        let stays = move || {
            let again = gatekeeper.reconsider(&login)?;
            if again.policy == principal.policy { Ok(()) } else { Err(changed()) }
        };
        self.0.run(stays).await
    }
}

/// What the server does about a message of an unauthenticated client.
pub(crate) enum Answer {
    /// Ask for the proof of this key.
    Sign(Sign),
    /// Let it in.
    Welcome(Box<Welcome>, Box<Principal>, Box<Login>),
    /// Show the host key's certificates.
    Certificates(HostCertificates),
}

/// Judges the messages of one connection.
pub(crate) struct Examiner {
    gatekeeper: Arc<dyn Gatekeeper>,
    exporter: [u8; EXPORTER_LEN],
    address: Option<IpAddr>,
    /// Of the host key, until they were asked for.
    certificates: Option<Vec<String>>,
    offered: bool,
}

impl Examiner {
    pub(crate) fn new(
        gatekeeper: Arc<dyn Gatekeeper>,
        exporter: [u8; EXPORTER_LEN],
        address: Option<IpAddr>,
        certificates: Vec<String>,
    ) -> Examiner {
        Examiner { gatekeeper, exporter, address, certificates: Some(certificates), offered: false }
    }

    /// May read files.
    fn examine(&mut self, message: FromClient) -> Result<Answer, LinkError> {
        match message {
            FromClient::Certificates(wanted) => {
                check_protocol(&wanted.protocol)?;
                let certificates = self.certificates.take().filter(|_| !self.offered);
                let certificates = certificates
                    .ok_or_else(|| LinkError::misplaced("the host key's certificates are asked for once, and first"))?;
                Ok(Answer::Certificates(HostCertificates { certificates }))
            }
            FromClient::Offer(_) if self.offered => Err(LoginError::SecondOffer.into()),
            FromClient::Offer(offer) => {
                self.offered = true;
                self.examine_offer(&offer).map(Answer::Sign)
            }
            FromClient::Hello(hello) => self.examine_hello(&hello),
        }
    }

    fn examine_offer(&self, offer: &Offer) -> Result<Sign, LinkError> {
        check_protocol(&offer.protocol)?;
        let offered = offer.keys.len();
        if offered > AUTH_TRIES {
            return Err(LoginError::TooManyKeys { offered }.into());
        }
        let mut refusal = LoginError::NoKey;
        for key in &offer.keys {
            let login = parse_credential(key).map(|credential| self.login(credential, offer.user.clone()));
            let authorised = login.and_then(|login| self.authorise(&login));
            match authorised {
                Ok(_) => return Ok(Sign { key: key.clone() }),
                // An authorised key, for another user than this server's: other keys change nothing.
                Err(error @ LoginError::AnotherUser { .. }) => return Err(error.into()),
                Err(error) => refusal = error,
            }
        }
        Err(match offered > 1 {
            true => LoginError::NoneOf { offered, last: Box::new(refusal) },
            false => refusal,
        }
        .into())
    }

    fn examine_hello(&self, hello: &Hello) -> Result<Answer, LinkError> {
        check_protocol(&hello.protocol)?;
        let proof = hello.proof.as_ref().ok_or(LoginError::NoProof)?;
        let claimed = parse_credential(&proof.key)?;
        let blob = STANDARD.decode(&proof.signature).map_err(|_| LoginError::NotBase64)?;
        let user = hello.user.as_deref().unwrap_or_default();
        let proven = proof::check(&blob, user.as_bytes(), &self.exporter).map_err(|error| LoginError::BadProof {
            claimed: claimed.fingerprint().to_string(),
            source: Arc::new(error),
        })?;
        if proven.key != *claimed.key() {
            let (signer, claimed) = (proven.key.fingerprint().to_string(), claimed.fingerprint().to_string());
            return Err(LoginError::OtherSigner { signer, claimed }.into());
        }
        let login = self.login(claimed, hello.user.clone()).proved(proven.presence);
        let principal = self.authorise(&login)?;
        let welcome = Box::new(self.gatekeeper.welcome(&principal));
        Ok(Answer::Welcome(welcome, Box::new(principal), Box::new(login)))
    }

    fn login(&self, credential: Credential, user: Option<String>) -> Login {
        Login::offer(credential).user(user).from(self.address)
    }

    fn authorise(&self, login: &Login) -> Result<Principal, LoginError> {
        self.gatekeeper.authorise(login).map_err(|denial| match denial {
            Denial::AnotherUser { asked, serves } => LoginError::AnotherUser { asked, serves },
            denial => LoginError::Denied { fingerprint: login.credential.to_string(), source: Arc::new(denial) },
        })
    }
}

/// Judges the hello on a transport that has authenticated the client as `principal` already.
pub(crate) fn examine_trusted(message: FromClient, principal: &Principal) -> Result<(), LinkError> {
    let FromClient::Hello(hello) = message else {
        return Err(LoginError::NotAsked { what: "keys were offered" }.into());
    };
    check_protocol(&hello.protocol)?;
    if hello.proof.is_some() {
        return Err(LoginError::NotAsked { what: "a proof was sent" }.into());
    }
    match hello.user {
        Some(asked) if asked != principal.user => {
            Err(LoginError::AnotherUser { asked, serves: principal.user.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// The control message that carries an answer.
pub(crate) fn reply(answer: &Answer) -> Result<Vec<u8>, LinkError> {
    message(&match answer {
        Answer::Sign(sign) => FromServer::Sign(sign.clone()),
        Answer::Welcome(welcome, ..) => FromServer::Welcome(Welcome { accepts: accepts(), ..(**welcome).clone() }),
        Answer::Certificates(certificates) => FromServer::Certificates(certificates.clone()),
    })
}

/// The welcome of a client that its transport has authenticated.
pub(crate) fn welcome(welcome: Welcome) -> Result<Vec<u8>, LinkError> {
    message(&FromServer::Welcome(Welcome { accepts: accepts(), ..welcome }))
}

/// The control message that ends an unauthenticated connection. What exactly was wrong is for the log alone; the client
/// is told what it can do.
pub(crate) fn denial(error: &LinkError) -> Result<Vec<u8>, LinkError> {
    let sent = match error {
        LinkError::Thread { .. } => Fault::system(Code::System, format!("on the server, {error}"))
            .advise("its owner can raise the limits; trying again later may help"),
        LinkError::Login(login) if login.is_lookup_failure() => {
            Fault::system(Code::System, "the server could not look your key up")
                .advise("nothing is wrong with the key: try again later; the server's log says what failed")
        }
        LinkError::Login(login) if login.code() == Code::Denied => {
            Fault::user(Code::Denied, "the server did not accept your key").advise(
                "add its line to ~/.ssh/authorized_keys there (unglue key show prints it); the server's log says more",
            )
        }
        error => Fault::from(error.clone()),
    };
    message(&FromServer::Denied(sent))
}

fn parse_credential(line: &str) -> Result<Credential, LoginError> {
    Credential::from_openssh(line).map_err(|error| LoginError::BadKey { source: Arc::new(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_identity::{Policy, PrivateKey, PublicKey};
    use unglue_proto::PROTOCOL;
    use unglue_proto::message::auth::{CertificatesWanted, Proof};

    /// Lets in the owners of the keys that it has.
    struct Keys(Vec<PublicKey>);

    impl Gatekeeper for Keys {
        fn welcome(&self, principal: &Principal) -> Welcome {
            let (protocol, agent) = (PROTOCOL.into(), "test".into());
            Welcome {
                protocol,
                agent,
                user: principal.user.clone(),
                allow: Vec::new(),
                journal: None,
                accepts: Vec::new(),
            }
        }

        fn authorise(&self, login: &Login) -> Result<Principal, Denial> {
            let key = login.credential.key();
            match self.0.contains(key) {
                true => Ok(Principal::new("ada", Some(key.clone()), Policy::default())),
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
        Examiner::new(
            Arc::new(Keys(vec![key(1).public_key(), key(2).public_key()])),
            EXPORTER,
            None,
            vec!["a certificate".into()],
        )
    }

    fn hello(claimed: &PrivateKey, signing: &PrivateKey) -> FromClient {
        let signature = STANDARD.encode(proof::prove(signing, b"", &EXPORTER).expect("a signature"));
        let proof = Some(Proof { key: claimed.public_key().to_openssh(), signature });
        FromClient::Hello(Hello {
            protocol: PROTOCOL.into(),
            agent: "test".into(),
            user: None,
            proof,
            accepts: Vec::new(),
        })
    }

    fn offer(keys: &[PrivateKey]) -> FromClient {
        let keys = keys.iter().map(|key| key.public_key().to_openssh()).collect();
        FromClient::Offer(Offer { protocol: PROTOCOL.into(), user: None, keys })
    }

    fn refusal(answer: Result<Answer, LinkError>) -> Fault {
        answer.err().expect("it must be refused").into()
    }

    #[test]
    fn the_key_that_signed_is_the_one_that_was_claimed() {
        let Ok(Answer::Welcome(_, principal, _)) = examiner().examine(hello(&key(1), &key(1))) else {
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
    fn the_host_keys_certificates_are_shown_once_and_first() {
        let wanted = || FromClient::Certificates(CertificatesWanted { protocol: PROTOCOL.into() });
        let mut examiner = examiner();
        match examiner.examine(wanted()) {
            Ok(Answer::Certificates(shown)) => assert_eq!(shown.certificates, ["a certificate"]),
            _ => panic!("they are shown"),
        }
        assert_eq!(refusal(examiner.examine(wanted())).code, Code::BadMessage);
        let mut examiner = self::examiner();
        assert!(matches!(examiner.examine(offer(&[key(2)])), Ok(Answer::Sign(_))));
        assert_eq!(refusal(examiner.examine(wanted())).code, Code::BadMessage);
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
