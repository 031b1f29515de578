//! `unglue lab scene`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::refusals::unglue;
use crate::run::{Finished, UNGLUE, clean, finish};

const SCENES: [&str; 13] = [
    "sender",
    "receiver",
    "cut-reply",
    "nagle",
    "mtu",
    "partial-send",
    "empty",
    "udp-limit",
    "udp-truncate",
    "udp-many",
    "timeout",
    "utf8-cut",
    "cost",
];

#[test]
fn a_scene_shows_the_calls_the_bytes_the_reason_and_the_cure() {
    let done = unglue(&["lab", "scene", "sender"]).expect(0);
    let shown = done.text();
    assert!(shown.starts_with("sender: "), "{shown}");
    for words in
        ["client", "server", "send(", "recv(10)", "sent      │hello│egg│", "received  │hello┊egg│", "✓", "Why:", "Fix:"]
    {
        assert!(shown.contains(words), "{words:?} is missing: {shown}");
    }
    assert!(!shown.contains('\x1b') && !shown.contains("not so") && done.stderr.is_empty(), "{done:?}");
}

/// Fails unless this is a whole report of a scene.
#[track_caller]
fn is_report(object: &Value, name: &str) {
    assert_eq!(object["scene"], name);
    assert_eq!(object["holds"], true, "{object}");
    assert!(
        object["calls"].as_array().is_some_and(|calls| calls.iter().all(|call| call["call"].is_string())),
        "{name}"
    );
    assert!(object["result"].as_object().is_some_and(|result| !result.is_empty()), "{object}");
    assert!(object["claims"].as_array().is_some_and(|claims| !claims.is_empty()), "{object}");
}

#[test]
fn json_is_one_object() {
    let done = unglue(&["lab", "scene", "sender", "--json"]).expect(0);
    let object = done.json();
    is_report(&object, "sender");
    assert_eq!(object["result"]["received"], serde_json::json!(["helloegg", ""]));
    assert_eq!((done.text().lines().count(), done.stderr.as_str()), (1, ""));
    let two = unglue(&["lab", "scene", "udp-limit", "empty", "--json"]).expect(0).json();
    is_report(&two["scenes"][0], "udp-limit");
    is_report(&two["scenes"][1], "empty");
    assert_eq!(two["scenes"].as_array().map(Vec::len), Some(2));
}

#[test]
fn all_of_them_appear_in_order_and_soon() {
    let done = unglue(&["lab", "scene", "--all"]).expect(0);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
    let titles = done.text().lines().filter_map(|line| Some(line.split_once(": ")?.0));
    let titles: Vec<&str> = titles.filter(|name| SCENES.contains(name)).collect();
    let skipped = |name: &str| done.stderr.contains(&format!("unglue: skipped: {name}: "));
    let wanted: Vec<&str> = SCENES.into_iter().filter(|name| !skipped(name)).collect();
    assert_eq!(titles, wanted, "{}", done.stderr);
    // Only those that take a network of their own may be beyond this machine.
    assert!(SCENES.iter().all(|name| *name == "nagle" || !skipped(name)), "{}", done.stderr);
    assert!(!done.text().contains("not so"), "{}", done.text());
}

#[test]
fn all_of_them_are_one_object_too() {
    let object = unglue(&["lab", "scene", "--all", "--json"]).expect(0).json();
    let all = object["scenes"].as_array().expect("a list");
    assert_eq!(all.iter().map(|scene| scene["scene"].as_str().expect("a name")).collect::<Vec<_>>(), SCENES);
    for (scene, name) in all.iter().zip(SCENES).filter(|(scene, _)| scene.get("skipped").is_none()) {
        is_report(scene, name);
    }
}

#[test]
fn a_repeated_scene_has_the_same_result_each_time() {
    let done = unglue(&["lab", "scene", "receiver", "empty", "--repeat", "20"]).expect(0);
    let lines: Vec<&str> = done.text().lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, name) in lines.iter().zip(["receiver", "empty"]) {
        assert!(line.starts_with(&format!("{name}: the same result 20 times: {{")), "{line}");
    }
    let object = unglue(&["lab", "scene", "cut-reply", "--repeat", "5", "--json"]).expect(0).json();
    is_report(&object, "cut-reply");
    assert_eq!(object["played"], 5);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let mut shell = clean("bash");
    shell.args(["-c", "set -o pipefail; \"$0\" lab scene --all | head -n 1", UNGLUE]);
    let done = finish(&mut shell).expect(0);
    assert!(done.text().starts_with("sender: "), "{done:?}");
    // An ordinary user can't play all of them.
    assert!(done.stderr.lines().all(|line| line.starts_with("unglue: skipped: nagle: ")), "{done:?}");
}

/// The program where everybody can reach it, and how an ordinary user runs it; `None` where there is no such user.
fn as_ordinary_user() -> Option<(TempDir, Command)> {
    const NOBODY: &str = "65534";
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let program = directory.path().join("unglue");
    fs::copy(UNGLUE, &program).expect("it is copied");
    if !rustix::process::geteuid().is_root() {
        return Some((directory, clean(program.to_str().expect("text"))));
    }
    let mut command = clean("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&program).current_dir("/");
    let help = Command::new("setpriv").args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "true"]).output();
    if !help.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no `setpriv` (util-linux) to become an ordinary user with");
        return None;
    }
    Some((directory, command))
}

fn run(command: &mut Command, words: &[&str]) -> Finished {
    finish(command.args(["lab", "scene"]).args(words).stdin(Stdio::null()))
}

#[test]
fn an_ordinary_user_is_told_what_a_scene_takes() {
    let Some((_directory, mut command)) = as_ordinary_user() else { return };
    let done = run(&mut command, &["nagle"]);
    if done.code == 0 {
        return eprintln!("skipped: this ordinary user may make networks");
    }
    let advice = "run it as root, or as `unshare --user --map-root-user unglue lab scene NAME`";
    assert!(done.stdout.is_empty() && done.stderr.contains(advice), "{done:?}");
    done.expect(125).complains("nagle: the scene has no network of its own");
}

#[test]
fn an_ordinary_user_sees_all_others() {
    let Some((_directory, mut command)) = as_ordinary_user() else { return };
    let done = run(&mut command, &["--all"]).expect(0);
    let told: Vec<&str> = done.stderr.lines().collect();
    assert!(told.len() <= 1 && told.iter().all(|line| line.starts_with("unglue: skipped: nagle: ")), "{told:?}");
    let shown = |name: &&&str| done.text().lines().any(|line| line.starts_with(&format!("{name}: ")));
    assert_eq!(SCENES.iter().filter(shown).count() + told.len(), SCENES.len(), "{}", done.text());
}

#[test]
fn without_a_name_they_are_listed() {
    let done = unglue(&["lab", "scene"]).expect(0);
    let names: Vec<&str> = done.text().lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, SCENES);
    let json = unglue(&["lab", "scene", "--json"]).expect(0).json();
    let listed =
        json["scenes"].as_array().expect("a list").iter().map(|scene| scene["scene"].as_str().expect("a name"));
    assert_eq!(listed.collect::<Vec<_>>(), SCENES);
}
