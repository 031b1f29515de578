//! Writing a file so that its name holds the old bytes or all of the new ones, never a part. The calls block.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, Stat, fsync};
use rustix::io::Errno;
use unglue_proto::message::Time;

use super::attributes::{self, Old};
use super::error::{Op, Problem, StoreError};
use super::in_place::InPlace;
use super::partials::Partials;
use super::place::{self, Place};
use super::protected::Protected;
use super::reach::Reach;
use super::temporary::{self, Kept, Syncing, Temporary};
use super::writeback::Writeback;
use super::{FileId, Owner, space};

/// What a file is when it is complete.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// The permission bits of a new file, as `cp` gives them: the umask or the directory's default access control list
    /// takes some away. Set-id and sticky bits are left out whatever the sender says, as `scp` does: the owner isn't
    /// carried over, and a set-id program under another owner is another program.
    pub mode: u32,
    /// Whether the file gets exactly `mode`, be it new or replaced. Otherwise a file that is replaced keeps its own mode and
    /// access control list.
    pub keep_mode: bool,
    /// The time of the last modification; without it, the time of writing.
    pub modified: Option<Time>,
    /// Whether an existing file is overwritten where it is, rather than replaced once the new one is complete. A name may
    /// then hold a part, and P7 doesn't hold for it. It is for what can't be replaced: a mount point, a file in a directory
    /// that can't be written.
    pub in_place: bool,
    /// How many bytes will come, as far as is known: used to refuse early what can't fit.
    pub size: Option<u64>,
    /// Whether what came stays beside the destination if the transfer breaks off, so that the next one can go on from there:
    /// for 24 hours after the last write, in a temporary file of the store's [owner](super::Store::owned_by). It needs
    /// [`Partials`].
    pub resume: bool,
    /// The source, if it lies on this machine: writing onto it is refused.
    pub source: Option<FileId>,
}

/// A file on its way in. Dropping it discards what came and leaves the destination as it was; what was written in place
/// stays, and so does the temporary file of a transfer that may be [resumed](WriteOptions::resume).
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    file: File,
    target: Target,
    options: WriteOptions,
    written: u64,
    /// What an earlier transfer left in the temporary file.
    kept: u64,
    writeback: Writeback,
    limit: Option<u64>,
}

/// Where the bytes go.
#[derive(Debug)]
enum Target {
    /// Into a temporary file that takes the name at the end.
    Beside { temporary: Temporary, name: OsString, replaces: Option<Box<Stat>> },
    /// Into the file itself.
    InPlace(InPlace),
}

impl Target {
    /// What is in the temporary file must not be used again: it is wrong, or the device has lost some of it. After a sync has
    /// failed, the kernel shows bytes that no disk has, and says so only once.
    fn distrust(&mut self) {
        if let Target::Beside { temporary, .. } = self {
            temporary.remove();
        }
    }
}

impl Incoming {
    /// Finds the place and makes the temporary file there.
    pub(super) fn create(
        reach: &Reach,
        partials: Option<&Partials>,
        protected: &Protected,
        path: &Path,
        (options, owner): (WriteOptions, Owner),
    ) -> Result<Incoming, StoreError> {
        let resolve = |problem: Problem| StoreError::new(Op::Resolve, path, problem);
        let create = |problem: Problem| StoreError::new(Op::Create, path, problem);
        let place = place::find(reach, path).map_err(resolve)?;
        if options.source.is_some() && options.source == place.replaces.as_ref().map(FileId::of) {
            return Err(resolve(Problem::SameFile));
        }
        protected.check_write(&place.dir, &place.name, place.replaces.as_ref()).map_err(resolve)?;
        let (target, file, kept) = match options.in_place {
            true => {
                let (file, in_place) = InPlace::open(place, mode_of(&options)).map_err(create)?;
                (Target::InPlace(in_place), file, 0)
            }
            false => {
                place.may_replace().map_err(resolve)?;
                beside(reach, partials, place, (&options, owner), path)?
            }
        };
        Ok(Incoming {
            path: path.to_owned(),
            file,
            target,
            options,
            written: 0,
            kept,
            writeback: Writeback::beyond(kept),
            limit: space::file_size_limit(),
        })
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes an earlier transfer left in the temporary file. They have not been compared with anything.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Another handle, to read what was kept or written.
    pub(super) fn reader(&self) -> Result<File, StoreError> {
        self.file.try_clone().map_err(|error| self.failed(Op::Read, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Throws away what an earlier transfer left: [`write_all`](Self::write_all) begins with an empty file.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        if self.kept > 0 {
            self.cut(0)?;
            self.kept = 0;
        }
        Ok(())
    }

    /// Gives the file this length.
    pub(super) fn cut(&mut self, length: u64) -> Result<(), StoreError> {
        let cut = self.file.set_len(length);
        cut.map_err(|error| self.failed(Op::Write, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Writes all of `bytes` at an offset, instead of what was kept there. After an error the file can only be discarded.
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let needed = offset + bytes.len() as u64;
        if let Some(limit) = self.limit.filter(|&limit| needed > limit) {
            return Err(self.failed(Op::Write, Problem::TooLarge { needed, limit }));
        }
        self.written += bytes.len() as u64;
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| self.failed(Op::Write, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        self.writeback.advance(&self.file, needed);
        Ok(())
    }

    /// Appends all of `bytes`. After an error the file can only be discarded.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let needed = self.written + bytes.len() as u64;
        if let Some(limit) = self.limit.filter(|&limit| needed > limit) {
            return Err(self.failed(Op::Write, Problem::TooLarge { needed, limit }));
        }
        let written = self.file.write_all(bytes);
        self.written = needed;
        if let Err(error) = written {
            return Err(self.failed(Op::Write, Errno::from_io_error(&error).unwrap_or(Errno::IO)));
        }
        self.writeback.advance(&self.file, self.written);
        Ok(())
    }

    /// Makes the file complete and durable under its name: mode and times, sync, rename, sync of the directory.
    ///
    /// Errors: up to the rename, the destination is as it was. [`Problem::NotDurable`] alone says that the new file is
    /// in place. What was written in place stays in any case.
    pub fn commit(mut self) -> Result<(), StoreError> {
        if let Target::InPlace(in_place) = &self.target {
            in_place.cut(&self.file, self.written).map_err(|errno| self.failed(Op::Write, errno))?;
        }
        if let Target::Beside { temporary, .. } = &self.target {
            temporary.touch();
        }
        self.set_attributes().map_err(|problem| self.failed(Op::SetAttributes, problem))?;
        match (fsync(&self.file), &mut self.target) {
            (Ok(()), _) => {}
            // A file that the kernel makes up is nowhere to be synced to.
            (Err(Errno::INVAL), Target::InPlace(_)) => {}
            (Err(errno), target) => {
                target.distrust();
                return Err(self.failed(Op::Sync, errno));
            }
        }
        let synced = match &mut self.target {
            Target::Beside { temporary, name, .. } => match temporary.rename(name) {
                Ok(()) => fsync(temporary.dir()),
                Err(Errno::BUSY) => return Err(self.failed(Op::Rename, Problem::MountPoint)),
                Err(errno) => return Err(self.failed(Op::Rename, errno)),
            },
            Target::InPlace(in_place) => in_place.keep(),
        };
        match synced {
            // EINVAL: a file system that has no notion of syncing a directory (fsync(2)).
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(StoreError::new(Op::Sync, &self.path, Problem::NotDurable(errno))),
        }
    }

    /// Throws away what came. The same as dropping it, but for a transfer that may be resumed.
    pub fn discard(mut self) {
        self.target.distrust();
    }

    /// What makes the bytes so far survive a power cut, if they stay when the transfer breaks off.
    pub(super) fn syncing(&self) -> Option<Syncing> {
        match &self.target {
            Target::Beside { temporary, .. } => temporary.syncing(&self.file),
            Target::InPlace(_) => None,
        }
    }

    fn set_attributes(&self) -> Result<(), Problem> {
        let exact = self.options.keep_mode.then(|| mode_of(&self.options));
        match &self.target {
            Target::Beside { temporary, name, replaces } => {
                match (Old::find(temporary.dir(), name)?, replaces, exact) {
                    (Some(old), _, exact) => old.pass_on(&self.file, exact)?,
                    (None, Some(old), exact) => attributes::pass_on_stat(old, &self.file, exact)?,
                    (None, None, Some(mode)) => attributes::set_mode(&self.file, mode)?,
                    // The kernel has given it its mode when it was made.
                    (None, None, None) => {}
                }
            }
            Target::InPlace(_) => {
                if let Some(mode) = exact {
                    attributes::set_mode(&self.file, mode)?;
                }
            }
        }
        self.options.modified.map_or(Ok(()), |time| attributes::set_modified(&self.file, time))
    }

    fn failed(&self, op: Op, problem: impl Into<Problem>) -> StoreError {
        let error = StoreError::new(op, &self.path, problem);
        match self.target {
            Target::InPlace(_) if self.written > 0 => error.partly_written(),
            _ => error,
        }
    }
}

fn beside(
    reach: &Reach,
    partials: Option<&Partials>,
    place: Place,
    (options, owner): (&WriteOptions, Owner),
    path: &Path,
) -> Result<(Target, File, u64), StoreError> {
    let Place { dir, parent, name, replaces } = place;
    let mut dir = Arc::new(dir);
    let failed = |problem: Problem| {
        let problem = match problem {
            Problem::System(Errno::ACCESS) if replaces.is_some() => Problem::DirectoryClosed,
            problem => problem,
        };
        StoreError::new(Op::Create, path, problem)
    };
    // Where the final mode isn't known yet, only its owner may read a part: others might not be allowed to read the whole.
    let known = replaces.is_none() && !options.keep_mode;
    let mode = if known { mode_of(options) } else { Mode::RUSR | Mode::WUSR };
    if let Some(partials) = partials.filter(|_| options.resume) {
        let kept_name = temporary::kept_name(&dir, &name, owner);
        let record = partials.enter_kept(reach, &parent, &kept_name)?.ok_or(Problem::KeptInUse).map_err(failed)?;
        match Temporary::keep(dir, kept_name, (mode, known), record).map_err(failed)? {
            Ok(Kept { temporary, file, length, allocated }) => {
                space::check(temporary.dir(), options.size.unwrap_or(0), allocated).map_err(failed)?;
                return Ok((Target::Beside { temporary, name, replaces: replaces.map(Box::new) }, file, length));
            }
            Err(given_back) => dir = given_back,
        }
    }
    space::check(&dir, options.size.unwrap_or(0), 0).map_err(failed)?;
    let temporary_name = temporary::name(&dir, &name).map_err(|errno| failed(errno.into()))?;
    let record = match partials {
        Some(partials) => Some(partials.enter(reach, &parent, &temporary_name)?),
        None => None,
    };
    let (temporary, file) =
        Temporary::create(dir, temporary_name, mode, record).map_err(|errno| failed(errno.into()))?;
    Ok((Target::Beside { temporary, name, replaces: replaces.map(Box::new) }, file, 0))
}

fn mode_of(options: &WriteOptions) -> Mode {
    Mode::from_raw_mode(options.mode & 0o777)
}
