//! What `unglue lab` doesn't do: one line says why, and the exit code is 125.

use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::run::{Finished, UNGLUE, clean, finish, finish_with};

/// Runs the command in an empty home.
pub(super) fn unglue(words: &[&str]) -> Finished {
    let home = tempfile::tempdir().expect("a directory");
    finish(clean(UNGLUE).args(words).env("HOME", home.path()).current_dir(home.path()))
}

#[test]
fn others_are_not_served_by_accident() {
    for (dialect, does) in [("raw", "runs commands"), ("udp", "runs commands"), ("header", "stores files")] {
        for (address, ip) in [("0.0.0.0:0", "0.0.0.0"), ("[::]:0", "::"), ("192.0.2.1:0", "192.0.2.1")] {
            let done = unglue(&["lab", "serve", dialect, "--listen", address]).expect(125);
            assert!(done.stdout.is_empty(), "{done:?}");
            let what = format!("{ip} is not a loopback address, and this dialect {does} for anyone who connects");
            assert!(done.stderr.contains("--i-know-this-runs-commands-for-anyone"), "{done:?}");
            done.complains(&what);
        }
    }
}

/// Addresses that are taken, and at which nobody listens, as long as what comes with them lives.
fn deaf() -> (String, String, impl Drop) {
    struct Kept<T>(T);
    impl<T> Drop for Kept<T> {
        fn drop(&mut self) {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    let tcp = stream.local_addr().expect("it has one").to_string();
    // It takes what one peer alone sends.
    let (peer, socket) = (UdpSocket::bind("127.0.0.1:0").expect("a port"), UdpSocket::bind("127.0.0.1:0"));
    let socket = socket.expect("a port");
    socket.connect(peer.local_addr().expect("it has one")).expect("connected");
    let udp = socket.local_addr().expect("it has one").to_string();
    (tcp, udp, Kept((listener, stream, peer, socket)))
}

#[test]
fn where_nobody_listens_a_client_says_so() {
    let (tcp, udp, _kept) = deaf();
    for dialect in ["raw", "ack", "len32", "header"] {
        let done = unglue(&["lab", "connect", dialect, &tcp]).expect(125);
        done.complains(&format!("could not connect to {tcp}: Connection refused"));
    }
    // Nothing is connected here: the first datagram comes back.
    unglue(&["lab", "connect", "udp", &udp]).expect(0);
    let done = finish_with(clean(UNGLUE).args(["lab", "connect", "udp", &udp]), b"pwd\n").expect(125);
    done.complains(
        "could not receive a datagram: Connection refused (os error 111); no program listens there: check the address",
    );
}

#[test]
fn wrong_usage_is_one_line() {
    let cases: [(&[&str], &str); 13] = [
        (&["serve", "tcp"], "`tcp` is not a dialect; the lab has raw, udp, ack, len32, header"),
        (&["connect", "tcp", "127.0.0.1:1"], "`tcp` is not a dialect"),
        (&["serve"], "<DIALECT>"),
        (&["serve", "raw", "--listen", "127.0.0.1"], "it has no port; write it like 127.0.0.1:8000"),
        (&["serve", "raw", "--listen", "127.0.0.1:70000"], "it is not an address"),
        (&["serve", "raw", "--encoding", "big5"], "`big5` is not an encoding of the lab; it has utf-8 and gbk"),
        (&["connect", "raw"], "<ADDR:PORT>"),
        (&["connect", "raw", "127.0.0.1"], "it has no port"),
        (&["connect", "raw", "127.0.0.1:1", "--wait", "0"], "it must be a number of seconds above 0"),
        (&["scene", "sendre"], "there is no such scene; there are sender, receiver, cut-reply"),
        (&["scene", "--all", "sender"], "--all"),
        (&["scene", "sender", "--repeat", "0"], "--repeat"),
        (&[], "unglue lab"),
    ];
    for (words, why) in cases {
        let done = unglue(&[&["lab"], words].concat()).expect(125);
        assert!(done.stdout.is_empty(), "{words:?}: {done:?}");
        done.complains(why);
    }
}

#[test]
fn help_is_no_failure() {
    for command in [&[][..], &["serve"], &["connect"], &["scene"]] {
        let done = unglue(&[&["lab"], command, &["--help"]].concat()).expect(0);
        assert!(done.text().contains("Examples:") && done.stderr.is_empty(), "{command:?}: {done:?}");
    }
}
