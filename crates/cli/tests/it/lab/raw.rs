//! `raw`: what one `recv(1024)` gives is the answer, and the rest of it the answer to the next command.
//!
//! How much a `recv` gives is up to the network, so a line is typed only when what the line before did is a fact.

use std::fs;

use super::peers::{By, Server, WAITS, begun, go, pairings, same};
use super::program::Program;

/// What one `recv` of the client takes at most.
const TAKEN: usize = 1024;
/// As long as it takes for a command that prints nothing to be given up; nothing else is given up in that time.
const WAIT: [&str; 2] = ["--wait", "2"];

/// Types a command with a short reply, and waits for the reply behind all that came before.
fn asks(server: &Server, client: &mut Program, command: &str, all: &mut Vec<u8>) {
    let (stderr, stdout) = server.printed(command);
    all.extend(stderr.into_iter().chain(stdout));
    client.types(command);
    client.shows(all);
}

#[test]
fn short_replies_come_as_they_are() {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, "raw");
        fs::write(server.home().join("a file"), "contents").expect("written");
        let (mut client, mut all) = (server.typed(client, &[]), Vec::new());
        for command in ["ls -l", "lllll", "pwd", r"printf '\304\343\272\303'"] {
            client.types("");
            asks(&server, &mut client, command, &mut all);
        }
        client.types("quit");
        let done = client.finish().expect(0);
        same(&done.stdout, &all, pairing);
        assert_eq!(done.stderr, "", "{pairing:?}");
        server.ran(4);
    }
}

#[test]
fn standard_error_comes_first() {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, "raw");
        let mut client = server.typed(client, &[]);
        client.types("echo out; echo err >&2");
        server.ran(1);
        // They are sent one by one, so that the first answer may be but the first of them.
        client.types("echo next");
        server.ran(2);
        client.types("quit");
        let shown = client.finish().expect(0).stdout;
        assert!(shown.starts_with(b"err\n") && b"err\nout\nnext\n".starts_with(&shown), "{pairing:?}: {shown:?}");
    }
}

#[test]
fn the_rest_of_a_long_reply_answers_the_next_command() {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, "raw");
        let mut client = server.typed(client, &[]);
        let commands = ["seq 1000", "pwd", "lllll"];
        let replies: Vec<u8> = commands.iter().flat_map(|command| server.printed(command).1).collect();
        for (before, command) in commands.into_iter().enumerate() {
            client.types(command);
            // Its reply is sent; what the client makes of it is seen at the end.
            server.ran(before + 1);
        }
        client.types("quit");
        let shown = client.finish().expect(0).stdout;
        assert!((commands.len()..=commands.len() * TAKEN).contains(&shown.len()), "{pairing:?}: {}", shown.len());
        same(&shown, &replies[..shown.len()], pairing);
    }
}

#[test]
fn a_client_may_leave_most_of_a_reply_unread() {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, "raw");
        let shown = server.ask(client, &[], ["seq 1388888", "quit"]).expect(0).stdout;
        assert!((1..=TAKEN).contains(&shown.len()), "{pairing:?}: {}", shown.len());
        same(&shown, &server.printed("seq 1388888").1[..shown.len()], pairing);
        server.lost_a_client();
        let done = server.ask(client, &[], ["echo still here"]).expect(0);
        assert_eq!(done.text(), "still here\n", "{pairing:?}");
    }
}

/// A client that gave up waiting for a reply.
struct Waited {
    pairing: (By, By),
    server: Server,
    client: Program,
}

/// Types this line to a client of each pairing, to all of them at once; each is given back when it has given up.
fn waited(line: &str) -> Vec<Waited> {
    let typed = |pairing: (By, By)| {
        let server = Server::start(pairing.0, "raw");
        let mut client = server.typed(pairing.1, &WAIT);
        client.types(line);
        Waited { pairing, server, client }
    };
    let all: Vec<Waited> = pairings().into_iter().map(typed).collect();
    for Waited { pairing, client, .. } in &all {
        let words = match pairing.1 {
            By::Us => "unglue: nothing came for 2 s; perhaps the command prints nothing, which raw can't say",
            By::Python => "nothing came within 2 seconds",
        };
        client.tells(words, 1);
        assert_eq!(client.shown(), b"", "{pairing:?}");
    }
    all
}

#[test]
fn a_command_that_prints_nothing_is_noted_and_passed_over() {
    for Waited { pairing, server, mut client } in waited("true") {
        server.ran(1);
        client.types("echo next");
        client.shows(b"next\n");
        let done = client.finish().expect(0);
        assert_eq!((done.text(), done.stderr.lines().count()), ("next\n", 1), "{pairing:?}: {done:?}");
    }
}

#[test]
fn a_reply_that_is_late_answers_the_next_command() {
    for Waited { pairing, server, mut client } in waited(WAITS) {
        begun(&server);
        go(&server);
        server.ran(1);
        client.types("echo next");
        server.ran(2);
        client.types("quit");
        let shown = client.finish().expect(0).stdout;
        // Nearly always it is the late reply alone.
        assert!(shown.starts_with(b"late\n") && b"late\nnext\n".starts_with(&shown), "{pairing:?}: {shown:?}");
    }
}

#[test]
fn a_client_whose_server_ends_says_so() {
    for (server, client) in pairings() {
        let server = Server::start(server, "raw");
        let mut client_program = server.typed(client, &[]);
        client_program.types("echo one");
        client_program.shows(b"one\n");
        client_program.types("kill -9 $PPID");
        let done = client_program.finish().expect(if client == By::Us { 125 } else { 1 });
        assert_eq!((done.text(), done.stderr.lines().count()), ("one\n", 1), "{done:?}");
    }
}
