//! Names to addresses, on threads that are not the runtime's: a lookup may take long.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use unglue_link::threads::ThreadPool;

/// Lookups in progress at once; more wait.
const THREADS: usize = 16;

/// Looks names up.
#[derive(Clone)]
pub(crate) struct Resolver(ThreadPool);

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver(ThreadPool::new("unglue-lookup", THREADS, Duration::from_secs(5)))
    }
}

impl Resolver {
    /// The addresses of `host`, each once, in the order in which the system gives them; there is at least one.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = (host.to_owned(), port);
        let found =
            self.0.run(move || name.to_socket_addrs().map(Vec::from_iter)).await.map_err(io::Error::other)??;
        let mut addresses = Vec::with_capacity(found.len());
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        match addresses.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            false => Ok(addresses),
        }
    }
}
