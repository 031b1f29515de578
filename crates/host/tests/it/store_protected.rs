//! What a server keeps for itself, whatever the path; and what becomes of a store whose directories are replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::io::Errno;
use unglue_host::store::{Partials, Problem, Protected, Store, WriteOptions};

use crate::store::{Fixture, get, names, problem, put, put_with};

#[test]
fn protected_files_are_recognised_by_what_they_are() {
    let fixture = Fixture::new();
    let top = fixture.top.path();
    for dir in ["outside/state", "outside/state/partials", "outside/ssh", "root/sub"] {
        fs::create_dir(top.join(dir)).unwrap();
    }
    fs::write(top.join("outside/ssh/keys"), "keys").unwrap();
    fs::write(top.join("outside/host_key"), "secret").unwrap();
    fs::hard_link(top.join("outside/ssh/keys"), top.join("root/hard")).unwrap();
    fs::hard_link(top.join("outside/host_key"), top.join("root/hard_key")).unwrap();
    symlink("../outside/state", top.join("root/way")).unwrap();
    symlink("../outside/ssh/keys", top.join("root/soft")).unwrap();
    let protected = Protected::default()
        .directory(top.join("outside/state"))
        .file(top.join("outside/ssh/keys"))
        .file(top.join("outside/ssh/later"))
        .secret(top.join("outside/host_key"));
    let store = Store::home(&fixture.root).unwrap().protecting(protected);

    let absolute = |path: &str| top.join(path);
    let writes: Vec<PathBuf> = [
        "../outside/ssh/keys",
        "../outside/ssh/later",
        "../outside/./ssh/../ssh/keys",
        "hard",
        "soft",
        "way/new",
        "way/partials/new",
        "../outside/state/partials/../new",
        "../outside/host_key",
        "hard_key",
    ]
    .into_iter()
    .map(PathBuf::from)
    .chain([absolute("outside/ssh/keys"), absolute("outside/state/new")])
    .collect();
    for path in &writes {
        for in_place in [false, true] {
            let options = WriteOptions { in_place, ..WriteOptions::default() };
            assert_eq!(problem(put_with(&store, path, b"x", options), path), Problem::Protected, "{path:?}");
        }
    }
    for path in ["../outside/host_key", "hard_key"] {
        assert_eq!(problem(get(&store, path), path), Problem::Protected);
    }
    assert_eq!(get(&store, "hard").unwrap(), b"keys");
    put(&store, "sub/keys", b"another directory's").unwrap();
    put(&store, "../outside/ssh/other", b"a neighbour").unwrap();
    assert_eq!(fs::read(top.join("outside/ssh/keys")).unwrap(), b"keys");
    assert_eq!(names(&top.join("outside/state")), ["partials"]);
}

#[test]
fn a_root_that_is_made_again_is_used_again() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    put(&store, "file", b"1").unwrap();

    // Renamed, it is the root still.
    let aside = fixture.top.path().join("aside");
    fs::rename(&fixture.root, &aside).unwrap();
    put(&store, "file", b"2").unwrap();
    assert_eq!(fs::read(aside.join("file")).unwrap(), b"2");

    fs::create_dir(&fixture.root).unwrap();
    put(&store, "file", b"3").unwrap();
    assert_eq!(fs::read(fixture.root.join("file")).unwrap(), b"3");
    assert_eq!(fs::read(aside.join("file")).unwrap(), b"2");

    fs::remove_dir_all(&fixture.root).unwrap();
    assert_eq!(problem(put(&store, "file", b"4"), "file"), Problem::RootGone);
    assert_eq!(problem(get(&store, "file"), "file"), Problem::RootGone);
    fs::create_dir(&fixture.root).unwrap();
    put(&store, "file", b"5").unwrap();
}

#[test]
fn another_users_directory_is_not_taken_for_the_root() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can make another user's directory");
    }
    let fixture = Fixture::new();
    fixture.give_away();
    let store = fixture.confined();
    fs::remove_dir(&fixture.root).unwrap();
    fs::create_dir(&fixture.root).unwrap();
    std::os::unix::fs::chown(&fixture.root, Some(1), Some(1)).unwrap();
    assert_eq!(problem(put(&store, "file", b"x"), "file"), Problem::RootReplaced);
}

#[test]
fn a_state_directory_that_is_removed_or_replaced_is_made_again() {
    let fixture = Fixture::new();
    let state = fixture.top.path().join("state");
    let store = fixture.confined().with_partials(Partials::open(&state).unwrap());
    put(&store, "file", b"1").unwrap();
    fs::remove_dir_all(&state).unwrap();
    put(&store, "file", b"2").unwrap();

    // Records lie where the next start looks for them.
    fs::rename(&state, fixture.top.path().join("aside")).unwrap();
    let incoming = store.write("file".as_ref(), WriteOptions::default()).unwrap();
    assert_eq!(names(&state.join("partials")).len(), 1);
    incoming.discard();
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "a file").unwrap();
    assert_eq!(problem(put(&store, "file", b"3"), state.join("partials")), Problem::System(Errno::NOTDIR));
}
