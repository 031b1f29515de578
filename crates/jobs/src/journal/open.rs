//! Opening a journal: what its file says, what may have been lost, and what follows from that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::compaction::{self, Part};
use super::file::{Place, Writer, inode, random};
use super::record::{Line, Opened};
use super::scan::{Gap, Scan, Tail, scan};
use super::{Index, Retention, now};

/// So many damaged places are logged.
const TOLD: usize = 8;

/// A journal can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what} failed: {source}", path.display())]
pub struct JournalError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl JournalError {
    pub(super) fn new(path: PathBuf, what: &'static str, source: impl Into<io::Error>) -> JournalError {
        JournalError { path, what, source: source.into() }
    }

    /// What it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    pub fn io(&self) -> &io::Error {
        &self.source
    }
}

/// What the machine and the caller add to a file's content.
#[derive(Debug, Clone)]
pub(super) struct Circumstances {
    /// The machine's boot; empty if it isn't known.
    pub(super) boot: String,
    /// The least length of a file that is compacted.
    pub(super) least: u64,
}

impl Circumstances {
    pub(super) fn here() -> Circumstances {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Circumstances { boot: boot.trim().to_owned(), least: compaction::LEAST }
    }
}

/// An open journal.
pub(super) struct Open {
    pub(super) id: String,
    pub(super) writer: Writer,
    pub(super) index: Index,
    /// How long the file may become before it is compacted.
    pub(super) compact_at: u64,
}

/// What may have been lost, or why the journal isn't the one that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Records are missing, or can't be read.
    Damage,
    /// The last record was not written to its end.
    Torn,
    /// The machine went down while the journal was open.
    Crash,
    /// The file is a copy.
    Copy,
    /// A job went on although it could not be recorded.
    Record,
}

/// A file that was read.
struct Found {
    index: Index,
    scan: Scan,
    opened: Option<Opened>,
    closed: bool,
    inode: u64,
}

/// Opens the journal in a directory, or makes one.
pub(super) fn open(place: &Place, retention: Retention, here: &Circumstances) -> Result<Open, JournalError> {
    let failed = |what| move |errno: Errno| JournalError::new(place.path(), what, errno);
    place.discard_draft();
    let Some(file) = place.existing().map_err(failed("opening it"))? else {
        return replace(place, new_id(place)?, Index::new(retention), here);
    };
    let found = read(place, &file, retention)?;
    let lost = found.lost(&here.boot);
    report(place, &found, lost);
    let id = match (lost, &found.opened) {
        (None, Some(opened)) => opened.id.clone(),
        _ => new_id(place)?,
    };
    if found.scan.is_damaged() {
        let path = place.path();
        match place.keep_aside(&file) {
            Ok(kept) => tracing::warn!(event = "journal_kept", path = %path.display(), kept = %kept.display()),
            Err(error) => tracing::warn!(event = "journal_not_kept", path = %path.display(), %error),
        }
    }
    let (live, records) = (found.index.line_count() as u64, found.scan.records);
    let compacted = compaction::is_due(found.scan.end, live, records, here.least);
    match (found.scan.is_damaged() || found.scan.is_incomplete || compacted, found.scan.tag) {
        (false, Some(tag)) => go_on(place, file, tag, id, found, here),
        _ => replace(place, id, found.index, here),
    }
}

fn read(place: &Place, file: &File, retention: Retention) -> Result<Found, JournalError> {
    let failed = |what| move |error: io::Error| JournalError::new(place.path(), what, error);
    let inode = inode(file).map_err(|errno| JournalError::new(place.path(), "looking at it", errno))?;
    let (mut index, mut opened, mut closed) = (Index::new(retention), None, false);
    let scan = scan(Part::to_the_end(file), |line| {
        closed = line == Line::Closed;
        index.take(&line);
        if let Line::Opened(last) = line {
            opened = Some(last);
        }
    });
    let scan = scan.map_err(failed("reading it"))?;
    Ok(Found { index, scan, opened, closed, inode })
}

/// Goes on with the file that is there.
fn go_on(
    place: &Place,
    file: File,
    tag: u32,
    id: String,
    found: Found,
    here: &Circumstances,
) -> Result<Open, JournalError> {
    let failed = |what| move |error: io::Error| JournalError::new(place.path(), what, error);
    let Found { index, scan, inode, .. } = found;
    if scan.tail != Tail::Whole {
        rustix::fs::ftruncate(&file, scan.end).map_err(|e| failed("cutting its torn end off")(e.into()))?;
    }
    let mut writer = Writer::new(file, tag, scan.next, scan.end);
    writer.append(&opened(&id, inode, here)).map_err(failed("writing to it"))?;
    // Without this, a power cut could leave the clean end of the last process, and hide that records of this one are lost.
    let (file, length) = writer.file();
    rustix::fs::fdatasync(&*file).map_err(|errno| failed("syncing it")(errno.into()))?;
    writer.synced(&file, length);
    let live = length * index.line_count() as u64 / scan.records.max(1);
    Ok(Open { id, writer, index, compact_at: compaction::threshold(live, here.least) })
}

/// Writes a new file with what the index knows, and puts it in the place of the old one.
fn replace(place: &Place, id: String, index: Index, here: &Circumstances) -> Result<Open, JournalError> {
    let writer = compaction::write(place, &id, &index, here).and_then(|mut draft| {
        draft.sync()?;
        place.publish()?;
        place.sync()?;
        Ok(draft.into_writer())
    });
    let writer = writer.map_err(|error| {
        place.discard_draft();
        JournalError::new(place.path(), "writing a new file", error)
    })?;
    let compact_at = compaction::threshold(writer.file().1, here.least);
    Ok(Open { id, writer, index, compact_at })
}

/// The line with which a process begins.
pub(super) fn opened(id: &str, inode: u64, here: &Circumstances) -> Line {
    Line::Opened(Opened { id: id.to_owned(), boot: here.boot.clone(), inode, time: now() })
}

fn new_id(place: &Place) -> Result<String, JournalError> {
    let bytes: [u8; 16] =
        random().map_err(|errno| JournalError::new(place.path(), "asking for random bytes", errno))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

impl Found {
    /// What may be missing from the file.
    fn lost(&self, boot: &str) -> Option<Lost> {
        if self.scan.is_damaged() {
            return Some(Lost::Damage);
        }
        if self.scan.tail != Tail::Whole {
            return Some(Lost::Torn);
        }
        if self.scan.is_incomplete {
            return Some(Lost::Record);
        }
        match &self.opened {
            None => Some(Lost::Damage),
            Some(opened) if opened.inode != self.inode => Some(Lost::Copy),
            Some(opened) if !self.closed && (boot.is_empty() || opened.boot != boot) => Some(Lost::Crash),
            Some(_) => None,
        }
    }
}

/// Says what was found, and what it means.
fn report(place: &Place, found: &Found, lost: Option<Lost>) {
    let Some(lost) = lost else { return };
    let (path, gaps) = (place.path(), &found.scan.gaps);
    let path = path.display();
    for Gap { at, bytes } in gaps.iter().take(TOLD) {
        let meaning = "records here are damaged or missing; those before and after are kept";
        tracing::warn!(event = "journal_damaged", %path, offset = at, bytes, meaning);
    }
    if gaps.len() > TOLD {
        tracing::warn!(event = "journal_damaged", %path, places = gaps.len(), meaning = "it is damaged in more places");
    }
    match &found.scan.tail {
        Tail::Damaged(Gap { at, bytes }) => {
            let meaning = "the end is damaged; the records before it are kept";
            tracing::warn!(event = "journal_damaged", %path, offset = at, bytes, meaning);
        }
        Tail::Torn(Gap { at, bytes }) => {
            let meaning = "the last record was not written whole; it is cut off";
            tracing::warn!(event = "journal_torn", %path, offset = at, bytes, meaning);
        }
        Tail::Whole => {}
    }
    let why = match lost {
        Lost::Damage => "it was damaged, so that records may be missing",
        Lost::Torn => "its end was not written whole, so that the last records may be missing",
        Lost::Crash => "the machine went down while it was open, so that the last records may be missing",
        Lost::Record => "commands were run that could not be recorded",
        Lost::Copy => "it is a copy, and the original may have had more records",
    };
    let meaning = "commands that were asked for before, and are not in it, are not run again";
    tracing::warn!(event = "journal_new_id", %path, why, meaning);
}
