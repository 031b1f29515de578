//! Writing a shorter file that says the same.
//!
//! The new file is written beside the old one, synced, and renamed over it; then the directory is synced. A process or a
//! machine that dies at any of these steps leaves the old file or the new one under the journal's name, each of them whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file::{Draft, Place, Stopped, Writer, inode};
use super::open::{Circumstances, opened};
use super::scan::{Scan, Tail, scan, scan_more};
use super::{Index, Shared};

/// The least length of a file that is compacted.
pub(super) const LEAST: u64 = 1 << 20;
/// A file is compacted when it is so many times as long as it need be.
const TIMES: u64 = 4;
/// So little is left to the last piece, which is copied while no records can be appended.
const LAST_PIECE: u64 = 64 * 1024;
/// How many pieces are copied before it at most: those who append might be faster for ever.
const PIECES: usize = 8;

/// How long a file may become that need have this length.
pub(super) fn threshold(live: u64, least: u64) -> u64 {
    live.saturating_mul(TIMES).max(least)
}

/// Whether a file of this length is long enough, and has enough records that don't count any more.
pub(super) fn is_due(length: u64, live: u64, records: u64, least: u64) -> bool {
    length >= least && live.saturating_mul(TIMES) <= records
}

/// A new file with what an index knows. It is not synced, and has no name that counts.
pub(super) fn write(place: &Place, id: &str, index: &Index, here: &Circumstances) -> io::Result<Draft> {
    let mut draft = place.draft()?;
    let inode = inode(&draft.file)?;
    draft.add(&opened(id, inode, here))?;
    for line in index.snapshot() {
        draft.add(&line)?;
    }
    Ok(draft)
}

/// Starts a thread that compacts the file, if its length makes that due and nobody else does.
pub(super) fn start_if_due(shared: &Arc<Shared>, length: u64) {
    let at = shared.compact_at.load(Ordering::Relaxed);
    if length < at || shared.compact_at.compare_exchange(at, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let run = {
        let shared = shared.clone();
        move || run(&shared)
    };
    let mut compaction = shared.compaction();
    match std::thread::Builder::new().name("unglue-compact".into()).spawn(run) {
        Ok(thread) => *compaction = Some(thread),
        Err(error) => give_up(shared, &error),
    }
}

fn run(shared: &Shared) {
    match compact(shared) {
        Ok(compact_at) => shared.compact_at.store(compact_at, Ordering::Relaxed),
        Err(error) => {
            shared.place.discard_draft();
            give_up(shared, &error);
        }
    }
}

/// The journal goes on as it is. It is tried again when it is twice as long.
fn give_up(shared: &Shared, error: &io::Error) {
    let (_, length) = shared.writer().file();
    tracing::warn!(event = "journal_not_compacted", path = %shared.place.path().display(), bytes = length, %error);
    shared.compact_at.store(length.saturating_mul(2), Ordering::Relaxed);
}

/// Compacts the file, if it is worth it. Gives the length at which it is to be looked at again.
fn compact(shared: &Shared) -> io::Result<u64> {
    let least = shared.here.least;
    let (file, length) = shared.writer().file();
    let mut index = Index::new(shared.retention.clone());
    let scan = whole(scan(Part { file: &file, at: 0, end: length }, |line| index.take(&line))?)?;
    let live = index.line_count() as u64;
    if live.saturating_mul(2) > scan.records {
        return Ok(threshold(length, least));
    }
    let mut draft = write(&shared.place, &shared.id, &index, &shared.here)?;
    drop(index);
    draft.sync()?;
    let base = draft.length();
    let mut scan = scan;
    for _ in 0..PIECES {
        let (_, end) = shared.writer().file();
        if end - scan.end < LAST_PIECE {
            break;
        }
        scan = copy(&file, scan, end, &mut draft)?;
        draft.sync()?;
    }
    let mut writer = shared.writer();
    writer.check()?;
    let (_, end) = writer.file();
    copy(&file, scan, end, &mut draft)?;
    draft.sync()?;
    let mut next = draft.into_writer();
    if writer.is_incomplete() {
        next.mark_incomplete()?;
    }
    shared.place.publish()?;
    switch(shared, &mut writer, next);
    Ok(threshold(base, least))
}

/// From here on, records go to the new file. If its name could not be made durable, there are no more records: they might be
/// gone after a power cut although they are synced.
fn switch(shared: &Shared, writer: &mut Writer, next: Writer) {
    writer.replace(next);
    if let Err(errno) = shared.place.sync() {
        writer.stop(Stopped::Failed("fsync(2) of its directory", errno));
    }
}

/// Copies what was appended since a scan, up to this offset.
fn copy(file: &File, scan: Scan, end: u64, draft: &mut Draft) -> io::Result<Scan> {
    let (mut added, part) = (Ok(()), Part { file, at: scan.end, end });
    let scan = scan_more(scan, part, |frame| {
        if added.is_ok() {
            added = draft.copy(frame);
        }
    })?;
    added?;
    whole(scan)
}

/// A file that was damaged while it was open must not be replaced: what can't be read would be lost.
fn whole(scan: Scan) -> io::Result<Scan> {
    match scan.is_damaged() || scan.tail != Tail::Whole {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it was damaged while it was open")),
        false => Ok(scan),
    }
}

/// A part of a file, to be read without moving the file's own position.
pub(super) struct Part<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl<'a> Part<'a> {
    /// The whole file.
    pub(super) fn to_the_end(file: &'a File) -> Part<'a> {
        Part { file, at: 0, end: u64::MAX }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(into.len());
        let bytes = self.file.read_at(&mut into[..most], self.at)?;
        self.at += bytes as u64;
        Ok(bytes)
    }
}
