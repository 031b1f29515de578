//! `unglue repl`, off a terminal.

use std::fs;

use super::host::Host;
use super::run::{Finished, UNGLUE, clean, finish, finish_with};

fn repl(host: &Host, script: &str) -> Finished {
    finish_with(host.client(["repl", &host.target()]), script.as_bytes())
}

#[test]
fn each_line_has_its_own_whole_reply() {
    let host = Host::start();
    let done = repl(&host, "seq 2000\necho out; echo err >&2\n\n   \nlllll\nexit 3\npwd").expect(0);
    let mut expected: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    expected += "out\n";
    expected += &format!("{}\n", host.root().display());
    assert_eq!(done.text(), expected, "no prompt where there is no terminal, and nothing for an empty line");
    let said: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], "err");
    assert!(said[1].contains("lllll"));
    assert_eq!(said[2..], ["unglue: exit status 127", "unglue: exit status 3"]);
}

#[test]
fn the_directory_is_kept() {
    let host = Host::start();
    fs::create_dir_all(host.root().join("a b/c")).expect("made");
    let script = "cd 'a b'\npwd\ncd c\npwd\ncd -\npwd\ncd nowhere && echo not\npwd\ncd nowhere; cd c && pwd\npwd\n";
    let done = repl(&host, script).expect(0);
    let (root, lines) = (host.root(), done.text().lines().collect::<Vec<_>>());
    let ab = root.join("a b").display().to_string();
    let abc = root.join("a b/c").display().to_string();
    assert_eq!(lines, [&ab, &abc, &ab, &ab, &abc, &abc], "{done:?}");
    assert!(done.stderr.contains("nowhere"), "{done:?}");
}

#[test]
fn files_go_there_and_back() {
    let host = Host::start();
    fs::create_dir(host.root().join("sub")).expect("made");
    fs::write(host.home().join("a file"), "contents").expect("written");
    let script = "cd sub\nput 'a file'\nget 'a file' back\nput missing\nget missing\nput\nls\n";
    let done = repl(&host, script).expect(0);
    assert_eq!(fs::read(host.root().join("sub/a file")).expect("it is there"), b"contents");
    assert_eq!(fs::read(host.home().join("back")).expect("it is here"), b"contents");
    assert_eq!(done.stderr.matches("missing").count(), 2, "{done:?}");
    assert!(done.stderr.contains("wrong usage") && done.text().ends_with("a file\n"), "{done:?}");
}

#[test]
fn lines_are_remembered_and_quit_ends() {
    let host = Host::start();
    let done = repl(&host, "echo one\nhistory\nquit\necho two\n").expect(0);
    assert_eq!(done.text(), "one\n    1  echo one\n    2  history\n");
    assert!(!host.home().join(".local/state/unglue/history").exists(), "scripts leave no history");
}

#[test]
fn a_lost_link_ends_the_conversation() {
    let host = Host::start();
    let script = format!("echo before\nkill -9 {}\nsleep 30\necho after\n", host.server_pid());
    let done = repl(&host, &script).expect(125);
    assert_eq!(done.text(), "before\n");
    assert!(done.stderr.lines().all(|line| line.starts_with("unglue: ")), "{done:?}");
}

#[test]
fn put_takes_patterns_and_the_home() {
    let host = Host::start();
    for name in ["a.txt", "b.txt", "c.rs", "odd*.txt"] {
        fs::write(host.home().join(name), name).expect("written");
    }
    fs::create_dir(host.root().join("sub")).expect("made");
    let done = repl(&host, "put *.txt sub\nput ~/c.rs\nput 'odd*.txt' one\nput *.none\nput '*.txt'\n").expect(0);
    for (name, text) in [("sub/a.txt", "a.txt"), ("sub/b.txt", "b.txt"), ("c.rs", "c.rs"), ("one", "odd*.txt")] {
        assert_eq!(fs::read_to_string(host.root().join(name)).expect(name), text, "{done:?}");
    }
    assert!(done.stderr.contains("*.none: no file of this machine matches"), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 2, "the quoted pattern is a name that isn't there: {done:?}");
}

#[test]
fn help_lists_what_may_be_typed() {
    let host = Host::start();
    let done = repl(&host, "help\n").expect(0);
    for word in ["cd [DIR]", "put FILE", "get FILE", "history", "quit"] {
        assert!(done.text().contains(word), "{done:?}");
    }
}

#[test]
fn a_reply_that_can_not_be_written_ends_the_conversation() {
    let host = Host::start();
    let line = format!("printf 'echo lost\\ntouch ran\\n' | \"$0\" repl {} >/dev/full", host.target());
    let mut shell = clean("bash");
    shell.args(["-c", &line, UNGLUE]).env("HOME", host.home());
    finish(&mut shell).expect(125).complains("the reply could not be written: No space left on device");
    assert!(!host.root().join("ran").exists());
    let line = format!("\"$0\" repl {} <&-", host.target());
    let mut shell = clean("bash");
    finish(shell.args(["-c", &line, UNGLUE]).env("HOME", host.home())).expect(125).complains("it is closed");
}
