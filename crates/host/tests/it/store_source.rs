//! A source that changes while it is read is told, with how it changed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use unglue_host::store::{Change, Problem, Reading, Store, StoreError};

use crate::store::{Fixture, get, problem};

const SIZE: u64 = 100_000;

/// Reads half of a file, lets `change` happen to it, reads on to the end.
fn read_around(change: impl FnOnce(PathBuf)) -> Result<u64, StoreError> {
    let fixture = Fixture::new();
    let path = fixture.root.join("source");
    fs::write(&path, vec![b'x'; SIZE as usize]).unwrap();
    // Old enough that whatever happens next gets another timestamp, however coarse the clock of the file system.
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    std::thread::sleep(Duration::from_millis(20));

    let mut source = fixture.confined().read("source".as_ref()).unwrap();
    let mut half = vec![0; SIZE as usize / 2];
    assert_eq!(source.read(&mut half).unwrap(), half.len());
    change(path);
    drain(&mut source);
    source.finish()
}

fn drain(source: &mut Reading) {
    let mut buffer = [0; 8192];
    while source.read(&mut buffer).unwrap() > 0 {}
}

fn changed(change: impl FnOnce(PathBuf)) -> Change {
    match problem(read_around(change), "source") {
        Problem::Changed(change) => change,
        other => panic!("{other}"),
    }
}

#[test]
fn an_unchanged_source_is_whole() {
    assert_eq!(read_around(|_| ()).unwrap(), SIZE);
}

#[test]
fn a_source_that_grows_is_reported() {
    let change = changed(|path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap());
    assert_eq!(change, Change::Grew { from: SIZE, to: SIZE + 4 });
}

#[test]
fn a_source_that_shrinks_is_reported() {
    let change = changed(|path| OpenOptions::new().write(true).open(path).unwrap().set_len(60_000).unwrap());
    assert_eq!(change, Change::Shrank { from: SIZE, to: 60_000 });
    // Below what was read already.
    let change = changed(|path| drop(File::create(path).unwrap()));
    assert_eq!(change, Change::Shrank { from: SIZE, to: 0 });
}

#[test]
fn a_source_that_shrinks_and_grows_back_is_reported() {
    let change = changed(|path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(10).unwrap();
        file.set_len(SIZE).unwrap();
    });
    assert_eq!(change, Change::Touched);
}

#[test]
fn a_source_that_is_rewritten_in_place_is_reported() {
    let change = changed(|path| OpenOptions::new().write(true).open(path).unwrap().write_all(b"y").unwrap());
    assert_eq!(change, Change::Touched);
    // Even if the time of modification is set back: the time of change can't be.
    let change = changed(|path| {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.write_all(b"y").unwrap();
        file.set_modified(before).unwrap();
    });
    assert_eq!(change, Change::Touched);
}

#[test]
fn a_source_that_vanishes_or_is_replaced_is_reported() {
    assert_eq!(changed(|path| fs::remove_file(path).unwrap()), Change::Vanished);
    assert_eq!(changed(|path| fs::rename(&path, path.with_extension("1")).unwrap()), Change::Vanished);
    let change = changed(|path| {
        let other = path.with_extension("new");
        fs::write(&other, vec![b'y'; SIZE as usize]).unwrap();
        fs::rename(other, path).unwrap();
    });
    assert_eq!(change, Change::Replaced);
}

#[test]
fn a_source_that_others_merely_read_is_unchanged() {
    let read = read_around(|path| assert_eq!(fs::read(path).unwrap().len() as u64, SIZE));
    assert_eq!(read.unwrap(), SIZE);
    assert_eq!(changed(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap()), Change::Touched);
}

#[test]
fn an_endlessly_growing_source_has_an_end() {
    let fixture = Fixture::new();
    let path = fixture.root.join("log");
    fs::write(&path, "first").unwrap();
    let mut log = OpenOptions::new().append(true).open(&path).unwrap();
    let mut source = fixture.confined().read("log".as_ref()).unwrap();
    let (mut total, mut buffer) = (0, [0; 2]);
    while let n @ 1.. = source.read(&mut buffer).unwrap() {
        total += n;
        log.write_all(b"more than was read").unwrap();
    }
    assert_eq!(total, 5);
    assert!(matches!(problem(source.finish(), "log"), Problem::Changed(Change::Grew { from: 5, .. })));
}

#[test]
fn files_that_the_kernel_makes_up_are_read_to_their_end() {
    let store = Store::home("/".as_ref()).unwrap();
    for path in ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        let Ok(expected) = fs::read(path) else {
            eprintln!("skipped: no {path} here");
            continue;
        };
        assert_eq!(get(&store, path).unwrap(), expected, "{path}");
    }
}
