//! A command with the lease `keep` whose link is lost.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use crate::host::Host;
use crate::run::{finish_with, start, until};

/// Prints numbers slowly enough to be cut in between, waits until [`may_end`], and exits with 5.
const SLOW: &str = "echo x >> starts; i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.05; done
    until [ -e go ]; do sleep 0.02; done; exit 5";

fn may_end(host: &Host) {
    fs::write(host.root().join("go"), "").expect("written");
}

fn numbers() -> String {
    (0..40).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_cut_link_changes_nothing() {
    let host = Host::start();
    let link = Link::to(&host);
    let running = start(host.client(["exec", "--lease", "keep=30s", &link.target(), "-c", SLOW]).stdin(Stdio::null()));
    let mut longest = Duration::ZERO;
    for (number, words) in ["3\n", "15\n", "30\n"].into_iter().enumerate() {
        running.shown(words);
        let away = Instant::now();
        link.cut();
        until("another connection", || (link.connections() > number + 1).then_some(()));
        longest = longest.max(away.elapsed());
    }
    may_end(&host);
    let done = running.finish().expect(5);
    assert_eq!(done.text(), numbers());
    // A machine that has much else to do takes longer.
    if longest < Duration::from_millis(300) {
        assert_eq!(done.stderr, "", "a link that is back within a second needs no line");
    }
    assert_eq!(fs::read_to_string(host.root().join("starts")).expect("it ran"), "x\n", "once");
}

#[test]
fn a_server_that_is_away_for_a_while_is_reported() {
    let mut host = Host::start();
    let running = start(host.client(["exec", "--lease", "keep=30s", &host.target(), "-c", SLOW]).stdin(Stdio::null()));
    running.shown("3\n");
    host.crash();
    thread::sleep(Duration::from_millis(1500));
    host.restart();
    may_end(&host);
    let done = running.finish().expect(5);
    assert_eq!(done.text(), numbers());
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(lines[0].contains("was lost: ") && lines[0].ends_with("connecting again"), "{done:?}");
    assert!(lines[1].ends_with("is back"), "{done:?}");
}

#[test]
fn events_tell_what_happens() {
    let host = Host::start();
    let link = Link::to(&host);
    let words = ["exec", "--events", "--lease", "keep=30s", &link.target(), "-c", SLOW];
    let running = start(host.client(words).stdin(Stdio::null()));
    // Pieces may come together.
    running.shown("12\\n");
    link.cut();
    until("another connection", || (link.connections() > 1).then_some(()));
    may_end(&host);
    let done = running.finish().expect(5);
    assert_eq!(done.stderr, "");
    let events: Vec<serde_json::Value> =
        done.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().expect("a kind")).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "outcome"));
    assert!(events[0]["pid"].as_u64().is_some_and(|pid| pid > 1) && events[0]["id"].is_string(), "{}", events[0]);
    let place = |kind| kinds.iter().position(|other| *other == kind).unwrap_or_else(|| panic!("{kind}: {kinds:?}"));
    assert!(place("link_lost") < place("reattached"));
    assert_eq!(events[events.len() - 1]["outcome"]["exited"], 5);
    let (mut text, mut stamps) = (String::new(), Vec::new());
    for event in &events {
        stamps.push(event["time"].as_str().expect("a time"));
        if event["event"] == "output" {
            assert_eq!((event["stream"].as_str(), event["offset"].as_u64()), (Some("stdout"), Some(text.len() as u64)));
            text += event["data"]["text"].as_str().expect("text");
        }
    }
    assert_eq!(text, numbers());
    assert!(stamps.is_sorted(), "{stamps:?}");
}

#[test]
fn an_input_that_breaks_off_kills_even_a_kept_command() {
    let host = Host::start();
    let words = ["exec", "-i", "--lease", "keep=30s", "--json", &host.target(), "-c", "cat; echo whole > whole"];
    // A directory can be opened, but not read.
    let done = start(host.client(words).stdin(fs::File::open("/").expect("it opens"))).finish().expect(125);
    assert!(done.json()["outcome"]["cancelled"].is_object(), "{done:?}");
    assert!(done.stderr.contains("standard input could not be read"), "{done:?}");
    assert!(!host.root().join("whole").exists());
}

#[test]
fn input_is_sent_once() {
    let host = Host::start();
    let link = Link::to(&host);
    let input: Vec<u8> = (0..300_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let text = "head -c 1000000; touch half; until [ -e go ]; do sleep 0.02; done; cat";
    let command = host.client(["exec", "-i", "--lease", "keep=30s", &link.target(), "-c", text]);
    let done = thread::scope(|scope| {
        let running = scope.spawn(|| finish_with(command, &input));
        until("the half", || host.root().join("half").exists().then_some(()));
        link.cut();
        until("another connection", || (link.connections() > 1).then_some(()));
        fs::write(host.root().join("go"), "").expect("written");
        running.join().expect("no panic")
    });
    let done = done.expect(0);
    assert!(done.stdout == input, "{} of {} bytes; {}", done.stdout.len(), input.len(), done.stderr);
}
