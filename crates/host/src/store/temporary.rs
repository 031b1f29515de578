//! The file beside the destination that receives the bytes until they are complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fstatvfs, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use unglue_proto::blocks::BLOCK;

use super::Owner;
use super::error::Problem;
use super::partials::{Record, is_too_old};

/// What stands between the name and the random end.
const MARK: &[u8] = b".unglue-";

/// Random characters at the end of the name: 40 bits, each character five.
pub(super) const RANDOM: usize = 8;

/// The characters of the random end.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The longest name on Linux' own file systems, in bytes.
const NAME_MAX: usize = 255;

/// A temporary file's name and place; dropping it removes the file, then its record, unless the file stays.
#[derive(Debug)]
pub(super) struct Temporary {
    dir: OwnedFd,
    name: OsString,
    /// Whether there is a file to remove.
    exists: bool,
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
}

impl Temporary {
    /// Creates the file, empty, with the mode that the kernel makes of `mode`, as for any new file: the directory's default
    /// access control list or the umask takes some away. The name must be new: whatever stands there already, a symbolic
    /// link above all, is an error (`EEXIST`).
    pub(super) fn create(
        dir: OwnedFd,
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
        dir: OwnedFd,
        name: OsString,
        (mode, known): (Mode, bool),
        record: Record,
    ) -> Result<Result<Kept, OwnedFd>, Problem> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&dir, &name, flags, mode) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP | Errno::ISDIR | Errno::ACCESS | Errno::NXIO) => return Ok(Err(dir)),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&file)?;
        let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink == 1
            && stat.st_uid == geteuid().as_raw();
        match ours.then(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Some(Ok(())) => {}
            None => return Ok(Err(dir)),
            Some(Err(Errno::WOULDBLOCK)) => return Err(Problem::KeptInUse),
            Some(Err(errno)) => return Err(errno.into()),
        }
        if is_too_old(&stat) {
            file.set_len(0).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        // Only what the new transfer allows, too. Where the final mode isn't known yet, only its owner may read a part.
        let allowed = if known { mode } else { Mode::RUSR | Mode::WUSR };
        if stat.st_mode & 0o777 & !allowed.bits() != 0 {
            fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o777) & allowed)?;
        }
        let length = fstat(&file)?.st_size as u64;
        Ok(Ok(Kept {
            temporary: Temporary { dir, name, exists: true, stays: true, record: Some(record) },
            file,
            length,
        }))
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
    fn other_names_are_not_ours() {
        for name in ["", ".a.unglue-", "a.unglue-01234567", ".a.unglue-0123456", ".a.unglue-0123456Z", "01234567"] {
            assert!(!is_ours(name.as_bytes()), "{name}");
        }
    }
}
