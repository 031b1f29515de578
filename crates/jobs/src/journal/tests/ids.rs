//! When a journal stays the one that it was.

use std::fs;

use super::*;

#[test]
fn a_killed_process_loses_nothing_and_a_machine_that_goes_down_may() {
    let directory = tempfile::tempdir().unwrap();
    let id = left(directory.path(), &some());
    let (journal, index) = open(directory.path());
    assert_eq!(journal.id(), id, "the process was killed: the kernel has what it wrote");
    assert_eq!(told(&index), told(&index_of(&some())));
    drop(journal);

    let (journal, index) = open_in_boot(directory.path(), "the next boot");
    assert_ne!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&some())), "what is known stays known");
    let id = journal.id().to_owned();
    journal.close().unwrap();

    let (journal, _) = open_in_boot(directory.path(), "a third boot");
    assert_eq!(journal.id(), id, "it was closed");
    drop(journal);
    let (journal, _) = open_in_boot(directory.path(), "a fourth boot");
    assert_ne!(journal.id(), id, "its clean end was long before");
    let id = journal.id().to_owned();
    drop(journal);
    let (journal, _) = open_in_boot(directory.path(), "");
    assert_ne!(journal.id(), id, "which boot this is isn't known");
}

#[test]
fn a_copy_is_another_journal() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let id = journal.id().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    journal.close().unwrap();
    let path = directory.path().join("journal");
    fs::copy(&path, directory.path().join("backup")).unwrap();
    // The old one keeps its inode.
    fs::rename(&path, directory.path().join("old")).unwrap();
    fs::rename(directory.path().join("backup"), &path).unwrap();
    let (journal, _) = open(directory.path());
    assert_ne!(journal.id(), id, "jobs may have run after the copy was made");
}

#[test]
fn a_journal_without_a_record_of_what_ran_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let open_short = || Journal::open_here(directory.path(), Retention::default(), here("this boot", 3000)).unwrap();
    let (journal, _) = open_short();
    let id = journal.id().to_owned();
    journal.append(&begun(1)).unwrap();
    journal.mark_incomplete().unwrap();
    journal.mark_incomplete().unwrap();
    // Not even compaction forgets it.
    let length = || fs::metadata(directory.path().join("journal")).unwrap().len();
    let mut longest = 0;
    while length() >= longest {
        longest = length();
        for record in [begun(2), started(2), ended(2), forgotten(2)] {
            journal.append(&record).unwrap();
        }
    }
    journal.close().unwrap();

    let (journal, index) = open_short();
    assert_ne!(journal.id(), id, "a command ran that isn't in it");
    assert!(index.find("ada", "job-1").is_some() && index.is_forgotten("ada", "job-2"));
    let id = journal.id().to_owned();
    drop(journal);
    assert_eq!(open_short().0.id(), id, "from here on it is complete");
}

#[test]
fn a_removed_journal_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let id = left(directory.path(), &some());
    fs::remove_file(directory.path().join("journal")).unwrap();
    let (journal, index) = open(directory.path());
    assert_ne!(journal.id(), id);
    assert!(index.is_empty());
}

#[test]
fn a_file_of_a_later_version_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let id = left(directory.path(), &[]);
    let path = directory.path().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    bytes[16] = 2;
    fs::write(&path, &bytes).unwrap();
    let (journal, _) = open(directory.path());
    assert_ne!(journal.id(), id);
    assert_eq!(fs::read(directory.path().join("journal.damaged-1")).unwrap(), bytes);
}

#[test]
fn what_is_not_a_file_is_not_a_journal() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("journal")).unwrap();
    let error = Journal::open(directory.path(), Retention::default()).unwrap_err();
    assert!(error.to_string().contains("journal: opening it failed"), "{error}");
    let error = Journal::open(&directory.path().join("missing"), Retention::default()).unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_closed_journal_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let clone = journal.clone();
    journal.close().unwrap();
    assert_eq!(clone.append(&begun(1)).unwrap_err().to_string(), "the journal is closed");
    drop(clone);
    assert!(open(directory.path()).1.is_empty());
}

#[test]
fn commands_are_shortened() {
    use crate::journal::shortened;
    let short = [Octets::from("ls"), Octets::from(vec![0xff])];
    assert_eq!(shortened(&short), short);
    let long = shortened(&[Octets::from("echo"), Octets::from("é".repeat(5000).as_str()), Octets::from("end")]);
    let [echo, text, rest] = &long[..] else { panic!("{} arguments", long.len()) };
    assert_eq!((echo, rest), (&Octets::from("echo"), &Octets::from("…")));
    let text = str::from_utf8(text.as_bytes()).unwrap();
    assert!(text.len() > 4000 && text.len() <= 4096 && text.chars().all(|c| c == 'é'));
    assert!(shortened(&vec![Octets::default(); 100_000]).len() <= 1026);
}
