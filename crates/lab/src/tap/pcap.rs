//! A capture file that Wireshark opens: what went through the tap, as the packets of a conversation between client and server.
//!
//! Each read of the tap is a packet (or several, of one that a packet can't hold), with the time at which it was read. The format is
//! pcap (draft-ietf-opsawg-pcap) with nanoseconds, and packets that begin with their IP header (`LINKTYPE_RAW`).

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// pcap's magic number for nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
const LINKTYPE_RAW: u32 = 101;
const SNAPLEN: u32 = 262_144;
/// What fits behind an IPv6 and a TCP header.
const PAYLOAD: usize = 65_475;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Writes a capture file.
pub struct Pcap<W: Write> {
    out: W,
}

impl<W: Write> std::fmt::Debug for Pcap<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pcap").finish_non_exhaustive()
    }
}

/// One conversation in a capture file.
#[derive(Debug, Clone)]
pub struct Packets {
    ends: [SocketAddr; 2],
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
}

impl Packets {
    /// A conversation between a client and a server.
    pub fn between(client: SocketAddr, server: SocketAddr) -> Packets {
        // A packet has addresses of one family.
        let server = match client.is_ipv4() == server.is_ipv4() {
            true => server,
            false => SocketAddr::new(client.ip(), server.port()),
        };
        Packets { ends: [client, server], next: [1000, 5000] }
    }
}

impl<W: Write> Pcap<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The writer's.
    pub fn new(mut out: W) -> io::Result<Pcap<W>> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_le_bytes());
        header.extend(2_u16.to_le_bytes());
        header.extend(4_u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(LINKTYPE_RAW.to_le_bytes());
        out.write_all(&header)?;
        Ok(Pcap { out })
    }

    /// The handshake of a conversation; `at` is the time since 1970.
    ///
    /// # Errors
    /// The writer's.
    pub fn open(&mut self, packets: &mut Packets, at: Duration) -> io::Result<()> {
        self.packet(packets, 0, SYN, &[], at)?;
        packets.next[0] = packets.next[0].wrapping_add(1);
        self.packet(packets, 1, SYN | ACK, &[], at)?;
        packets.next[1] = packets.next[1].wrapping_add(1);
        self.packet(packets, 0, ACK, &[], at)
    }

    /// Bytes that the client sent, or the server.
    ///
    /// # Errors
    /// The writer's.
    pub fn data(&mut self, packets: &mut Packets, from_client: bool, bytes: &[u8], at: Duration) -> io::Result<()> {
        let end = usize::from(!from_client);
        for piece in bytes.chunks(PAYLOAD) {
            self.packet(packets, end, ACK | PSH, piece, at)?;
            packets.next[end] = packets.next[end].wrapping_add(piece.len() as u32);
        }
        Ok(())
    }

    /// The end of what one of them sends: in order, or a reset.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(&mut self, packets: &mut Packets, from_client: bool, reset: bool, at: Duration) -> io::Result<()> {
        let end = usize::from(!from_client);
        self.packet(packets, end, if reset { RST | ACK } else { FIN | ACK }, &[], at)?;
        packets.next[end] = packets.next[end].wrapping_add(1);
        Ok(())
    }

    /// Passes on what may still be kept.
    ///
    /// # Errors
    /// The writer's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn packet(&mut self, packets: &Packets, end: usize, flags: u8, payload: &[u8], at: Duration) -> io::Result<()> {
        let (source, destination) = (packets.ends[end], packets.ends[1 - end]);
        let mut tcp = Vec::with_capacity(20);
        tcp.extend(source.port().to_be_bytes());
        tcp.extend(destination.port().to_be_bytes());
        tcp.extend(packets.next[end].to_be_bytes());
        let acknowledged = if flags & ACK == 0 { 0 } else { packets.next[1 - end] };
        tcp.extend(acknowledged.to_be_bytes());
        // Five words of header, the flags, a window of 65,535, a checksum to come, nothing urgent.
        tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let ip = ip_header(source.ip(), destination.ip(), (tcp.len() + payload.len()) as u16);
        let pseudo = pseudo_header(source.ip(), destination.ip(), (tcp.len() + payload.len()) as u32);
        let sum = checksum(&[&pseudo, &tcp, payload]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let length = (ip.len() + tcp.len() + payload.len()) as u32;
        let mut record = Vec::with_capacity(16 + ip.len() + tcp.len());
        // Seconds since 1970 end in 2106.
        record.extend((at.as_secs() as u32).to_le_bytes());
        record.extend(at.subsec_nanos().to_le_bytes());
        record.extend(length.to_le_bytes());
        record.extend(length.to_le_bytes());
        record.extend(ip);
        record.extend(tcp);
        self.out.write_all(&record)?;
        self.out.write_all(payload)
    }
}

fn ip_header(source: IpAddr, destination: IpAddr, length: u16) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend([0x45, 0]);
            header.extend((20 + length).to_be_bytes());
            // No fragment, 64 hops, TCP, a checksum to come.
            header.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (source, destination) => {
            header.extend([0x60, 0, 0, 0]);
            header.extend(length.to_be_bytes());
            header.extend([6, 64]);
            header.extend(six(source));
            header.extend(six(destination));
        }
    }
    header
}

fn six(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// What TCP's checksum covers beside the segment (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(source: IpAddr, destination: IpAddr, length: u32) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        (source, destination) => {
            header.extend(six(source));
            header.extend(six(destination));
        }
    }
    header.extend([0, 6]);
    header.extend((length as u16).to_be_bytes());
    header
}

/// The Internet's checksum (RFC 1071). All parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        let mut pairs = part.chunks_exact(2);
        sum += pairs.by_ref().map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u64>();
        sum += pairs.remainder().first().map_or(0, |last| u64::from(*last) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(client: &str, server: &str) -> Vec<u8> {
        let mut file = Vec::new();
        let mut pcap = Pcap::new(&mut file).expect("a vector takes it");
        let mut packets = Packets::between(client.parse().expect("an address"), server.parse().expect("an address"));
        let at = Duration::new(1_700_000_000, 5);
        pcap.open(&mut packets, at).expect("written");
        pcap.data(&mut packets, true, b"hello", at).expect("written");
        pcap.end(&mut packets, false, false, at).expect("written");
        file
    }

    #[test]
    fn packets_carry_bytes_numbers_and_checksums() {
        let file = written("10.0.0.1:1111", "10.0.0.2:2222");
        assert_eq!(&file[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        // Behind the file's header and the three packets of the handshake.
        let record = &file[24 + 3 * (16 + 40)..][..16 + 45];
        assert_eq!(&record[..4], 1_700_000_000_u32.to_le_bytes());
        let (ip, tcp) = (&record[16..36], &record[36..]);
        assert_eq!(checksum(&[ip]), 0);
        assert_eq!(checksum(&[&pseudo_header([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 25), tcp]), 0);
        assert_eq!((&tcp[4..8], &tcp[20..]), (&1001_u32.to_be_bytes()[..], &b"hello"[..]));
        let last = &file[file.len() - 40..];
        assert_eq!((last[20 + 13], &last[20 + 8..20 + 12]), (FIN | ACK, &1006_u32.to_be_bytes()[..]));
    }

    #[test]
    fn addresses_of_two_families_become_one() {
        let file = written("[::1]:1111", "127.0.0.1:2222");
        assert_eq!(file[24 + 16] >> 4, 6);
    }
}
