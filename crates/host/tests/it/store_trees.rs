//! Trees, both ends without a network: what arrives, what is refused, what is left behind.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use unglue_host::store::tree::{Produced, TreeEvent};
use unglue_host::store::{Partials, Protected, Store, WriteOptions};
use unglue_proto::message::Time;
use unglue_proto::message::tree::{Layout, TreeOptions};
use unglue_proto::tree::{Entry, Kind, ROOT, Record, Rule};
use unglue_proto::{Code, Fault};

use super::tree_ends::pump;

struct Scene {
    directory: TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["from", "root", "state"] {
            fs::create_dir(directory.path().join(name)).expect("made");
        }
        let partials = Partials::open(&directory.path().join("state")).expect("records");
        let store = Store::confined(&directory.path().join("root")).expect("a store").with_partials(partials);
        Scene { directory, store }
    }

    fn from(&self) -> PathBuf {
        self.directory.path().join("from")
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// Moves `from/` into the root.
    fn sync(&self, options: TreeOptions) -> Result<Ended, Fault> {
        let store = Store::home(self.directory.path()).expect("a store");
        let mut source = store.tree_source(&["from/.".into()], options.clone())?;
        let mut sink = self.store.tree_sink(Path::new("."), &Layout::Into, options)?;
        pump(&mut source, &mut sink)?;
        let problems = source.events().into_iter().chain(sink.events()).filter_map(|event| match event {
            TreeEvent::Problem(fault) => Some(fault.to_string()),
            _ => None,
        });
        let problems = problems.collect();
        let received = sink.summary().clone();
        let sent = source.summary()?;
        assert_eq!(sent.blake3, received.blake3, "both ends have the same digest");
        Ok(Ended { problems, files: sent.files, unchanged: received.unchanged, deleted: received.deleted })
    }

    #[track_caller]
    fn leaves_nothing(&self) {
        let mut left = Vec::new();
        walk(&self.root(), &mut |path| {
            if path.to_string_lossy().contains(".unglue-") {
                left.push(path.to_owned());
            }
        });
        assert!(left.is_empty(), "temporary files are left: {left:?}");
        let records = fs::read_dir(self.directory.path().join("state/partials")).expect("records").count();
        assert_eq!(records, 0, "records are left");
    }
}

struct Ended {
    problems: Vec<String>,
    files: u64,
    unchanged: u64,
    deleted: u64,
}

fn walk(path: &Path, look: &mut dyn FnMut(&Path)) {
    look(path);
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        for entry in fs::read_dir(path).expect("a directory") {
            walk(&entry.expect("an entry").path(), look);
        }
    }
}

/// Passes records and answers between both ends until everything is there.
fn archive() -> TreeOptions {
    TreeOptions {
        recursive: true,
        times: true,
        modes: true,
        owners: true,
        hard_links: true,
        attributes: true,
        acls: true,
        ..TreeOptions::default()
    }
}

/// What has a temporary name may be another transfer's that goes on, if it is new.
#[test]
fn temporary_files_of_other_transfers_are_not_deleted() {
    let scene = Scene::new();
    fs::write(scene.from().join("f"), "new").expect("written");
    let mut incoming = scene.store.write("h".as_ref(), WriteOptions::default()).expect("it begins");
    incoming.write_all(b"whole").expect("written");
    for name in ["gone", ".g.unglue-notours"] {
        fs::write(scene.root().join(name), "").expect("written");
    }
    let ended = scene.sync(TreeOptions { delete: true, ..archive() }).expect("it ends");
    assert_eq!((ended.deleted, ended.problems.len()), (2, 0), "{:?}", ended.problems);
    incoming.commit().expect("it is in place");
    assert_eq!(fs::read(scene.root().join("h")).expect("there"), b"whole");

    // Deleted all the same, by another program.
    let mut incoming = scene.store.write("i".as_ref(), WriteOptions::default()).expect("it begins");
    incoming.write_all(b"whole").expect("written");
    let names = fs::read_dir(scene.root()).expect("a directory").map(|entry| entry.expect("an entry").path());
    names
        .filter(|path| path.to_string_lossy().contains("/.i."))
        .for_each(|path| fs::remove_file(path).expect("removed"));
    let error = incoming.commit().expect_err("there is nothing to be put in place");
    assert!(error.fault().to_string().contains("was deleted meanwhile"), "{}", error.fault());
}

#[test]
fn a_tree_arrives_whole_and_a_second_time_nothing_is_sent() {
    let scene = Scene::new();
    let from = scene.from();
    fs::create_dir_all(from.join("a/b/empty")).expect("made");
    fs::write(from.join("a/small"), "small").expect("written");
    fs::write(from.join("a/b/large"), vec![7; 3_000_000]).expect("written");
    fs::write(from.join("empty"), "").expect("written");
    fs::hard_link(from.join("a/small"), from.join("a/b/other name")).expect("linked");
    symlink("a/small", from.join("link")).expect("linked");
    symlink("/nowhere", from.join("dangling")).expect("linked");
    let sparse = File::create(from.join("sparse")).expect("made");
    sparse.set_len(50 << 20).expect("grown");
    sparse.write_all_at(b"in the middle", 20 << 20).expect("written");
    fs::set_permissions(from.join("a/b"), Permissions::from_mode(0o2755)).expect("set");
    let times = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(10_000_000_000, 7));
    File::open(from.join("a")).expect("opened").set_times(times).expect("set");

    let ended = scene.sync(archive()).expect("it arrives");
    assert_eq!(ended.problems, Vec::<String>::new());
    assert_eq!(ended.files, 4);
    let root = scene.root();
    assert_eq!(fs::read(root.join("a/b/large")).expect("there"), vec![7; 3_000_000]);
    assert_eq!(fs::read_link(root.join("dangling")).expect("a link"), Path::new("/nowhere"));
    let inode = |path: &str| fs::metadata(root.join(path)).expect("there").ino();
    assert_eq!(inode("a/small"), inode("a/b/other name"));
    let stat = fs::metadata(root.join("a")).expect("there");
    assert_eq!((stat.mtime(), stat.mtime_nsec()), (10_000_000_000, 7));
    assert_eq!(fs::metadata(root.join("a/b")).expect("there").mode() & 0o7777, 0o2755);
    let sparse = fs::metadata(root.join("sparse")).expect("there");
    assert!(sparse.len() == 50 << 20 && sparse.blocks() < 4096, "{} blocks", sparse.blocks());
    scene.leaves_nothing();

    let again = scene.sync(archive()).expect("it is there");
    assert_eq!((again.files, again.unchanged), (0, 4));
    // One nanosecond more is another time.
    let times = fs::FileTimes::new().set_modified(
        fs::metadata(from.join("empty")).expect("there").modified().expect("a time")
            + std::time::Duration::from_nanos(1),
    );
    File::options().write(true).open(from.join("empty")).expect("opened").set_times(times).expect("set");
    assert_eq!(scene.sync(archive()).expect("it is there").files, 1);
}

#[test]
fn what_the_source_lacks_is_deleted_last_and_what_is_excluded_is_spared() {
    let scene = Scene::new();
    for path in ["keep", "gone/deep/file", "gone/spared.o", "spared.o", "extra"] {
        let path = scene.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "old").expect("written");
    }
    fs::write(scene.from().join("keep"), "new").expect("written");
    let options = TreeOptions { delete: true, rules: vec![Rule::exclude("*.o")], ..archive() };
    let limited = TreeOptions { max_delete: Some(1), ..options.clone() };
    let refused = scene.sync(limited).expect("it goes on");
    assert!(refused.problems[0].contains("2 entries would be deleted, and the limit is 1"), "{:?}", refused.problems);
    assert!(scene.root().join("extra").exists());

    let trial = scene.sync(TreeOptions { dry_run: true, ..options.clone() }).expect("a trial");
    assert_eq!(trial.deleted, 2);
    assert!(scene.root().join("extra").exists());

    let ended = scene.sync(options.clone()).expect("it goes on");
    assert_eq!((ended.deleted, ended.problems.len()), (1, 0), "gone stays, since something in it is spared");
    assert!(!scene.root().join("extra").exists() && !scene.root().join("gone/deep").exists());
    assert!(scene.root().join("spared.o").exists() && scene.root().join("gone/spared.o").exists());

    let all = TreeOptions { delete_excluded: true, ..options };
    assert_eq!(scene.sync(all).expect("it goes on").deleted, 2);
    assert_eq!(fs::read_dir(scene.root()).expect("a directory").count(), 1);
}

#[test]
fn nothing_is_deleted_when_something_did_not_arrive() {
    let scene = Scene::new();
    fs::write(scene.root().join("extra"), "old").expect("written");
    fs::create_dir(scene.root().join("x")).expect("made");
    fs::write(scene.root().join("x/in the way"), "old").expect("written");
    fs::write(scene.from().join("x"), "a file").expect("written");
    // A file that shrinks to nothing while it is sent is not there; here a name is taken by something protected.
    let store = Store::confined(&scene.root()).expect("a store");
    let store = store.protecting(Protected::default().file(scene.root().join("x/in the way")));
    let scene = Scene { store, ..scene };
    let ended = scene.sync(TreeOptions { delete: true, ..archive() }).expect("it goes on");
    assert!(ended.problems.iter().any(|problem| problem.contains("were not deleted")), "{:?}", ended.problems);
    assert!(scene.root().join("extra").exists() && scene.root().join("x/in the way").exists());
}

#[test]
fn gitignore_is_obeyed_and_spares() {
    let scene = Scene::new();
    for (path, text) in [
        (".gitignore", "*.o\n/build/\n"),
        ("a.o", "x"),
        ("src/.gitignore", "!keep.o\n"),
        ("src/keep.o", "x"),
        ("build/x", "x"),
        ("src/b.o", "x"),
    ] {
        let path = scene.from().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    fs::write(scene.root().join("local.o"), "mine").expect("written");
    let options = TreeOptions { gitignore: true, delete: true, ..archive() };
    let ended = scene.sync(options).expect("it arrives");
    assert_eq!(ended.problems, Vec::<String>::new());
    let there = |path: &str| scene.root().join(path).exists();
    assert!(there("src/keep.o") && there("local.o") && there(".gitignore"));
    assert!(!there("a.o") && !there("build") && !there("src/b.o"));
}

#[test]
fn special_files_are_named_and_skipped() {
    let scene = Scene::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.from().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a FIFO");
    fs::write(scene.from().join("file"), "x").expect("written");
    fs::write(scene.root().join("extra"), "x").expect("written");
    let ended = scene.sync(TreeOptions { delete: true, ..archive() }).expect("the rest arrives");
    assert_eq!(ended.problems.len(), 1);
    assert!(ended.problems[0].contains("\"pipe\": it is a FIFO"), "{:?}", ended.problems);
    assert!(scene.root().join("file").exists() && !scene.root().join("extra").exists());
}

/// Records of a sender that lies; gives what the sink makes of them.
fn lie(scene: &Scene, options: TreeOptions, records: &[Record<'_>]) -> Result<Vec<String>, Fault> {
    let mut sink = scene.store.tree_sink(Path::new("."), &Layout::Into, options).expect("a sink");
    let mut wire = Vec::new();
    records.iter().for_each(|record| record.encode(&mut wire));
    let step = sink.take(&wire)?;
    if let Some(batch) = step.batch {
        sink.committed(batch.commit());
    }
    let finished = sink.finish();
    let events = sink.events().into_iter().map(|event| format!("{event:?}")).collect();
    finished.map(|_| events)
}

fn file(name: &str, size: u64) -> Record<'static> {
    let mut entry = Entry::new(Kind::File, name.into());
    entry.size = size;
    entry.mode = 0o644;
    Record::Entry(Box::new(entry))
}

const NOW: Time = Time { seconds: 1, nanoseconds: 0 };

#[test]
fn a_sender_that_lies_stores_nothing() {
    let everything = || TreeOptions { recursive: true, everything: true, ..TreeOptions::default() };
    let list = || Record::List { directory: ROOT };
    let (end, done) = (|| Record::EndList { whole: true }, || Record::Done { problems: 0 });
    let whole = |entry, data: &'static [u8]| Record::Whole {
        entry,
        modified: NOW,
        digest: *blake3::hash(data).as_bytes(),
        data,
    };
    let wrong = |entry, data| Record::Whole { entry, modified: NOW, digest: [0; 32], data };
    let mut linked = Entry::new(Kind::File, b"linked".to_vec());
    linked.same = Some(77);
    let link = Record::Entry(Box::new(linked));
    let cases: Vec<(&str, Vec<Record<'_>>, bool)> = vec![
        ("another digest", vec![list(), file("f", 1), end(), done(), wrong(1, b"x")], true),
        ("content for nothing", vec![list(), end(), done(), whole(1, b"x")], false),
        ("content twice", vec![list(), file("f", 1), end(), done(), whole(1, b"x"), whole(1, b"y")], false),
        ("no content", vec![list(), file("f", 1), end(), done()], false),
        ("no end", vec![list(), file("f", 1), whole(1, b"x")], false),
        ("an entry without a listing", vec![file("f", 1), done()], false),
        ("a listing in a listing", vec![list(), list(), end(), done()], false),
        ("a listing of what was not sent", vec![Record::List { directory: 9 }, end(), done()], false),
        ("data for nothing", vec![list(), end(), done(), Record::Data(b"x")], false),
        ("an end for nothing", vec![list(), end(), done(), Record::Close { digest: None }], false),
        (
            "more than announced",
            vec![
                list(),
                file("f", 1),
                end(),
                done(),
                Record::Open { entry: 1, modified: NOW, size: 1 },
                Record::Data(b"xy"),
                Record::Close { digest: Some([0; 32]) },
            ],
            true,
        ),
        (
            "less than announced",
            vec![
                list(),
                file("f", 9),
                end(),
                done(),
                Record::Open { entry: 1, modified: NOW, size: 9 },
                Record::Data(b"xy"),
                Record::Close { digest: Some(*blake3::hash(b"xy").as_bytes()) },
            ],
            true,
        ),
        (
            "a hole beyond the end",
            vec![
                list(),
                file("f", 9),
                end(),
                done(),
                Record::Open { entry: 1, modified: NOW, size: 9 },
                Record::Hole { length: u64::MAX },
                Record::Close { digest: Some([0; 32]) },
            ],
            true,
        ),
        ("a hard link to nothing", vec![list(), link, end(), done()], true),
    ];
    for (what, records, goes_on) in cases {
        let scene = Scene::new();
        let before = fs::read_dir(scene.root()).expect("a directory").count();
        match lie(&scene, everything(), &records) {
            Ok(events) => assert!(goes_on && !events.is_empty(), "{what}: {events:?}"),
            Err(fault) => assert!(!goes_on && fault.code == Code::BadMessage, "{what}: {fault}"),
        }
        assert_eq!(fs::read_dir(scene.root()).expect("a directory").count(), before, "{what}");
        scene.leaves_nothing();
    }
}

#[test]
fn an_endless_manifest_is_cut_off() {
    let scene = Scene::new();
    let options = TreeOptions { recursive: true, everything: true, ..TreeOptions::default() };
    let mut sink = scene.store.tree_sink(Path::new("."), &Layout::Into, options).expect("a sink");
    let mut wire = Vec::new();
    Record::List { directory: ROOT }.encode(&mut wire);
    for number in 0..20_000 {
        file(&format!("f{number}"), 1).encode(&mut wire);
    }
    let fault = sink.take(&wire).expect_err("it has no end");
    assert_eq!(fault.code, Code::LimitExceeded, "{fault}");
}

/// A link that is swapped for a directory again and again never leads outside.
#[test]
fn nothing_is_written_through_a_link_that_is_swapped_meanwhile() {
    let scene = Scene::new();
    let outside = scene.directory.path().join("outside");
    fs::create_dir(&outside).expect("made");
    for number in 0..40 {
        fs::create_dir_all(scene.from().join("d")).expect("made");
        fs::write(scene.from().join(format!("d/f{number}")), "x").expect("written");
    }
    let (root, stop) = (scene.root(), Arc::new(AtomicBool::new(false)));
    let flipping = {
        let (stop, outside, root) = (stop.clone(), outside.clone(), root.clone());
        std::thread::spawn(move || {
            let mut flips = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let _ = fs::rename(root.join("d"), root.join(format!("d{}", flips % 7)));
                let _ = symlink(&outside, root.join("d"));
                let _ = fs::remove_file(root.join("d"));
                flips += 1;
            }
            flips
        })
    };
    let options = TreeOptions { recursive: true, times: true, delete: true, ..TreeOptions::default() };
    for _ in 0..60 {
        // It may fail; it must not write or delete outside.
        let _ = scene.sync(options.clone());
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flipping.join().expect("no panic") > 100);
    assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0, "something was written outside");
}

#[test]
fn a_dropped_transfer_and_a_dead_process_leave_nothing() {
    let scene = Scene::new();
    fs::create_dir(scene.from().join("d")).expect("made");
    fs::write(scene.from().join("d/f"), vec![1; 1_000_000]).expect("written");
    let part = |forget: bool| {
        let store = Store::home(scene.directory.path()).expect("a store");
        let options = TreeOptions { everything: true, ..archive() };
        let mut source = store.tree_source(&["from/.".into()], options.clone()).expect("a source");
        let mut sink = scene.store.tree_sink(Path::new("."), &Layout::Into, options).expect("a sink");
        let Produced::Piece(piece) = source.produce() else { panic!("nothing comes") };
        sink.take(&piece).expect("it goes on");
        let there = fs::read_dir(scene.root().join("d")).expect("a directory").count();
        assert_eq!(there, 1, "the temporary file");
        if forget {
            std::mem::forget(sink);
        }
    };
    part(false);
    scene.leaves_nothing();
    assert!(!scene.root().join("d/f").exists());

    // A record that is locked belongs to a living process: a copy of it doesn't.
    part(true);
    let records = scene.directory.path().join("state/partials");
    let record = fs::read_dir(&records).expect("records").next().expect("one").expect("an entry").path();
    fs::copy(&record, records.join("copy.record")).expect("copied");
    fs::remove_file(&record).expect("removed");
    let swept = Partials::open(&scene.directory.path().join("state")).expect("records").sweep().expect("swept");
    assert!(swept.removed.len() == 1 && swept.failed.is_empty(), "{swept:?}");
    scene.leaves_nothing();
}

#[test]
fn a_destination_within_the_source_is_refused() {
    let scene = Scene::new();
    fs::create_dir_all(scene.root().join("a/b")).expect("made");
    let options = TreeOptions { everything: true, ..archive() };
    let mut source = scene.store.tree_source(&["a".into()], options.clone()).expect("a source");
    let mut sink = scene.store.tree_sink(Path::new("a/b"), &Layout::Copy, options).expect("a sink");
    let fault = pump(&mut source, &mut sink).expect_err("it would have no end");
    assert!(fault.code == Code::PathRefused && fault.what.contains("lies in it"), "{fault}");
}

#[test]
fn a_replaced_file_keeps_its_mode_unless_the_sources_is_asked_for() {
    let scene = Scene::new();
    fs::write(scene.root().join("f"), "old").expect("written");
    fs::set_permissions(scene.root().join("f"), Permissions::from_mode(0o640)).expect("set");
    fs::write(scene.from().join("f"), "newer").expect("written");
    fs::set_permissions(scene.from().join("f"), Permissions::from_mode(0o755)).expect("set");
    let options = TreeOptions { recursive: true, everything: true, ..TreeOptions::default() };
    let mode = || fs::metadata(scene.root().join("f")).expect("there").mode() & 0o7777;
    scene.sync(options.clone()).expect("it arrives");
    assert_eq!((mode(), fs::read(scene.root().join("f")).expect("there")), (0o640, b"newer".to_vec()));
    scene.sync(TreeOptions { modes: true, ..options }).expect("it arrives");
    assert_eq!(mode(), 0o755);
}

/// More directories in each other than a process may have open.
fn nest(top: &Path, depth: usize) {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let mut dir = open(top, OFlags::DIRECTORY, Mode::empty()).expect("open");
    for _ in 0..depth {
        mkdirat(&dir, "d", Mode::RWXU).expect("made");
        dir = openat(&dir, "d", OFlags::DIRECTORY, Mode::empty()).expect("open");
        drop(openat(&dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("made"));
    }
}

#[test]
fn directories_are_removed_however_deep_they_are_nested() {
    let scene = Scene::new();
    for name in ["gone", "kept"] {
        fs::create_dir(scene.root().join(name)).expect("made");
        nest(&scene.root().join(name), 1200);
    }
    fs::write(scene.root().join("kept/d/f.keep"), "k").expect("written");
    let rules = Rule::lines(b"*.keep\n");
    let ended = scene.sync(TreeOptions { delete: true, rules, ..archive() }).expect("it ends");
    assert!(ended.problems.is_empty(), "{:?}", ended.problems);
    assert!(!scene.root().join("gone").exists());
    let mut left = Vec::new();
    walk(&scene.root(), &mut |path| left.push(path.strip_prefix(scene.root()).expect("below").to_owned()));
    left.sort();
    assert_eq!(left, ["", "kept", "kept/d", "kept/d/f.keep"].map(PathBuf::from));
    assert_eq!(scene.store.remove(Path::new("kept"), true).expect("removed"), 3);
}

#[test]
fn a_path_longer_than_one_call_takes() {
    let scene = Scene::new();
    let store = Store::home(scene.directory.path()).expect("a store");
    let mut dir =
        rustix::fs::open(scene.from(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).expect("open");
    let name = "n".repeat(250);
    for _ in 0..30 {
        rustix::fs::mkdirat(&dir, &name, rustix::fs::Mode::RWXU).expect("made");
        dir = rustix::fs::openat(&dir, &name, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).expect("open");
    }
    let options = TreeOptions { everything: true, ..archive() };
    let mut source = store.tree_source(&["from/.".into()], options.clone()).expect("a source");
    let mut sink = scene.store.tree_sink(Path::new("."), &Layout::Into, options).expect("a sink");
    pump(&mut source, &mut sink).expect("it arrives");
    assert!(source.events().is_empty() && sink.events().is_empty());
    assert_eq!(source.summary().expect("a summary").entries, 31);
}
