//! Contents of files: those that are expected, the one that is being written, and the large ones on streams of their own.

use std::ffi::OsStr;

use unglue_proto::tree::{Answer, Digest};
use unglue_proto::{Code, Fault};

use super::dirs::Node;
use super::landing::{self, Landed, Landing, Refused, Spot, Why};
use super::sink::{BESIDE, Expected, Room, Step, TreeSink, Writing};
use super::source::add_content;
use crate::store::error::{Op, Problem, StoreError};
use crate::store::space;

impl TreeSink {
    pub(super) fn expect(&mut self, number: u64) -> Result<Expected, Fault> {
        let expected = self.expected.remove(&number);
        let expected = expected.ok_or_else(|| {
            Fault::peer(Code::BadMessage, format!("content came for entry {number}, which wants none"))
        })?;
        self.expected_bytes -= expected.bytes;
        let room = Room::of(&expected);
        self.needed.bytes = self.needed.bytes.saturating_sub(room.bytes);
        self.needed.files = self.needed.files.saturating_sub(room.files);
        Ok(expected)
    }

    /// Lack of space is noticed before the contents are asked for.
    pub(super) fn check_space(&mut self) -> Result<(), Fault> {
        let (needed, checked) = (self.needed, self.checked);
        if needed.bytes <= checked.bytes && needed.files <= checked.files || self.dirs.is_absent(0) {
            self.checked = Room { bytes: checked.bytes.min(needed.bytes), files: checked.files.min(needed.files) };
            return Ok(());
        }
        self.checked = needed;
        let Ok(dir) = self.dirs.file(0) else { return Ok(()) };
        space::check_many(&*dir, needed.bytes, needed.files)
            .map_err(|problem| StoreError::new(Op::Create, &self.top, problem).fault())
    }

    pub(super) fn create(&mut self, number: u64) -> Result<Option<Landing>, Fault> {
        let expected = self.expect(number)?;
        if expected.refused {
            return Ok(None);
        }
        self.moving.current = self.dirs.path(expected.node, &expected.name);
        let landing = self.try_create(number, &expected);
        match landing {
            Ok(landing) => Ok(Some(landing)),
            Err(problem) => {
                self.not_stored(expected.node, &expected.name, Op::Create, problem);
                Ok(None)
            }
        }
    }

    pub(super) fn try_create(&mut self, number: u64, expected: &Expected) -> Result<Landing, Problem> {
        let dir = self.dirs.file(expected.node)?;
        let old = match &mut self.staging {
            Some(staging) if expected.replaces => staging.counterpart(expected.node)?.map(|(_, dir)| dir),
            _ => None,
        };
        for _ in 0..16 {
            let temporary = self.journal.name(&self.dirs, expected.node, &expected.name)?;
            let spot = Spot {
                number,
                node: expected.node,
                dir: dir.clone(),
                name: expected.name.clone(),
                temporary,
                entry: expected.entry.clone(),
                replaces: expected.replaces,
                exists: expected.exists,
                old: old.clone(),
                fresh: expected.fresh,
                newborn: self.newborn.filter(|(node, _)| *node == expected.node && expected.fresh).map(|(_, has)| has),
            };
            match Landing::create(spot, self.options.clone()) {
                Err(rustix::io::Errno::EXIST) => {}
                landing => return Ok(landing?),
            }
        }
        Err(rustix::io::Errno::EXIST.into())
    }

    pub(super) fn whole(
        &mut self,
        entry: u64,
        modified: unglue_proto::message::Time,
        digest: Digest,
        data: &[u8],
    ) -> Result<(), Fault> {
        self.idle()?;
        self.moving.moved += data.len() as u64;
        match self.create(entry)? {
            Some(landing) => {
                let (node, name) = (landing.node, landing.name.clone());
                let landed = landing.whole(modified, digest, data);
                self.landed(node, &name, landed, Some((entry, digest)));
            }
            None => self.thrown_away(entry, &digest),
        }
        Ok(())
    }

    pub(super) fn open(&mut self, entry: u64, modified: unglue_proto::message::Time, size: u64) -> Result<(), Fault> {
        self.idle()?;
        self.writing = match self.create(entry)? {
            Some(landing) => Writing::File(Box::new(landing)),
            None => Writing::Refused(entry),
        };
        self.write(|landing| landing.begin(modified, size), 0)
    }

    pub(super) fn idle(&self) -> Result<(), Fault> {
        match self.writing {
            Writing::Nothing => Ok(()),
            _ => Err(Fault::peer(Code::BadMessage, "a file begins within another one")),
        }
    }

    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&mut Landing) -> Result<(), Refused>,
        bytes: u64,
    ) -> Result<(), Fault> {
        self.moving.moved += bytes;
        let refused = match &mut self.writing {
            Writing::Nothing => return Err(Fault::peer(Code::BadMessage, "content comes for no file")),
            Writing::Refused(_) => return Ok(()),
            Writing::File(landing) => match write(landing) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            },
        };
        if let Writing::File(landing) = std::mem::take(&mut self.writing) {
            self.writing = Writing::Refused(landing.number);
            let (node, name) = (landing.node, landing.name.clone());
            drop(landing);
            self.refused(node, &name, refused);
        }
        Ok(())
    }

    pub(super) fn close(&mut self, digest: Option<Digest>) -> Result<(), Fault> {
        match std::mem::take(&mut self.writing) {
            Writing::Nothing => Err(Fault::peer(Code::BadMessage, "a file ends that didn't begin")),
            Writing::Refused(entry) => {
                digest.iter().for_each(|digest| self.thrown_away(entry, digest));
                Ok(())
            }
            Writing::File(landing) => {
                let (node, name, number) = (landing.node, landing.name.clone(), landing.number);
                let landed = landing.close(digest);
                self.landed(node, &name, landed, digest.map(|digest| (number, digest)));
                Ok(())
            }
        }
    }

    pub(super) fn open_beside(&mut self, entry: u64, stream: u64, step: &mut Step) -> Result<(), Fault> {
        if self.besides.len() >= BESIDE {
            let what = format!("more than {BESIDE} files come on streams of their own at once");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        let created = self.create(entry)?;
        if created.is_none() {
            Answer::Refused { entry }.encode(&mut self.out);
            step.refused.push(stream);
        }
        if let Some(landing) = created {
            self.besides.insert(entry, (landing.node, landing.name.clone(), 0));
            step.beside.push((stream, Box::new(landing)));
        }
        Ok(())
    }

    /// So many more bytes of large files have come.
    pub fn beside_moved(&mut self, bytes: u64) {
        self.moving.moved += bytes;
    }

    /// A large file is complete, or was not taken.
    pub fn beside_ended(&mut self, ended: Result<Landed, (u64, Why)>) {
        let number = match &ended {
            Ok(landed) => landed.number,
            Err((number, _)) => *number,
        };
        if let Some((node, name, _)) = self.besides.remove(&number) {
            if ended.is_err() {
                Answer::Refused { entry: number }.encode(&mut self.out);
            }
            self.landed(node, &name, ended.map_err(|(_, why)| why.0), None);
        }
    }

    /// `sent` is what the sender has counted as sent, whatever becomes of it here.
    pub(super) fn landed(
        &mut self,
        node: Node,
        name: &OsStr,
        landed: Result<Landed, Refused>,
        sent: Option<(u64, Digest)>,
    ) {
        match landed {
            Ok(landed) => {
                self.moving.files += 1;
                if let Some(newborn) = landed.newborn {
                    self.newborn = Some((node, newborn));
                }
                add_content(&mut self.contents, landed.number, &landed.digest);
                self.batch.push(landed);
            }
            Err(refused) => {
                if let (Refused::Problem(_), Some((entry, digest))) = (&refused, sent) {
                    self.thrown_away(entry, &digest);
                }
                self.refused(node, name, refused);
            }
        }
    }

    /// A content that came and found no place, which was reported.
    pub(super) fn thrown_away(&mut self, entry: u64, digest: &Digest) {
        add_content(&mut self.contents, entry, digest);
    }

    pub(super) fn refused(&mut self, node: Node, name: &OsStr, refused: Refused) {
        self.failed_contents += 1;
        match refused {
            Refused::Problem(problem) => self.not_stored(node, name, Op::Write, problem),
            Refused::Sender => {}
            Refused::Peer(fault) => {
                let path = self.dirs.path(node, name);
                self.report(landing::at(fault, &path));
            }
        }
    }
}
