//! Replies and commands in GBK, as Chinese Windows spells them: as they are, or translated at one end or at both.

use std::fs;

use super::peers::{By, Server, pairings, same};

const GBK: &[&str] = &["--encoding", "gbk"];
/// `你好`, as a command that prints it in GBK, and as one that does in UTF-8.
const HELLO_IN_GBK: &str = r"printf '\304\343\272\303'";
const HELLO_IN_UTF8: &str = r"printf '\344\275\240\345\245\275'";
const WIRE: &[u8] = b"\xc4\xe3\xba\xc3";

/// Asks one command of a server with these flags by a client with those, for each pairing and dialect; fails unless
/// this is the reply.
#[track_caller]
fn answers(at_server: &[&str], at_client: &[&str], commands: &[(&str, &[u8])]) {
    for dialect in ["raw", "udp", "ack", "len32"] {
        for pairing @ (server, client) in pairings() {
            let server = Server::start_with(server, dialect, at_server);
            fs::write(server.home().join("文件"), "contents").expect("written");
            // A client for each: in `raw`, two commands of one client could stick together.
            for (command, reply) in commands {
                let done = server.ask(client, at_client, [command]).expect(0);
                same(&done.stdout, reply, pairing);
                assert_eq!(done.stderr, "", "{dialect} {pairing:?}");
            }
        }
    }
}

#[test]
fn without_an_encoding_bytes_stay_as_they_are() {
    answers(&[], &[], &[(HELLO_IN_GBK, WIRE), (HELLO_IN_UTF8, "你好".as_bytes()), ("ls", "文件\n".as_bytes())]);
}

#[test]
fn between_two_ends_that_translate_text_stays_text() {
    let text = "你好\n".as_bytes();
    // What is no UTF-8 goes over the wire as it is, where it is taken for GBK.
    answers(GBK, GBK, &[("echo 你好", text), ("ls", "文件\n".as_bytes()), (HELLO_IN_GBK, "你好".as_bytes())]);
}

#[test]
fn a_server_that_translates_writes_gbk() {
    let face = r"printf 'a\360\237\230\200b'";
    answers(GBK, &[], &[(HELLO_IN_UTF8, WIRE), (HELLO_IN_GBK, WIRE), (face, b"a?b"), ("ls", b"\xce\xc4\xbc\xfe\n")]);
}

#[test]
fn a_client_that_translates_reads_gbk() {
    answers(&[], GBK, &[(HELLO_IN_GBK, "你好".as_bytes()), ("echo 你好", "你好\n".as_bytes())]);
}

#[test]
fn long_replies_are_translated_whole() {
    // An odd number of bytes in front, so that characters lie across the pieces' edges.
    let command = "printf x; yes 汉字 | head -n 100000";
    let text = format!("x{}", "汉字\n".repeat(100_000));
    for dialect in ["ack", "len32"] {
        for pairing @ (server, client) in pairings() {
            let server = Server::start_with(server, dialect, GBK);
            same(&server.ask(client, GBK, [command]).expect(0).stdout, text.as_bytes(), pairing);
        }
    }
}

/// Prints 2,001 bytes of GBK, whose first 1,024 end within a character.
const CUT: &str = r"printf x; yes 汉 | head -n 1000 | tr -d '\n'";

#[test]
fn a_character_cut_by_raw_is_put_together_by_the_next_answer() {
    let wanted = format!("x{}next\n", "汉".repeat(1000));
    for pairing @ (server, client) in pairings() {
        let server = Server::start_with(server, "raw", GBK);
        let mut client = server.typed(client, GBK);
        for (before, command) in [CUT, "echo next"].into_iter().enumerate() {
            client.types(command);
            server.ran(before + 1);
        }
        client.types("quit");
        let shown = client.finish().expect(0).stdout;
        let shown = std::str::from_utf8(&shown).expect("text");
        // Where the last answer ends within a character, that is told.
        let whole = shown.strip_suffix('\u{fffd}').unwrap_or(shown);
        assert!(!whole.is_empty() && wanted.starts_with(whole), "{pairing:?}: {whole}");
    }
}

#[test]
fn half_a_character_at_a_replys_end_spoils_no_other_reply() {
    for dialect in ["udp", "ack", "len32"] {
        for pairing @ (server, client) in pairings() {
            let server = Server::start(server, dialect);
            let done = server.ask(client, GBK, [r"printf '\304\343\304'", "echo abc"]).expect(0);
            assert_eq!(done.text(), "你\u{fffd}abc\n", "{dialect} {pairing:?}");
        }
    }
}

#[test]
fn a_character_cut_by_udp_is_lost_and_spoils_no_other_answer() {
    for pairing @ (server, client_by) in pairings() {
        let server = Server::start_with(server, "udp", GBK);
        let done = server.ask(client_by, GBK, [CUT, "echo abc"]).expect(0);
        // 1,024 bytes: one letter, 511 characters of two, and half of one.
        same(&done.stdout, format!("x{}\u{fffd}abc\n", "汉".repeat(511)).as_bytes(), pairing);
        assert_eq!(done.stderr.contains("977 bytes of the answer are lost"), client_by == By::Us, "{pairing:?}");
    }
}
