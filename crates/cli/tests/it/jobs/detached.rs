//! `exec --detach`, and what finds the command again.

use std::fs;
use std::process::Stdio;

use crate::host::Host;
use crate::run::{Finished, finish, start, until};

/// Prints `one`, waits for the file `go`, prints `two`, and exits with 3.
pub(super) const WAITS: &str =
    "echo x >> starts; echo one; echo err >&2; until [ -e go ]; do sleep 0.02; done; echo two; exit 3";

/// Starts it with `exec --detach` and more flags, and gives its id.
pub(super) fn detach(host: &Host, flags: &[&str], text: &str) -> String {
    let done = host.shell(&[&["--detach"], flags].concat(), text).expect(0);
    assert_eq!((done.text().lines().count(), done.stderr.as_str()), (1, ""), "the id alone");
    done.text().trim().to_owned()
}

/// Runs `unglue VERB HOST WORDS`.
fn verb(host: &Host, verb: &[&str], words: &[&str]) -> Finished {
    finish(host.client(verb).arg(host.target()).args(words))
}

fn go(host: &Host) {
    fs::write(host.root().join("go"), "").expect("written");
}

#[test]
fn a_detached_command_is_found_again() {
    let host = Host::start();
    let id = detach(&host, &["--name", "nightly"], WAITS);
    let listed = verb(&host, &["jobs"], &[]).expect(0);
    let lines: Vec<&str> = listed.text().lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("ID"), "{listed:?}");
    for word in [&id, "nightly", "running"] {
        assert!(lines[1].contains(word), "{listed:?}");
    }
    until("the first line", || (verb(&host, &["logs"], &[&id]).expect(0).stdout == b"one\n").then_some(()));
    let error = || verb(&host, &["logs", "--stderr"], &["nightly"]).expect(0).text() == "err\n";
    until("the error", || error().then_some(()));
    let following = start(host.client(["logs", "--follow", "--from", "2", &host.target(), &id]).stdin(Stdio::null()));
    following.shown("e\n");
    go(&host);
    verb(&host, &["wait"], &["nightly"]).expect(3);
    assert_eq!(following.finish().expect(0).text(), "e\ntwo\n", "its own end is not that of logs");
    let attached = verb(&host, &["attach", "--from-start"], &["nightly"]).expect(3);
    assert_eq!((attached.text(), attached.stderr.as_str()), ("one\ntwo\n", "err\n"));
    let waited = verb(&host, &["wait", "--json"], &[&id]).expect(3).json();
    assert_eq!(waited["outcome"], serde_json::json!({"exited": 3}));
    assert_eq!((waited["id"].as_str(), waited["stdout"]["bytes"].as_u64()), (Some(id.as_str()), Some(8)));
    let object: serde_json::Value = verb(&host, &["jobs", "--json"], &[]).expect(0).json();
    assert_eq!(object["state"], "ended");
    assert_eq!(
        (&object["outcome"]["exited"], &object["lease"], &object["stdout"]),
        (&3.into(), &"detach".into(), &8.into())
    );
    verb(&host, &["rm"], &[&id]).expect(0);
    assert_eq!(verb(&host, &["jobs"], &[]).expect(0).text(), "");
    for gone in [&["wait"][..], &["logs"], &["attach"], &["rm"]] {
        verb(&host, gone, &[&id]).expect(125).complains(&id);
    }
}

#[test]
fn it_outlives_a_server_that_was_killed() {
    let mut host = Host::start();
    let id = detach(&host, &["--name", "n"], WAITS);
    host.crash();
    host.restart();
    let following = start(host.client(["logs", "-f", &host.target(), &id]).stdin(Stdio::null()));
    let attached = start(host.client(["attach", "--from-start", &host.target(), "n"]).stdin(Stdio::null()));
    attached.shown("one\n");
    go(&host);
    let attached = attached.finish().expect(3);
    assert_eq!((attached.text(), attached.stderr.as_str()), ("one\ntwo\n", "err\n"));
    assert_eq!(following.finish().expect(0).text(), "one\ntwo\n");
    // Once it has ended, too.
    host.crash();
    host.restart();
    verb(&host, &["wait"], &[&id]).expect(3);
    assert_eq!(verb(&host, &["logs"], &[&id]).expect(0).text(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(host.root().join("starts")).expect("it ran"), "x\n", "once");
}

#[test]
fn a_signal_reaches_it() {
    let host = Host::start();
    let id = detach(&host, &[], "trap 'exit 7' USR1; touch ready; while :; do sleep 0.05; done");
    until("its start", || host.root().join("ready").exists().then_some(()));
    verb(&host, &["rm"], &[&id]).expect(125).complains("has not ended");
    verb(&host, &["signal"], &[&id, "usr1"]).expect(0);
    verb(&host, &["wait"], &[&id]).expect(7);
    verb(&host, &["signal"], &[&id, "TERM"]).expect(125).complains("has ended");
    verb(&host, &["signal"], &[&id, "NOSUCH"]).expect(125).complains("not a signal");
}

#[test]
fn what_can_not_start_says_so_and_prints_no_id() {
    let host = Host::start();
    let done = host.exec(&["--detach"], ["no-such-program"]).expect(127);
    assert_eq!(done.text(), "");
    done.complains("no-such-program");
    host.exec(&["--detach", "--json"], ["true"]).expect(125).complains("cannot be used with");
}

#[test]
fn a_limit_of_output_ends_it() {
    let host = Host::start();
    let done = host.shell(&["--limit", "output=1000", "--lease", "keep=20s"], "yes").expect(125);
    done.complains("1000 bytes");
    let object = host.shell(&["--limit", "output=1000", "--json"], "yes").expect(125).json();
    assert_eq!(object["outcome"]["output_limit"]["bytes"], 1000);
}
