//! `udp`: 1,024 bytes of each answer and the rest lost; nothing of an answer that no datagram carries.

use std::fs;

use super::peers::{By, Server, pairings, same};

/// What one datagram carries over IPv4.
const LARGEST: usize = 65_507;
/// What the receiver takes of it.
const TAKEN: usize = 1024;

const COMMANDS: [&str; 14] = [
    "ls -l",
    "lllll",
    "",
    "pwd",
    "true",
    "echo out; echo err >&2",
    "seq 1000",
    "seq 500 >&2; seq 600",
    "head -c 1024 /dev/zero",
    "head -c 65507 /dev/zero",
    "head -c 65508 /dev/zero; echo kept >&2",
    "seq 1388888",
    r"printf '\304\343\272\303\n\0\377'",
    "echo the end",
];

/// What arrives of an output, and how many bytes are lost without the server noticing.
fn taken(output: &[u8]) -> (&[u8], usize) {
    match output.len() {
        0..=TAKEN => (output, 0),
        n if n <= LARGEST => (&output[..TAKEN], n - TAKEN),
        _ => (&[], 0),
    }
}

#[test]
fn each_line_has_an_answer_of_two_datagrams() {
    for pairing @ (server_by, client_by) in pairings() {
        let server = Server::start(server_by, "udp");
        fs::write(server.home().join("a file"), "contents").expect("written");
        let (mut wanted, mut lost, mut unsent) = (Vec::new(), Vec::new(), 0);
        for (stderr, stdout) in COMMANDS.map(|command| server.printed(command)) {
            let ((errors, more), (output, rest)) = (taken(&stderr), taken(&stdout));
            wanted.extend_from_slice(&[errors, output].concat());
            lost.extend(Some(more + rest).filter(|lost| *lost > 0));
            unsent += [stderr, stdout].iter().filter(|output| output.len() > LARGEST).count();
        }
        assert_eq!((lost.len(), unsent), (3, 2));

        let done = server.ask(client_by, &[], COMMANDS.iter().chain(&["quit", "pwd"])).expect(0);
        same(&done.stdout, &wanted, pairing);
        server.ran(COMMANDS.len());
        let words = if server_by == By::Us { "dropped: stdout is not sent: " } else { "refused: a datagram of " };
        server.program.tells(words, unsent);
        let told = lost.iter().map(|lost| {
            format!(
                "unglue: {lost} bytes of the answer are lost: the datagram was larger than the dialect's 1024 bytes\n"
            )
        });
        // Python's client can't see it.
        let told = if client_by == By::Us { told.collect() } else { String::new() };
        assert_eq!(done.stderr, told, "{pairing:?}");
    }
}

#[test]
fn an_empty_line_is_a_command() {
    for pairing @ (server, client) in pairings() {
        let server = Server::start(server, "udp");
        let done = server.ask(client, &[], ["", "", ""]).expect(0);
        assert_eq!((done.text(), done.stderr.as_str()), ("", ""), "{pairing:?}");
        server.ran(3);
    }
}

#[test]
fn an_answer_is_shown_before_the_next_line_is_read() {
    for (server, client) in pairings() {
        let server = Server::start(server, "udp");
        let mut client = server.typed(client, &[]);
        client.types("echo err >&2; printf out");
        client.shows(b"err\nout");
        client.types("");
        server.ran(2);
        client.types("pwd");
        client.shows(format!("err\nout{}\n", server.home().display()).as_bytes());
        client.finish().expect(0);
    }
}

#[test]
fn clients_have_their_answers_for_themselves() {
    for (server, client) in pairings() {
        let server = Server::start(server, "udp");
        let mut clients: Vec<_> = (0..4).map(|_| server.typed(client, &[])).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.types(&format!("echo {number}"));
        }
        for (number, client) in clients.into_iter().enumerate() {
            client.shows(format!("{number}\n").as_bytes());
            assert_eq!(client.finish().expect(0).text(), format!("{number}\n"));
        }
        server.ran(4);
    }
}
