//! Trees of unusual shapes and destinations: many entries, large holes, loops, case folding, what can't be written.
//! `UNGLUE_ENTRIES=200000` is the long form.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use unglue_host::store::tree::{Landing, Produced, TreeEvent};
use unglue_host::store::{Partials, Store};
use unglue_proto::message::tree::{Layout, Summary, TreeOptions};
use unglue_proto::tree::Record;
use unglue_proto::{Code, Fault};

use super::store_full::{directory, on_tmpfs, try_child};
use super::tree_ends::pump;

fn entries() -> usize {
    std::env::var("UNGLUE_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000)
}

struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene::within(&std::env::temp_dir())
    }

    fn within(place: &Path) -> Scene {
        let directory = tempfile::tempdir_in(place).expect("a directory");
        fs::create_dir(directory.path().join("from")).expect("made");
        Scene { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sync(&self, options: &TreeOptions) -> Result<(Summary, Vec<String>), Fault> {
        sync(self.directory.path(), "to", options)
    }
}

/// Copies `from/` to a path, and gives what was reported.
fn sync(top: &Path, to: &str, options: &TreeOptions) -> Result<(Summary, Vec<String>), Fault> {
    let store = Store::home(top).expect("a store");
    let mut source = store.tree_source(&["from/.".into()], options.clone())?;
    let mut sink = store.tree_sink(Path::new(to), &Layout::Into, options.clone())?;
    pump(&mut source, &mut sink)?;
    let problems = source.events().into_iter().chain(sink.events()).filter_map(|event| match event {
        TreeEvent::Problem(fault) => Some(fault.to_string()),
        _ => None,
    });
    let problems = problems.collect();
    assert_eq!(source.summary()?.blake3, sink.summary().blake3);
    Ok((sink.summary().clone(), problems))
}

fn options() -> TreeOptions {
    TreeOptions { recursive: true, times: true, modes: true, ..TreeOptions::default() }
}

#[test]
fn a_directory_with_very_many_entries() {
    // Not the disk's time is of interest here.
    let shared = Path::new("/dev/shm");
    let scene = Scene::within(if shared.is_dir() { shared } else { Path::new("/tmp") });
    let first = scene.at("from/n0");
    fs::write(&first, "x").expect("written");
    for number in 1..entries() {
        // Few of them are files of their own: a link is made faster.
        let name = scene.at("from").join(format!("n{number}"));
        match number % 20 {
            0 => fs::write(&name, number.to_string()).expect("written"),
            _ => symlink(format!("n{}", number - 1), &name).expect("linked"),
        }
    }
    for delete in [false, true] {
        let (summary, problems) = scene.sync(&TreeOptions { delete, ..options() }).expect("it arrives");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(summary.entries as usize, entries() + 1);
        assert_eq!(summary.files as usize, if delete { 0 } else { entries().div_ceil(20) });
    }
    assert_eq!(fs::read_dir(scene.at("to")).expect("a directory").count(), entries());
    // All but one are deleted again.
    for entry in fs::read_dir(scene.at("from")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path != first {
            fs::remove_file(path).expect("removed");
        }
    }
    let (summary, _) = scene.sync(&TreeOptions { delete: true, ..options() }).expect("it arrives");
    assert_eq!(summary.deleted as usize, entries() - 1);
    assert_eq!(fs::read_dir(scene.at("to")).expect("a directory").count(), 1);
}

/// Its holes are neither read, nor sent, nor written.
#[test]
fn a_sparse_file_of_20_gib() {
    const SIZE: u64 = 20 << 30;
    let scene = Scene::new();
    let file = File::create(scene.at("from/sparse")).expect("made");
    if file.set_len(SIZE).is_err() {
        eprintln!("skipped: no such large files here");
        return;
    }
    let spots = [0, 5 << 30, (12 << 30) + 4096, SIZE - 4096];
    for spot in spots {
        file.write_all_at(&[7; 4096], spot).expect("written");
    }
    let (summary, problems) = scene.sync(&options()).expect("it arrives");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(summary.bytes, 4 * 4096, "only data is sent");
    let there = File::open(scene.at("to/sparse")).expect("there");
    let stat = there.metadata().expect("there");
    assert_eq!(stat.len(), SIZE);
    assert!(stat.blocks() * 512 < 1 << 20, "{} blocks", stat.blocks());
    for spot in spots {
        let mut held = [0; 4096];
        there.read_exact_at(&mut held, spot).expect("read");
        assert_eq!(held, [7; 4096], "at {spot}");
    }
}

/// It is reported with both sizes, and not stored; the rest arrives.
#[test]
fn a_file_that_grows_while_it_is_read() {
    let scene = Scene::new();
    fs::write(scene.at("from/a-log"), vec![1; 3_000_000]).expect("written");
    fs::write(scene.at("from/other"), "x").expect("written");
    let store = Store::home(scene.directory.path()).expect("a store");
    let options = TreeOptions { everything: true, ..options() };
    let mut source = store.tree_source(&["from/.".into()], options.clone()).expect("a source");
    let mut sink = store.tree_sink(Path::new("to"), &Layout::Into, options).expect("a sink");
    let Produced::Piece(piece) = source.produce() else { panic!("nothing comes") };
    sink.take(&piece).expect("taken");
    let log = File::options().append(true).open(scene.at("from/a-log")).expect("open");
    std::io::Write::write_all(&mut &log, &[2; 1000]).expect("written");
    pump(&mut source, &mut sink).expect("it ends");
    let problems: Vec<String> = source.events().iter().map(|event| format!("{event:?}")).collect();
    assert!(problems.len() == 1, "{problems:?}");
    assert!(problems[0].contains("a-log") && problems[0].contains("3001000"), "{problems:?}");
    let names: Vec<_> =
        fs::read_dir(scene.at("to")).expect("there").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names, ["other"]);
}

/// Links stay links, wherever they lead: nothing is followed, so nothing goes round.
#[test]
fn links_that_lead_in_a_loop() {
    let scene = Scene::new();
    fs::create_dir(scene.at("from/d")).expect("made");
    let links = [("a", "b"), ("b", "a"), ("self", "self"), ("d/up", ".."), ("d/here", "."), ("d/round", "../d/up/d")];
    for (name, target) in links {
        symlink(target, scene.at("from").join(name)).expect("linked");
    }
    for atomic in [false, true, false] {
        let (summary, problems) = scene.sync(&TreeOptions { atomic, ..options() }).expect("it ends");
        assert!(problems.is_empty() && summary.entries == 8, "{problems:?} {summary:?}");
        for (name, target) in links {
            assert_eq!(fs::read_link(scene.at("to").join(name)).expect("a link"), Path::new(target), "{name}");
        }
    }
    // The other way round: links of the destination are not followed, whatever the source has under their names.
    fs::remove_dir_all(scene.at("to")).expect("removed");
    fs::create_dir(scene.at("to")).expect("made");
    symlink("../from", scene.at("to/d")).expect("linked");
    let (_, problems) = scene.sync(&options()).expect("it ends");
    assert!(problems.is_empty(), "{problems:?}");
    assert!(scene.at("to/d").symlink_metadata().expect("there").is_dir(), "the link was replaced");
}

/// Whatever the destination's path: nothing is copied into itself.
#[test]
fn a_destination_in_the_source_is_refused_whichever_way_it_is_named() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("from/a/b")).expect("made");
    fs::write(scene.at("from/a/f"), "x").expect("written");
    symlink("from/a", scene.at("way")).expect("linked");
    let before = Command::new("find").arg(scene.at("from")).output().expect("it runs").stdout;
    for to in ["from", "from/.", "from/a/b", "from/a/../a/b", "way/b", "way"] {
        for atomic in [false, true] {
            if atomic && matches!(to, "from/." | "way" | "from") {
                continue;
            }
            let fault = sync(scene.directory.path(), to, &TreeOptions { atomic, delete: true, ..options() });
            let fault = fault.expect_err("it would have no end");
            assert!(fault.code == Code::PathRefused && fault.what.contains("lies in it"), "{to}: {fault}");
        }
    }
    assert_eq!(Command::new("find").arg(scene.at("from")).output().expect("it runs").stdout, before);
}

#[test]
fn a_destination_that_cannot_be_written_is_one_clear_refusal() {
    on_tmpfs(
        "store_shapes::part_read_only",
        "size=4m",
        "mkdir \"$0/from\" \"$0/to\" && echo x >\"$0/from/f\" && mount -o remount,ro \"$0\" &&",
    );
}

#[test]
fn part_read_only() {
    let Some(directory) = directory() else { return };
    for (to, atomic) in [("to", true), ("new", false), ("new", true)] {
        let fault = sync(&directory, to, &TreeOptions { atomic, ..options() }).expect_err("nothing can be written");
        assert!(fault.code != Code::Internal && fault.to_string().contains("read-only"), "{fault}");
        assert!(!fault.advice.is_empty(), "{fault}");
    }
    let (summary, problems) = sync(&directory, "to", &options()).expect("each entry is reported");
    assert_eq!((summary.files, problems.len() as u64), (0, summary.problems));
    assert!(problems.iter().any(|text| text.contains("\"f\"") && text.contains("read-only")), "{problems:?}");
}

/// A file system on which `A` and `a` are one name.
#[test]
fn two_names_that_are_one_at_the_destination() {
    let script = "unshare --mount true 2>/dev/null || { echo 'no mount namespaces' >&2; exit 77; }
        exec unshare --mount sh -c '
            mount -t tmpfs -o mode=0755 tmpfs \"$0\" && mkdir \"$0/from\" \"$0/folding\" || exit 77
            mount -t tmpfs -o casefold tmpfs \"$0/folding\" 2>/dev/null && mkdir \"$0/folding/to\" && chattr +F \"$0/folding/to\" ||
                { echo \"this kernel folds no case on tmpfs (CONFIG_UNICODE)\" >&2; exit 77; }
            exec \"$@\"' \"$0\" \"$@\"";
    if let Some((passes, output)) = try_child("store_shapes::part_folding", script, 60) {
        assert!(passes, "{output}");
    }
}

#[test]
fn part_folding() {
    let Some(directory) = directory() else { return };
    fs::create_dir(directory.join("from/Dir")).expect("made");
    fs::create_dir(directory.join("from/dir")).expect("made");
    for (name, text) in [("A", "first"), ("a", "second"), ("Dir/f", "x"), ("dir/f", "y"), ("one", "1")] {
        fs::write(directory.join("from").join(name), text).expect("written");
    }
    // The second time, both names are there already.
    for _ in 0..2 {
        let (_, problems) = sync(&directory, "folding/to", &options()).expect("it ends");
        assert!(problems.iter().any(|text| text.contains("\"a\"")), "{problems:?}");
        assert!(problems.iter().any(|text| text.contains("\"dir\"")), "{problems:?}");
        assert_eq!(fs::read(directory.join("folding/to/A")).expect("there"), b"first");
        assert_eq!(fs::read(directory.join("folding/to/Dir/f")).expect("there"), b"x");
        assert_eq!(fs::read(directory.join("folding/to/one")).expect("there"), b"1");
    }
}

/// A small file system at `$0/to`.
fn on_small_disk(part: &str, options: &str) {
    on_tmpfs(
        &format!("store_shapes::{part}"),
        "size=64m",
        &format!("mkdir \"$0/from\" \"$0/to\" && mount -t tmpfs -o mode=0755,{options} tmpfs \"$0/to\" &&"),
    );
}

/// A thousand files of 1.1 KiB take a thousand blocks.
#[test]
fn many_small_files_that_do_not_fit_are_refused_before_their_contents_come() {
    on_small_disk("part_no_blocks", "size=3m");
    on_small_disk("part_no_inodes", "size=32m,nr_inodes=500");
}

fn plant_small(top: &Path) {
    for number in 0..1000 {
        fs::write(top.join(format!("from/f{number}")), [7; 1100]).expect("written");
    }
}

/// Nothing is stored, and the message has both numbers.
fn does_not_fit(top: &Path, what: &str) {
    plant_small(top);
    for everything in [false, true] {
        for to in ["to", "to/new"] {
            let fault = sync(top, to, &TreeOptions { everything, ..options() }).expect_err("it doesn't fit");
            assert!(fault.code == Code::System && fault.what.contains(what) && !fault.advice.is_empty(), "{fault}");
            assert_eq!(fault.errno.as_deref(), Some("ENOSPC"));
            let _ = fs::remove_dir(top.join("to/new"));
            assert_eq!(fs::read_dir(top.join("to")).expect("a directory").count(), 0);
        }
        fs::create_dir(top.join("to/old")).expect("made");
        let atomic = TreeOptions { everything, atomic: true, ..options() };
        let fault = sync(top, "to/old", &atomic).expect_err("it doesn't fit");
        assert!(fault.what.contains(what), "{fault}");
        fs::remove_dir(top.join("to/old")).expect("empty");
        assert_eq!(fs::read_dir(top.join("to")).expect("a directory").count(), 0, "something is left");
    }
}

#[test]
fn part_no_blocks() {
    if let Some(directory) = directory() {
        does_not_fit(&directory, " are free (ENOSPC)");
    }
}

#[test]
fn part_no_inodes() {
    if let Some(directory) = directory() {
        does_not_fit(&directory, " new files are to come, and the file system has room for ");
    }
}

/// What is replaced is free again, so a disk that is nearly full takes a tree of the same size.
#[test]
fn what_is_replaced_counts_as_room() {
    on_small_disk("part_replaced", "size=9m,nr_inodes=2100");
}

#[test]
fn part_replaced() {
    let Some(directory) = directory() else { return };
    plant_small(&directory);
    let (summary, problems) = sync(&directory, "to", &options()).expect("it fits");
    assert!(summary.files == 1000 && problems.is_empty(), "{problems:?}");
    for number in 0..1000 {
        fs::write(directory.join(format!("from/f{number}")), [8; 1200]).expect("written");
    }
    let (summary, problems) = sync(&directory, "to", &options()).expect("it fits");
    assert!(summary.files == 1000 && problems.is_empty(), "{problems:?}");
}

/// Its content may leave together with its entry: it is the announcement that is answered.
#[test]
fn a_large_file_that_does_not_fit_is_refused_when_it_is_announced() {
    on_small_disk("part_no_room_for_one", "size=4m");
}

#[test]
fn part_no_room_for_one() {
    let Some(directory) = directory() else { return };
    fs::write(directory.join("from/f"), vec![7; 5 << 20]).expect("written");
    let store = Store::home(&directory).expect("a store");
    for (everything, delta) in [(true, true), (true, false), (false, true), (false, false)] {
        let options = TreeOptions { everything, delta, beside: true, ..options() };
        let mut source = store.tree_source(&["from/.".into()], options.clone()).expect("a source");
        let mut sink = store.tree_sink(Path::new("to"), &Layout::Into, options).expect("a sink");
        let mut pieces = VecDeque::new();
        let fault = loop {
            let record = match source.produce() {
                Produced::Piece(piece) => {
                    pieces.push_back(piece);
                    continue;
                }
                Produced::Large(entry, _) => Some(Record::Large { entry, stream: 2, parts: 4 }),
                Produced::Beside(entry, _) => Some(Record::Beside { entry, stream: 2 }),
                Produced::Waiting => None,
                Produced::Finished => panic!("it was not refused"),
            };
            let announced = record.is_some();
            let mut piece = Vec::new();
            record.inspect(|record| record.encode(&mut piece));
            pieces.push_back(piece.into());
            match sink.take_all(std::mem::take(&mut pieces)) {
                Ok(_) if announced => panic!("everything {everything}, delta {delta}: it was not refused"),
                Ok(step) => source.answer(&step.answers).expect("answers"),
                Err(fault) => break fault,
            }
        };
        assert!(fault.what.contains("5242880 bytes"), "{fault}");
        assert_eq!(fault.errno.as_deref(), Some("ENOSPC"));
    }
}

/// Announces the only file of `from`, and gives what it would be written to, or what was reported of it.
fn ask_for_large(store: &Store, top: &Path) -> Result<Result<Box<Landing>, String>, Fault> {
    let options = TreeOptions { resume: true, beside: true, everything: true, ..options() };
    let mut source = store.tree_source(&[top.join("from/.")], options.clone())?;
    let mut sink = store.tree_sink(&top.join("to"), &Layout::Into, options.clone())?;
    loop {
        let piece = match source.produce() {
            Produced::Piece(piece) => piece,
            Produced::Large(entry, _) => {
                let mut piece = Vec::new();
                Record::Large { entry, stream: 2, parts: 4 }.encode(&mut piece);
                piece.into()
            }
            _ => panic!("a large file is announced"),
        };
        let mut step = sink.take_all([piece].into())?;
        source.answer(&step.answers)?;
        if let Some(large) = step.large.pop() {
            return Ok(Ok(large.landing));
        }
        let problem = sink.events().into_iter().find_map(|event| match event {
            TreeEvent::Problem(fault) => Some(fault.to_string()),
            _ => None,
        });
        if let Some(problem) = problem {
            return Ok(Err(problem));
        }
    }
}

/// A transfer whose connection was lost without notice ends a little later: the next one goes on with what it leaves.
#[test]
fn a_large_file_of_a_tree_that_another_transfer_writes_to_is_waited_for() {
    let scene = Scene::new();
    let size = 36 << 20;
    fs::write(scene.at("from/f"), vec![7; size]).expect("written");
    let partials = Partials::open(&scene.at("state")).expect("records");
    let store = Store::home(scene.directory.path()).expect("a store").with_partials(partials);
    let ask = || ask_for_large(&store, scene.directory.path()).expect("it is announced");
    let first = ask().expect("not in use");
    let kept = hidden_files(&scene.at("to"));
    fs::write(&kept[0], vec![7; 24 << 20]).expect("written");
    let problem = ask().expect_err("it is in use");
    assert!(problem.contains("another copy with --resume is writing to it"), "{problem}");
    let second = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            drop(first);
        });
        ask().expect("it has ended")
    });
    assert_eq!(second.kept(), 24 << 20);
}

fn hidden_files(top: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(top).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().contains("/.f.")).collect()
}

/// What an earlier transfer has left of a file needs no room again.
#[test]
fn what_is_there_of_a_tree_needs_no_room_again() {
    on_small_disk("part_kept_room", "size=48m");
}

#[test]
fn part_kept_room() {
    let Some(directory) = directory() else { return };
    let size = 36 << 20;
    fs::write(directory.join("from/f"), vec![7; size]).expect("written");
    let partials = Partials::open(&directory.join("to/state")).expect("records");
    let store = Store::home(&directory).expect("a store").with_partials(partials);
    let ask = || ask_for_large(&store, &directory);
    let landing = ask().expect("there is room").expect("not in use");
    fs::write(&hidden_files(&directory.join("to"))[0], vec![7; 24 << 20]).expect("written");
    drop(landing);
    fs::write(directory.join("to/other"), vec![1; 8 << 20]).expect("written");
    assert_eq!(ask().expect("there is room for the rest").expect("not in use").kept(), 24 << 20);
    fs::write(directory.join("to/another"), vec![1; 6 << 20]).expect("written");
    let fault = ask().expect_err("the rest does not fit");
    assert!(fault.what.contains("12582912 bytes"), "{fault}");
}

/// A large file needs room beside the old one, though that is free afterwards.
#[test]
fn a_large_file_needs_room_beside_the_old_one() {
    on_small_disk("part_beside_old", "size=48m");
}

#[test]
fn part_beside_old() {
    let Some(directory) = directory() else { return };
    for top in ["from", "to"] {
        fs::write(directory.join(top).join("f"), top.repeat(9 << 20)).expect("written");
    }
    let store = Store::home(&directory).expect("a store");
    let problem = ask_for_large(&store, &directory).expect("the transfer goes on").expect_err("it does not fit");
    assert!(problem.contains("37748736 bytes are needed"), "{problem}");
    fs::write(directory.join("from/f"), vec![7; 20 << 20]).expect("written");
    ask_for_large(&store, &directory).expect("it is announced").expect("there is room");
}
