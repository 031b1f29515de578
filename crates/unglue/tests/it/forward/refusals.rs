//! What is refused, and in which words.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use unglue::{Code, Fault, Forward, Notice, Place};

use super::super::site::{Site, soon, within};
use super::{echo, exchange, forward, listens, local, loopback, place};

async fn refused(forwarded: &mut unglue::Forwarded) -> Fault {
    match soon(10, "a notice", forwarded.next()).await {
        Notice::Refused(fault) => fault,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_server_without_forwarding_refuses_both_directions() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve_with(|options| options.forward = false);
        let client = site.connect(serving.address()).await;
        assert!(!client.welcome().await.expect("it answers").allow.contains(&"forward".to_owned()));
        let mut forwarded = forward(&client, &[local(echo)]).await;
        let mut tcp = TcpStream::connect(listens(&forwarded, 0)).await.expect("the client listens");
        soon(10, "the refusal", tcp.read_u8()).await.expect_err("nothing comes");
        let fault = refused(&mut forwarded).await;
        assert_eq!((fault.code, fault.advice.contains("--allow forward")), (Code::NotAllowed, true), "{fault}");
        let remote = Forward::Remote { at: loopback(0), to: place(echo) };
        let fault = client.forward(&[remote], None).await.err().expect("refused");
        assert_eq!(fault.code, Code::NotAllowed, "{fault}");
    });
}

#[test]
fn unix_sockets_are_for_clients_that_may_run_commands() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve_with(|options| options.exec = false);
        let client = site.connect(serving.address()).await;
        let at = Place::Unix(site.path("socket"));
        let remote = Forward::Remote { at: at.clone(), to: place(echo) };
        let fault = client.forward(&[remote], None).await.err().expect("refused");
        assert!(fault.code == Code::NotAllowed && fault.what.contains("unix sockets"), "{fault}");
        let mut forwarded = forward(&client, &[Forward::Local { at: loopback(0), to: at }, local(echo)]).await;
        drop(TcpStream::connect(listens(&forwarded, 0)).await.expect("the client listens"));
        assert_eq!(refused(&mut forwarded).await.code, Code::NotAllowed);
        assert_eq!(exchange(listens(&forwarded, 1), b"ports are").await, b"ports are");
    });
}

#[test]
fn a_server_listens_on_loopback_unless_its_owner_wants_more() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let everywhere = Forward::Remote { at: Place::Tcp { host: "*".into(), port: 0 }, to: place(echo) };
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let fault = client.forward(std::slice::from_ref(&everywhere), None).await.err().expect("refused");
        assert!(fault.code == Code::NotAllowed && fault.advice.contains("--gateway-ports"), "{fault}");

        drop((client, serving));
        let serving = site.serve_with(|options| options.gateway_ports = true);
        let client = site.connect(serving.address()).await;
        let forwarded = forward(&client, &[everywhere]).await;
        let Place::Tcp { port, .. } = forwarded.listening()[0].at[0] else { panic!("a port") };
        assert_eq!(exchange(([127, 0, 0, 1], port).into(), b"hello").await, b"hello");
    });
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_listens() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = taken.local_addr().expect("an address").port();
        // Nothing else takes a port of this address.
        let free = {
            let free = TcpListener::bind("127.77.66.55:0").await.expect("a port");
            free.local_addr().expect("an address")
        };
        for forward in [
            Forward::Local { at: loopback(port), to: place(echo) },
            Forward::Remote { at: loopback(port), to: place(echo) },
            Forward::Dynamic { at: loopback(port) },
        ] {
            let first = Forward::Local { at: place(free), to: place(echo) };
            let fault = client.forward(&[first, forward], None).await.err().expect("it is taken");
            assert_eq!(fault.errno.as_deref(), Some("EADDRINUSE"), "{fault}");
            assert!(fault.what.contains(&format!("127.0.0.1:{port}")) && !fault.advice.is_empty(), "{fault}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(TcpListener::bind(free).await.expect("the first one was let go"));
        }
    });
}

#[test]
fn a_place_that_does_not_answer_is_reported() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        // Bound, and listening to nothing.
        let held = tokio::net::TcpSocket::new_v4().expect("a socket");
        held.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let closed = held.local_addr().expect("an address");
        let unknown = Place::Tcp { host: "no-such-host.invalid".into(), port: 80 };
        let forwards = [local(closed), Forward::Local { at: loopback(0), to: unknown }];
        let mut forwarded = forward(&client, &forwards).await;
        for (number, named) in [(0, closed.to_string()), (1, "no-such-host.invalid:80".into())] {
            let mut tcp = TcpStream::connect(listens(&forwarded, number)).await.expect("the client listens");
            soon(25, "the refusal", tcp.read_u8()).await.expect_err("nothing comes");
            let fault = refused(&mut forwarded).await;
            assert!(fault.what.contains(&named), "{fault}");
            assert_eq!(fault.side, Some(unglue::Side::Server));
        }
        // The remote end of -R learns it as well.
        let mut forwarded = forward(&client, &[Forward::Remote { at: loopback(0), to: place(closed) }]).await;
        let mut tcp = TcpStream::connect(listens(&forwarded, 0)).await.expect("the server listens");
        soon(10, "the refusal", tcp.read_u8()).await.expect_err("nothing comes");
        assert!(refused(&mut forwarded).await.what.contains(&closed.to_string()));
    });
}
