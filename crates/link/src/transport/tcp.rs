//! TCP: opening a connection, and what every connection of ours wants.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size_force;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use unglue_proto::limits::{LONG_SEND_BUFFERS, MAX_WINDOW};

use crate::connect::Target;
use crate::error::LinkError;
use crate::threads::on_thread;

/// Unsent bytes that the kernel takes for a connection: enough to keep it busy, little enough that an exit status does
/// not queue behind megabytes of output (tcp(7), TCP_NOTSENT_LOWAT).
const NOT_SENT: u32 = 256 * 1024;

/// The send buffer of a long link, as it is asked for; the kernel doubles it (socket(7)). No more than a stream's window: twice
/// as much made queues longer and copies slower.
const LONG: usize = (MAX_WINDOW / 2) as usize;

/// Places for connections that have it where the system allows less.
static BEYOND: Semaphore = Semaphore::const_new(LONG_SEND_BUFFERS);

/// A connection's place among those with a larger buffer than the system allows.
pub(crate) type Room = SemaphorePermit<'static>;

/// No delay for short messages, little queueing for long ones.
pub(crate) fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_notsent_lowat(NOT_SENT)
}

/// Lets much be on its way where the link is long: asks for a larger send buffer, beyond `wmem_max` where that is too little and the
/// process may (CAP_NET_ADMIN). For authenticated peers only, since the buffer is the kernel's memory. Where nothing can be had, the
/// connection is what it was.
pub(crate) fn widen(tcp: &TcpStream) -> Option<Room> {
    static SEND_BUFFER: OnceLock<SendBuffer> = OnceLock::new();
    SEND_BUFFER.get_or_init(SendBuffer::of_system).ask(tcp, &BEYOND)
}

/// What to ask for. It bounds what has been sent and not yet acknowledged, so a long link is only full if the buffer holds what
/// is on its way. The kernel's own choice ends at the last number of `tcp_wmem`, 4 MiB by default, of which a writer that waits for
/// room fills two thirds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SendBuffer {
    /// What the system allows, if that is more than what it chooses by itself.
    allowed: Option<usize>,
    /// What is wanted beyond that.
    beyond: Option<usize>,
}

impl SendBuffer {
    fn of_system() -> SendBuffer {
        let number = |path: &str| fs::read_to_string(path).ok()?.split_whitespace().last()?.parse().ok();
        let (most, chosen) = (number("/proc/sys/net/core/wmem_max"), number("/proc/sys/net/ipv4/tcp_wmem"));
        most.zip(chosen)
            .map_or(SendBuffer { allowed: None, beyond: None }, |(most, chosen)| SendBuffer::new(most, chosen))
    }

    /// Where the system allows `most` and chooses up to `chosen` by itself.
    fn new(most: usize, chosen: usize) -> SendBuffer {
        let larger = |size: usize| (2 * size > chosen).then_some(size);
        SendBuffer { allowed: larger(most.min(LONG)), beyond: larger(LONG).filter(|_| most < LONG) }
    }

    fn ask(self, tcp: &TcpStream, places: &'static Semaphore) -> Option<Room> {
        if let Some(size) = self.beyond
            && let Ok(room) = places.try_acquire()
            && set_socket_send_buffer_size_force(tcp, size).is_ok()
        {
            return Some(room);
        }
        if let Some(size) = self.allowed {
            // It fails only on a connection that is gone, which reading and writing report.
            let _ = SockRef::from(tcp).set_send_buffer_size(size);
        }
        None
    }
}

/// Connects to one of the target's addresses, in the order in which the name's lookup gives them.
pub(crate) async fn open(target: &Target, limit: Duration) -> Result<TcpStream, LinkError> {
    let failed = |error: io::Error| LinkError::Unreachable { target: target.to_string(), source: Arc::new(error) };
    let opening = async {
        let addresses = addresses(target).await?;
        let tcp = first_that_answers(target, &addresses).await.map_err(failed)?;
        tune(&tcp).map_err(failed)?;
        Ok(tcp)
    };
    timeout(limit, opening).await.unwrap_or_else(|_| Err(LinkError::Unanswered { target: target.to_string(), limit }))
}

/// Tries one address after the other. The error is the last one's.
async fn first_that_answers(target: &Target, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        tracing::debug!(event = "connecting", %target, %address);
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => {
                tracing::debug!(event = "not_connected", %address, %error);
                failed = error;
            }
        }
    }
    Err(failed)
}

/// A name is looked up on a thread of its own: it may take long, and there may be no thread.
async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, LinkError> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let name = (target.host.clone(), target.port);
    let found = on_thread("unglue-lookup", move || name.to_socket_addrs().map(Vec::from_iter)).await;
    let found = found
        .map_err(|error| LinkError::Thread { what: "the host's name was not looked up", source: Arc::new(error) })?;
    found.map_err(|error| LinkError::Unreachable { target: target.to_string(), source: Arc::new(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;

    #[test]
    fn a_send_buffer_is_asked_for_only_where_it_is_larger_than_the_kernels_own() {
        let asked = |most, chosen| {
            let SendBuffer { allowed, beyond } = SendBuffer::new(most, chosen);
            (allowed, beyond)
        };
        assert_eq!(asked(4 * MIB, 4 * MIB), (Some(4 << 20), Some(8 << 20)), "8 MiB or 16, by the kernel's count");
        assert_eq!(asked(208 * KIB, 4 * MIB), (None, Some(8 << 20)), "the defaults of most systems");
        assert_eq!(asked(2 * MIB, 4 * MIB), (None, Some(8 << 20)));
        assert_eq!(asked(1024 * MIB, 4 * MIB), (Some(8 << 20), None), "no more than a stream's window");
        assert_eq!(asked(208 * KIB, 32 * MIB), (None, None), "the kernel's own is larger");
    }

    /// With CAP_NET_ADMIN, the connection that has the one place gets the larger buffer, and the next one doesn't; without it, neither
    /// does.
    #[tokio::test]
    async fn a_larger_buffer_than_the_system_allows_takes_the_permission_and_a_place() {
        static PLACES: Semaphore = Semaphore::const_new(1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let size = |tcp: &TcpStream| SockRef::from(tcp).send_buffer_size().expect("a size");
        let [first, second] = [TcpStream::connect(address).await, TcpStream::connect(address).await]
            .map(|tcp| tcp.expect("a connection"));
        let own = size(&first);
        let wanted = SendBuffer { allowed: None, beyond: Some(LONG) };
        let room = wanted.ask(&first, &PLACES);
        let may = set_socket_send_buffer_size_force(&second, own / 2).is_ok();
        assert_eq!((room.is_some(), size(&first)), (may, if may { 2 * LONG } else { own }));
        assert!(!may || wanted.ask(&second, &PLACES).is_none() && size(&second) == own, "there was no place");
        drop(room);
        assert_eq!(wanted.ask(&second, &PLACES).is_some(), may, "the place is free again");
    }

    #[tokio::test]
    async fn a_connection_has_the_buffer_that_the_system_allows() {
        static NONE: Semaphore = Semaphore::const_new(0);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tcp = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let asked = SendBuffer { allowed: Some(64 * KIB), beyond: Some(LONG) };
        assert!(asked.ask(&tcp, &NONE).is_none());
        assert_eq!(SockRef::from(&tcp).send_buffer_size().expect("a size"), 2 * 64 * KIB);
    }
}
