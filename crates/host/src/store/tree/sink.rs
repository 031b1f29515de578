//! The receiver's end: takes records, makes the tree, and answers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::hash::RandomState;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use unglue_proto::message::tree::{Summary, TreeOptions};
use unglue_proto::tree::{Digest, Entry, Filter, Malformed, ROOT, Record, Records, WINDOW, WINDOW_BYTES, frame};
use unglue_proto::{Code, Fault, Side};

use super::batch::{Batch, Committed};
use super::candidates::Candidates;
use super::dirs::{Dirs, Node};
use super::event::{Moving, TreeEvent};
use super::expected::{Expected, Room, Writing};
use super::guard::Guard;
use super::ignores::Ignores;
use super::journal::Journal;
use super::landing::{Landing, Newborn};
use super::olds::{Olds, WORK};
use super::parts::Large;
use super::source::parsed;
use super::staging::Staging;
use crate::store::FileId;
use crate::store::error::Op;

/// As many directories a transfer may have: each takes about 150 bytes until its end.
const DIRECTORIES: usize = 8_000_000;
/// As many files may be the first names of others, and as many names may be others' further ones: as much for each.
const LINKS: usize = 8_000_000;
/// Bytes of extended attributes that are held for directories, which get them at the end.
const ATTRIBUTES: usize = 256 * 1024 * 1024;
/// Large files with streams of their own at once, each of which is open. Our sender has two.
pub(super) const BESIDE: usize = 16;

/// What is to be done after some records.
#[derive(Debug, Default)]
pub struct Step {
    /// To be sent to the sender.
    pub answers: Bytes,
    /// Large files whose content comes on streams of their own, with the streams' numbers.
    pub beside: Vec<(u64, Box<Landing>)>,
    /// The same, where the sender waits for what there is of them.
    pub large: Vec<Large>,
    /// Streams of large files that are not taken: they are given up.
    pub refused: Vec<u64>,
    /// Files to be put in place: call [`Batch::commit`], and then [`TreeSink::committed`].
    pub batch: Option<Batch>,
    /// What was not looked at: to be given to [`TreeSink::take_all`] again, before what comes next.
    pub left: VecDeque<Bytes>,
    /// There is more to do, also if nothing comes.
    pub more: bool,
}

/// A directory whose entries are coming.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) number: u64,
    pub(super) node: Node,
    /// This transfer has made it: nothing is in it.
    pub(super) fresh: bool,
    /// Hashes of the names that came, where others are deleted.
    pub(super) names: Option<HashSet<u64>>,
    /// Inodes that entries have found under their names.
    pub(super) found: HashSet<u64>,
}

/// The receiver's state. See the module's documentation.
#[derive(Debug)]
pub struct TreeSink {
    pub(super) options: Arc<TreeOptions>,
    pub(super) dirs: Dirs,
    pub(super) guard: Guard,
    pub(super) filter: Filter,
    pub(super) ignores: Ignores,
    /// With `--atomic`: the tree that is replaced as a whole. Dropped before the journal, which has to know what it left.
    pub(super) staging: Option<Staging>,
    pub(super) journal: Journal,
    /// The name that the only source gets.
    pub(super) rename: Option<OsString>,
    /// Whether the other end shows what happens to the user.
    pub(super) announce: bool,
    /// The destination's path, for messages.
    pub(super) top: PathBuf,
    records: Records,
    pub(super) machine: bool,
    /// The directories above the destination, once they were looked for.
    pub(super) above: Option<Vec<FileId>>,
    /// Directories by number: the node, and whether this transfer made it.
    pub(super) numbers: HashMap<u64, (Node, bool)>,
    /// The numbers of directories that could not be made, and whose entries may still come.
    pub(super) unmade: HashSet<u64>,
    pub(super) listing: Option<Listing>,
    pub(super) last: u64,
    /// The last entry that the sender waits for a decision about.
    pub(super) asked: u64,
    pub(super) wanted: Vec<u64>,
    pub(super) changed: Vec<u64>,
    pub(super) answered: u64,
    pub(super) expected: HashMap<u64, Expected>,
    pub(super) expected_bytes: usize,
    /// What the contents that are still to come take on the disk,
    pub(super) needed: Room,
    /// and the most of it that was compared with what the disk has.
    pub(super) checked: Room,
    pub(super) writing: Writing,
    pub(super) besides: HashMap<u64, (Node, OsString, u64)>,
    /// The source's own contents go to the top.
    pub(super) fills_top: bool,
    /// This transfer has made the top.
    pub(super) made_top: bool,
    /// What new files may be copies of, once that was looked for.
    pub(super) candidates: Candidates,
    /// What else is in the directory of the last file that replaces one.
    pub(super) siblings: Candidates,
    pub(super) olds: Olds,
    /// Bytes that were copied from old files since the last answer.
    pub(super) work: u64,
    pub(super) batch: Batch,
    /// What new files have in the directory that the last one was made in.
    pub(super) newborn: Option<(Node, Newborn)>,
    /// Files and bytes that are in place, and durable after the next sync.
    pub(super) in_place: (u64, u64),
    pub(super) stored: (u64, u64),
    pub(super) reported: (u64, u64),
    /// The first names of files that have several.
    pub(super) shared: HashMap<u64, (Node, Box<OsStr>)>,
    pub(super) links: Vec<(Node, Box<OsStr>, u64, u64)>,
    /// Attributes of directories, given at the end.
    pub(super) attributes: Vec<(Node, Box<Entry>)>,
    attributes_bytes: usize,
    pub(super) deletions: Vec<(Node, Vec<OsString>)>,
    pub(super) hash: RandomState,
    pub(super) hasher: Box<blake3::Hasher>,
    pub(super) contents: Digest,
    pub(super) summary: Summary,
    pub(super) moving: Moving,
    pub(super) events: Vec<TreeEvent>,
    pub(super) out: Vec<u8>,
    /// Problems of the sender, once all entries have come.
    pub(super) done: Option<u64>,
    pub(super) failed_contents: u64,
    /// What was changed and is not durable yet, apart from files in batches.
    pub(super) dirty: Dirty,
}

/// What a last sync has to wait for.
#[derive(Debug)]
pub(super) enum Dirty {
    /// The names in these directories.
    Names(Vec<Node>),
    /// More.
    Much,
}

impl Dirty {
    /// So many directories are synced one by one.
    const FEW: usize = 8;

    pub(super) fn add(&mut self, node: Node) {
        if let Dirty::Names(nodes) = self
            && !nodes.contains(&node)
        {
            match nodes.len() < Self::FEW {
                true => nodes.push(node),
                false => *self = Dirty::Much,
            }
        }
    }
}

impl TreeSink {
    pub(in crate::store) fn new(
        top: PathBuf,
        dir: Option<OwnedFd>,
        rename: Option<OsString>,
        options: TreeOptions,
        (guard, journal, staging): (Guard, Journal, Option<Staging>),
    ) -> Result<TreeSink, rustix::io::Errno> {
        let mut dirs = Dirs::default();
        let node = match dir {
            Some(dir) => dirs.add_top(dir)?,
            None => dirs.add_absent(None, OsStr::new("")),
        };
        let staged = staging.is_some();
        let batch = Batch::new(options.delete.then(|| guard.clone()), staged);
        Ok(TreeSink {
            filter: Filter::new(&options.rules),
            options: Arc::new(options),
            guard,
            ignores: Ignores::default(),
            journal,
            staging,
            rename,
            announce: false,
            top,
            records: Records::default(),
            machine: false,
            above: None,
            numbers: HashMap::from([(ROOT, (node, staged || dirs.is_absent(node)))]),
            dirs,
            unmade: HashSet::new(),
            listing: None,
            last: 0,
            asked: 0,
            wanted: Vec::new(),
            changed: Vec::new(),
            answered: 0,
            expected: HashMap::new(),
            expected_bytes: 0,
            needed: Room::default(),
            checked: Room::default(),
            writing: Writing::Nothing,
            besides: HashMap::new(),
            fills_top: false,
            made_top: false,
            candidates: Candidates::default(),
            siblings: Candidates::default(),
            olds: Olds::default(),
            work: 0,
            batch,
            newborn: None,
            in_place: (0, 0),
            stored: (0, 0),
            reported: (0, 0),
            shared: HashMap::new(),
            links: Vec::new(),
            attributes: Vec::new(),
            attributes_bytes: 0,
            deletions: Vec::new(),
            hash: RandomState::new(),
            hasher: Box::default(),
            contents: [0; 32],
            summary: Summary::default(),
            moving: Moving::default(),
            events: Vec::new(),
            out: Vec::new(),
            done: None,
            failed_contents: 0,
            dirty: Dirty::Names(Vec::new()),
        })
    }

    /// What happens is reported to the sender, who shows it to the user.
    pub fn announcing(mut self) -> TreeSink {
        self.announce = true;
        self
    }

    /// Takes bytes of the sender's stream, in any chunks: all of them, however long that takes.
    ///
    /// # Errors
    /// The transfer can't go on. What is in place stays.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Step, Fault> {
        let mut step = self.take_all(VecDeque::from([Bytes::copy_from_slice(bytes)]))?;
        while step.more {
            let left = std::mem::take(&mut step.left);
            let next = self.take_all(left)?;
            step.answers = [step.answers, next.answers].concat().into();
            step.beside.extend(next.beside);
            step.large.extend(next.large);
            step.refused.extend(next.refused);
            if let Some(before) = step.batch.take() {
                let committed = before.commit();
                self.committed(committed);
            }
            (step.batch, step.left, step.more) = (next.batch, next.left, next.more);
        }
        Ok(step)
    }

    /// Takes pieces of the sender's stream, as many as may be done at once. Blocks on the disk for a short time.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn take_all(&mut self, mut pieces: VecDeque<Bytes>) -> Result<Step, Fault> {
        let mut step = Step::default();
        let mut records = std::mem::take(&mut self.records);
        self.work = 0;
        while self.work < WORK
            && let Some(piece) = pieces.pop_front()
        {
            let taken = self.take_piece(&piece, &mut records, &mut step)?;
            if taken < piece.len() {
                pieces.push_front(piece.slice(taken..));
            }
        }
        self.records = records;
        self.check_space()?;
        step.more = self.tell_olds() || !pieces.is_empty();
        step.left = pieces;
        self.answer();
        step.answers = std::mem::take(&mut self.out).into();
        Ok(step)
    }

    /// Gives how many bytes were taken: all, unless there was much work.
    fn take_piece(&mut self, piece: &[u8], records: &mut Records, step: &mut Step) -> Result<usize, Fault> {
        let malformed = |why: Malformed| Fault::peer(Code::BadMessage, format!("the sender sent {why}"));
        let mut bytes = piece;
        while self.work < WORK
            && let Some((kind, body)) = records.next(&mut bytes).map_err(malformed)?
        {
            let record = Record::decode(kind, body).map_err(malformed)?;
            self.record(record, kind, body, step)?;
            if self.batch.is_full() {
                // Two in one piece: the directories of the first need not stay open.
                if let Some(first) = step.batch.take() {
                    let committed = first.commit();
                    self.committed(committed);
                }
                step.batch = Some(self.take_batch());
            }
        }
        Ok(piece.len() - bytes.len())
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        let in_the_way = self.options.delete.then(|| self.guard.clone());
        std::mem::replace(&mut self.batch, Batch::new(in_the_way, self.staging.is_some()))
    }

    fn record(&mut self, record: Record<'_>, kind: u8, body: &[u8], step: &mut Step) -> Result<(), Fault> {
        match record {
            Record::Entry(entry) => {
                self.digest(kind, body);
                return self.entry(entry, body.len());
            }
            Record::Whole { entry, modified, digest, data } => return self.whole(entry, modified, digest, data),
            Record::Data(data) => return self.write(|landing| landing.data(data), data.len() as u64),
            Record::Hole { length } => return self.write(|landing| landing.hole(length), 0),
            Record::Copy { from, length } => return self.copy(from, length),
            Record::Open { entry, modified, size } => return self.open(entry, modified, size),
            Record::Close { digest } => return self.close(digest),
            Record::Beside { entry, stream } => return self.open_beside(entry, stream, step),
            Record::Large { entry, stream, parts } => return self.open_large(entry, (stream, parts), step),
            Record::Missing { entry } => {
                self.expect(entry)?;
                self.failed_contents += 1;
                return Ok(());
            }
            Record::Problem { fault } => {
                let fault: Fault = parsed(fault)?;
                let fault = fault.on(Side::Server);
                self.report(fault);
                return Ok(());
            }
            Record::Begin { machine } => self.machine = machine == super::source_walk::machine() && !machine.is_empty(),
            Record::List { directory } => self.begin_list(directory)?,
            Record::Rules { text } => {
                if let Some(listing) = &self.listing {
                    self.ignores.add(listing.node, text);
                }
            }
            Record::EndList { whole } => self.end_list(whole)?,
            Record::Done { problems } => {
                self.done = Some(problems);
                self.moving.complete = true;
            }
        }
        self.digest(kind, body);
        Ok(())
    }

    fn digest(&mut self, kind: u8, body: &[u8]) {
        let (head, length) = frame(kind, body.len());
        self.hasher.update(&head[..length]);
        self.hasher.update(body);
    }

    pub(super) fn limits(&self) -> Result<(), Fault> {
        let too_much = |what: &str| Err(Fault::peer(Code::LimitExceeded, format!("the sender sent {what}")));
        if self.dirs.len() > DIRECTORIES {
            return too_much("more than 8,000,000 directories");
        }
        if self.links.len() > LINKS || self.shared.len() > LINKS {
            return too_much("more than 8,000,000 names of files that have several");
        }
        if self.attributes_bytes > ATTRIBUTES {
            return too_much("more than 256 MiB of extended attributes of directories");
        }
        match self.expected.len() > WINDOW || self.expected_bytes > 2 * WINDOW_BYTES {
            true => too_much("entries without their contents, more than it may"),
            false => Ok(()),
        }
    }

    /// The sender waits for a decision about the last entry.
    pub(super) fn was_asked(&mut self) {
        self.asked = self.last;
    }

    /// A directory gets its attributes at the end.
    pub(super) fn give_later(&mut self, node: Node, entry: Box<Entry>) {
        self.attributes_bytes += entry.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.attributes.push((node, entry));
    }

    /// Notes what became of a batch.
    pub fn committed(&mut self, committed: Committed) {
        // A batch has waited for its own file systems only.
        if committed.synced_all && self.dirs.systems().len() == 1 {
            self.sync_is_done();
        }
        for bytes in committed.files {
            self.summary.files += 1;
            self.summary.bytes += bytes;
            let to = if committed.durable { &mut self.stored } else { &mut self.in_place };
            *to = (to.0 + 1, to.1 + bytes);
        }
        for (node, name, problem) in committed.failed {
            self.not_stored(if node == u32::MAX { 0 } else { node }, &name, Op::Rename, problem);
        }
    }

    /// Everything that is in place is durable.
    pub(super) fn sync_is_done(&mut self) {
        self.stored.0 += std::mem::take(&mut self.in_place.0);
        self.stored.1 += std::mem::take(&mut self.in_place.1);
    }

    /// Whether something is in place that is not durable yet.
    pub(super) fn is_synced(&self) -> bool {
        self.in_place.0 == 0
    }

    /// Whether all that was announced has come.
    pub(super) fn is_complete(&self) -> bool {
        self.done.is_some()
            && self.expected.is_empty()
            && self.besides.is_empty()
            && matches!(self.writing, Writing::Nothing)
            && self.records.is_between()
    }
}
