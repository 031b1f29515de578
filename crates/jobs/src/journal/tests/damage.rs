//! Files that are cut, and files whose bytes are wrong.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{fs, io};

use proptest::prelude::*;

use super::*;
use crate::journal::record::HEADER;
use crate::journal::scan::Tail;

/// A journal's bytes, its id, its records and where each line ends.
fn sample() -> (Vec<u8>, String, Vec<Record>, Vec<usize>) {
    let directory = tempfile::tempdir().unwrap();
    let records = some();
    let id = left(directory.path(), &records);
    let bytes = fs::read(directory.path().join("journal")).unwrap();
    // Open to the end of the process: no file that is made later has the inode that its first line names.
    std::mem::forget(fs::File::open(directory.path().join("journal")).unwrap());
    let mut ends = vec![HEADER];
    while let Some(length) = bytes.get(ends[ends.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        ends.push(ends[ends.len() - 1] + 8 + u32::from_le_bytes(*length) as usize);
    }
    assert_eq!(ends[ends.len() - 1], bytes.len());
    assert_eq!(ends.len(), records.len() + 2, "the header and the line of the process that opened it");
    (bytes, id, records, ends)
}

/// Puts a file in the journal's place, with the inode that its first line names.
fn put(directory: &Path, bytes: &[u8]) {
    let path = directory.join("journal");
    fs::write(&path, bytes).unwrap();
}

/// The journal works, and what it says is there after the next start.
fn goes_on(directory: &Path, journal: Journal, mut index: Index) {
    for record in [begun(77), started(77)] {
        journal.append(&record).unwrap();
        index.apply(&record);
    }
    let id = journal.id().to_owned();
    journal.close().unwrap();
    let (journal, again) = open_in_boot(directory, "the next boot");
    assert_eq!(journal.id(), id, "a clean end needs no new id");
    assert_eq!(told(&again), told(&index));
}

#[test]
fn a_file_that_is_cut_anywhere_says_what_its_whole_records_say() {
    let (bytes, id, records, ends) = sample();
    let directory = tempfile::tempdir().unwrap();
    let original = left(directory.path(), &[]);
    assert_ne!(original, id);
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let known = index_of(&records[..whole.saturating_sub(2)]);
        let (_, scan) = lines(&bytes[..cut]);
        let at_an_end = ends.contains(&cut);
        match scan.tail {
            Tail::Whole => assert!(at_an_end, "cut at {cut}"),
            Tail::Torn(_) => assert!(whole > 0 && !at_an_end, "cut at {cut}"),
            Tail::Damaged(_) => assert_eq!(whole, 0, "cut at {cut}: there is no header"),
        }
        // Each file is opened at ends, beside them, and at some other places: it takes some syncs.
        if !(at_an_end || ends.contains(&(cut + 1)) || ends.contains(&cut.wrapping_sub(1)) || cut.is_multiple_of(61)) {
            continue;
        }
        put(directory.path(), &bytes[..cut]);
        let (journal, index) = open(directory.path());
        assert_eq!(told(&index), told(&known), "cut at {cut}");
        assert_ne!(journal.id(), id, "cut at {cut}: it is a copy at least");
        goes_on(directory.path(), journal, index);
    }
}

#[test]
fn a_torn_end_is_cut_off_and_the_journal_gets_a_new_id() {
    let directory = tempfile::tempdir().unwrap();
    let id = left(directory.path(), &some());
    let path = directory.path().join("journal");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 1).unwrap();
    let (journal, index) = open(directory.path());
    assert_ne!(journal.id(), id);
    assert_eq!(told(&index), told(&index_of(&some()[..8])));
    assert_eq!(names(directory.path()), ["journal"], "nothing is damaged");
    drop(journal);

    // The end that a power cut may leave: the length is there, the bytes are not.
    let id = left(directory.path(), &[]);
    let length = file.metadata().unwrap().len();
    file.set_len(length + 300).unwrap();
    let (journal, again) = open(directory.path());
    assert_ne!(journal.id(), id);
    assert_eq!(told(&again), told(&index));
    assert_eq!(names(directory.path()), ["journal"]);
    goes_on(directory.path(), journal, again);
}

#[test]
fn no_flipped_bit_makes_another_record() {
    let (bytes, _, _, ends) = sample();
    let (all, _) = lines(&bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let (left, scan) = lines(&damaged);
            let hit = ends.iter().filter(|end| **end <= at).count();
            let mut expected = all.clone();
            if hit > 0 {
                expected.remove(hit - 1);
            }
            assert_eq!(left, expected, "bit {bit} of byte {at}");
            assert!(scan.is_damaged() || matches!(scan.tail, Tail::Torn(_)), "bit {bit} of byte {at}");
            let is_last = hit == all.len();
            assert!(scan.is_damaged() || is_last, "bit {bit} of byte {at} is damage, not a torn end");
        }
    }
}

#[test]
fn a_damaged_file_is_kept_and_its_other_records_are_used() {
    let (bytes, _, _, ends) = sample();
    for at in [0, 20, HEADER + 30, ends[2] + 9, ends[4] + 60, bytes.len() - 5] {
        let directory = tempfile::tempdir().unwrap();
        let id = left(directory.path(), &some());
        let path = directory.path().join("journal");
        let mut damaged = fs::read(&path).unwrap();
        damaged[at] ^= 0x20;
        fs::write(&path, &damaged).unwrap();

        let (journal, index) = open(directory.path());
        assert_ne!(journal.id(), id, "byte {at}");
        assert_eq!(names(directory.path()), ["journal", "journal.damaged-1"], "byte {at}");
        assert_eq!(fs::read(directory.path().join("journal.damaged-1")).unwrap(), damaged);
        let (lines, _) = lines(&damaged);
        let records = lines.into_iter().filter_map(|line| match line {
            Line::Record(record) => Some(record),
            _ => None,
        });
        let records: Vec<_> = records.collect();
        assert_eq!(told(&index), told(&index_of(&records)), "byte {at}");
        goes_on(directory.path(), journal, index);
    }
}

#[test]
fn an_id_whose_beginning_is_damaged_never_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    left(directory.path(), &[begun(1), begun(2), ended(2)]);
    let path = directory.path().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|text| text == b"job-2").unwrap();
    bytes[at] = b'J';
    fs::write(&path, &bytes).unwrap();
    let (_, index) = open(directory.path());
    assert!(index.find("ada", "job-1").is_some());
    assert!(index.find("ada", "job-2").is_none() && index.is_forgotten("ada", "job-2"));
}

#[test]
fn bytes_of_another_place_or_another_file_are_not_records() {
    let (bytes, _, _, ends) = sample();
    let (all, _) = lines(&bytes);
    let record = |n: usize| &bytes[ends[n]..ends[n + 1]];

    let repeated = [&bytes[..ends[3]], record(2), &bytes[ends[3]..]].concat();
    let (left, scan) = lines(&repeated);
    assert_eq!(left, all);
    assert_eq!(scan.gaps.len(), 1);

    let missing = [&bytes[..ends[2]], &bytes[ends[3]..]].concat();
    let (left, scan) = lines(&missing);
    assert_eq!(left.len(), all.len() - 1);
    assert!(scan.is_damaged(), "a number is missing");
    assert_eq!(scan.gaps, [crate::journal::scan::Gap { at: ends[2] as u64, bytes: 0 }]);

    let (other, _, _, others) = sample();
    let foreign = [&bytes[..ends[3]], &other[others[3]..]].concat();
    let (left, scan) = lines(&foreign);
    assert_eq!(left, all[..3], "the other file's records have right checksums and numbers, and another tag");
    assert!(scan.is_damaged());

    // Read from within a record, some bytes name a length that the file doesn't have: that is not the beginning of one.
    for at in 0..other.len() - 20 {
        let (left, scan) = lines(&[&bytes[..ends[3]], &other[at..]].concat());
        assert_eq!(left, all[..3], "the other file from byte {at}");
        assert!(scan.is_damaged(), "the other file from byte {at}: {:?}", scan.tail);
    }
}

/// What opening the journal logs.
fn logged(directory: &Path, boot: &str) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || drop(open_in_boot(directory, boot)));
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_torn_end_and_damage_and_a_crash_are_told_apart_in_the_log() {
    let (_, _, _, ends) = sample();
    let directory = tempfile::tempdir().unwrap();
    left(directory.path(), &some());
    assert_eq!(logged(directory.path(), "this boot"), "");
    let crash = logged(directory.path(), "the next boot");
    assert!(crash.contains("journal_new_id") && crash.contains("went down"), "{crash}");
    assert!(!crash.contains("journal_torn") && !crash.contains("journal_damaged"), "{crash}");

    let path = directory.path().join("journal");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 1).unwrap();
    let torn = logged(directory.path(), "the next boot");
    assert!(torn.contains("journal_torn") && torn.contains("offset=") && torn.contains("not written whole"), "{torn}");
    assert!(!torn.contains("journal_damaged") && !torn.contains("journal_kept"), "{torn}");

    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[3] + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = logged(directory.path(), "the next boot");
    for part in ["journal_damaged", "bytes=", "those before and after are kept", "journal_kept", "journal.damaged-1"] {
        assert!(damaged.contains(part), "{part}: {damaged}");
    }
}

#[test]
fn only_some_damaged_files_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..7 {
        left(directory.path(), &[begun(1)]);
        let path = directory.path().join("journal");
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        drop(open(directory.path()));
    }
    let kept: Vec<_> = (4..=7).map(|number| format!("journal.damaged-{number}")).collect();
    assert_eq!(names(directory.path())[1..], kept);
}

#[test]
fn long_files_are_read_in_pieces() {
    let mut bytes = crate::journal::record::Header { tag: 7, incomplete: false }.encode().to_vec();
    let text = "x".repeat(900_000);
    let long = |n: u64| Record::NeverStarted { user: "ada".into(), id: format!("{n}{text}") };
    for n in 1..=20 {
        Line::Record(long(n)).encode(n, 7, &mut bytes).unwrap();
    }
    let (read, scan) = lines(&bytes);
    assert_eq!((read.len(), scan.end, scan.tail), (20, bytes.len() as u64, Tail::Whole));
    bytes[9_000_000] ^= 1;
    let (read, scan) = lines(&bytes);
    assert_eq!((read.len(), scan.gaps.len(), scan.end), (19, 1, bytes.len() as u64));
}

/// Whether all of `some` are in `all`, in this order.
fn is_part(some: &[Line], all: &[Line]) -> bool {
    let mut all = all.iter();
    some.iter().all(|line| all.any(|other| other == line))
}

proptest! {
    #[test]
    fn whatever_is_cut_out_put_in_or_moved_no_record_is_made_up(
        from in any::<prop::sample::Index>(),
        length in 0..2000usize,
        to in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let (mut bytes, ..) = sample();
        let (all, _) = lines(&bytes);
        let from = from.index(bytes.len());
        let end = (from + length).min(bytes.len());
        let moved: Vec<u8> = bytes.drain(from..end).collect();
        let to = to.index(bytes.len() + 1);
        bytes.splice(to..to, moved.into_iter().chain(with));
        let (left, _) = lines(&bytes);
        prop_assert!(is_part(&left, &all), "{} bytes from {} to {}", end - from, from, to);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        prop_assert!(lines(&bytes).0.is_empty());
        let with_header = [crate::journal::record::Header { tag: 1, incomplete: false }.encode().as_slice(), &bytes].concat();
        prop_assert!(lines(&with_header).0.is_empty());
    }
}
