//! The journal's file: appending to it, and making a new one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::record::{Line, Record, header};

/// The file's name in its directory.
const NAME: &str = "journal";
/// The name of a new file until it is complete.
const NEW: &str = "journal.new";
/// What the names of damaged files begin with; a number follows.
const DAMAGED: &str = "journal.damaged-";
/// How many damaged files are kept.
const KEPT: u32 = 4;
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
        Ok(Draft { file: file.into(), tag, next: 1, length: 0, buffer: header(tag).to_vec() })
    }

    /// Removes a new file that was not finished.
    pub(super) fn discard_draft(&self) {
        let _ = rustix::fs::unlinkat(&self.directory, NEW, AtFlags::empty());
    }

    /// Gives a complete and synced new file the journal's name.
    pub(super) fn publish(&self) -> Result<(), Errno> {
        rustix::fs::renameat(&self.directory, NEW, &self.directory, NAME)
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        rustix::fs::fsync(&self.directory)
    }

    /// Gives the damaged journal a second name, under which it stays. The oldest of too many is removed.
    ///
    /// # Errors
    /// Among others `EPERM`, where the file system has no hard links.
    pub(super) fn keep_aside(&self) -> Result<PathBuf, Errno> {
        let stat = |name: &str| rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let inode = stat(NAME)?.st_ino;
        let mut numbers: Vec<u32> = rustix::fs::Dir::read_from(&self.directory)?
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.strip_prefix(DAMAGED)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let name = |number: u32| format!("{DAMAGED}{number}");
        // It has the name already if a process died between this and the next step.
        if let Some(number) =
            numbers.iter().find(|number| stat(&name(**number)).is_ok_and(|there| there.st_ino == inode))
        {
            return Ok(self.path.join(name(*number)));
        }
        let number = numbers.last().map_or(1, |last| last.saturating_add(1));
        rustix::fs::linkat(&self.directory, NAME, &self.directory, name(number).as_str(), AtFlags::empty())?;
        for old in numbers.iter().rev().skip(KEPT as usize - 1) {
            let _ = rustix::fs::unlinkat(&self.directory, name(*old).as_str(), AtFlags::empty());
        }
        Ok(self.path.join(name(number)))
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
        Writer { file: Arc::new(file), tag, next, length, synced: length, buffer: Vec::new(), stopped: None }
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

    /// Goes on with another file.
    pub(super) fn replace(&mut self, by: Writer) {
        let stopped = self.stopped.take();
        *self = Writer { stopped, ..by };
    }
}
