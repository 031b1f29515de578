//! What a transfer that may be resumed leaves: where, for which user, and for how long.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use tempfile::TempDir;
use unglue_host::store::{KEPT_FOR, Op, Owner, Partials, Problem, Sink as _, Store, StoreError, WriteOptions};
use unglue_proto::message::Time;

use crate::store::names;
use crate::store_full::{directory, on_tmpfs, with_fault};

/// More than a block: less isn't kept.
const ENOUGH: usize = 17 << 20;

struct Place {
    root: TempDir,
    state: TempDir,
    partials: Partials,
    store: Store,
}

impl Place {
    fn new() -> Place {
        let (root, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let partials = Partials::open(state.path()).unwrap();
        let store = Store::confined(root.path()).unwrap().with_partials(partials.clone());
        Place { root, state, partials, store }
    }

    /// Writes so many bytes, and breaks off. Gives how many were there before.
    fn interrupted(&self, store: &Store, bytes: usize) -> u64 {
        let options = WriteOptions { mode: 0o644, resume: true, ..WriteOptions::default() };
        let mut incoming = store.write("file".as_ref(), options).unwrap();
        let kept = incoming.kept();
        incoming.restart().unwrap();
        incoming.write_all(&vec![7; bytes]).unwrap();
        drop(incoming);
        kept
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.root.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn records(&self) -> usize {
        fs::read_dir(self.state.path().join("partials")).unwrap().count()
    }

    /// The file and all records were written so long ago.
    fn age(&self, path: &Path, by: Duration) {
        let records = fs::read_dir(self.state.path().join("partials")).unwrap().map(|entry| entry.unwrap().path());
        for path in records.chain([path.to_owned()]) {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - by).unwrap();
        }
    }
}

#[test]
fn it_is_kept_for_a_day_and_then_removed() {
    let place = Place::new();
    assert_eq!(place.interrupted(&place.store, ENOUGH), 0);
    let [file] = &place.files()[..] else { panic!("{:?}", place.files()) };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with(".file.unglue-"), "{file:?}");
    place.age(file, KEPT_FOR - Duration::from_secs(60));
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.kept, swept.removed.len(), place.files().len(), place.records()), (1, 0, 1, 1));

    assert_eq!(place.interrupted(&place.store, ENOUGH), ENOUGH as u64);
    assert_eq!((place.files().len(), place.records()), (1, 1));

    place.age(file, KEPT_FOR + Duration::from_secs(60));
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.kept, &swept.removed[..]), (0, std::slice::from_ref(file)));
    assert_eq!((place.files().len(), place.records()), (0, 0));
}

#[test]
fn what_was_kept_for_too_long_is_not_used_and_removed_by_the_next_transfer_of_any_file() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    place.age(&place.files()[0], KEPT_FOR + Duration::from_secs(60));
    let options = WriteOptions { resume: true, ..WriteOptions::default() };
    drop(place.store.write("another".as_ref(), options).unwrap());
    assert_eq!((place.files().len(), place.records()), (0, 0));
}

/// The time of the source doesn't make it old.
#[test]
fn what_was_almost_complete_stays_whatever_time_it_has_got() {
    let place = Place::new();
    let options = WriteOptions {
        mode: 0o644,
        modified: Some(Time { seconds: 1_000_000_000, nanoseconds: 0 }),
        resume: true,
        ..WriteOptions::default()
    };
    let mut incoming = place.store.write("file".as_ref(), options).unwrap();
    incoming.write_all(&vec![7; ENOUGH]).unwrap();
    // A directory can't be replaced, so the transfer ends after everything but the new name.
    fs::create_dir(place.root.path().join("file")).unwrap();
    assert_eq!(incoming.commit().unwrap_err().op(), Op::Rename);
    fs::remove_dir(place.root.path().join("file")).unwrap();
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.kept, swept.removed.len()), (1, 0));
    assert_eq!(place.interrupted(&place.store, ENOUGH), ENOUGH as u64);
}

#[test]
fn a_file_without_a_record_is_used_however_old_it_is() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    place.age(&place.files()[0], KEPT_FOR + Duration::from_secs(60));
    fs::remove_dir_all(place.state.path().join("partials")).unwrap();
    assert_eq!(place.interrupted(&place.store, ENOUGH), ENOUGH as u64);
}

#[test]
fn what_is_in_its_place_is_left_alone_whatever_it_is() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    let kept = place.files().remove(0);
    let content = |path: &Path| path.is_file().then(|| fs::read(path).ok());
    for what in ["a FIFO", "a directory", "a socket", "a file that may not be written", "a link to nothing"] {
        fs::remove_file(&kept).or_else(|_| fs::remove_dir(&kept)).unwrap();
        match what {
            "a FIFO" => mknodat(CWD, &kept, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            "a directory" => fs::create_dir(&kept).unwrap(),
            "a socket" => drop(std::os::unix::net::UnixListener::bind(&kept).unwrap()),
            "a link to nothing" => symlink("nothing", &kept).unwrap(),
            _ => {
                fs::write(&kept, "mine").unwrap();
                fs::set_permissions(&kept, fs::Permissions::from_mode(0o400)).unwrap();
                if rustix::process::geteuid().is_root() {
                    // Another user's, since root may write everything.
                    std::os::unix::fs::chown(&kept, Some(12_345), None).unwrap();
                }
            }
        }
        let before = (fs::symlink_metadata(&kept).unwrap().ino(), content(&kept));
        assert_eq!(place.interrupted(&place.store, ENOUGH), 0, "{what}");
        let after = (fs::symlink_metadata(&kept).unwrap().ino(), content(&kept));
        assert_eq!(before, after, "{what}");
        assert!(!place.root.path().join("nothing").exists(), "{what}");
    }
}

#[test]
fn what_is_there_needs_no_room_again() {
    on_tmpfs("store_kept::part_little_room", "size=44m", "");
}

#[test]
fn part_little_room() {
    let Some(directory) = directory() else { return };
    let (store, whole) = (resumable(&directory), 36 << 20);
    let options = WriteOptions { resume: true, size: Some(whole), ..WriteOptions::default() };
    let mut incoming = store.write("file".as_ref(), options).unwrap();
    incoming.write_all(&vec![1; 24 << 20]).unwrap();
    drop(incoming);

    // A disk that is full now: what came stays, and the next one goes on with it.
    fs::write(directory.join("another"), vec![2; 16 << 20]).unwrap();
    let error = store.write("file".as_ref(), options).unwrap_err();
    let Problem::NoSpace { needed, available } = *error.problem() else { panic!("{error}") };
    assert!(needed == 12 << 20 && available < needed, "{error}");
    let unannounced = WriteOptions { size: None, ..options };
    let mut incoming = store.write("file".as_ref(), unannounced).unwrap();
    assert_eq!(incoming.kept(), 24 << 20);
    let error = (24..).find_map(|mib| incoming.write_at(&vec![3; 1 << 20], mib << 20).err()).unwrap();
    assert_eq!(error.problem(), &Problem::System(Errno::NOSPC));
    drop(incoming);
    fs::remove_file(directory.join("another")).unwrap();

    let mut incoming = store.write("file".as_ref(), options).unwrap();
    assert!(incoming.kept() >= 24 << 20, "{}", incoming.kept());
    incoming.write_at(&vec![4; 12 << 20], 24 << 20).unwrap();
    incoming.commit().unwrap();
}

fn resumable(directory: &Path) -> Store {
    let partials = Partials::open(&directory.join("state")).unwrap();
    Store::confined(directory).unwrap().with_partials(partials)
}

/// After a sync has failed, the kernel shows bytes that no disk has, and the next sync succeeds.
#[test]
fn what_could_not_be_synced_is_not_used_again() {
    with_fault("store_kept::part_sync_fails", "fsync", 1);
    with_fault("store_kept::part_early_sync_fails", "fdatasync", 1);
}

#[test]
fn part_sync_fails() {
    let Some(directory) = directory() else { return };
    let options = WriteOptions { resume: true, ..WriteOptions::default() };
    let mut incoming = resumable(&directory).write("file".as_ref(), options).unwrap();
    incoming.write_all(&vec![7; ENOUGH]).unwrap();
    assert_eq!(incoming.commit().unwrap_err().op(), Op::Sync);
    assert_eq!(names(&directory), ["state"]);
}

#[test]
fn part_early_sync_fails() {
    let Some(directory) = directory() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let store = resumable(&directory);
    let options = WriteOptions { resume: true, ..WriteOptions::default() };
    let failed = runtime.block_on(async {
        let mut sink = store.sink("file".as_ref(), "file".as_ref(), options).await.unwrap();
        for _ in 0..64 {
            sink.write(vec![7; 1 << 20].into()).await?;
        }
        Ok::<_, StoreError>(())
    });
    assert_eq!(failed.unwrap_err().op(), Op::Sync);
    runtime.block_on(store.idle());
    assert_eq!(names(&directory), ["state"]);
}

#[test]
fn less_than_a_block_and_what_is_discarded_or_complete_leave_nothing() {
    let place = Place::new();
    place.interrupted(&place.store, 1000);
    assert_eq!((place.files().len(), place.records()), (0, 0));
    let options = WriteOptions { mode: 0o644, resume: true, ..WriteOptions::default() };
    for complete in [false, true] {
        let mut incoming = place.store.write("file".as_ref(), options).unwrap();
        incoming.write_all(&vec![7; ENOUGH]).unwrap();
        match complete {
            false => incoming.discard(),
            true => incoming.commit().unwrap(),
        }
        assert_eq!((place.files().len(), place.records()), (usize::from(complete), 0));
    }
}

#[test]
fn owners_have_files_of_their_own_and_each_file_is_used_by_one_transfer() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    let another = place.store.clone().owned_by(Owner::named(b"another"));
    assert_eq!(place.interrupted(&another, ENOUGH), 0);
    assert_eq!((place.files().len(), place.records()), (2, 2));

    let options = WriteOptions { resume: true, ..WriteOptions::default() };
    let first = place.store.write("file".as_ref(), options).unwrap();
    let second = place.store.write("file".as_ref(), options).unwrap_err();
    assert_eq!((first.kept(), second.problem()), (ENOUGH as u64, &Problem::KeptInUse));
    assert_eq!((place.files().len(), place.records()), (2, 2));
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.living, swept.kept), (1, 1));
}

#[test]
fn a_link_in_its_place_or_a_file_with_another_name_is_left_alone() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    let kept = place.files().remove(0);
    for linked in [false, true] {
        let elsewhere = place.root.path().join("elsewhere");
        fs::rename(&kept, &elsewhere).unwrap();
        match linked {
            false => symlink("elsewhere", &kept).unwrap(),
            true => fs::hard_link(&elsewhere, &kept).unwrap(),
        }
        assert_eq!(place.interrupted(&place.store, ENOUGH), 0, "linked: {linked}");
        assert_eq!(fs::metadata(&elsewhere).unwrap().len(), ENOUGH as u64);
        fs::remove_file(&kept).unwrap();
        fs::rename(&elsewhere, &kept).unwrap();
    }
    assert_eq!(place.interrupted(&place.store, ENOUGH), ENOUGH as u64);
}

#[test]
fn a_file_that_is_to_replace_another_is_read_by_nobody_else() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let kept = place.files().remove(0);
    assert_eq!(mode(&kept) & 0o600, 0o600);
    fs::write(place.root.path().join("file"), "secret").unwrap();
    fs::set_permissions(place.root.path().join("file"), fs::Permissions::from_mode(0o600)).unwrap();
    let incoming = place.store.write("file".as_ref(), WriteOptions { resume: true, mode: 0o644, ..Default::default() });
    assert_eq!((incoming.unwrap().kept(), mode(&kept)), (ENOUGH as u64, 0o600));
}
