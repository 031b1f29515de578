//! A whole directory that is made beside the one that it replaces: `sync --atomic`.
//!
//! The new tree grows in a directory with a temporary name, which other users can't enter. [`Staging::publish`] exchanges the
//! two names, and the old tree is removed. So the name holds the old tree or the new one at every moment. If the transfer fails,
//! or this process is killed, the temporary name is removed, whichever tree has it.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, RenameFlags, fchmod, fstat, mkdirat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use unglue_proto::{Code, Fault};

use super::attributes::copy_directory;
use super::deletion;
use super::dirs::{Dirs, Node, open};
use super::journal::{Journal, Leftover};
use crate::store::FileId;
use crate::store::attributes::is_mount_point;
use crate::store::error::{Op, Problem, StoreError};

/// The new tree until it is published, and the old one. Dropped, what has the temporary name is removed.
#[derive(Debug)]
pub(in crate::store) struct Staging {
    parent: Arc<OwnedFd>,
    /// The destination's path, for messages.
    path: PathBuf,
    name: OsString,
    /// The name of the new tree; once it is published, that of the old one.
    stage: OsString,
    exists: bool,
    /// Set where something is left: the next start removes it.
    leftover: Leftover,
    old: Option<FileId>,
    /// The mode that a new directory gets here.
    fresh_mode: Mode,
    /// Directories of the old tree,
    pub(super) olds: Dirs,
    /// by those of the new tree that take their place.
    pub(super) pairs: HashMap<Node, Node>,
    /// Directories of the new tree of which the source has sent every entry, where others are deleted.
    pub(super) whole: HashSet<Node>,
}

impl Staging {
    /// Makes the directory in which the new tree grows, and gives it.
    ///
    /// # Errors
    /// The destination, or its file system, does not allow an exchange.
    pub(in crate::store) fn begin(
        (parent, parent_path): (OwnedFd, &Path),
        name: &OsStr,
        path: &Path,
        journal: &mut Journal,
    ) -> Result<(Staging, OwnedFd), Fault> {
        let failed = |op: Op, problem: Problem| StoreError::new(op, path, problem).fault();
        let there = match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(failed(Op::Resolve, errno.into())),
        };
        match there.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            None => {}
            Some(FileType::Directory) if is_mount_point(&parent, name) => {
                return Err(refusal(path, "something is mounted on it, so it can't be exchanged")
                    .advise("name a directory below it, or leave --atomic out"));
            }
            Some(FileType::Directory) => {}
            Some(FileType::Symlink) => {
                return Err(refusal(path, "it is a symbolic link").advise("name the directory that the link leads to"));
            }
            Some(_) => return Err(failed(Op::Resolve, Errno::NOTDIR.into())),
        }
        let stage = journal.beside(parent_path, name).map_err(|errno| failed(Op::Record, errno.into()))?;
        mkdirat(&parent, &stage, Mode::from_raw_mode(0o777)).map_err(|errno| failed(Op::Make, errno.into()))?;
        let mut staging = Staging {
            parent: Arc::new(parent),
            path: path.to_owned(),
            name: name.to_owned(),
            stage,
            exists: true,
            leftover: journal.leftover(),
            old: there.as_ref().map(FileId::of),
            fresh_mode: Mode::RWXU,
            olds: Dirs::default(),
            pairs: HashMap::new(),
            whole: HashSet::new(),
        };
        let dir = staging.open_both().map_err(|problem| failed(Op::Make, problem))?;
        if staging.old.is_some() {
            let probe = journal.beside(parent_path, name).map_err(|errno| failed(Op::Record, errno.into()))?;
            staging.probe(&probe)?;
        }
        Ok((staging, dir))
    }

    /// Opens the new directory, which is closed to others from now on, and the old one.
    fn open_both(&mut self) -> Result<OwnedFd, Problem> {
        let dir = open(&self.parent, &self.stage)?;
        self.fresh_mode = Mode::from_raw_mode(fstat(&dir)?.st_mode & 0o7777);
        match self.old {
            None => fchmod(&dir, Mode::RWXU)?,
            Some(id) => {
                let old = open(&self.parent, &self.name)?;
                if FileId::of(&fstat(&old)?) != id {
                    return Err(Problem::Appeared);
                }
                copy_directory(&old, &dir)?;
                let node = self.olds.add_top(old)?;
                self.pairs.insert(0, node);
            }
        }
        Ok(dir)
    }

    /// Whether two directories can be exchanged here.
    fn probe(&self, probe: &OsStr) -> Result<(), Fault> {
        let failed = |errno: Errno| StoreError::new(Op::Make, &self.path, errno).fault();
        mkdirat(&self.parent, probe, Mode::RWXU).map_err(failed)?;
        let exchanged = renameat_with(&self.parent, &self.stage, &self.parent, probe, RenameFlags::EXCHANGE);
        let back = match exchanged {
            Ok(()) => renameat_with(&self.parent, &self.stage, &self.parent, probe, RenameFlags::EXCHANGE),
            Err(_) => Ok(()),
        };
        if let Err(errno) = unlinkat(&self.parent, probe, AtFlags::REMOVEDIR) {
            self.leftover.set();
            return Err(failed(errno));
        }
        match exchanged.and(back) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                Err(refusal(&self.path, "its file system can't exchange two directories (renameat2(2))")
                    .advise("leave --atomic out, or choose a destination on another file system"))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Which directory has the name now.
    pub(in crate::store) fn old(&self) -> Option<FileId> {
        self.old
    }

    /// The mode of the top, where it is not the source's.
    pub(super) fn top_mode(&mut self) -> Result<Mode, Errno> {
        match self.pairs.get(&0) {
            Some(&node) => Ok(Mode::from_raw_mode(fstat(&*self.olds.file(node)?)?.st_mode & 0o7777)),
            None => Ok(self.fresh_mode),
        }
    }

    /// The directory of the old tree whose place one of the new tree takes.
    pub(super) fn counterpart(&mut self, node: Node) -> Result<Option<(Node, Arc<OwnedFd>)>, Errno> {
        match self.pairs.get(&node) {
            Some(&old) => Ok(Some((old, self.olds.file(old)?))),
            None => Ok(None),
        }
    }

    /// Gives the new tree its name. After an error the old one has it.
    pub(super) fn publish(&mut self) -> Result<(), Problem> {
        let (parent, stage, name) = (&*self.parent, &self.stage, &self.name);
        let Some(old) = self.old else {
            let renamed = match renameat_with(parent, stage, parent, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => renameat(parent, stage, parent, name),
                Err(Errno::EXIST) => return Err(Problem::Appeared),
                renamed => renamed,
            };
            renamed?;
            self.exists = false;
            return Ok(());
        };
        let exchange = || renameat_with(parent, stage, parent, name, RenameFlags::EXCHANGE);
        let is_old =
            |name: &OsStr| statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| FileId::of(&stat) == old);
        if !is_old(name) {
            return Err(Problem::Appeared);
        }
        exchange()?;
        if !is_old(stage) {
            // Another directory took the name in between. It gets it back.
            exchange()?;
            return Err(Problem::Appeared);
        }
        Ok(())
    }

    /// The directory in which the names are exchanged.
    pub(super) fn parent(&self) -> &OwnedFd {
        &self.parent
    }

    /// Removes what has the temporary name: the old tree, once the new one is published.
    pub(super) fn remove(&mut self) -> Result<(), Problem> {
        if !std::mem::take(&mut self.exists) {
            return Ok(());
        }
        match deletion::remove_all(&self.parent, &self.stage, &mut |_| Ok(())) {
            Ok(()) | Err(Problem::System(Errno::NOENT)) => Ok(()),
            Err(problem) => {
                self.leftover.set();
                Err(problem)
            }
        }
    }

    /// The temporary name, for messages.
    pub(super) fn stage_path(&self) -> PathBuf {
        self.path.with_file_name(&self.stage)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(problem) = self.remove() {
            let error = StoreError::new(Op::Delete, &self.stage_path(), problem);
            tracing::warn!(%error, "a tree that was not published can't be removed");
        }
    }
}

fn refusal(path: &Path, why: &str) -> Fault {
    let what = format!("\"{}\" can't be replaced at once: {why}", unglue_proto::Octets::from(path.as_os_str()));
    Fault::user(Code::PathRefused, what).at(path.as_os_str())
}

/// Refuses a destination that has no name of its own.
pub(in crate::store) fn nameless(path: &Path) -> Fault {
    refusal(path, "it has no name of its own").advise("name the destination by its own name, as in DIR/NAME")
}
