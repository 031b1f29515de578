//! Old versions are removed, and never one that runs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::{PROGRAM, PROVED, digest_in};

/// How many versions stay beside the new one: clients of several versions may use the host in turns.
const KEPT: usize = 2;
/// How old a part of an upload is whose client is gone for sure.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes all versions in `base` but `current`, the two that were used last, and those that run. What can't be removed stays.
pub(super) fn prune(base: &Path, current: &str) {
    let entries: Vec<PathBuf> = fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    for part in entries.iter().filter(|path| is_abandoned(path)) {
        let _ = fs::remove_file(part);
    }
    let mut versions: Vec<(SystemTime, &PathBuf)> =
        entries.iter().filter(|path| is_version(path, current)).map(|path| (last_use(path), path)).collect();
    versions.sort();
    let running = running();
    let old = versions.len().saturating_sub(KEPT);
    for (_, directory) in &versions[..old] {
        let program = directory.join(PROGRAM);
        if running.contains(&program) || !is_free(&program) {
            continue;
        }
        for file in [program, directory.join(PROVED)] {
            let _ = fs::remove_file(file);
        }
        // It stays if there is something else in it.
        let _ = fs::remove_dir(directory);
    }
}

fn is_version(path: &Path, current: &str) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| name != current && digest_in(name).is_some()) && path.join(PROGRAM).is_file()
}

fn last_use(directory: &Path) -> SystemTime {
    let changed = |file| fs::metadata(directory.join(file)).and_then(|metadata| metadata.modified());
    changed(PROVED).or_else(|_| changed(PROGRAM)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn is_abandoned(path: &Path) -> bool {
    let is_part = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(".upload-"));
    let changed = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    is_part && changed.is_ok_and(|then| SystemTime::now().duration_since(then).is_ok_and(|age| age > ABANDONED))
}

/// The programs of this user's processes, as far as they can be read.
fn running() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| fs::read_link(process.path().join("exe")).ok()).collect()
}

/// Whether no server runs it: each holds a lock ([`hold`](super::hold)), since a process that has keys doesn't show its program
/// in /proc. Where locks can't be had, it counts as used.
fn is_free(program: &Path) -> bool {
    File::open(program).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::super::digest::{DIGITS, replace};
    use super::*;

    fn version(base: &Path, number: u64) -> PathBuf {
        let directory = base.join(format!("0.{number}.0-{number:0width$x}", width = DIGITS));
        replace(&directory.join(PROGRAM), "a program").expect("written");
        replace(&directory.join(PROVED), "a proof").expect("written");
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(number * 1000);
        File::options().write(true).open(directory.join(PROVED)).expect("it opens").set_modified(used).expect("a time");
        directory
    }

    #[test]
    fn the_versions_that_were_used_last_stay_and_so_does_one_that_runs() {
        let base = tempfile::tempdir().expect("a directory");
        let versions: Vec<PathBuf> = (1..=6).map(|number| version(base.path(), number)).collect();
        fs::write(base.path().join("notes"), "the user's own").expect("written");
        let served = File::open(versions[1].join(PROGRAM)).expect("it opens");
        flock(&served, FlockOperation::LockShared).expect("locked");
        prune(base.path(), versions[0].file_name().and_then(OsStr::to_str).expect("a name"));
        let left: Vec<bool> = versions.iter().map(|directory| directory.exists()).collect();
        assert_eq!(left, [true, true, false, false, true, true]);
        assert!(base.path().join("notes").exists());
        drop(served);
        prune(base.path(), "0.0.0-none");
        let left: Vec<bool> = versions.iter().map(|directory| directory.exists()).collect();
        assert_eq!(left, [false, false, false, false, true, true]);
    }
}
