//! File systems that are full or read-only, and limits.

use std::fs;

use super::child;
use super::*;

#[test]
fn a_full_disk_refuses_records_and_keeps_those_that_are_there() {
    let directory = tempfile::tempdir().unwrap();
    child::run("full::part_full", directory.path(), &child::on_tmpfs("size=64k", "")).passed();
}

#[test]
fn part_full() {
    let Some(directory) = child::directory() else { return };
    let (journal, _) = open(&directory);
    let id = journal.id().to_owned();
    fs::write(directory.join("filler"), vec![1; 20_000]).unwrap();
    let mut written = Vec::new();
    let error = loop {
        let record = begun(written.len() as u64);
        match journal.append(&record) {
            Ok(()) => written.push(record),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
    assert!(written.len() > 50, "{}", written.len());
    let records: u64 = (0..3).map(|_| u64::from(journal.append(&begun(999)).is_ok())).sum();
    assert_eq!(records, 0);
    drop(journal);

    let error = Journal::open(&directory, Retention::default()).unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("journal: writing to it failed: No space"), "{error}");

    fs::remove_file(directory.join("filler")).unwrap();
    let (journal, index) = open(&directory);
    assert_eq!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&written)));
    journal.append(&begun(999)).unwrap();

    // A job that goes on without a record is noted, although there is no room.
    drop(journal);
    fs::remove_file(directory.join("journal")).unwrap();
    let (journal, _) = open(&directory);
    let id = journal.id().to_owned();
    fs::write(directory.join("filler"), vec![1; 40_000]).unwrap();
    while journal.append(&begun(998)).is_ok() {}
    journal.mark_incomplete().unwrap();
    drop(journal);
    let error = Journal::open(&directory, Retention::default()).unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::StorageFull, "{error}");
    fs::remove_file(directory.join("filler")).unwrap();
    let (journal, index) = open(&directory);
    assert_ne!(journal.id(), id);
    assert!(index.find("ada", "job-998").is_some());
}

#[test]
fn a_command_that_could_not_be_recorded_gives_the_journal_a_new_id() {
    let directory = tempfile::tempdir().unwrap();
    child::run("full::part_unrecorded", directory.path(), &child::on_tmpfs("size=128k", "")).passed();
}

#[test]
fn part_unrecorded() {
    use crate::{Asking, Begun, Registry};
    use unglue_proto::message::exec::Exec;

    let Some(directory) = child::directory() else { return };
    let open = || Registry::open(&directory).unwrap();
    let journal = |registry: &Registry| registry.journal().map(str::to_owned);
    let exec = |id: &str, recorded| {
        let json = format!(r#"{{"id":"{id}","argv":["true"],"recorded":{recorded}}}"#);
        serde_json::from_str::<Exec>(&json).unwrap()
    };
    let ada = Asking { user: "ada", key: None };
    let first = journal(&open());
    assert_eq!(first, journal(&open()), "nothing is missing");

    let registry = open();
    let filler = directory.join("filler");
    fs::write(&filler, vec![1; 100_000]).unwrap();
    let refused = (0..1000).find_map(|n| registry.begin(ada, &exec(&format!("recorded-{n}"), true)).err());
    assert_eq!(refused.unwrap().code, unglue_proto::Code::NotRecorded);
    assert_eq!(journal(&registry), first);
    assert!(matches!(registry.begin(ada, &exec("plain", false)), Ok(Begun::New(_))), "it goes on");
    drop(registry);
    fs::remove_file(filler).unwrap();
    let registry = open();
    assert!(journal(&registry).is_some_and(|id| Some(id) != first), "it isn't known that the command ran");
}

#[test]
fn a_write_that_is_cut_short_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    // 8 KiB: half a record of 5 KiB fits.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    assert!(child::run("full::part_short", directory.path(), script).passed());
    let (journal, index) = open(directory.path());
    assert_eq!(told(&index), told(&index_of(&[begun(1), started(1)])));
    assert_eq!(names(directory.path()), ["journal"]);
    drop(journal);
}

#[test]
fn part_short() {
    let Some(directory) = child::directory() else { return };
    let (journal, _) = open(&directory);
    journal.append(&begun(1)).unwrap();
    let length = fs::metadata(directory.join("journal")).unwrap().len();
    let long = Record::NeverStarted { user: "ada".into(), id: "x".repeat(9000) };
    assert!(journal.append(&long).is_err());
    assert_eq!(fs::metadata(directory.join("journal")).unwrap().len(), length);
    journal.append(&started(1)).unwrap();
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let long = Record::NeverStarted { user: "ada".into(), id: "x".repeat(1 << 20) };
    assert_eq!(journal.append(&long).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    journal.append(&begun(1)).unwrap();
    drop(journal);
    assert_eq!(open(directory.path()).1.len(), 1);
}

#[test]
fn a_read_only_file_system_has_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    let script =
        child::on_tmpfs("size=64k", "mkdir \"$0\"/old && : > \"$0\"/old/journal && mount -o remount,bind,ro \"$0\" &&");
    child::run("full::part_read_only", directory.path(), &script).passed();
}

#[test]
fn part_read_only() {
    let Some(directory) = child::directory() else { return };
    for directory in [directory.join("old"), directory] {
        let error = Journal::open(&directory, Retention::default()).unwrap_err();
        assert_eq!(error.io().kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{error}");
    }
}
