//! The receiver with `--atomic`: a new tree beside the old one, published when everything has come.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, FileType, Mode, Stat, fchmod, fstat, linkat, mkdirat, readlinkat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use unglue_proto::tree::{Entry, Kind};
use unglue_proto::{Code, Fault};

use super::batch::{sync_all, sync_directory};
use super::dirs::Node;
use super::expected::Expected;
use super::sink::TreeSink;
use super::staging::Staging;
use super::{attributes, deletion};
use crate::store::FileId;
use crate::store::error::{Op, Problem, StoreError};

/// An entry of the new tree, and what has its name in the old one.
struct Spot<'a> {
    node: Node,
    dir: &'a OwnedFd,
    name: &'a OsStr,
    old: Option<(Node, &'a OwnedFd, &'a Stat)>,
}

impl Spot<'_> {
    fn old_kind(&self) -> Option<FileType> {
        self.old.map(|(_, _, stat)| FileType::from_raw_mode(stat.st_mode))
    }
}

impl TreeSink {
    /// Makes an entry of the new tree, or asks for its content.
    pub(super) fn place_staged(
        &mut self,
        staging: &mut Staging,
        (node, name): (Node, &OsStr),
        entry: Box<Entry>,
        bytes: usize,
    ) -> Result<(), Problem> {
        let dir = self.dirs.file(node)?;
        let old = staging.counterpart(node)?;
        let there = match &old {
            Some((_, old)) => match statat(old, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Some(stat),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(errno.into()),
            },
            None => None,
        };
        if let (Some((old_node, _)), Some(stat)) = (&old, &there) {
            self.guard.check(staging.olds.id(*old_node), name, Some(FileId::of(stat)))?;
        }
        let old = old.as_ref().zip(there.as_ref()).map(|((node, dir), stat)| (*node, &**dir, stat));
        let spot = Spot { node, dir: &dir, name, old };
        match entry.kind {
            Kind::Directory => self.stage_directory(staging, &spot, entry),
            Kind::Link => self.stage_link(&spot, &entry),
            Kind::File => self.stage_file(&spot, entry, bytes),
        }
    }

    fn stage_directory(&mut self, staging: &mut Staging, spot: &Spot<'_>, entry: Box<Entry>) -> Result<(), Problem> {
        let replaces = spot.old_kind() == Some(FileType::Directory);
        let mode = if replaces || self.options.modes { 0o700 } else { entry.mode & 0o777 | 0o700 };
        mkdirat(spot.dir, spot.name, Mode::from_raw_mode(mode)).map_err(|errno| match errno {
            Errno::EXIST => Problem::Appeared,
            errno => errno.into(),
        })?;
        let below = self.dirs.add(spot.node, spot.name)?;
        self.numbers.insert(self.last, (below, true));
        if let (true, Some((old_node, old_dir, stat))) = (replaces, spot.old) {
            let old = staging.olds.add(old_node, spot.name)?;
            self.guard.check_directory(staging.olds.id(old))?;
            // What is mounted there is not part of the tree that is exchanged.
            if staging.olds.id(old).device != staging.olds.id(old_node).device {
                return Err(Problem::MountPoint);
            }
            let (from, to) = (staging.olds.file(old)?, self.dirs.file(below)?);
            attributes::copy_directory(&from, &to)?;
            staging.pairs.insert(below, old);
            if self.options.modes && !attributes::are_same(&entry, stat, old_dir, spot.name, &self.options) {
                self.changed(self.last, spot.node, spot.name, true);
            }
        } else {
            self.changed(self.last, spot.node, spot.name, true);
        }
        if self.options.modes || !replaces && entry.mode & 0o700 != 0o700 {
            self.give_later(below, entry);
        }
        Ok(())
    }

    fn stage_link(&mut self, spot: &Spot<'_>, entry: &Entry) -> Result<(), Problem> {
        let same = match (spot.old_kind(), spot.old) {
            (Some(FileType::Symlink), Some((_, old, _))) => {
                readlinkat(old, spot.name, Vec::new())?.as_bytes() == entry.target
            }
            _ => false,
        };
        if !same {
            self.changed(self.last, spot.node, spot.name, false);
        }
        symlinkat(OsStr::from_bytes(&entry.target), spot.dir, spot.name)?;
        Ok(attributes::give_link(spot.dir, spot.name, entry, &self.options)?)
    }

    fn stage_file(&mut self, spot: &Spot<'_>, entry: Box<Entry>, bytes: usize) -> Result<(), Problem> {
        let (number, node, name) = (self.last, spot.node, spot.name);
        if entry.shared {
            self.shared.insert(number, (node, name.into()));
        }
        if let Some(first) = entry.same {
            self.links.push((node, name.into(), first, number));
            return Ok(());
        }
        let replaces = spot.old_kind() == Some(FileType::RegularFile);
        if let (true, Some((_, old, stat))) = (replaces, spot.old)
            && self.is_kept(old, name, &entry, stat)?
            && link_same(old, spot.dir, name, stat)?
        {
            self.summary.unchanged += 1;
            return Ok(());
        }
        self.changed_file(node, name);
        let expected = Expected {
            node,
            entry,
            replaces,
            exists: false,
            fresh: true,
            frees: 0,
            refused: false,
            bytes,
            name: name.to_owned(),
            basis: None,
        };
        self.want(number, expected);
        Ok(())
    }

    /// Whether the new tree may share the old file: its content and all of its attributes are the right ones. Nothing is ever
    /// written through a name that both trees have.
    fn is_kept(&self, old: &OwnedFd, name: &OsStr, entry: &Entry, stat: &Stat) -> Result<bool, Problem> {
        let time = !self.options.times || attributes::modified(stat) == entry.modified;
        Ok(time
            && attributes::are_same(entry, stat, old, name, &self.options)
            && self.is_unchanged(old, name, entry, stat)?)
    }

    /// Completes the new tree and publishes it, if everything has come.
    pub(super) fn finish_staged(&mut self, mut staging: Staging) {
        let top = self.top.clone();
        if self.done != Some(0) || self.failed_contents > 0 {
            return self.abandon(staging, None);
        }
        match self.complete(&mut staging) {
            Err(why) => self.abandon(staging, why),
            Ok(gone) => {
                match sync_directory(staging.parent()) {
                    Ok(()) => self.sync_is_done(),
                    Err(errno) => self.report(StoreError::new(Op::Sync, &top, Problem::NotDurable(errno)).fault()),
                }
                gone.into_iter().for_each(|path| self.deleted(path));
                let removed = staging.remove();
                if let Err(problem) = removed {
                    self.report(StoreError::new(Op::DeleteOld, &staging.stage_path(), problem).fault());
                }
            }
        }
    }

    /// The old tree stays, and nothing of the new one.
    fn abandon(&mut self, staging: Staging, why: Option<Fault>) {
        why.into_iter().for_each(|fault| self.report(fault));
        drop(staging);
        (self.in_place, self.stored, self.summary.files, self.summary.bytes) = ((0, 0), (0, 0), 0, 0);
        let what = format!("nothing was published: \"{}\" is as it was", self.top.display());
        let advice = "see to what was reported, and run it again";
        self.report(Fault::system(Code::Cancelled, what).advise(advice).at(self.top.as_os_str()));
    }

    /// Gives the paths of what the new tree lacks. An error without a fault was reported.
    fn complete(&mut self, staging: &mut Staging) -> Result<Vec<OsString>, Option<Fault>> {
        let top = self.top.clone();
        let failed = |op: Op, problem: Problem| Some(StoreError::new(op, &top, problem).fault());
        let gone = self.carry_rest(staging).map_err(|error| Some(error.fault()))?;
        if let Some(most) = self.options.max_delete.filter(|most| gone.len() as u64 > *most) {
            let what = format!("{} entries would be deleted, and the limit is {most}", gone.len());
            return Err(Some(Fault::user(Code::LimitExceeded, what).advise("raise --max-delete, or leave it out")));
        }
        let has_top = self.attributes.iter().any(|(node, _)| *node == 0);
        self.give_attributes();
        self.give_modes(staging, has_top).map_err(|errno| failed(Op::SetAttributes, errno.into()))?;
        if self.failed_contents > 0 {
            return Err(None);
        }
        let dir = self.dirs.file(0).map_err(|errno| failed(Op::Sync, errno.into()))?;
        sync_all(std::iter::once(&dir)).map_err(|errno| failed(Op::Sync, errno.into()))?;
        staging.publish().map_err(|problem| failed(Op::Rename, problem))?;
        Ok(gone)
    }

    /// Directories keep the modes of those that they replace, unless the source's are asked for.
    fn give_modes(&mut self, staging: &mut Staging, has_top: bool) -> Result<(), Errno> {
        if !has_top {
            fchmod(&*self.dirs.file(0)?, staging.top_mode()?)?;
        }
        if self.options.modes {
            return Ok(());
        }
        for (node, old) in staging.pairs.clone() {
            let mode = fstat(&*staging.olds.file(old)?)?.st_mode & 0o7777;
            fchmod(&*self.dirs.file(node)?, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }

    /// What the old tree has beside: it goes into the new tree, unless it is to be deleted. Gives the paths of what is.
    fn carry_rest(&mut self, staging: &mut Staging) -> Result<Vec<OsString>, StoreError> {
        let mut gone = Vec::new();
        let mut pairs: Vec<(Node, Node)> = staging.pairs.iter().map(|(new, old)| (*new, *old)).collect();
        pairs.sort_unstable();
        for (node, old) in pairs {
            let at = |sink: &TreeSink, name: &OsStr, problem: Problem| {
                StoreError::new(Op::Link, &sink.top.join(sink.dirs.path(node, name)), problem)
            };
            let here = self.dirs.file(node).map_err(|errno| at(self, OsStr::new(""), errno.into()))?;
            let names = staging.olds.file(old).and_then(|dir| deletion::list(&dir));
            let names = names.map_err(|errno| at(self, OsStr::new(""), errno.into()))?;
            let deletes = staging.whole.contains(&node);
            for name in names {
                match statat(&here, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {}
                    _ => continue,
                }
                let carried = self.carry(staging, (node, old), &name, !deletes);
                let (carried, is_directory) = carried.map_err(|problem| at(self, &name, problem))?;
                if !carried {
                    let mut path = self.dirs.path(node, &name);
                    if is_directory {
                        path.push("/");
                    }
                    gone.push(path);
                }
            }
        }
        Ok(gone)
    }
}

/// Gives an unchanged file its name in the new tree. `false`: the system doesn't allow it, or it is another file by now.
fn link_same(old: &OwnedFd, dir: &OwnedFd, name: &OsStr, stat: &Stat) -> Result<bool, Problem> {
    match linkat(old, name, dir, name, AtFlags::empty()) {
        Ok(()) => {}
        // Not ours to link (fs.protected_hardlinks), too many names, or gone.
        Err(Errno::PERM | Errno::MLINK | Errno::NOENT | Errno::OPNOTSUPP | Errno::XDEV) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    }
    if FileId::of(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?) == FileId::of(stat) {
        return Ok(true);
    }
    unlinkat(dir, name, AtFlags::empty())?;
    Ok(false)
}

/// A directory of the old tree on the way through it.
struct Level {
    node: Node,
    old: Node,
    name: OsString,
    left: Vec<OsString>,
    /// Whether everything in it is carried; otherwise what the rules spare.
    all: bool,
    /// Whether anything was.
    carried: bool,
}

impl TreeSink {
    /// Gives an entry of the old tree a name in the new one, with everything in it if `all`, otherwise with what the rules keep
    /// from being deleted. Says whether anything was carried, and whether it is a directory.
    fn carry(
        &mut self,
        staging: &mut Staging,
        (node, old): (Node, Node),
        name: &OsStr,
        all: bool,
    ) -> Result<(bool, bool), Problem> {
        let left = vec![name.to_owned()];
        let mut way = vec![Level { node, old, name: OsString::new(), left, all, carried: false }];
        let mut is_directory = false;
        while let Some(level) = way.last_mut() {
            if let Some(next) = level.left.pop() {
                if let Some(below) = self.carry_one(staging, level, &next)? {
                    is_directory |= way.len() == 1;
                    way.push(below);
                }
                continue;
            }
            let Some(done) = way.pop() else { break };
            let Some(above) = way.last_mut() else { return Ok((done.carried, is_directory)) };
            if done.carried || done.all {
                let (from, to) = (staging.olds.file(done.old)?, self.dirs.file(done.node)?);
                attributes::copy_directory(&from, &to)?;
                let stat = fstat(&*from)?;
                fchmod(&*to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
                attributes::set_time(&*to, attributes::modified(&stat))?;
                above.carried = true;
            } else {
                unlinkat(&*self.dirs.file(above.node)?, &done.name, AtFlags::REMOVEDIR)?;
            }
        }
        Ok((false, is_directory))
    }

    fn carry_one(&mut self, staging: &mut Staging, level: &mut Level, name: &OsStr) -> Result<Option<Level>, Problem> {
        let (from, to) = (staging.olds.file(level.old)?, self.dirs.file(level.node)?);
        let stat = match statat(&from, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        self.guard.check(staging.olds.id(level.old), name, Some(FileId::of(&stat)))?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let all = level.all || self.is_excluded(level.node, name, is_directory);
        if !is_directory {
            if all {
                linkat(&from, name, &to, name, AtFlags::empty())?;
                level.carried = true;
            }
            return Ok(None);
        }
        mkdirat(&to, name, Mode::RWXU)?;
        let (node, old) = (self.dirs.add(level.node, name)?, staging.olds.add(level.old, name)?);
        if staging.olds.id(old).device != staging.olds.id(level.old).device {
            return Err(Problem::MountPoint);
        }
        let left = deletion::list(&*staging.olds.file(old)?)?;
        Ok(Some(Level { node, old, name: name.to_owned(), left, all, carried: false }))
    }
}
