//! Contents of files: those that are expected, the one that is being written, and the large ones on streams of their own.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::Mode;
use unglue_proto::blocks::Blocks;
use unglue_proto::tree::{Answer, Digest, Entry};
use unglue_proto::{Code, Fault};

use super::batch::Batch;
use super::content::Content;
use super::dirs::Node;
use super::expected::{Expected, Writing};
use super::landing::{self, Landed, Landing, Refused, Spot, Why};
use super::parts::Large;
use super::sink::{BESIDE, Step, TreeSink};
use super::source::add_content;
use crate::store::error::{Op, Problem};
use crate::store::{Reading, space};

impl TreeSink {
    pub(super) fn create(&mut self, number: u64) -> Result<Option<Landing>, Fault> {
        let mut expected = self.expect(number)?;
        if expected.refused {
            return Ok(None);
        }
        self.moving.current = self.dirs.path(expected.node, &expected.name);
        let landing = self.try_create(number, &expected);
        match landing {
            Ok(mut landing) => {
                landing.basis = expected.basis.take();
                Ok(Some(landing))
            }
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
            let spot = self.spot(number, expected, (&dir, old.clone()), temporary);
            match Landing::create(spot, self.options.clone()) {
                Err(rustix::io::Errno::EXIST) => {}
                landing => return Ok(landing?),
            }
        }
        Err(rustix::io::Errno::EXIST.into())
    }

    fn spot(
        &self,
        number: u64,
        expected: &Expected,
        (dir, old): (&Arc<OwnedFd>, Option<Arc<OwnedFd>>),
        temporary: OsString,
    ) -> Spot {
        Spot {
            number,
            node: expected.node,
            dir: dir.clone(),
            name: expected.name.clone(),
            temporary,
            entry: expected.entry.clone(),
            replaces: expected.replaces,
            exists: expected.exists,
            old,
            fresh: expected.fresh,
            bytes: expected.bytes,
            newborn: self.newborn.filter(|(node, _)| *node == expected.node && expected.fresh).map(|(_, has)| has),
        }
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
            None => Writing::Refused { entry, copied: false },
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
            Writing::Refused { .. } => return Ok(()),
            Writing::File(landing) => match write(landing) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            },
        };
        if let Writing::File(landing) = std::mem::take(&mut self.writing) {
            self.writing = Writing::Refused { entry: landing.number, copied: landing.has_copied() };
            let (node, name) = (landing.node, landing.name.clone());
            drop(landing);
            self.refused(node, &name, refused);
        }
        Ok(())
    }

    pub(super) fn close(&mut self, digest: Option<Digest>) -> Result<(), Fault> {
        match std::mem::take(&mut self.writing) {
            Writing::Nothing => Err(Fault::peer(Code::BadMessage, "a file ends that didn't begin")),
            Writing::Refused { entry, copied } => {
                digest.iter().for_each(|digest| self.thrown_away(entry, digest));
                if copied {
                    self.made(entry);
                }
                Ok(())
            }
            Writing::File(landing) => {
                let (node, name, number) = (landing.node, landing.name.clone(), landing.number);
                let copied = landing.has_copied();
                match landing.close(digest) {
                    Err(Refused::Again(expected)) => {
                        self.want_whole(number, *expected);
                        return Ok(());
                    }
                    landed => self.landed(node, &name, landed, digest.map(|digest| (number, digest))),
                }
                if copied {
                    self.made(number);
                }
                Ok(())
            }
        }
    }

    fn one_more_beside(&self) -> Result<(), Fault> {
        if self.besides.len() >= BESIDE {
            let what = format!("more than {BESIDE} files come on streams of their own at once");
            return Err(Fault::peer(Code::LimitExceeded, what));
        }
        Ok(())
    }

    /// A large file comes on two streams, in parts if something of it is here.
    pub(super) fn open_large(
        &mut self,
        number: u64,
        (stream, parts): (u64, u64),
        step: &mut Step,
    ) -> Result<(), Fault> {
        self.one_more_beside()?;
        self.check_space()?;
        if !self.options.waits() {
            return Err(Fault::peer(Code::BadMessage, "a large file was announced in a way that was not asked for"));
        }
        let expected = self.expect(number)?;
        self.moving.current = self.dirs.path(expected.node, &expected.name);
        let made = match expected.refused {
            true => None,
            false => match self.begin_large(number, &expected) {
                Ok(made) => Some(made),
                Err(problem) => {
                    self.not_stored(expected.node, &expected.name, Op::Create, problem);
                    None
                }
            },
        };
        match made {
            Some((landing, old)) => {
                self.besides.insert(number, (expected.node, expected.name, 0));
                step.large.push(Large { stream, parts, landing: Box::new(landing), old });
            }
            None => {
                Answer::Refused { entry: number }.encode(&mut self.out);
                step.refused.extend([stream, parts]);
            }
        }
        Ok(())
    }

    fn begin_large(&mut self, number: u64, expected: &Expected) -> Result<(Landing, Option<Reading>), Problem> {
        let old = match self.options.delta {
            true => self.find_old(number, expected)?,
            false => None,
        };
        let dir = self.dirs.file(expected.node)?;
        if !expected.entry.sparse {
            // Beside an old one, which is there until it is replaced.
            let kept = self.kept_room(&dir, &expected.name, &expected.entry);
            space::check(&*dir, expected.entry.size, kept)?;
        }
        if self.keeps(&expected.entry) {
            let spot = self.spot(number, expected, (&dir, None), OsString::new());
            let mode = spot.mode(&self.options) | Mode::RUSR | Mode::WUSR;
            if let Some(kept) = self.journal.keep((&self.dirs, expected.node), &dir, &expected.name, mode)? {
                return Ok((Landing::resume(spot, self.options.clone(), kept), old));
            }
        }
        Ok((self.try_create(number, expected)?, old))
    }

    /// Whether what has come of a file stays if the transfer breaks off. Not with holes: blocks have none.
    fn keeps(&self, entry: &Entry) -> bool {
        self.options.resume && Blocks::of(entry.size).is_some() && !entry.sparse
    }

    /// The bytes on the disk that an earlier transfer has left of a file.
    pub(super) fn kept_room(&self, dir: &OwnedFd, name: &OsStr, entry: &Entry) -> u64 {
        if self.keeps(entry) { self.journal.kept_room(dir, name) } else { 0 }
    }

    /// The file that is replaced, if it can be read; for a new one, another file that it may be a copy of.
    fn find_old(&mut self, number: u64, expected: &Expected) -> Result<Option<Reading>, Problem> {
        if let Some(held) = self.take_held(number) {
            return Ok(Some(held.into_reading()));
        }
        if !expected.replaces {
            let file = (&*expected.name, expected.entry.size, expected.entry.modified);
            return self.find_candidate(expected.node, file);
        }
        Ok(self.open_replaced(expected.node, &expected.name)?.map(Content::into_reading))
    }

    /// The file that has a name, if it can be read.
    pub(super) fn open_replaced(&mut self, node: Node, name: &OsStr) -> Result<Option<Content>, Problem> {
        let dir = match &mut self.staging {
            Some(staging) => staging.counterpart(node)?.map(|(_, dir)| dir),
            None => Some(self.dirs.file(node)?),
        };
        let opened = dir.map(|dir| Content::open(&dir, name, &self.guard));
        Ok(opened.and_then(Result::ok))
    }

    pub(super) fn open_beside(&mut self, entry: u64, stream: u64, step: &mut Step) -> Result<(), Fault> {
        self.one_more_beside()?;
        self.check_space()?;
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

    /// What the sender is to be told at once.
    pub fn urgent(&mut self) -> Bytes {
        self.answers().into()
    }

    /// What is complete by now, if it is as much as is put in place at once.
    pub fn full_batch(&mut self) -> Option<Batch> {
        self.batch.is_full().then(|| self.take_batch())
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
            // A file that is asked for again has not failed.
            Refused::Sender | Refused::Again(_) => {}
            Refused::Peer(fault) => {
                let path = self.dirs.path(node, name);
                self.report(landing::at(fault, &path));
            }
        }
    }
}

impl Drop for TreeSink {
    /// The transfer broke off, however that came: what is complete gets its name, if the next one is to go on from there.
    fn drop(&mut self) {
        if self.options.resume && self.staging.is_none() && !self.batch.is_empty() {
            for (_, name, problem) in self.take_batch().commit().failed {
                tracing::warn!(?name, %problem, "a complete file has not got its name");
            }
        }
    }
}
