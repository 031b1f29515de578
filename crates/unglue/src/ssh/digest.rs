//! The digest of a program, which names its directory on the other side.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Hexadecimal digits of a digest: 128 bits of BLAKE3.
pub(super) const DIGITS: usize = 32;
/// A file that changed later than this before it was read may change again without a later change time.
const SETTLED: Duration = Duration::from_secs(2);

/// The digest of a program's bytes.
///
/// # Errors
/// It can't be read.
pub(super) fn of_file(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    let mut digest = hasher.finalize().to_hex().to_string();
    digest.truncate(DIGITS);
    Ok(digest)
}

/// What changes whenever a file's bytes do: its place, its size and its change time.
pub(super) fn identity(metadata: &Metadata) -> String {
    let (ino, size) = (metadata.ino(), metadata.size());
    format!(
        "{ino} {size} {}.{:09} {}.{:09}",
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

/// As [`of_file`], but the file is read only if it isn't the one whose digest `cache` remembers.
///
/// # Errors
/// It can't be read.
pub(super) fn remembered(path: &Path, cache: Option<&Path>) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    let identity = identity(&metadata);
    let note = cache.map(|cache| cache.join("digests").join(format!("{}-{}", metadata.dev(), metadata.ino())));
    let known = note.as_ref().and_then(|note| fs::read_to_string(note).ok());
    if let Some((known, digest)) = known.as_deref().and_then(|text| text.trim_end().rsplit_once(' '))
        && known == identity
        && is_digest(digest)
    {
        return Ok(digest.to_owned());
    }
    let digest = of_file(path)?;
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(metadata.ctime().max(0).unsigned_abs());
    let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED);
    if let (Some(note), true) = (note, settled) {
        // It is read again next time where this can't be written.
        let _ = replace(&note, &format!("{identity} {digest}\n"));
    }
    Ok(digest)
}

/// Whether this is a digest as [`of_file`] gives it.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Writes a small file, whole or not at all.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".{}-{}", std::process::id(), crate::ops::new_id()));
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path).inspect_err(|_| drop(fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_digest_is_used_until_the_file_changes() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, cache) = (directory.path().join("program"), directory.path().join("cache"));
        fs::write(&file, "one").expect("written");
        let one = remembered(&file, Some(&cache)).expect("read");
        assert!(is_digest(&one), "{one}");
        // The note is believed as long as the file is the same.
        let metadata = fs::metadata(&file).expect("it is there");
        let note = cache.join("digests").join(format!("{}-{}", metadata.dev(), metadata.ino()));
        let other = "0".repeat(DIGITS);
        replace(&note, &format!("{} {other}\n", identity(&metadata))).expect("written");
        assert_eq!(remembered(&file, Some(&cache)).expect("read"), other);
        fs::write(&file, "two, longer").expect("written");
        let two = remembered(&file, Some(&cache)).expect("read");
        assert!(two != one && two != other && two == of_file(&file).expect("read"));
    }
}
