//! Keepers on a disk without room. Each part runs in a child with a small file system of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use unglue_host::process::{Keep, Kept, SpoolLimit, Supervisors};
use unglue_proto::message::exec::{Outcome, StreamEnd};
use unglue_proto::{Code, Fault};

use super::super::{shell, with_pool};
use super::{Found, checked_stdout, digest, ended, find, keep, pause, spool, start, until};
use crate::store_full::{directory, on_tmpfs};

/// Fills the file system, but for `free` bytes.
fn fill(directory: &Path, free: usize) {
    let filler = directory.join("filler");
    let mut size = 0;
    let mut file = fs::File::create(&filler).expect("it is made");
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {
        size += 4096;
    }
    file.set_len(size - free as u64).expect("it is cut");
}

fn free(directory: &Path) {
    fs::remove_file(directory.join("filler")).expect("it is removed");
}

/// 2,000,000 bytes that are no repetition of a page.
const PRINT: &str = "seq 1000000 | head -c 2000000";

fn printed() -> Vec<u8> {
    let mut text = String::new();
    for number in 1.. {
        text.push_str(&format!("{number}\n"));
        if text.len() >= 2_000_000 {
            break;
        }
    }
    text.truncate(2_000_000);
    text.into_bytes()
}

fn job(directory: &Path, script: &str) -> Keep {
    let place = directory.join("job");
    fs::create_dir(&place).expect("it is made");
    keep(&place, shell(script))
}

async fn stalled(pool: &Supervisors, keep: &Keep) -> Kept {
    let mut kept = start(pool, keep).await;
    until(&mut kept, |progress| progress.stalled).await;
    kept
}

#[test]
fn waits() {
    let Some(directory) = directory() else { return };
    with_pool(async |pool| {
        fill(&directory, 1_000_000);
        let keep = job(&directory, PRINT);
        let mut kept = stalled(&pool, &keep).await;
        pause(300).await;
        let stored = spool(&keep.directory, "stdout").len();
        assert!(stored > 900_000 && stored < 1_000_000, "{stored}");
        free(&directory);
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(0));
        assert_eq!(checked_stdout(&report, &keep.directory), StreamEnd::Eof);
        assert_eq!(digest(&spool(&keep.directory, "stdout")), digest(&printed()));
    });
}

#[test]
fn a_command_waits_for_room_on_the_disk_and_nothing_is_lost() {
    on_tmpfs("process::keep::full::waits", "size=8m", "");
}

#[test]
fn keeps_the_end() {
    let Some(directory) = directory() else { return };
    with_pool(async |pool| {
        fill(&directory, 60_000);
        // It ends with its output in the pipe.
        let keep = job(&directory, "seq 100000 | head -c 60000; sleep 300 & exit 3");
        let mut kept = start(&pool, &keep).await;
        let progress = until(&mut kept, |progress| progress.stalled && progress.exit.is_some()).await;
        assert!(progress.stdout < 60_000);
        pause(500).await;
        assert!(tokio::time::timeout(Duration::from_millis(500), ended(&mut kept)).await.is_err(), "it waits");
        free(&directory);
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::exited(3));
        assert_eq!(checked_stdout(&report, &keep.directory), StreamEnd::HeldOpen);
        assert_eq!(spool(&keep.directory, "stdout"), &printed()[..60_000]);
    });
}

#[test]
fn a_command_that_has_ended_waits_for_room_too() {
    on_tmpfs("process::keep::full::keeps_the_end", "size=4m", "");
}

#[test]
fn is_cancelled() {
    let Some(directory) = directory() else { return };
    with_pool(async |pool| {
        fill(&directory, 100_000);
        let keep = job(&directory, PRINT);
        let mut kept = stalled(&pool, &keep).await;
        let why = Fault::user(Code::Cancelled, "enough");
        kept.cancel(&why).expect("it lives");
        // The disk is as full as before.
        let report = ended(&mut kept).await;
        assert_eq!(report.outcome, Outcome::Cancelled(why));
        assert_eq!(checked_stdout(&report, &keep.directory), StreamEnd::Cut);
        assert!(matches!(find(&keep.directory).await, Found::Finished(found) if *found == report));
    });
}

#[test]
fn a_command_that_waits_for_room_can_be_cancelled() {
    on_tmpfs("process::keep::full::is_cancelled", "size=4m", "");
}

#[test]
fn fails() {
    let Some(directory) = directory() else { return };
    with_pool(async |pool| {
        fill(&directory, 100_000);
        let keep = Keep { spool: SpoolLimit::End(1 << 30), ..job(&directory, PRINT) };
        let report = ended(&mut start(&pool, &keep).await).await;
        let Outcome::Failed(fault) = &report.outcome else { panic!("{report:?}") };
        assert_eq!(fault.errno.as_deref(), Some("ENOSPC"), "{fault}");
        assert!(fault.what.contains("could not be stored after"), "{fault}");
        assert_eq!(checked_stdout(&report, &keep.directory), StreamEnd::Cut);
    });
}

#[test]
fn a_command_that_must_not_wait_fails() {
    on_tmpfs("process::keep::full::fails", "size=4m", "");
}

#[test]
fn does_not_start() {
    let Some(directory) = directory() else { return };
    with_pool(async |pool| {
        let mut keep = job(&directory, "echo ran > ran");
        keep.command.cwd = directory.clone();
        fill(&directory, 0);
        let error = pool.keep(&keep).await.expect_err("there is no room");
        assert_eq!(error.errno(), Some(libc::ENOSPC), "{error}");
        assert!(!error.is_unknown());
        free(&directory);
        assert!(matches!(find(&keep.directory).await, Found::NeverStarted));
        assert!(!directory.join("ran").exists());
    });
}

#[test]
fn a_command_does_not_start_without_room_for_its_outcome() {
    on_tmpfs("process::keep::full::does_not_start", "size=1m", "");
}
