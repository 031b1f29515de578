//! What every test of the store uses, and the plain cases: a file goes in and comes out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Gid, Uid};
use tempfile::TempDir;
use unglue_host::store::{Op, Problem, Store, StoreError, WriteOptions};
use unglue_proto::message::Time;

/// The user that tests become where they must not be root.
const NOBODY: u32 = 65534;

/// A directory with a root in it, a place outside of the root, and a store.
pub(crate) struct Fixture {
    pub(crate) top: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) outside: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::at(tempfile::tempdir().unwrap())
    }

    /// In memory where there is a tmpfs for everybody: for tests that write thousands of files.
    pub(crate) fn in_memory() -> Fixture {
        Fixture::at(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn at(top: TempDir) -> Fixture {
        let (root, outside) = (top.path().join("root"), top.path().join("outside"));
        for directory in [&root, &outside] {
            fs::create_dir(directory).unwrap();
        }
        Fixture { root, outside, top }
    }

    /// A store confined to the root.
    pub(crate) fn confined(&self) -> Store {
        Store::confined(&self.root).unwrap()
    }

    /// Gives everything to the user that [`as_ordinary_user`] becomes.
    pub(crate) fn give_away(&self) {
        if rustix::process::geteuid().is_root() {
            for directory in [self.top.path(), &self.root, &self.outside] {
                chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
    }
}

/// Fails a test that hangs.
pub(crate) fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || done.send(test()));
    match result.recv_timeout(Duration::from_secs(seconds)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {seconds} s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the thread ended without a result"),
        },
    }
}

/// Runs a test in a thread that isn't root, whoever runs the tests: credentials belong to threads (credentials(7)).
///
/// The fixture comes back to be removed by whoever made it.
pub(crate) fn as_ordinary_user(fixture: Fixture, test: impl FnOnce(&Fixture) + Send + 'static) -> Fixture {
    within(30, move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(Gid::from_raw(NOBODY)).unwrap();
            rustix::thread::set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        }
        test(&fixture);
        fixture
    })
}

/// Writes a file with mode 0644.
pub(crate) fn put(store: &Store, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), StoreError> {
    put_with(store, path, bytes, WriteOptions { mode: 0o644, ..WriteOptions::default() })
}

pub(crate) fn put_with(
    store: &Store,
    path: impl AsRef<Path>,
    bytes: &[u8],
    options: WriteOptions,
) -> Result<(), StoreError> {
    let mut incoming = store.write(path.as_ref(), options)?;
    for piece in bytes.chunks(256 * 1024) {
        incoming.write_all(piece)?;
    }
    incoming.commit()
}

/// Reads a file, in pieces of a size that divides nothing.
pub(crate) fn get(store: &Store, path: impl AsRef<Path>) -> Result<Vec<u8>, StoreError> {
    let mut source = store.read(path.as_ref())?;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 4099]);
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
    assert_eq!(source.finish()?, bytes.len() as u64);
    Ok(bytes)
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    names
}

/// The problem of a result that must be an error, about `path`, which its message must show.
pub(crate) fn problem<T>(result: Result<T, StoreError>, path: impl AsRef<Path>) -> Problem {
    let error = result.err().expect("this must be refused");
    assert_eq!(error.path(), path.as_ref());
    let fault = error.fault();
    assert_eq!(fault.path.map(OsString::from).as_deref(), Some(path.as_ref().as_os_str()));
    assert!(!fault.advice.is_empty(), "{error} leaves its reader without advice");
    error.problem().clone()
}

#[test]
fn a_file_comes_out_as_it_went_in() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    let bytes: Vec<u8> = (0..20_000_003u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for content in [&bytes[..], b"", b"x", &bytes[..1_000_003]] {
        put(&store, "file", content).unwrap();
        assert_eq!(get(&store, "file").unwrap(), content);
    }
    assert_eq!(names(&fixture.root), ["file"]);
}

#[test]
fn names_are_bytes() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    let long = [b'n'; 255];
    let mut kept = Vec::new();
    for name in [b"new\nline".as_slice(), b"\"quoted\" 'twice'", b"not \xff utf-8 \xc3", b"-rf *", b"...", &long] {
        let name = OsStr::from_bytes(name);
        put(&store, name, name.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(get(&store, name).unwrap(), name.as_bytes());
        kept.push(name.to_owned());
    }
    kept.sort();
    assert_eq!(names(&fixture.root), kept);
}

#[test]
fn a_destination_that_is_a_directory_keeps_the_sources_name() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    fs::create_dir(fixture.root.join("dir")).unwrap();
    fs::write(fixture.root.join("file"), "").unwrap();
    for (path, lands) in [
        ("dir", "dir/name"),
        ("dir/", "dir/name"),
        ("", "name"),
        (".", "./name"),
        ("dir/..", "dir/../name"),
        ("new", "new"),
        ("file", "file"),
        ("dir/new", "dir/new"),
    ] {
        assert_eq!(store.destination(path.as_ref(), "from/name".as_ref()).unwrap(), Path::new(lands), "{path:?}");
    }
    let no_such = store.destination("new/".as_ref(), "name".as_ref());
    assert_eq!(problem(no_such, "new/"), Problem::System(rustix::io::Errno::NOENT));
    let not_one = store.destination("file/".as_ref(), "name".as_ref());
    assert_eq!(problem(not_one, "file/"), Problem::System(rustix::io::Errno::NOTDIR));
    for name in ["..", "a/", "a/..", ""] {
        assert_eq!(problem(store.destination("dir".as_ref(), name.as_ref()), name), Problem::UnusableName);
    }
}

#[test]
fn without_a_root_relative_paths_start_at_home_and_absolute_ones_are_allowed() {
    let fixture = Fixture::new();
    let store = Store::home(&fixture.root).unwrap();
    put(&store, "relative", b"1").unwrap();
    put(&store, fixture.outside.join("absolute"), b"2").unwrap();
    put(&store, "../outside/dotted", b"3").unwrap();
    assert_eq!(names(&fixture.root), ["relative"]);
    assert_eq!(names(&fixture.outside), ["absolute", "dotted"]);
    assert_eq!(get(&store, "../outside/absolute").unwrap(), b"2");
}

#[test]
fn modes_and_times_survive() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    let umask = {
        fs::write(fixture.outside.join("probe"), "").unwrap();
        0o666 & !fs::metadata(fixture.outside.join("probe")).unwrap().mode()
    };
    let options = |mode, keep_mode| WriteOptions { mode, keep_mode, ..WriteOptions::default() };
    for (mode, keep_mode, becomes) in [
        (0o600, false, 0o600),
        (0o751, false, 0o751 & !umask),
        (0o666, false, 0o666 & !umask),
        (0o666, true, 0o666),
        (0o000, true, 0o000),
        (0o7755, true, 0o755),
    ] {
        fs::remove_file(fixture.root.join("file")).ok();
        put_with(&store, "file", b"", options(mode, keep_mode)).unwrap();
        let found = fs::metadata(fixture.root.join("file")).unwrap().mode() & 0o7777;
        assert_eq!(found, becomes, "{mode:o} became {found:o}");
    }

    let seconds = [1_234_567_890, -1_000_000_000, 9_300_000_000];
    for seconds in seconds {
        let modified = Time { seconds, nanoseconds: 123_456_789 };
        put_with(&store, "old", b"", WriteOptions { modified: Some(modified), ..options(0o640, true) }).unwrap();
        let source = store.read("old".as_ref()).unwrap();
        assert_eq!((source.modified(), source.mode()), (modified, 0o640));
    }
    // No file system here goes as far.
    let never = Some(Time { seconds: i64::MAX / 2, nanoseconds: 0 });
    let refused = put_with(&store, "old", b"", WriteOptions { modified: never, ..options(0o640, true) });
    assert!(matches!(problem(refused, "old"), Problem::TimeNotKept { .. }), "the nearest time was stored in silence");
}

#[test]
fn a_temporary_file_is_nobody_elses_business() {
    let fixture = Fixture::new();
    let options = WriteOptions { mode: 0o777, keep_mode: true, ..WriteOptions::default() };
    let _incoming = fixture.confined().write("file".as_ref(), options).unwrap();
    let [temporary] = &names(&fixture.root)[..] else { panic!("one file, under another name") };
    assert!(temporary.as_bytes().starts_with(b".file.unglue-"), "{temporary:?}");
    assert_eq!(fs::metadata(fixture.root.join(temporary)).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn what_is_discarded_leaves_the_old_file_and_no_other() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    put(&store, "file", b"old").unwrap();
    let mut incoming = store.write("file".as_ref(), WriteOptions::default()).unwrap();
    incoming.write_all(b"new").unwrap();
    assert_eq!((incoming.written(), get(&store, "file").unwrap().as_slice()), (3, b"old".as_slice()));
    incoming.discard();
    assert_eq!(get(&store, "file").unwrap(), b"old");
    assert_eq!(names(&fixture.root), ["file"]);
}

#[test]
fn of_two_writers_the_last_wins_and_both_are_whole() {
    within(60, || {
        let fixture = Fixture::new();
        let store = fixture.confined();
        put(&store, "file", &[b'a'; 300_000]).unwrap();
        thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                let store = store.clone();
                scope.spawn(move || (0..50).for_each(|_| put(&store, "file", &[letter; 300_000]).unwrap()));
            }
            for _ in 0..200 {
                let bytes = fs::read(fixture.root.join("file")).unwrap();
                assert_eq!(bytes.len(), 300_000);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mixture");
            }
        });
        assert_eq!(names(&fixture.root), ["file"]);
    });
}

#[test]
fn a_file_is_not_copied_onto_itself() {
    let fixture = Fixture::new();
    let store = fixture.confined();
    put(&store, "file", b"bytes").unwrap();
    fs::hard_link(fixture.root.join("file"), fixture.root.join("link")).unwrap();
    let source = Some(store.read("file".as_ref()).unwrap().id());
    let result = store.write("link".as_ref(), WriteOptions { source, ..WriteOptions::default() });
    assert_eq!(problem(result, "link"), Problem::SameFile);
    put_with(&store, "other", b"", WriteOptions { source, ..WriteOptions::default() }).unwrap();
}

#[test]
fn the_owner_of_a_replaced_file_is_kept_by_root() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.root.join("file");
    fs::write(&path, "old").unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    put(&fixture.confined(), "file", b"new").unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY));
}

#[test]
fn what_may_not_be_written_is_not_replaced() {
    let fixture = Fixture::new();
    fixture.give_away();
    as_ordinary_user(fixture, |fixture| {
        let store = fixture.confined();
        let file = fixture.root.join("file");
        fs::write(&file, "old").unwrap();
        let denied = Problem::System(rustix::io::Errno::ACCESS);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(problem(store.read("file".as_ref()), "file"), denied, "reading");
        assert_eq!(problem(put(&store, "file", b"new"), "file"), denied, "replacing a read-only file");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&fixture.root, fs::Permissions::from_mode(0o555)).unwrap();
        let error = put(&store, "file", b"new").unwrap_err();
        assert_eq!((error.op(), error.problem()), (Op::Create, &Problem::DirectoryClosed));
        put_with(&store, "file", b"old", WriteOptions { in_place: true, ..WriteOptions::default() }).unwrap();
        assert_eq!(problem(put(&store, "new", b"new"), "new"), denied, "a read-only directory");

        fs::set_permissions(&fixture.root, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(names(&fixture.root), ["file"]);
    });
}

#[test]
fn anothers_file_in_a_sticky_directory_is_refused_before_it_is_sent() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs a file of another user");
        return;
    }
    let fixture = Fixture::new();
    fs::set_permissions(fixture.top.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&fixture.root, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(fixture.root.join("roots"), "old").unwrap();
    fs::set_permissions(fixture.root.join("roots"), fs::Permissions::from_mode(0o666)).unwrap();
    as_ordinary_user(fixture, |fixture| {
        let refused = fixture.confined().write("roots".as_ref(), WriteOptions::default());
        assert_eq!(problem(refused, "roots"), Problem::System(rustix::io::Errno::PERM));
    });
}
