//! One broken program for each class of bugs that the pieces of a stream can show.

use std::sync::Mutex;
use std::thread;

use super::{home, json, text, torture, words};

/// A file of `tests/peers/torture`, and which end of it is broken.
type Peer = (&'static str, &'static str);

const CLIENTS: [Peer; 6] = [
    ("one_read.py", "client"),
    ("delimiter.py", "client"),
    ("empty_message.py", "client"),
    ("recv_trusted.py", "client"),
    ("second_dropped.py", "client"),
    ("json_braces.py", "client"),
];
const SERVERS: [Peer; 6] = [
    ("length_once.py", "server"),
    ("state_lost.py", "server"),
    ("short_write.py", "server"),
    ("crlf.py", "server"),
    ("half_close.py", "server"),
    ("too_long.py", "server"),
];
const OTHERS: [Peer; 8] = [
    ("pattern.py", "client"),
    ("read_timeout.py", "client"),
    ("pipelined.py", "server"),
    ("characters.js", "client"),
    ("buffer_reused.js", "client"),
    ("utf8.js", "client"),
    ("c_string.c", "client"),
    ("reader_anew.go", "server"),
];

/// How many searches wait for their programs at the same time.
const AT_ONCE: usize = 4;

/// Searches for each of them, a few at a time: they mostly wait. `kind` is `broken` or `right`.
fn each(peers: &[Peer], kind: &str, check: impl Fn(&str, &std::process::Output) + Sync) {
    let left = Mutex::new(peers.to_vec());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((file, end)) = left.lock().expect("no panic").pop() else { return };
                    let home = home();
                    let Some(words) = words(file, home.path()) else { continue };
                    let of = |role: &str| if role == end { kind } else { "right" };
                    let server = format!("exec {words} server {} {{port}}", of("server"));
                    let client = format!("{words} client {} {{port}}", of("client"));
                    check(file, &torture(home.path(), &["--json", "--runs", "8"], &server, &client));
                }
            });
        }
    });
}

fn found(file: &str, output: &std::process::Output) {
    assert_eq!(output.status.code(), Some(1), "{file}: {}", text(output));
    let report = json(output);
    let cuts = report["cuts"].as_array().expect("cuts");
    assert!((1..=3).contains(&cuts.len()), "{file}: {report:#}");
    assert!(report["failed"].as_u64() >= Some(1), "{file}: {report:#}");
    assert_ne!(report["differences"].as_array().map(Vec::len), Some(0), "{file}: {report:#}");
}

fn not_found(file: &str, output: &std::process::Output) {
    assert_eq!(output.status.code(), Some(0), "{file}: {}", text(output));
    assert_eq!(json(output)["found"], false, "{file}");
}

#[test]
fn broken_clients_are_found_with_at_most_three_cuts() {
    each(&CLIENTS, "broken", found);
}

#[test]
fn broken_servers_are_found_with_at_most_three_cuts() {
    each(&SERVERS, "broken", found);
}

#[test]
fn broken_programs_of_other_languages_are_found_with_at_most_three_cuts() {
    each(&OTHERS, "broken", found);
}

#[test]
fn right_clients_pass() {
    each(&CLIENTS, "right", not_found);
}

#[test]
fn right_servers_pass() {
    each(&SERVERS, "right", not_found);
}

#[test]
fn right_programs_of_other_languages_pass() {
    each(&OTHERS, "right", not_found);
}
