//! The end of a transfer: other names of files, deletions, attributes of directories, and the last sync.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, fchmod, fstat, linkat, renameat, statat, unlinkat};
use rustix::io::Errno;
use unglue_proto::message::tree::Summary;
use unglue_proto::tree::Answer;
use unglue_proto::{Code, Fault};

use super::batch::{sync_all, sync_directory};
use super::dirs::Node;
use super::sink::{Dirty, TreeSink};
use super::source::tree_digest;
use super::{attributes, deletion};
use crate::store::FileId;
use crate::store::error::{Op, Problem, StoreError};

impl TreeSink {
    /// Completes the tree when the sender's stream has ended, and gives the last answers. Blocks until the device has everything.
    ///
    /// # Errors
    /// Not everything came.
    pub fn finish(&mut self) -> Result<Vec<u8>, Fault> {
        if !self.is_complete() {
            return Err(Fault::peer(Code::BadMessage, "the sender's stream ended before everything had come"));
        }
        if !self.batch.is_empty() {
            let committed = self.take_batch().commit();
            self.committed(committed);
        }
        self.link_names();
        match self.staging.take() {
            Some(staging) => self.finish_staged(staging),
            None => {
                self.delete();
                self.give_attributes();
                self.sync();
            }
        }
        self.summary.blake3 = tree_digest(&self.hasher, &self.contents);
        let json = serde_json::to_vec(&self.summary).unwrap_or_default();
        let mut out = self.answers();
        let (files, bytes) = self.stored;
        Answer::Stored { files, bytes }.encode(&mut out);
        Answer::Summary { summary: &json }.encode(&mut out);
        Ok(out)
    }

    /// What was received.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Makes each further name of a file that is in place.
    fn link_names(&mut self) {
        for (node, name, first, _) in std::mem::take(&mut self.links) {
            if self.options.dry_run || self.dirs.is_absent(node) {
                continue;
            }
            self.dirty.add(node);
            match self.link_name(node, &name, first) {
                Ok(true) if !self.announce => self.changed(0, node, &name, false),
                Ok(_) => {}
                Err(problem) => self.not_stored(node, &name, Op::Link, problem),
            }
        }
    }

    fn link_name(&mut self, node: Node, name: &OsStr, first: u64) -> Result<bool, Problem> {
        let (from_node, from) =
            self.shared.get(&first).map(|(node, name)| (*node, name.clone())).ok_or(Errno::NOENT)?;
        let (from_dir, dir) = (self.dirs.file(from_node)?, self.dirs.file(node)?);
        let file = statat(&from_dir, &*from, AtFlags::SYMLINK_NOFOLLOW)?;
        // Only a file that this transfer may touch gets more names.
        if FileType::from_raw_mode(file.st_mode) != FileType::RegularFile {
            return Err(Errno::NOENT.into());
        }
        match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if FileId::of(&there) == FileId::of(&file) => return Ok(false),
            Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                return Err(Problem::DirectoryInTheWay);
            }
            Err(Errno::NOENT) => {
                linkat(&from_dir, &*from, &dir, name, AtFlags::empty())?;
                return Ok(true);
            }
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let temporary = self.journal.name(&self.dirs, node, name)?;
        linkat(&from_dir, &*from, &dir, &temporary, AtFlags::empty())?;
        if let Err(errno) = renameat(&dir, &temporary, &dir, name) {
            let _ = unlinkat(&dir, &temporary, AtFlags::empty());
            return Err(errno.into());
        }
        Ok(true)
    }

    /// Deletes what the source doesn't have, if everything arrived.
    fn delete(&mut self) {
        let count: u64 = self.deletions.iter().map(|(_, names)| names.len() as u64).sum();
        if count == 0 {
            return;
        }
        if self.done != Some(0) || self.failed_contents > 0 {
            let what =
                format!("{count} entries that the source doesn't have were not deleted, since not everything arrived");
            return self
                .report(Fault::system(Code::Cancelled, what).advise("see to what was reported, and run it again"));
        }
        if let Some(most) = self.options.max_delete.filter(|most| count > *most) {
            let what = format!("{count} entries would be deleted, and the limit is {most}: nothing was deleted");
            return self.report(Fault::user(Code::LimitExceeded, what).advise("raise --max-delete, or leave it out"));
        }
        // What was sent comes first, also on the device.
        if !self.options.dry_run {
            self.sync();
        }
        for (node, names) in std::mem::take(&mut self.deletions) {
            for name in names {
                self.delete_one(node, &name);
            }
        }
    }

    fn delete_one(&mut self, node: Node, name: &OsStr) {
        let dir = match self.dirs.file(node) {
            Ok(dir) => dir,
            Err(errno) => return self.not_stored(node, name, Op::Delete, errno),
        };
        self.dirty.add(node);
        let path = self.dirs.path(node, name);
        let is_directory = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        let removed = match self.options.dry_run {
            true => Ok(()),
            false => self.remove(node, &dir, name),
        };
        match removed {
            Ok(()) => {
                let mut path = path;
                if is_directory {
                    path.push("/");
                }
                self.deleted(path);
            }
            // Something in it is spared by the rules; or another process has removed it.
            Err(Problem::Spared | Problem::System(Errno::NOENT)) => {}
            Err(problem) => self.not_stored(node, name, Op::Delete, problem),
        }
    }

    fn remove(&self, node: Node, dir: &OwnedFd, name: &OsStr) -> Result<(), Problem> {
        let has_rules = !self.options.delete_excluded && (!self.filter.is_empty() || self.options.gitignore);
        deletion::remove_all(dir, name, &mut |doomed| {
            self.guard.check_doomed(doomed)?;
            let is_directory = FileType::from_raw_mode(doomed.stat.st_mode) == FileType::Directory;
            // Rules speak of paths.
            match has_rules && self.is_excluded(node, &doomed.path(), is_directory) {
                true => Err(Problem::Spared),
                false => Ok(()),
            }
        })
    }

    /// Gives directories their attributes, those that lie deepest first.
    pub(super) fn give_attributes(&mut self) {
        for (node, entry) in std::mem::take(&mut self.attributes).into_iter().rev() {
            if self.options.dry_run {
                continue;
            }
            self.dirty.add(node);
            let given = self.dirs.file(node).map_err(Problem::from).and_then(|dir| {
                if !self.options.modes {
                    let mode = fstat(&*dir)?.st_mode & 0o7777;
                    return Ok(fchmod(&*dir, Mode::from_raw_mode(mode & (entry.mode | !0o700)))?);
                }
                attributes::give(&*dir, &entry, &self.options)?;
                match self.options.times {
                    true => attributes::set_time(&*dir, entry.modified),
                    false => Ok(()),
                }
            });
            if let Err(problem) = given {
                self.not_stored(node, OsStr::new(""), Op::SetAttributes, problem);
            }
        }
    }

    /// Waits until the device has everything.
    fn sync(&mut self) {
        if self.options.dry_run || self.dirs.is_absent(0) {
            return;
        }
        let dirty = std::mem::replace(&mut self.dirty, Dirty::Names(Vec::new()));
        let synced = match dirty {
            // A sync of the whole file system would wait for what others have written, too.
            Dirty::Names(nodes) if self.is_synced() => nodes.into_iter().try_for_each(|node| {
                let dir = self.dirs.file(node)?;
                sync_directory(&dir)
            }),
            _ => self.dirs.systems().into_iter().try_for_each(|node| {
                let dir = self.dirs.file(node)?;
                sync_all(std::iter::once(&dir))?;
                sync_directory(&dir)
            }),
        };
        match synced {
            Ok(()) => self.sync_is_done(),
            Err(errno) => {
                let top = self.top.clone();
                self.report(StoreError::new(Op::Sync, &top, Problem::NotDurable(errno)).fault());
            }
        }
    }
}
