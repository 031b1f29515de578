//! A server with a client of a later version, over a memory link. The other way, a client with a server of a later version, is
//! in `ops/exec/versions.rs` and `ops/transfer/tests.rs`.

use serde_json::{Value, json};
use unglue::{Meter, Peer, Policy, Principal, Service};
use unglue_identity::{Identity, KeyFile, KnownHostsFiles};
use unglue_link::auth::Credentials;
use unglue_link::{HostTrust, Link, LinkConfig, RecvStream, SendStream, connect, connect_over};
use unglue_proto::control::{Inbox, encode};
use unglue_proto::limits::CONTROL_MESSAGE;

use crate::site::{Site, address_of, soon, within};

/// A link to the server, without a client on it.
pub(crate) async fn bare_link(site: &Site, server: std::net::SocketAddr) -> Link {
    let key = KeyFile::open(&site.path("key")).expect("a key");
    let identities = vec![Identity::File(key).into()];
    let who = Credentials { user: None, identities, ask: std::sync::Arc::new(|_| None) };
    let files = KnownHostsFiles::from_env(Some(site.path("known_hosts"))).expect("known hosts");
    let target = address_of(server).target;
    let trust = HostTrust { files, accept_new: false, agreed: None };
    let connected = connect(&target, &trust, &who, &LinkConfig::default()).await.expect("it connects");
    tokio::spawn(connected.driver);
    connected.link
}

/// One operation, message by message.
struct Operation {
    send: SendStream,
    recv: RecvStream,
    inbox: Inbox,
}

impl Operation {
    async fn start(link: &Link, request: Value) -> Operation {
        let (send, recv) = link.open_bidirectional().await.expect("a stream");
        let mut operation = Operation { send, recv, inbox: Inbox::new(CONTROL_MESSAGE) };
        operation.say(request).await;
        operation
    }

    async fn say(&mut self, message: Value) {
        let mut wire = Vec::new();
        encode(&message, &mut wire).expect("it is short");
        self.send.write_all(wire.into()).await.expect("it is sent");
    }

    async fn receive(&mut self) -> Value {
        let message = async {
            loop {
                if let Some(message) = self.inbox.next::<Value>().expect("JSON") {
                    return message;
                }
                let bytes = self.recv.read(10_000).await.expect("no error").expect("no end before the outcome");
                self.inbox.feed(&bytes);
            }
        };
        soon(5, "a message", message).await
    }
}

/// Runs a test on a memory link to a server, without a client on it. The link must end when the test does.
fn with_link(test: impl AsyncFnOnce(Link) + Send + 'static) {
    within(30, async || {
        let site = Site::new();
        let service = Service::new(site.server_options()).expect("a service");
        let (near, far) = tokio::io::duplex(64 * 1024);
        let ada = Principal::new("ada", None, Policy::everything());
        let serving =
            tokio::spawn(async move { service.serve_trusted(far, Peer::Stdio, ada, std::future::pending()).await });
        let connected = connect_over(near, None, &LinkConfig::default()).expect("a link");
        tokio::spawn(connected.driver);
        test(connected.link).await;
        soon(10, "the service", serving).await.expect("no panic").expect("it is served");
    });
}

#[test]
fn a_request_of_a_later_version_is_refused_and_the_link_goes_on() {
    with_link(async |link| {
        let mut operation = Operation::start(&link, json!({"teleport": {"id": "a", "to": "mars"}})).await;
        let answer = operation.receive().await;
        assert_eq!(answer["refused"]["code"], "unsupported", "{answer}");
        assert!(answer["refused"]["what"].as_str().is_some_and(|what| what.contains("teleport")), "{answer}");
        let mut operation = Operation::start(&link, json!({"exec": {"id": "b", "argv": ["true"]}})).await;
        assert!(operation.receive().await["started"].is_object());
    });
}

#[test]
fn a_message_of_a_later_version_in_the_middle_of_a_command_is_ignored() {
    with_link(async |link| {
        let request = json!({"exec": {"id": "a", "argv": ["sleep", "0.3"], "colour": "red"}});
        let mut operation = Operation::start(&link, request).await;
        assert!(operation.receive().await["started"].is_object());
        operation.say(json!({"hibernate": {"for_ms": 5}})).await;
        assert_eq!(operation.receive().await, json!({"exited": {"exited": 0}}));
        let outcome = operation.receive().await;
        assert_eq!(outcome["outcome"]["outcome"], json!({"ended": {"exited": 0}}), "{outcome}");
    });
}

#[test]
fn a_message_that_makes_no_sense_ends_the_command_with_a_reason() {
    with_link(async |link| {
        let mut operation = Operation::start(&link, json!({"exec": {"id": "a", "argv": ["sleep", "60"]}})).await;
        assert!(operation.receive().await["started"].is_object());
        operation.say(json!({"signal": 5})).await;
        assert_eq!(operation.receive().await["exited"]["signalled"]["signal"], "SIGKILL");
        let outcome = operation.receive().await;
        assert_eq!(outcome["outcome"]["outcome"]["cancelled"]["code"], "bad_message", "{outcome}");
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    with_link(async |link| {
        for request in [json!({"exec": {"argv": 7}}), json!({}), json!({"exec": {}, "get": {}}), json!("exec")] {
            let mut operation = Operation::start(&link, request.clone()).await;
            let answer = operation.receive().await;
            assert_eq!(answer["refused"]["code"], "bad_message", "{request}: {answer}");
        }
    });
}

#[test]
fn an_id_that_is_in_use_is_refused() {
    with_link(async |link| {
        let request = |seconds: &str| json!({"exec": {"id": "same", "argv": ["sleep", seconds]}});
        let mut first = Operation::start(&link, request("1")).await;
        assert!(first.receive().await["started"].is_object());
        let answer = Operation::start(&link, request("2")).await.receive().await;
        assert_eq!(answer["refused"]["code"], "id_in_use", "{answer}");
        assert_eq!(first.receive().await, json!({"exited": {"exited": 0}}), "the first goes on");
    });
}

/// A client that sends an unknown field and an unknown message with an upload, and one that fetches it in the same way.
#[test]
fn fields_and_messages_of_a_later_version_in_a_transfer_are_ignored() {
    with_link(async |link| {
        let mut meter = Meter::default();
        meter.pass(b"content");
        let tally = json!({"bytes": 7, "blake3": meter.tally().blake3});
        let mut data = link.open_unidirectional().await.expect("a stream");
        let put = json!({"put": {"id": "a", "path": "file", "name": "file", "size": 7, "mode": 0o644,
            "data": data.number(), "compressed": "no"}});
        let mut operation = Operation::start(&link, put).await;
        operation.say(json!({"resumed": {"from": 3}})).await;
        data.write_all("content".into()).await.expect("it is sent");
        data.finish();
        operation.say(json!({"sent": tally.clone()})).await;
        assert_eq!(operation.receive().await["outcome"]["done"], tally);

        let get = json!({"get": {"id": "b", "path": "file", "compressed": "no"}});
        let mut operation = Operation::start(&link, get).await;
        let file = operation.receive().await;
        let number = file["file"]["data"].as_u64().unwrap_or_else(|| panic!("no stream in {file}"));
        let mut data = link.claim(number).expect("the server's stream");
        assert_eq!(data.read(100).await.expect("data").as_deref(), Some(b"content".as_slice()));
        assert_eq!(operation.receive().await["outcome"]["done"], tally);
    });
}

/// A request that can't be served without something that this version doesn't know is refused, whatever it asks for.
#[test]
fn a_requirement_of_a_later_version_is_refused() {
    with_link(async |link| {
        let exec = json!({"exec": {"id": "a", "argv": ["true"], "require": ["sandbox"]}});
        let get = json!({"get": {"id": "b", "path": "file", "require": ["snapshot"]}});
        for request in [exec, get] {
            let answer = Operation::start(&link, request).await.receive().await;
            assert_eq!(answer["refused"]["code"], "unsupported", "{answer}");
        }
    });
}
