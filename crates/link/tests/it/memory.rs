//! A link whose peer keeps nothing in mind holds what it may, and no more; others go on.

use std::time::Duration;

use tokio::time::timeout;
use unglue_identity::{Login, Policy, Principal, PrivateKey};
use unglue_link::auth::Gatekeeper;
use unglue_link::{Acceptor, Link, LinkConfig, Memory, Peer, ServerTls, StreamError, connect_over};
use unglue_proto::message::auth::Welcome;
use unglue_proto::{Code, PROTOCOL};

struct NoKeys;

impl Gatekeeper for NoKeys {
    fn welcome(&self, principal: &Principal) -> Welcome {
        let (protocol, agent) = (PROTOCOL.into(), "test".into());
        Welcome { protocol, agent, user: principal.user.clone(), allow: Vec::new(), journal: None, accepts: Vec::new() }
    }

    fn authorise(&self, _: &Login) -> Result<Principal, unglue_identity::Denial> {
        Err(unglue_identity::Denial::refused("nobody"))
    }
}

/// A client, and a server that holds no more than this unread.
async fn pair(unread: u64) -> (Link, Link) {
    let mut memory = Memory::default();
    memory.unread = unread;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let client = connect_over(near, None, &LinkConfig::default()).expect("a link");
    tokio::spawn(client.driver);
    let tls = ServerTls::new(&PrivateKey::from_seed(&[1; 32])).expect("settings");
    let acceptor = Acceptor::new(tls, std::sync::Arc::new(NoKeys), LinkConfig::default().memory(memory));
    let ada = Principal::new("ada", None, Policy::default());
    // Driven by hand: the client's hello arrives while this waits.
    let server = acceptor.accept_trusted(far, Peer::Stdio, ada).await.expect("it is let in");
    tokio::spawn(server.driver);
    (client.link, server.link)
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, StreamError>) -> bool {
    matches!(result, Err(StreamError::Reset(Code::Busy)))
}

#[tokio::test]
async fn the_stream_that_brings_too_much_is_refused_at_both_ends_and_others_go_on() {
    let (client, server) = pair(100_000).await;
    let (mut first, mut first_answer) = client.open_bidirectional().await.expect("a stream");
    first.write_all(vec![1; 60_000].into()).await.expect("it fits");
    let (mut second, mut second_answer) = client.open_bidirectional().await.expect("a stream");
    second.write_all(vec![2; 60_000].into()).await.expect("it is on its way");
    assert!(is_refused(timeout(Duration::from_secs(5), second_answer.read(1)).await.expect("in time")));
    assert!(matches!(second.write_all("more".into()).await, Err(StreamError::Reset(_))));

    let (mut answer, mut request) = server.accept().await.expect("the first");
    let (_refused, mut refused) = server.accept().await.expect("the second");
    assert!(is_refused(refused.read(1).await));
    let mut held = request.hold();
    let mut read = 0;
    while read < 60_000 {
        read += request.read(10_000).await.expect("no error").expect("more").len();
        held.at_least(read).expect("it was counted before");
    }
    answer.write_all("all of it".into()).await.expect("it is sent");
    assert_eq!(first_answer.read(100).await.expect("no error").as_deref(), Some(b"all of it".as_slice()));
    assert_eq!(server.memory_taken()[0], 60_000);
    drop(held);
    assert_eq!(server.memory_taken()[0], 0);
}

#[tokio::test]
async fn what_a_reader_keeps_ends_its_own_operation_when_it_is_too_much() {
    let (client, server) = pair(100_000).await;
    let (mut send, mut answer) = client.open_bidirectional().await.expect("a stream");
    send.write_all("x".into()).await.expect("it is sent");
    let (_answer, mut request) = server.accept().await.expect("it comes");
    let mut held = request.hold();
    assert!(held.at_least(99_999).is_ok() && held.at_least(5).is_ok());
    assert!(is_refused(held.at_least(100_001)));
    assert!(is_refused(request.read(1).await));
    assert!(is_refused(timeout(Duration::from_secs(5), answer.read(1)).await.expect("in time")));
}

#[tokio::test]
async fn a_stalled_stream_stops_no_other() {
    let mut memory = Memory::default();
    (memory.windows, memory.unsent) = (1 << 20, 1 << 20);
    let (client, server) = {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let config = LinkConfig::default().memory(memory);
        let client = connect_over(near, None, &config).expect("a link");
        tokio::spawn(client.driver);
        let tls = ServerTls::new(&PrivateKey::from_seed(&[1; 32])).expect("settings");
        let acceptor = Acceptor::new(tls, std::sync::Arc::new(NoKeys), config);
        let ada = Principal::new("ada", None, Policy::default());
        let server = acceptor.accept_trusted(far, Peer::Stdio, ada).await.expect("it is let in");
        tokio::spawn(server.driver);
        (client.link, server.link)
    };
    // Twenty streams that are filled and not read use up both accounts.
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = client.open_unidirectional().await.expect("a stream");
        let _ = timeout(Duration::from_millis(20), stream.write_all(vec![0; 1 << 20].into())).await;
        stalled.push(stream);
    }
    let mut last = client.open_unidirectional().await.expect("a stream");
    let mut recv = server.claim(last.number()).expect("it is the client's");
    let sending = tokio::spawn(async move {
        last.write_all(vec![7; 8 << 20].into()).await.expect("it is sent");
        last.finish();
    });
    let mut got = 0;
    let receiving = async {
        while let Some(data) = recv.read(usize::MAX).await.expect("no error") {
            got += data.len();
        }
    };
    timeout(Duration::from_secs(20), receiving).await.expect("it moves");
    sending.await.expect("no panic");
    assert_eq!(got, 8 << 20);
}
