//! What the relay does to a connection, seen from its two ends.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use unglue_testkit::Prng;
use unglue_testkit::relay::{Break, Flow, Relay, Towards};

/// A client and a server with a relay between them.
struct Joined {
    relay: Relay,
    client: TcpStream,
    server: TcpStream,
}

async fn joined(seed: u64) -> Joined {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let relay = Relay::start(listener.local_addr().expect("an address"), seed).await.expect("a relay");
    let client = TcpStream::connect(relay.address()).await.expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    Joined { relay, client, server }
}

/// Runs a test with a deadline of its own.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(Duration::from_secs(30), test).await.expect("the test ends in time") });
}

/// Asserts that nothing can be read for a while.
async fn assert_quiet(socket: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(Duration::from_millis(150), socket.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?} arrived, although nothing should");
}

#[test]
fn every_byte_arrives_in_order_both_ways() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(5).await;
        let there = Prng::new(1).bytes(700_000);
        let back = Prng::new(2).bytes(300_000);
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        let speak = async {
            let (mut read, mut write) = client.split();
            let write = async {
                write.write_all(&there).await?;
                write.shutdown().await
            };
            tokio::try_join!(write, read.read_to_end(&mut at_client))
        };
        let answer = async {
            let (mut read, mut write) = server.split();
            let write = async {
                write.write_all(&back).await?;
                write.shutdown().await
            };
            tokio::try_join!(write, read.read_to_end(&mut at_server))
        };
        tokio::try_join!(speak, answer).expect("no error");
        assert!(at_server == there && at_client == back, "bytes were lost or changed");
        assert_eq!((relay.carried(Towards::Server), relay.carried(Towards::Client)), (700_000, 300_000));
        assert_eq!(relay.connections(), 1);
    });
}

#[test]
fn writes_are_cut() {
    run(async {
        let Joined { mut client, mut server, relay } = joined(9).await;
        relay.set_piece(100);
        client.write_all(&[7; 5000]).await.expect("written");
        let mut sizes = Vec::new();
        let mut buffer = [0; 5000];
        while sizes.iter().sum::<usize>() < 5000 {
            sizes.push(server.read(&mut buffer).await.expect("read"));
        }
        assert!(sizes.len() > 5, "one write arrived in {} pieces", sizes.len());
    });
}

#[test]
fn a_stall_loses_nothing() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        relay.set_flow(Towards::Server, Flow::Stalled);
        client.write_all(b"later").await.expect("written");
        assert_quiet(&mut server).await;
        server.write_all(b"now").await.expect("written");
        let mut other_direction = [0; 3];
        client.read_exact(&mut other_direction).await.expect("read");

        relay.set_flow(Towards::Server, Flow::Open);
        let mut word = [0; 5];
        server.read_exact(&mut word).await.expect("read");
        assert_eq!(&word, b"later");
    });
}

#[test]
fn a_silent_link_passes_neither_bytes_nor_ends_on() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        relay.fall_silent();
        client.write_all(b"lost").await.expect("written");
        drop(client);
        assert_quiet(&mut server).await;
        assert_eq!(relay.carried(Towards::Server), 0);
    });
}

#[test]
fn a_link_breaks_behind_the_byte_that_was_asked_for() {
    for seed in 1..4 {
        run(async {
            let Joined { relay, mut client, mut server } = joined(seed).await;
            relay.break_after(Towards::Server, 1234, Break::End);
            client.write_all(&[1; 5000]).await.expect("written");
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.expect("an end");
            assert_eq!(all.len(), 1234);
            assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);
        });
    }
}

#[test]
fn a_break_in_the_past_happens_at_once_and_resets() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        client.write_all(b"hello").await.expect("written");
        server.read_exact(&mut [0; 5]).await.expect("read");
        relay.break_after(Towards::Server, 5, Break::Reset);
        for end in [&mut client, &mut server] {
            assert_eq!(end.read(&mut [0]).await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn all_links_break_on_demand_and_the_next_one_works() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        relay.break_all(Break::End);
        for end in [&mut client, &mut server] {
            assert_eq!(end.read(&mut [0]).await.expect("an end"), 0);
        }
        // The server doesn't listen any more, but the relay still takes connections.
        TcpStream::connect(relay.address()).await.expect("connected");
    });
}

#[test]
fn a_delay_delays() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        relay.set_delay(Towards::Server, Duration::from_millis(120));
        let start = std::time::Instant::now();
        client.write_all(b"x").await.expect("written");
        server.read_exact(&mut [0]).await.expect("read");
        assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
    });
}

#[test]
fn a_dropped_relay_ends_its_connections() {
    run(async {
        let Joined { relay, mut client, mut server } = joined(1).await;
        drop(relay);
        assert!(matches!(client.read(&mut [0]).await, Ok(0) | Err(_)));
        assert!(matches!(server.read(&mut [0]).await, Ok(0) | Err(_)));
    });
}
