//! TCP segments as they enter the wire.

use std::collections::HashMap;
use std::time::Duration;

use super::Side;

/// A TCP segment with payload, as it entered the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The host that sent it.
    pub from: Side,
    /// When it entered the wire, counted from the network's beginning.
    pub at: Duration,
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// The sequence number of the first payload byte.
    pub sequence: u32,
    /// Payload bytes, at least one.
    pub length: usize,
    /// How many of them had never been on the wire before.
    pub fresh: usize,
}

impl Segment {
    /// Whether every byte had been on the wire before: a retransmission.
    pub fn is_repeat(&self) -> bool {
        self.fresh == 0
    }
}

/// What entered so far, and which bytes of which flow.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) segments: Vec<Segment>,
    flows: HashMap<(Side, u16, u16), Seen>,
}

impl Record {
    /// Takes note of a packet that enters the wire, if it is a TCP segment with payload.
    pub(super) fn note(&mut self, from: Side, at: Duration, packet: &[u8]) {
        let Some(header) = Header::read(packet) else { return };
        let flow = (from, header.source, header.destination);
        if header.is_syn {
            // A new connection, maybe between the ports of an old one.
            self.flows.remove(&flow);
        }
        if header.length == 0 {
            return;
        }
        let Header { source, destination, sequence, length, .. } = header;
        let fresh = self.flows.entry(flow).or_insert_with(|| Seen::from(sequence)).add(sequence, length);
        self.segments.push(Segment { from, at, source, destination, sequence, length, fresh });
    }
}

/// What a [`Segment`] is made of (RFC 9293, section 3.1, inside RFC 791, section 3.1).
struct Header {
    source: u16,
    destination: u16,
    sequence: u32,
    is_syn: bool,
    length: usize,
}

impl Header {
    /// `None` for anything but the one packet of a whole TCP segment in IPv4.
    fn read(packet: &[u8]) -> Option<Header> {
        let short = |at: usize| packet.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        let is_fragment = short(6)? & 0x3fff != 0;
        if packet[0] >> 4 != 4 || *packet.get(9)? != 6 || is_fragment {
            return None;
        }
        let tcp = usize::from(packet[0] & 15) * 4;
        let data = tcp + usize::from(*packet.get(tcp + 12)? >> 4) * 4;
        let total = usize::from(short(2)?).min(packet.len());
        Some(Header {
            source: short(tcp)?,
            destination: short(tcp + 2)?,
            sequence: u32::from(short(tcp + 4)?) << 16 | u32::from(short(tcp + 6)?),
            is_syn: packet.get(tcp + 13)? & 2 != 0,
            length: total.checked_sub(data)?,
        })
    }
}

/// Which bytes of one direction of a connection have been on the wire.
#[derive(Debug)]
struct Seen {
    /// The newest byte's end, as a sequence number and as a position.
    newest: (u32, i64),
    /// Positions, from and to; apart from each other and in order.
    ranges: Vec<(i64, i64)>,
}

impl Seen {
    fn from(sequence: u32) -> Seen {
        Seen { newest: (sequence, 0), ranges: Vec::new() }
    }

    /// Adds a segment's bytes; says how many are new.
    fn add(&mut self, sequence: u32, length: usize) -> usize {
        // Sequence numbers wrap (RFC 9293, section 3.4): what matters is the distance, less than half of their space.
        let start = self.newest.1 + i64::from(sequence.wrapping_sub(self.newest.0).cast_signed());
        let end = start + length as i64;
        if end > self.newest.1 {
            self.newest = (sequence.wrapping_add(length as u32), end);
        }
        let before = self.total();
        self.insert(start, end);
        (self.total() - before) as usize
    }

    fn total(&self) -> i64 {
        self.ranges.iter().map(|(from, to)| to - from).sum()
    }

    fn insert(&mut self, mut from: i64, mut to: i64) {
        let first = self.ranges.partition_point(|range| range.1 < from);
        let after = self.ranges.partition_point(|range| range.0 <= to);
        if let [low, ..] = &self.ranges[first..after] {
            from = from.min(low.0);
        }
        if let [.., high] = &self.ranges[first..after] {
            to = to.max(high.1);
        }
        self.ranges.splice(first..after, [(from, to)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet with a TCP segment: a header of 20 bytes, one of 32, and the payload.
    fn packet(sequence: u32, flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 52 + payload];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(52 + payload as u16).to_be_bytes());
        packet[6] = 0x40;
        packet[9] = 6;
        packet[20..24].copy_from_slice(&[0x12, 0x34, 0, 80]);
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[32] = 8 << 4;
        packet[33] = flags;
        packet
    }

    fn fresh(packets: &[Vec<u8>]) -> Vec<usize> {
        let mut record = Record::default();
        packets.iter().for_each(|packet| record.note(Side::Near, Duration::ZERO, packet));
        record.segments.iter().map(|segment| segment.fresh).collect()
    }

    #[test]
    fn a_segment_is_read_from_its_packet() {
        let mut record = Record::default();
        record.note(Side::Far, Duration::from_millis(3), &packet(99, 0x18, 7));
        let expected = Segment {
            from: Side::Far,
            at: Duration::from_millis(3),
            source: 0x1234,
            destination: 80,
            sequence: 99,
            length: 7,
            fresh: 7,
        };
        assert_eq!(record.segments, [expected]);
    }

    #[test]
    fn what_is_no_segment_with_payload_is_let_go() {
        let whole = packet(1, 0x10, 5);
        let (mut udp, mut fragment, mut six) = (whole.clone(), whole.clone(), whole.clone());
        udp[9] = 17;
        fragment[7] = 1;
        six[0] = 0x60;
        assert_eq!(fresh(&[packet(1, 0x10, 0), udp, fragment, six, Vec::new()]), [0; 0]);
        assert_eq!(fresh(&(0..52).map(|end| whole[..end].to_vec()).collect::<Vec<_>>()), [0; 0]);
    }

    #[test]
    fn a_retransmission_has_nothing_new_and_a_partial_one_its_rest() {
        let sent = [(10, 5), (10, 5), (13, 4), (20, 2), (17, 3), (10, 12)].map(|(at, n)| packet(at, 0x10, n));
        assert_eq!(fresh(&sent), [5, 0, 2, 2, 3, 0]);
    }

    #[test]
    fn sequence_numbers_wrap_and_begin_anew_with_a_connection() {
        let sent = [packet(u32::MAX, 0x10, 4), packet(3, 0x10, 4), packet(u32::MAX, 0x10, 4), packet(9, 2, 0)];
        assert_eq!(fresh(&sent), [4, 4, 0]);
        let again = [packet(5, 0x10, 4), packet(4, 2, 0), packet(5, 0x10, 4)];
        assert_eq!(fresh(&again), [4, 4]);
    }
}
