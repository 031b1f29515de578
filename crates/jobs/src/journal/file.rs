//! The journal's file: appending to it, and making a new one.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::record::{Frame, Header, Line, Record};

/// The file's name in its directory.
const NAME: &str = "journal";
/// The name of a new file until it is complete.
const NEW: &str = "journal.new";
/// What the names of damaged files begin with; a number follows.
const DAMAGED: &str = "journal.damaged-";
/// How many damaged files are kept.
const KEPT: usize = 4;
/// How much of a new file is written at once.
const PIECE: usize = 256 * 1024;

/// The directory of a journal.
#[derive(Debug)]
pub(super) struct Place {
    directory: OwnedFd,
    path: PathBuf,
}

impl Place {
    pub(super) fn open(path: &Path) -> Result<Place, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Place { directory: rustix::fs::openat(CWD, path, flags, Mode::empty())?, path: path.to_owned() })
    }

    /// The journal's path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.path.join(NAME)
    }

    /// Opens the journal, if there is one.
    pub(super) fn existing(&self) -> Result<Option<File>, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.directory, NAME, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(Some(file.into())),
            _ => Err(Errno::INVAL),
        }
    }

    /// Begins a new file, in place of one that was never finished.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        self.discard_draft();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, NEW, flags, Mode::RUSR | Mode::WUSR)?;
        let tag = u32::from_le_bytes(random()?);
        Ok(Draft {
            file: file.into(),
            tag,
            next: 1,
            length: 0,
            buffer: Header { tag, incomplete: false }.encode().to_vec(),
        })
    }

    /// Removes a new file that was not finished.
    pub(super) fn discard_draft(&self) {
        self.remove(NEW);
    }

    /// Gives a complete and synced new file the journal's name.
    pub(super) fn publish(&self) -> Result<(), Errno> {
        rustix::fs::renameat(&self.directory, NEW, &self.directory, NAME)
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        rustix::fs::fsync(&self.directory)
    }

    /// Gives the damaged journal a second name, under which it stays; copies it where the file system has no hard links. The
    /// oldest of too many is removed.
    pub(super) fn keep_aside(&self, journal: &File) -> io::Result<PathBuf> {
        let inode = inode(journal)?;
        let numbers = self.damaged()?;
        let name = |number: u32| format!("{DAMAGED}{number}");
        // It has the name already if a process died between this and the next step.
        let stat = |number: u32| rustix::fs::statat(&self.directory, name(number).as_str(), AtFlags::SYMLINK_NOFOLLOW);
        if let Some(number) = numbers.iter().find(|number| stat(**number).is_ok_and(|there| there.st_ino == inode)) {
            return Ok(self.path.join(name(*number)));
        }
        let kept = name(numbers.last().map_or(1, |last| last.saturating_add(1)));
        if rustix::fs::linkat(&self.directory, NAME, &self.directory, kept.as_str(), AtFlags::empty()).is_err() {
            self.copy(journal, &kept).inspect_err(|_| self.remove(&kept))?;
        }
        for old in numbers.iter().rev().skip(KEPT - 1) {
            self.remove(&name(*old));
        }
        Ok(self.path.join(kept))
    }

    /// The numbers of the damaged journals that are kept, in order.
    fn damaged(&self) -> Result<Vec<u32>, Errno> {
        let entries = rustix::fs::Dir::read_from(&self.directory)?;
        let number = |name: &str| name.strip_prefix(DAMAGED)?.parse().ok();
        let mut numbers: Vec<u32> =
            entries.filter_map(|entry| number(entry.ok()?.file_name().to_str().ok()?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn copy(&self, journal: &File, to: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let to = rustix::fs::openat(&self.directory, to, flags, Mode::RUSR | Mode::WUSR)?;
        let (mut from, mut to) = (journal, File::from(to));
        from.seek(SeekFrom::Start(0))?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    }

    fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }
}

/// Random bytes from the kernel.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    // Requests of up to 256 bytes are never cut short (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

/// A file's inode.
pub(super) fn inode(file: impl AsFd) -> Result<u64, Errno> {
    Ok(rustix::fs::fstat(file)?.st_ino)
}

/// A new file on its way.
pub(super) struct Draft {
    pub(super) file: File,
    tag: u32,
    next: u64,
    length: u64,
    buffer: Vec<u8>,
}

impl Draft {
    /// Adds a line.
    pub(super) fn add(&mut self, line: &Line) -> io::Result<()> {
        line.encode(self.next, self.tag, &mut self.buffer)?;
        self.added()
    }

    /// Adds a record of another file.
    pub(super) fn copy(&mut self, frame: &Frame) -> io::Result<()> {
        frame.copy(self.next, self.tag, &mut self.buffer)?;
        self.added()
    }

    fn added(&mut self) -> io::Result<()> {
        self.next += 1;
        match self.buffer.len() < PIECE {
            true => Ok(()),
            false => self.write(),
        }
    }

    /// Writes what was added, and syncs the file.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        Ok(rustix::fs::fsync(&self.file)?)
    }

    fn write(&mut self) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, &self.buffer, self.length)?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Its length, as far as it is written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The synced file, to append to.
    pub(super) fn into_writer(self) -> Writer {
        Writer::new(self.file, self.tag, self.next, self.length)
    }
}

/// The end of the file, where records are appended.
#[derive(Debug)]
pub(super) struct Writer {
    file: Arc<File>,
    tag: u32,
    next: u64,
    length: u64,
    /// How much of the file is known to be on the disk.
    synced: u64,
    buffer: Vec<u8>,
    /// Whether the header says that records are missing.
    incomplete: bool,
    stopped: Option<Stopped>,
}

/// Why nothing more is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It was closed.
    Closed,
    /// A call failed, and what the file holds since is not known.
    Failed(&'static str, Errno),
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> io::Error {
        match stopped {
            Stopped::Closed => io::Error::other("the journal is closed"),
            Stopped::Failed(call, errno) => io::Error::other(format!(
                "the journal takes no records since {call} failed ({errno}): what the disk holds is not known until it is opened again"
            )),
        }
    }
}

impl Writer {
    /// A file that is synced up to its `length`, whose next record has the number `next`.
    pub(super) fn new(file: File, tag: u32, next: u64, length: u64) -> Writer {
        Writer {
            file: Arc::new(file),
            tag,
            next,
            length,
            synced: length,
            buffer: Vec::new(),
            incomplete: false,
            stopped: None,
        }
    }

    /// Appends a line with one call. If that fails, the file is as before, or the writer is stopped.
    pub(super) fn append(&mut self, line: &Line) -> io::Result<()> {
        self.write(|number, tag, into| line.encode(number, tag, into))
    }

    /// Appends a record, in the same way.
    pub(super) fn record(&mut self, record: &Record) -> io::Result<()> {
        self.write(|number, tag, into| record.encode(number, tag, into))
    }

    fn write(&mut self, encode: impl FnOnce(u64, u32, &mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        self.check()?;
        self.buffer.clear();
        encode(self.next, self.tag, &mut self.buffer)?;
        let written = loop {
            match rustix::io::pwrite(&*self.file, &self.buffer, self.length) {
                Err(Errno::INTR) => {}
                written => break written,
            }
        };
        let error = match written {
            Ok(bytes) if bytes == self.buffer.len() => {
                self.length += bytes as u64;
                self.next += 1;
                return Ok(());
            }
            // Linux writes a part of a small record only if there was no room for the rest.
            Ok(_) => Errno::NOSPC,
            Err(errno) => errno,
        };
        if let Err(errno) = rustix::fs::ftruncate(&*self.file, self.length) {
            self.stop(Stopped::Failed("ftruncate(2)", errno));
        }
        Err(error.into())
    }

    /// Whether records can be appended.
    pub(super) fn check(&self) -> io::Result<()> {
        self.stopped.clone().map_or(Ok(()), |stopped| Err(stopped.into()))
    }

    /// Takes no more records. The first reason stays.
    pub(super) fn stop(&mut self, why: Stopped) {
        if let (None, Stopped::Failed(call, errno)) = (&self.stopped, &why) {
            let meaning = "the journal takes no more records: restart the server";
            tracing::error!(event = "journal_stopped", call, %errno, meaning);
        }
        self.stopped.get_or_insert(why);
    }

    /// The file, and its length.
    pub(super) fn file(&self) -> (Arc<File>, u64) {
        (self.file.clone(), self.length)
    }

    /// Whether all of it is on the disk.
    pub(super) fn is_synced(&self) -> bool {
        self.synced >= self.length
    }

    /// The file is on the disk up to this length, unless another one has taken its place.
    pub(super) fn synced(&mut self, file: &Arc<File>, length: u64) {
        if Arc::ptr_eq(file, &self.file) {
            self.synced = self.synced.max(length);
        }
    }

    /// Notes in the header that a record is missing. That needs no room.
    pub(super) fn mark_incomplete(&mut self) -> io::Result<()> {
        if !self.incomplete {
            let header = Header { tag: self.tag, incomplete: true }.encode();
            std::os::unix::fs::FileExt::write_all_at(&*self.file, &header, 0)?;
            self.incomplete = true;
        }
        Ok(())
    }

    /// Goes on with another file. That it is incomplete must be in its header already.
    pub(super) fn replace(&mut self, by: Writer) {
        let stopped = self.stopped.take();
        *self = Writer { stopped, ..by };
    }

    /// Whether records are missing.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }
}
