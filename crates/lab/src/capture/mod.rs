//! Captures and dumps: packets from files, TCP streams from packets, bytes from hex dumps.
//!
//! Everything is read once, from front to back, in bounded memory, however large the file and whatever its lengths say.
//!
//! ```
//! use unglue_lab::capture::{Source, sniff};
//!
//! assert!(matches!(sniff(b"\xd4\xc3\xb2\xa1"), Source::Pcap));
//! assert!(matches!(sniff(b"00000000: 4745 5420  GET \n"), Source::Hex));
//! assert!(matches!(sniff(b"GET / HTTP/1.1\r\n"), Source::Raw));
//! ```

mod error;
mod hex;
mod link;
mod packets;
mod tcp;

pub use error::CaptureError;
pub use hex::{Side, read as read_hex};
pub use link::{Segment, segment};
pub use packets::{Packet, Packets};
pub use tcp::{Event, Flow, Streams, Tally};

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packets, in libpcap's format.
    Pcap,
    /// Packets, in blocks.
    PcapNg,
    /// Bytes written as text.
    Hex,
    /// The bytes themselves.
    Raw,
}

/// Tells the kind by the file's first bytes: a few KiB, or all of it.
pub fn sniff(first: &[u8]) -> Source {
    match first {
        [0xd4, 0xc3, 0xb2, 0xa1, ..] | [0xa1, 0xb2, 0xc3, 0xd4, ..] => Source::Pcap,
        [0x4d, 0x3c, 0xb2, 0xa1, ..] | [0xa1, 0xb2, 0x3c, 0x4d, ..] => Source::Pcap,
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => Source::PcapNg,
        _ if hex::looks(first) => Source::Hex,
        _ => Source::Raw,
    }
}

/// Reads a capture to its end, and gives what each segment brought. Gives the number of packets.
///
/// # Errors
/// It is no capture, or damaged or cut somewhere: what came before that was given.
pub fn follow(
    input: impl std::io::Read,
    streams: &mut Streams,
    mut give: impl FnMut(&[Flow], Event<'_>),
) -> Result<u64, CaptureError> {
    let mut packets = Packets::open(input)?;
    let mut count = 0;
    let mut events: Vec<(usize, u64, u64, Option<Vec<u8>>)> = Vec::new();
    let result = loop {
        match packets.next() {
            Ok(Some(packet)) => {
                count = packet.number;
                if let Some(segment) = segment(&packet) {
                    streams.take(packet.number, packet.time, &segment, &mut |event| events.push(owned(event)));
                }
            }
            Ok(None) => break Ok(count),
            Err(error) => break Err(error),
        }
        hand_over(&mut events, streams.flows(), &mut give);
    };
    streams.finish(&mut |event| events.push(owned(event)));
    hand_over(&mut events, streams.flows(), &mut give);
    result
}

fn owned(event: Event<'_>) -> (usize, u64, u64, Option<Vec<u8>>) {
    match event {
        Event::Data { stream, packet, time, bytes } => (stream, packet, time, Some(bytes.to_vec())),
        Event::Lost { stream, bytes } => (stream, bytes, 0, None),
    }
}

fn hand_over(
    events: &mut Vec<(usize, u64, u64, Option<Vec<u8>>)>,
    flows: &[Flow],
    give: &mut impl FnMut(&[Flow], Event<'_>),
) {
    for (stream, packet, time, bytes) in events.drain(..) {
        match &bytes {
            Some(bytes) => give(flows, Event::Data { stream, packet, time, bytes }),
            None => give(flows, Event::Lost { stream, bytes: packet }),
        }
    }
}
