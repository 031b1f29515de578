//! A killed process leaves temporary files; the next start removes them, and nothing else.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::io::Errno;
use unglue_host::store::{Partials, Problem, Store, WriteOptions};

use crate::store::{Fixture, names, problem, put, within};

/// Names the fixture's directory to the child that is to be killed.
const DIRECTORY: &str = "UNGLUE_TEST_STORE_PARTIALS";

/// Where the fixture keeps its state.
fn state(fixture: &Fixture) -> PathBuf {
    fixture.top.path().join("state")
}

fn partials(fixture: &Fixture) -> Partials {
    Partials::open(&state(fixture)).unwrap()
}

/// The record files.
fn records(fixture: &Fixture) -> Vec<OsString> {
    names(&state(fixture).join("partials"))
}

/// A process that has three files half written, two below the root and one at home, and waits.
struct Writer(Child);

impl Writer {
    fn start(fixture: &Fixture) -> Writer {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "store_partials::part_writer", "--nocapture"]).env(DIRECTORY, fixture.top.path());
        let mut writer = Writer(command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(writer.0.stdout.take().unwrap()).lines();
        within(30, move || lines.map_while(Result::ok).find(|line| line.contains("half written"))).expect("a line");
        writer
    }

    /// SIGKILL, as the machine's memory killer sends it.
    fn kill(self) {}
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn part_writer() {
    let Some(top) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let partials = Partials::open(&top.join("state")).unwrap();
    let confined = Store::confined(&top.join("root")).unwrap().with_partials(partials.clone());
    let home = Store::home(&top.join("outside")).unwrap().with_partials(partials);
    let begin = |store: &Store, path: &OsStr| {
        let mut incoming = store.write(path.as_ref(), WriteOptions::default()).unwrap();
        incoming.write_all(b"a part").unwrap();
        incoming
    };
    let _kept = [
        begin(&confined, "file".as_ref()),
        begin(&confined, OsStr::from_bytes(b"dir/new\n\xff")),
        begin(&home, "file".as_ref()),
    ];
    println!("\nhalf written");
    // Until it is killed; or until the test has ended without doing that.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn prepared() -> Fixture {
    let fixture = Fixture::new();
    fs::create_dir(fixture.root.join("dir")).unwrap();
    fs::write(fixture.root.join("file"), "old").unwrap();
    fixture
}

/// All the temporary files of the fixture.
fn temporary(fixture: &Fixture) -> Vec<PathBuf> {
    let directories = [fixture.root.clone(), fixture.root.join("dir"), fixture.outside.clone()];
    let paths =
        directories.iter().flat_map(|directory| names(directory).into_iter().map(move |name| directory.join(name)));
    paths.filter(|path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))).collect()
}

#[test]
fn what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not() {
    let fixture = prepared();
    let (dead, living) = (Writer::start(&fixture), Writer::start(&fixture));
    dead.kill();
    assert_eq!((temporary(&fixture).len(), records(&fixture).len()), (6, 6));

    let swept = partials(&fixture).sweep().unwrap();
    assert_eq!((swept.removed.len(), swept.living, swept.failed.len()), (3, 3, 0), "{swept:?}");
    assert!(swept.removed.iter().all(|path| !path.exists() && path.is_absolute()), "{swept:?}");
    assert_eq!((temporary(&fixture).len(), records(&fixture).len()), (3, 3));

    living.kill();
    assert_eq!(partials(&fixture).sweep().unwrap().removed.len(), 3);
    assert_eq!((temporary(&fixture).len(), records(&fixture).len()), (0, 0));
    assert_eq!(fs::read(fixture.root.join("file")).unwrap(), b"old");
    assert_eq!(names(&fixture.outside), [""; 0]);
}

#[test]
fn records_go_with_their_files() {
    let fixture = prepared();
    let store = fixture.confined().with_partials(partials(&fixture));
    put(&store, "file", b"new").unwrap();
    assert_eq!(records(&fixture).len(), 0, "after a commit");
    let incoming = store.write("file".as_ref(), WriteOptions::default()).unwrap();
    assert_eq!(records(&fixture).len(), 1);
    drop(incoming);
    assert_eq!(records(&fixture).len(), 0, "after a discard");
    assert!(put(&store, "missing/file", b"").is_err());
    assert_eq!(records(&fixture).len(), 0, "after a failure");
}

/// Many writers and many sweeps at once: no living writer loses its file.
#[test]
fn sweeps_and_writers_do_not_disturb_each_other() {
    within(60, || {
        let fixture = prepared();
        let partials = partials(&fixture);
        let store = fixture.confined().with_partials(partials.clone());
        thread::scope(|scope| {
            for writer in 0..2 {
                let store = store.clone();
                scope.spawn(move || (0..200).for_each(|_| put(&store, format!("dir/{writer}"), b"new").unwrap()));
            }
            for _ in 0..200 {
                let swept = partials.sweep().unwrap();
                assert!(swept.removed.is_empty() && swept.failed.is_empty(), "{swept:?}");
            }
        });
        assert_eq!((records(&fixture).len(), temporary(&fixture).len()), (0, 0));
    });
}

#[test]
fn a_sweep_does_not_follow_a_link_out_of_the_root() {
    let fixture = prepared();
    Writer::start(&fixture).kill();
    let left = temporary(&fixture).into_iter().find(|path| path.starts_with(fixture.root.join("dir"))).unwrap();
    let bait = fixture.outside.join(left.file_name().unwrap());
    fs::write(&bait, "not ours to remove").unwrap();
    fs::rename(fixture.root.join("dir"), fixture.root.join("moved")).unwrap();
    symlink(&fixture.outside, fixture.root.join("dir")).unwrap();

    let swept = partials(&fixture).sweep().unwrap();
    assert!(bait.exists(), "a file outside of the root was removed");
    assert_eq!((swept.removed.len(), swept.failed.len()), (2, 1), "{swept:?}");
    assert_eq!(swept.failed[0].problem(), &Problem::Outside);
    assert_eq!(records(&fixture).len(), 1, "the next sweep tries again");
}

/// Makes a record as a dead process would have left it.
fn leave_record(fixture: &Fixture, name: &str, content: &[u8]) {
    partials(fixture);
    fs::write(state(fixture).join("partials").join(name), content).unwrap();
}

fn record_of(dir: &Path, name: &str) -> Vec<u8> {
    [b"unglue partial 1\0\0", dir.as_os_str().as_bytes(), b"\0", name.as_bytes(), b"\0"].concat()
}

#[test]
fn a_record_that_names_anything_else_removes_nothing() {
    let fixture = prepared();
    let link = fixture.root.join(".link.unglue-01234567");
    symlink(fixture.root.join("file"), &link).unwrap();
    leave_record(&fixture, "1.record", &record_of(&fixture.root, "file"));
    leave_record(&fixture, "2.record", &record_of(&fixture.root, "../root/.x.unglue-01234567"));
    leave_record(&fixture, "3.record", &record_of(&fixture.root, ".link.unglue-01234567"));
    leave_record(&fixture, "4.record", b"unglue partial 2\0of a later version\0");
    leave_record(&fixture, "README", b"not a record");

    let swept = partials(&fixture).sweep().unwrap();
    assert_eq!((swept.removed.len(), swept.failed.len()), (0, 4), "{swept:?}");
    assert!(link.is_symlink() && fixture.root.join("file").exists());
    assert_eq!(records(&fixture).len(), 5);
}

#[test]
fn records_without_a_file_are_cleared_away() {
    let fixture = prepared();
    leave_record(&fixture, "empty.record", b"");
    leave_record(&fixture, "part.record", b"unglue partial 1\0/srv/ro");
    leave_record(&fixture, "renamed.record", &record_of(&fixture.root, ".file.unglue-01234567"));
    leave_record(&fixture, "directory-gone.record", &record_of(&fixture.root.join("no"), ".file.unglue-01234567"));
    let swept = partials(&fixture).sweep().unwrap();
    assert_eq!((swept.removed.len(), swept.living, swept.failed.len()), (0, 0, 0), "{swept:?}");
    assert_eq!(records(&fixture).len(), 0);
}

#[test]
fn records_that_others_may_write_are_not_believed() {
    let fixture = prepared();
    partials(&fixture);
    let directory = state(&fixture).join("partials");
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(problem(Partials::open(&state(&fixture)), &directory), Problem::System(Errno::PERM));
}
