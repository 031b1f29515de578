//! Which segments a read was made of, where the system shows them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::kernel::packet;
use crate::stop::{Stop, Woken};

/// How many segments of a flow wait to be asked for.
const KEPT: usize = 4096;
/// How many flows are remembered.
const FLOWS: usize = 1024;
/// How long to wait for a segment whose bytes have been read already.
const LATE: Duration = Duration::from_millis(5);
const LOOK: Duration = Duration::from_millis(200);

/// A sender and a receiver.
pub(super) type Flow = (SocketAddr, SocketAddr);

/// The segments with payload of each flow towards this program.
#[derive(Debug)]
pub(super) struct Segments {
    socket: OwnedFd,
    flows: Mutex<HashMap<Flow, Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The sequence number behind the last byte.
    next: u32,
    /// The stream offset behind the last byte.
    end: u64,
    /// Offset and length.
    segments: VecDeque<(u64, u32)>,
}

impl Segments {
    /// Begins to listen for segments to port `to` or from port `from`.
    ///
    /// # Errors
    /// The system's; `EPERM` without root.
    pub(super) fn listen(to: u16, from: u16) -> io::Result<Segments> {
        Ok(Segments { socket: packet::packets(to, from)?, flows: Mutex::default() })
    }

    /// Takes note of segments until the tap ends.
    pub(super) fn run(&self, stop: &Stop) {
        while !stop.is_set() {
            self.take();
            let mut wanted = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            match Stop::wait(Some(stop), &mut wanted, Instant::now() + LOOK) {
                Ok(Woken::Ready | Woken::TimeUp) => {}
                Ok(Woken::Stopped) | Err(_) => return,
            }
        }
    }

    fn take(&self) {
        let mut buffer = [0; packet::HEADERS as usize];
        let mut flows = self.flows();
        while let Ok((length, incoming)) = packet::receive(&self.socket, &mut buffer) {
            if let (true, Some(header)) = (incoming, Header::read(&buffer[..length])) {
                note(&mut flows, &header);
            }
        }
    }

    fn flows(&self) -> MutexGuard<'_, HashMap<Flow, Seen>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lengths of the segments that held bytes of this range of a flow, and those before it are forgotten; `None` if they
    /// weren't seen.
    pub(super) fn of(&self, flow: Flow, from: u64, to: u64) -> Option<Vec<u32>> {
        let until = Instant::now() + LATE;
        loop {
            // Whoever asks may be ahead of the thread that listens.
            self.take();
            let mut flows = self.flows();
            let seen = flows.get_mut(&flow)?;
            if seen.end >= to || Instant::now() >= until {
                while seen.segments.front().is_some_and(|(at, length)| at + u64::from(*length) <= from) {
                    seen.segments.pop_front();
                }
                let inside = seen.segments.iter().take_while(|(at, _)| *at < to);
                let lengths: Vec<u32> = inside.map(|(_, length)| *length).collect();
                return (seen.end >= to && !lengths.is_empty()).then_some(lengths);
            }
            drop(flows);
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Forgets a flow that has ended.
    pub(super) fn forget(&self, flow: Flow) {
        self.flows().remove(&flow);
    }
}

fn note(flows: &mut HashMap<Flow, Seen>, header: &Header) {
    if header.is_syn {
        if flows.len() < FLOWS {
            flows.insert(header.flow, Seen { next: header.sequence.wrapping_add(1), ..Seen::default() });
        }
        return;
    }
    let Some(seen) = flows.get_mut(&header.flow) else { return };
    // One that was sent again has nothing new at its end.
    let ahead = header.sequence.wrapping_add(header.length).wrapping_sub(seen.next).cast_signed();
    if header.length == 0 || ahead <= 0 {
        return;
    }
    let start = seen.end + u64::from(ahead.cast_unsigned()) - u64::from(header.length.min(ahead.cast_unsigned()));
    seen.end += u64::from(ahead.cast_unsigned());
    seen.next = seen.next.wrapping_add(ahead.cast_unsigned());
    if seen.segments.len() == KEPT {
        seen.segments.pop_front();
    }
    seen.segments.push_back((start, header.length.min(ahead.cast_unsigned())));
}

/// What of a packet's headers is wanted (RFC 9293, section 3.1, inside RFC 791 or RFC 8200).
struct Header {
    flow: Flow,
    sequence: u32,
    is_syn: bool,
    length: u32,
}

impl Header {
    fn read(packet: &[u8]) -> Option<Header> {
        let short = |at: usize| packet.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        let (tcp, total, addresses): (usize, u32, [IpAddr; 2]) = match packet.first()? >> 4 {
            4 => {
                let ip = |at: usize| packet.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from);
                (usize::from(packet[0] & 15) * 4, u32::from(short(2)?), [ip(12)?, ip(16)?])
            }
            6 => {
                let ip =
                    |at: usize| packet.get(at..at + 16).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(IpAddr::from);
                (40, 40 + u32::from(short(4)?), [ip(8)?, ip(24)?])
            }
            _ => return None,
        };
        let data = tcp + usize::from(*packet.get(tcp + 12)? >> 4) * 4;
        let [source, destination] = addresses.map(|ip| ip.to_canonical());
        Some(Header {
            flow: (SocketAddr::new(source, short(tcp)?), SocketAddr::new(destination, short(tcp + 2)?)),
            sequence: u32::from(short(tcp + 4)?) << 16 | u32::from(short(tcp + 6)?),
            is_syn: packet.get(tcp + 13)? & 2 != 0,
            length: total.checked_sub(data as u32)?,
        })
    }
}

/// An address as packets have it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_by_their_place_in_the_stream() {
        let flow: Flow = ("10.0.0.1:1".parse().expect("one"), "10.0.0.2:2".parse().expect("one"));
        let mut flows = HashMap::new();
        let mut segment = |sequence: u32, length: u32, is_syn: bool| {
            note(&mut flows, &Header { flow, sequence, is_syn, length });
        };
        segment(u32::MAX - 2, 0, true);
        segment(u32::MAX - 1, 5, false);
        segment(u32::MAX - 1, 5, false);
        segment(3, 7, false);
        // One that brings three bytes again and two new ones.
        segment(7, 5, false);
        let seen = &flows[&flow];
        assert_eq!(seen.segments, [(0, 5), (5, 7), (12, 2)]);
        assert_eq!(seen.end, 14);
    }
}
