//! A file on its way into a tree, under a temporary name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{Mode, fstat, ftruncate};
use rustix::io::Errno;
use unglue_proto::message::Time;
use unglue_proto::message::tree::TreeOptions;
use unglue_proto::tree::{DATA_MAX, Digest, Entry, LARGE, Record, Records};
use unglue_proto::{Code, Fault};

use super::attributes::{self, Birth};
use super::content::{Content, digest_hole};
use super::expected::Expected;
use super::olds::Basis;
use crate::store::attributes::Old;
use crate::store::error::Problem;
use crate::store::space;
use crate::store::temporary::{Kept, Syncing, Temporary};
use crate::store::writeback::Writeback;

/// Why a file's content was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It can't be written.
    Problem(Problem),
    /// The sender has reported that it could not read it.
    Sender,
    /// What came is not what was sent.
    Peer(Fault),
    /// An old file is not what it was when the sender was sent something of it: the whole file is needed.
    Again(Box<Expected>),
}

impl<T: Into<Problem>> From<T> for Refused {
    fn from(problem: T) -> Refused {
        Refused::Problem(problem.into())
    }
}

/// A file that is being written. Dropped, it is removed.
#[derive(Debug)]
pub struct Landing {
    pub(super) entry: Box<Entry>,
    pub(super) number: u64,
    pub(super) node: u32,
    pub(super) name: OsString,
    temp: Temporary,
    pub(super) file: File,
    options: Arc<TreeOptions>,
    /// Whether a file has the name, whose attributes are kept.
    replaces: bool,
    exists: bool,
    old: Option<Arc<OwnedFd>>,
    /// The mode with which it was made.
    asked: u32,
    fresh: bool,
    newborn: Option<Newborn>,
    modified: Time,
    size: u64,
    pub(super) at: u64,
    pub(super) data: u64,
    /// What an earlier transfer left in the file.
    pub(super) kept: u64,
    /// Whether the file stays if the transfer breaks off.
    stays: bool,
    /// Of a file that comes in pieces.
    hasher: Option<Box<blake3::Hasher>>,
    writeback: Writeback,
    records: Records,
    opened: bool,
    bytes: usize,
    /// An old file that it may be made of, which the sender knows of,
    pub(super) basis: Option<Box<Basis>>,
    /// and that file, if parts of it have come and it is still there.
    copying: Copying,
}

/// Whether a file is made of parts of an old one.
#[derive(Debug, Default)]
enum Copying {
    #[default]
    No,
    From(Content),
    /// The old file has gone, or is another one.
    Spoiled,
}

/// A file that is complete under its temporary name.
#[derive(Debug)]
pub struct Landed {
    pub(super) number: u64,
    pub(super) node: u32,
    pub(super) name: OsString,
    pub(super) temp: Temporary,
    pub(super) file: Option<File>,
    pub(super) data: u64,
    pub(super) digest: Digest,
    /// Whether something had the name. Otherwise nothing is replaced that has appeared since.
    pub(super) exists: bool,
    /// What a new file has in its directory, if every other one has the same there.
    pub(super) newborn: Option<Newborn>,
}

/// What a new file has when it is made with this mode: in a directory that this transfer has made, all have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newborn {
    asked: u32,
    has: Birth,
}

/// What a file needs to land.
pub(super) struct Spot {
    pub(super) number: u64,
    pub(super) node: u32,
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: OsString,
    pub(super) temporary: OsString,
    pub(super) entry: Box<Entry>,
    pub(super) replaces: bool,
    /// Whether something has the name.
    pub(super) exists: bool,
    /// The directory of the file that is replaced, if it is another one.
    pub(super) old: Option<Arc<OwnedFd>>,
    /// Whether this transfer has made the directory.
    pub(super) fresh: bool,
    /// The size of the entry's record.
    pub(super) bytes: usize,
    /// What another new file had there.
    pub(super) newborn: Option<Newborn>,
}

impl Spot {
    /// With which mode the file is made. Where the final mode isn't known yet, or gives a group more than everybody, no other user
    /// reads a part: the file may have another group for now, or an access control list from its directory.
    pub(super) fn mode(&self, options: &TreeOptions) -> Mode {
        let (mode, wanted) = (self.entry.mode & 0o777, options.modes);
        match self.replaces || wanted && (mode >> 3 & 7) != (mode & 7) {
            true => Mode::RUSR | Mode::WUSR,
            false => Mode::from_raw_mode(mode),
        }
    }
}

impl Landing {
    /// Makes the temporary file.
    pub(super) fn create(spot: Spot, options: Arc<TreeOptions>) -> Result<Landing, Errno> {
        let mode = spot.mode(&options);
        let (temp, file) = Temporary::create(spot.dir.clone(), spot.temporary.clone(), mode, None)?;
        Ok(Landing::new(spot, options, mode, (temp, file)))
    }

    /// Goes on with the file that an earlier transfer has left, or one that a later transfer may go on with.
    pub(super) fn resume(spot: Spot, options: Arc<TreeOptions>, kept: Kept) -> Landing {
        let mode = spot.mode(&options) | Mode::RUSR | Mode::WUSR;
        let Kept { temporary, file, length, .. } = kept;
        let landing = Landing::new(Spot { newborn: None, fresh: false, ..spot }, options, mode, (temporary, file));
        Landing { kept: length, stays: true, writeback: Writeback::beyond(length), ..landing }
    }

    fn new(spot: Spot, options: Arc<TreeOptions>, mode: Mode, (temp, file): (Temporary, File)) -> Landing {
        let (modified, size) = (spot.entry.modified, spot.entry.size);
        Landing {
            entry: spot.entry,
            number: spot.number,
            node: spot.node,
            name: spot.name,
            temp,
            file,
            options,
            replaces: spot.replaces,
            exists: spot.exists,
            old: spot.old,
            asked: mode.as_raw_mode(),
            fresh: spot.fresh,
            newborn: spot.newborn,
            modified,
            size,
            at: 0,
            data: 0,
            kept: 0,
            stays: false,
            hasher: None,
            writeback: Writeback::default(),
            records: Records::default(),
            opened: false,
            bytes: spot.bytes,
            basis: None,
            copying: Copying::No,
        }
    }

    /// Writes a small file whole.
    pub(super) fn whole(mut self, modified: Time, digest: Digest, data: &[u8]) -> Result<Landed, Refused> {
        self.modified = modified;
        if *blake3::hash(data).as_bytes() != digest {
            return Err(Refused::Peer(mismatch()));
        }
        self.write(data)?;
        self.complete(digest)
    }

    /// The content begins.
    pub(super) fn begin(&mut self, modified: Time, size: u64) -> Result<(), Refused> {
        (self.modified, self.size, self.opened) = (modified, size, true);
        match space::file_size_limit() {
            Some(limit) if size > limit => Err(Problem::TooLarge { needed: size, limit }.into()),
            _ => Ok(()),
        }
    }

    /// The next bytes.
    pub(super) fn data(&mut self, data: &[u8]) -> Result<(), Refused> {
        self.room(data.len() as u64)?;
        self.hasher.get_or_insert_default().update(data);
        self.write(data)?;
        self.writeback.advance(&self.file, self.at);
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Problem> {
        let written = self.file.write_all_at(data, self.at);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        self.at += data.len() as u64;
        self.data += data.len() as u64;
        Ok(())
    }

    /// A hole.
    pub(super) fn hole(&mut self, length: u64) -> Result<(), Refused> {
        self.room(length)?;
        digest_hole(self.hasher.get_or_insert_default(), length);
        self.at += length;
        Ok(())
    }

    /// Whether parts of an old file have come.
    pub(super) fn has_copied(&self) -> bool {
        !matches!(self.copying, Copying::No)
    }

    /// A part of the old file comes for the first time: this one, if it is still what the sender knows of.
    pub(super) fn begin_copying(&mut self, old: Option<Content>) {
        self.copying = old.map_or(Copying::Spoiled, Copying::From);
    }

    /// The next bytes are a part of the old file.
    pub(super) fn copy(&mut self, from: u64, length: u64) -> Result<(), Refused> {
        self.room(length)?;
        let known = self.basis.as_ref().map_or(0, |basis| basis.size());
        if known == 0 || self.size >= LARGE || from.checked_add(length).is_none_or(|end| end > known) {
            let what = format!("{length} bytes at {from} of an old file are wanted, of which {known} were offered");
            return Err(Refused::Peer(Fault::peer(Code::BadMessage, what)));
        }
        let (end, mut at, mut buffer) = (from + length, from, [0; DATA_MAX]);
        while at < end {
            let part = &mut buffer[..usize::try_from(end - at).unwrap_or(DATA_MAX).min(DATA_MAX)];
            match &self.copying {
                Copying::From(old) if old.read_exact(part, at).is_ok() => {}
                _ => {
                    self.copying = Copying::Spoiled;
                    (self.at, self.data) = (self.at + (end - at), self.data + (end - at));
                    return Ok(());
                }
            }
            self.hasher.get_or_insert_default().update(part);
            at += part.len() as u64;
            self.write(part)?;
        }
        self.writeback.advance(&self.file, self.at);
        Ok(())
    }

    /// The same file, to be asked for as a whole.
    fn again(self) -> Box<Expected> {
        Box::new(Expected {
            node: self.node,
            entry: self.entry,
            replaces: self.replaces,
            exists: self.exists,
            fresh: self.fresh,
            // Room for it was asked for before.
            frees: u64::MAX,
            refused: false,
            bytes: self.bytes,
            name: self.name,
            basis: None,
        })
    }

    fn room(&self, length: u64) -> Result<(), Refused> {
        match self.at.checked_add(length) {
            Some(end) if self.opened && end <= self.size => Ok(()),
            _ => {
                let what = format!("a file has more than the {} bytes that were announced", self.size);
                Err(Refused::Peer(Fault::peer(Code::BadMessage, what)))
            }
        }
    }

    /// The content is complete, or was given up.
    pub(super) fn close(mut self, digest: Option<Digest>) -> Result<Landed, Refused> {
        let Some(digest) = digest else { return Err(Refused::Sender) };
        let came = self.hasher.as_deref().map_or_else(|| blake3::hash(b""), blake3::Hasher::finalize);
        if self.has_copied() && (*came.as_bytes() != digest || matches!(self.copying, Copying::Spoiled)) {
            self.forget();
            return Err(Refused::Again(self.again()));
        }
        if self.at != self.size || *came.as_bytes() != digest {
            self.forget();
            return Err(Refused::Peer(mismatch()));
        }
        ftruncate(&self.file, self.size)?;
        self.complete(digest)
    }

    pub(super) fn complete(self, digest: Digest) -> Result<Landed, Refused> {
        // What is replaced keeps its mode, list and attributes, unless the source's are asked for.
        let asked = self.options.modes || self.options.attributes || self.options.acls;
        if self.replaces && !(self.options.modes && (self.options.attributes || self.options.acls)) {
            let mode = self.options.modes.then(|| Mode::from_raw_mode(self.entry.mode));
            match Old::find(self.old.as_ref().unwrap_or(&self.temp.dir), &self.name)? {
                Some(old) => old.pass_on(&self.file, mode)?,
                None => rustix::fs::fchmod(&self.file, Mode::from_raw_mode(self.entry.mode & 0o755))?,
            }
        }
        if self.stays && !self.replaces && !self.options.modes {
            // It was made so that its owner can write to it, whatever mode it gets.
            let made = fstat(&self.file)?.st_mode & 0o7777;
            rustix::fs::fchmod(&self.file, Mode::from_raw_mode(made & (self.entry.mode | !0o600)))?;
        }
        let mut newborn = None;
        if asked || self.entry.owner.is_some() {
            let known = self.newborn.filter(|newborn| newborn.asked == self.asked && !self.replaces);
            let has = match known {
                Some(newborn) => newborn.has,
                None => Birth::of(&self.file, &self.options)?,
            };
            newborn = (self.fresh && !self.replaces).then_some(Newborn { asked: self.asked, has });
            attributes::give_from(has, &self.file, &self.entry, &self.options)?;
        }
        if self.options.times {
            attributes::set_time(&self.file, self.modified)?;
        }
        let Landing { number, node, name, temp, file, data, exists, .. } = self;
        Ok(Landed { number, node, name, temp, file: Some(file), data, digest, exists, newborn })
    }

    /// Takes bytes of the stream that is this file's alone, in any chunks: how many bytes of content they were, and the file once it
    /// is complete.
    pub fn take(mut self: Box<Self>, mut bytes: &[u8]) -> (u64, Taken) {
        let before = self.data;
        let mut records = std::mem::take(&mut self.records);
        loop {
            let next = match records.next(&mut bytes) {
                Ok(Some((kind, body))) => Record::decode(kind, body),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            let taken = match next {
                Ok(Record::Open { entry, modified, size }) if !self.opened && entry == self.number => {
                    self.begin(modified, size)
                }
                Ok(Record::Data(data)) => self.data(data),
                Ok(Record::Hole { length }) => self.hole(length),
                Ok(Record::Close { digest }) if self.opened => {
                    let moved = self.data - before;
                    let number = self.number;
                    return match self.close(digest) {
                        Ok(landed) => (moved, Taken::Whole(Box::new(landed))),
                        Err(refused) => (moved, Taken::Refused(number, Why(refused))),
                    };
                }
                Ok(_) => {
                    Err(Refused::Peer(Fault::peer(Code::BadMessage, "a large file's stream holds something else")))
                }
                Err(error) => Err(Refused::Peer(Fault::peer(Code::BadMessage, error.to_string()))),
            };
            if let Err(refused) = taken {
                return (self.data - before, Taken::Refused(self.number, Why(refused)));
            }
        }
        self.records = records;
        (self.data - before, Taken::More(self))
    }

    /// The entry's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The size that the sender announced, once it has; `None` as well if content has come.
    pub fn opened(&self) -> Option<u64> {
        (self.opened && self.at == 0).then_some(self.size)
    }

    /// Whether content has come.
    pub fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// The bytes that an earlier transfer left. They have not been compared with anything.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Throws away what an earlier transfer left. Blocks.
    ///
    /// # Errors
    /// The system doesn't do it.
    pub fn restart(&mut self) -> Result<(), Why> {
        self.empty().map_err(|errno| Why(errno.into()))
    }

    pub(super) fn empty(&mut self) -> Result<(), Errno> {
        match std::mem::take(&mut self.kept) {
            0 => Ok(()),
            _ => ftruncate(&self.file, 0),
        }
    }

    /// Asks the kernel to write what came, without waiting for it.
    pub(super) fn write_behind(&mut self) {
        self.writeback.advance(&self.file, self.at);
    }

    pub(super) fn syncing(&self) -> Option<Syncing> {
        self.temp.syncing(&self.file)
    }

    /// What came is wrong: it is removed, though it might have been kept.
    pub(super) fn forget(&mut self) {
        self.temp.remove();
    }
}

/// What became of a large file's bytes.
#[derive(Debug)]
pub enum Taken {
    /// More are to come.
    More(Box<Landing>),
    /// The file is complete.
    Whole(Box<Landed>),
    /// It is not taken: its entry's number, and why.
    Refused(u64, Why),
}

/// Why a large file was not taken.
#[derive(Debug)]
pub struct Why(pub(super) Refused);

impl Why {
    /// Its stream broke off.
    pub fn broken(fault: Fault) -> Why {
        Why(Refused::Peer(fault))
    }
}

fn mismatch() -> Fault {
    Fault::system(Code::Mismatch, "the content that arrived is not the one that was sent").advise("copy it again")
}

/// A path in a fault.
pub(super) fn at(fault: Fault, path: &OsStr) -> Fault {
    Fault { what: format!("\"{}\": {}", unglue_proto::Octets::from(path), fault.what), ..fault }.at(path)
}
