//! `unglue cp -r`, `unglue sync`, and the commands for single names.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::host::Host;
use super::run::{Finished, finish, start, until};

impl Host {
    fn unglue(&self, words: &[&str]) -> Finished {
        finish(self.client([words[0], "-P", &self.port.to_string()]).args(&words[1..]))
    }
}

/// A tree with every kind of entry and awkward names.
fn plant(top: &Path) {
    fs::create_dir_all(top.join("a/b/empty")).expect("made");
    for (name, text) in [("a/small", "small"), ("empty", ""), ("a/b/-rf", "x"), ("line\nbreak", "x"), ("a b", "x")] {
        fs::write(top.join(name), text).expect("written");
    }
    fs::write(top.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").expect("written");
    fs::write(top.join("a/large"), (0..6_000_000u32).map(|n| n as u8).collect::<Vec<u8>>()).expect("written");
    fs::hard_link(top.join("a/small"), top.join("a/b/other")).expect("linked");
    symlink("a/small", top.join("link")).expect("linked");
    symlink("/nowhere/\u{1b}[2J", top.join("dangling")).expect("linked");
    let sparse = File::create(top.join("sparse")).expect("made");
    sparse.set_len(40 << 20).expect("grown");
    sparse.write_all_at(b"in the middle", 20 << 20).expect("written");
    fs::set_permissions(top.join("a/b"), Permissions::from_mode(0o2755)).expect("set");
    fs::set_permissions(top.join("a/small"), Permissions::from_mode(0o640)).expect("set");
    let _ = Command::new("setfattr").args(["-n", "user.colour", "-v", "blue"]).arg(top.join("a/small")).status();
    let _ = Command::new("setfacl").args(["-m", "u:1234:rx"]).arg(top.join("empty")).status();
    let _ = Command::new("setfacl").args(["-d", "-m", "g:1234:rwx"]).arg(top.join("a/b/empty")).status();
    let old = std::time::UNIX_EPOCH - std::time::Duration::from_secs(2_208_988_800);
    File::open(top.join("a/b/-rf")).expect("opened").set_modified(old).expect("set");
    let far = std::time::UNIX_EPOCH + std::time::Duration::new(9_300_000_000, 123_456_789);
    File::open(top.join("a")).expect("opened").set_modified(far).expect("set");
}

/// What a program prints about everything in a directory; `None` if it isn't installed.
fn seen_by(program: &str, arguments: &[&str], top: &Path) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).arg(".").current_dir(top).output() else {
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<_> =
        output.stdout.split(|byte| *byte == b'\n').map(|line| line.escape_ascii().to_string()).collect();
    // getfattr and getfacl write a paragraph for each entry, in the order of the directory.
    lines.sort();
    Some(lines.join("\n"))
}

/// Fails unless programs that aren't ours see the same in two trees: contents, attributes, lists, modes, blocks on the disk.
#[track_caller]
fn same_by_others(one: &Path, other: &Path) {
    let diff = Command::new("diff").args(["-r", "--no-dereference"]).args([one, other]).output().expect("diff runs");
    assert!(diff.status.success(), "diff: {}", String::from_utf8_lossy(&diff.stdout));
    let programs: [(&str, &[&str]); 4] = [
        ("getfattr", &["-R", "-h", "-d", "-m", "-", "--absolute-names"]),
        ("getfacl", &["-R", "-P", "-n"]),
        ("du", &["-a", "-l"]),
        ("find", &[]),
    ];
    for (program, arguments) in programs {
        assert_eq!(seen_by(program, arguments, one), seen_by(program, arguments, other), "{program}");
    }
}

/// Fails unless rsync finds nothing to do between two trees.
#[track_caller]
fn same_by_rsync(one: &Path, other: &Path, flags: &str) {
    let mut command = Command::new("rsync");
    let Ok(output) = command.args([flags, "--checksum", "--delete"]).arg(one.join("")).arg(other.join("")).output()
    else {
        eprintln!("skipped: rsync is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.is_empty(), "rsync would change: {text}");
}

#[test]
fn a_tree_goes_there_and_back_with_everything_that_it_has() {
    let host = Host::start();
    let from = host.home().join("from");
    fs::create_dir(&from).expect("made");
    plant(&from);
    host.unglue(&["sync", "-a", "from/", "127.0.0.1:there"]).expect(0);
    same_by_rsync(&from, &host.root().join("there"), "-aHAXniO");
    host.unglue(&["sync", "-a", "127.0.0.1:there/", "back"]).expect(0);
    same_by_rsync(&from, &host.home().join("back"), "-aHAXniO");
    same_by_others(&from, &host.root().join("there"));
    same_by_others(&from, &host.home().join("back"));
    let times = |path: &Path| fs::metadata(path).map(|stat| (stat.mtime(), stat.mtime_nsec())).expect("there");
    assert_eq!(times(&host.home().join("back/a")), (9_300_000_000, 123_456_789));
    let blocks = fs::metadata(host.home().join("back/sparse")).expect("there").blocks();
    assert!(blocks < 1000, "a hole was filled: {blocks} blocks");
    let again = host.unglue(&["sync", "-av", "from/", "127.0.0.1:there"]).expect(0);
    assert!(again.text().lines().count() == 1 && again.text().contains("0 files sent"), "{again:?}");
}

#[test]
fn cp_copies_directories_as_cp_does() {
    let host = Host::start();
    fs::create_dir_all(host.home().join("d/sub")).expect("made");
    fs::write(host.home().join("d/sub/f"), "x").expect("written");
    fs::write(host.home().join("g"), "y").expect("written");
    let done = host.cp(["-r", "d", "127.0.0.1:new"]).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("", ""), "quiet where there is no terminal");
    assert!(host.root().join("new/sub/f").is_file());
    host.cp(["-r", "d", "127.0.0.1:new"]).expect(0);
    assert!(host.root().join("new/d/sub/f").is_file(), "into a directory that is there");
    host.cp(["-r", "d", "g", "127.0.0.1:new"]).expect(0);
    assert!(host.root().join("new/g").is_file());
    host.cp(["-r", "127.0.0.1:new/d", "back"]).expect(0);
    assert!(host.home().join("back/sub/f").is_file());
    host.cp(["-r", "127.0.0.1:new/g", "127.0.0.1:new/d", "back"]).expect(0);
    assert!(host.home().join("back/g").is_file() && host.home().join("back/d/sub/f").is_file());
    // Without -r a directory is named, and the way to copy it.
    host.cp(["d", "127.0.0.1:"]).expect(1).complains("-r");
    host.cp(["-r", "d/.", "127.0.0.1:made"]).expect(0);
    assert!(host.root().join("made/sub/f").is_file(), "what is in a directory, into one that is made");
    // Over what is there, with what is there kept.
    fs::write(host.root().join("new/extra"), "z").expect("written");
    fs::write(host.home().join("d/sub/f"), "newer").expect("written");
    host.cp(["-r", "d/.", "127.0.0.1:new"]).expect(0);
    assert_eq!(fs::read(host.root().join("new/sub/f")).expect("there"), b"newer");
    assert!(host.root().join("new/extra").is_file());
}

#[test]
fn from_one_server_to_another_through_this_machine() {
    let host = Host::start();
    fs::create_dir(host.root().join("one")).expect("made");
    plant(&host.root().join("one"));
    // cp keeps no set-id bits.
    fs::set_permissions(host.root().join("one/a/b"), Permissions::from_mode(0o755)).expect("set");
    host.cp(["-rp", "127.0.0.1:one", "127.0.0.1:two"]).expect(0);
    same_by_rsync(&host.root().join("one"), &host.root().join("two"), "-rlpniO");
    host.cp(["-rp", "--compress", "zstd:3", "127.0.0.1:one", "127.0.0.1:packed"]).expect(0);
    same_by_rsync(&host.root().join("one"), &host.root().join("packed"), "-rlpniO");
    host.cp(["127.0.0.1:one/a/small", "127.0.0.1:three"]).expect(0);
    assert_eq!(fs::read(host.root().join("three")).expect("there"), b"small");
    host.cp(["127.0.0.1:one", "127.0.0.1:four"]).expect(1).complains("it is a directory");
    host.cp(["-r", "127.0.0.1:missing", "127.0.0.1:four"]).expect(1).complains("missing");
}

#[test]
fn what_was_not_done_is_named_and_the_rest_goes_on() {
    let host = Host::start();
    fs::create_dir(host.home().join("d")).expect("made");
    fs::write(host.home().join("d/f"), "x").expect("written");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        host.home().join("d/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a FIFO");
    let done = host.cp(["-r", "d", "missing", "127.0.0.1:"]).expect(1);
    assert!(done.stderr.contains("d/pipe") && done.stderr.contains("missing"), "{done:?}");
    assert!(host.root().join("d/f").is_file());
    fs::remove_file(host.home().join("d/pipe")).expect("removed");
    host.unglue(&["sync", "d/", "127.0.0.1:../outside"]).expect(1).complains("leads out of the root");
    host.unglue(&["sync", "d/", "127.0.0.1:no/such/place"]).expect(1).complains("no/such/place");
    host.unglue(&["sync", "d", "e"]).expect(125).complains("both sides are local");
}

#[test]
fn json_names_each_change_and_sums_up() {
    let host = Host::start();
    fs::create_dir(host.home().join("d")).expect("made");
    fs::write(host.home().join("d/f"), "x").expect("written");
    fs::create_dir(host.root().join("there")).expect("made");
    fs::write(host.root().join("there/old"), "x").expect("written");
    for (words, pulls) in [(["d/", "127.0.0.1:there"], false), (["127.0.0.1:there/", "again"], true)] {
        let done = host.unglue(&["sync", "-a", "--delete", "--json", words[0], words[1]]).expect(0);
        let lines: Vec<Value> =
            done.text().lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect();
        let paths = |kind: &str| -> Vec<String> {
            lines.iter().filter_map(|line| line[kind]["path"].as_str()).map(str::to_owned).collect()
        };
        assert!(paths("changed").contains(&"f".to_owned()), "{lines:?}");
        assert_eq!(paths("deleted"), if pulls { vec![] } else { vec!["old".to_owned()] });
        let summary = &lines.last().expect("a line")["summary"];
        assert_eq!((&summary["files"], &summary["bytes"], &summary["problems"]), (&1.into(), &1.into(), &0.into()));
    }
}

#[test]
fn a_trial_run_shows_what_would_be_done_and_does_nothing() {
    let host = Host::start();
    fs::create_dir_all(host.home().join("d/sub")).expect("made");
    fs::write(host.home().join("d/sub/f"), "x").expect("written");
    fs::create_dir(host.root().join("there")).expect("made");
    fs::write(host.root().join("there/old"), "x").expect("written");
    let done = host.unglue(&["sync", "-an", "--delete", "d/", "127.0.0.1:there"]).expect(0);
    let lines: Vec<&str> = done.text().lines().collect();
    assert_eq!(lines[..3], ["sub/", "sub/f", "deleting old"], "{done:?}");
    assert!(lines[3].contains("1 files (1 B) would be sent"), "{done:?}");
    host.unglue(&["sync", "-an", "d/", "127.0.0.1:new"]).expect(0);
    assert!(!host.root().join("new").exists() && host.root().join("there/old").exists());
    assert!(!host.root().join("there/sub").exists());
}

#[test]
fn rules_and_lists_choose_what_is_sent() {
    let host = Host::start();
    for name in ["a.o", "a.c", "sub/b.o", "sub/keep.o", "tmp/x"] {
        let path = host.home().join("d").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "x").expect("written");
    }
    fs::write(host.home().join("rules"), "# comment\n- /tmp/\n").expect("written");
    let there = |name: &str| host.root().join(name).exists();
    let words = ["sync", "--include", "keep.o", "--exclude", "*.o", "--exclude-from", "rules", "d/", "127.0.0.1:one"];
    host.unglue(&words).expect(0);
    assert!(there("one/a.c") && there("one/sub/keep.o"));
    assert!(!there("one/a.o") && !there("one/sub/b.o") && !there("one/tmp"));
    // The order in which they are typed counts.
    host.unglue(&["sync", "--exclude", "*.o", "--include", "keep.o", "d/", "127.0.0.1:two"]).expect(0);
    assert!(!there("two/sub/keep.o"));
    fs::write(host.home().join("list"), "sub/b.o\ntmp\n").expect("written");
    host.unglue(&["sync", "--files-from", "list", "d/", "127.0.0.1:three"]).expect(0);
    assert!(there("three/sub/b.o") && there("three/tmp/x") && !there("three/sub/keep.o") && !there("three/a.c"));
    host.unglue(&["sync", "--chmod", "D711,F600", "d/", "127.0.0.1:four"]).expect(0);
    let mode = |name: &str| fs::metadata(host.root().join(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("four/sub"), mode("four/a.c")), (0o711, 0o600));
}

#[test]
fn contents_are_compared_where_that_is_asked_for() {
    let host = Host::start();
    for (directory, text) in [(host.home().join("d"), "new"), (host.root().join("d"), "old")] {
        fs::create_dir(&directory).expect("made");
        fs::write(directory.join("f"), text).expect("written");
        let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options().write(true).open(directory.join("f")).expect("opened").set_modified(then).expect("set");
    }
    let there = || fs::read(host.root().join("d/f")).expect("there");
    host.unglue(&["sync", "d", "127.0.0.1:"]).expect(0);
    assert_eq!(there(), b"old", "size and time are the same");
    host.unglue(&["sync", "--checksum", "d", "127.0.0.1:"]).expect(0);
    assert_eq!(there(), b"new");
}

#[test]
fn names_are_listed_made_moved_removed_and_digested() {
    let host = Host::start();
    host.unglue(&["mkdir", "-p", "127.0.0.1:a/b/c"]).expect(0);
    host.unglue(&["mkdir", "-p", "127.0.0.1:a/b/c"]).expect(0);
    host.unglue(&["mkdir", "127.0.0.1:a"]).expect(1).complains("it exists already");
    fs::write(host.root().join("a/f"), "hello").expect("written");
    fs::write(host.root().join("a/odd\x1bname"), "").expect("written");
    let listed = host.unglue(&["ls", "127.0.0.1:a"]).expect(0);
    assert_eq!(listed.text(), "b\nf\nodd\\u{1b}name\n");
    let long = host.unglue(&["ls", "-l", "127.0.0.1:a/f"]).expect(0);
    assert!(long.text().starts_with("-rw") && long.text().contains(" 5 2"), "{long:?}");
    let stat = host.unglue(&["stat", "--json", "127.0.0.1:a/f"]).expect(0);
    let stat: Value = serde_json::from_str(stat.text()).expect("JSON");
    assert_eq!((&stat["kind"], &stat["size"], &stat["name"]), (&"file".into(), &5.into(), &"a/f".into()));
    let hash = host.unglue(&["hash", "127.0.0.1:a/f"]).expect(0);
    assert_eq!(hash.text(), "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f  a/f\n");
    host.unglue(&["mv", "127.0.0.1:a/f", "127.0.0.1:a/b"]).expect(0);
    host.unglue(&["mv", "127.0.0.1:a/b/f", "g"]).expect(0);
    assert_eq!(fs::read(host.root().join("g")).expect("there"), b"hello");
    host.unglue(&["rm", "127.0.0.1:a"]).expect(1).complains("add -r");
    symlink(host.home(), host.root().join("a/out")).expect("linked");
    host.unglue(&["rm", "-r", "127.0.0.1:a", "127.0.0.1:g"]).expect(0);
    assert_eq!(fs::read_dir(host.root()).expect("a directory").count(), 0);
    assert!(host.home().join("host_key").exists(), "a link was followed");
    host.unglue(&["rm", "127.0.0.1:gone"]).expect(1).complains("127.0.0.1:gone");
    for words in [["rm", "127.0.0.1:../host_key"], ["ls", "127.0.0.1:.."], ["hash", "127.0.0.1:../host_key"]] {
        host.unglue(&words).expect(1).complains("leads out of the root");
    }
    host.unglue(&["ls", "here"]).expect(125).complains("local path");
}

#[test]
fn a_directory_is_replaced_as_a_whole() {
    let host = Host::start();
    let from = host.home().join("from");
    fs::create_dir(&from).expect("made");
    plant(&from);
    for words in [["from/", "127.0.0.1:there"], ["127.0.0.1:there/", "back"]] {
        for changed in [true, false] {
            if changed {
                fs::write(from.join("a b"), words[0]).expect("written");
            }
            let done = host.unglue(&["sync", "-a", "-v", "--delete", "--atomic", words[0], words[1]]).expect(0);
            assert!(done.text().contains("entries"), "{done:?}");
        }
        if words[0] == "from/" {
            same_by_rsync(&from, &host.root().join("there"), "-aHAXni");
        }
    }
    same_by_rsync(&host.root().join("there"), &host.home().join("back"), "-aHAXni");
    same_by_others(&host.root().join("there"), &host.home().join("back"));
    for top in [host.root(), host.home()] {
        let left = fs::read_dir(top).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().contains(".unglue-")));
    }
    host.unglue(&["sync", "--atomic", "from/", "127.0.0.1:"]).expect(1).complains("it has no name of its own");
    // A source that can't be read replaces nothing.
    fs::write(host.root().join("there/mark"), "old").expect("written");
    let done = host.unglue(&["sync", "-a", "--delete", "--atomic", "missing", "127.0.0.1:there"]).expect(1);
    assert!(done.stderr.contains("nothing was published"), "{done:?}");
    assert!(host.root().join("there/mark").exists() && host.root().join("there/a/large").exists());
}

#[test]
fn a_rate_is_kept_both_ways() {
    let host = Host::start();
    fs::create_dir(host.home().join("d")).expect("made");
    for name in ["one", "two"] {
        fs::write(host.home().join("d").join(name), vec![7; 150_000]).expect("written");
    }
    let kinds: [&[&str]; 7] = [
        &["sync", "--limit", "300KB", "d/", "127.0.0.1:there"],
        &["sync", "--limit", "300KB", "127.0.0.1:there/", "back"],
        &["cp", "-r", "--limit", "300KB", "d", "127.0.0.1:copy"],
        &["cp", "--limit", "300KB", "d/one", "d/two", "127.0.0.1:"],
        &["cp", "--limit", "300KB", "127.0.0.1:one", "127.0.0.1:two", "."],
        // Between two servers: this end passes the bytes on, and keeps the rate.
        &["cp", "-r", "--limit", "300KB", "127.0.0.1:there", "127.0.0.1:between"],
        // The destination has these files: otherwise hardly anything would be sent.
        &["cp", "--limit", "300KB", "--whole-file", "127.0.0.1:one", "127.0.0.1:two", "127.0.0.1:copy"],
    ];
    for words in kinds {
        let began = std::time::Instant::now();
        host.unglue(words).expect(0);
        // 300,000 bytes, less a tenth of a second's worth that may come at once.
        assert!(began.elapsed() > std::time::Duration::from_millis(790), "{words:?}: {:?}", began.elapsed());
    }
    host.unglue(&["sync", "--limit", "fast", "d/", "127.0.0.1:there"]).expect(125).complains("is not a rate");
}

/// Whether a temporary name is anywhere below a directory.
fn has_temporary(top: &Path) -> bool {
    let found = Command::new("find").arg(top).args(["-name", ".*.unglue-*"]).output().expect("find runs");
    !found.stdout.is_empty()
}

/// What was complete stays, what was not is removed, the message says how to go on, and the next run does.
#[test]
fn an_interrupt_leaves_what_was_finished_and_nothing_else() {
    let host = Host::start();
    for number in 0..60 {
        for top in [host.home(), host.root()] {
            fs::create_dir_all(top.join("d/sub")).expect("made");
            fs::write(top.join(format!("d/sub/f{number:02}")), vec![number; 100_000]).expect("written");
        }
    }
    let kinds: [(&[&str], PathBuf, bool); 4] = [
        (&["cp", "-r", "d", "127.0.0.1:up"], host.root(), false),
        (&["sync", "-a", "127.0.0.1:d/", "down"], host.home(), false),
        (&["sync", "-a", "--atomic", "d/", "127.0.0.1:whole"], host.root(), true),
        (&["sync", "-a", "--atomic", "127.0.0.1:d/", "whole"], host.home(), true),
    ];
    for (words, top, atomic) in kinds {
        let limited = [&words[..1], &["--limit", "1MB"], &words[1..]].concat();
        let to = top.join(words[words.len() - 1].trim_start_matches("127.0.0.1:"));
        let client = start(host.client([limited[0], "-P", &host.port.to_string()]).args(&limited[1..]));
        match atomic {
            // Bundles that come slowly are put in place every two seconds.
            false => until("the first files", || to.join("sub/f00").exists().then_some(())),
            true => until("the first files", || has_temporary(&top).then_some(())),
        }
        client.signal(rustix::process::Signal::INT);
        let done = client.finish().expect(130).complains("interrupted");
        assert!(done.stderr.contains("run it again to go on"), "{done:?}");
        if top == host.root() {
            until("the server's removal of what came", || (!has_temporary(&top)).then_some(()));
        }
        assert!(!has_temporary(&top), "{words:?}: something is left");
        let names = fs::read_dir(to.join("sub"))
            .map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.expect("one").path()).collect());
        assert!(
            if atomic { names.is_empty() } else { (1..60).contains(&names.len()) },
            "{words:?}: {} files",
            names.len()
        );
        for path in &names {
            assert_eq!(fs::read(path).expect("there").len(), 100_000, "{path:?}");
        }
        if !atomic {
            let again = host.unglue(words).expect(0);
            assert!(again.stderr.is_empty(), "{again:?}");
            let missing = (0..60).find(|number| {
                !to.join(format!("sub/f{number:02}")).exists() && !to.join(format!("d/sub/f{number:02}")).exists()
            });
            assert_eq!(missing, None, "{words:?}");
        }
    }
}

/// Both ways: the client is killed, and for an upload the server is killed, too.
#[test]
fn a_sync_with_resume_goes_on_after_kills() {
    let mut host = Host::start();
    let contents: Vec<u8> = (0..(96u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    for up in [true, false] {
        let (from, to) = match up {
            true => (host.home().join("tree"), host.root().join("there")),
            false => (host.root().join("tree"), host.home().join("there")),
        };
        fs::create_dir_all(from.join("d")).expect("made");
        fs::create_dir_all(to.join("d")).expect("made");
        fs::write(from.join("d/f"), &contents).expect("written");
        fs::write(from.join("small"), "small").expect("written");
        let words = if up { ["tree/", "127.0.0.1:there"] } else { ["127.0.0.1:tree/", "there"] };
        let part = || {
            let names = fs::read_dir(to.join("d")).ok()?.map(|entry| entry.expect("an entry").path());
            names.into_iter().find(|path| path.to_string_lossy().contains(".f.unglue-"))
        };
        let begin = |least: u64| {
            let port = host.port.to_string();
            let flags = ["sync", "-P", &port, "--resume", "--limit", "16M"];
            let client = start(host.client(flags.iter().chain(&words)).stdin(std::process::Stdio::null()));
            let length = || part().and_then(|part| fs::metadata(part).ok()).map_or(0, |file| file.len());
            until("a part of the file", || (length() >= least).then_some(()));
            client
        };
        let client = begin(17 << 20);
        client.signal(rustix::process::Signal::KILL);
        client.finish().expect(137);
        let inode = fs::metadata(part().expect("it stays")).expect("it stays").ino();
        assert!(!to.join("d/f").exists(), "a part has the name");
        // The server of an upload learns that the client is gone.
        until("the end of the transfer", || {
            let part = File::open(part()?).ok()?;
            rustix::fs::flock(&part, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()
        });
        if up {
            let client = begin(33 << 20);
            host.crash();
            client.finish().expect(125);
            host.restart();
        }
        host.unglue(&["sync", "--resume", words[0], words[1]]).expect(0);
        assert!(fs::read(to.join("d/f")).expect("it is there") == contents);
        assert_eq!(part(), None);
        assert_eq!(fs::metadata(to.join("d/f")).expect("it is there").ino(), inode, "it went on with another file");
        assert_eq!(fs::read(to.join("small")).expect("it is there"), b"small");
        let contents_of = format!("{}.", words[0]);
        let again = host.unglue(&["cp", "-r", "--resume", "--json", &contents_of, words[1]]).expect(0);
        assert!(again.text().contains("\"files\":0"), "what is complete was sent again: {again:?}");
    }
}

#[test]
fn resume_and_atomic_exclude_each_other() {
    let host = Host::start();
    host.unglue(&["sync", "--resume", "--atomic", "a/", "127.0.0.1:b"]).expect(125).complains("--resume");
}
