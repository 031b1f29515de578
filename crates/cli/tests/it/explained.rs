//! `--explain` tells the last sync from writing, and the destination's old file and a limit from the source. Where the files land, strace(1) makes
//! calls take long, or nothing.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::host::{Host, client_behind};
use super::run::{Finished, finish};

/// How long each sync takes on the slow disk, in microseconds.
const SYNC: u64 = 800_000;

/// The end that stores the files.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stores {
    Server,
    Client,
}

/// The calls that sync.
const SYNCS: &str = "fsync,fdatasync,syncfs";

/// Does to some calls what a fault says: `CALLS:FAULT`, or `FAULT` for those that sync.
fn behind(fault: &str) -> Vec<String> {
    let (calls, fault) = fault.split_once(':').unwrap_or((SYNCS, fault));
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{fault}"));
    // -D: the program keeps its process, so a signal ends it and its exit code is its own.
    ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(str::to_owned).into()
}

fn strace_works() -> bool {
    let tried = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not trace here");
    }
    works
}

/// 1.1 MB at 2 MB/s: `unglue WORDS` in a home with the file `new`, and with the directory `tree` that has the same file and `extra`; both are at
/// the server, too, without `extra`.
fn copy(stores: Stores, fault: &str, words: &[&str]) -> Finished {
    copy_of(1_100_000, stores, fault, words)
}

fn copy_of(bytes: usize, stores: Stores, fault: &str, words: &[&str]) -> Finished {
    let wrapper = behind(fault);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let (slow_server, slow_client): (&[&str], &[&str]) = match stores {
        Stores::Server => (&wrapper, &[]),
        Stores::Client => (&[], &wrapper),
    };
    let host = Host::start_behind(slow_server);
    // They differ in size, so a tree is never unchanged.
    for (bytes, top) in [(bytes, host.home()), (bytes + 1, host.root())] {
        fs::create_dir(top.join("tree")).expect("made");
        for name in ["new", "tree/new"] {
            fs::write(top.join(name), vec![b'x'; bytes]).expect("written");
        }
    }
    fs::write(host.home().join("tree/extra"), "x").expect("written");
    let port = host.port.to_string();
    let mut command = client_behind(slow_client, &host.home());
    command.args([words[0], "-P", &port, "--explain", "--limit", "2M"]).args(&words[1..]);
    finish(&mut command).expect(0)
}

#[test]
fn a_copy_whose_last_sync_is_slow_says_so() {
    if !strace_works() {
        return;
    }
    let (slow, none) = (format!("delay_exit={SYNC}"), "retval=0");
    let ways = [(Stores::Server, ["cp", "new", "127.0.0.1:there"]), (Stores::Client, ["cp", "127.0.0.1:new", "here"])];
    for (stores, words) in ways {
        let told = copy(stores, &slow, &words).stderr;
        let expected = "Syncing was the bottleneck: after all bytes had arrived, the destination took ";
        assert!(told.contains(expected), "{stores:?}: {told}");
        assert!(told.contains(", syncing 1.") || told.contains(", syncing 2."), "the file and its directory: {told}");
        let told = copy(stores, none, &words).stderr;
        assert!(told.contains(", syncing ") && told.contains("The limit was the bottleneck"), "{stores:?}: {told}");
    }
    // Over an old file, of which only what changed is sent.
    let ways =
        [(Stores::Server, ["cp", "new", "127.0.0.1:tree/new"]), (Stores::Client, ["cp", "127.0.0.1:new", "tree/new"])];
    for (stores, words) in ways {
        let told = copy(stores, &slow, &words).stderr;
        assert!(told.contains("Syncing was the bottleneck"), "{stores:?}: {told}");
    }
}

/// Only the destination's old file is slow to read.
#[test]
fn a_slow_old_file_is_told_from_a_slow_source() {
    if !strace_works() {
        return;
    }
    let slow = "pread64:delay_exit=300000";
    let ways =
        [(Stores::Server, ["cp", "new", "127.0.0.1:tree/new"]), (Stores::Client, ["cp", "127.0.0.1:new", "tree/new"])];
    for (stores, words) in ways {
        let told = copy(stores, slow, &words).stderr;
        assert!(told.contains("The old file was the bottleneck"), "{stores:?}: {told}");
    }
}

/// The same in a tree, which has a stream of its own beside that of the file.
#[test]
fn a_slow_old_file_of_a_tree_is_told_from_a_slow_source() {
    if !strace_works() {
        return;
    }
    let slow = "pread64:delay_exit=200000";
    let ways = [(Stores::Server, ["tree/", "127.0.0.1:tree"]), (Stores::Client, ["127.0.0.1:tree/", "tree"])];
    for (stores, [from, to]) in ways {
        let told = copy_of(6_000_000, stores, slow, &["sync", "-a", from, to]).stderr;
        // It is read once more when its parts are used.
        let one =
            ["old file", "destination"].iter().any(|what| told.contains(&format!("The {what} was the bottleneck")));
        assert!(one && !told.contains("old file 0."), "{stores:?}: {told}");
    }
}

#[test]
fn a_tree_whose_last_sync_is_slow_says_so() {
    if !strace_works() {
        return;
    }
    let (slow, none) = (format!("delay_exit={SYNC}"), "retval=0");
    for stores in [Stores::Server, Stores::Client] {
        for flags in ["-a", "-a --atomic"] {
            let (from, to) = match stores {
                Stores::Server => ("tree/", "127.0.0.1:copy"),
                Stores::Client => ("127.0.0.1:tree/", "copy"),
            };
            let words: Vec<&str> = ["sync", "--json"].into_iter().chain(flags.split(' ')).chain([from, to]).collect();
            let explained = |fault: &str| {
                let done = copy(stores, fault, &words);
                let lines = done.text().lines().map(|line| serde_json::from_str(line).expect("JSON"));
                let found = lines.map(|line: Value| line["explained"].clone()).find(Value::is_object);
                found.unwrap_or_else(|| panic!("{done:?}"))
            };
            let with = explained(&slow);
            assert_eq!(with["bottleneck"], "syncing", "{stores:?}, {flags}: {with}");
            let receiver = if stores == Stores::Server { &with["there"] } else { &with["here"] };
            let (sink, sync) = (receiver["sink_us"].as_u64(), receiver["sync_us"].as_u64());
            assert!(sync >= Some(SYNC) && sync <= sink, "{stores:?}, {flags}: {with}");
            let without = explained(none);
            assert_eq!(without["bottleneck"], "limit", "{stores:?}, {flags}: {without}");
        }
    }
    let told = copy(Stores::Client, &slow, &["sync", "-a", "--delete", "127.0.0.1:tree/", "tree"]).stderr;
    assert!(told.contains(" to sync the files, put them in place, and delete others."), "{told}");
}
