//! A SOCKS proxy: version 5 (RFC 1928, without authentication), 4 and 4a. It connects, and does nothing else: BIND and UDP
//! are refused.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::time::timeout;
use unglue_proto::{Code, Fault};

use super::carry::carry;
use super::client::{Hub, ask};
use super::local::finished;
use super::place::Place;
use super::socket::Socket;

/// How long a client may take to say where to.
const NEGOTIATION: Duration = Duration::from_secs(20);

/// The longest user name or host name of version 4.
const TEXT: usize = 255;

const CONNECT: u8 = 1;

/// Which version a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Four,
    Five,
}

/// Reads where to, has the server connect, and carries the connection.
pub(super) async fn serve(mut hub: Hub, socket: Socket) {
    let (version, to) = match timeout(NEGOTIATION, negotiate(&socket)).await {
        Ok(Ok(negotiated)) => negotiated,
        Ok(Err(error)) => return tracing::debug!(event = "socks_refused", why = %error),
        Err(_) => return tracing::debug!(event = "socks_refused", why = "it said nothing for too long"),
    };
    let connected = async {
        let (up, down) = ask(&hub.link().await?, &to).await?;
        Ok::<_, Fault>((up, down.await?))
    };
    match connected.await {
        Ok((up, down)) => {
            if socket.write_all(&reply(version, None)).await.is_ok() {
                finished(&hub, carry(socket, up, async { Ok(down) }).await.map(drop));
            }
        }
        Err(fault) => {
            // It may have gone.
            let _ = socket.write_all(&reply(version, Some(&fault))).await;
            hub.refused(fault);
        }
    }
}

async fn negotiate(socket: &Socket) -> io::Result<(Version, Place)> {
    match byte(socket).await? {
        4 => Ok((Version::Four, four(socket).await?)),
        5 => Ok((Version::Five, five(socket).await?)),
        other => Err(wrong(&format!("version {other} of SOCKS is not 4 or 5"))),
    }
}

async fn four(socket: &Socket) -> io::Result<Place> {
    let head: [u8; 7] = exact(socket).await?;
    let [command, high, low, address @ ..] = head;
    text(socket).await?;
    let host = match address {
        // Version 4a: a name follows.
        [0, 0, 0, last] if last != 0 => name(text(socket).await?)?,
        address => Ipv4Addr::from(address).to_string(),
    };
    if command != CONNECT {
        let fault = Fault::user(Code::Unsupported, "");
        socket.write_all(&reply(Version::Four, Some(&fault))).await?;
        return Err(wrong("it wants something other than a connection"));
    }
    Ok(Place::Tcp { host, port: u16::from_be_bytes([high, low]) })
}

async fn five(socket: &Socket) -> io::Result<Place> {
    let methods = byte(socket).await?;
    let methods = socket.read_exact(methods.into()).await?;
    if !methods.contains(&0) {
        socket.write_all(&[5, 0xff]).await?;
        return Err(wrong("it wants to authenticate"));
    }
    socket.write_all(&[5, 0]).await?;
    let [_, command, _, kind] = exact(socket).await?;
    let host = match kind {
        1 => Ipv4Addr::from(exact::<4>(socket).await?).to_string(),
        3 => {
            let length = byte(socket).await?;
            name(socket.read_exact(length.into()).await?)?
        }
        4 => Ipv6Addr::from(exact::<16>(socket).await?).to_string(),
        _ => return refuse(socket, 8, "it names an address of an unknown kind").await,
    };
    let port = u16::from_be_bytes(exact(socket).await?);
    match command {
        CONNECT => Ok(Place::Tcp { host, port }),
        _ => refuse(socket, 7, "it wants something other than a connection").await,
    }
}

async fn refuse(socket: &Socket, code: u8, why: &str) -> io::Result<Place> {
    socket.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Err(wrong(why))
}

/// The answer to a request: success, or why not. The address in it is none: the connection is on another machine.
fn reply(version: Version, fault: Option<&Fault>) -> Vec<u8> {
    match version {
        Version::Four => vec![0, if fault.is_none() { 90 } else { 91 }, 0, 0, 0, 0, 0, 0],
        Version::Five => vec![5, fault.map_or(0, code), 0, 1, 0, 0, 0, 0, 0, 0],
    }
}

/// RFC 1928, section 6.
fn code(fault: &Fault) -> u8 {
    match (fault.code, fault.errno.as_deref()) {
        (Code::NotAllowed, _) => 2,
        (_, Some("ENETUNREACH")) => 3,
        (_, Some("EHOSTUNREACH" | "ETIMEDOUT")) => 4,
        (_, Some("ECONNREFUSED")) => 5,
        _ => 1,
    }
}

async fn byte(socket: &Socket) -> io::Result<u8> {
    exact::<1>(socket).await.map(|[byte]| byte)
}

async fn exact<const N: usize>(socket: &Socket) -> io::Result<[u8; N]> {
    let bytes = socket.read_exact(N).await?;
    bytes.try_into().map_err(|_| wrong("a read of another length"))
}

/// Bytes up to a NUL, which is taken.
async fn text(socket: &Socket) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        match byte(socket).await? {
            0 => return Ok(text),
            _ if text.len() == TEXT => return Err(wrong("a name is too long")),
            byte => text.push(byte),
        }
    }
}

fn name(bytes: Vec<u8>) -> io::Result<String> {
    match String::from_utf8(bytes) {
        Ok(name) if !name.is_empty() && !name.contains('\0') => Ok(name),
        _ => Err(wrong("the host's name is not text")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
