//! Forwarded ports: both directions, SOCKS, half-closes, resets, slow readers, many connections, refusals, lost links.

mod ends;
mod keeping;
mod places;
mod refusals;
mod socks;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use unglue::{Client, Forward, Forwarded, Place};
use unglue_testkit::relay::{Relay, Towards};

use super::site::{Site, soon, within};

/// A listener that sends back what each connection sends, and then ends it.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let (mut read, mut write) = tcp.split();
                if tokio::io::copy(&mut read, &mut write).await.is_ok() {
                    let _ = write.shutdown().await;
                }
            });
        }
    });
    address
}

/// A free port of loopback that the client forwards to this address.
fn local(to: SocketAddr) -> Forward {
    Forward::Local { at: loopback(0), to: place(to) }
}

fn remote(to: SocketAddr) -> Forward {
    Forward::Remote { at: loopback(0), to: place(to) }
}

fn loopback(port: u16) -> Place {
    Place::Tcp { host: "127.0.0.1".into(), port }
}

fn place(address: SocketAddr) -> Place {
    Place::Tcp { host: address.ip().to_string(), port: address.port() }
}

async fn forward(client: &Client, forwards: &[Forward]) -> Forwarded {
    soon(10, "forwarding", client.forward(forwards, None)).await.expect("it listens")
}

/// Where the forward with this number listens.
fn listens(forwarded: &Forwarded, number: usize) -> SocketAddr {
    match &forwarded.listening()[number].at[0] {
        Place::Tcp { host, port } => format!("{host}:{port}").parse().expect("an address"),
        other => panic!("{other} is no port"),
    }
}

/// Sends `sent` and the end, and gives what came back.
async fn exchange(at: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let tcp = soon(10, "connecting", TcpStream::connect(at)).await.expect("it listens");
    let (mut read, mut write) = tcp.into_split();
    let mut came = Vec::new();
    let sending = async {
        write.write_all(sent).await.expect("written");
        write.shutdown().await.expect("ended");
    };
    soon(30, "an echo", async { tokio::join!(sending, read.read_to_end(&mut came)) }).await.1.expect("an orderly end");
    came
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn bytes_come_back_through_both_directions() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let forwarded = forward(&client, &[local(echo), remote(echo)]).await;
        for number in 0..2 {
            for length in [0, 1, 100_000, 5_000_000] {
                let sent = pattern(length);
                assert!(exchange(listens(&forwarded, number), &sent).await == sent, "{length} bytes, forward {number}");
            }
        }
        let shown = forwarded.listening()[0].to_string();
        assert!(shown.contains(&echo.to_string()), "{shown}");
    });
}

#[test]
fn a_thousand_connections_are_open_at_once_and_one_more_is_refused() {
    within(120, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let forwarded = forward(&client, &[local(echo)]).await;
        let at = listens(&forwarded, 0);
        let mut open = Vec::new();
        for number in 0..1000_u32 {
            let mut tcp = TcpStream::connect(at).await.expect("it listens");
            tcp.write_all(&number.to_be_bytes()).await.expect("written");
            open.push(tcp);
        }
        for (number, tcp) in (0_u32..).zip(&mut open) {
            assert_eq!(soon(30, "an echo", tcp.read_u32()).await.expect("it came"), number);
        }
        let mut late = TcpStream::connect(at).await.expect("the kernel accepts it");
        soon(10, "the refusal", late.read_u8()).await.expect_err("there is no room");
        open.pop();
        // Its place is free again, before long.
        soon(10, "a place", async {
            loop {
                let mut tcp = TcpStream::connect(at).await.expect("it listens");
                if tcp.write_all(b"x").await.is_ok() && matches!(tcp.read_u8().await, Ok(b'x')) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    });
}

#[test]
fn setting_a_connection_up_takes_one_round_trip() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 4).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let forwarded = forward(&client, &[local(echo)]).await;
        let one_way = Duration::from_millis(500);
        relay.set_delay(Towards::Server, one_way);
        relay.set_delay(Towards::Client, one_way);
        let start = Instant::now();
        assert_eq!(exchange(listens(&forwarded, 0), b"hello").await, b"hello");
        let trips = start.elapsed().as_secs_f64() / (2.0 * one_way.as_secs_f64());
        // The bytes travel along with the request, and come back with the answer.
        assert!((1.0..1.9).contains(&trips), "{trips:.2} round trips");
    });
}

#[test]
fn a_slow_reader_stalls_its_own_connection_only() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        // It sends without end.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let flood = listener.local_addr().expect("an address");
        let flooding = tokio::spawn(async move {
            let mut floods = JoinSet::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                floods.spawn(async move { while tcp.write_all(&[7; 65536]).await.is_ok() {} });
            }
        });
        let forwarded = forward(&client, &[local(flood), local(echo().await)]).await;
        let mut stalled = Vec::new();
        for _ in 0..8 {
            // Nobody reads it.
            stalled.push(TcpStream::connect(listens(&forwarded, 0)).await.expect("it listens"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sent = pattern(8 << 20);
        assert!(exchange(listens(&forwarded, 1), &sent).await == sent);
        // And those that begin to read get on.
        let mut bytes = vec![0; 4 << 20];
        soon(20, "the flood", stalled[0].read_exact(&mut bytes)).await.expect("it goes on");
        assert!(bytes.iter().all(|byte| *byte == 7));
        flooding.abort();
    });
}
