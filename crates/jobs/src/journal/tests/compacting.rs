//! Files that become shorter.

use std::fs;
use std::time::{Duration, Instant};

use super::*;

fn open_short(directory: &Path) -> (Journal, Index) {
    Journal::open_here(directory, Retention::default(), here("this boot", 10_000)).unwrap()
}

fn length(directory: &Path) -> u64 {
    fs::metadata(directory.join("journal")).unwrap().len()
}

/// Jobs that begin, end and are forgotten.
fn soon_forgotten(range: std::ops::Range<u64>) -> Vec<Record> {
    range.flat_map(|n| [begun(n), started(n), ended(n), forgotten(n)]).collect()
}

#[test]
fn a_long_file_is_compacted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let records = [soon_forgotten(0..100), some().into_iter().map(|r| renamed(r, 100)).collect()].concat();
    let id = left(directory.path(), &records);
    let before = length(directory.path());
    let (journal, index) = open_short(directory.path());
    assert_eq!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&records)));
    let after = length(directory.path());
    assert!(after * 4 < before, "{after} bytes of {before}");
    drop(journal);
    let (journal, again) = open_short(directory.path());
    assert_eq!(journal.id(), id);
    assert_eq!(told(&again), told(&index));
    assert!(length(directory.path()) < after + 300, "it is left alone");
    assert_eq!(names(directory.path()), ["journal"]);
}

/// The same record of another id.
fn renamed(mut record: Record, by: u64) -> Record {
    let (Record::Begun { id, .. }
    | Record::Started { id, .. }
    | Record::Ended { id, .. }
    | Record::NeverStarted { id, .. }
    | Record::Forgotten { id, .. }) = &mut record;
    let number: u64 = id.trim_start_matches("job-").parse().unwrap();
    *id = super::id(number + by);
    record
}

#[test]
fn a_file_is_compacted_while_others_append() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_short(directory.path());
    let id = journal.id().to_owned();
    let records: Vec<Vec<Record>> = (0..4).map(|t| soon_forgotten(t * 50..t * 50 + 49)).collect();
    std::thread::scope(|scope| {
        for records in &records {
            let journal = journal.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for record in records {
                    journal.append(record).unwrap();
                    if matches!(record, Record::Started { .. }) {
                        runtime.block_on(journal.sync()).unwrap();
                    }
                }
            });
        }
    });
    let mut records = records.concat();
    let until = Instant::now() + Duration::from_secs(20);
    let mut longest = 0;
    while length(directory.path()) >= longest {
        assert!(Instant::now() < until, "{longest} bytes are there");
        longest = length(directory.path());
        for record in soon_forgotten(198..199) {
            journal.append(&record).unwrap();
            records.push(record);
        }
    }
    journal.append(&begun(199)).unwrap();
    records.push(begun(199));
    journal.close().unwrap();
    let (journal, index) = open_in_boot(directory.path(), "the next boot");
    assert_eq!(journal.id(), id);
    let mut expected = told(&index_of(&records));
    let mut told = told(&index);
    expected.sort();
    told.sort();
    assert_eq!(told, expected);
    assert_eq!(names(directory.path()), ["journal"]);
}

#[test]
fn a_file_of_jobs_that_count_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_short(directory.path());
    let before = fs::metadata(directory.path().join("journal")).unwrap();
    for n in 0..100 {
        journal.append(&begun(n)).unwrap();
    }
    journal.close().unwrap();
    let inode = |metadata: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(metadata);
    assert_eq!(inode(&fs::metadata(directory.path().join("journal")).unwrap()), inode(&before));
}

#[test]
fn a_file_that_was_damaged_while_it_is_open_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_short(directory.path());
    let path = directory.path().join("journal");
    journal.append(&begun(150)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"?", 300).unwrap();
    for record in soon_forgotten(0..20) {
        journal.append(&record).unwrap();
    }
    journal.close().unwrap();
    assert!(length(directory.path()) > 10_000);
    drop(open(directory.path()));
    assert_eq!(names(directory.path()), ["journal", "journal.damaged-1"]);
}
