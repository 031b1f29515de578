//! The file beside the destination that receives the bytes until they are complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, fdatasync, flock, fstat, fstatvfs, fsync, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use unglue_proto::blocks::BLOCK;

use super::error::Problem;
use super::partials::{KEPT_FOR, Record, RecordSync};
use super::{FileId, Owner};

/// What stands between the name and the random end.
const MARK: &[u8] = b".unglue-";

/// Random characters at the end of the name: 40 bits, each character five.
pub(super) const RANDOM: usize = 8;

/// The characters of the random end.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// A kept file may be completed or removed between two calls, but not again and again.
const TRIES: usize = 16;

/// The longest name on Linux' own file systems, in bytes.
const NAME_MAX: usize = 255;

/// A temporary file's name and place; dropping it removes the file, then its record, unless the file stays.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: OsString,
    /// Whether there is a file to remove.
    pub(super) exists: bool,
    /// Whether the file and its record stay when this is dropped, for a later transfer.
    stays: bool,
    /// Removed after the file, by its own drop.
    record: Option<Record>,
}

/// A temporary file for a transfer that may be resumed.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) temporary: Temporary,
    pub(super) file: File,
    /// How many bytes an earlier transfer left in it.
    pub(super) length: u64,
    /// How many bytes of the file system they take.
    pub(super) allocated: u64,
}

/// Writes a file that is kept through to the device, so that a power cut takes little of it.
#[derive(Debug)]
pub(super) struct Syncing {
    file: File,
    /// Where its name is, and its record: synced once.
    names: Mutex<Option<(OwnedFd, RecordSync)>>,
}

impl Syncing {
    /// Blocks until the bytes so far are on the device, and the file and its record are found after a power cut.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((dir, record)) = names {
            record.sync()?;
            match fsync(&dir) {
                // A file system that has no notion of syncing a directory (fsync(2)).
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
        fdatasync(&self.file)
    }
}

impl Temporary {
    /// Creates the file, empty, with the mode that the kernel makes of `mode`, as for any new file: the directory's default
    /// access control list or the umask takes some away. The name must be new: whatever stands there already, a symbolic
    /// link above all, is an error (`EEXIST`).
    pub(super) fn create(
        dir: Arc<OwnedFd>,
        name: OsString,
        mode: Mode,
        record: Option<Record>,
    ) -> Result<(Temporary, File), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&dir, &name, flags, mode)?;
        Ok((Temporary { dir, name, exists: true, stays: false, record }, File::from(file)))
    }

    /// Opens the file that an earlier transfer left, or creates it; it stays when this is dropped. The file is locked.
    ///
    /// Gives the directory back if the name can't be used, because a link or another user's file has it.
    ///
    /// Errors: [`Problem::KeptInUse`] if another transfer writes to it.
    pub(super) fn keep(
        dir: Arc<OwnedFd>,
        name: OsString,
        (mode, known): (Mode, bool),
        record: Record,
    ) -> Result<Result<Kept, Arc<OwnedFd>>, Problem> {
        let Some(file) = open_kept(&dir, &name, mode)? else { return Ok(Err(dir)) };
        let stat = fstat(&file)?;
        // Only what the new transfer allows, too. Where the final mode isn't known yet, only its owner may read a part.
        let allowed = if known { mode } else { Mode::RUSR | Mode::WUSR };
        if stat.st_mode & 0o777 & !allowed.bits() != 0 {
            fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o777) & allowed)?;
        }
        Ok(Ok(Kept {
            temporary: Temporary { dir, name, exists: true, stays: true, record: Some(record) },
            file,
            length: stat.st_size as u64,
            allocated: stat.st_blocks as u64 * 512,
        }))
    }

    /// What writes `file` through, if it is one that stays.
    pub(super) fn syncing(&self, file: &File) -> Option<Syncing> {
        let record = self.record.as_ref().filter(|_| self.stays)?;
        // Without handles it is as it would be without this: a power cut takes more.
        let names = (self.dir.try_clone().ok()?, record.syncing().ok()?);
        Some(Syncing { file: file.try_clone().ok()?, names: Mutex::new(Some(names)) })
    }

    /// Marks a file that stays as used now, whatever time the file itself gets.
    pub(super) fn touch(&self) {
        if let Some(record) = self.record.as_ref().filter(|_| self.stays) {
            record.touch();
        }
    }

    /// A part of a block would be sent again in any case.
    fn is_worth_keeping(&self) -> bool {
        statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_size as u64 >= BLOCK)
    }

    /// Has the file removed when this is dropped.
    pub(super) fn remove(&mut self) {
        self.stays = false;
    }

    /// Gives the file its final name, in place of whatever has it.
    pub(super) fn rename(&mut self, name: &OsStr) -> Result<(), Errno> {
        renameat(&self.dir, &self.name, &self.dir, name)?;
        self.exists = false;
        Ok(())
    }

    /// The directory that it lies in.
    pub(super) fn dir(&self) -> &OwnedFd {
        &self.dir
    }
}

/// Opens and locks the file that an earlier transfer left, or makes it; nothing if the name can't be used.
fn open_kept(dir: &OwnedFd, name: &OsStr, mode: Mode) -> Result<Option<File>, Problem> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        let file = match openat(dir, name, flags, mode) {
            Ok(file) => File::from(file),
            // EAGAIN: another user's file, with a lease.
            Err(Errno::LOOP | Errno::ISDIR | Errno::ACCESS | Errno::NXIO | Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&file)?;
        let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink <= 1
            && stat.st_uid == geteuid().as_raw();
        if !ours {
            return Ok(None);
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if still_named(dir, name, &file)? => return Ok(Some(file)),
            // Another transfer has made it complete, or removed it, since it was opened.
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Problem::KeptInUse),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Problem::KeptInUse)
}

/// Whether an open file has this name, and no other one.
fn still_named(dir: &OwnedFd, name: &OsStr, file: &File) -> Result<bool, Errno> {
    let open = fstat(file)?;
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok(FileId::of(&named) == FileId::of(&open) && open.st_nlink == 1),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.exists {
            return;
        }
        if self.stays && self.is_worth_keeping() {
            if let Some(record) = &mut self.record {
                record.leave();
            }
            return;
        }
        if let Err(errno) = unlinkat(&self.dir, &self.name, AtFlags::empty())
            && errno != Errno::NOENT
        {
            let name = self.name.as_bytes().escape_ascii();
            tracing::warn!(%name, %errno, "a temporary file can't be removed");
        }
    }
}

/// `.NAME.unglue-XXXXXXXX`, with `name` cut so that the whole fits the file system.
pub(super) fn name(dir: &OwnedFd, name: &OsStr) -> Result<OsString, Errno> {
    let longest = fstatvfs(dir).map_or(NAME_MAX, |fs| usize::try_from(fs.f_namemax).unwrap_or(NAME_MAX));
    Ok(named(name, longest.min(NAME_MAX), &random_characters::<RANDOM>()?))
}

/// The same for every transfer of this owner to `name`: the end of it is a digest of both.
pub(super) fn kept_name(dir: &OwnedFd, name: &OsStr, owner: Owner) -> OsString {
    let longest = fstatvfs(dir).map_or(NAME_MAX, |fs| usize::try_from(fs.f_namemax).unwrap_or(NAME_MAX));
    let mut hasher = blake3::Hasher::new_derive_key("unglue resumable file");
    hasher.update(&owner.0).update(name.as_bytes());
    let digest = hasher.finalize();
    let mut end = [0; RANDOM];
    for (character, byte) in end.iter_mut().zip(digest.as_bytes()) {
        *character = ALPHABET[usize::from(byte % 32)];
    }
    named(name, longest.min(NAME_MAX), &end)
}

/// [`name`] with these characters at its end, where names have at most `longest` bytes.
pub(super) fn named(name: &OsStr, longest: usize, random: &[u8; RANDOM]) -> OsString {
    let room = longest.saturating_sub(1 + MARK.len() + RANDOM);
    let mut bytes = vec![b'.'];
    bytes.extend_from_slice(cut(name.as_bytes(), room));
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(random);
    OsString::from_vec(bytes)
}

/// Whether a name looks as [`name`] makes them.
pub(super) fn is_ours(name: &[u8]) -> bool {
    let Some((front, random)) = name.split_last_chunk::<RANDOM>() else { return false };
    front.starts_with(b".") && front.ends_with(MARK) && random.iter().all(|c| ALPHABET.contains(c))
}

/// Whether something with a temporary name was changed so lately that a transfer may go on with it. Its own time may be its source's already.
pub(super) fn may_be_in_use(stat: &Stat) -> bool {
    let changed = u64::try_from(stat.st_ctime).unwrap_or(0);
    SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs() < changed + KEPT_FOR.as_secs())
}

/// The first `room` bytes, or a few less: some file systems accept UTF-8 only, so no character is cut in two.
fn cut(name: &[u8], room: usize) -> &[u8] {
    let room = room.min(name.len());
    let end = match std::str::from_utf8(name) {
        Ok(text) => (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0),
        Err(_) => room,
    };
    &name[..end]
}

/// Characters that nobody can foresee, from the kernel.
pub(super) fn random_characters<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    // Requests of up to 256 bytes are never cut short (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.map(|byte| ALPHABET[usize::from(byte % 32)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_for(file: &[u8]) -> OsString {
        let here = rustix::fs::open(".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        name(&here, OsStr::from_bytes(file)).unwrap()
    }

    #[test]
    fn names_are_recognised_and_fit() {
        for file in [b"a".as_slice(), &[0xff; 255], &[b'x'; 255], "ü".repeat(127).as_bytes()] {
            let name = name_for(file);
            assert!(is_ours(name.as_bytes()), "{name:?}");
            assert!(name.len() <= 255, "{}", name.len());
        }
        assert!(name_for("ü".repeat(127).as_bytes()).to_str().is_some(), "a character was cut in two");
    }

    #[test]
    fn a_file_that_was_completed_or_linked_meanwhile_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let dir = rustix::fs::open(directory.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let path = |name: &str| directory.path().join(name);
        let file = File::create(path("kept")).unwrap();
        let named = || still_named(&dir, OsStr::new("kept"), &file).unwrap();
        assert!(named());
        std::fs::hard_link(path("kept"), path("another")).unwrap();
        assert!(!named(), "it has two names");
        std::fs::remove_file(path("another")).unwrap();
        assert!(named());
        std::fs::rename(path("kept"), path("complete")).unwrap();
        assert!(!named(), "it is complete under its name");
        std::fs::write(path("kept"), "of another transfer").unwrap();
        assert!(!named(), "another file has the name");
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in ["", ".a.unglue-", "a.unglue-01234567", ".a.unglue-0123456", ".a.unglue-0123456Z", "01234567"] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
    }
}
