//! One direction through the tap: read, pass on, tell.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use unglue_frame::{Deframer, Frame, Framing, Part};

use super::{Event, Happened, Message, Shared, Skipped, Totals};
use crate::torture::Towards;

/// How much is read at once.
const READ: usize = 128 << 10;
/// How much of a read, and of a message, is shown where not all is.
const SHOWN: usize = 64;
/// How many messages of a read are shown there.
const MESSAGES: usize = 8;

pub(super) struct Lane<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) connection: u64,
    pub(super) towards: Towards,
    pub(super) totals: Totals,
    decoder: Option<Deframer>,
    /// What was left out since the last event.
    skipped: Skipped,
}

/// What a read's bytes came to.
#[derive(Default)]
struct Decoded {
    messages: Vec<Message>,
    count: u64,
    cut: u64,
    merged: u64,
    unfinished: u64,
    error: Option<String>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        shared: &'a Shared<'a>,
        connection: u64,
        towards: Towards,
        framing: Option<&Framing>,
    ) -> Lane<'a> {
        let decoder = framing.map(|framing| Deframer::new(framing.clone()));
        Lane { shared, connection, towards, totals: Totals::default(), decoder, skipped: Skipped::default() }
    }

    /// Carries bytes until one of both ends.
    pub(super) fn run(mut self, mut from: &TcpStream, mut to: &TcpStream) -> Totals {
        let mut buffer = vec![0; READ];
        let broken = loop {
            match from.read(&mut buffer) {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    break None;
                }
                Ok(n) => {
                    // Told before it goes on: what answers it is told after it.
                    self.tell(&buffer[..n], Instant::now());
                    if let Err(error) = to.write_all(&buffer[..n]) {
                        let _ = from.shutdown(Shutdown::Both);
                        break Some(format!("the {} takes no more: {error}", self.towards.other().sender()));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    pass_reset_on(to);
                    break Some(error.to_string());
                }
            }
        };
        let at = Instant::now();
        self.shared.capture(self.connection, at, |pcap, packets, at| {
            pcap.end(packets, self.towards == Towards::Server, broken.is_some(), at)
        });
        let skipped = std::mem::take(&mut self.skipped);
        self.shared.must_send(Event {
            at,
            connection: self.connection,
            what: Happened::Ended { towards: self.towards, broken, skipped },
        });
        self.totals
    }

    fn tell(&mut self, bytes: &[u8], at: Instant) {
        let offset = self.totals.bytes;
        self.totals.reads += 1;
        self.totals.bytes += bytes.len() as u64;
        let decoded = self.decode(bytes, offset);
        self.totals.messages += decoded.count;
        self.totals.cut += decoded.cut;
        self.totals.merged += decoded.merged;
        self.shared.capture(self.connection, at, |pcap, packets, at| {
            pcap.data(packets, self.towards == Towards::Server, bytes, at)
        });
        let shown = if self.shared.complete { bytes } else { &bytes[..bytes.len().min(SHOWN)] };
        let what = Happened::Read {
            towards: self.towards,
            offset,
            bytes: bytes.len() as u64,
            start: shown.to_vec(),
            segments: None,
            messages: decoded.messages,
            message_count: decoded.count,
            unfinished: decoded.unfinished,
            error: decoded.error,
            skipped: self.skipped,
        };
        match self.shared.send(Event { at, connection: self.connection, what }) {
            true => self.skipped = Skipped::default(),
            false => {
                self.skipped.reads += 1;
                self.skipped.bytes += bytes.len() as u64;
                self.skipped.messages += decoded.count;
            }
        }
    }

    fn decode(&mut self, mut bytes: &[u8], from: u64) -> Decoded {
        let mut decoded = Decoded::default();
        let Some(decoder) = &mut self.decoder else { return decoded };
        let to = from + bytes.len() as u64;
        let most = if self.shared.complete { usize::MAX } else { MESSAGES };
        let mut failed = None;
        for frame in decoder.frames(&mut bytes) {
            match frame {
                Ok(frame) => {
                    let (start, end) = (frame.offset(), frame.offset() + frame.raw().len() as u64);
                    let (cut, merged) = (start < from, start > from || end < to);
                    decoded.count += u64::from(!matches!(frame.part(), Part::Piece { .. }));
                    decoded.cut += u64::from(cut);
                    decoded.merged += u64::from(merged);
                    if decoded.messages.len() < most {
                        decoded.messages.push(message(&frame, cut, merged, self.shared.complete));
                    }
                }
                Err(error) => {
                    failed = Some(error.to_string());
                    break;
                }
            }
        }
        decoded.unfinished = to.saturating_sub(decoder.offset());
        if failed.is_some() {
            // What follows can't be read either: it is told once.
            (self.decoder, decoded.unfinished) = (None, 0);
        }
        decoded.error = failed;
        decoded
    }
}

fn message(frame: &Frame<'_>, cut: bool, merged: bool, all: bool) -> Message {
    let shown = if all { frame.data() } else { &frame.data()[..frame.data().len().min(SHOWN)] };
    Message {
        offset: frame.offset(),
        bytes: frame.raw().len() as u64,
        fields: frame.fields().map(|(name, value)| (name.to_owned(), value)).collect(),
        data_bytes: frame.data().len() as u64,
        data: shown.to_vec(),
        cut,
        merged,
    }
}

/// Breaks a connection off as its other end was broken off.
fn pass_reset_on(to: &TcpStream) {
    let _ = socket2::SockRef::from(to).set_linger(Some(std::time::Duration::ZERO));
    let _: io::Result<()> = to.shutdown(Shutdown::Both);
}
