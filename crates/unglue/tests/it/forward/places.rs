//! Unix sockets at either end, IPv6, names.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use unglue::{Forward, Place};

use super::super::site::{Site, eventually, soon, within};
use super::{echo, exchange, forward, listens, loopback, place};

async fn exchange_unix(at: &PathBuf, sent: &[u8]) -> Vec<u8> {
    let mut unix = UnixStream::connect(at).await.expect("it listens");
    unix.write_all(sent).await.expect("written");
    unix.shutdown().await.expect("ended");
    let mut came = Vec::new();
    soon(10, "an echo", unix.read_to_end(&mut came)).await.expect("an orderly end");
    came
}

fn unix_echo(path: &PathBuf) {
    let listener = UnixListener::bind(path).expect("a socket");
    tokio::spawn(async move {
        while let Ok((mut unix, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = unix.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
}

#[test]
fn unix_sockets_stand_at_either_end() {
    within(60, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let (target, near, far) = (site.path("target"), site.path("near"), site.path("far"));
        unix_echo(&target);
        let unix = |path: &PathBuf| Place::Unix(path.clone());
        let forwarded = forward(
            &client,
            &[
                Forward::Local { at: loopback(0), to: unix(&target) },
                Forward::Local { at: unix(&near), to: place(echo) },
                Forward::Remote { at: unix(&far), to: unix(&target) },
            ],
        )
        .await;
        assert_eq!(exchange(listens(&forwarded, 0), b"to a socket").await, b"to a socket");
        for path in [&near, &far] {
            assert_eq!(exchange_unix(path, b"from a socket").await, b"from a socket");
            let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode & 0o177, 0, "{mode:o}: others could connect");
        }
        drop(forwarded);
        eventually(10, "the files' removal", || !near.exists() && !far.exists()).await;
    });
}

#[test]
fn a_file_in_the_way_of_a_unix_socket_stays() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let path = site.path("precious");
        fs::write(&path, "data").expect("written");
        let at = Place::Unix(path.clone());
        for forward in
            [Forward::Local { at: at.clone(), to: loopback(9) }, Forward::Remote { at: at.clone(), to: loopback(9) }]
        {
            let fault = client.forward(&[forward], None).await.err().expect("it is taken");
            assert!(fault.what.contains("precious"), "{fault}");
            assert_eq!(fs::read(&path).expect("it is there"), b"data");
        }
    });
}

#[test]
fn hosts_that_have_ipv6_alone_are_reached() {
    within(30, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let Ok(target) = TcpListener::bind("[::1]:0").await else {
            return eprintln!("skipped: this machine has no IPv6");
        };
        let port = target.local_addr().expect("an address").port();
        for host in ["::1", "0:0:0:0:0:0:0:1"] {
            let at = Place::Tcp { host: "::1".into(), port: 0 };
            let to = Place::Tcp { host: host.into(), port };
            let forwarded = forward(&client, &[Forward::Local { at, to }]).await;
            let Place::Tcp { host, port } = &forwarded.listening()[0].at[0] else { panic!("a port") };
            let near = tokio::net::TcpStream::connect((host.as_str(), *port)).await.expect("it listens");
            let (mut far, _) = soon(10, "the connection", target.accept()).await.expect("it comes");
            far.write_all(b"6").await.expect("written");
            let mut near = near;
            assert_eq!(soon(10, "a byte", near.read_u8()).await.expect("it comes"), b'6');
        }
    });
}

#[test]
fn localhost_is_both_addresses_with_one_port() {
    within(30, async || {
        let (site, echo) = (Site::new(), echo().await);
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let at = Place::Tcp { host: "localhost".into(), port: 0 };
        let forwarded = forward(&client, &[Forward::Local { at, to: place(echo) }]).await;
        for at in &forwarded.listening()[0].at {
            let address = at.to_string().parse().expect("an address");
            assert_eq!(exchange(address, b"hello").await, b"hello", "{at}");
        }
    });
}
