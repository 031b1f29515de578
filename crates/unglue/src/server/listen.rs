//! Where a server listens: every address that a name has, with the same port; and unix sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use unglue_proto::{Code, Fault};

use super::shard::Listener;
use super::unix::{self, UnixSocket};
use super::{ServerOptions, system};

/// Connections that the kernel holds until the server has taken them; net.core.somaxconn may allow fewer.
const BACKLOG: i32 = 4096;

/// How often another free port is tried, if one of the addresses has the first one taken.
const TRIES: usize = 16;

/// What a server listens on.
pub(super) struct Bound {
    pub(super) tcp: Vec<TcpListener>,
    unix: Vec<UnixSocket>,
}

/// Binds to everything that the options name.
///
/// # Errors
/// An address is taken or is not this machine's; or a socket can't be made.
pub(super) fn bind_all(options: &ServerOptions) -> Result<Bound, Fault> {
    let mut bound = Bound { tcp: Vec::new(), unix: Vec::new() };
    for listen in &options.listen {
        match listen.strip_prefix("unix:") {
            Some(path) => bound.unix.push(unix::bind(path.as_ref())?),
            None => bound.tcp.extend(bind(listen)?),
        }
    }
    Ok(bound)
}

impl Bound {
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, Fault> {
        let addresses = self.tcp.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
        addresses.map_err(|error| system("the listening address is not known", &error))
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.unix.iter().map(|socket| socket.path().to_owned()).collect()
    }

    /// A listener for each thread: `shards` for each TCP socket, and one for each unix socket.
    pub(super) fn into_listeners(self, shards: usize) -> impl Iterator<Item = Listener> {
        let tcp = self.tcp.into_iter().map(Arc::new);
        let tcp = tcp.flat_map(move |listener| (0..shards).map(move |_| Listener::Tcp(listener.clone())));
        tcp.chain(self.unix.into_iter().map(Listener::Unix))
    }
}

/// Binds to all addresses of `HOST:PORT`; `localhost` has two of them. An IPv6 address stands in brackets and may have a zone, by name
/// or by number: `[fe80::1%eth0]:7227`. With port 0 all get the same free one.
///
/// # Errors
/// The name has no address, or one that it has is taken.
pub(super) fn bind(listen: &str) -> Result<Vec<TcpListener>, Fault> {
    let unusable = |error: &io::Error| {
        Fault::system(Code::System, format!("can't listen on {listen}: {error}"))
            .advise("give --listen ADDRESS:PORT with a free port of this machine")
    };
    let addresses = resolve(listen).map_err(|error| unusable(&error))?;
    bind_each(&addresses).map_err(|error| unusable(&error))
}

/// Binds to each of the addresses that this machine has, of which there must be one. With port 0 all get the same free one.
///
/// # Errors
/// One is taken, or this machine has none of them.
pub(crate) fn bind_each(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let any_port = addresses.first().is_some_and(|address| address.port() == 0);
    let mut tries = TRIES;
    loop {
        match try_each(addresses) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && any_port && tries > 0 => tries -= 1,
            bound => return bound,
        }
    }
}

/// The addresses, each once; there is at least one.
fn resolve(listen: &str) -> io::Result<Vec<SocketAddr>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let (host, port) = listen.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
    let port: u16 = port.parse().map_err(|_| wrong("the port is not a number from 0 to 65535"))?;
    // The resolver takes zones by name, and takes no brackets.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(wrong("the name has no address")),
        false => Ok(addresses),
    }
}

fn try_each(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut missing = None;
    for address in addresses {
        let mut address = *address;
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address) {
            Ok(listener) => {
                // The standard library asks for a queue of 128; asking again changes its length (listen(2)).
                socket2::SockRef::from(&listener).listen(BACKLOG)?;
                listener.set_nonblocking(true)?;
                listeners.push(listener);
            }
            // A name may have addresses that this machine has not: `::1` without IPv6.
            Err(error) if is_absent(&error) => {
                tracing::debug!(event = "address_skipped", %address, %error);
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

pub(crate) fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_get_the_same_free_port() {
        let addresses = ["127.0.0.1:0", "[::1]:0", "192.0.2.1:0"].map(|text| text.parse().expect("an address"));
        let listeners = try_each(&addresses).expect("at least one");
        let bound: Vec<SocketAddr> = listeners.iter().map(|l| l.local_addr().expect("an address")).collect();
        assert_eq!(bound[0].ip().to_string(), "127.0.0.1");
        assert!(bound.iter().all(|address| address.port() == bound[0].port() && address.port() != 0), "{bound:?}");
        assert!(
            bound.iter().all(|address| address.ip().is_loopback()),
            "what this machine has not is left out: {bound:?}"
        );
    }

    #[test]
    fn an_address_that_is_taken_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address").to_string();
        assert!(bind(&address).expect_err("taken").what.contains(&address));
    }

    #[test]
    fn brackets_and_zones_are_read() {
        assert_eq!(resolve("[::1]:5").expect("one")[0], "[::1]:5".parse().expect("an address"));
        // The loopback interface is the first one.
        for zone in ["1", "lo"] {
            let address = resolve(&format!("[fe80::1%{zone}]:5")).expect(zone)[0];
            assert!(matches!(address, SocketAddr::V6(address) if address.scope_id() == 1), "{address}");
        }
        for wrong in ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
