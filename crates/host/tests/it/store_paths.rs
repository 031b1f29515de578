//! No path leaves the root, and nothing but a regular file is touched.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{
    CWD, FileType, Mode, OFlags, RenameFlags, makedev, mknodat, openat, renameat, renameat_with, symlinkat,
};
use rustix::io::Errno;
use unglue_host::store::{Problem, Store};

use crate::store::{Fixture, get, names, problem, put, within};

/// Reading and writing `path` must both fail with this problem.
fn refused(store: &Store, path: &str, expected: &Problem) {
    assert_eq!(&problem(get(store, path), path), expected, "reading {path}");
    assert_eq!(&problem(put(store, path, b"new"), path), expected, "writing {path}");
}

#[test]
fn no_spelling_of_a_path_leaves_the_root() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    fs::write(fixture.outside.join("secret"), "old").unwrap();
    fs::create_dir(fixture.root.join("dir")).unwrap();
    for path in ["../outside/secret", "dir/../../outside/secret", "../root/dir/../../outside/secret", "../root/new"] {
        refused(&store, path, &Problem::Outside);
    }
    let absolute = fixture.outside.join("secret");
    refused(&store, absolute.to_str().unwrap(), &Problem::Absolute);
    refused(&store, fixture.root.join("dir/new").to_str().unwrap(), &Problem::Absolute);
    for path in ["..", "../outside", "/"] {
        let expected = if path == "/" { Problem::Absolute } else { Problem::Outside };
        assert_eq!(problem(store.destination(path.as_ref(), "new".as_ref()).map(drop), path), expected, "{path}");
    }
    assert_eq!(fs::read(absolute).unwrap(), b"old");
    assert_eq!(names(&fixture.outside), ["secret"]);
}

#[test]
fn links_that_leave_the_root_are_refused() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    fs::write(fixture.outside.join("secret"), "old").unwrap();
    let link = |target: &Path, name: &str| symlink(target, fixture.root.join(name)).unwrap();
    link(&fixture.outside, "absolute");
    link("../outside".as_ref(), "relative");
    link("../outside/secret".as_ref(), "leaf");
    link(&fixture.outside.join("secret"), "absolute-leaf");
    link("leaf".as_ref(), "chain");
    for path in ["absolute/secret", "relative/secret", "absolute/new", "relative/new", "leaf", "absolute-leaf", "chain"]
    {
        refused(&store, path, &Problem::Outside);
    }
    assert_eq!(fs::read(fixture.outside.join("secret")).unwrap(), b"old");
    assert_eq!(names(&fixture.outside), ["secret"]);
}

#[test]
fn links_within_the_root_are_followed() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    fs::create_dir_all(fixture.root.join("a/b")).unwrap();
    symlink("a/b", fixture.root.join("directory")).unwrap();
    symlink("../file", fixture.root.join("a/b/up")).unwrap();
    symlink("directory/up", fixture.root.join("chain")).unwrap();
    fs::write(fixture.root.join("a/file"), "old").unwrap();

    put(&store, "directory/new", b"1").unwrap();
    assert_eq!(fs::read(fixture.root.join("a/b/new")).unwrap(), b"1");
    put(&store, "chain", b"2").unwrap();
    assert_eq!(fs::read(fixture.root.join("a/file")).unwrap(), b"2");
    assert_eq!(get(&store, "chain").unwrap(), b"2");
    assert!(fixture.root.join("chain").is_symlink(), "the link itself stays");
    assert_eq!(store.destination("directory".as_ref(), "n".as_ref()).unwrap(), Path::new("directory/n"));
}

#[test]
fn links_to_nothing_and_loops_are_refused() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    symlink("nothing", fixture.root.join("dangling")).unwrap();
    symlink("two", fixture.root.join("one")).unwrap();
    symlink("one", fixture.root.join("two")).unwrap();
    assert_eq!(problem(put(&store, "dangling", b""), "dangling"), Problem::DanglingLink);
    refused(&store, "one", &Problem::System(Errno::LOOP));
    refused(&store, "one/file", &Problem::System(Errno::LOOP));
    assert_eq!(names(&fixture.root), ["dangling", "one", "two"]);
}

#[test]
fn only_regular_files_are_read_or_written() {
    within(20, || {
        let fixture = Fixture::new();
        let store = fixture.confined();
        fs::create_dir(fixture.root.join("dir")).unwrap();
        mknodat(CWD, fixture.root.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = UnixListener::bind(fixture.root.join("socket")).unwrap();
        refused(&store, "fifo", &Problem::Special("a FIFO"));
        refused(&store, "socket", &Problem::Special("a socket"));
        refused(&store, "dir", &Problem::Directory);
        for path in ["dir/", "dir/.", "."] {
            assert_eq!(problem(put(&store, path, b""), path), Problem::Directory);
        }
        let device = makedev(1, 5); // /dev/zero
        let mode = Mode::RUSR | Mode::WUSR;
        match mknodat(CWD, fixture.root.join("zero"), FileType::CharacterDevice, mode, device) {
            Ok(()) => refused(&store, "zero", &Problem::Special("a device")),
            Err(errno) => eprintln!("skipped: no device can be made here: {errno}"),
        }
        symlink("/dev/zero", fixture.root.join("link")).unwrap();
        refused(&Store::home(&fixture.root).unwrap(), "link", &Problem::Special("a device"));
        refused(&store, "link", &Problem::Outside);
    });
}

#[test]
fn what_the_system_refuses_is_reported_by_name() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    fs::write(fixture.root.join("file"), "").unwrap();
    let long = "n".repeat(256);
    refused(&store, &long, &Problem::System(Errno::NAMETOOLONG));
    refused(&store, "file/below", &Problem::System(Errno::NOTDIR));
    refused(&store, "missing/file", &Problem::System(Errno::NOENT));
    assert_eq!(problem(get(&store, "missing"), "missing"), Problem::System(Errno::NOENT));
    assert_eq!(problem(get(&store, "file/"), "file/"), Problem::System(Errno::NOTDIR));
    assert_eq!(problem(get(&store, "a\0b"), "a\0b"), Problem::System(Errno::INVAL));
    assert_eq!(problem(put(&store, "a\0b", b""), "a\0b"), Problem::System(Errno::INVAL));
    let error = Store::confined(&fixture.root.join("missing")).unwrap_err();
    assert_eq!(error.errno().as_deref(), Some("ENOENT"));
}

/// Makes `inside` a link out of the root and a directory again, until told to stop.
fn swap_directory(root: &Path, stop: &AtomicBool) {
    let (inside, link) = (root.join("inside"), root.join("link"));
    while !stop.load(Ordering::Relaxed) {
        renameat_with(CWD, &inside, CWD, &link, RenameFlags::EXCHANGE).unwrap();
    }
}

/// Makes `inside/leaf` a link out of the root and a file again, until told to stop.
fn swap_leaf(root: &Path, stop: &AtomicBool) {
    let directory = fs::File::open(root.join("inside")).unwrap();
    while !stop.load(Ordering::Relaxed) {
        symlinkat("../../outside/leaf", &directory, "next").unwrap();
        renameat(&directory, "next", &directory, "leaf").unwrap();
        openat(&directory, "next", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).unwrap();
        renameat(&directory, "next", &directory, "leaf").unwrap();
    }
}

/// Stops the swapping threads, however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes through `path` until 2,000 files have landed and 2,000 were refused, while `swap` goes on. None may land
/// outside, and nothing may be read from there.
fn write_while(swap: impl Fn(&Path, &AtomicBool) + Sync, path: &str) {
    let fixture = Fixture::in_memory();
    let store = fixture.confined();
    fs::create_dir(fixture.root.join("inside")).unwrap();
    fs::write(fixture.outside.join("leaf"), "secret").unwrap();
    symlink(&fixture.outside, fixture.root.join("link")).unwrap();

    let stop = AtomicBool::new(false);
    let (mut landed, mut kept_out) = (0, 0);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| swap(&fixture.root, &stop));
        while landed < 2_000 || kept_out < 2_000 {
            if let Ok(bytes) = get(&store, "inside/leaf") {
                assert_ne!(bytes, b"secret", "read from outside");
            }
            match put(&store, path, b"new") {
                Ok(()) => landed += 1,
                Err(error) => {
                    let raced = matches!(error.problem(), Problem::Outside | Problem::System(Errno::AGAIN));
                    assert!(raced, "{error}");
                    kept_out += 1;
                }
            }
        }
    });
    assert_eq!(names(&fixture.outside), ["leaf"]);
    assert_eq!(fs::read(fixture.outside.join("leaf")).unwrap(), b"secret");
    let inside = fixture.root.join("inside");
    let inside = names(&if inside.is_symlink() { fixture.root.join("link") } else { inside });
    assert!(inside.iter().all(|name| !name.as_bytes().starts_with(b".")), "{inside:?}");
}

#[test]
fn a_directory_swapped_for_a_link_during_a_write_leads_nowhere() {
    within(120, || write_while(swap_directory, "inside/new"));
}

#[test]
fn a_file_swapped_for_a_link_during_a_write_leads_nowhere() {
    within(120, || write_while(swap_leaf, "inside/leaf"));
}
