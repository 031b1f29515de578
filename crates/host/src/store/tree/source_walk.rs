//! Walking the source: which entries there are, in which order, with which attributes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use unglue_proto::message::tree::TreeOptions;
use unglue_proto::tree::{Entry, Kind, ROOT, Record, Verdict};

use super::attributes::{self, modified};
use super::content::{self, Seen};
use super::dirs::Node;
use super::ignores::LONGEST;
use super::only::Only;
use super::source::{Slot, TreeRoot, TreeSource};
use crate::store::error::{Op, Problem, StoreError};

/// Where the walk is.
#[derive(Debug)]
pub(super) struct Walk {
    roots: std::vec::IntoIter<TreeRoot>,
    /// Directories that were sent and not listed yet, the next one last.
    stack: Vec<ToList>,
    listing: Option<Listing>,
    /// The number of the last entry.
    last: u64,
    only: Option<Arc<Only>>,
    /// Files with several names, by device and inode: the entry that was sent, and how many names are still to come.
    links: HashMap<(u64, u64), (u64, u64)>,
    begun: bool,
    finished: bool,
}

#[derive(Debug)]
struct ToList {
    parent: Node,
    name: OsString,
    number: u64,
    only: Option<Arc<Only>>,
}

/// A directory whose entries are being sent.
#[derive(Debug)]
struct Listing {
    node: Node,
    number: u64,
    names: Names,
    next: usize,
    only: Option<Arc<Only>>,
    whole: bool,
    below: Vec<ToList>,
}

/// The names in a directory, sorted. One buffer holds all of them: there may be a million.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

impl Names {
    fn push(&mut self, name: &[u8]) {
        let from = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.ends.push((from, self.bytes.len() as u32));
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.ends.sort_unstable_by(|a, b| bytes[a.0 as usize..a.1 as usize].cmp(&bytes[b.0 as usize..b.1 as usize]));
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.ends.get(index).map(|&(from, to)| &self.bytes[from as usize..to as usize])
    }
}

impl Walk {
    pub(super) fn new(roots: Vec<TreeRoot>, options: &TreeOptions) -> Walk {
        Walk {
            roots: roots.into_iter(),
            stack: Vec::new(),
            listing: None,
            last: 0,
            only: Only::new(&options.only),
            links: HashMap::new(),
            begun: false,
            finished: false,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The number of the last entry.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

impl TreeSource {
    /// Appends records of entries until `out` has `limit` bytes, the window is full, or all are sent.
    pub(super) fn walk_on(&mut self, out: &mut Vec<u8>, limit: usize) {
        if !std::mem::replace(&mut self.walk.begun, true) {
            self.emit(&Record::Begin { machine: &machine() }, out);
        }
        if let Some(mut listing) = self.walk.listing.take() {
            match self.list_on(&mut listing, out, limit) {
                false => self.walk.listing = Some(listing),
                true => {
                    self.emit(&Record::EndList { whole: listing.whole }, out);
                    listing.below.reverse();
                    self.walk.stack.append(&mut listing.below);
                }
            }
        } else if let Some(next) = self.walk.stack.pop() {
            match self.dirs.add(next.parent, &next.name) {
                Ok(node) => self.begin_list(node, next.number, next.only, true, out),
                Err(errno) => self.not_sent(next.parent, &next.name, Op::Read, errno),
            }
        } else if let Some(root) = self.walk.roots.next() {
            self.begin_root(root, out);
        } else {
            self.walk.finished = true;
            self.moving.complete = true;
            let problems = self.serious;
            self.emit(&Record::Done { problems }, out);
        }
    }

    fn begin_root(&mut self, root: TreeRoot, out: &mut Vec<u8>) {
        let only = self.walk.only.clone();
        let node = match self.dirs.add_top(root.dir) {
            Ok(node) => node,
            Err(errno) => {
                self.serious += 1;
                return self.report_fault(StoreError::new(Op::Read, Path::new("."), errno).fault());
            }
        };
        match root.name {
            None => self.begin_list(node, ROOT, only, true, out),
            Some(name) => {
                self.emit(&Record::List { directory: ROOT }, out);
                let mut listing =
                    Listing { node, number: ROOT, names: Names::default(), next: 0, only, whole: false, below: vec![] };
                let file = self.dirs.file(node);
                match file {
                    Ok(file) => self.send_entry(&mut listing, &file, &name, out),
                    Err(errno) => self.not_sent(node, &name, Op::Open, errno),
                }
                // What is below a source is named by the paths of the list.
                listing.below.iter_mut().for_each(|below| below.only = self.walk.only.clone());
                self.emit(&Record::EndList { whole: false }, out);
                self.walk.stack.append(&mut listing.below);
            }
        }
    }

    fn begin_list(&mut self, node: Node, number: u64, only: Option<Arc<Only>>, whole: bool, out: &mut Vec<u8>) {
        let only = only.filter(|only| !only.all);
        let mut listing = Listing { node, number, names: Names::default(), next: 0, only, whole, below: Vec::new() };
        self.emit(&Record::List { directory: number }, out);
        let read = self.dirs.file(node).and_then(|dir| {
            if number == ROOT {
                self.send_top(node, &dir, out)?;
            }
            match &listing.only {
                Some(only) => {
                    only.below.keys().for_each(|name| listing.names.push(name));
                    listing.whole = false;
                }
                None => listing.names = names(&dir)?,
            }
            Ok(dir)
        });
        match read {
            Ok(dir) => {
                if self.options.gitignore {
                    self.read_ignores(node, &dir, out);
                }
            }
            Err(errno) => {
                listing.whole = false;
                self.not_sent(node, OsStr::new(""), Op::Read, errno);
            }
        }
        self.walk.listing = Some(listing);
    }

    /// The attributes of the directory whose entries are the top of the transfer.
    fn send_top(&mut self, node: Node, dir: &OwnedFd, out: &mut Vec<u8>) -> Result<(), Errno> {
        let stat = fstat(dir)?;
        let mut entry = self.entry(dir, OsStr::new("."), Kind::Directory, &stat)?;
        entry.name = b".".to_vec();
        self.send(node, OsStr::new(""), entry, &stat, out);
        Ok(())
    }

    fn read_ignores(&mut self, node: Node, dir: &OwnedFd, out: &mut Vec<u8>) {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(dir, ".gitignore", flags, Mode::empty()) else { return };
        if !fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
            return;
        }
        let mut text = Vec::new();
        match std::fs::File::from(file).take(LONGEST as u64 + 1).read_to_end(&mut text) {
            Ok(length) if length <= LONGEST => {
                self.ignores.add(node, &text);
                self.emit(&Record::Rules { text: &text }, out);
            }
            Ok(_) => self.not_sent(node, OsStr::new(".gitignore"), Op::Read, Errno::FBIG),
            Err(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                self.not_sent(node, OsStr::new(".gitignore"), Op::Read, errno);
            }
        }
    }

    /// Sends entries of a listing; says whether all of them are sent.
    fn list_on(&mut self, listing: &mut Listing, out: &mut Vec<u8>, limit: usize) -> bool {
        if listing.names.ends.is_empty() {
            return true;
        }
        let dir = match self.dirs.file(listing.node) {
            Ok(dir) => dir,
            Err(errno) => {
                listing.whole = false;
                self.not_sent(listing.node, OsStr::new(""), Op::Read, errno);
                return true;
            }
        };
        while out.len() < limit && !self.is_full() {
            let Some(name) = listing.names.get(listing.next) else { return true };
            let name = OsStr::from_bytes(name).to_owned();
            listing.next += 1;
            self.send_entry(listing, &dir, &name, out);
        }
        false
    }

    fn is_full(&self) -> bool {
        use unglue_proto::tree::{WINDOW, WINDOW_BYTES};
        self.slots.len() + self.wanted.len() + self.patches.unsure() >= WINDOW - 1
            || self.undecided_bytes >= WINDOW_BYTES / 2
    }

    /// Sends one entry, unless the rules leave it out.
    fn send_entry(&mut self, listing: &mut Listing, dir: &OwnedFd, name: &OsStr, out: &mut Vec<u8>) {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It was deleted since its directory was read.
            Err(Errno::NOENT) if listing.only.is_none() && listing.number != ROOT => return,
            Err(errno) => {
                listing.whole = false;
                return self.not_sent(listing.node, name, Op::Open, errno);
            }
        };
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if self.is_left_out(listing.node, name, file_type == FileType::Directory) {
            return;
        }
        let kind = match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => return self.report(listing.node, name, Op::Copy, Problem::Special("a FIFO")),
            FileType::Socket => return self.report(listing.node, name, Op::Copy, Problem::Special("a socket")),
            _ => return self.report(listing.node, name, Op::Copy, Problem::Special("a device")),
        };
        if kind == Kind::Directory && !self.options.recursive {
            return self.not_sent(listing.node, name, Op::Copy, Problem::NotRecursive);
        }
        let entry = match self.entry(dir, name, kind, &stat) {
            Ok(entry) => entry,
            Err(errno) => {
                listing.whole = false;
                return self.not_sent(listing.node, name, Op::Read, errno);
            }
        };
        let number = self.send(listing.node, name, entry, &stat, out);
        if kind == Kind::Directory {
            let only = listing.only.as_ref().and_then(|only| only.below.get(name.as_bytes())).cloned();
            listing.below.push(ToList { parent: listing.node, name: name.to_owned(), number, only });
        }
    }

    fn is_left_out(&self, node: Node, name: &OsStr, is_directory: bool) -> bool {
        if self.filter.is_empty() && !self.options.gitignore {
            return false;
        }
        match self.filter.judge(self.dirs.path(node, name).as_bytes(), is_directory) {
            Verdict::Included => false,
            Verdict::Excluded => true,
            Verdict::Unmatched => self.ignores.ignores(&self.dirs, node, name, is_directory),
        }
    }

    fn entry(&mut self, dir: &OwnedFd, name: &OsStr, kind: Kind, stat: &Stat) -> Result<Entry, Errno> {
        let mut entry = Entry::new(kind, name.as_bytes().to_vec());
        // Under another owner a set-id program is another program: these bits go along with the owner.
        let bits = if self.options.everything { 0o777 } else { 0o7777 };
        entry.mode = stat.st_mode & bits;
        if let Some(chmod) = &self.chmod
            && kind != Kind::Link
        {
            entry.mode = chmod.apply(entry.mode, kind == Kind::Directory);
        }
        entry.modified = modified(stat);
        if self.options.owners {
            entry.owner = Some((stat.st_uid, stat.st_gid));
        }
        entry.attributes = attributes::read(dir, name, &self.options)?;
        match kind {
            Kind::Directory => entry.id = (stat.st_dev, stat.st_ino),
            Kind::Link => entry.target = readlinkat(dir, name, Vec::new())?.into_bytes(),
            Kind::File => {
                entry.size = stat.st_size as u64;
                entry.sparse = (stat.st_blocks as u64).saturating_mul(512) < entry.size;
                self.find_link(stat, &mut entry);
                if self.options.checksum && entry.same.is_none() {
                    entry.digest = match content::digest(dir, name, &self.guard) {
                        Ok(digest) => Some(digest),
                        Err(Problem::System(errno)) => return Err(errno),
                        Err(_) => return Err(Errno::ACCESS),
                    };
                }
            }
        }
        Ok(entry)
    }

    // On other machines than x86-64 a count of links has 32 bits.
    #[allow(clippy::unnecessary_cast)]
    fn find_link(&mut self, stat: &Stat, entry: &mut Entry) {
        if !self.options.hard_links || stat.st_nlink < 2 {
            return;
        }
        let id = (stat.st_dev, stat.st_ino);
        let number = self.walk.last + 1;
        match self.walk.links.get_mut(&id) {
            Some((first, left)) => {
                entry.same = Some(*first);
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.walk.links.remove(&id);
                }
            }
            None => {
                entry.shared = true;
                self.walk.links.insert(id, (number, stat.st_nlink - 1));
            }
        }
    }

    /// Sends an entry, and gives its number.
    fn send(&mut self, node: Node, name: &OsStr, entry: Entry, stat: &Stat, out: &mut Vec<u8>) -> u64 {
        self.walk.last += 1;
        self.summary.entries += 1;
        self.moving.entries += 1;
        let (kind, size, linked) = (entry.kind, entry.size, entry.same.is_some());
        self.summary.size += size;
        let bytes = self.emit(&Record::Entry(Box::new(entry)), out);
        let slot = Slot { node, name: name.into(), size, kind, seen: Seen::of(stat), bytes };
        let has_content = kind == Kind::File && !linked;
        if has_content && self.options.asks(size) || !self.options.unasked() {
            self.undecided_bytes += bytes;
            self.slots.push_back((self.walk.last, slot));
        } else if has_content {
            self.want(self.walk.last, slot);
        }
        self.walk.last
    }
}

/// The names in a directory, sorted by their bytes.
fn names(dir: &OwnedFd) -> Result<Names, Errno> {
    let mut names = Names::default();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Bytes that no other running system has.
pub(super) fn machine() -> Vec<u8> {
    std::fs::read("/proc/sys/kernel/random/boot_id").map(|id| id.trim_ascii().to_vec()).unwrap_or_default()
}
