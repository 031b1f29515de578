//! Whether the other end of a connection has read what was sent to it: sock_diag(7) shows the sockets of this machine, so
//! a cut need not be a guess of how long a program takes to read.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` (linux/netlink.h).
const REQUEST: u16 = 1;
/// The length of a `struct nlmsghdr`.
const HEADER: usize = 16;
/// Where `idiag_rqueue` lies in a `struct inet_diag_msg`, and how long that is.
const RQUEUE: usize = 56;
const MESSAGE: usize = 72;
/// `INET_DIAG_INFO`: the attribute that holds a `struct tcp_info`.
const INFO: u16 = 2;
/// Where `tcpi_bytes_received` lies in it.
const BYTES_RECEIVED: usize = 128;

/// What the kernel tells of a socket at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queue {
    /// Bytes that have arrived there since the connection began.
    pub(super) arrived: u64,
    /// Those of them that the program has not read.
    pub(super) unread: u64,
}

/// A handle on sock_diag(7).
#[derive(Debug)]
pub(super) struct Queues(Option<OwnedFd>);

impl Queues {
    /// Where the kernel has no sock_diag, nothing is known of any socket.
    pub(super) fn open() -> Queues {
        let kind = SocketType::RAW;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
        Queues(socket.ok())
    }

    /// The queue of the socket at the other end; `None` if it isn't on this machine, or is closed.
    pub(super) fn of_peer(&self, ours: &TcpStream) -> Option<Queue> {
        let socket = self.0.as_ref()?;
        let request = request(ours.peer_addr().ok()?, ours.local_addr().ok()?)?;
        rustix::net::send(socket, &request, SendFlags::empty()).ok()?;
        let mut answer = [0; 1024];
        let (length, _) = rustix::net::recv(socket, &mut answer, RecvFlags::empty()).ok()?;
        parse(&answer[..length]).ok()
    }
}

/// A `struct inet_diag_req_v2` for exactly one socket.
fn request(source: SocketAddr, destination: SocketAddr) -> Option<Vec<u8>> {
    let family = match (source, destination) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => AddressFamily::INET,
        (SocketAddr::V6(_), SocketAddr::V6(_)) => AddressFamily::INET6,
        _ => return None,
    };
    let mut request = Vec::with_capacity(HEADER + 56);
    request.extend((HEADER as u32 + 56).to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    // Family, protocol TCP, the wanted attribute, padding, any state.
    request.extend([family.as_raw() as u8, 6, 1 << (INFO - 1), 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(source.port().to_be_bytes());
    request.extend(destination.port().to_be_bytes());
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => {
                request.extend(ip.octets());
                request.extend([0; 12]);
            }
            IpAddr::V6(ip) => request.extend(ip.octets()),
        }
    }
    // Any interface; `INET_DIAG_NOCOOKIE`.
    request.extend(0_u32.to_ne_bytes());
    request.extend([0xff; 8]);
    Some(request)
}

fn parse(answer: &[u8]) -> io::Result<Queue> {
    let short = |at: usize| answer.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    if short(4).ok_or_else(missing)? != BY_FAMILY {
        return Err(missing());
    }
    let unread = answer.get(HEADER + RQUEUE..HEADER + RQUEUE + 4).ok_or_else(missing)?;
    let unread = u64::from(u32::from_ne_bytes(unread.try_into().expect("four bytes")));
    let mut at = HEADER + MESSAGE;
    while let (Some(length), Some(kind)) = (short(at), short(at + 2)) {
        if kind == INFO {
            let arrived = answer.get(at + 4 + BYTES_RECEIVED..at + 12 + BYTES_RECEIVED).ok_or_else(missing)?;
            let arrived = u64::from_ne_bytes(arrived.try_into().expect("eight bytes"));
            return Ok(Queue { arrived, unread });
        }
        at += usize::from(length.max(4)).next_multiple_of(4);
    }
    Err(missing())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_other_ends_queue_is_seen() {
        for any in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(any) else { continue };
            let port = listener.local_addr().expect("an address").port();
            let to = if any.starts_with("[::1]") { "::1" } else { "127.0.0.1" };
            let mut ours = TcpStream::connect((to, port)).expect("it listens");
            let (mut theirs, _) = listener.accept().expect("a client");
            let queues = Queues::open();
            ours.write_all(b"hello").expect("sent");
            assert_eq!(queues.of_peer(&ours), Some(Queue { arrived: 5, unread: 5 }), "{any}");
            theirs.read_exact(&mut [0; 3]).expect("there");
            assert_eq!(queues.of_peer(&ours), Some(Queue { arrived: 5, unread: 2 }), "{any}");
        }
    }
}
