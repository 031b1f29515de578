//! Packets out of pcap and pcapng files (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

use std::io::{ErrorKind, Read};

use super::CaptureError;

/// More than this no capture program writes for a packet: libpcap's own limit.
const MOST: u64 = 262_144;
/// The most interfaces of a section.
const INTERFACES: usize = 65_536;

/// A packet as it was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the file, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured, in nanoseconds since 1970; 0 where the file doesn't say.
    pub time: u64,
    /// The link layer's type (tcpdump.org/linktypes.html).
    pub link: u32,
    /// The bytes that were captured, which may be fewer than were on the wire.
    pub data: Vec<u8>,
}

/// The packets of a file, in order.
pub struct Packets<R> {
    input: R,
    at: u64,
    number: u64,
    format: Format,
}

enum Format {
    Pcap {
        swapped: bool,
        nanos: bool,
        link: u32,
    },
    /// The byte order and the interfaces of the current section: link type and time units a second.
    PcapNg {
        swapped: bool,
        interfaces: Vec<(u32, u64)>,
    },
}

/// How a read ended.
enum Got {
    All,
    /// The file ended before the first byte.
    Nothing,
    /// The file ended in the middle.
    Some,
}

impl<R: Read> Packets<R> {
    /// Reads the file's header.
    ///
    /// # Errors
    /// It is no capture, or can't be read.
    pub fn open(input: R) -> Result<Packets<R>, CaptureError> {
        let format = Format::PcapNg { swapped: false, interfaces: Vec::new() };
        let mut packets = Packets { input, at: 0, number: 0, format };
        let mut magic = [0; 4];
        if !matches!(packets.fill(&mut magic)?, Got::All) {
            return Err(CaptureError::NotACapture { what: "it has fewer than 4 bytes".into() });
        }
        match magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => packets.section()?,
            [0xd4, 0xc3, 0xb2, 0xa1] => packets.pcap(true, false)?,
            [0xa1, 0xb2, 0xc3, 0xd4] => packets.pcap(false, false)?,
            [0x4d, 0x3c, 0xb2, 0xa1] => packets.pcap(true, true)?,
            [0xa1, 0xb2, 0x3c, 0x4d] => packets.pcap(false, true)?,
            [a, b, c, d] => {
                let start = format!("{a:02x} {b:02x} {c:02x} {d:02x}");
                let what = format!("it begins with {start}, as neither pcap nor pcapng does; tcpdump -w makes one");
                return Err(CaptureError::NotACapture { what });
            }
        }
        Ok(packets)
    }

    /// The next packet; `None` at the file's end.
    ///
    /// # Errors
    /// The file is damaged or cut there: nothing behind it can be read.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        match &self.format {
            Format::Pcap { swapped, nanos, link } => {
                let (swapped, nanos, link) = (*swapped, *nanos, *link);
                self.next_pcap(swapped, nanos, link)
            }
            Format::PcapNg { .. } => self.next_block(),
        }
    }

    fn pcap(&mut self, swapped: bool, nanos: bool) -> Result<(), CaptureError> {
        let mut rest = [0; 20];
        if !matches!(self.fill(&mut rest)?, Got::All) {
            return Err(CaptureError::NotACapture { what: "its header is cut".into() });
        }
        // The upper bits of the link type say something about checksums.
        let link = u32_at(&rest, 16, swapped) & 0x0fff_ffff;
        self.format = Format::Pcap { swapped, nanos, link };
        Ok(())
    }

    fn next_pcap(&mut self, swapped: bool, nanos: bool, link: u32) -> Result<Option<Packet>, CaptureError> {
        let at = self.at;
        let mut head = [0; 16];
        match self.fill(&mut head)? {
            Got::All => {}
            Got::Nothing => return Ok(None),
            Got::Some => return Err(self.cut()),
        }
        let (seconds, fraction) = (u32_at(&head, 0, swapped), u32_at(&head, 4, swapped));
        let length = u32_at(&head, 8, swapped);
        let fraction = u64::from(fraction) * if nanos { 1 } else { 1000 };
        let data = self.take(length.into(), at)?;
        self.number += 1;
        let time = u64::from(seconds) * 1_000_000_000 + fraction;
        Ok(Some(Packet { number: self.number, time, link, data }))
    }

    /// Reads what follows a section header's type.
    fn section(&mut self) -> Result<(), CaptureError> {
        let mut head = [0; 8];
        if !matches!(self.fill(&mut head)?, Got::All) {
            return Err(CaptureError::NotACapture { what: "its section header is cut".into() });
        }
        let swapped = match head[4..] {
            [0x1a, 0x2b, 0x3c, 0x4d] => false,
            [0x4d, 0x3c, 0x2b, 0x1a] => true,
            _ => return Err(CaptureError::NotACapture { what: "a section without its byte-order magic".into() }),
        };
        let length = u64::from(u32_at(&head, 0, swapped));
        self.format = Format::PcapNg { swapped, interfaces: Vec::new() };
        self.skip(length.saturating_sub(12))
    }

    fn next_block(&mut self) -> Result<Option<Packet>, CaptureError> {
        loop {
            let at = self.at;
            let mut kind = [0; 4];
            match self.fill(&mut kind)? {
                Got::All => {}
                Got::Nothing => return Ok(None),
                Got::Some => return Err(self.cut()),
            }
            if kind == [0x0a, 0x0d, 0x0d, 0x0a] {
                self.section()?;
                continue;
            }
            let mut length = [0; 4];
            if !matches!(self.fill(&mut length)?, Got::All) {
                return Err(self.cut());
            }
            let Format::PcapNg { swapped, .. } = self.format else { return Ok(None) };
            let (kind, length) = (u32_at(&kind, 0, swapped), u64::from(u32_at(&length, 0, swapped)));
            if length < 12 || !length.is_multiple_of(4) {
                return Err(CaptureError::Length { packet: self.number + 1, at, claims: length });
            }
            // The length stands at the block's end once more.
            let inside = length - 12;
            if !matches!(kind, 1..=3 | 6) {
                self.skip(inside + 4)?;
                continue;
            }
            let body = self.take(inside, at)?;
            self.skip(4)?;
            if let Some(packet) = self.block(kind, &body, swapped) {
                return Ok(Some(packet));
            }
        }
    }

    fn block(&mut self, kind: u32, body: &[u8], swapped: bool) -> Option<Packet> {
        let word = |at: usize| body.get(at..at + 4).map(|_| u32_at(body, at, swapped));
        let Format::PcapNg { interfaces, .. } = &mut self.format else { return None };
        let cut =
            |from: usize, length: u32| body.get(from..).map(|rest| rest[..rest.len().min(length as usize)].to_vec());
        let (interface, stamp, data) = match kind {
            1 => {
                let link = word(0)? & 0xffff;
                let link = if swapped { link } else { word(0)? >> 16 };
                if interfaces.len() < INTERFACES {
                    interfaces.push((link, units(body.get(8..).unwrap_or(&[]), swapped)));
                }
                return None;
            }
            6 => (word(0)? as usize, (u64::from(word(4)?) << 32) | u64::from(word(8)?), cut(20, word(12)?)?),
            // The obsolete packet block: its interface has two bytes.
            2 => {
                let both = word(0)?;
                let interface = if swapped { both & 0xffff } else { both >> 16 };
                (interface as usize, (u64::from(word(4)?) << 32) | u64::from(word(8)?), cut(20, word(12)?)?)
            }
            _ => (0, 0, cut(4, word(0)?)?),
        };
        self.number += 1;
        let (link, units) = interfaces.get(interface).copied().unwrap_or((u32::MAX, 1_000_000));
        let time = (u128::from(stamp) * 1_000_000_000 / u128::from(units.max(1))) as u64;
        Some(Packet { number: self.number, time, link, data })
    }

    fn take(&mut self, length: u64, at: u64) -> Result<Vec<u8>, CaptureError> {
        if length > MOST {
            return Err(CaptureError::Length { packet: self.number + 1, at, claims: length });
        }
        let mut data = vec![0; length as usize];
        match self.fill(&mut data)? {
            Got::All => Ok(data),
            _ if length == 0 => Ok(data),
            _ => Err(self.cut()),
        }
    }

    fn skip(&mut self, length: u64) -> Result<(), CaptureError> {
        let mut left = length;
        let mut piece = [0; 4096];
        while left > 0 {
            let now = left.min(piece.len() as u64) as usize;
            if !matches!(self.fill(&mut piece[..now])?, Got::All) {
                return Err(self.cut());
            }
            left -= now as u64;
        }
        Ok(())
    }

    fn cut(&self) -> CaptureError {
        CaptureError::Cut { packet: self.number + 1, at: self.at }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<Got, CaptureError> {
        let mut done = 0;
        while done < bytes.len() {
            match self.input.read(&mut bytes[done..]) {
                Ok(0) => return Ok(if done == 0 { Got::Nothing } else { Got::Some }),
                Ok(count) => {
                    done += count;
                    self.at += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(CaptureError::Io { at: self.at, source }),
            }
        }
        Ok(Got::All)
    }
}

/// `swapped` is little-endian.
fn u32_at(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if swapped { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }
}

/// The time units a second that an interface's options name: microseconds unless said.
fn units(mut options: &[u8], swapped: bool) -> u64 {
    while let [a, b, c, d, rest @ ..] = options {
        let two = |bytes: [u8; 2]| if swapped { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        let (code, length) = (two([*a, *b]), usize::from(two([*c, *d])));
        match (code, rest) {
            (0, _) => break,
            (9, [power, ..]) if power & 0x80 == 0 => return 10u64.checked_pow(u32::from(*power)).unwrap_or(1_000_000),
            (9, [power, ..]) => return 1u64.checked_shl(u32::from(power & 0x7f)).unwrap_or(1_000_000),
            _ => options = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]),
        }
    }
    1_000_000
}
