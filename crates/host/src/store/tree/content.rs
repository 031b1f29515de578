//! Reading a file's content as records.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek};
use rustix::io::Errno;
use unglue_proto::message::Tally;
use unglue_proto::tree::{DATA_MAX, Digest, Record};

use super::attributes::modified;
use super::guard::Guard;
use crate::store::error::{Change, Problem, StoreError};
use crate::store::{FileId, Reading};

/// A file up to this size travels in one record.
pub(super) const SMALL: u64 = 48 * 1024;
/// How a file is opened: neither a link nor a FIFO in its place does harm.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A file that is being read. [`Content::fill`] appends records until the file ends.
#[derive(Debug)]
pub struct Content {
    file: File,
    before: Stat,
    at: u64,
    /// Up to here there is data; before it is known, `None`.
    data_end: Option<u64>,
    sparse: bool,
    hasher: Box<blake3::Hasher>,
    data: u64,
}

/// What the walk has seen of a file: if the file is still that one after it was read, it did not change in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    id: FileId,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
    blocks: i64,
}

impl Seen {
    // On some machines these have other sizes than on x86-64.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn of(stat: &Stat) -> Seen {
        Seen {
            id: FileId::of(stat),
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            blocks: stat.st_blocks as i64,
        }
    }

    /// Whether it is sent as one record.
    fn is_small(&self) -> bool {
        (0..=SMALL as i64).contains(&self.size) && self.blocks.saturating_mul(512) >= self.size
    }
}

/// Appends a small file as one record, if it is still the one that the walk has seen. `None`: it isn't, or it isn't small.
pub(super) fn small(
    (dir, name): (&OwnedFd, &std::ffi::OsStr),
    entry: u64,
    seen: &Seen,
    guard: &Guard,
    (buffer, out): (&mut Vec<u8>, &mut Vec<u8>),
) -> Option<Ended> {
    if !seen.is_small() || guard.check_read(seen.id).is_err() {
        return None;
    }
    let file = File::from(openat(dir, name, FLAGS, Mode::empty()).ok()?);
    // One byte more, to notice that it grew.
    let size = seen.size as usize;
    if buffer.len() <= size {
        buffer.resize(size + 1, 0);
    }
    let mut length = 0;
    while length < size {
        match file.read_at(&mut buffer[length..=size], length as u64) {
            Ok(0) => return None,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let stat = fstat(&file).ok()?;
    if length != size || Seen::of(&stat) != *seen {
        return None;
    }
    let data = &buffer[..length];
    let digest = *blake3::hash(data).as_bytes();
    Record::Whole { entry, modified: modified(&stat), digest, data }.encode(out);
    Some(Ended { data: length as u64, digest: Ok(digest) })
}

/// How a file's content ended.
#[derive(Debug)]
pub struct Ended {
    /// Bytes of data that were sent.
    pub data: u64,
    /// The digest, unless the file changed or could not be read.
    pub digest: Result<Digest, Problem>,
}

impl Ended {
    /// A file of which parts were sent, as their sender counted and digested it.
    pub fn parts(tally: &Tally) -> Ended {
        let digest = blake3::Hash::from_hex(&tally.blake3).map(|digest| *digest.as_bytes());
        Ended { data: tally.bytes, digest: digest.map_err(|_| Errno::IO.into()) }
    }

    /// A file of which parts could not be sent.
    pub fn failed(error: StoreError) -> Ended {
        Ended { data: 0, digest: Err(error.into_problem()) }
    }
}

impl Content {
    /// Opens a regular file in a directory. A link, or anything else that has taken its place, is refused.
    pub(super) fn open(dir: &OwnedFd, name: &std::ffi::OsStr, guard: &Guard) -> Result<Content, Problem> {
        let file = File::from(openat(dir, name, FLAGS, Mode::empty())?);
        let before = fstat(&file)?;
        match FileType::from_raw_mode(before.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Problem::Directory),
            _ => return Err(Problem::Special("not a regular file any more")),
        }
        guard.check_read(FileId::of(&before))?;
        Ok(Content::of(file, before))
    }

    /// The same open file once more, from its beginning.
    pub(super) fn again(&self) -> Result<Content, Errno> {
        let file = self.file.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
        Ok(Content::of(file, self.before))
    }

    fn of(file: File, before: Stat) -> Content {
        let size = before.st_size as u64;
        let sparse = (before.st_blocks as u64).saturating_mul(512) < size;
        let data_end = (!sparse).then_some(size);
        Content { file, before, at: 0, data_end, sparse, hasher: Box::default(), data: 0 }
    }

    /// The size when it was opened.
    pub fn size(&self) -> u64 {
        self.before.st_size as u64
    }

    /// Appends the whole file as one record, if it is small and has no holes. `None`: it isn't.
    pub(super) fn whole(&mut self, entry: u64, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Ended> {
        if self.sparse || self.size() > SMALL {
            return None;
        }
        // One byte more, to notice that it grew.
        buffer.resize(self.size() as usize + 1, 0);
        let mut length = 0;
        let read = loop {
            match self.file.read_at(&mut buffer[length..], length as u64) {
                Ok(0) => break Ok(()),
                Ok(more) => length += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Err(Problem::from(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
            }
            if length == buffer.len() {
                break Ok(());
            }
        };
        self.at = length as u64;
        let same = read.and_then(|()| self.unchanged());
        let data = &buffer[..length];
        let digest = same.map(|()| *blake3::hash(data).as_bytes());
        match &digest {
            Ok(digest) => {
                Record::Whole { entry, modified: modified(&self.before), digest: *digest, data }.encode(out);
            }
            Err(_) => Record::Missing { entry }.encode(out),
        }
        Some(Ended { data: length as u64, digest })
    }

    /// All of a file that has not been read yet, if it didn't change meanwhile.
    pub(super) fn read_unchanged<'b>(&self, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let size = self.size() as usize;
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let data = &mut buffer[..size];
        self.read_exact(data, 0).ok()?;
        self.unchanged_after(self.size()).ok()?;
        Some(data)
    }

    /// Whether it takes less than its size on the disk.
    pub(super) fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Which file it is.
    pub(super) fn id(&self) -> FileId {
        FileId::of(&self.before)
    }

    /// Whether it takes less than half of its size on the disk. Such a file is sent with its holes.
    pub(super) fn is_mostly_holes(&self) -> bool {
        (self.before.st_blocks as u64).saturating_mul(1024) < self.size()
    }

    /// Fills `buffer` with the bytes from an offset on.
    pub(super) fn read_exact(&self, buffer: &mut [u8], at: u64) -> Result<(), Errno> {
        self.file.read_exact_at(buffer, at).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// The same file, of which parts are read.
    ///
    /// # Errors
    /// The system gives no other handle.
    pub(in crate::store) fn reading(&self) -> Result<Reading, Errno> {
        let file = self.file.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Reading::of(file, self.before, std::path::Path::new("")))
    }

    /// The same file, of which parts are read.
    pub(in crate::store) fn into_reading(self) -> Reading {
        Reading::of(self.file, self.before, std::path::Path::new(""))
    }

    /// Appends the record that opens the file.
    pub fn begin(&self, entry: u64, out: &mut Vec<u8>) {
        Record::Open { entry, modified: modified(&self.before), size: self.size() }.encode(out);
    }

    /// Appends records until `out` has `limit` bytes, or the file has ended.
    pub fn fill(&mut self, limit: usize, out: &mut Vec<u8>) -> Option<Ended> {
        while out.len() < limit {
            match self.next(out) {
                Ok(true) => {}
                Ok(false) => {
                    let digest = self.unchanged().map(|()| *self.hasher.finalize().as_bytes());
                    Record::Close { digest: digest.as_ref().ok().copied() }.encode(out);
                    return Some(Ended { data: self.data, digest });
                }
                Err(problem) => {
                    Record::Close { digest: None }.encode(out);
                    return Some(Ended { data: self.data, digest: Err(problem) });
                }
            }
        }
        None
    }

    /// The bytes of data so far.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// The next record; `false` at the end.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, Problem> {
        let size = self.size();
        if self.at >= size {
            return Ok(false);
        }
        let end = match self.data_end {
            Some(end) if end > self.at => end,
            _ => {
                let from = match seek(&self.file, SeekFrom::Data(self.at)) {
                    Ok(from) => from.min(size),
                    // There is no data behind.
                    Err(Errno::NXIO) => size,
                    Err(errno) => return Err(errno.into()),
                };
                if from > self.at {
                    let length = from - self.at;
                    Record::Hole { length }.encode(out);
                    digest_hole(&mut self.hasher, length);
                    self.at = from;
                    self.data_end = None;
                    return Ok(true);
                }
                let end = seek(&self.file, SeekFrom::Hole(self.at))?.min(size);
                self.data_end = Some(end);
                end
            }
        };
        let wanted = usize::try_from(end - self.at).unwrap_or(DATA_MAX).min(DATA_MAX);
        let mut buffer = [0; DATA_MAX];
        let length = loop {
            match self.file.read_at(&mut buffer[..wanted], self.at) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?,
            }
        };
        if length == 0 {
            return Err(Problem::Changed(Change::Shrank { from: size, to: self.at }));
        }
        self.hasher.update(&buffer[..length]);
        Record::Data(&buffer[..length]).encode(out);
        self.at += length as u64;
        self.data += length as u64;
        Ok(true)
    }

    fn unchanged(&self) -> Result<(), Problem> {
        self.unchanged_after(self.at)
    }

    /// Whether it is what it was, after so many bytes of it were read.
    fn unchanged_after(&self, at: u64) -> Result<(), Problem> {
        let after = fstat(&self.file)?;
        let (from, to) = (self.size(), after.st_size as u64);
        let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        match to.cmp(&from) {
            std::cmp::Ordering::Greater => Err(Problem::Changed(Change::Grew { from, to })),
            std::cmp::Ordering::Less => Err(Problem::Changed(Change::Shrank { from, to })),
            std::cmp::Ordering::Equal if at < from => Err(Problem::Changed(Change::Shrank { from, to: at })),
            std::cmp::Ordering::Equal if times(&self.before) != times(&after) => Err(Problem::Changed(Change::Touched)),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }
}

/// What a hole adds to a digest.
pub(super) fn digest_hole(hasher: &mut blake3::Hasher, length: u64) {
    hasher.update(b"hole");
    hasher.update(&length.to_be_bytes());
}

/// The digest of a file's whole content, holes as zeros: to compare contents.
pub(super) fn digest(dir: &OwnedFd, name: &std::ffi::OsStr, guard: &Guard) -> Result<Digest, Problem> {
    let content = Content::open(dir, name, guard)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        match content.file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                at += length as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO).into()),
        }
    }
}
