//! What the kernel knows of a connection, and how a network is made: the only unsafe code of this crate.
//!
//! [`tcp_info`] tells how many segments a connection has sent and how many bytes still wait: with it, what Nagle's
//! algorithm or `TCP_CORK` does is counted, not guessed from the clock.
//!
//! ```
//! use std::io::Write;
//! use std::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! client.write_all(b"hello")?;
//! let info = unglue_lab::kernel::tcp_info(&client)?;
//! assert_eq!((info.bytes_sent, info.first_sent()), (5, 1));
//! # Ok(())
//! # }
//! ```
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::thread::UnshareFlags;

pub(crate) mod packet;

/// Counters of one TCP connection, a part of `struct tcp_info` (tcp(7), `linux/tcp.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// The most payload bytes that a segment of this end carries now.
    pub snd_mss: u32,
    /// Segments sent and not yet acknowledged.
    pub unacked: u32,
    /// Times that the oldest unacknowledged segment has been sent again, in a row.
    pub retransmits: u8,
    /// Segments sent again, since the connection began.
    pub total_retrans: u32,
    /// Bytes written by the program that were not sent even once.
    pub notsent_bytes: u32,
    /// Segments with payload received.
    pub data_segs_in: u32,
    /// Segments with payload sent, those sent again included.
    pub data_segs_out: u32,
    /// Bytes that the peer has acknowledged; an end that connected counts its SYN as one.
    pub bytes_acked: u64,
    /// Payload bytes sent, those sent again included.
    pub bytes_sent: u64,
}

impl TcpInfo {
    /// Segments with payload sent for the first time.
    pub fn first_sent(&self) -> u32 {
        self.data_segs_out.saturating_sub(self.total_retrans)
    }
}

/// The end of `tcpi_bytes_sent`, the last field that [`TcpInfo`] takes.
const TCP_INFO_LEN: usize = 208;

/// Asks for a connection's counters: `getsockopt(TCP_INFO)`.
///
/// # Errors
/// What getsockopt(2) says; [`io::ErrorKind::Unsupported`] where the kernel gives fewer fields (before Linux 4.19).
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let mut raw = [0_u8; TCP_INFO_LEN];
    let mut length = TCP_INFO_LEN as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `raw`, and the new length.
    let result = unsafe {
        let fd = socket.as_fd().as_raw_fd();
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, raw.as_mut_ptr().cast(), &mut length)
    };
    checked(result)?;
    if (length as usize) < TCP_INFO_LEN {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "TCP_INFO lacks fields before Linux 4.19"));
    }
    Ok(parse(&raw))
}

/// Takes the fields from where `linux/tcp.h` has them; the layout only ever grew at its end.
fn parse(raw: &[u8; TCP_INFO_LEN]) -> TcpInfo {
    let int = |at: usize| u32::from_ne_bytes(raw[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_ne_bytes(raw[at..at + 8].try_into().expect("eight bytes"));
    TcpInfo {
        snd_mss: int(16),
        unacked: int(24),
        retransmits: raw[2],
        total_retrans: int(100),
        notsent_bytes: int(144),
        data_segs_in: int(152),
        data_segs_out: int(156),
        bytes_acked: long(120),
        bytes_sent: long(200),
    }
}

/// Bytes written to a TCP socket that the peer has not acknowledged: those on their way and those not sent yet
/// (`SIOCOUTQ`, tcp(7)).
///
/// # Errors
/// What ioctl(2) says.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u64> {
    let mut bytes: c_int = 0;
    // SAFETY: SIOCOUTQ, the same number as TIOCOUTQ, writes one int.
    checked(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ as _, &mut bytes) })?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Gives the calling thread a network namespace of its own, empty but for a loopback device that is down.
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: only `UnshareFlags::FILES` could take descriptors from other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Into::into)
}

/// Makes an opened `/dev/net/tun` a device of the calling thread's namespace that carries bare IP packets, one with
/// each read and write. It is gone when the descriptor is closed.
pub(crate) fn make_tun(tun: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    for (to, from) in ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let mut request = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags } };
    // SAFETY: TUNSETIFF reads a `struct ifreq`, and writes the name that it chose to it.
    checked(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_counters_are_those_of_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[7; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        server.write_all(b"ok").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        let (sent, received) = (tcp_info(&client).unwrap(), tcp_info(&server).unwrap());
        assert_eq!((sent.bytes_sent, sent.notsent_bytes, sent.first_sent(), sent.data_segs_in), (1000, 0, 1, 1));
        assert_eq!((sent.bytes_acked, sent.unacked, unacknowledged(&client).unwrap()), (1001, 0, 0));
        assert_eq!((received.data_segs_in, received.bytes_sent), (1, 2));
        assert!(sent.snd_mss >= 536, "{sent:?}");
    }

    #[test]
    fn what_is_no_tcp_socket_has_no_counters() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(tcp_info(&file).is_err());
    }
}
