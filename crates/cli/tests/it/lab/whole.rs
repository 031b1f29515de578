//! `ack` and `len32`: every reply is whole, and standard error wins over standard output.

use std::fs;

use super::peers::{Server, pairings, same};
use crate::run::finish_with;

/// `seq 1388888` prints 10,000,000 bytes.
const COMMANDS: [&str; 8] = [
    "ls -l",
    "lllll",
    "true",
    "pwd",
    "echo out; echo err >&2",
    "seq 1388888",
    "true",
    r"printf '\304\343\272\303\n\0\377'",
];

fn replies_are_whole(dialect: &'static str) {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, dialect);
        fs::write(server.home().join("a file"), "contents").expect("written");
        let printed = COMMANDS.map(|command| server.printed(command));
        let wanted: Vec<u8> =
            printed.into_iter().flat_map(|(stderr, stdout)| if stderr.is_empty() { stdout } else { stderr }).collect();
        assert!(wanted.len() > 10_000_000, "{}", wanted.len());

        // To the end of input, whose last line has no end of its own.
        let done = server.ask(client, &[], COMMANDS).expect(0);
        same(&done.stdout, &wanted, pairing);
        assert_eq!(done.stderr, "", "{pairing:?}");
        server.ran(COMMANDS.len());

        // To `quit`, behind which nothing is run; with empty lines, which are not sent.
        let lines = COMMANDS.iter().flat_map(|command| ["", command]).chain(["quit", "pwd"]);
        let done = server.ask(client, &[], lines).expect(0);
        same(&done.stdout, &wanted, pairing);
        assert_eq!(done.stderr, "", "{pairing:?}");
        server.ran(2 * COMMANDS.len());
    }
}

#[test]
fn replies_of_ack_are_whole() {
    replies_are_whole("ack");
}

#[test]
fn replies_of_len32_are_whole() {
    replies_are_whole("len32");
}

#[test]
fn a_reply_is_shown_before_the_next_line_is_read() {
    for dialect in ["ack", "len32"] {
        for (server, client) in pairings() {
            let server = Server::start(server, dialect);
            let mut client = server.typed(client, &[]);
            client.types("echo one");
            client.shows(b"one\n");
            client.types("true");
            server.ran(2);
            client.types("printf two");
            client.shows(b"one\ntwo");
            let done = client.finish().expect(0);
            assert_eq!((done.text(), done.stderr.as_str()), ("one\ntwo", ""), "no prompt where there is no terminal");
        }
    }
}

#[test]
fn a_last_line_without_an_end_is_a_command_too() {
    for dialect in ["raw", "udp", "ack", "len32"] {
        for (server, client) in pairings() {
            let server = Server::start(server, dialect);
            let done = finish_with(&mut server.client(client, &[]), b"echo whole").expect(0);
            assert_eq!(done.text(), "whole\n", "{dialect}");
        }
    }
}

#[test]
fn lines_may_end_as_windows_ends_them() {
    for (server, client) in pairings() {
        let server = Server::start(server, "len32");
        let done = finish_with(&mut server.client(client, &[]), b"echo a\r\n\r\nquit\r\necho b\r\n").expect(0);
        assert_eq!((done.text(), done.stderr.as_str()), ("a\n", ""));
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let server = Server::start(pairings()[0].0, "len32");
    let mut client = crate::run::clean("bash");
    client.args(["-c", "set -o pipefail; echo 'seq 1388888' | \"$0\" lab connect len32 \"$1\" | head -n 1"]);
    let done = finish_with(client.args([crate::run::UNGLUE, server.address.as_str()]), b"").expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("1\n", ""));
}
