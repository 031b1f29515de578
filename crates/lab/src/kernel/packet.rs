//! The TCP segments that reach this machine, as the kernel hands them to programs: packet(7). It takes root.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use super::checked;

/// How much of a packet is taken: IP and TCP headers with all their options.
pub(crate) const HEADERS: u32 = 128;

/// One instruction of a classic filter (`struct sock_filter`, linux/filter.h).
type Instruction = libc::sock_filter;

/// Opens a socket that is given the headers of the IPv4 and IPv6 packets with TCP to port `to` or from port `from`.
///
/// # Errors
/// What the system says; `EPERM` without root.
pub(crate) fn packets(to: u16, from: u16) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: no pointer is passed.
    let socket = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, i32::from(protocol))
    };
    checked(socket)?;
    // SAFETY: the descriptor is new, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut filter = filter(to, from);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    set(&socket, libc::SO_ATTACH_FILTER, &program)?;
    // A burst may wait here while its reader sleeps.
    set(&socket, libc::SO_RCVBUFFORCE, &(8_i32 << 20))?;
    Ok(socket)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes, the size of `value`; a filter's instructions live as long as this call.
    checked(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), length)
    })
}

/// Receives a packet's headers: how many bytes, and whether it comes in. On loopback each packet goes out, too.
pub(crate) fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    // SAFETY: all zeros are a valid `sockaddr_ll`.
    let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most the buffer's length, and an address of at most `length` bytes.
    let received = unsafe {
        let fd = socket.as_fd().as_raw_fd();
        let address = std::ptr::from_mut(&mut from).cast();
        libc::recvfrom(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0, address, &mut length)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok((received, from.sll_pkttype != libc::PACKET_OUTGOING))
}

/// Passes the headers of TCP packets to port `to` or from port `from`, and nothing else. The packet begins with its IP header.
fn filter(to: u16, from: u16) -> Vec<Instruction> {
    let load = |size: u32, mode: u32, at: u32| instruction(size | mode, 0, 0, at);
    let (byte, half) = (libc::BPF_LD | libc::BPF_B, libc::BPF_LD | libc::BPF_H);
    let equal = |value: u32, yes: u8, no: u8| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let (to, from) = (u32::from(to), u32::from(from));
    vec![
        load(byte, libc::BPF_ABS, 0),
        instruction(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 0, 0, 4),
        equal(4, 0, 7),
        // IPv4: protocol, then the ports behind a header of any length.
        load(byte, libc::BPF_ABS, 9),
        equal(6, 0, 13),
        instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
        load(half, libc::BPF_IND, 0),
        equal(from, 9, 0),
        load(half, libc::BPF_IND, 2),
        equal(to, 7, 8),
        // IPv6: the same behind a header of 40 bytes.
        equal(6, 0, 7),
        load(byte, libc::BPF_ABS, 6),
        equal(6, 0, 5),
        load(half, libc::BPF_ABS, 40),
        equal(from, 2, 0),
        load(half, libc::BPF_ABS, 42),
        equal(to, 0, 1),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, HEADERS),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code: code as u16, jt, jf, k }
}
