//! From a packet to the TCP segment in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Packet;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// The sequence number of its first byte (RFC 9293 section 3.1).
    pub seq: u32,
    /// The number up to which the sender has everything, where it says so.
    pub ack: Option<u32>,
    /// It opens the connection.
    pub syn: bool,
    /// The sender has no more.
    pub fin: bool,
    /// The connection is gone.
    pub rst: bool,
    /// The bytes that were captured.
    pub data: &'a [u8],
    /// The bytes that it had on the wire.
    pub size: usize,
}

/// The segment in a packet; `None` if it holds none: another protocol, a fragment, or too few bytes were captured.
///
/// Link types: Ethernet (with VLAN tags), Linux cooked (both versions), loopback (both byte orders), raw IP.
pub fn segment(packet: &Packet) -> Option<Segment<'_>> {
    let data = &packet.data[..];
    let ip = match packet.link {
        1 => ethernet(data.get(12..)?)?,
        113 => ethertype(be16(data, 14)?, data.get(16..)?)?,
        276 => ethertype(be16(data, 0)?, data.get(20..)?)?,
        // The address family in host order, or in the network's; all that matters is IP's own version behind it.
        0 | 108 => data.get(4..)?,
        12 | 14 | 101 | 228 | 229 => data,
        _ => return None,
    };
    match ip.first()? >> 4 {
        4 => ipv4(ip),
        6 => ipv6(ip),
        _ => None,
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What follows the two addresses.
fn ethernet(mut rest: &[u8]) -> Option<&[u8]> {
    // Tags in tags: more than a few are no Ethernet.
    for _ in 0..4 {
        match be16(rest, 0)? {
            0x8100 | 0x88a8 | 0x9100 => rest = rest.get(4..)?,
            kind => return ethertype(kind, rest.get(2..)?),
        }
    }
    None
}

fn ethertype(kind: u16, rest: &[u8]) -> Option<&[u8]> {
    matches!(kind, 0x0800 | 0x86dd).then_some(rest)
}

fn ipv4(ip: &[u8]) -> Option<Segment<'_>> {
    let head = usize::from(ip[0] & 15) * 4;
    let total = usize::from(be16(ip, 2)?);
    let fragment = be16(ip, 6)? & 0x3fff;
    if *ip.get(9)? != 6 || fragment != 0 || head < 20 {
        return None;
    }
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(be32(ip, at)?)));
    // 0 stands where the network card cuts large segments: the captured bytes say how long it is.
    let total = if total == 0 { ip.len() } else { total };
    tcp(ip.get(head..)?, total.checked_sub(head)?, address(12)?, address(16)?)
}

fn ipv6(ip: &[u8]) -> Option<Segment<'_>> {
    let length = usize::from(be16(ip, 4)?);
    let address = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?)));
    let (mut next, mut at) = (*ip.get(6)?, 40);
    // Extension headers (RFC 8200 section 4) of the kinds that stand before TCP.
    for _ in 0..8 {
        match next {
            6 => break,
            0 | 43 | 60 => {
                next = *ip.get(at)?;
                at += (usize::from(*ip.get(at + 1)?) + 1) * 8;
            }
            _ => return None,
        }
    }
    let total = if length == 0 { ip.len() } else { 40 + length };
    (next == 6).then_some(())?;
    tcp(ip.get(at..)?, total.checked_sub(at)?, address(8)?, address(24)?)
}

fn tcp(tcp: &[u8], total: usize, from: IpAddr, to: IpAddr) -> Option<Segment<'_>> {
    let flags = *tcp.get(13)?;
    let head = usize::from(tcp[12] >> 4) * 4;
    let size = total.checked_sub(head).filter(|_| head >= 20)?;
    let data = tcp.get(head..).unwrap_or(&[]);
    Some(Segment {
        from: SocketAddr::new(from, be16(tcp, 0)?),
        to: SocketAddr::new(to, be16(tcp, 2)?),
        seq: be32(tcp, 4)?,
        ack: (flags & 0x10 != 0).then(|| be32(tcp, 8)).flatten(),
        syn: flags & 2 != 0,
        fin: flags & 1 != 0,
        rst: flags & 4 != 0,
        // Short Ethernet frames are padded.
        data: &data[..data.len().min(size)],
        size,
    })
}
