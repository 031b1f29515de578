//! What a transfer that may be resumed leaves: where, for which user, and for how long.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use unglue_host::store::{KEPT_FOR, Owner, Partials, Problem, Store, WriteOptions};

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

    fn age(path: &Path, by: Duration) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

#[test]
fn it_is_kept_for_a_day_and_then_removed() {
    let place = Place::new();
    assert_eq!(place.interrupted(&place.store, ENOUGH), 0);
    let [file] = &place.files()[..] else { panic!("{:?}", place.files()) };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with(".file.unglue-"), "{file:?}");
    Place::age(file, KEPT_FOR - Duration::from_secs(60));
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.kept, swept.removed.len(), place.files().len(), place.records()), (1, 0, 1, 1));

    assert_eq!(place.interrupted(&place.store, ENOUGH), ENOUGH as u64);
    assert_eq!((place.files().len(), place.records()), (1, 1));

    Place::age(file, KEPT_FOR + Duration::from_secs(60));
    let swept = place.partials.sweep().unwrap();
    assert_eq!((swept.kept, &swept.removed[..]), (0, std::slice::from_ref(file)));
    assert_eq!((place.files().len(), place.records()), (0, 0));
}

#[test]
fn what_was_kept_for_too_long_is_not_used_and_removed_by_the_next_transfer_of_any_file() {
    let place = Place::new();
    place.interrupted(&place.store, ENOUGH);
    Place::age(&place.files()[0], KEPT_FOR + Duration::from_secs(60));
    let options = WriteOptions { resume: true, ..WriteOptions::default() };
    drop(place.store.write("another".as_ref(), options).unwrap());
    assert_eq!((place.files().len(), place.records()), (0, 0));
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
