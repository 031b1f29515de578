//! The proof that this program is the one whose digest the client knows.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::digest;
use super::{PROGRAM, PROVED, digest_in};

/// How exactly the time of the last use is kept.
const USED: Duration = Duration::from_secs(24 * 60 * 60);
/// Directories in which others can make names.
const SHARED: [&str; 2] = ["/dev/shm", "/tmp"];

/// Checks that this process runs the program of the directory `name`, which is `VERSION-DIGEST`.
///
/// # Errors
/// What is wrong with it.
pub fn prove(name: &str) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("the program can't read itself: {error}");
    let wanted = digest_in(name).ok_or_else(|| format!("{name} is not VERSION-DIGEST"))?;
    let own = Path::new("/proc/self/exe");
    let path = fs::read_link(own).map_err(unreadable)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    check_owner(directory)?;
    let identity = digest::identity(&fs::metadata(own).map_err(unreadable)?);
    let proved = directory.join(PROVED);
    if fs::read_to_string(&proved).is_ok_and(|known| known.trim_end() == identity) {
        touch(&proved);
        return Ok(());
    }
    let digest = digest::of_file(own).map_err(unreadable)?;
    if digest != wanted {
        return Err(format!("{} has the digest {digest}, and not {wanted}", path.display()));
    }
    if path.file_name().is_some_and(|file| file == PROGRAM) {
        // Where it can't be written, the program is read each time.
        let _ = digest::replace(&proved, &format!("{identity}\n"));
    }
    Ok(())
}

/// The time of the proof is the time of the last use, within a day.
fn touch(proved: &Path) {
    let Ok(file) = File::open(proved) else { return };
    let now = SystemTime::now();
    let recent = |then: SystemTime| now.duration_since(then).is_ok_and(|age| age < USED);
    if !file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(recent) {
        let _ = file.set_times(FileTimes::new().set_modified(now));
    }
}

/// In a directory where others can make names, the program and its directories belong to this user alone.
fn check_owner(directory: &Path) -> Result<(), String> {
    let Some(shared) = SHARED.into_iter().find(|shared| is_directly_below(directory, shared)) else { return Ok(()) };
    let user = rustix::process::geteuid().as_raw();
    for path in directory.ancestors().take_while(|path| *path != Path::new(shared)) {
        let metadata = fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if metadata.uid() != user || metadata.mode() & 0o022 != 0 {
            return Err(format!("{} can be written by others", path.display()));
        }
    }
    Ok(())
}

/// Whether it is `SHARED/unglue-UID/VERSION-DIGEST`. (A home may be below /tmp, too.)
fn is_directly_below(directory: &Path, shared: &str) -> bool {
    directory.parent().and_then(Path::parent).map(PathBuf::from) == Some(PathBuf::from(shared))
}
