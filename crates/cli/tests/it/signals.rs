//! What signals do to a client, and to what it runs.

use std::fs;

use rustix::process::Signal;

use super::host::{Host, lives};
use super::run::{Running, start, until};

/// Goes on for ever, and minds a signal soon: a shell may miss one that comes just as it forks.
const LOOP: &str = "while :; do sleep 0.1; done";

/// Starts a command that prepares itself, tells its process id in a file, and goes on.
fn running(host: &Host, prepare: &str, text: &str) -> (Running, i32) {
    let file = host.root().join("pid");
    let text = format!("{prepare}; echo $$ > pid.new && mv pid.new pid; {text}");
    let running = start(host.client(["exec", &host.target(), "-c", &text]).stdin(std::process::Stdio::null()));
    let pid = until("the command's start", || fs::read_to_string(&file).ok()?.trim().parse().ok());
    fs::remove_file(file).expect("it was there");
    (running, pid)
}

#[test]
fn the_first_interrupt_goes_to_the_command() {
    let host = Host::start();
    let (client, _) = running(&host, "trap 'echo caught; exit 9' INT", LOOP);
    client.signal(Signal::INT);
    let done = client.finish().expect(9);
    assert_eq!(done.text(), "caught\n");
    assert_eq!(done.stderr, "");
}

#[test]
fn a_command_that_an_interrupt_ends_tells_so() {
    let host = Host::start();
    let (client, _) = running(&host, ":", LOOP);
    client.signal(Signal::INT);
    client.finish().expect(130);
}

#[test]
fn the_second_interrupt_ends_the_client_and_with_it_the_command() {
    let host = Host::start();
    let (client, pid) = running(&host, "trap 'echo ignored' INT", LOOP);
    client.signal(Signal::INT);
    client.shown("ignored");
    client.signal(Signal::INT);
    client.finish().expect(130).complains("interrupted");
    until("the command's end", || (!lives(pid)).then_some(()));
}

#[test]
fn a_client_that_is_asked_to_end_closes_its_link() {
    let host = Host::start();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let (client, pid) = running(&host, ":", "setsid sleep 60 & sleep 60");
        client.signal(signal);
        client.finish().expect(code).complains("ended by");
        until("the command's end", || (!lives(pid)).then_some(()));
    }
    assert!(!host.log().contains("without a close"), "{}", host.log());
}

#[test]
fn the_tree_of_a_client_that_was_killed_ends() {
    let host = Host::start();
    let (client, pid) = running(&host, ":", "setsid sleep 61 & echo $! > grandchild; sleep 60");
    let grandchild: i32 =
        until("the grandchild", || fs::read_to_string(host.root().join("grandchild")).ok()?.trim().parse().ok());
    client.signal(Signal::KILL);
    client.finish().expect(137);
    until("the tree's end", || (!lives(pid) && !lives(grandchild)).then_some(()));
}

#[test]
fn what_was_to_be_ignored_is_ignored() {
    let host = Host::start();
    let line = format!(
        "trap '' HUP INT; exec \"$UNGLUE\" exec {} -c 'touch started; while [ ! -e go ]; do sleep 0.1; done; echo whole'",
        host.target()
    );
    let mut shell = super::run::clean("sh");
    shell.args(["-c", &line]).env("UNGLUE", super::run::UNGLUE).env("HOME", host.home());
    let client = start(shell.stdin(std::process::Stdio::null()));
    until("the command's start", || host.root().join("started").exists().then_some(()));
    client.signal(Signal::HUP);
    client.signal(Signal::INT);
    fs::write(host.root().join("go"), "").expect("written");
    assert_eq!(client.finish().expect(0).text(), "whole\n", "as under nohup");
}
