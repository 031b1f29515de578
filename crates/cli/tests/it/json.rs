//! `--json` and `--outcome`: the outcome where it can't be confused with the output.

use std::fs;
use std::process::Stdio;

use serde_json::json;

use super::host::Host;
use super::run::{clean, finish, start, until};

#[test]
fn the_object_holds_everything() {
    let host = Host::start();
    let done = host.shell(&["--json"], "printf hello; printf '\\377' >&2; exit 3").expect(3);
    assert_eq!(done.stderr, "", "one object on standard output, and nothing else");
    let object = done.json();
    assert_eq!(object["outcome"], json!({"exited": 3}));
    assert_eq!(object["stdout"]["bytes"], 5);
    assert_eq!(object["stdout"]["blake3"], blake3::hash(b"hello").to_hex().as_str());
    assert_eq!(object["stdout"]["end"], "eof");
    assert_eq!(object["stdout"]["data"], json!({"text": "hello"}));
    assert_eq!(object["stderr"]["data"], json!({"base64": "/w=="}));
    assert_eq!(object["descendants"], "none");
    assert!(object["wall_ms"].as_f64().is_some_and(|wall| wall > 0.0), "{object}");
    assert!(object["id"].as_str().is_some_and(|id| !id.is_empty()), "{object}");
}

#[test]
fn every_kind_of_end_has_its_own_form() {
    let host = Host::start();
    let outcome = |flags: &[&str], words: &[&str], code| {
        let done = host.exec(&[&["--json"], flags].concat(), words).expect(code);
        done.json()["outcome"].clone()
    };
    assert_eq!(outcome(&[], &["sh", "-c", "kill -9 $$"], 137), json!({"signalled": "SIGKILL", "core": false}));
    assert_eq!(outcome(&["--timeout", "0.1"], &["sleep", "9"], 124), json!({"timed_out": {"after_ms": 100}}));
    assert_eq!(outcome(&[], &["no-such-program"], 127)["spawn_failed"]["errno"], "ENOENT");
}

#[test]
fn a_cut_is_reported_and_the_digest_is_of_all() {
    let host = Host::start();
    let object = host.exec(&["--json", "--json-cap", "4"], ["printf", "hello"]).expect(0).json();
    assert_eq!(object["stdout"]["data"], json!({"text": "hell"}));
    assert_eq!(object["stdout"]["data_cut_at"], 4);
    assert_eq!(object["stdout"]["bytes"], 5);
    assert_eq!(object["stdout"]["blake3"], blake3::hash(b"hello").to_hex().as_str());
}

#[test]
fn an_object_comes_even_where_nothing_could_run() {
    let host = Host::start();
    let refused = finish(host.client(["exec", "--json", "127.0.0.1:1", "--", "true"])).expect(125);
    assert_eq!(refused.json()["outcome"]["unreachable"]["code"], "unreachable");
    assert_eq!(refused.json()["id"], serde_json::Value::Null);
    refused.complains("127.0.0.1:1");
}

#[test]
fn the_outcome_goes_to_a_file_beside_the_output() {
    let host = Host::start();
    let done = host.shell(&["--outcome", "outcome.json"], "echo out; echo err >&2; exit 4").expect(4);
    assert_eq!((done.text(), done.stderr.as_str()), ("out\n", "err\n"));
    let object: serde_json::Value =
        serde_json::from_slice(&fs::read(host.home().join("outcome.json")).expect("a file")).expect("JSON");
    assert_eq!(object["outcome"], json!({"exited": 4}));
    assert_eq!(object["stdout"]["bytes"], 4);
    assert!(object["stdout"].get("data").is_none(), "{object}");
}

#[test]
fn the_outcome_goes_to_an_open_descriptor() {
    let host = Host::start();
    let line = format!("exec 3>o.json; exec \"$UNGLUE\" exec --outcome fd:3 {} -- echo out", host.target());
    let mut shell = clean("bash");
    shell.args(["-c", &line]).env("UNGLUE", super::run::UNGLUE).env("HOME", host.home()).current_dir(host.home());
    assert_eq!(finish(&mut shell).expect(0).text(), "out\n");
    let object: serde_json::Value =
        serde_json::from_slice(&fs::read(host.home().join("o.json")).expect("a file")).expect("JSON");
    assert_eq!(object["outcome"], json!({"exited": 0}));
}

#[test]
fn nothing_runs_if_the_outcome_has_nowhere_to_go() {
    let host = Host::start();
    for to in ["fd:9", "no-such-directory/outcome.json", "fd:1", "fd:-1", "fd:x"] {
        host.exec(&["--outcome", to], ["touch", "ran"]).expect(125).complains("--outcome");
    }
    assert!(!host.root().join("ran").exists());
}

#[test]
fn a_reader_who_left_is_reported_in_the_outcome() {
    let host = Host::start();
    let line = format!("\"$UNGLUE\" exec --outcome o.json {} -- yes | head -c 1 >/dev/null", host.target());
    let mut shell = clean("sh");
    shell.args(["-c", &line]).env("UNGLUE", super::run::UNGLUE).env("HOME", host.home()).current_dir(host.home());
    finish(&mut shell).expect(0);
    let object: serde_json::Value =
        serde_json::from_slice(&fs::read(host.home().join("o.json")).expect("a file")).expect("JSON");
    assert_eq!(object["stdout"]["end"], "abandoned");
    assert_eq!(object["outcome"], json!({"signalled": "SIGPIPE", "core": false}));
}

#[test]
fn a_lost_link_is_an_outcome_of_its_own() {
    let host = Host::start();
    let text = "echo before; touch started; sleep 60";
    let target = host.target();
    let exec = |flags: &[&str]| {
        let words = [&["exec"], flags, &[&target, "-c", text]].concat();
        start(host.client(words).stdin(Stdio::null()))
    };
    let printing = exec(&["--outcome", "o.json"]);
    printing.shown("before\n");
    fs::remove_file(host.root().join("started")).expect("it is there");
    let client = exec(&["--json"]);
    until("the command's start", || host.root().join("started").exists().then_some(()));
    host.signal(rustix::process::Signal::KILL);
    printing.finish().expect(125);
    let object: serde_json::Value =
        serde_json::from_slice(&fs::read(host.home().join("o.json")).expect("a file")).expect("JSON");
    assert!(object["outcome"]["link_lost"]["what"].is_string(), "{object}");
    assert_eq!((&object["stdout"]["end"], &object["stdout"]["bytes"]), (&json!("cut"), &json!(7)), "{object}");
    let done = client.finish().expect(125);
    let object = done.json();
    assert!(object["outcome"]["link_lost"]["what"].is_string(), "{object}");
    assert_eq!(object["stdout"]["end"], "cut");
    done.complains("the connection ended without a close");
}
