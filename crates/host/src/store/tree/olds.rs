//! Files that are not large, and what the receiver may have of them: the sender is sent sums or a digest of it along with the answers,
//! and names the parts that the new file is made of.
//!
//! An old file is read twice, and need not be the same the second time: the digest of the whole new file decides. If it is wrong, the
//! file is asked for once more, whole.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

use rustix::fs::{AtFlags, Stat, statat};
use unglue_proto::Fault;
use unglue_proto::delta::{SUM, SUMS_LEAST, short, sums};
use unglue_proto::tree::{Answer, CANDIDATE_LEAST, Entry, LARGE, SUMS_MOST};

use super::candidates::Found;
use super::content::Content;
use super::dirs::Node;
use super::expected::{Expected, Writing};
use super::sink::TreeSink;
use crate::store::FileId;
use crate::store::error::Problem;

/// Bytes of old files that are read, or copied, before the answers so far are sent.
pub(super) const WORK: u64 = 8 * 1024 * 1024;
/// Bytes of answers that are made at once.
const ANSWERS: usize = 256 * 1024;
/// As many bytes of new files come before another file is looked for that they may be copies of: that costs a look at each file.
const NEW: u64 = 128 * 1024;
/// For files that replace others, so many bytes allow a look at one entry of their directory: looking must not cost more than sending.
const REPLACING: u64 = 1024;
/// As many old files are held open.
const HELD: usize = 256;

/// What is known of old files.
#[derive(Debug, Default)]
pub(super) struct Olds {
    /// The numbers of wanted files whose old ones are still to be read.
    pub(super) unread: VecDeque<u64>,
    /// Bytes of sums and digests of files that have not come.
    told: usize,
    /// Files that were made of old ones: those that are right, and those that aren't.
    right: Vec<u64>,
    wrong: Vec<u64>,
    /// Bytes of new files, and of files that replace others.
    new: u64,
    replacing: u64,
    /// How many small files are held open, and the large ones, by the entry that they are for.
    held: usize,
    held_large: HashMap<u64, Content>,
    buffer: Vec<u8>,
}

/// An old file that a new one may be made of.
#[derive(Debug)]
pub(super) struct Basis {
    /// `None`: the one that is replaced.
    other: Option<Found>,
    /// It may be replaced before it is read.
    held: Option<Content>,
    /// Whether sums are sent; otherwise its digest.
    sums: bool,
    size: u64,
    /// The file that was read, once the sender was sent something of it, and how many bytes that was.
    told: Option<(FileId, usize)>,
}

impl Basis {
    /// For a file with this entry and an old one of `size` bytes; `None` if there is nothing to gain.
    fn of(entry: &Entry, size: u64, same_time: bool, other: Option<Found>) -> Option<Basis> {
        let both = size.min(entry.size);
        let sums = !same_time && both >= SUMS_LEAST && cost(size) as u64 <= entry.size / 8;
        let is_worth = sums || size == entry.size && size >= CANDIDATE_LEAST;
        let held = None;
        (is_worth && size < LARGE && entry.size < LARGE).then_some(Basis { other, held, sums, size, told: None })
    }

    /// How large the file was when it was read.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// Bytes of the sums of a file.
fn cost(size: u64) -> usize {
    SUM * usize::try_from(size.div_ceil(u64::from(short(size)))).unwrap_or(usize::MAX / SUM)
}

impl TreeSink {
    /// Whether old files count for a file.
    fn may_use_old(&self, entry: &Entry) -> bool {
        self.options.delta_small
            && !self.options.dry_run
            && !entry.sparse
            && entry.size >= CANDIDATE_LEAST
            && self.options.asks(entry.size)
    }

    /// What a file may be made of that replaces one.
    pub(super) fn old_of_existing(&mut self, node: Node, entry: &Entry, stat: &Stat) -> Option<Box<Basis>> {
        let moved = self.old_of_moved(node, entry, FileId::of(stat));
        moved.or_else(|| self.old_of_replaced(entry, stat.st_size as u64))
    }

    /// What the file that is replaced may be good for. It has `size` bytes.
    fn old_of_replaced(&self, entry: &Entry, size: u64) -> Option<Box<Basis>> {
        self.may_use_old(entry).then(|| Basis::of(entry, size, false, None))?.map(Box::new)
    }

    /// Another old file of the directory with exactly the size and the time of one that replaces a file: names move on when logs are rotated.
    fn old_of_moved(&mut self, node: Node, entry: &Entry, replaced: FileId) -> Option<Box<Basis>> {
        let is_large = entry.size >= LARGE;
        let may = if is_large { self.options.waits() && self.options.delta } else { self.may_use_old(entry) };
        if !may {
            return None;
        }
        self.olds.replacing = self.olds.replacing.saturating_add(entry.size);
        let held = self.olds.held + self.olds.held_large.len();
        if self.olds.replacing < NEW || held >= HELD {
            return None;
        }
        let entries = usize::try_from(self.olds.replacing / REPLACING).unwrap_or(usize::MAX);
        // What can't be read is not offered.
        let found = self.find_sibling(node, entries, (entry.size, entry.modified)).ok()??;
        if found.is(replaced) {
            return None;
        }
        let content = self.open_found(&found).ok()??;
        if is_large {
            self.olds.held_large.insert(self.last, content);
            return None;
        }
        let mut basis = Basis::of(entry, found.size, true, Some(found))?;
        basis.held = Some(content);
        self.olds.held += 1;
        Some(Box::new(basis))
    }

    /// The large file that was held open for an entry.
    pub(super) fn take_held(&mut self, number: u64) -> Option<Content> {
        self.olds.held_large.remove(&number)
    }

    /// What a new file may be a copy of.
    pub(super) fn old_of_new(&mut self, node: Node, name: &std::ffi::OsStr, entry: &Entry) -> Option<Box<Basis>> {
        if !self.may_use_old(entry) || entry.size >= LARGE {
            return None;
        }
        self.olds.new = self.olds.new.saturating_add(entry.size);
        if self.olds.new < NEW {
            return None;
        }
        // What can't be read is not offered.
        let found = self.find_candidates(node, (name, entry.size, entry.modified)).ok()?;
        let found = found.into_iter().next()?;
        Basis::of(entry, found.size, found.same_time, Some(found)).map(Box::new)
    }

    /// What the last entry may be made of, if it is a file of a tree that replaces another one.
    pub(super) fn find_old_of_staged(&mut self) {
        let number = self.last;
        let Some(mut expected) = self.expected.remove(&number) else { return };
        let (node, name, entry) = (expected.node, &expected.name, &expected.entry);
        expected.basis = match expected.replaces {
            true => self.stat_replaced(node, name).and_then(|stat| self.old_of_existing(node, entry, &stat)),
            false => self.old_of_new(node, name, entry),
        };
        if expected.basis.is_some() {
            self.olds.unread.push_back(number);
        }
        self.expected.insert(number, expected);
    }

    fn stat_replaced(&mut self, node: Node, name: &std::ffi::OsStr) -> Option<Stat> {
        let (_, dir) = self.staging.as_mut()?.counterpart(node).ok()??;
        statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// Reads old files and answers what is in them, as far as that may be done now. Gives whether there is more to read.
    pub(super) fn tell_olds(&mut self) -> bool {
        let mut read = 0;
        while let Some(&number) = self.olds.unread.front() {
            if self.olds.told >= SUMS_MOST / 2 {
                // Files have to come first.
                return false;
            }
            if read >= WORK || self.out.len() >= ANSWERS {
                return true;
            }
            self.olds.unread.pop_front();
            let Some(mut expected) = self.expected.remove(&number) else { continue };
            if let Some(mut old) = expected.basis.take() {
                read += old.size;
                // What can't be read any more, or has changed meanwhile, is not offered.
                match self.tell_old(number, (expected.node, &expected.name), &mut old) {
                    Some(()) => expected.basis = Some(old),
                    None => self.olds.held -= usize::from(old.held.is_some()),
                }
            }
            self.expected.insert(number, expected);
        }
        false
    }

    fn tell_old(&mut self, entry: u64, (node, name): (Node, &std::ffi::OsStr), old: &mut Basis) -> Option<()> {
        let content = self.open_old((node, name), old).ok()??;
        let mut buffer = std::mem::take(&mut self.olds.buffer);
        buffer.resize(old.size as usize, 0);
        let read = content.read_exact(&mut buffer, 0);
        let before = self.out.len();
        if read.is_ok() {
            match old.sums {
                true => {
                    let seed = self.hash.hash_one(entry) as u32;
                    let all: Vec<u8> = sums(&buffer, short(old.size), seed).flat_map(|sum| sum.encode()).collect();
                    Answer::Sums { entry, size: old.size, seed, sums: &all }.encode(&mut self.out);
                }
                false => {
                    let digest = *blake3::hash(&buffer).as_bytes();
                    Answer::Candidate { entry, digest }.encode(&mut self.out);
                }
            }
        }
        self.olds.buffer = buffer;
        let told = self.out.len() - before;
        self.olds.told += told;
        read.ok().map(|()| old.told = Some((content.id(), told)))
    }

    /// The old file, if it is still there and has its size.
    fn open_old(&mut self, (node, name): (Node, &std::ffi::OsStr), old: &Basis) -> Result<Option<Content>, Problem> {
        let content = match (&old.held, &old.other) {
            (Some(held), _) => Some(held.again()?),
            (None, Some(found)) => self.open_found(found)?,
            (None, None) => self.open_replaced(node, name)?,
        };
        let told = old.told.map(|(id, _)| id);
        Ok(content.filter(|content| content.size() == old.size && told.is_none_or(|id| id == content.id())))
    }

    /// What comes of a file has come, or won't.
    pub(super) fn old_came(&mut self, expected: &mut Expected) {
        if expected.basis.as_ref().is_some_and(|old| old.held.is_some()) {
            self.olds.held -= 1;
        }
        match expected.basis.as_ref().and_then(|old| old.told) {
            Some((_, told)) => self.olds.told -= told,
            None => expected.basis = None,
        }
    }

    /// A part of an old file comes next in the open one.
    pub(super) fn copy(&mut self, from: u64, length: u64) -> Result<(), Fault> {
        let mut writing = std::mem::take(&mut self.writing);
        match &mut writing {
            Writing::Refused { copied, .. } => *copied = true,
            Writing::File(landing) if !landing.has_copied() => {
                let opened = landing.basis.as_ref().map(|old| self.open_old((landing.node, &landing.name), old));
                landing.begin_copying(opened.and_then(Result::ok).flatten());
            }
            _ => {}
        }
        self.writing = writing;
        self.work += length.min(LARGE);
        self.write(|landing| landing.copy(from, length), length.min(LARGE))
    }

    /// A file that was made of an old one is complete, or was not stored for a reason that was reported.
    pub(super) fn made(&mut self, number: u64) {
        self.olds.right.push(number);
    }

    /// A file that was made of an old one is not the right one: it is asked for once more.
    pub(super) fn want_whole(&mut self, number: u64, expected: Expected) {
        tracing::info!(name = ?expected.name, "an old file was not what it was, so the new one is sent whole");
        self.need(&expected);
        self.expected_bytes += expected.bytes;
        self.expected.insert(number, expected);
        self.olds.wrong.push(number);
    }

    /// Answers what became of files that were made of old ones.
    pub(super) fn answer_made(&mut self) {
        let (mut right, mut wrong) = (std::mem::take(&mut self.olds.right), std::mem::take(&mut self.olds.wrong));
        if right.is_empty() && wrong.is_empty() {
            return;
        }
        right.sort_unstable();
        wrong.sort_unstable();
        Answer::Made { right, wrong }.encode(&mut self.out);
    }
}
