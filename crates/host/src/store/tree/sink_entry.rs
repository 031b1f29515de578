//! What is done about each entry: made, compared, asked for, or left alone.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, Stat, accessat, fstat, mkdirat, openat, readlinkat, renameat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;
use unglue_proto::tree::{Entry, Facts, Kind, ROOT, Verdict, compare};
use unglue_proto::{Code, Fault};

use super::dirs::Node;
use super::expected::Expected;
use super::sink::{Dirty, Listing, TreeSink};
use super::{attributes, content, deletion, dirs};
use crate::store::FileId;
use crate::store::attributes::is_mount_point;
use crate::store::error::{Op, Problem, StoreError};
use crate::store::temporary;

impl TreeSink {
    /// A directory's entries follow.
    pub(super) fn begin_list(&mut self, number: u64) -> Result<(), Fault> {
        if self.listing.is_some() {
            return Err(Fault::peer(Code::BadMessage, "a listing begins within another one"));
        }
        // The top may have several listings, one for each source.
        let found = match number {
            ROOT => self.numbers.get(&ROOT).copied(),
            number => self.numbers.remove(&number),
        };
        let (node, fresh) = match found {
            Some(found) => found,
            // It could not be made, which was reported: what is in it can't be either.
            None if self.unmade.remove(&number) => (self.dirs.add_absent(Some(0), OsStr::new("")), true),
            None => return Err(Fault::peer(Code::BadMessage, "a listing of a directory that was not sent")),
        };
        let names = (self.options.delete && !fresh && !self.dirs.is_absent(node)).then(HashSet::new);
        self.listing = Some(Listing { number, node, fresh, names, found: HashSet::new() });
        Ok(())
    }

    /// The listing has ended: what the source doesn't have is noted, to be deleted at the end.
    pub(super) fn end_list(&mut self, whole: bool) -> Result<(), Fault> {
        let Some(listing) = self.listing.take() else {
            return Err(Fault::peer(Code::BadMessage, "a listing ends that didn't begin"));
        };
        if let (Some(staging), true) = (&mut self.staging, whole && self.options.delete) {
            staging.whole.insert(listing.node);
        }
        let Some(names) = listing.names.filter(|_| whole) else { return Ok(()) };
        let listed = self.dirs.file(listing.node).and_then(|dir| Ok((deletion::list(&dir)?, dir)));
        let (there, dir) = match listed {
            Ok(listed) => listed,
            Err(errno) => {
                self.not_stored(listing.node, OsStr::new(""), Op::Read, errno);
                return Ok(());
            }
        };
        let gone = there.into_iter().filter(|name| !names.contains(&self.hash.hash_one(name.as_bytes())));
        let gone: Vec<OsString> = gone.filter(|name| !self.is_spared(listing.node, &dir, name)).collect();
        if !gone.is_empty() {
            self.deletions.push((listing.node, gone));
        }
        Ok(())
    }

    /// Whether the rules keep an entry from being deleted.
    fn is_spared(&self, node: Node, dir: &OwnedFd, name: &OsStr) -> bool {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        // Another transfer may be writing to it, and what an interrupted one has left has an end of its own.
        if temporary::is_ours(name.as_bytes())
            && (self.options.resume || stat.as_ref().is_some_and(temporary::may_be_in_use))
        {
            return true;
        }
        let is_directory = stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        self.is_excluded(node, name, is_directory)
    }

    pub(super) fn is_excluded(&self, node: Node, name: &OsStr, is_directory: bool) -> bool {
        if self.options.delete_excluded {
            return false;
        }
        match self.filter.judge(self.dirs.path(node, name).as_bytes(), is_directory) {
            Verdict::Included => false,
            Verdict::Excluded => true,
            Verdict::Unmatched => self.ignores.ignores(&self.dirs, node, name, is_directory),
        }
    }

    /// One entry of the listing.
    pub(super) fn entry(&mut self, mut entry: Box<Entry>, bytes: usize) -> Result<(), Fault> {
        self.last += 1;
        self.summary.entries += 1;
        self.summary.size += entry.size;
        self.moving.entries += 1;
        self.limits()?;
        let Some(listing) = &mut self.listing else {
            return Err(Fault::peer(Code::BadMessage, "an entry comes without a listing"));
        };
        let (node, fresh, number) = (listing.node, listing.fresh, listing.number);
        if let Some(names) = &mut listing.names {
            names.insert(self.hash.hash_one(&*entry.name));
        }
        if entry.kind == Kind::Directory {
            self.check_loop(&entry)?;
        }
        let has_content = entry.kind == Kind::File && entry.same.is_none();
        let unasked = has_content && !self.options.asks(entry.size);
        if !unasked && (has_content || !self.options.unasked()) {
            self.was_asked();
        }
        if entry.name == b"." {
            return self.own(node, entry);
        }
        let renamed = (number == ROOT).then_some(self.rename.as_ref()).flatten().cloned();
        if let Some(renamed) = renamed {
            entry.name = renamed.into_vec();
        }
        let name = OsString::from_vec(entry.name.clone());
        let is_directory = entry.kind == Kind::Directory;
        if let Err(problem) = self.place(node, fresh, &name, entry, bytes) {
            self.not_stored(node, &name, Op::Create, problem);
            if is_directory {
                self.unmade.insert(self.last);
            }
            if unasked {
                self.refuse(node, &name, bytes);
            }
        }
        Ok(())
    }

    /// The listed directory itself. Where the only source becomes the destination, that is made now.
    fn own(&mut self, node: Node, entry: Box<Entry>) -> Result<(), Fault> {
        let mut node = node;
        self.fills_top = true;
        if let (Some(name), false) = (self.rename.take(), self.dirs.is_absent(node)) {
            let made = self.make_top(node, &name, &entry);
            node = made.map_err(|problem| StoreError::new(Op::Create, &self.top, problem).fault())?;
        }
        if self.options.modes && !self.dirs.is_absent(node) {
            self.give_later(node, entry);
        }
        Ok(())
    }

    fn make_top(&mut self, node: Node, name: &OsStr, entry: &Entry) -> Result<Node, Problem> {
        let top = if self.options.dry_run {
            self.dirs.add_absent(None, OsStr::new(""))
        } else {
            let dir = self.dirs.file(node)?;
            self.guard.check(self.dirs.id(node), name, None)?;
            mkdirat(&*dir, name, Mode::from_raw_mode(entry.mode & 0o777 | 0o700))?;
            self.dirty.add(node);
            self.dirs.add(node, name)?
        };
        self.numbers.insert(ROOT, (top, true));
        self.made_top = true;
        if let Some(listing) = &mut self.listing {
            (listing.node, listing.fresh) = (top, true);
        }
        Ok(top)
    }

    /// A destination inside the source would be copied into itself for ever. Where rules may leave it out, it counts only once its
    /// own entry comes.
    fn check_loop(&mut self, entry: &Entry) -> Result<(), Fault> {
        if !self.machine || self.dirs.is_absent(0) {
            return Ok(());
        }
        let id = FileId { device: entry.id.0, inode: entry.id.1 };
        let is_top = self.dirs.id(0) == id || self.staging.as_ref().is_some_and(|staging| staging.old() == Some(id));
        let has_rules = !self.filter.is_empty() || self.options.gitignore || !self.options.only.is_empty();
        if !is_top && (has_rules || !self.is_above(id)) {
            return Ok(());
        }
        let what = format!("\"{}\" is the source, or lies in it", self.top.display());
        Err(Fault::user(Code::PathRefused, what)
            .advise("choose a destination outside the source")
            .at(self.top.as_os_str()))
    }

    /// Whether the destination lies in this directory.
    fn is_above(&mut self, id: FileId) -> bool {
        if self.above.is_none() {
            self.above = Some(self.dirs.file(0).map_or_else(|_| Vec::new(), |dir| dirs::above(&dir)));
        }
        self.above.as_ref().is_some_and(|above| above.contains(&id))
    }

    fn place(&mut self, node: Node, fresh: bool, name: &OsStr, entry: Box<Entry>, bytes: usize) -> Result<(), Problem> {
        if self.dirs.is_absent(node) {
            return self.place_nowhere(node, name, entry, bytes);
        }
        if let Some(mut staging) = self.staging.take() {
            let placed = self.place_staged(&mut staging, (node, name), entry, bytes);
            self.staging = Some(staging);
            self.find_old_of_staged();
            return placed;
        }
        let dir = self.dirs.file(node)?;
        let there = match fresh {
            true => None,
            false => match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Some(stat),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(errno.into()),
            },
        };
        if let (Some(stat), Some(listing)) = (&there, &mut self.listing) {
            let one_name = stat.st_nlink == 1 || FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            // Two names for one file: a file system that ignores case.
            if one_name && !listing.found.insert(stat.st_ino) {
                return Err(Problem::Appeared);
            }
        }
        self.guard.check(self.dirs.id(node), name, there.as_ref().map(FileId::of))?;
        match entry.kind {
            Kind::Directory => self.directory(node, &dir, name, entry, there.as_ref()),
            Kind::Link => self.link(node, &dir, name, &entry, there.as_ref()),
            Kind::File => self.file((node, fresh), &dir, name, entry, there.as_ref(), bytes),
        }
    }

    /// In a trial run, in a directory that is not there; or in one that could not be made.
    fn place_nowhere(&mut self, node: Node, name: &OsStr, entry: Box<Entry>, bytes: usize) -> Result<(), Problem> {
        let is_directory = entry.kind == Kind::Directory;
        if !self.options.dry_run {
            // Its directory was reported.
            if is_directory {
                self.unmade.insert(self.last);
            }
            if !self.options.asks(entry.size) && entry.kind == Kind::File && entry.same.is_none() {
                self.refuse(node, name, bytes);
            }
            return Ok(());
        }
        if is_directory {
            let below = self.dirs.add_absent(Some(node), name);
            self.numbers.insert(self.last, (below, true));
        }
        if entry.kind == Kind::File && entry.same.is_none() {
            let expected = Expected {
                node,
                entry,
                replaces: false,
                exists: false,
                fresh: false,
                frees: 0,
                refused: false,
                bytes,
                name: name.to_owned(),
                basis: None,
            };
            self.want(self.last, expected);
        } else {
            self.changed(self.last, node, name, is_directory);
        }
        Ok(())
    }

    /// A file whose content comes unasked, and that can't be stored: its content is thrown away.
    fn refuse(&mut self, node: Node, name: &OsStr, bytes: usize) {
        let entry = Box::new(Entry::new(Kind::File, name.as_bytes().to_vec()));
        self.want(
            self.last,
            Expected {
                node,
                entry,
                replaces: false,
                exists: false,
                fresh: false,
                frees: 0,
                refused: true,
                bytes,
                name: name.to_owned(),
                basis: None,
            },
        );
    }

    fn directory(
        &mut self,
        node: Node,
        dir: &Arc<OwnedFd>,
        name: &OsStr,
        entry: Box<Entry>,
        there: Option<&Stat>,
    ) -> Result<(), Problem> {
        let is_directory = there.map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        let makes = match is_directory {
            Some(true) => false,
            Some(false) if self.options.everything => return Err(Problem::NotDirectory),
            Some(false) => {
                if !self.options.dry_run {
                    unlinkat(dir, name, AtFlags::empty())?;
                }
                true
            }
            None => true,
        };
        if makes {
            self.changed(self.last, node, name, true);
        }
        if makes && self.options.dry_run {
            let below = self.dirs.add_absent(Some(node), name);
            self.numbers.insert(self.last, (below, true));
            return Ok(());
        }
        if makes {
            let mode = if self.options.modes { 0o700 } else { entry.mode & 0o777 | 0o700 };
            mkdirat(dir, name, Mode::from_raw_mode(mode)).map_err(|errno| match errno {
                Errno::EXIST => Problem::Appeared,
                errno => errno.into(),
            })?;
            self.dirty.add(node);
        }
        let below = self.dirs.add(node, name)?;
        self.guard.check_directory(self.dirs.id(below))?;
        if makes {
            self.dirty.add(below);
        }
        self.numbers.insert(self.last, (below, makes));
        if !makes && !self.options.dry_run && self.options.modes {
            let stat = there.map_or_else(|| fstat(dir), |stat| Ok(*stat))?;
            // Without these nothing could be stored in it meanwhile.
            if stat.st_mode & 0o700 != 0o700 {
                let file = self.dirs.file(below)?;
                let _ = rustix::fs::fchmod(&*file, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700));
            }
            if !attributes::are_same(&entry, &stat, dir, name, &self.options) {
                self.changed(self.last, node, name, true);
            }
        }
        if self.options.modes || makes && entry.mode & 0o700 != 0o700 {
            self.give_later(below, entry);
        }
        Ok(())
    }

    fn link(
        &mut self,
        node: Node,
        dir: &OwnedFd,
        name: &OsStr,
        entry: &Entry,
        there: Option<&Stat>,
    ) -> Result<(), Problem> {
        let target = OsStr::from_bytes(&entry.target);
        let kind = there.map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Some(FileType::Symlink) && readlinkat(dir, name, Vec::new())?.as_bytes() == entry.target {
            if !self.options.dry_run {
                attributes::give_link(dir, name, entry, &self.options)?;
            }
            return Ok(());
        }
        if kind == Some(FileType::Directory) {
            if !self.options.delete {
                return Err(Problem::DirectoryInTheWay);
            }
            if !self.options.dry_run {
                let guard = &self.guard;
                deletion::remove_all(dir, name, &mut |doomed| guard.check_doomed(doomed))?;
            }
        }
        self.changed(self.last, node, name, false);
        if self.options.dry_run {
            return Ok(());
        }
        self.dirty.add(node);
        if kind.is_none() || kind == Some(FileType::Directory) {
            symlinkat(target, dir, name)?;
        } else {
            let temporary = self.journal.name(&self.dirs, node, name)?;
            symlinkat(target, dir, &temporary)?;
            if let Err(errno) = renameat(dir, &temporary, dir, name) {
                let _ = unlinkat(dir, &temporary, AtFlags::empty());
                return Err(errno.into());
            }
        }
        Ok(attributes::give_link(dir, name, entry, &self.options)?)
    }

    fn file(
        &mut self,
        (node, fresh): (Node, bool),
        dir: &Arc<OwnedFd>,
        name: &OsStr,
        entry: Box<Entry>,
        there: Option<&Stat>,
        bytes: usize,
    ) -> Result<(), Problem> {
        let number = self.last;
        if entry.shared {
            self.shared.insert(number, (node, name.into()));
        }
        if let Some(first) = entry.same {
            // The names of one file become one when all contents are there.
            self.links.push((node, name.into(), first, number));
            return Ok(());
        }
        let (mut replaces, mut frees, mut basis) = (false, 0, None);
        if let Some(stat) = there {
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if !self.options.delete || self.options.everything => {
                    return Err(Problem::DirectoryInTheWay);
                }
                FileType::RegularFile => {
                    replaces = true;
                    if stat.st_nlink == 1 {
                        frees = (stat.st_blocks as u64).saturating_mul(512);
                    }
                    if !self.options.unasked() && self.is_unchanged(dir, name, &entry, stat)? {
                        self.summary.unchanged += 1;
                        return self.keep(node, dir, name, &entry, stat);
                    }
                    self.may_replace(dir, name)?;
                    basis = self.old_of_existing(node, &entry, stat);
                }
                _ => {}
            }
        }
        if !replaces {
            basis = self.old_of_new(node, name, &entry);
        }
        frees += self.kept_room(dir, name, &entry);
        self.changed_file(node, name);
        self.want(
            number,
            Expected {
                node,
                entry,
                replaces,
                exists: there.is_some(),
                fresh,
                frees,
                refused: false,
                bytes,
                name: name.to_owned(),
                basis,
            },
        );
        Ok(())
    }

    pub(super) fn changed_file(&mut self, node: Node, name: &OsStr) {
        if !self.announce {
            self.changed(self.last, node, name, false);
        }
    }

    fn may_replace(&self, dir: &OwnedFd, name: &OsStr) -> Result<(), Problem> {
        // As cp and scp do, and unlike rsync: a file that its user may not write is not replaced by a copy.
        if self.options.everything
            && let Err(errno) = accessat(dir, name, Access::WRITE_OK, AtFlags::EACCESS)
            && errno != Errno::NOENT
        {
            return Err(errno.into());
        }
        match is_mount_point(dir, name) {
            true => Err(Problem::MountPoint),
            false => Ok(()),
        }
    }

    pub(super) fn is_unchanged(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        entry: &Entry,
        stat: &Stat,
    ) -> Result<bool, Problem> {
        let there = Facts { size: stat.st_size as u64, modified: attributes::modified(stat) };
        match compare(entry, &there) {
            Some(same) => Ok(same),
            None => Ok(Some(content::digest(dir, name, &self.guard)?) == entry.digest),
        }
    }

    /// A file whose content is the right one: its attributes are made so, where that is asked for.
    fn keep(&mut self, node: Node, dir: &OwnedFd, name: &OsStr, entry: &Entry, stat: &Stat) -> Result<(), Problem> {
        let time = self.options.times && attributes::modified(stat) != entry.modified;
        if !time && attributes::are_same(entry, stat, dir, name, &self.options) {
            return Ok(());
        }
        self.changed(self.last, node, name, false);
        if self.options.dry_run {
            return Ok(());
        }
        self.dirty = Dirty::Much;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty())?;
        if FileId::of(&fstat(&file)?) != FileId::of(stat) {
            return Err(Errno::STALE.into());
        }
        attributes::give(&file, entry, &self.options)?;
        match self.options.times {
            true => attributes::set_time(&file, entry.modified),
            false => Ok(()),
        }
    }
}
