//! Links over connections that authenticate by themselves: no TLS, no proof.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use unglue_identity::{Denial, Login, Policy, Principal, PrivateKey};
use unglue_link::auth::Gatekeeper;
use unglue_link::{Acceptor, LinkConfig, Peer, Refusal, ServerTls, connect_over};
use unglue_proto::control::encode;
use unglue_proto::message::auth::{FromClient, Hello, Offer, Proof, Welcome};
use unglue_proto::{Code, Fault, PROTOCOL};

struct NoKeys;

impl Gatekeeper for NoKeys {
    fn welcome(&self, principal: &Principal) -> Welcome {
        let (protocol, agent) = (PROTOCOL.into(), "test".into());
        Welcome {
            protocol,
            agent,
            user: principal.user.clone(),
            allow: vec!["files".into()],
            journal: None,
            accepts: Vec::new(),
        }
    }

    fn authorise(&self, _: &Login) -> Result<Principal, Denial> {
        Err(Denial::refused("no key logs in here"))
    }
}

fn acceptor() -> Acceptor {
    let tls = ServerTls::new(&PrivateKey::from_seed(&[1; 32])).expect("settings");
    Acceptor::new(tls, Arc::new(NoKeys), LinkConfig::default())
}

fn ada() -> Principal {
    Principal::new("ada", None, Policy::default().allow_files())
}

#[tokio::test]
async fn a_unix_socket_carries_a_link_without_a_proof() {
    let (near, far) = UnixStream::pair().expect("a pair");
    let connected = connect_over(near, Some("ada".into()), &LinkConfig::default()).expect("a link");
    tokio::spawn(connected.driver);
    // The first request travels with the hello.
    let (mut send, mut recv) = connected.link.open_bidirectional().await.expect("a stream");
    send.write_all("request".into()).await.expect("it is sent");
    send.finish();

    let accepted = acceptor().accept_trusted(far, Peer::Unix { uid: 1000 }, ada()).await.expect("it is let in");
    tokio::spawn(accepted.driver);
    assert_eq!(accepted.principal, ada());
    let (mut answer, mut request) = accepted.link.accept().await.expect("an operation");
    assert_eq!(request.read(100).await.expect("no error").as_deref(), Some(b"request".as_slice()));
    answer.write_all("answer".into()).await.expect("it is sent");
    answer.finish();
    assert_eq!(recv.read(100).await.expect("no error").as_deref(), Some(b"answer".as_slice()));
    assert_eq!(connected.welcome.await.expect("a welcome").allow, ["files"]);
    assert!(connected.host_key.is_none());

    drop((connected.link, recv));
    let ended = timeout(Duration::from_secs(5), accepted.link.ended()).await.expect("in time");
    assert_eq!(ended.code(), Code::LinkLost, "{ended}");
}

/// Says something else than the hello that belongs here; gives the refusal.
async fn refused(message: &FromClient) -> Refusal {
    let (mut near, far) = UnixStream::pair().expect("a pair");
    let mut wire = Vec::new();
    encode(message, &mut wire).expect("it is short");
    near.write_all(&wire).await.expect("it is sent");
    near.shutdown().await.expect("it is shut");
    let accepted = acceptor().accept_trusted(far, Peer::Stdio, ada()).await;
    accepted.err().expect("it must be refused")
}

#[tokio::test]
async fn what_does_not_belong_there_is_refused() {
    let hello = |user: Option<&str>, proof| {
        let user = user.map(str::to_owned);
        FromClient::Hello(Hello { protocol: PROTOCOL.into(), agent: "test".into(), user, proof, accepts: Vec::new() })
    };
    let key = PrivateKey::from_seed(&[2; 32]).public_key().to_openssh();
    let proof = Proof { key: key.clone(), signature: String::new() };
    let offer = Offer { protocol: PROTOCOL.into(), user: None, keys: vec![key] };
    for (message, code) in [
        (hello(Some("bob"), None), Code::NotAllowed),
        (hello(None, Some(proof)), Code::BadMessage),
        (FromClient::Offer(offer), Code::BadMessage),
    ] {
        let refusal = refused(&message).await;
        assert_eq!((refusal.stage, Fault::from(refusal.error.clone()).code), ("authentication", code), "{refusal}");
    }
}
