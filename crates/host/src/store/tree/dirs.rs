//! Directories that are held open, or opened again as the same ones.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::store::FileId;

/// As many directories stay open. A process may have a thousand descriptors, and others need some too.
const OPEN: usize = 96;

/// The number of a directory in [`Dirs`].
pub(super) type Node = u32;

/// Directories of one transfer. Those that are not open are opened again from their parent, one name at a time, and only if
/// they are the same directory as before.
#[derive(Debug, Default)]
pub(super) struct Dirs {
    nodes: Vec<Dir>,
    /// Those that are open and may be closed, the longest unused first.
    open: VecDeque<Node>,
    /// The first directory of each file system.
    systems: Vec<Node>,
}

#[derive(Debug)]
struct Dir {
    /// `None` for a directory that the transfer starts from: it stays open.
    parent: Option<Node>,
    name: Box<OsStr>,
    id: FileId,
    file: Option<Arc<OwnedFd>>,
    /// A trial run has not made it.
    absent: bool,
}

impl Dirs {
    /// A directory that the transfer starts from.
    pub(super) fn add_top(&mut self, file: OwnedFd) -> Result<Node, Errno> {
        let id = FileId::of(&fstat(&file)?);
        Ok(self.push(Dir { parent: None, name: OsString::new().into(), id, file: Some(Arc::new(file)), absent: false }))
    }

    /// A directory that a trial run would make.
    pub(super) fn add_absent(&mut self, parent: Option<Node>, name: &OsStr) -> Node {
        let id = FileId { device: 0, inode: 0 };
        self.push(Dir { parent, name: name.into(), id, file: None, absent: true })
    }

    /// Opens `name` in a directory, if it is a directory itself.
    pub(super) fn add(&mut self, parent: Node, name: &OsStr) -> Result<Node, Errno> {
        let file = open(&*self.file(parent)?, name)?;
        let id = FileId::of(&fstat(&file)?);
        let node = self.push(Dir { parent: Some(parent), name: name.into(), id, file: None, absent: false });
        self.keep(node, Arc::new(file));
        Ok(node)
    }

    fn push(&mut self, dir: Dir) -> Node {
        let node = self.nodes.len() as Node;
        let device = dir.id.device;
        if !dir.absent && self.systems.iter().all(|first| self.nodes[*first as usize].id.device != device) {
            self.systems.push(node);
        }
        self.nodes.push(dir);
        node
    }

    /// The first directory of each file system.
    pub(super) fn systems(&self) -> Vec<Node> {
        self.systems.clone()
    }

    fn keep(&mut self, node: Node, file: Arc<OwnedFd>) {
        self.nodes[node as usize].file = Some(file);
        self.open.push_back(node);
        while self.open.len() > OPEN {
            if let Some(oldest) = self.open.pop_front() {
                self.nodes[oldest as usize].file = None;
            }
        }
    }

    /// The open directory.
    ///
    /// # Errors
    /// `ESTALE`: another one has its name now. Or it can't be opened.
    pub(super) fn file(&mut self, node: Node) -> Result<Arc<OwnedFd>, Errno> {
        let dir = &self.nodes[node as usize];
        if let Some(file) = &dir.file {
            return Ok(file.clone());
        }
        let (Some(parent), false) = (dir.parent, dir.absent) else { return Err(Errno::NOENT) };
        let name = dir.name.clone();
        let id = dir.id;
        // A path has at most 4,096 bytes in one call, not in many: the way up is walked without recursion.
        let above = match self.nodes[parent as usize].file.clone() {
            Some(file) => file,
            None => self.reopen(parent)?,
        };
        let file = open(&above, &name)?;
        if FileId::of(&fstat(&file)?) != id {
            return Err(Errno::STALE);
        }
        let file = Arc::new(file);
        self.keep(node, file.clone());
        Ok(file)
    }

    fn reopen(&mut self, node: Node) -> Result<Arc<OwnedFd>, Errno> {
        let mut way = vec![node];
        let mut last = node;
        while self.nodes[last as usize].file.is_none() {
            last = self.nodes[last as usize].parent.ok_or(Errno::NOENT)?;
            way.push(last);
        }
        let mut file = self.nodes[last as usize].file.clone().ok_or(Errno::NOENT)?;
        way.pop();
        while let Some(next) = way.pop() {
            let dir = &self.nodes[next as usize];
            let opened = open(&file, &dir.name)?;
            if FileId::of(&fstat(&opened)?) != dir.id {
                return Err(Errno::STALE);
            }
            file = Arc::new(opened);
        }
        self.keep(node, file.clone());
        Ok(file)
    }

    /// Which directory it is.
    pub(super) fn id(&self, node: Node) -> FileId {
        self.nodes[node as usize].id
    }

    /// Whether a trial run has not made it.
    pub(super) fn is_absent(&self, node: Node) -> bool {
        self.nodes[node as usize].absent
    }

    /// The directory above, unless the transfer starts here.
    pub(super) fn parent(&self, node: Node) -> Option<Node> {
        self.nodes[node as usize].parent
    }

    /// Its name in the directory above.
    pub(super) fn name(&self, node: Node) -> &OsStr {
        &self.nodes[node as usize].name
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The path of `name` in a directory, relative to where the transfer starts.
    pub(super) fn path(&self, node: Node, name: &OsStr) -> OsString {
        let mut parts = vec![name.as_bytes()];
        let mut at = node;
        while let Some(parent) = self.nodes[at as usize].parent {
            parts.push(self.nodes[at as usize].name.as_bytes());
            at = parent;
        }
        parts.reverse();
        let path: Vec<u8> = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b'/');
        OsString::from_vec(path)
    }
}

/// Opens a directory by one name, without following a link.
pub(in crate::store) fn open(dir: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The directories above an open one, as far as they can be seen.
pub(super) fn above(dir: &OwnedFd) -> Vec<FileId> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut above: Vec<FileId> = Vec::new();
    let mut last = openat(dir, "..", flags, Mode::empty());
    while let Ok(dir) = last
        && let Ok(stat) = fstat(&dir)
        && above.last() != Some(&FileId::of(&stat))
    {
        above.push(FileId::of(&stat));
        last = openat(&dir, "..", flags, Mode::empty());
    }
    above
}
