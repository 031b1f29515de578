//! What the journal's records say, and their bytes.

use std::io;

use serde::{Deserialize, Serialize};
use unglue_proto::Octets;
use unglue_proto::message::Time;
use unglue_proto::message::exec::{Lease, Report};

/// What a file begins with.
const MAGIC: &[u8; 16] = b"unglue journal\n\0";
/// This version of the format.
const VERSION: u32 = 1;
/// The bytes of a header: the magic, the version, the file's tag, whether it is incomplete, three zeros, the checksum of
/// all these.
pub(super) const HEADER: usize = 32;
/// The bytes before a payload: its length, and the checksum of length and payload.
pub(super) const PREFIX: usize = 8;
/// The bytes of a payload before its body: the running number, the file's tag, the kind.
const PROLOGUE: usize = 13;
/// The longest payload. Reports are the longest records; they hold texts of some hundreds of bytes.
pub(super) const PAYLOAD: usize = 1 << 20;
/// How much of a command is kept.
const COMMAND: usize = 4096;

/// One thing that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// An id is taken by a request. It is written before anything runs.
    Begun {
        /// Whose it is.
        user: String,
        /// The id.
        id: String,
        /// The digest of the request: the same id with another one is another request.
        #[serde(with = "hexadecimal")]
        digest: [u8; 32],
        /// When it came.
        time: Time,
        /// The fingerprint of the key that asked, if that key is restricted: such a key sees its own jobs only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The job's name, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The command, for lists; see [`shortened`].
        command: Vec<Octets>,
        /// The number of the job's directory, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<u64>,
        /// How long it may live without a holder.
        lease: Lease,
    },
    /// The command runs.
    Started {
        /// Whose it is.
        user: String,
        /// The id.
        id: String,
        /// The command's process.
        pid: u32,
        /// When.
        time: Time,
    },
    /// The command has ended, or will never start.
    Ended {
        /// Whose it was.
        user: String,
        /// The id.
        id: String,
        /// When.
        time: Time,
        /// How.
        report: Box<Report>,
    },
    /// It is certain that the command never started: the id is free again.
    NeverStarted {
        /// Whose it was.
        user: String,
        /// The id.
        id: String,
    },
    /// The job is not remembered any more, but its id must not run again.
    Forgotten {
        /// Whose it was.
        user: String,
        /// The id.
        id: String,
        /// When it was forgotten.
        time: Time,
    },
}

/// The first 4 KiB of a command, for [`Record::Begun`]. An argument `…` stands for what was left out.
pub fn shortened(command: &[Octets]) -> Vec<Octets> {
    let mut room = COMMAND;
    let mut kept = Vec::with_capacity(command.len().min(64));
    for argument in command {
        // An argument counts a few bytes more than it has: a list of empty ones has an end, too.
        let Some(rest) = room.checked_sub(argument.as_bytes().len() + 4) else {
            kept.push(Octets::from(cut(argument.as_bytes(), room)));
            kept.push(Octets::from("…"));
            return kept;
        };
        kept.push(argument.clone());
        room = rest;
    }
    kept
}

/// At most the first `room` bytes; in text, no character is cut in two.
fn cut(bytes: &[u8], room: usize) -> &[u8] {
    let room = room.min(bytes.len());
    match std::str::from_utf8(bytes) {
        Ok(text) => &bytes[..(0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)],
        Err(_) => &bytes[..room],
    }
}

/// One line of the file: a record, or what the journal notes for itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// Of a job.
    Record(Record),
    /// A process opened the journal.
    Opened(Opened),
    /// The process that had opened it has written its last record.
    Closed,
    /// Ids that are forgotten, by their hashes.
    Forgotten(Batch),
    /// UUIDv7 ids up to this time (milliseconds since the epoch) that are not known are forgotten.
    Horizon(u64),
}

/// Who opened a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    /// The journal's id from here on.
    pub(super) id: String,
    /// The machine's boot, as `/proc/sys/kernel/random/boot_id` names it; empty if it could not be read.
    pub(super) boot: String,
    /// The file's inode: a copy has another one.
    pub(super) inode: u64,
    /// When.
    pub(super) time: Time,
}

/// Ids that were forgotten at about the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// When the first of them was forgotten, in seconds since the epoch; the others were within an hour.
    pub(super) at: i64,
    /// The latest time in an UUIDv7 among them, in milliseconds; 0 if there is none.
    pub(super) latest: u64,
    /// Their hashes, the first forgotten first.
    pub(super) hashes: Vec<u64>,
}

/// A record's bytes are not those of a record of this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable;

impl Record {
    /// Appends the record's bytes, with their prefix.
    ///
    /// # Errors
    /// The payload would be longer than [`PAYLOAD`].
    pub(super) fn encode(&self, number: u64, tag: u32, into: &mut Vec<u8>) -> io::Result<()> {
        encode(number, tag, b'r', into, |into| Ok(serde_json::to_writer(into, self)?))
    }
}

impl Line {
    /// Appends the line's bytes, with their prefix.
    ///
    /// # Errors
    /// The payload would be longer than [`PAYLOAD`].
    pub(super) fn encode(&self, number: u64, tag: u32, into: &mut Vec<u8>) -> io::Result<()> {
        encode(number, tag, self.kind(), into, |into| {
            match self {
                Line::Record(record) => serde_json::to_writer(into, record)?,
                Line::Opened(opened) => serde_json::to_writer(into, opened)?,
                Line::Closed => {}
                Line::Forgotten(batch) => batch.encode(into),
                Line::Horizon(time) => into.extend_from_slice(&time.to_le_bytes()),
            }
            Ok(())
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Line::Record(_) => b'r',
            Line::Opened(_) => b'o',
            Line::Closed => b'c',
            Line::Forgotten(_) => b'f',
            Line::Horizon(_) => b'h',
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Line, Undecodable> {
        Ok(match kind {
            b'r' => Line::Record(serde_json::from_slice(body).map_err(|_| Undecodable)?),
            b'o' => Line::Opened(serde_json::from_slice(body).map_err(|_| Undecodable)?),
            b'c' if body.is_empty() => Line::Closed,
            b'f' => Line::Forgotten(Batch::decode(body).ok_or(Undecodable)?),
            b'h' => Line::Horizon(u64::from_le_bytes(body.try_into().map_err(|_| Undecodable)?)),
            _ => return Err(Undecodable),
        })
    }
}

fn encode(
    number: u64,
    tag: u32,
    kind: u8,
    into: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let start = into.len();
    into.extend_from_slice(&[0; PREFIX]);
    into.extend_from_slice(&number.to_le_bytes());
    into.extend_from_slice(&tag.to_le_bytes());
    into.push(kind);
    body(into)?;
    let payload = into.len() - start - PREFIX;
    if payload > PAYLOAD {
        into.truncate(start);
        let what = format!("a record of {payload} bytes; at most {PAYLOAD} can be written");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let length = (payload as u32).to_le_bytes();
    into[start..start + 4].copy_from_slice(&length);
    let sum = checksum(length, &into[start + PREFIX..]);
    into[start + 4..start + PREFIX].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

impl Batch {
    /// The times and the hashes, eight bytes each.
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.at.to_le_bytes());
        into.extend_from_slice(&self.latest.to_le_bytes());
        into.extend(self.hashes.iter().flat_map(|hash| hash.to_le_bytes()));
    }

    fn decode(body: &[u8]) -> Option<Batch> {
        let (words, rest) = body.as_chunks::<8>();
        let [at, latest, hashes @ ..] = words else { return None };
        rest.is_empty().then(|| Batch {
            at: i64::from_le_bytes(*at),
            latest: u64::from_le_bytes(*latest),
            hashes: hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect(),
        })
    }
}

/// What a header says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The file's tag.
    pub(super) tag: u32,
    /// Whether a job went on although it could not be recorded.
    pub(super) incomplete: bool,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..16].copy_from_slice(MAGIC);
        header[16..20].copy_from_slice(&VERSION.to_le_bytes());
        header[20..24].copy_from_slice(&self.tag.to_le_bytes());
        header[24] = u8::from(self.incomplete);
        let sum = crc32c::crc32c(&header[..28]);
        header[28..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Nothing, if it is not one of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
        let tag = u32::from_le_bytes(bytes.get(20..24)?.try_into().ok()?);
        let header = Header { tag, incomplete: *bytes.get(24)? == 1 };
        (header.encode() == bytes).then_some(header)
    }
}

/// Bytes that begin like a record.
pub(super) enum Frame<'a> {
    /// A whole record: its checksum is right.
    Whole { number: u64, tag: u32, kind: u8, body: &'a [u8], length: usize },
    /// The bytes end before the record does.
    Short,
    /// Not a record.
    Bad,
}

impl<'a> Frame<'a> {
    /// What these bytes begin with.
    pub(super) fn at(bytes: &'a [u8]) -> Frame<'a> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else { return Frame::Short };
        let [a, b, c, d, sum @ ..] = *prefix;
        let length = [a, b, c, d];
        let payload = u32::from_le_bytes(length) as usize;
        if !(PROLOGUE..=PAYLOAD).contains(&payload) {
            return Frame::Bad;
        }
        let Some(payload) = rest.get(..payload) else { return Frame::Short };
        if checksum(length, payload) != u32::from_le_bytes(sum) {
            return Frame::Bad;
        }
        let (Some((number, rest)), length) = (payload.split_first_chunk::<8>(), PREFIX + payload.len()) else {
            return Frame::Bad;
        };
        match rest {
            [a, b, c, d, kind, body @ ..] => {
                let (number, tag) = (u64::from_le_bytes(*number), u32::from_le_bytes([*a, *b, *c, *d]));
                Frame::Whole { number, tag, kind: *kind, body, length }
            }
            _ => Frame::Bad,
        }
    }

    /// Appends a whole record's bytes with another number and another file's tag.
    pub(super) fn copy(&self, number: u64, tag: u32, into: &mut Vec<u8>) -> io::Result<()> {
        let Frame::Whole { kind, body, .. } = self else { return Ok(()) };
        encode(number, tag, *kind, into, |into| {
            into.extend_from_slice(body);
            Ok(())
        })
    }

    /// The line in a whole record.
    pub(super) fn line(&self) -> Result<Line, Undecodable> {
        match self {
            Frame::Whole { kind, body, .. } => Line::decode(*kind, body),
            Frame::Short | Frame::Bad => Err(Undecodable),
        }
    }
}

/// Whether bytes may begin a record of the file with this tag; it costs less than a checksum.
pub(super) fn is_plausible(bytes: &[u8], tag: u32) -> bool {
    let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    (PROLOGUE..=PAYLOAD).contains(&length) && bytes.get(16..20).is_some_and(|there| there == tag.to_le_bytes())
}

/// Whether the bytes end before a record of the file with this tag does, and are its beginning as far as they tell.
pub(super) fn is_beginning(bytes: &[u8], tag: u32) -> bool {
    matches!(Frame::at(bytes), Frame::Short) && (bytes.len() < 20 || is_plausible(bytes, tag))
}

/// CRC-32C (RFC 3720, appendix B.4) of the length and the payload.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// A digest as 64 hexadecimal digits.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    const DIGITS: &[u8; 16] = b"0123456789abcdef";

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        serializer.serialize_str(str::from_utf8(&text).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a digest has 64 hexadecimal digits");
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(wrong()) };
        let mut digest = [0; 32];
        if pairs.len() != digest.len() {
            return Err(wrong());
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            let digit = |digit: &u8| char::from(*digit).to_digit(16).ok_or_else(wrong);
            *byte = (digit(high)? << 4 | digit(low)?) as u8;
        }
        Ok(digest)
    }
}
