//! Where connections are accepted: one or two TCP ports, or a unix socket.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use tokio::net::{TcpListener, UnixListener};
use unglue_proto::{Code, Fault};

use super::place::Place;
use super::resolve::Resolver;
use super::socket::{Socket, failed};
use crate::server::listen::{bind_each, is_absent};

/// How long a listener rests where the system has no descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Connections that the kernel holds for a unix socket until they are accepted.
const BACKLOG: i32 = 4096;

/// Accepts connections. A unix socket's file is removed when it is dropped.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(Vec<TcpListener>),
    Unix(UnixListener, OwnFile),
}

/// The file of a unix socket of ours.
#[derive(Debug)]
pub(super) struct OwnFile(PathBuf);

impl Drop for OwnFile {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at a place. With `loopback_only`, other addresses are refused.
    ///
    /// # Errors
    /// It is taken, this machine doesn't have it, or it may not be listened at.
    pub(super) async fn bind(place: &Place, resolver: &Resolver, loopback_only: bool) -> Result<Listener, Fault> {
        match place {
            Place::Unix(path) => bind_unix(path).map_err(|error| unusable(place, &error)),
            Place::Tcp { host, port } => {
                let addresses = addresses(host, *port, resolver).await.map_err(|error| unusable(place, &error))?;
                if loopback_only && !addresses.iter().all(|address| address.ip().is_loopback()) {
                    let what = format!("this server lets clients listen on loopback only, and {place} is not");
                    let advice = "leave the address out, or have the server's owner start it with --gateway-ports";
                    return Err(Fault::user(Code::NotAllowed, what).advise(advice));
                }
                bind_tcp(host, &addresses).map_err(|error| unusable(place, &error))
            }
        }
    }

    /// The places, with the ports that they have got.
    pub(super) fn places(&self) -> Vec<Place> {
        match self {
            Listener::Tcp(listeners) => {
                listeners.iter().filter_map(|listener| listener.local_addr().ok()).map(at).collect()
            }
            Listener::Unix(_, file) => vec![Place::Unix(file.0.clone())],
        }
    }

    /// The port that it has got.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(listeners) => listeners.first()?.local_addr().ok().map(|address| address.port()),
            Listener::Unix(..) => None,
        }
    }

    /// The next connection, and where it comes from. Cancelled, it has taken none.
    pub(super) async fn accept(&self) -> (Socket, String) {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => return accepted,
                // The connection was gone before it was taken (accept(2)).
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(event = "not_accepted", %error);
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, String)>> {
        match self {
            Listener::Tcp(listeners) => {
                for listener in listeners {
                    if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                        return Poll::Ready(accepted.map(|(tcp, from)| (Socket::tcp(tcp), from.to_string())));
                    }
                }
                Poll::Pending
            }
            Listener::Unix(listener, _) => {
                listener.poll_accept(cx).map_ok(|(unix, _)| (Socket::Unix(unix), String::new()))
            }
        }
    }
}

fn at(address: SocketAddr) -> Place {
    Place::Tcp { host: address.ip().to_string(), port: address.port() }
}

fn unusable(place: &Place, error: &io::Error) -> Fault {
    let fault = failed(&format!("can't listen on {place}"), error);
    let advice = match (error.kind(), place) {
        (io::ErrorKind::AddrInUse, Place::Unix(_)) => "remove the file, or choose another path",
        (io::ErrorKind::AddrInUse, Place::Tcp { .. }) => "choose another port, or 0 for a free one",
        (io::ErrorKind::PermissionDenied, Place::Tcp { .. }) => "ports below 1024 need root; choose a higher one",
        _ => "",
    };
    Fault { code: Code::System, ..fault }.advise(advice)
}

async fn addresses(host: &str, port: u16, resolver: &Resolver) -> io::Result<Vec<SocketAddr>> {
    let both = |v4: Ipv4Addr, v6: Ipv6Addr| vec![SocketAddr::new(v4.into(), port), SocketAddr::new(v6.into(), port)];
    match host {
        "localhost" => Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        "*" | "" => Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        host => resolver.addresses(host, port).await,
    }
}

fn bind_tcp(host: &str, addresses: &[SocketAddr]) -> io::Result<Listener> {
    let bound = match addresses {
        // The one for IPv6 takes IPv4 as well.
        [v4, v6] if matches!(host, "*" | "") => match bind_each(&[*v6]) {
            Err(error) if is_absent(&error) => bind_each(&[*v4]),
            bound => bound,
        },
        addresses => bind_each(addresses),
    };
    let listeners: io::Result<_> = bound?.into_iter().map(TcpListener::from_std).collect();
    Ok(Listener::Tcp(listeners?))
}

/// Only its owner may connect, from the start: the file gets the socket's mode (unix(7)). A file that is there already stays.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(socket.as_fd(), Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = OwnFile(path.to_owned());
    listen(&socket, BACKLOG)?;
    Ok(Listener::Unix(UnixListener::from_std(socket.into())?, file))
}
