//! How a network device gets its address and comes up: rtnetlink(7), which a user namespace's root may speak too. Of the
//! older ioctls of netdevice(7), one asks for the machine's root.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The length of a `struct nlmsghdr`.
const HEADER: usize = 16;

/// A network device of the calling thread's namespace.
pub(super) struct Device {
    socket: OwnedFd,
    index: u32,
}

impl Device {
    pub(super) fn named(name: &str) -> io::Result<Device> {
        // Without a protocol, netlink(7) means NETLINK_ROUTE.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let index = rustix::net::netdevice::name_to_index(&socket, name)?;
        Ok(Device { socket, index })
    }

    /// Sets the largest packet, in bytes with its IP header, and how many packets may wait in the device: more are
    /// dropped.
    pub(super) fn set_sizes(&self, mtu: u16, queue: u16) -> io::Result<()> {
        let mut body = self.link(0);
        attribute(&mut body, libc::IFLA_MTU, u32::from(mtu).to_ne_bytes());
        attribute(&mut body, libc::IFLA_TXQLEN, u32::from(queue).to_ne_bytes());
        self.request(libc::RTM_NEWLINK, 0, &body)
    }

    /// Gives it an address, and the route to those that begin with the same `prefix` bits.
    pub(super) fn add_address(&self, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        // A `struct ifaddrmsg`: family, prefix, flags, scope, index.
        let mut body = vec![libc::AF_INET as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE];
        body.extend(self.index.to_ne_bytes());
        attribute(&mut body, libc::IFA_LOCAL, address.octets());
        attribute(&mut body, libc::IFA_ADDRESS, address.octets());
        self.request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
    }

    pub(super) fn bring_up(&self) -> io::Result<()> {
        self.request(libc::RTM_NEWLINK, 0, &self.link(libc::IFF_UP as u32))
    }

    /// A `struct ifinfomsg`: family, padding, type, index, flags, and which flags change: those given.
    fn link(&self, flags: u32) -> Vec<u8> {
        let words = [0, self.index, flags, flags];
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }

    fn request(&self, kind: u16, flags: libc::c_int, body: &[u8]) -> io::Result<()> {
        let length = (HEADER + body.len()) as u32;
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        // The sequence number and the sender's port: there is one request at a time, and the kernel knows us.
        message.extend([0; 8]);
        message.extend(body);
        rustix::net::send(&self.socket, &message, SendFlags::empty())?;
        let mut answer = [0; 512];
        let (length, _) = rustix::net::recv(&self.socket, &mut answer, RecvFlags::empty())?;
        outcome(&answer[..length])
    }
}

/// Adds a `struct rtattr` with four bytes of value, so that nothing needs padding.
fn attribute(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

/// What a `struct nlmsgerr` says: zero, or an error number below zero.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let bytes = answer.get(HEADER..HEADER + 4).ok_or(io::ErrorKind::UnexpectedEof)?;
    match i32::from_ne_bytes(bytes.try_into().expect("four bytes")) {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error(-error).into()),
    }
}
