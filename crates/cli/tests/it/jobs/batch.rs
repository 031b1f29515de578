//! `unglue run`: many commands on one connection.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::host::Host;
use crate::run::{Finished, finish, finish_with, start, until};

fn run(host: &Host, flags: &[&str], lines: &str) -> Finished {
    fs::write(host.home().join("jobs.jsonl"), lines).expect("written");
    finish(host.client(["run", "--file", "jobs.jsonl"]).args(flags).arg(host.target()))
}

fn objects(done: &Finished) -> Vec<Value> {
    done.text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn by_id(done: &Finished) -> HashMap<String, Value> {
    objects(done).into_iter().map(|object| (object["id"].as_str().expect("an id").to_owned(), object)).collect()
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{object}\n")).collect()
}

#[test]
fn every_field_means_what_exec_has() {
    let host = Host::start();
    fs::create_dir(host.root().join("d")).expect("a directory");
    let list = lines(&[
        json!({"id": "env", "argv": ["sh", "-c", "printf %s \"$A\""], "env": {"A": "b c"}}),
        json!({"id": "cwd", "argv": ["sh", "-c", "pwd | tail -c 3"], "cwd": "d"}),
        json!({"id": "timeout", "argv": ["sleep", "60"], "timeout": "100ms"}),
        json!({"id": "stdin", "argv": ["cat"], "stdin": "typed\n"}),
        json!({"id": "bytes", "argv": ["printf", {"base64": "/w=="}]}),
        json!({"id": "code", "argv": ["sh", "-c", "echo no >&2; exit 3"]}),
    ]);
    let done = run(&host, &[], &format!("{list}\n   \n")).expect(1);
    assert_eq!(done.stderr, "");
    let objects = by_id(&done);
    assert_eq!(objects.len(), 6);
    assert_eq!(objects["env"]["stdout"]["data"]["text"], "b c");
    assert_eq!(objects["cwd"]["stdout"]["data"]["text"], "/d\n");
    assert_eq!(objects["timeout"]["outcome"]["timed_out"]["after_ms"], 100);
    assert_eq!(objects["stdin"]["stdout"]["data"]["text"], "typed\n");
    assert_eq!(objects["bytes"]["stdout"]["data"]["base64"], "/w==");
    assert_eq!(objects["code"]["outcome"]["exited"], 3);
    assert_eq!(objects["code"]["stderr"]["data"]["text"], "no\n");
}

#[test]
fn what_needs_others_waits_for_them_and_falls_with_them() {
    let host = Host::start();
    let list = lines(&[
        json!({"id": "last", "argv": ["cat", "a", "b"], "needs": ["a", "b"]}),
        json!({"id": "a", "argv": ["sh", "-c", "sleep 0.3; echo a > a"]}),
        json!({"id": "b", "argv": ["sh", "-c", "cp a b"], "needs": ["a"]}),
        json!({"id": "fails", "argv": ["false"]}),
        json!({"id": "after", "argv": ["touch", "ran"], "needs": ["fails"]}),
        json!({"id": "later", "argv": ["touch", "ran"], "needs": ["a", "after"]}),
    ]);
    let done = run(&host, &[], &list).expect(1);
    let objects = by_id(&done);
    assert_eq!(objects["last"]["stdout"]["data"]["text"], "a\na\n");
    for (id, need) in [("after", "fails"), ("later", "after")] {
        let what = objects[id]["outcome"]["refused"]["what"].as_str().expect("it was not run");
        assert!(what.contains(need), "{what}");
    }
    assert!(!host.root().join("ran").exists());
    // What has succeeded is not run again, and counts.
    fs::remove_file(host.root().join("a")).expect("it was there");
    let again = by_id(&run(&host, &[], &list).expect(1));
    assert_eq!(again["a"]["outcome"]["not_kept"]["exited"], 0);
    assert!(!host.root().join("a").exists());
}

#[test]
fn a_bad_list_runs_nothing() {
    let host = Host::start();
    let first = r#"{"id":"x","argv":["touch","ran"]}"#;
    for (second, why) in [
        ("{", "line 2: EOF"),
        (r#"{"argv":[]}"#, "line 2: argv has no program"),
        (r#"{"argv":["true"],"id":"x"}"#, "line 2: the id \"x\" is that of line 1"),
        (r#"{"argv":["true"],"needs":["y"]}"#, "line 2: it needs \"y\""),
        (r#"{"argv":["true"],"id":"y","needs":["y"]}"#, "line 2: it needs itself"),
    ] {
        let done = run(&host, &[], &format!("{first}\n{second}\n")).expect(125).complains(why);
        assert!(done.text().is_empty() && done.stderr.contains("nothing was run"), "{done:?}");
    }
    finish(host.client(["run", "--file", "no-such-file", &host.target()])).expect(125).complains("no-such-file");
    assert!(!host.root().join("ran").exists());
    assert_eq!(run(&host, &[], "").expect(0).text(), "", "an empty list succeeds");
}

#[test]
fn lines_of_standard_input_run_as_they_arrive() {
    let host = Host::start();
    let mut client = start(host.client(["run", "--file", "-", &host.target()]).stdin(Stdio::piped()));
    let mut list = client.keyboard();
    let mut type_line = |object: Value| list.write_all(format!("{object}\n").as_bytes()).expect("typed");
    type_line(json!({"id": "a", "argv": ["touch", "first"]}));
    client.shown("\"id\":\"a\"");
    assert!(host.root().join("first").exists());
    type_line(json!({"id": "b", "argv": ["sh", "-c", "touch began; sleep 0.3"], "needs": ["a"]}));
    until("its start", || host.root().join("began").exists().then_some(()));
    type_line(json!({"argv": ["touch", "ran"], "needs": ["c"]}));
    type_line(json!({"argv": ["touch", "ran"]}));
    drop(list);
    let done = client
        .finish()
        .expect(125)
        .complains("standard input, line 3: it needs \"c\", which is not an earlier line's id");
    assert_eq!(objects(&done).len(), 2, "what runs goes on to its end");
    assert!(!host.root().join("ran").exists());
}

#[test]
fn so_many_run_at_once_and_no_more() {
    let host = Host::start();
    let text = "mkdir run.$$; ls -d run.* | wc -l; sleep 0.05; rmdir run.$$";
    let list = lines(&(0..24).map(|_| json!({"argv": ["sh", "-c", text]})).collect::<Vec<_>>());
    let done =
        finish_with(host.client(["run", "--file", "-", "--at-once", "3", &host.target()]), list.as_bytes()).expect(0);
    let objects = objects(&done);
    let counts =
        objects.iter().map(|object| object["stdout"]["data"]["text"].as_str().expect("text").trim().to_owned());
    let counts: Vec<u32> = counts.map(|count| count.parse().expect("a number")).collect();
    assert!(counts.len() == 24 && counts.iter().all(|count| *count <= 3) && counts.contains(&3), "{counts:?}");
}

#[test]
fn what_was_never_sent_is_told_apart_from_what_may_have_run() {
    let host = Host::start();
    let list = lines(&[
        json!({"id": "a", "argv": ["sh", "-c", "touch began; sleep 60"]}),
        json!({"id": "b", "argv": ["true"]}),
    ]);
    fs::write(host.home().join("jobs.jsonl"), list).expect("written");
    let words = ["run", "--file", "jobs.jsonl", "--at-once", "1", &host.target()];
    let client = start(host.client(words).stdin(Stdio::null()));
    until("its start", || host.root().join("began").exists().then_some(()));
    host.signal(rustix::process::Signal::KILL);
    let objects = by_id(&client.finish().expect(1));
    assert!(objects["a"]["outcome"]["link_lost"].is_object(), "{objects:?}");
    assert!(objects["b"]["outcome"]["unreachable"].is_object(), "{objects:?}");
}
