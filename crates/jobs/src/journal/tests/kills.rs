//! Kills and failing calls at every system call that changes the file or its directory.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use super::child::{self, Ended};
use super::*;

/// The calls that the journal makes, and the test's own runner doesn't.
const CALLS: &[&str] = &["pwrite64", "fdatasync", "fsync", "ftruncate", "renameat", "renameat2", "linkat", "unlinkat"];
/// So short a file is compacted that the records of `story` are compacted several times.
const LEAST: u64 = 3000;
const JOBS: u64 = 12;

/// Many jobs that are soon forgotten.
fn story() -> Vec<Record> {
    let job = |n| [begun(n), started(n), ended(n), forgotten(n)];
    (0..JOBS).flat_map(job).chain([begun(JOBS), started(JOBS)]).collect()
}

fn open_short(directory: &Path) -> (Journal, Index) {
    Journal::open_here(directory, Retention::default(), here("this boot", LEAST)).unwrap()
}

/// Writes the story in three lives, and says before and after each record which it is.
#[test]
fn part_story() {
    let Some(directory) = child::directory() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut written = 0;
    for life in 0..3 {
        let (journal, _) = open_short(&directory);
        println!("id {}", journal.id());
        for record in &story()[life * 17..(life * 17 + 17).min(story().len())] {
            journal.append(record).unwrap();
            written += 1;
            println!("written {written}");
            if written % 8 == 0 {
                runtime.block_on(journal.sync()).unwrap();
            }
        }
        match life {
            0 => drop(journal),
            _ => journal.close().unwrap(),
        }
    }
}

/// How often a thread made each call at most.
fn counts(log: &Path) -> HashMap<String, usize> {
    let mut calls: HashMap<(String, String), usize> = HashMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (Some(pid), Some(rest)) = (words.next(), words.next()) else { continue };
        if let Some((call, _)) = rest.split_once('(') {
            *calls.entry((pid.into(), call.into())).or_default() += 1;
        }
    }
    let mut most = HashMap::new();
    for ((_, call), count) in calls {
        let known = most.entry(call).or_default();
        *known = count.max(*known);
    }
    most
}

/// Runs the story with a fault (as strace names it) at the nth call.
fn run_with(fault: &str, call: &str, nth: usize, directory: &Path) -> Ended {
    let script = format!("exec strace -f -qq -o /dev/null -e trace={call} -e inject={call}:{fault}:when={nth} \"$@\"");
    child::run("kills::part_story", directory, &script)
}

fn places() -> Vec<(&'static str, usize)> {
    let (directory, log) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let script = format!("exec strace -f -qq -o {} -e trace={} \"$@\"", log.path().display(), CALLS.join(","));
    assert!(child::run("kills::part_story", directory.path(), &script).passed());
    let counts = counts(log.path());
    let mut places = Vec::new();
    for call in CALLS {
        places.extend((1..=counts.get(*call).copied().unwrap_or(0)).map(|nth| (*call, nth)));
    }
    let made = |call: &str| counts.get(call).copied().unwrap_or(0);
    assert!(made("pwrite64") >= story().len() && made("fdatasync") >= 3, "{counts:?}");
    assert!(made("renameat") + made("renameat2") >= 1, "it was compacted: {counts:?}");
    places
}

/// The journal says what the story's first records say: all those that were reported as written, and at most one more.
fn holds_the_story(directory: &Path, ended: &Ended, what: &str) -> (Journal, Index) {
    let written: usize = ended.last("written").map_or(0, |count| count.parse().unwrap());
    let (journal, index) = open_short(directory);
    let story = story();
    let known = (written..=(written + 1).min(story.len())).find(|n| told(&index_of(&story[..*n])) == told(&index));
    assert!(known.is_some(), "{what}: {written} records were written; {:#?}", told(&index));
    assert!(names(directory).iter().all(|name| name == "journal"), "{what}: {:?}", names(directory));
    (journal, index)
}

#[test]
fn a_kill_at_any_call_loses_nothing() {
    if !child::has_strace() {
        return;
    }
    for (call, nth) in places() {
        let directory = tempfile::tempdir().unwrap();
        let ended = run_with("signal=SIGKILL", call, nth, directory.path());
        let what = format!("killed at {call} {nth}");
        assert!(ended.status.signal() == Some(9) || ended.status.success(), "{what}: {}", ended.output);
        let (journal, _) = holds_the_story(directory.path(), &ended, &what);
        if let Some(id) = ended.last("id") {
            assert_eq!(journal.id(), id, "{what}: nothing is lost");
        }
    }
}

#[test]
fn a_call_that_fails_is_told_or_harmless() {
    if !child::has_strace() {
        return;
    }
    let mut refused = 0;
    for (index, (call, nth)) in places().into_iter().enumerate() {
        let errno = ["EIO", "ENOSPC", "EDQUOT", "EROFS"][index % 4];
        let directory = tempfile::tempdir().unwrap();
        let ended = run_with(&format!("error={errno}"), call, nth, directory.path());
        refused += usize::from(!ended.status.success());
        holds_the_story(directory.path(), &ended, &format!("{errno} at {call} {nth}"));
    }
    assert!(refused > 40, "only {refused} runs noticed the fault");
}

#[test]
fn after_a_failed_sync_nothing_is_appended() {
    if !child::has_strace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // A new file is synced by fsync(2).
    let script = "exec strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:error=EIO:when=1 \"$@\"";
    assert!(child::run("kills::part_failed_sync", directory.path(), script).passed());
    let (_, index) = open(directory.path());
    assert_eq!(told(&index), told(&index_of(&[begun(1)])));
}

#[test]
fn part_failed_sync() {
    let Some(directory) = child::directory() else { return };
    let (journal, _) = open(&directory);
    journal.append(&begun(1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for error in [runtime.block_on(journal.sync()).unwrap_err(), journal.append(&begun(2)).unwrap_err()] {
        let expected = "the journal takes no records since fdatasync(2) failed";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert!(journal.close().is_err());
}
