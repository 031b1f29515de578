//! The examples run, end by themselves, and print what the guide says of them.

use std::env;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long an example may take on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

/// Python's calls, in the order of the guide's table.
const CALLS: [&str; 20] = [
    "bind",
    "listen",
    "accept",
    "connect",
    "connect_ex",
    "recv",
    "send",
    "sendall",
    "recvfrom",
    "sendto",
    "getpeername",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "close",
    "setblocking",
    "settimeout",
    "gettimeout",
    "fileno",
    "makefile",
];

/// What an example prints. Cargo builds a package's examples with its tests, into the directory beside theirs.
fn printed_by(name: &str) -> String {
    let tests = env::current_exe().expect("this program has a path");
    let program = tests.ancestors().nth(2).expect("target/debug/deps/it").join("examples").join(name);
    let mut child = Command::new(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut output = child.stdout.take().expect("a pipe");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let success = ended_well(&mut child).expect("a child of ours");
    let text = reader.join().expect("no panic").expect("text");
    assert!(success, "{name} failed, after: {text}");
    text
}

/// Whether it ended within the deadline, and without a failure.
fn ended_well(child: &mut Child) -> io::Result<bool> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// Fails unless the lines come in this order. Others may come in between.
#[track_caller]
fn assert_in_order(printed: &str, expected: &[&str]) {
    let mut lines = printed.lines();
    for line in expected {
        assert!(lines.any(|printed| printed == *line), "{line:?} is missing, or too early, in: {printed}");
    }
}

#[test]
fn every_socket_call_of_the_guide_is_shown() {
    let printed = printed_by("socket_calls");
    let called: Vec<&str> = printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for call in CALLS {
        assert!(called.contains(&call), "{call} is missing: {printed}");
    }
    for gave in ["111, ECONNREFUSED", "8388608 bytes, and all arrived", "SO_RCVBUF 16384, asked for 8192"] {
        assert!(printed.contains(gave), "{gave:?} is missing: {printed}");
    }
}

#[test]
fn a_command_of_ones_own_answers() {
    let printed = printed_by("own_command");
    let both = "client: the list is [{\"bytes\":6,\"name\":\"egg.txt\"},{\"bytes\":5,\"name\":\"hello.txt\"}]";
    assert_in_order(
        &printed,
        &[
            "commands: {\"list\", \"put\"}",
            "server: hello.txt is stored, 5 bytes",
            "client: the list is [{\"bytes\":5,\"name\":\"hello.txt\"}]",
            "server: egg.txt is stored, 6 bytes",
            both,
            "the server has ended",
        ],
    );
    assert!(printed.contains("server: closed, for the peer sent the command `__init__`"), "{printed}");
    assert!(printed.contains("client: __init__ gets 0 bytes of reply"), "{printed}");
}

#[test]
fn the_guide_links_each_call_to_its_example() {
    let guide = include_str!("../../../../docs/sticky-packets.md");
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `")).collect();
    for call in CALLS {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{call}(")));
        let row = row.unwrap_or_else(|| panic!("the guide's table lacks {call}"));
        assert!(row.contains("socket_calls.rs"), "{row}");
    }
}
