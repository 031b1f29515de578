//! The SOCKS proxy: versions 4, 4a and 5.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use unglue::{Forward, Forwarded};

use super::super::site::{Serving, Site, soon, within};
use super::{echo, forward, listens, loopback};

async fn proxy(site: &Site) -> (Serving, Forwarded) {
    let serving = site.serve();
    let client = site.connect(serving.address()).await;
    let forwarded = forward(&client, &[Forward::Dynamic { at: loopback(0) }]).await;
    (serving, forwarded)
}

/// Sends the parts one after the other, and reads an answer of so many bytes after each.
async fn talk(proxy: SocketAddr, parts: &[(&[u8], usize)]) -> (TcpStream, Vec<u8>) {
    let mut tcp = TcpStream::connect(proxy).await.expect("it listens");
    let mut answer = Vec::new();
    for (part, length) in parts {
        tcp.write_all(part).await.expect("written");
        answer = vec![0; *length];
        soon(10, "an answer", tcp.read_exact(&mut answer)).await.expect("it comes");
    }
    (tcp, answer)
}

async fn echoes(mut tcp: TcpStream) {
    tcp.write_all(b"through a proxy").await.expect("written");
    tcp.shutdown().await.expect("ended");
    let mut came = Vec::new();
    soon(10, "an echo", tcp.read_to_end(&mut came)).await.expect("an orderly end");
    assert_eq!(came, b"through a proxy");
}

#[test]
fn every_version_and_every_kind_of_address_connects() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let (_serving, forwarded) = proxy(&site).await;
        let at = listens(&forwarded, 0);
        let port = echo.port().to_be_bytes();
        let four = [&[4, 1][..], &port, &[127, 0, 0, 1], b"user\0"].concat();
        let four_a = [&[4, 1][..], &port, &[0, 0, 0, 1], b"user\0localhost\0"].concat();
        for request in [four, four_a] {
            let (tcp, answer) = talk(at, &[(&request, 8)]).await;
            assert_eq!(answer[..2], [0, 90]);
            echoes(tcp).await;
        }
        let five = [&[5, 1, 0, 1, 127, 0, 0, 1][..], &port].concat();
        let five_name = [&[5, 1, 0, 3, 9][..], b"localhost", &port].concat();
        for request in [five, five_name] {
            let (tcp, answer) = talk(at, &[(&[5, 2, 2, 0], 2), (&request, 10)]).await;
            assert_eq!(answer, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            echoes(tcp).await;
        }
    });
}

#[test]
fn ipv6_addresses_connect() {
    within(30, async || {
        let Ok(target) = TcpListener::bind("[::1]:0").await else {
            return eprintln!("skipped: this machine has no IPv6");
        };
        let site = Site::new();
        let (_serving, forwarded) = proxy(&site).await;
        let port = target.local_addr().expect("an address").port().to_be_bytes();
        let request = [&[5, 1, 0, 4][..], &[0; 15], &[1], &port].concat();
        let (_tcp, answer) = talk(listens(&forwarded, 0), &[(&[5, 1, 0], 2), (&request, 10)]).await;
        assert_eq!(answer[..2], [5, 0]);
        soon(5, "the connection", target.accept()).await.expect("it comes");
    });
}

#[test]
fn refusals_have_the_protocols_own_numbers() {
    within(30, async || {
        let site = Site::new();
        let (_serving, forwarded) = proxy(&site).await;
        let at = listens(&forwarded, 0);
        // Bound, and listening to nothing.
        let held = tokio::net::TcpSocket::new_v4().expect("a socket");
        held.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let closed = held.local_addr().expect("an address");
        let port = closed.port().to_be_bytes();
        let (_, answer) = talk(at, &[(&[&[4, 1][..], &port, &[127, 0, 0, 1, 0]].concat(), 8)]).await;
        assert_eq!(answer[..2], [0, 91]);
        let to_closed = [&[5, 1, 0, 1, 127, 0, 0, 1][..], &port].concat();
        let bind = [&[5, 2, 0, 1, 127, 0, 0, 1][..], &port].concat();
        for (request, code) in [(to_closed, 5), (bind, 7)] {
            let (_, answer) = talk(at, &[(&[5, 1, 0], 2), (&request, 10)]).await;
            assert_eq!(answer[..2], [5, code]);
        }
        // It would have to authenticate.
        assert_eq!(talk(at, &[(&[5, 1, 2], 2)]).await.1, [5, 0xff]);
        // Neither version.
        let (mut tcp, _) = talk(at, &[(b"GET / HTTP/1.1\r\n", 0)]).await;
        assert!(matches!(soon(5, "the end", tcp.read(&mut [0])).await, Ok(0) | Err(_)));
    });
}
