//! What the sender sends, and how records are taken out of a stream.

use std::fmt;

use super::RECORD_MAX;
use super::coding::{Body, number_at, put_bytes, put_number, put_signed};
use super::entry::{Entry, nanoseconds};
use crate::message::Time;

/// A BLAKE3 digest.
pub type Digest = [u8; 32];

/// What came is not a record that can stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// One record of the sender's stream. `D` is how bytes are held: borrowed by what is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// The first record: which machine this is (its boot id), so that a destination within the source is noticed.
    Begin {
        /// Bytes that no other running system has.
        machine: &'a [u8],
    },
    /// A directory's entries follow. Listings don't nest: a directory's own entries come before those of its directories.
    List {
        /// The directory's number.
        directory: u64,
    },
    /// One entry of the listing. Its number is one more than that of the entry before.
    Entry(Box<Entry>),
    /// More rules for the listing's directory and everything below it: the text of its `.gitignore`.
    Rules {
        /// As the file has it.
        text: &'a [u8],
    },
    /// The listing ends.
    EndList {
        /// Whether all of the directory could be read. Nothing is deleted in it otherwise.
        whole: bool,
    },
    /// A file's whole content, without holes.
    Whole {
        /// The entry's number.
        entry: u64,
        /// The time of the last modification, when the file was opened.
        modified: Time,
        /// The content's digest.
        digest: Digest,
        /// The content.
        data: &'a [u8],
    },
    /// A file's content begins.
    Open {
        /// The entry's number.
        entry: u64,
        /// The time of the last modification, when the file was opened.
        modified: Time,
        /// How many bytes will come, holes included.
        size: u64,
    },
    /// The next bytes of the open file.
    Data(&'a [u8]),
    /// A hole in the open file.
    Hole {
        /// Its length in bytes.
        length: u64,
    },
    /// The next bytes of the open file are these ones of the old file that the receiver has offered for it.
    Copy {
        /// Where they are in the old file.
        from: u64,
        /// How many they are.
        length: u64,
    },
    /// The open file's content is complete, or has to be discarded.
    Close {
        /// The digest of its data, and of each hole as eight bytes of its length, big endian, behind the word `hole`. `None`: the file
        /// changed or could not be read.
        digest: Option<Digest>,
    },
    /// A file's content comes on a stream of its own, as `Open`, `Data`, `Hole` and `Close`.
    Beside {
        /// The entry's number.
        entry: u64,
        /// The stream's number.
        stream: u64,
    },
    /// As [`Beside`](Record::Beside), for a receiver that may have the content, or a part of it. `Open` comes first, and then the sender
    /// waits for [`Have`](super::Answer::Have). If the receiver has nothing, the rest is as of `Beside`. Otherwise the parts come on the
    /// second stream, and then `Close` on the first one, with the digest of the plain content.
    Large {
        /// The entry's number.
        entry: u64,
        /// The number of the stream for `Open` and `Close`.
        stream: u64,
        /// The number of the stream for the parts: those of a [delta](crate::delta), or [blocks](crate::blocks).
        parts: u64,
    },
    /// The content that the receiver wants can't be sent.
    Missing {
        /// The entry's number.
        entry: u64,
    },
    /// Something of the source was not sent.
    Problem {
        /// A fault, in JSON. Its path is relative to the source.
        fault: &'a [u8],
    },
    /// All entries have been sent.
    Done {
        /// How many problems there were. Nothing is deleted unless there were none.
        problems: u64,
    },
}

const BEGIN: u8 = 1;
const LIST: u8 = 2;
const ENTRY: u8 = 3;
const RULES: u8 = 4;
const END_LIST: u8 = 5;
const WHOLE: u8 = 6;
const OPEN: u8 = 7;
const DATA: u8 = 8;
const HOLE: u8 = 9;
const CLOSE: u8 = 10;
const MISSING: u8 = 12;
const PROBLEM: u8 = 13;
const DONE: u8 = 14;
const COPY: u8 = 16;

impl<'a> Record<'a> {
    /// The kind of [`Beside`](Record::Beside).
    pub const BESIDE: u8 = 11;
    /// The kind of [`Large`](Record::Large).
    pub const LARGE: u8 = 15;

    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            // The common ones without a second buffer.
            Record::Data(data) => framed_whole(out, DATA, data),
            Record::Whole { entry, modified, digest, data } => {
                let mut head = Vec::with_capacity(64);
                put_number(&mut head, *entry);
                put_time(&mut head, *modified);
                head.extend_from_slice(digest);
                out.push(WHOLE);
                put_number(out, (head.len() + data.len()) as u64);
                out.extend_from_slice(&head);
                out.extend_from_slice(data);
            }
            other => {
                let mut body = Vec::with_capacity(96);
                let kind = other.encode_body(&mut body);
                framed_whole(out, kind, &body);
            }
        }
    }

    fn encode_body(&self, body: &mut Vec<u8>) -> u8 {
        match self {
            Record::Begin { machine } => body.extend_from_slice(machine),
            Record::List { directory } => put_number(body, *directory),
            Record::Entry(entry) => entry.encode(body),
            Record::Rules { text } => body.extend_from_slice(text),
            Record::EndList { whole } => body.push(u8::from(*whole)),
            Record::Whole { .. } | Record::Data(_) => {}
            Record::Open { entry, modified, size } => {
                put_number(body, *entry);
                put_time(body, *modified);
                put_number(body, *size);
            }
            Record::Hole { length } => put_number(body, *length),
            Record::Copy { from, length } => {
                put_number(body, *from);
                put_number(body, *length);
            }
            Record::Close { digest } => body.extend_from_slice(digest.as_ref().map_or(&[][..], |digest| &digest[..])),
            Record::Beside { entry, stream } => {
                put_number(body, *entry);
                put_number(body, *stream);
            }
            Record::Large { entry, stream, parts } => {
                put_number(body, *entry);
                put_number(body, *stream);
                put_number(body, *parts);
            }
            Record::Missing { entry } => put_number(body, *entry),
            Record::Problem { fault } => body.extend_from_slice(fault),
            Record::Done { problems } => put_number(body, *problems),
        }
        self.kind()
    }

    fn kind(&self) -> u8 {
        match self {
            Record::Begin { .. } => BEGIN,
            Record::List { .. } => LIST,
            Record::Entry(_) => ENTRY,
            Record::Rules { .. } => RULES,
            Record::EndList { .. } => END_LIST,
            Record::Whole { .. } => WHOLE,
            Record::Open { .. } => OPEN,
            Record::Data(_) => DATA,
            Record::Hole { .. } => HOLE,
            Record::Copy { .. } => COPY,
            Record::Close { .. } => CLOSE,
            Record::Beside { .. } => Record::BESIDE,
            Record::Large { .. } => Record::LARGE,
            Record::Missing { .. } => MISSING,
            Record::Problem { .. } => PROBLEM,
            Record::Done { .. } => DONE,
        }
    }

    /// Reads a record's body.
    ///
    /// # Errors
    /// It isn't one.
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Record<'a>, Malformed> {
        let mut body = Body(bytes);
        let record = match kind {
            BEGIN => Record::Begin { machine: body.rest() },
            LIST => Record::List { directory: body.number()? },
            ENTRY => return Ok(Record::Entry(Box::new(Entry::decode(bytes)?))),
            RULES => Record::Rules { text: body.rest() },
            END_LIST => Record::EndList { whole: body.byte()? != 0 },
            WHOLE => Record::Whole {
                entry: body.number()?,
                modified: time(&mut body)?,
                digest: digest(body.take(32)?)?,
                data: body.rest(),
            },
            OPEN => Record::Open { entry: body.number()?, modified: time(&mut body)?, size: body.number()? },
            DATA => Record::Data(body.rest()),
            HOLE => Record::Hole { length: body.number()? },
            COPY => Record::Copy { from: body.number()?, length: body.number()? },
            CLOSE if bytes.is_empty() => Record::Close { digest: None },
            CLOSE => Record::Close { digest: Some(digest(body.take(32)?)?) },
            Record::BESIDE => Record::Beside { entry: body.number()?, stream: body.number()? },
            Record::LARGE => Record::Large { entry: body.number()?, stream: body.number()?, parts: body.number()? },
            MISSING => Record::Missing { entry: body.number()? },
            PROBLEM => Record::Problem { fault: body.rest() },
            DONE => Record::Done { problems: body.number()? },
            _ => return Err(Malformed("a record of an unknown kind")),
        };
        body.end()?;
        Ok(record)
    }
}

fn put_time(out: &mut Vec<u8>, time: Time) {
    put_signed(out, time.seconds);
    put_number(out, u64::from(time.nanoseconds));
}

fn time(body: &mut Body<'_>) -> Result<Time, Malformed> {
    Ok(Time { seconds: body.signed()?, nanoseconds: nanoseconds(body.number()?)? })
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes.try_into().map_err(|_| Malformed("a digest of another length than 32 bytes"))
}

pub(super) fn framed_whole(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    put_bytes(out, body);
}

/// The bytes before a record's body: its kind and its length. The first so many bytes of the array count.
pub fn frame(kind: u8, length: usize) -> ([u8; 11], usize) {
    let mut head = Vec::with_capacity(11);
    head.push(kind);
    put_number(&mut head, length as u64);
    let mut bytes = [0; 11];
    bytes[..head.len()].copy_from_slice(&head);
    (bytes, head.len())
}

/// Takes records out of a stream's bytes, in any chunks.
#[derive(Debug, Default)]
pub struct Records {
    /// A record that isn't whole yet, with its head.
    partial: Vec<u8>,
    /// Whether `partial` was given out, and has to be emptied.
    given: bool,
}

impl Records {
    /// The next record in what came before and in `input`, from whose front it takes what it uses: kind and body. `None`: `input` is
    /// used up.
    ///
    /// # Errors
    /// A record is longer than [`RECORD_MAX`]. Final.
    pub fn next<'r, 'i: 'r>(&'r mut self, input: &mut &'i [u8]) -> Result<Option<(u8, &'r [u8])>, Malformed> {
        if std::mem::take(&mut self.given) {
            self.partial.clear();
        }
        if self.partial.is_empty() {
            match head(input)? {
                Some((from, to)) if to <= input.len() => {
                    let (record, rest) = input.split_at(to);
                    *input = rest;
                    return Ok(Some((record[0], &record[from..])));
                }
                _ => {}
            }
        }
        // The record continues in what comes next. Its head is taken byte by byte: its length isn't known.
        loop {
            match head(&self.partial)? {
                Some((from, to)) => {
                    let missing = (to - self.partial.len()).min(input.len());
                    let (front, rest) = input.split_at(missing);
                    self.partial.extend_from_slice(front);
                    *input = rest;
                    if self.partial.len() < to {
                        return Ok(None);
                    }
                    self.given = true;
                    return Ok(Some((self.partial[0], &self.partial[from..])));
                }
                None => {
                    let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
                    self.partial.push(byte);
                    *input = rest;
                }
            }
        }
    }

    /// Whether everything that came was whole records.
    pub fn is_between(&self) -> bool {
        self.partial.is_empty() || self.given
    }
}

/// Where the body begins and ends; `None` if the head isn't whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(rest) = bytes.get(1..) else { return Ok(None) };
    let Some((length, taken)) = number_at(rest)? else { return Ok(None) };
    match usize::try_from(length) {
        Ok(length) if length <= RECORD_MAX => Ok(Some((1 + taken, 1 + taken + length))),
        _ => Err(Malformed("a record of more than 1 MiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use proptest::prelude::*;

    fn samples() -> Vec<Record<'static>> {
        let mut entry = Entry::new(Kind::File, b"a\xff".to_vec());
        entry.mode = 0o6755;
        entry.modified = Time { seconds: -3, nanoseconds: 7 };
        entry.size = 1 << 40;
        entry.owner = Some((0, 1000));
        entry.same = Some(3);
        entry.digest = Some([7; 32]);
        entry.attributes = vec![(b"user.a".to_vec(), vec![0, 1, 2])];
        let mut link = Entry::new(Kind::Link, b"l".to_vec());
        link.target = b"../x".to_vec();
        let mut directory = Entry::new(Kind::Directory, b".".to_vec());
        directory.id = (5, 6);
        let modified = Time { seconds: 9, nanoseconds: 0 };
        vec![
            Record::Begin { machine: b"0123" },
            Record::List { directory: 0 },
            Record::Entry(Box::new(entry)),
            Record::Entry(Box::new(link)),
            Record::Entry(Box::new(directory)),
            Record::Rules { text: b"*.o\n" },
            Record::EndList { whole: true },
            Record::Whole { entry: 1, modified, digest: [1; 32], data: b"content" },
            Record::Open { entry: 300, modified, size: 70_000 },
            Record::Data(&[9; 500]),
            Record::Hole { length: 1 << 35 },
            Record::Copy { from: 1 << 20, length: 70_000 },
            Record::Close { digest: Some([2; 32]) },
            Record::Close { digest: None },
            Record::Beside { entry: 4, stream: 11 },
            Record::Large { entry: 5, stream: 15, parts: 19 },
            Record::Missing { entry: 4 },
            Record::Problem { fault: b"{}" },
            Record::Done { problems: 2 },
        ]
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same_records(cuts in proptest::collection::vec(1usize..97, 1..200)) {
            let mut wire = Vec::new();
            samples().iter().for_each(|record| record.encode(&mut wire));
            let (mut records, mut seen, mut rest) = (Records::default(), 0, wire.as_slice());
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                rest = after;
                let mut input = chunk;
                while let Some((kind, body)) = records.next(&mut input).unwrap() {
                    prop_assert_eq!(&Record::decode(kind, body).unwrap(), &samples()[seen]);
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, samples().len());
            prop_assert!(records.is_between());
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let (mut records, mut input) = (Records::default(), bytes.as_slice());
            while let Ok(Some((kind, body))) = records.next(&mut input) {
                let _ = Record::decode(kind, body);
            }
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in [&b""[..], b"..", b"a/b", b"/", b"a\0", b"../x"] {
            let mut wire = Vec::new();
            Record::Entry(Box::new(Entry::new(Kind::File, name.to_vec()))).encode(&mut wire);
            let mut input = wire.as_slice();
            let mut records = Records::default();
            let (kind, body) = records.next(&mut input).unwrap().unwrap();
            assert!(Record::decode(kind, body).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_long_record_is_refused_before_its_bytes_have_come() {
        let mut wire = vec![DATA];
        put_number(&mut wire, RECORD_MAX as u64 + 1);
        assert!(Records::default().next(&mut wire.as_slice()).is_err());
    }
}
