//! A tree that is replaced as a whole: what the new one has, what the old one keeps, and what a failure leaves.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use unglue_host::store::tree::{Produced, TreeEvent, TreeSink, TreeSource};
use unglue_host::store::{Partials, Store};
use unglue_proto::message::tree::{Layout, Summary, TreeOptions};
use unglue_proto::tree::Rule;
use unglue_proto::{Code, Fault};

use super::store_full::{directory, in_child, with_fault};
use super::tree_ends::pump;

struct Scene {
    directory: TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["from/sub", "root/site/sub", "state"] {
            fs::create_dir_all(directory.path().join(name)).expect("made");
        }
        let partials = Partials::open(&directory.path().join("state")).expect("records");
        let store = Store::home(directory.path()).expect("a store").with_partials(partials);
        let scene = Scene { directory, store };
        for name in ["same", "changed", "sub/same"] {
            scene.write(&format!("root/site/{name}"), "old", 1);
        }
        scene.write("from/same", "old", 1);
        scene.write("from/sub/same", "old", 1);
        scene.write("from/changed", "new", 2);
        scene.write("from/sub/fresh", "new", 2);
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str, time: u64) {
        fs::write(self.at(name), content).expect("written");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + time);
        fs::File::options().append(true).open(self.at(name)).expect("open").set_modified(time).expect("set");
    }

    fn both(&self, options: &TreeOptions) -> Result<(TreeSource, TreeSink), Fault> {
        let source = self.store.tree_source(&["from/.".into()], options.clone())?;
        Ok((source, self.store.tree_sink(Path::new("root/site"), &Layout::Into, options.clone())?))
    }

    fn sync(&self, options: TreeOptions) -> Result<(Summary, Vec<String>), Fault> {
        let (mut source, mut sink) = self.both(&options)?;
        pump(&mut source, &mut sink)?;
        let problems = source.events().into_iter().chain(sink.events()).filter_map(|event| match event {
            TreeEvent::Problem(fault) => Some(fault.to_string()),
            _ => None,
        });
        let problems = problems.collect();
        source.summary().map(|summary| (summary, problems))
    }

    fn content(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at("root/site").join(name)).ok()
    }

    fn inode(&self, name: &str) -> u64 {
        fs::symlink_metadata(self.at("root/site").join(name)).expect("there").ino()
    }

    /// Only the site is beside the site, and there is no record.
    #[track_caller]
    fn leaves_nothing(&self) {
        let names = |path: &str| -> Vec<_> {
            fs::read_dir(self.at(path)).expect("a directory").map(|entry| entry.expect("one").file_name()).collect()
        };
        assert_eq!(names("root"), ["site"]);
        assert!(names("state/partials").is_empty());
    }

    #[track_caller]
    fn is_old(&self) {
        for name in ["same", "changed", "sub/same"] {
            assert_eq!(self.content(name).as_deref(), Some("old"), "{name}");
        }
        assert_eq!(self.content("sub/fresh"), None);
        self.leaves_nothing();
    }
}

fn atomic() -> TreeOptions {
    TreeOptions { recursive: true, times: true, atomic: true, ..TreeOptions::default() }
}

fn archive() -> TreeOptions {
    TreeOptions { modes: true, owners: true, hard_links: true, attributes: true, acls: true, ..atomic() }
}

#[test]
fn the_new_tree_shares_what_is_unchanged_and_keeps_what_the_source_lacks() {
    let scene = Scene::new();
    scene.write("root/site/extra", "old", 1);
    fs::create_dir_all(scene.at("root/site/more/deep")).expect("made");
    scene.write("root/site/more/deep/f", "old", 1);
    symlink("deep/f", scene.at("root/site/more/link")).expect("made");
    fs::set_permissions(scene.at("root/site/more"), Permissions::from_mode(0o711)).expect("set");
    fs::set_permissions(scene.at("root/site"), Permissions::from_mode(0o751)).expect("set");
    let top = fs::metadata(scene.at("root/site")).expect("there").ino();
    let inodes = ["same", "sub/same", "extra", "more/deep/f", "more/link"].map(|name| scene.inode(name));
    let (summary, problems) = scene.sync(atomic()).expect("it arrives");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((summary.files, summary.unchanged, summary.deleted), (2, 2, 0));
    assert_eq!(
        (scene.content("changed").as_deref(), scene.content("sub/fresh").as_deref()),
        (Some("new"), Some("new"))
    );
    assert_eq!(["same", "sub/same", "extra", "more/deep/f", "more/link"].map(|name| scene.inode(name)), inodes);
    let mode = |name: &str| fs::metadata(scene.at("root").join(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("site"), mode("site/more")), (0o751, 0o711));
    assert_ne!(fs::metadata(scene.at("root/site")).expect("there").ino(), top, "another directory has the name");
    scene.leaves_nothing();
}

/// Whatever can't be synced: no file is told to be stored whose new name may be lost.
#[test]
fn what_could_not_be_synced_is_not_acknowledged() {
    for nth in 1..=3 {
        with_fault("store_atomic::part_sync_fails", "fsync", nth);
        with_fault("store_atomic::part_sync_fails", "syncfs", nth);
    }
}

#[test]
fn part_sync_fails() {
    let Some(top) = directory() else { return };
    for (name, content) in [("from", "new"), ("site", "before")] {
        fs::create_dir(top.join(name)).expect("made");
        fs::write(top.join(name).join("f"), content).expect("written");
    }
    let store = Store::home(&top).expect("a store");
    let mut source = store.tree_source(&["from/.".into()], atomic()).expect("a source");
    let mut sink = store.tree_sink(Path::new("site"), &Layout::Into, atomic()).expect("a sink");
    let ended = pump(&mut source, &mut sink);
    let acknowledged = source.stored().0;
    match ended.is_ok() && sink.summary().problems == 0 {
        true => assert_eq!((acknowledged, fs::read(top.join("site/f")).expect("there")), (1, b"new".to_vec())),
        false => assert_eq!(acknowledged, 0, "{ended:?} {:?}", sink.events()),
    }
}

/// A file that its owner has made immutable, and root can't delete either (chattr(1)).
struct Immutable(PathBuf);

impl Immutable {
    fn new(path: PathBuf) -> Option<Immutable> {
        let made = Command::new("chattr").arg("+i").arg(&path).output();
        made.is_ok_and(|output| output.status.success()).then_some(Immutable(path))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn if_only_the_old_tree_can_not_be_deleted_the_new_one_is_in_place() {
    let scene = Scene::new();
    scene.write("root/site/gone", "old", 1);
    let Some(mut immutable) = Immutable::new(scene.at("root/site/gone")) else {
        return eprintln!("skipped: no file can be made immutable here");
    };
    let (_, problems) = scene.sync(TreeOptions { delete: true, ..atomic() }).expect("it arrives");
    let names = fs::read_dir(scene.at("root")).expect("a directory").map(|entry| entry.expect("one").file_name());
    let left = names.filter(|name| name != "site").map(|name| name.into_string().expect("UTF-8")).next();
    let left = left.expect("the old tree is there");
    immutable.0 = scene.at("root").join(&left).join("gone");
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    let told = format!("the new tree is in place, but the old one can't be deleted: \"root/{left}\"");
    assert!(problem.contains(&told) && problem.contains("EPERM"), "{problem}");
    assert_eq!((scene.content("changed").as_deref(), scene.content("gone")), (Some("new"), None));
    drop(immutable);
    Partials::open(&scene.at("state")).expect("records").sweep().expect("swept");
    scene.leaves_nothing();
}

#[test]
fn what_is_deleted_is_not_in_the_new_tree_and_what_is_excluded_is() {
    let scene = Scene::new();
    for name in ["gone", "keep.log"] {
        scene.write(&format!("root/site/{name}"), "old", 1);
    }
    fs::create_dir_all(scene.at("root/site/old/sub")).expect("made");
    fs::create_dir_all(scene.at("root/site/empty/sub")).expect("made");
    scene.write("root/site/old/sub/a.log", "old", 1);
    scene.write("root/site/old/sub/b", "old", 1);
    let rules = Rule::lines(b"*.log\n");
    let options = TreeOptions { delete: true, rules, ..archive() };
    let limited = TreeOptions { max_delete: Some(0), ..options.clone() };
    let (summary, problems) = scene.sync(limited).expect("it ends");
    assert!(summary.deleted == 0 && problems[0].contains("the limit is 0"), "{problems:?}");
    assert_eq!(scene.content("gone").as_deref(), Some("old"));
    scene.leaves_nothing();
    let (summary, problems) = scene.sync(options).expect("it arrives");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(summary.deleted, 2);
    assert_eq!(scene.content("keep.log").as_deref(), Some("old"));
    assert_eq!(scene.content("old/sub/a.log").as_deref(), Some("old"));
    assert!(scene.content("old/sub/b").is_none() && !scene.at("root/site/empty").exists());
    assert_eq!(scene.content("gone"), None);
    scene.leaves_nothing();
}

/// A file whose attributes change is another file: nothing is written through a name that both trees have.
#[test]
fn the_old_files_attributes_are_never_touched() {
    let scene = Scene::new();
    fs::set_permissions(scene.at("from/same"), Permissions::from_mode(0o600)).expect("set");
    fs::hard_link(scene.at("root/site/same"), scene.at("witness")).expect("linked");
    let before = fs::metadata(scene.at("witness")).expect("there");
    let (summary, _) = scene.sync(archive()).expect("it arrives");
    assert_eq!(summary.files, 3);
    let after = fs::metadata(scene.at("witness")).expect("there");
    assert_eq!((before.mode(), before.mtime()), (after.mode(), after.mtime()));
    assert_eq!(fs::metadata(scene.at("root/site/same")).expect("there").mode() & 0o777, 0o600);
    assert_ne!(scene.inode("same"), after.ino());
}

#[test]
fn a_failure_leaves_the_old_tree_whole() {
    let scene = Scene::new();
    // Something that can't be stored: the sender's directory vanishes under it.
    let (mut source, mut sink) = scene.both(&atomic()).expect("both ends");
    let Produced::Piece(piece) = source.produce() else { panic!("nothing comes") };
    let step = sink.take(&piece).expect("taken");
    source.answer(&step.answers).expect("answered");
    fs::remove_file(scene.at("from/changed")).expect("removed");
    pump(&mut source, &mut sink).expect("it ends");
    let said: Vec<String> = sink.events().into_iter().map(|event| format!("{event:?}")).collect();
    assert!(said.iter().any(|text| text.contains("nothing was published")), "{said:?}");
    drop((source, sink));
    scene.is_old();
    // A transfer that breaks off.
    let (mut source, mut sink) = scene.both(&atomic()).expect("both ends");
    let Produced::Piece(piece) = source.produce() else { panic!("nothing comes") };
    sink.take(&piece).expect("taken");
    assert_eq!(fs::read_dir(scene.at("root")).expect("a directory").count(), 2);
    drop(sink);
    scene.is_old();
}

#[test]
fn the_next_start_removes_what_a_dead_process_left() {
    let scene = Scene::new();
    let (mut source, mut sink) = scene.both(&atomic()).expect("both ends");
    let Produced::Piece(piece) = source.produce() else { panic!("nothing comes") };
    sink.take(&piece).expect("taken");
    std::mem::forget(sink);
    // A record that is locked belongs to a living process: a copy of it doesn't.
    let records = scene.at("state/partials");
    let record = fs::read_dir(&records).expect("records").next().expect("one").expect("an entry").path();
    fs::copy(&record, records.join("copy.record")).expect("copied");
    fs::remove_file(&record).expect("removed");
    let swept = Partials::open(&scene.at("state")).expect("records").sweep().expect("swept");
    assert!(swept.removed.len() == 1 && swept.failed.is_empty(), "{swept:?}");
    scene.is_old();
}

#[test]
fn a_destination_that_is_not_there_is_made() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.at("root/site")).expect("removed");
    let (summary, problems) = scene.sync(archive()).expect("it arrives");
    assert!(problems.is_empty() && summary.files == 4, "{problems:?}");
    let mode = |name: &str| fs::metadata(scene.at(name)).expect("there").mode() & 0o7777;
    assert_eq!(mode("root/site"), mode("from"));
    scene.leaves_nothing();
}

#[test]
fn what_cannot_be_exchanged_is_refused() {
    let scene = Scene::new();
    symlink("site", scene.at("root/link")).expect("made");
    let mut refused = vec![("root/link", "a symbolic link"), (".", "no name of its own"), ("root/..", "no name")];
    if fs::metadata("/proc/self").is_ok() {
        refused.push(("/proc", "something is mounted on it"));
    }
    for (path, why) in refused {
        let sink = scene.store.tree_sink(Path::new(path), &Layout::Into, atomic());
        let fault = sink.expect_err("it can't be exchanged");
        assert!(fault.code == Code::PathRefused && fault.what.contains(why), "{path}: {fault}");
        assert!(!fault.advice.is_empty());
    }
    let file = scene.store.tree_sink(Path::new("root/site/same"), &Layout::Into, atomic());
    file.expect_err("a file is no directory");
    let mut source = scene.store.tree_source(&["root/.".into()], atomic()).expect("a source");
    let mut sink = scene.store.tree_sink(Path::new("root/site"), &Layout::Into, atomic()).expect("a sink");
    let fault = pump(&mut source, &mut sink).expect_err("the destination is in the source");
    assert!(fault.what.contains("lies in it"), "{fault}");
    drop(sink);
    fs::remove_file(scene.at("root/link")).expect("removed");
    scene.is_old();
}

/// Where renameat2(2) has no `RENAME_EXCHANGE`, that is found out before anything is sent.
#[test]
fn a_file_system_without_an_exchange_is_refused() {
    for error in ["EINVAL", "ENOSYS"] {
        let tracer = format!("strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:error={error}");
        let script = format!(
            "strace -o /dev/null true 2>/dev/null || {{ echo 'strace does not work here' >&2; exit 77; }}
             exec {tracer} \"$@\""
        );
        in_child("store_atomic::part_no_exchange", &script);
    }
}

#[test]
fn part_no_exchange() {
    let Some(directory) = directory() else { return };
    for name in ["from", "root/site"] {
        fs::create_dir_all(directory.join(name)).expect("made");
    }
    fs::write(directory.join("from/f"), "new").expect("written");
    fs::write(directory.join("root/site/f"), "old").expect("written");
    let store = Store::home(&directory).expect("a store");
    let fault = store.tree_sink(Path::new("root/site"), &Layout::Into, atomic()).expect_err("no exchange");
    assert_eq!(fault.code, Code::PathRefused, "{fault}");
    assert!(fault.what.contains("can't exchange two directories") && fault.advice.contains("--atomic"), "{fault}");
    assert_eq!(fs::read(directory.join("root/site/f")).expect("there"), b"old");
    assert_eq!(fs::read_dir(directory.join("root")).expect("a directory").count(), 1, "something is left");
    // A new directory needs no exchange.
    let mut source = store.tree_source(&["from/.".into()], atomic()).expect("a source");
    let mut sink = store.tree_sink(Path::new("root/new"), &Layout::Into, atomic()).expect("a sink");
    pump(&mut source, &mut sink).expect("it arrives");
    assert_eq!(fs::read(directory.join("root/new/f")).expect("there"), b"new");
    assert_eq!(fs::read_dir(directory.join("root")).expect("a directory").count(), 2, "something is left");
}

/// What has the name at any moment is one of the two trees, whole. A reader that holds the old one sees how it is removed, but only
/// once another one has the name.
#[test]
fn a_reader_sees_one_of_the_two_trees() {
    use rustix::fs::{AtFlags, Mode, OFlags, fstat, open, stat, statat};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let scene = Scene::new();
    scene.write("from/first", "one", 3);
    scene.sync(TreeOptions { delete: true, ..atomic() }).expect("it arrives");
    let stop = Arc::new(AtomicBool::new(false));
    let (path, stopped) = (scene.at("root/site"), stop.clone());
    let reading = std::thread::spawn(move || {
        let mut seen = 0;
        while !stopped.load(Ordering::Relaxed) {
            let dir = open(&path, OFlags::DIRECTORY, Mode::empty()).expect("the name is always there");
            let there = |name: &str| statat(&dir, name, AtFlags::empty()).is_ok();
            let has = [there("first"), there("second"), there("same"), there("sub/same")];
            let named = stat(&path).expect("the name is always there").st_ino;
            if named == fstat(&dir).expect("open").st_ino {
                assert!(has == [true, false, true, true] || has == [false, true, true, true], "a mix: {has:?}");
                seen += 1;
            }
        }
        seen
    });
    for round in 0..50 {
        let (add, remove) = if round % 2 == 0 { ("second", "first") } else { ("first", "second") };
        scene.write(&format!("from/{add}"), "one", 3);
        fs::remove_file(scene.at("from").join(remove)).expect("removed");
        scene.sync(TreeOptions { delete: true, ..atomic() }).expect("it arrives");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reading.join().expect("no mix") > 50);
    scene.leaves_nothing();
}
