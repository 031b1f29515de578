//! Who holds a command: leaving it, taking it over, watching it.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use super::detached::{WAITS, detach};
use crate::host::Host;
use crate::pty::OnTerminal;
use crate::run::{UNGLUE, finish, start, until};

#[test]
fn one_holds_it_and_any_number_watch() {
    let host = Host::start();
    let id = detach(&host, &[], WAITS);
    let target = host.target();
    let attach = |flags: &[&str]| host.client(["attach"]).args(flags).args([&target, &id]).stdin(Stdio::null());
    let first = start(attach(&["--from-start"]));
    first.shown("one\n");
    finish(attach(&[])).expect(125).complains("another client holds");
    let watcher = start(attach(&["--read-only", "--from-start"]));
    watcher.shown("one\n");
    let second = start(attach(&["--take", "--from-start"]));
    let first = first.finish().expect(125);
    assert!(first.stderr.contains("another client has taken the command over"), "{first:?}");
    second.shown("one\n");
    // A watcher's interrupt ends its watching, and nothing else.
    watcher.signal(Signal::INT);
    let watcher = watcher.finish().expect(130);
    assert!(watcher.stderr.contains("interrupted; the command runs on"), "{watcher:?}");
    fs::write(host.root().join("go"), "").expect("written");
    assert_eq!(second.finish().expect(3).text(), "one\ntwo\n");
}

#[test]
fn the_holders_interrupt_is_the_commands() {
    let host = Host::start();
    let id = detach(&host, &[], "trap 'echo caught; exit 9' INT; touch ready; while :; do sleep 0.05; done");
    until("its start", || host.root().join("ready").exists().then_some(()));
    let holder = start(host.client(["attach", "--from-start", &host.target(), &id]).stdin(Stdio::null()));
    until("the hold", || finish(host.client(["jobs", &host.target()])).text().contains("held").then_some(()));
    holder.signal(Signal::INT);
    assert_eq!(holder.finish().expect(9).text(), "caught\n");
}

#[test]
fn a_client_that_leaves_a_kept_command_says_how_to_come_back() {
    let host = Host::start();
    let words = ["exec", "--lease", "keep=20s", "--id", "k", &host.target(), "-c", WAITS];
    let client = start(host.client(words).stdin(Stdio::null()));
    client.shown("one\n");
    client.signal(Signal::TERM);
    let left = client.finish().expect(143);
    let advice = format!("runs on for 20s; come back to it with: unglue attach {} k", host.target());
    assert!(left.stderr.contains(&advice), "{left:?}");
    fs::write(host.root().join("go"), "").expect("written");
    finish(host.client(["wait", &host.target(), "k"])).expect(3);
}

#[test]
fn a_key_leaves_the_command_and_its_input_open() {
    let host = Host::start();
    let text = "head -n 1; echo half; head -n 1; exit 6";
    let words = ["exec", "-i", "--lease", "detach", "--id", "d", &host.target(), "-c", text];
    let mut terminal = OnTerminal::start(UNGLUE, host.client(words));
    terminal.types("first\n");
    terminal.shows("half", 0);
    terminal.types("\x1c");
    let (code, screen, restored) = terminal.ended();
    assert!(code == 0 && restored && screen.contains("detached; the command runs on"), "{code} {screen:?}");
    let mut terminal = OnTerminal::start(UNGLUE, host.client(["attach", &host.target(), "d"]));
    terminal.types("second\n");
    let (code, screen, _) = terminal.ended();
    assert_eq!(code, 6, "{screen:?}");
    let all = finish(host.client(["logs", &host.target(), "d"])).expect(0);
    assert_eq!(all.text(), "first\nhalf\nsecond\n");
}

/// Without a terminal, attaching ends no input by accident.
#[test]
fn standard_input_is_left_alone_unless_it_is_asked_for() {
    let host = Host::start();
    let text = "cat; touch ended";
    let words = ["exec", "-i", "--lease", "detach", "--id", "d", &host.target(), "-c", text];
    let mut client = start(host.client(words).stdin(Stdio::piped()));
    let mut keyboard = client.keyboard();
    std::io::Write::write_all(&mut keyboard, b"one\n").expect("typed");
    client.shown("one\n");
    client.signal(Signal::TERM);
    client.finish().expect(143);
    let other = start(host.client(["attach", "--from-start", &host.target(), "d"]).stdin(Stdio::null()));
    other.shown("one\n");
    other.signal(Signal::TERM);
    other.finish().expect(143);
    assert!(!host.root().join("ended").exists());
    let last = host.client(["attach", "-i", "--from-start", &host.target(), "d"]);
    assert_eq!(crate::run::finish_with(last, b"two\n").expect(0).text(), "one\ntwo\n");
}
