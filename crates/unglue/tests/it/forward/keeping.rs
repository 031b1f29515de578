//! A link that is lost: without `keep` it is the end, with it another one takes its place.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use unglue::Notice;
use unglue_testkit::relay::{Break, Relay};

use super::super::site::{Site, soon, within};
use super::{echo, exchange, forward, listens, local, remote};

#[test]
fn without_keep_a_lost_link_is_the_end() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 5).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let mut forwarded = forward(&client, &[local(echo)]).await;
        let mut tcp = TcpStream::connect(listens(&forwarded, 0)).await.expect("it listens");
        relay.break_all(Break::Reset);
        assert!(matches!(soon(10, "the notice", forwarded.next()).await, Notice::Ended(_)));
        soon(10, "the reset", tcp.read_u8()).await.expect_err("the connection is lost");
    });
}

#[test]
fn with_keep_everything_listens_again_on_a_new_link() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 6).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let both = [local(echo), remote(echo)];
        let keeping = client.forward(&both, Some(Duration::from_secs(30)));
        let mut forwarded = soon(10, "forwarding", keeping).await.expect("it listens");
        for round in 0..3 {
            let (near, far) = (listens(&forwarded, 0), listens(&forwarded, 1));
            let mut open = TcpStream::connect(near).await.expect("it listens");
            relay.break_all(Break::Reset);
            assert!(matches!(soon(10, "the loss", forwarded.next()).await, Notice::Lost(_)), "round {round}");
            soon(10, "the reset", open.read_u8()).await.expect_err("the connection is lost");
            // One that comes meanwhile waits for the new link.
            assert_eq!(exchange(near, b"again").await, b"again", "round {round}");
            while !matches!(soon(10, "the new link", forwarded.next()).await, Notice::Restored) {}
            soon(20, "the server's port", async {
                while !answers(far).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
    });
}

/// Whether a connection gets as far as the echo.
async fn answers(at: std::net::SocketAddr) -> bool {
    use tokio::io::AsyncWriteExt as _;
    let Ok(mut tcp) = TcpStream::connect(at).await else { return false };
    tcp.write_all(b"x").await.is_ok() && matches!(tcp.read_u8().await, Ok(b'x'))
}

#[test]
fn patience_ends() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 6).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let mut forwarded = client.forward(&[local(echo)], Some(Duration::from_millis(500))).await.expect("it listens");
        drop(relay);
        assert!(matches!(soon(10, "the loss", forwarded.next()).await, Notice::Lost(_)));
        assert!(matches!(soon(20, "the end", forwarded.next()).await, Notice::Ended(_)));
    });
}
