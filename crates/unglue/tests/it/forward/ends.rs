//! How connections end: in one direction, in both, or with a reset.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use unglue::{Client, Forwarded};

use super::super::site::{Serving, Site, soon, within};
use super::{forward, listens, local, remote};

/// Both ends of a connection through a forward.
struct Pair {
    near: TcpStream,
    far: TcpStream,
    _forwarded: Forwarded,
    _client: Client,
    _serving: Serving,
    _site: Site,
}

impl Pair {
    async fn open(forward_to: fn(SocketAddr) -> unglue::Forward) -> Pair {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let target = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = forward_to(target.local_addr().expect("an address"));
        let forwarded = forward(&client, &[to]).await;
        let near = TcpStream::connect(listens(&forwarded, 0)).await.expect("it listens");
        let (far, _) = soon(10, "the connection", target.accept()).await.expect("it comes");
        Pair { near, far, _forwarded: forwarded, _client: client, _serving: serving, _site: site }
    }
}

const WAYS: [fn(SocketAddr) -> unglue::Forward; 2] = [local, remote];

#[test]
fn each_direction_ends_by_itself() {
    within(60, async || {
        for way in WAYS {
            let mut pair = Pair::open(way).await;
            for swapped in [false, true] {
                let (one, other) = match swapped {
                    false => (&mut pair.near, &mut pair.far),
                    true => (&mut pair.far, &mut pair.near),
                };
                // The first time round, the other direction is still open.
                one.write_all(b"the last").await.expect("written");
                one.shutdown().await.expect("ended");
                let mut came = Vec::new();
                soon(10, "the end", other.read_to_end(&mut came)).await.expect("an orderly end");
                assert_eq!(came, b"the last");
            }
        }
    });
}

#[test]
fn the_half_that_is_open_carries_on_after_the_other_has_ended() {
    within(60, async || {
        for way in WAYS {
            let mut pair = Pair::open(way).await;
            pair.near.shutdown().await.expect("ended");
            assert_eq!(soon(10, "the end", pair.far.read(&mut [0])).await.expect("an end"), 0);
            for _ in 0..100 {
                pair.far.write_all(&[1; 10_000]).await.expect("written");
                pair.near.read_exact(&mut [0; 10_000]).await.expect("it comes");
            }
        }
    });
}

#[test]
fn a_reset_arrives_as_a_reset() {
    within(60, async || {
        for way in WAYS {
            for (half_closed, swapped) in [(false, false), (false, true), (true, false), (true, true)] {
                let Pair { near, far, _forwarded, _client, _serving, _site } = Pair::open(way).await;
                let (mut resets, mut sees) = if swapped { (far, near) } else { (near, far) };
                if half_closed {
                    resets.shutdown().await.expect("ended");
                    assert_eq!(soon(10, "the end", sees.read(&mut [0])).await.expect("an end"), 0);
                }
                resets.set_zero_linger().expect("set");
                drop(resets);
                let seen = soon(10, "the reset", async {
                    loop {
                        // Where its direction has ended already, only writing shows it.
                        match sees.write(b"x").await {
                            Err(error) => return error.kind(),
                            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                        }
                    }
                });
                let seen = seen.await;
                assert!(matches!(seen, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{seen:?}");
            }
        }
    });
}

#[test]
fn a_reset_is_no_orderly_end_for_a_reader() {
    within(60, async || {
        for way in WAYS {
            let Pair { near, mut far, _forwarded, _client, _serving, _site } = Pair::open(way).await;
            near.set_zero_linger().expect("set");
            drop(near);
            let error = soon(10, "the reset", far.read(&mut [0])).await.expect_err("not an end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn dropped_forwarding_resets_connections_and_frees_ports() {
    within(60, async || {
        for way in WAYS {
            let Pair { near, mut far, _forwarded, _client, _serving, _site } = Pair::open(way).await;
            let at = listens(&_forwarded, 0);
            drop(_forwarded);
            let error = soon(10, "the reset", far.read(&mut [0])).await.expect_err("not an end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            drop(near);
            soon(10, "the port", async {
                while TcpListener::bind(at).await.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            })
            .await;
        }
    });
}
