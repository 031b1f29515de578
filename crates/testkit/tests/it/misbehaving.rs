//! What misbehaving peers send, and that they notice when the server closes their connection.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use unglue_testkit::misbehaving::{Misbehaviour, allow_open_files, crowd};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What a server receives of such a peer: `least` bytes, and all that come within 200 ms behind them.
fn sent_by(kind: Misbehaviour, least: usize) -> Vec<u8> {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let visit = tokio::spawn(kind.visit(address));
        let (mut socket, _) = listener.accept().await.expect("accepted");
        let mut received = vec![0; least];
        timeout(Duration::from_secs(10), socket.read_exact(&mut received)).await.expect("in time").expect("so many");
        let _ = timeout(Duration::from_millis(200), socket.read_to_end(&mut received)).await;
        drop(socket);
        let visit = visit.await.expect("no panic").expect("connected");
        assert_eq!(visit.kind(), kind);
        visit.until_closed(Duration::from_secs(5)).await.expect("the peer sees that its connection was closed");
        received
    })
}

#[test]
fn each_kind_sends_what_its_name_says() {
    let hello = sent_by(Misbehaviour::HalfHandshake, 5);
    assert_eq!(&hello[..3], b"\x16\x03\x01");
    assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5, "one whole record");
    assert!(hello.windows(8).any(|window| window == b"unglue/1"));

    assert_eq!(sent_by(Misbehaviour::Mute, 0), b"");
    assert_eq!(sent_by(Misbehaviour::HalfHello, hello.len() / 2), &hello[..hello.len() / 2]);
    assert_eq!(sent_by(Misbehaviour::HugeRecord, 5).len(), 5);
    assert!(sent_by(Misbehaviour::Http, 4).starts_with(b"GET "));
    assert!(sent_by(Misbehaviour::HugeMessage, 1_000_001).len() > 1_000_000);
    assert_eq!(sent_by(Misbehaviour::Garbage, 4096).len(), 4096);
    assert!(!sent_by(Misbehaviour::OtherAlpn, 5).windows(8).any(|window| window == b"unglue/1"));
    let supported_versions = b"\x00\x2b\x00\x03\x02\x03\x04";
    assert!(hello.windows(7).any(|window| window == supported_versions));
    assert!(!sent_by(Misbehaviour::Tls12, 5).windows(7).any(|window| window == supported_versions));
}

#[test]
fn a_trickling_peer_goes_on_trickling() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let visit = Misbehaviour::Trickling.visit(listener.local_addr().expect("an address")).await.expect("connected");
        let visit = tokio::spawn(visit.until_closed(Duration::from_secs(20)));
        let (mut socket, _) = listener.accept().await.expect("accepted");
        let mut hello = [0; 2];
        timeout(Duration::from_secs(10), socket.read_exact(&mut hello)).await.expect("in time").expect("two bytes");
        assert_eq!(&hello, b"\x16\x03");
        drop(socket);
        assert!(visit.await.expect("no panic").is_some());
    });
}

#[test]
fn a_thousand_misbehaving_peers_fit() {
    if !allow_open_files(2_200) {
        eprintln!("skipped: this process may not have 2,200 files open");
        return;
    }
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let accepted = tokio::spawn(async move {
            let mut accepted = Vec::new();
            while accepted.len() < 1000 {
                accepted.push(listener.accept().await.expect("accepted").0);
            }
            accepted
        });
        let crowd = timeout(Duration::from_secs(30), crowd(address, 1000, 4)).await.expect("in time");
        assert_eq!(crowd.len(), 1000);
        assert_eq!(accepted.await.expect("no panic").len(), 1000);
    });
}
