//! Where the outputs of jobs are kept, and how much of them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::journal::{Entry, Index};

/// What all ended jobs of a server may have printed together, in bytes: the first to end are forgotten beyond it.
pub const ENDED: u64 = 16 << 30;
/// What one job may print, in bytes; it stalls beyond it, as at a full pipe.
pub const PER_JOB: u64 = 16 << 30;
/// What all jobs of a server may print, in bytes; those that start beyond it may print [`LEAST`].
pub const ALL: u64 = 64 << 30;
/// What every job may print, in bytes.
pub const LEAST: u64 = 64 << 20;

/// The directory of a job.
pub(crate) fn directory(owned: &Path, number: u64) -> PathBuf {
    owned.join("jobs").join(number.to_string())
}

/// A number beyond those of all directories that are there.
pub(crate) fn next(owned: &Path) -> u64 {
    let entries = fs::read_dir(owned.join("jobs")).into_iter().flatten().flatten();
    1 + entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok()).max().unwrap_or(0)
}

/// What a directory that is being removed is called behind its number.
const GONE: &str = "gone";

/// Removes a job's directory, on a thread that may wait for the disk.
pub(crate) fn remove(directory: PathBuf) {
    on_thread(move || {
        if let Err(error) = remove_now(&directory) {
            tracing::warn!(event = "job_not_removed", path = %directory.display(), %error);
        }
    });
}

/// Its name goes first, and all at once: a keeper that still wants to claim the job must not find the directory without the claim
/// that says that the command never starts.
fn remove_now(directory: &Path) -> io::Result<()> {
    let gone = directory.with_extension(GONE);
    // Of an earlier job of this number.
    unless_missing(fs::remove_dir_all(&gone))?;
    unless_missing(fs::rename(directory, &gone))?;
    unless_missing(fs::remove_dir_all(&gone))
}

/// Removes what servers that were killed had begun to remove.
pub(crate) fn remove_rests(owned: &Path) {
    let jobs = owned.join("jobs");
    on_thread(move || {
        let entries = fs::read_dir(jobs).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == GONE)) {
            let _ = fs::remove_dir_all(path);
        }
    });
}

fn on_thread(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether ended jobs have printed more than is kept.
pub(crate) fn are_too_large(index: &Index) -> bool {
    index.printed() > ENDED
}

/// The ended jobs to forget so that the others fit: user, id, and number of the directory.
pub(crate) fn surplus(index: &Index) -> Vec<(String, String, u64)> {
    if !are_too_large(index) {
        return Vec::new();
    }
    let mut ended: Vec<&Entry> = index.iter().filter(|entry| entry.job.is_some() && entry.ended.is_some()).collect();
    ended.sort_by_key(|entry| std::cmp::Reverse(entry.ended.as_ref().map(|ended| ended.time)));
    let mut total = 0u64;
    ended.retain(|entry| {
        total = total.saturating_add(entry.ended.as_ref().map_or(0, |ended| ended.printed));
        total > ENDED
    });
    ended.iter().filter_map(|entry| Some((entry.user.to_string(), entry.id.to_string(), entry.job?))).collect()
}

/// What the next job may print.
pub(crate) fn room(index: &Index) -> u64 {
    ALL.saturating_sub(index.printed()).clamp(LEAST, PER_JOB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_removed_whatever_an_earlier_removal_has_left() {
        let owned = tempfile::tempdir().expect("a directory");
        let (job, rest) = (directory(owned.path(), 3), directory(owned.path(), 3).with_extension(GONE));
        for path in [&job, &rest] {
            fs::create_dir_all(path).expect("made");
            fs::write(path.join("claimed"), "never").expect("written");
        }
        remove(job.clone());
        assert!(!job.exists() && !rest.exists());
        remove(job.clone());
        fs::create_dir_all(&rest).expect("made");
        fs::create_dir_all(&job).expect("made");
        assert_eq!(next(owned.path()), 4, "a rest has no number");
        remove_rests(owned.path());
        assert!(job.exists() && !rest.exists());
    }
}
