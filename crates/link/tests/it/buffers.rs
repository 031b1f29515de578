//! What the kernel holds for a connection before its peer has logged in, and after.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use unglue_identity::{
    Denial, Identity, KeyFile, KnownHostsFiles, Login, Policy, Principal, PrivateKey, make_key_file,
};
use unglue_link::auth::{Credentials, Gatekeeper};
use unglue_link::{Acceptor, HostTrust, LinkConfig, ServerTls, Target, connect};
use unglue_proto::PROTOCOL;
use unglue_proto::message::auth::Welcome;

/// Lets every key in.
struct AnyKey;

impl Gatekeeper for AnyKey {
    fn welcome(&self, principal: &Principal) -> Welcome {
        let (protocol, agent, user) = (PROTOCOL.into(), "test".into(), principal.user.clone());
        Welcome { protocol, agent, user, allow: Vec::new(), journal: None, accepts: Vec::new() }
    }

    fn authorise(&self, login: &Login) -> Result<Principal, Denial> {
        Ok(Principal::new("ada", Some(login.credential.key().clone()), Policy::default()))
    }
}

/// The server's end of the next connection, with a handle that outlasts it.
async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr, Socket) {
    let (tcp, peer) = listener.accept().await.expect("a connection");
    let handle = SockRef::from(&tcp).try_clone().expect("a handle");
    (tcp, peer, handle)
}

fn send_buffer(socket: &Socket) -> usize {
    socket.send_buffer_size().expect("a size")
}

/// Up to which size the kernel lets a send buffer grow by itself.
fn kernels_own() -> usize {
    let numbers = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").expect("Linux has it");
    numbers.split_whitespace().last().and_then(|last| last.parse().ok()).expect("three numbers")
}

/// A key in a file of its own, which is removed again.
fn identity() -> Identity {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("buffers-{}", std::process::id()));
    make_key_file(&path, "test", None).expect("a key");
    let key = KeyFile::open(&path).expect("it is read");
    std::fs::remove_file(&path).expect("it is removed");
    let _ = std::fs::remove_file(path.with_extension("pub"));
    Identity::File(key)
}

#[tokio::test]
async fn a_connection_has_a_large_send_buffer_only_once_its_peer_has_logged_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let host_key = PrivateKey::from_seed(&[1; 32]);
    let tls = ServerTls::new(&host_key).expect("settings");
    let acceptor = Acceptor::new(tls, Arc::new(AnyKey), LinkConfig::default());

    // A peer that sends nothing.
    let _silent = TcpStream::connect(address).await.expect("a connection");
    let (tcp, peer, handle) = next(&listener).await;
    let own = send_buffer(&handle);
    let waiting = timeout(Duration::from_millis(200), acceptor.accept(tcp, peer)).await;
    assert!(waiting.is_err(), "it waits for the handshake");
    assert_eq!(send_buffer(&handle), own, "a peer that is not authenticated costs what any connection costs");

    let target = Target { host: "127.0.0.1".into(), port: address.port() };
    let files = KnownHostsFiles { read: Vec::new(), append: "/nonexistent".into() };
    let trust = HostTrust { files, accept_new: false, agreed: Some(host_key.public_key()), alias: None };
    let who = Credentials { user: None, identities: vec![Arc::new(identity())], ask: Arc::new(|_| None) };
    let client = tokio::spawn(async move {
        let connected = connect(&target, &trust, &who, &LinkConfig::default()).await.expect("a link");
        tokio::spawn(connected.driver);
        connected.welcome.await.map(|_| connected.link)
    });
    let (tcp, peer, handle) = next(&listener).await;
    let accepted = acceptor.accept(tcp, peer).await.expect("it is let in");
    let large = send_buffer(&handle);
    tokio::spawn(accepted.driver);
    let _link = client.await.expect("no panic").expect("it is welcome");
    // What can be had at all depends on the system, and on who runs this.
    let forced = rustix::net::sockopt::set_socket_send_buffer_size_force(&handle, 8 << 20).is_ok();
    if forced && kernels_own() < 16 << 20 {
        assert_eq!(large, 16 << 20, "it may have more than the system allows others");
    }
    assert!(large >= own, "{large} bytes, and {own} before");
}
