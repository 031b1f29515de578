//! The server's log: whatever becomes of it, service goes on, and no peer writes an event.

use std::fs::File;
use std::io::{Read as _, pipe};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::host::Host;
use super::run::{finish, until};

/// Logs in several times, and ends the server.
fn still_serves(mut host: Host) {
    let started = Instant::now();
    for _ in 0..12 {
        // Long names make long lines.
        let done = host.exec(&["--cwd", "."], ["sh", "-c", "echo served", &"x".repeat(4000)]);
        assert_eq!(done.expect(0).text(), "served\n");
    }
    host.exec(&["--timeout", "100ms"], ["sleep", "60"]).expect(124);
    host.signal(Signal::TERM);
    assert_eq!(host.ended(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_full_device_does_not_stop_service() {
    still_serves(Host::start_logging_to(File::options().write(true).open("/dev/full").expect("a device")));
}

#[test]
fn a_closed_pipe_does_not_stop_service() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    still_serves(Host::start_logging_to(writer));
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_service() {
    let (mut reader, writer) = pipe().expect("a pipe");
    // As small as a pipe can be: a few lines fill it.
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a size");
    still_serves(Host::start_logging_to(writer));
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("text");
    // A line that doesn't fit waits, so the pipe is nearly full.
    assert!(log.len() > 3000 && !log.contains("stopped"), "the pipe was full: {log}");
    assert!(log.lines().map(serde_json::from_str::<Value>).all(|event| event.is_ok()), "{log}");
}

#[test]
fn a_peer_writes_neither_long_lines_nor_events() {
    let host = Host::start();
    let forged = "\"} {\"event\":\"accepted\"}\n{\"event\":\"accepted\",\"peer\":\"192.0.2.1:1\"}\u{7f}\u{202e}";
    host.exec(&[], [forged]).expect(127);
    host.exec(&[], ["/".repeat(100_000)]).expect(126);
    finish(host.client(["exec", &format!("{}\u{7f}@{}", "u".repeat(3_000), host.target()), "true"])).expect(125);
    let log = until("the log", || Some(host.log()).filter(|log| log.contains("serves the user")));
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(event["peer"], "192.0.2.1:1", "{line}");
        assert!(line.len() < 2500 && !line.contains(['\u{7f}', '\u{202e}']), "{} bytes: {line}", line.len());
    }
    let cut = |name: &str| log.lines().any(|line| line.contains(&format!("\"{name}_cut\":")));
    assert!(cut("program") && cut("why"), "{log}");
}
