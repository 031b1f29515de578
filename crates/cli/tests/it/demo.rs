//! `unglue demo`: what it shows, how long it takes, and what it leaves.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::host::client;
use super::run::{finish, start, until};

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("a directory").next().is_none()
}

#[test]
fn it_shows_the_main_job_and_leaves_nothing_behind() {
    let (home, temporary) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let done = finish(client(home.path()).arg("demo").env("TMPDIR", temporary.path())).expect(0);
    assert!(done.took < Duration::from_secs(60), "{:?}", done.took);
    let shown = done.text();
    for words in [
        ">>: ls -l",
        "lllll: not found",
        "exit status 127",
        "10,000,000 bytes",
        "100,000,000 bytes sent",
        "recv(1024)",
        "cut here",
        "the whole reply to `lllll`",
    ] {
        assert!(shown.contains(words), "{words:?} is missing: {shown}");
    }
    assert!(!shown.contains("not what was sent") && !shown.contains("another file"), "{shown}");
    assert!(!shown.contains('\x1b') && done.stderr.is_empty(), "no colours and no bar where there is no terminal");
    assert!(is_empty(temporary.path()) && is_empty(home.path()));
}

#[test]
fn an_interrupt_leaves_nothing_behind_either() {
    let (home, temporary) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut demo = client(home.path());
    let running = start(demo.arg("demo").env("TMPDIR", temporary.path()).stdin(Stdio::null()));
    until("the demo's directory", || (!is_empty(temporary.path())).then_some(()));
    std::thread::sleep(Duration::from_millis(100));
    running.signal(Signal::INT);
    running.finish().expect(130).complains("interrupted");
    assert!(is_empty(temporary.path()) && is_empty(home.path()));
}

#[test]
fn a_reader_who_left_ends_it() {
    let (home, temporary) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut shell = super::run::clean("bash");
    shell.args(["-c", "set -o pipefail; \"$0\" demo | head -n 1", super::run::UNGLUE]);
    let done =
        finish(shell.env("HOME", home.path()).env("TMPDIR", temporary.path()).current_dir(home.path())).expect(0);
    assert!(done.text().starts_with("unglue demo: ") && done.stderr.is_empty(), "{done:?}");
    assert!(is_empty(temporary.path()));
}
