//! Hostile servers, against each dialect's client.

use std::time::{Duration, Instant};

use unglue_lab::LabError;
use unglue_lab::coding::Coding;
use unglue_lab::dialects::{Dialect, Reply};

use crate::served::{paced, scripted};
use crate::site::within;

const SHORT: Duration = Duration::from_millis(300);
/// Where a test is not about silence.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one command, then leaves. Gives the reply and what came of it.
fn ask(dialect: Dialect, server: std::net::SocketAddr, patience: Duration) -> (Vec<u8>, Result<Reply, LabError>) {
    let mut client = dialect.connect(server, patience, Coding::Utf8).expect("it listens").expect("it asks commands");
    let mut reply = Vec::new();
    let asked = client.ask(b"pwd", &mut reply);
    let asked = asked.and_then(|asked| client.leave(&mut reply).map(|()| asked));
    (reply, asked)
}

/// The error that a server's bytes make.
#[track_caller]
fn refuses(dialect: Dialect, pieces: &[&[u8]], closes: bool, words: &str) {
    refuses_within(PATIENCE, dialect, pieces, closes, words);
}

#[track_caller]
fn refuses_within(patience: Duration, dialect: Dialect, pieces: &[&[u8]], closes: bool, words: &str) {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let started = Instant::now();
    let (_, asked) = ask(dialect, scripted(pieces, closes), patience);
    let error = asked.expect_err("it is refused").to_string();
    assert!(format!("{error}\n").contains(words), "{words:?} is missing: {error}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

fn length(length: i32) -> [u8; 4] {
    length.to_ne_bytes()
}

#[test]
fn a_length_below_zero_is_told_with_its_number() {
    within(60, || {
        refuses(Dialect::Len32, &[&length(-5)], false, "the peer sent -5 as a reply's length");
        refuses(Dialect::Len32, &[&length(i32::MIN)], false, "-2147483648");
        refuses(Dialect::Ack, &[b"-5"], false, "the peer sent \"-5\" as a reply's length");
    });
}

#[test]
fn a_huge_length_is_no_memory_and_its_cut_is_told() {
    within(60, || {
        refuses(Dialect::Len32, &[&length(i32::MAX), b"abc"], true, "after 3 of 2147483647 bytes of a reply");
        let (_, asked) = ask(Dialect::Ack, paced(b"18446744073709551615", b"abc"), PATIENCE);
        let error = asked.expect_err("it ends too soon").to_string();
        assert!(error.contains("after 3 of 18446744073709551615 bytes"), "{error}");
        refuses(Dialect::Ack, &[b"18446744073709551616"], false, "as a reply's length");
        refuses(Dialect::Ack, &[b"99999999999999999999999999"], false, "as a reply's length");
    });
}

#[test]
fn a_length_that_is_cut_is_told() {
    within(60, || {
        refuses(Dialect::Len32, &[&length(5)[..2]], true, "after 2 of 4 bytes of a reply's length");
        refuses(Dialect::Len32, &[], true, "after 0 of 4 bytes of a reply's length");
        refuses(Dialect::Ack, &[], true, "after 0 of 1 bytes of a reply's length");
    });
}

#[test]
fn another_protocol_is_recognised() {
    within(60, || {
        refuses(Dialect::Ack, &[b"HTTP/1.1 400 Bad Request\r\n"], true, "HTTP/1.1 400 Bad Req");
        refuses(Dialect::Ack, &[&length(5)], true, "as a reply's length");
        refuses(Dialect::Len32, &[b"HTTP/1.1 400\r\n"], true, "10 bytes behind it; that is `HTTP` in ASCII");
        refuses_within(
            Duration::from_secs(2),
            Dialect::Len32,
            &[b"bin\nboot\n"],
            false,
            "as a reply's length, and then not so many bytes; that is `bin",
        );
        refuses(Dialect::Ack, &[b" 5"], true, "as a reply's length");
    });
}

#[test]
fn a_length_that_comes_byte_by_byte_is_put_together() {
    within(60, || {
        let pieces = length(5).iter().chain(b"hello").map(|byte| vec![*byte]).collect();
        let (reply, asked) = ask(Dialect::Len32, scripted(pieces, true), PATIENCE);
        assert_eq!((asked.expect("it came"), reply), (Reply::Came, b"hello".to_vec()));
    });
}

#[test]
fn a_decimal_length_that_is_cut_is_found_out_by_what_comes_behind() {
    within(60, || {
        // The client takes 1 for the length of 12, and a byte for the reply: it has said recv_ready when the rest is sent.
        let server = paced(b"1", b"2hello world!");
        let (reply, asked) = ask(Dialect::Ack, server, PATIENCE);
        let error = asked.expect_err("it is found out").to_string();
        assert!(error.contains("bytes behind the reply"), "{error}");
        assert_eq!(reply, b"2");
    });
}

#[test]
fn bytes_behind_a_reply_are_no_answer_to_the_next_command() {
    within(60, || {
        refuses(Dialect::Len32, &[&[&length(2)[..], b"abcd"].concat()], false, "2 bytes behind the reply");
        let (_, asked) = ask(Dialect::Ack, paced(b"2", b"abcd"), PATIENCE);
        let error = asked.expect_err("it is found out").to_string();
        assert!(error.contains("bytes behind the reply"), "{error}");
    });
}

#[test]
fn silence_has_an_end() {
    within(60, || {
        let length_missing = "timed out after 2 s waiting for a reply's length";
        let reply_missing = "timed out after 2 s waiting for a reply\n";
        let refuses = |dialect, pieces: &[&[u8]], words| {
            refuses_within(Duration::from_secs(2), dialect, pieces, false, words);
        };
        refuses(Dialect::Len32, &[], length_missing);
        refuses(Dialect::Len32, &[&length(5), b"he"], reply_missing);
        refuses(Dialect::Ack, &[], length_missing);
        refuses(Dialect::Ack, &[b"5"], reply_missing);
        let (reply, asked) = ask(Dialect::Raw, scripted(Vec::new(), false), SHORT);
        assert_eq!((asked.expect("no error"), reply), (Reply::Silence(SHORT), Vec::new()));
    });
}

#[test]
fn an_end_instead_of_a_reply_is_told() {
    within(60, || {
        refuses(Dialect::Raw, &[], true, "the peer closed the connection");
        refuses(Dialect::Len32, &[&length(5), b"he"], true, "after 2 of 5 bytes of a reply");
    });
}

#[test]
fn nobody_at_the_address_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    for dialect in [Dialect::Raw, Dialect::Ack, Dialect::Len32] {
        let error = dialect.connect(free, SHORT, Coding::Utf8).err().expect("nobody listens").to_string();
        assert!(error.starts_with(&format!("could not connect to {free}: Connection refused")), "{error}");
    }
    let mut udp = Dialect::Udp.connect(free, SHORT, Coding::Utf8).expect("UDP connects to nobody").expect("it asks");
    let error = udp.ask(b"pwd", &mut Vec::new()).expect_err("nobody is there").to_string();
    assert!(error.contains("Connection refused"), "{error}");
}
