//! `unglue cp`: both ways, every name, and what is left when it fails.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};

use super::host::Host;
use super::run::{finish, start, until};

/// `127.0.0.1:PATH`
fn remote(path: &[u8]) -> OsString {
    OsString::from_vec([b"127.0.0.1:", path].concat())
}

/// Names that go wrong where a shell or a terminal sees them.
const ODD_NAMES: [&[u8]; 6] = [b"a b", b"line\nbreak", b"\xff\xfe", b"-rf", b"'\"$(touch x)", b"c:d"];

fn names(directory: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<OsString> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_file_goes_there_and_back() {
    let host = Host::start();
    let contents: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(host.home().join("up"), &contents).expect("written");
    let done = host.cp(["up", "127.0.0.1:there"]).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("", ""), "quiet where there is no terminal");
    assert!(fs::read(host.root().join("there")).expect("it is there") == contents);
    host.cp(["127.0.0.1:there", "down"]).expect(0);
    assert!(fs::read(host.home().join("down")).expect("it is here") == contents);
    assert_eq!(names(&host.root()), ["there"], "no temporary file is left");
}

/// What is written as `--compress`, files of each kind, both ways; how much travels is for the library's tests.
#[test]
fn a_file_arrives_whole_however_it_is_compressed() {
    let host = Host::start();
    let text: Vec<u8> = (0u32..).flat_map(|line| format!("line {line}\n").into_bytes()).take(1_000_000).collect();
    let noise: Vec<u8> = text.chunks(32).flat_map(|chunk| *blake3::hash(chunk).as_bytes()).collect();
    for (number, how) in ["off", "auto", "zstd:1", "zstd:19"].into_iter().enumerate() {
        for (name, contents) in [("text", &text), ("noise", &noise)] {
            fs::write(host.home().join("up"), contents).expect("written");
            let (there, down) = (format!("127.0.0.1:{name}{number}"), format!("{name}{number}"));
            host.cp(["--compress", how, "up", &there]).expect(0);
            host.cp(["--compress", how, &there, &down]).expect(0);
            assert!(fs::read(host.home().join(&down)).expect("it is here") == *contents, "{name}, {how}");
        }
    }
    let done = host.cp(["--compress", "zstd:20", "up", "127.0.0.1:there"]).expect(125);
    assert!(done.stderr.contains("write auto, off, or zstd:1 to zstd:19"), "{}", done.stderr);
}

#[test]
fn a_directory_keeps_the_name() {
    let host = Host::start();
    fs::create_dir(host.root().join("sub")).expect("made");
    fs::write(host.home().join("f"), "x").expect("written");
    host.cp(["f", "127.0.0.1:"]).expect(0);
    host.cp(["./f", "127.0.0.1:sub"]).expect(0);
    assert!(host.root().join("f").is_file() && host.root().join("sub/f").is_file());
    host.cp(["127.0.0.1:sub/f", "root/.."]).expect(0);
    host.cp(["127.0.0.1:sub/f", "g"]).expect(0);
    assert!(host.home().join("g").is_file());
}

#[test]
fn names_are_bytes() {
    let host = Host::start();
    for name in ODD_NAMES {
        let local = host.home().join("local").join(OsStr::from_bytes(name));
        fs::create_dir_all(host.home().join("local")).expect("made");
        fs::write(&local, name).expect("written");
        let typed = OsString::from_vec([b"local/", name].concat());
        host.cp([typed, remote(b"")]).expect(0);
        assert_eq!(fs::read(host.root().join(OsStr::from_bytes(name))).expect("it is there"), name);
        fs::remove_file(&local).expect("removed");
        host.cp([remote(name), OsString::from("local")]).expect(0);
        assert_eq!(fs::read(&local).expect("it is here"), name);
    }
    assert_eq!(names(&host.root()).len(), ODD_NAMES.len());
}

#[test]
fn the_mode_survives_and_times_do_where_asked() {
    let host = Host::start();
    let up = host.home().join("up");
    fs::write(&up, "#!/bin/sh\n").expect("written");
    fs::set_permissions(&up, Permissions::from_mode(0o750)).expect("chmod");
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open(&up).and_then(|file| file.set_modified(then)).expect("touched");
    host.cp(["up", "127.0.0.1:plain"]).expect(0);
    host.cp(["-p", "up", "127.0.0.1:kept"]).expect(0);
    host.cp(["-p", "127.0.0.1:kept", "back"]).expect(0);
    let of = |path: &Path| {
        let metadata = fs::metadata(path).expect("it is there");
        (metadata.mode() & 0o777, (metadata.mtime(), metadata.mtime_nsec()))
    };
    assert_eq!(of(&host.root().join("plain")).0, 0o750);
    assert_ne!(of(&host.root().join("plain")).1, (1_000_000_000, 123_456_789));
    for path in [host.root().join("kept"), host.home().join("back")] {
        assert_eq!(of(&path), (0o750, (1_000_000_000, 123_456_789)), "{}", path.display());
    }
}

#[test]
fn several_files_need_a_directory() {
    let host = Host::start();
    for name in ["a", "b"] {
        fs::write(host.home().join(name), name).expect("written");
    }
    host.cp(["a", "b", "127.0.0.1:"]).expect(0);
    assert_eq!(names(&host.root()), ["a", "b"]);
    let done = host.cp(["a", "b", "127.0.0.1:nowhere"]).expect(1);
    assert_eq!(done.stderr.matches("directories are not created").count(), 2, "{done:?}");
    assert_eq!(names(&host.root()), ["a", "b"]);
    fs::create_dir(host.home().join("here")).expect("made");
    host.cp(["127.0.0.1:a", "127.0.0.1:b", "here"]).expect(0);
    assert_eq!(names(&host.home().join("here")), ["a", "b"]);
    let done = host.cp(["127.0.0.1:a", "127.0.0.1:b", "here/a"]).expect(1);
    assert_eq!(done.stderr.matches("not a directory (ENOTDIR)").count(), 2, "{done:?}");
    assert_eq!(fs::read(host.home().join("here/a")).expect("it is there"), b"a");
}

#[test]
fn each_file_that_was_not_copied_is_named() {
    let host = Host::start();
    fs::write(host.home().join("good"), "x").expect("written");
    let done = host.cp(["missing-one", "good", "missing-two", "127.0.0.1:"]).expect(1);
    assert!(host.root().join("good").is_file(), "the others go on");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(lines[0].starts_with("unglue: missing-one: ") && lines[1].starts_with("unglue: missing-two: "), "{done:?}");
    let done = host.cp(["127.0.0.1:gone", "127.0.0.1:good", "."]).expect(1);
    assert!(done.stderr.starts_with("unglue: 127.0.0.1:gone: ") && host.home().join("good").is_file(), "{done:?}");
}

#[test]
fn what_leaves_the_root_is_refused_and_nothing_is_written() {
    let host = Host::start();
    fs::write(host.home().join("f"), "x").expect("written");
    let outside = host.home().join("outside");
    for path in ["../outside", outside.to_str().expect("text"), "sub/../../outside"] {
        let done = host.cp(["f", &format!("127.0.0.1:{path}")]).expect(1);
        assert!(done.stderr.starts_with("unglue: f: "), "{done:?}");
    }
    host.cp(["127.0.0.1:../f", "stolen"]).expect(1).complains("leads out of the root");
    assert!(!outside.exists() && !host.home().join("stolen").exists());
}

#[test]
fn a_failed_copy_leaves_the_old_file() {
    let host = Host::start();
    fs::write(host.home().join("old"), "old").expect("written");
    fs::create_dir(host.root().join("directory")).expect("made");
    host.cp(["127.0.0.1:directory", "old"]).expect(1).complains("directory");
    host.cp(["127.0.0.1:missing", "old"]).expect(1).complains("ENOENT");
    assert_eq!(fs::read(host.home().join("old")).expect("it is there"), b"old");
}

#[test]
fn without_a_server_nothing_is_copied() {
    let host = Host::start();
    fs::write(host.home().join("f"), "x").expect("written");
    finish(host.client(["cp", "-P", "1", "f", "127.0.0.1:"])).expect(125).complains("127.0.0.1:1");
}

#[test]
fn a_client_that_was_killed_leaves_no_part_under_the_name_and_the_next_one_cleans_up() {
    let host = Host::start();
    let here = host.home().join("here");
    fs::create_dir(&here).expect("made");
    fs::write(here.join("f"), "old").expect("written");
    fs::File::create(host.root().join("f")).and_then(|file| file.set_len(1 << 30)).expect("a large file");
    fs::write(host.root().join("small"), "small").expect("written");
    let port = host.port.to_string();
    let client = start(host.client(["cp", "-P", &port, "--limit", "1M", "127.0.0.1:f", "here"]).stdin(Stdio::null()));
    until("the temporary file", || (names(&here).len() > 1).then_some(()));
    client.signal(rustix::process::Signal::KILL);
    client.finish().expect(137);
    assert_eq!(fs::read(here.join("f")).expect("it is there"), b"old");
    assert_eq!(names(&here).len(), 2, "what was killed can't clean up: {:?}", names(&here));
    host.cp(["127.0.0.1:small", "."]).expect(0);
    assert_eq!(names(&here), ["f"]);
}

#[test]
fn an_interrupt_discards_the_file_under_way() {
    let host = Host::start();
    fs::File::create(host.home().join("f")).and_then(|file| file.set_len(1 << 30)).expect("a large file");
    let port = host.port.to_string();
    let client = start(host.client(["cp", "-P", &port, "--limit", "1M", "f", "127.0.0.1:"]).stdin(Stdio::null()));
    until("the temporary file", || (!names(&host.root()).is_empty()).then_some(()));
    client.signal(rustix::process::Signal::INT);
    client.finish().expect(130).complains("interrupted");
    until("the server's discarding it", || names(&host.root()).is_empty().then_some(()));
}

/// Both ways: the client is killed once, then interrupted, and for an upload the server is killed, too.
#[test]
fn a_copy_with_resume_goes_on_after_kills_and_interrupts() {
    let mut host = Host::start();
    let contents: Vec<u8> = (0..(96u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    for up in [true, false] {
        let there = host.home().join("there");
        fs::create_dir_all(&there).expect("made");
        let to = if up { host.root() } else { there };
        let from = if up { host.home() } else { host.root() };
        fs::write(from.join("f"), &contents).expect("written");
        fs::write(to.join("f"), "old").expect("written");
        let words = if up { ["f", "127.0.0.1:f"] } else { ["127.0.0.1:f", "there/f"] };
        let part = || names(&to).into_iter().find(|name| name.as_bytes().starts_with(b".f.unglue-"));
        let length = || part().and_then(|part| fs::metadata(to.join(part)).ok()).map_or(0, |file| file.len());
        let begin = |least: u64| {
            let port = host.port.to_string();
            let flags = ["cp", "-P", &port, "--resume", "--limit", "16M"];
            let client = start(host.client(flags.iter().chain(&words)).stdin(Stdio::null()));
            until("a part of the file", || (length() >= least).then_some(()));
            client
        };
        let client = begin(17 << 20);
        client.signal(rustix::process::Signal::KILL);
        client.finish().expect(137);
        let inode = fs::metadata(to.join(part().expect("it stays"))).expect("it stays").ino();
        assert_eq!(fs::read(to.join("f")).expect("it is there"), b"old");
        // The server of an upload learns that the client is gone.
        until("the end of the transfer", || {
            let part = fs::File::open(to.join(part()?)).ok()?;
            flock(&part, FlockOperation::NonBlockingLockExclusive).ok()
        });
        let client = begin(33 << 20);
        client.signal(rustix::process::Signal::INT);
        client.finish().expect(130).complains("the same command goes on with it within 24 hours");
        if up {
            host.crash();
            host.restart();
        }
        host.cp([&["--resume"][..], &words].concat()).expect(0);
        assert!(fs::read(to.join("f")).expect("it is there") == contents);
        assert_eq!((part(), fs::metadata(to.join("f")).expect("it is there").ino()), (None, inode));
        fs::remove_file(to.join("f")).expect("removed");
        fs::remove_file(from.join("f")).expect("removed");
    }
}

#[test]
fn an_interrupted_download_leaves_the_old_file_and_no_part() {
    let host = Host::start();
    let here = host.home().join("here");
    fs::create_dir(&here).expect("made");
    fs::write(here.join("f"), "old").expect("written");
    fs::File::create(host.root().join("f")).and_then(|file| file.set_len(4 << 30)).expect("a large file");
    let port = host.port.to_string();
    use rustix::process::Signal;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let client =
            start(host.client(["cp", "-P", &port, "--limit", "1M", "127.0.0.1:f", "here"]).stdin(Stdio::null()));
        until("the temporary file", || (names(&here).len() > 1).then_some(()));
        client.signal(signal);
        client.finish().expect(code).complains("interrupted");
        assert_eq!(names(&here), ["f"], "the part outlived the client");
        assert_eq!(fs::read(here.join("f")).expect("it is there"), b"old");
    }
}

#[test]
fn a_replaced_file_keeps_its_mode_both_ways() {
    let host = Host::start();
    let chmod = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
    fs::write(host.home().join("new"), "new").expect("written");
    chmod(&host.home().join("new"), 0o644);
    for (old, bits) in [("secret", 0o600), ("script", 0o755)] {
        for directory in [host.root(), host.home()] {
            fs::write(directory.join(old), "old").expect("written");
            chmod(&directory.join(old), bits);
        }
        host.cp(["new", &format!("127.0.0.1:{old}")]).expect(0);
        host.cp([&format!("127.0.0.1:{old}"), old]).expect(0);
        assert_eq!((mode(&host.root().join(old)), mode(&host.home().join(old))), (bits, bits));
        assert_eq!(fs::read(host.home().join(old)).expect("it is here"), b"new");
        host.cp(["-p", "new", &format!("127.0.0.1:{old}")]).expect(0);
        assert_eq!(mode(&host.root().join(old)), 0o644, "-p asks for the source's");
    }
}

#[test]
fn a_tilde_is_the_home_of_the_other_side() {
    let host = Host::start();
    fs::write(host.home().join("f"), "x").expect("written");
    host.cp(["f", "127.0.0.1:~/g"]).expect(0);
    host.cp(["f", "127.0.0.1:~"]).expect(0);
    host.cp(["127.0.0.1:~/g", "h"]).expect(0);
    assert_eq!(names(&host.root()), ["f", "g"]);
    let done = host.cp(["127.0.0.1:~ada/g", "."]).expect(1);
    assert!(done.stderr.contains("only ~ and ~/ are expanded"), "{done:?}");
}

/// The line behind the last `WORDS: ` of an error, run by a shell.
fn follow(host: &Host, stderr: &str, words: &str) {
    let (_, line) = stderr.trim_end().rsplit_once(words).expect("a line that works");
    let script = format!("unglue() {{ \"$UNGLUE\" \"$@\"; }}; set -e; {line}");
    let mut shell = super::run::clean("bash");
    shell.args(["-o", "pipefail", "-c", &script]).env("UNGLUE", super::run::UNGLUE).env("HOME", host.home());
    finish(shell.current_dir(host.home())).expect(0);
}

#[test]
fn what_is_not_copied_is_answered_with_a_line_that_copies_it() {
    let host = Host::start();
    fs::create_dir_all(host.home().join("a/it's")).expect("made");
    fs::write(host.home().join("a/it's/f"), "x").expect("written");
    host.cp(["a/it's", "127.0.0.1:"]).expect(1).complains("copy a directory with -r");
    host.cp(["-r", "a/it's", "127.0.0.1:"]).expect(0);
    assert_eq!(fs::read(host.root().join("it's/f")).expect("it is there"), b"x");

    fs::create_dir(host.home().join("to")).expect("made");
    host.cp(["127.0.0.1:it's", "to"]).expect(1).complains("copy a directory with -r");

    for name in ["1.log", "2.log"] {
        fs::write(host.root().join(name), name).expect("written");
    }
    let done = host.cp(["127.0.0.1:*.log", "to"]).expect(1);
    follow(&host, &done.stderr, "this copies what matches: ");
    assert!(host.home().join("to/1.log").is_file() && host.home().join("to/2.log").is_file());
    fs::write(host.root().join("*.log"), "a name").expect("written");
    host.cp(["127.0.0.1:*.log", "to"]).expect(0);
    assert_eq!(fs::read(host.home().join("to/*.log")).expect("it is here"), b"a name");
}

#[test]
fn directories_are_said_not_to_be_created_only_where_they_could_be() {
    let host = Host::start();
    fs::write(host.home().join("f"), "x").expect("written");
    assert!(host.cp(["f", "127.0.0.1:no/f"]).expect(1).stderr.contains("directories are not created"));
    for paths in [["127.0.0.1:no/f", "."], ["no/f", "127.0.0.1:"]] {
        let done = host.cp(paths).expect(1);
        assert!(!done.stderr.contains("not created"), "{done:?}");
    }
}

#[test]
fn standard_output_is_not_replaced_but_can_be_written() {
    let host = Host::start();
    fs::write(host.root().join("f"), "new\n").expect("written");
    let out = host.home().join("out");
    let port = host.port.to_string();
    let script = "{ echo before; \"$0\" cp \"$@\" /dev/stdout; echo after; } >out";
    for (flags, expected) in [(&[][..], "before\nafter\n"), (&["--inplace"], "before\nnew\nafter\n")] {
        let mut shell = super::run::clean("sh");
        shell.args(["-c", script, super::run::UNGLUE, "-P", &port]).args(flags).arg("127.0.0.1:f");
        let done = finish(shell.env("HOME", host.home()).current_dir(host.home())).expect(0);
        assert_eq!(fs::read_to_string(&out).expect("it is there"), expected, "{done:?}");
        assert_eq!(done.stderr.contains("a link to an open file"), flags.is_empty(), "{done:?}");
    }
}

#[test]
fn a_failure_of_the_servers_is_reported_as_such() {
    let host = Host::start();
    let done = host.cp(["127.0.0.1:gone", "."]).expect(1);
    assert!(done.stderr.starts_with("unglue: 127.0.0.1:gone: on the server: "), "{done:?}");
    let done = host.cp(["gone", "127.0.0.1:"]).expect(1);
    assert!(done.stderr.starts_with("unglue: gone: ") && !done.stderr.contains("on the server"), "{done:?}");
}

#[test]
fn a_port_in_the_path_is_pointed_out() {
    let host = Host::start();
    let done = host.cp(["127.0.0.1:7300:gone", "."]).expect(1);
    assert!(done.stderr.contains("; 7300 is read as a part of the path; to set the port, write -P 7300"), "{done:?}");
    let done = host.cp(["127.0.0.1:7300", "."]).expect(1);
    assert!(!done.stderr.contains("-P"), "{done:?}");
    // A connection to the port that was meant to be replaced fails before a path is looked at.
    let unreached = ["cp", "--transport", "tcp", "-P", "1", "127.0.0.1:7300:gone", "."];
    let done = finish(host.client(unreached)).expect(125);
    assert!(done.stderr.contains("; 7300 is read as a part of the path; to set the port, write -P 7300"), "{done:?}");
}

#[test]
fn the_log_tells_the_name_under_which_a_file_landed() {
    let host = Host::start();
    fs::write(host.home().join("notes.txt"), "x").expect("written");
    host.cp(["notes.txt", "127.0.0.1:"]).expect(0);
    until("the log's line", || host.log().contains("notes.txt").then_some(()));
}

#[test]
fn a_server_that_dies_leaves_the_old_file_and_the_client_says_what_to_do() {
    for up in [true, false] {
        let host = Host::start();
        let (here, there) = (host.home(), host.root());
        let (from, to) = if up { (&here, &there) } else { (&there, &here) };
        fs::File::create(from.join("f")).and_then(|file| file.set_len(4 << 30)).expect("a large file");
        fs::create_dir(to.join("in")).expect("made");
        fs::write(to.join("in/f"), "old").expect("written");
        let port = host.port.to_string();
        let words = if up { ["f", "127.0.0.1:in"] } else { ["127.0.0.1:f", "in"] };
        let client =
            start(host.client([&["cp", "-P", &port, "--limit", "1M"][..], &words].concat()).stdin(Stdio::null()));
        until("the temporary file", || (names(&to.join("in")).len() > 1).then_some(()));
        host.signal(rustix::process::Signal::KILL);
        client.finish().expect(125).complains("copy it again");
        assert_eq!(fs::read(to.join("in/f")).expect("it is there"), b"old");
    }
}
