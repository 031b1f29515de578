//! The sender's end: entries and contents, as records.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use bytes::Bytes;
use unglue_proto::message::transfer::Have;
use unglue_proto::message::tree::{Summary, TreeOptions};
use unglue_proto::tree::{
    Answer, Chmod, Digest, Filter, Kind, LARGE, Malformed, Record, Records, WINDOW, WINDOW_BYTES,
};
use unglue_proto::{Code, Fault, Side};

use super::content::{self, Content, Ended, Seen};
use super::dirs::{Dirs, Node};
use super::event::{Moving, TreeEvent};
use super::guard::Guard;
use super::ignores::Ignores;
use super::patch::Patches;
use super::source_walk::Walk;
use crate::store::error::{Op, Problem, StoreError};

/// Bytes of records that are made at once.
const PIECE: usize = 192 * 1024;
/// Bytes of files that are compared with old ones for a piece.
const COMPARED: u64 = 2 * 1024 * 1024;
/// Bytes of entries at the front of a piece.
const ENTRIES: usize = 48 * 1024;
/// As many files have streams of their own at once.
const BESIDE: usize = 2;
/// As many are announced where the receiver says first what it has: so the way there and back is waited for once.
const ANNOUNCED: usize = 8;

/// Where a transfer starts: a name in an open directory, or what is in the directory itself.
#[derive(Debug)]
pub struct TreeRoot {
    /// The directory.
    pub(in crate::store) dir: OwnedFd,
    /// The name in it; `None`: everything in it.
    pub(in crate::store) name: Option<OsString>,
}

/// What [`TreeSource::produce`] gives.
#[derive(Debug)]
pub enum Produced {
    /// Records for the sender's stream.
    Piece(Bytes),
    /// A large file, to be sent on a stream of its own: its entry's number and its content. Report its end with
    /// [`TreeSource::beside_ended`].
    Beside(u64, Box<Content>),
    /// The same, but the receiver says first what it has of it: see [`TreeSource::haves`].
    Large(u64, Box<Content>),
    /// Nothing, until answers come or a large file has ended.
    Waiting,
    /// Everything is sent: the stream can end.
    Finished,
}

/// An entry that was sent and that the receiver has not decided about, or whose content it wants.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) node: Node,
    pub(super) name: Box<OsStr>,
    pub(super) size: u64,
    pub(super) kind: Kind,
    pub(super) seen: Seen,
    /// The size of its record.
    pub(super) bytes: usize,
}

/// The sender's state. See the module's documentation.
#[derive(Debug)]
pub struct TreeSource {
    pub(super) options: TreeOptions,
    pub(super) dirs: Dirs,
    pub(super) guard: Guard,
    pub(super) filter: Filter,
    pub(super) ignores: Ignores,
    pub(super) chmod: Option<Chmod>,
    pub(super) walk: Walk,
    /// Entries that are not decided yet, with their numbers.
    pub(super) slots: VecDeque<(u64, Slot)>,
    decided: u64,
    pub(super) undecided_bytes: usize,
    pub(super) wanted: VecDeque<(u64, Slot)>,
    wanted_bytes: usize,
    content: Option<(u64, Slot, Box<Content>)>,
    beside: HashMap<u64, Slot>,
    /// Digests of the files that had streams of their own; `None`: the receiver has not taken it.
    besides: HashMap<u64, Option<Digest>>,
    haves: Vec<(u64, Have)>,
    pub(super) patches: Patches,
    answers: Records,
    pub(super) hasher: Box<blake3::Hasher>,
    pub(super) contents: Digest,
    pub(super) summary: Summary,
    theirs: Option<Summary>,
    stored: (u64, u64),
    pub(super) moving: Moving,
    pub(super) events: Vec<TreeEvent>,
    /// Problems that make it unsafe to delete at the destination.
    pub(super) serious: u64,
    pub(super) buffer: Vec<u8>,
}

impl TreeSource {
    pub(in crate::store) fn new(roots: Vec<TreeRoot>, options: TreeOptions, guard: Guard) -> Result<TreeSource, Fault> {
        let chmod = options.chmod.as_deref().map(str::parse).transpose();
        let chmod = chmod.map_err(|why: String| Fault::user(Code::BadMessage, why))?;
        Ok(TreeSource {
            filter: Filter::new(&options.rules),
            walk: Walk::new(roots, &options),
            options,
            dirs: Dirs::default(),
            guard,
            ignores: Ignores::default(),
            chmod,
            slots: VecDeque::new(),
            decided: 0,
            undecided_bytes: 0,
            wanted: VecDeque::new(),
            wanted_bytes: 0,
            content: None,
            beside: HashMap::new(),
            besides: HashMap::new(),
            haves: Vec::new(),
            patches: Patches::default(),
            answers: Records::default(),
            hasher: Box::default(),
            contents: [0; 32],
            summary: Summary::default(),
            theirs: None,
            stored: (0, 0),
            moving: Moving::default(),
            events: Vec::new(),
            serious: 0,
            buffer: Vec::new(),
        })
    }

    /// The next thing to do. Blocks on the disk for a short time.
    pub fn produce(&mut self) -> Produced {
        let mut out = Vec::with_capacity(PIECE + PIECE / 2);
        self.patches.begin_piece();
        while out.len() < PIECE && (out.is_empty() || self.patches.compared < COMPARED) {
            if let Some((entry, slot, mut content)) = self.content.take() {
                let before = content.data();
                match content.fill(PIECE, &mut out) {
                    Some(ended) => {
                        self.moving.moved += ended.data - before;
                        self.ended(entry, &slot, ended);
                    }
                    None => {
                        self.moving.moved += content.data() - before;
                        self.content = Some((entry, slot, content));
                    }
                }
            } else if self.may_walk() && out.len() < ENTRIES {
                // A piece begins with entries, and contents follow: so the receiver decides about these while it stores those.
                self.walk_on(&mut out, ENTRIES);
            } else if let Some(beside) = self.send_wanted(&mut out) {
                if out.is_empty() {
                    return beside;
                }
                self.put_back(beside);
                break;
            } else if self.wanted.is_empty() || self.is_held_back() {
                break;
            }
        }
        match out.is_empty() {
            false => {
                self.patches.end_piece();
                Produced::Piece(out.into())
            }
            true if self.is_finished() => Produced::Finished,
            true => Produced::Waiting,
        }
    }

    fn may_walk(&self) -> bool {
        !self.walk.is_finished()
            && self.wanted.len() < WINDOW / 2
            && self.wanted_bytes < WINDOW_BYTES / 2
            && self.slots.len() + self.patches.unsure() < WINDOW / 2
            && self.undecided_bytes < WINDOW_BYTES / 2
    }

    fn is_finished(&self) -> bool {
        self.walk.is_finished()
            && self.wanted.is_empty()
            && self.slots.is_empty()
            && self.patches.unsure() == 0
            && self.content.is_none()
            && self.beside.is_empty()
    }

    /// Whether the next wanted file waits for a stream of its own.
    fn is_held_back(&self) -> bool {
        self.options.beside
            && self.beside.len() >= if self.options.waits() { ANNOUNCED } else { BESIDE }
            && self.wanted.front().is_some_and(|(_, slot)| slot.size >= LARGE)
    }

    /// Sends the next content that is wanted, or begins to.
    fn send_wanted(&mut self, out: &mut Vec<u8>) -> Option<Produced> {
        if self.is_held_back() {
            return None;
        }
        let (entry, slot) = self.wanted.pop_front()?;
        self.wanted_bytes -= slot.bytes.min(self.wanted_bytes);
        let slot = self.send_patched(entry, slot, out).err()?;
        let dir = self.dirs.file(slot.node);
        if let Ok(dir) = &dir {
            let whole = content::small((dir, &slot.name), entry, &slot.seen, &self.guard, (&mut self.buffer, out));
            if let Some(ended) = whole {
                self.moving.moved += ended.data;
                self.ended(entry, &slot, ended);
                return None;
            }
        }
        let opened = dir.map_err(Problem::from).and_then(|dir| Content::open(&dir, &slot.name, &self.guard));
        let mut content = match opened {
            Ok(content) => Box::new(content),
            Err(problem) => {
                Record::Missing { entry }.encode(out);
                self.not_sent(slot.node, &slot.name, Op::Open, problem);
                return None;
            }
        };
        if let Some(ended) = content.whole(entry, &mut self.buffer, out) {
            self.moving.moved += ended.data;
            self.ended(entry, &slot, ended);
            return None;
        }
        self.moving.current = self.dirs.path(slot.node, &slot.name);
        if self.options.beside && content.size() >= LARGE {
            self.beside.insert(entry, slot);
            return Some(match self.options.waits() && !content.is_mostly_holes() {
                true => Produced::Large(entry, content),
                false => Produced::Beside(entry, content),
            });
        }
        content.begin(entry, out);
        self.content = Some((entry, slot, content));
        None
    }

    /// A large file comes first next time.
    fn put_back(&mut self, produced: Produced) {
        if let Produced::Beside(entry, _) | Produced::Large(entry, _) = produced
            && let Some(slot) = self.beside.remove(&entry)
        {
            self.wanted_bytes += slot.bytes;
            self.wanted.push_front((entry, slot));
        }
    }

    /// So many more bytes of large files were sent.
    pub fn beside_moved(&mut self, bytes: u64) {
        self.moving.moved += bytes;
    }

    /// A large file has ended. `None`: its stream broke off, or the receiver wants no more of it.
    pub fn beside_ended(&mut self, entry: u64, ended: Option<Ended>) {
        match (self.beside.remove(&entry), ended) {
            // The receiver has reported the reason.
            (Some(_), _) if self.besides.contains_key(&entry) => self.serious += 1,
            (Some(slot), Some(ended)) => {
                self.besides.insert(entry, ended.digest.as_ref().ok().copied());
                self.ended(entry, &slot, ended);
            }
            (Some(_), None) => {
                self.besides.insert(entry, None);
                self.serious += 1;
            }
            (None, _) => {}
        }
    }

    /// The receiver has not taken a large file, which may have been sent to its end by now.
    fn refused(&mut self, entry: u64) -> Result<(), Fault> {
        if !self.beside.contains_key(&entry) && !self.besides.contains_key(&entry) {
            let what = format!("the receiver refused the stream of entry {entry}, which has none");
            return Err(Fault::peer(Code::BadMessage, what));
        }
        if let Some(Some(digest)) = self.besides.insert(entry, None) {
            // Adding it once more takes it away.
            add_content(&mut self.contents, entry, &digest);
            self.summary.files = self.summary.files.saturating_sub(1);
        }
        Ok(())
    }

    /// What the receiver has of large files that were announced.
    pub fn haves(&mut self) -> Vec<(u64, Have)> {
        std::mem::take(&mut self.haves)
    }

    pub(super) fn ended(&mut self, entry: u64, slot: &Slot, ended: Ended) {
        match ended.digest {
            Ok(digest) => {
                self.summary.files += 1;
                self.summary.bytes += ended.data;
                self.moving.files += 1;
                add_content(&mut self.contents, entry, &digest);
            }
            Err(problem) => self.not_sent(slot.node, &slot.name, Op::Read, problem),
        }
    }

    /// Reports something that was not sent.
    pub(super) fn not_sent(&mut self, node: Node, name: &OsStr, op: Op, problem: impl Into<Problem>) {
        self.serious += 1;
        self.report(node, name, op, problem);
    }

    /// Reports something that is never sent.
    pub(super) fn report(&mut self, node: Node, name: &OsStr, op: Op, problem: impl Into<Problem>) {
        let path = PathBuf::from(self.dirs.path(node, name));
        self.report_fault(StoreError::new(op, &path, problem.into()).fault());
    }

    /// Reports a source that can't be opened.
    pub(in crate::store) fn failed(&mut self, fault: Fault) {
        self.serious += 1;
        self.report_fault(fault);
    }

    pub(super) fn report_fault(&mut self, fault: Fault) {
        self.summary.problems += 1;
        self.events.push(TreeEvent::Problem(fault));
    }

    /// Takes what the receiver sent, in any chunks.
    ///
    /// # Errors
    /// It is not what a receiver may send. Final.
    pub fn answer(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        let mut answers = std::mem::take(&mut self.answers);
        let malformed = |why: Malformed| Fault::peer(Code::BadMessage, format!("the receiver sent {why}"));
        while let Some((kind, body)) = answers.next(&mut bytes).map_err(malformed)? {
            match Answer::decode(kind, body).map_err(malformed)? {
                Answer::Upto { entry, wanted, changed } => self.decide(entry, &wanted, &changed)?,
                Answer::Stored { files, bytes } => self.stored = (files, bytes),
                Answer::Refused { entry } => self.refused(entry)?,
                Answer::Have { entry, have } => self.haves.push((entry, parsed(have)?)),
                Answer::Sums { entry, size, seed, sums } => self.sums(entry, size, seed, sums)?,
                Answer::Candidate { entry, digest } => self.candidate(entry, digest)?,
                Answer::Made { right, wrong } => self.made(&right, &wrong)?,
                Answer::Deleted { path } => self.events.push(TreeEvent::Deleted(OsStr::from_bytes(path).to_owned())),
                Answer::Problem { fault } => {
                    let fault: Fault = parsed(fault)?;
                    self.events.push(TreeEvent::Problem(fault.on(Side::Server)));
                }
                Answer::Summary { summary } => self.theirs = Some(parsed(summary)?),
            }
        }
        self.answers = answers;
        Ok(())
    }

    fn decide(&mut self, upto: u64, wanted: &[u64], changed: &[u64]) -> Result<(), Fault> {
        let wrong = || Fault::peer(Code::BadMessage, "the receiver decided about an entry that it wasn't sent");
        if upto < self.decided || upto > self.walk.last() {
            return Err(wrong());
        }
        self.decided = upto;
        let (mut wanted, mut changed) = (wanted.iter().peekable(), changed.iter().peekable());
        while self.slots.front().is_some_and(|(number, _)| *number <= upto)
            && let Some((number, slot)) = self.slots.pop_front()
        {
            self.undecided_bytes -= slot.bytes.min(self.undecided_bytes);
            let is_wanted = wanted.next_if_eq(&&number).is_some();
            let is_changed = is_wanted || changed.next_if_eq(&&number).is_some();
            if !is_wanted && self.patches.knows(number) {
                return Err(wrong());
            }
            if is_changed && self.options.report && !self.options.unasked() {
                let mut path = self.dirs.path(slot.node, &slot.name);
                if slot.kind == Kind::Directory {
                    path.push("/");
                }
                self.events.push(TreeEvent::Changed(path));
            }
            match is_wanted {
                true if slot.kind != Kind::File => return Err(wrong()),
                true => self.want(number, slot),
                // What is sent in any case was not taken, which the receiver has reported.
                false if self.options.unasked() => {}
                false => self.summary.unchanged += u64::from(slot.kind == Kind::File),
            }
        }
        match wanted.next().is_none() && changed.next().is_none() {
            true => Ok(()),
            false => Err(wrong()),
        }
    }

    pub(super) fn want(&mut self, entry: u64, slot: Slot) {
        self.moving.wanted += slot.size;
        if self.options.dry_run {
            self.summary.files += 1;
            self.summary.bytes += slot.size;
            return;
        }
        self.wanted_bytes += slot.bytes;
        self.wanted.push_back((entry, slot));
    }

    /// Adds to the digest of all entries.
    pub(super) fn emit(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> usize {
        let from = out.len();
        record.encode(out);
        self.hasher.update(&out[from..]);
        out.len() - from
    }

    /// How far it is.
    pub fn moving(&self) -> &Moving {
        &self.moving
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> Vec<TreeEvent> {
        std::mem::take(&mut self.events)
    }

    /// Files and bytes that the receiver reported as stored.
    pub fn stored(&self) -> (u64, u64) {
        self.stored
    }

    /// What was sent, and the same as the receiver sees it, once it has sent that.
    ///
    /// # Errors
    /// The two disagree, or the receiver didn't send a summary.
    pub fn summary(self) -> Result<Summary, Fault> {
        let ours = Summary { blake3: tree_digest(&self.hasher, &self.contents), ..self.summary };
        let Some(theirs) = self.theirs else {
            return Err(Fault::peer(Code::BadMessage, "the receiver ended without a summary"));
        };
        agree(&ours, &theirs)?;
        Ok(Summary { problems: ours.problems + theirs.problems, deleted: theirs.deleted, ..ours })
    }
}

/// Compares what was sent with what was received.
///
/// # Errors
/// [`Code::Mismatch`], with both figures.
pub(super) fn agree(sent: &Summary, received: &Summary) -> Result<(), Fault> {
    let advice = "run it again: what arrived can't be trusted";
    if sent.blake3 != received.blake3 {
        let what = format!(
            "{} entries with digest {} were sent, and {} with digest {} arrived",
            sent.entries, sent.blake3, received.entries, received.blake3
        );
        return Err(Fault::system(Code::Mismatch, what).advise(advice));
    }
    Ok(())
}

/// Adds a file's content to those of a tree. Their order doesn't matter: large files end when they end.
pub(super) fn add_content(contents: &mut Digest, entry: u64, digest: &Digest) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&entry.to_be_bytes());
    hasher.update(digest);
    contents.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(sum, byte)| *sum ^= byte);
}

/// The digest of a tree: of its entries in their order, and of the contents that were sent.
pub(super) fn tree_digest(entries: &blake3::Hasher, contents: &Digest) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(entries.finalize().as_bytes());
    hasher.update(contents);
    hasher.finalize().to_hex().to_string()
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Fault> {
    let wrong = |error| Fault::peer(Code::BadMessage, format!("a part of a tree's stream is not understood: {error}"));
    serde_json::from_slice(json).map_err(wrong)
}
