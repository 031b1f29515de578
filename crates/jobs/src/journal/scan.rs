//! Reading a journal's file from its start to its end, whatever it holds.
//!
//! A record is accepted if its checksum is right, its tag is the file's and its number is the next one. At anything else the
//! reader looks for the next record of the file: what lies between is a gap. If there is none, the rest is the tail.

use std::io::{self, Read};

use super::record::{Frame, HEADER, Header, Line, PAYLOAD, PREFIX, is_beginning, is_plausible};

/// How much is read at once.
const CHUNK: usize = 4 << 20;
/// The longest record.
const RECORD: usize = PREFIX + PAYLOAD;

/// Bytes of a file that are not records; none, if records are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// Where they begin.
    pub(super) at: u64,
    /// How many they are.
    pub(super) bytes: u64,
}

/// How a file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    /// With a whole record.
    Whole,
    /// With the beginning of a record, or with zeros: writing it was interrupted.
    Torn(Gap),
    /// With something else.
    Damaged(Gap),
}

/// What a file was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// The file's tag; nothing if there is no whole record and no header.
    pub(super) tag: Option<u32>,
    /// Whether its header says that records are missing.
    pub(super) is_incomplete: bool,
    /// Where its last record ends.
    pub(super) end: u64,
    /// The number of the record that would follow.
    pub(super) next: u64,
    /// How many records were read.
    pub(super) records: u64,
    /// What lies before the last record and isn't one. The header counts, too.
    pub(super) gaps: Vec<Gap>,
    /// What lies behind the last record.
    pub(super) tail: Tail,
}

impl Scan {
    /// Whether there is damage, as opposed to a write that was interrupted.
    pub(super) fn is_damaged(&self) -> bool {
        !self.gaps.is_empty() || matches!(self.tail, Tail::Damaged(_))
    }
}

/// Reads a file, and gives each line to `take`.
///
/// # Errors
/// Those of reading. What a file holds is never an error.
pub(super) fn scan(reader: impl Read, mut take: impl FnMut(Line)) -> io::Result<Scan> {
    let mut accept = |frame: &Frame| frame.line().map(&mut take).is_ok();
    let mut window = Window { reader, buffer: Vec::new(), at: 0, base: 0, ended: false };
    let mut scan =
        Scan { tag: None, is_incomplete: false, end: 0, next: 1, records: 0, gaps: Vec::new(), tail: Tail::Whole };
    let start = window.rest()?;
    if let Some(header) = start.get(..HEADER).and_then(Header::decode) {
        (scan.tag, scan.is_incomplete) = (Some(header.tag), header.incomplete);
    }
    if start.is_empty() {
        // A file is made whole or not at all.
        scan.tail = Tail::Damaged(Gap { at: 0, bytes: 0 });
        return Ok(scan);
    }
    if scan.tag.is_some() {
        window.skip(HEADER);
        scan.end = window.offset();
    }
    read(window, scan, &mut accept)
}

/// Goes on where an earlier scan ended, with what was appended since. Gives each record to `take` as it is.
pub(super) fn scan_more(scan: Scan, reader: impl Read, mut take: impl FnMut(&Frame)) -> io::Result<Scan> {
    let window = Window { reader, buffer: Vec::new(), at: 0, base: scan.end, ended: false };
    read(window, scan, &mut |frame| {
        take(frame);
        true
    })
}

/// What takes a record, or says that it can't be read.
type Accept<'a> = &'a mut dyn FnMut(&Frame) -> bool;

fn read(mut window: Window<impl Read>, mut scan: Scan, accept: Accept) -> io::Result<Scan> {
    loop {
        if let Some(length) = next(window.rest()?, &mut scan, true, accept) {
            window.skip(length);
            scan.end = window.offset();
            continue;
        }
        let rest = window.rest()?;
        if rest.is_empty() {
            return Ok(scan);
        }
        let cut_short = scan.tag.is_some_and(|tag| is_beginning(rest, tag));
        let at = window.offset();
        let (found, zeros) = seek(&mut window, &mut scan, accept)?;
        let gap = Gap { at, bytes: window.offset() - at };
        let Some(length) = found else {
            scan.tail = match cut_short || (zeros && scan.tag.is_some()) {
                true => Tail::Torn(gap),
                false => Tail::Damaged(gap),
            };
            return Ok(scan);
        };
        scan.gaps.push(gap);
        window.skip(length);
        scan.end = window.offset();
    }
}

/// Looks for the next record, and gives its length. Nothing if there is none. Also: whether there were only zeros before it.
fn seek(window: &mut Window<impl Read>, scan: &mut Scan, accept: Accept) -> io::Result<(Option<usize>, bool)> {
    let mut zeros = true;
    loop {
        let rest = window.rest()?;
        if let Some(found) = next(rest, scan, false, accept) {
            return Ok((Some(found), zeros));
        }
        let Some(byte) = rest.first() else { return Ok((None, zeros)) };
        zeros &= *byte == 0;
        window.skip(1);
    }
}

/// Takes the record that the bytes begin with, if it is one of the file: the very next one, or, behind a gap, any later one.
/// Its length.
fn next(bytes: &[u8], scan: &mut Scan, very_next: bool, accept: Accept) -> Option<usize> {
    if scan.tag.is_some_and(|tag| !is_plausible(bytes, tag)) {
        return None;
    }
    let frame = Frame::at(bytes);
    let Frame::Whole { number, tag, length, .. } = frame else { return None };
    let expected = match very_next && scan.tag.is_some() {
        true => number == scan.next,
        false => number >= scan.next,
    };
    if !expected || scan.tag.is_some_and(|known| known != tag) || !accept(&frame) {
        return None;
    }
    scan.tag = Some(tag);
    scan.next = number + 1;
    scan.records += 1;
    Some(length)
}

/// The part of the file that is looked at.
struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where in the buffer the rest begins.
    at: usize,
    /// Where in the file the buffer begins.
    base: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    /// What follows: at least the longest record, unless the file ends before.
    fn rest(&mut self) -> io::Result<&[u8]> {
        if self.buffer.len() - self.at < RECORD && !self.ended {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
            let wanted = CHUNK as u64 + RECORD as u64 - self.buffer.len() as u64;
            self.ended = (self.reader.by_ref().take(wanted).read_to_end(&mut self.buffer)? as u64) < wanted;
        }
        Ok(&self.buffer[self.at..])
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }
}
