//! Servers: many clients, where they listen, and their end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::peers::{By, Server, WAITS, begun, go, pairings};
use crate::host::lives;
use crate::run::{DEADLINE, until};

/// The dialects that ask commands.
const ASKING: [&str; 4] = ["raw", "udp", "ack", "len32"];

#[test]
fn one_client_waits_for_its_reply_and_another_is_served() {
    for dialect in ASKING {
        for (server, client) in pairings() {
            let server = Server::start(server, dialect);
            let mut waiting = server.typed(client, &[]);
            waiting.types(WAITS);
            begun(&server);
            let done = server.ask(client, &[], ["echo meanwhile"]).expect(0);
            assert_eq!(done.text(), "meanwhile\n", "{dialect}");
            assert_eq!(waiting.shown(), b"", "{dialect}");
            go(&server);
            waiting.shows(b"late\n");
            waiting.finish().expect(0);
        }
    }
}

#[test]
fn a_client_that_never_says_recv_ready_holds_nobody_up() {
    for (server, client) in pairings() {
        let server = Server::start(server, "ack");
        let mut idle = TcpStream::connect(&server.address).expect("it listens");
        idle.set_read_timeout(Some(DEADLINE)).expect("set");
        idle.write_all(b"echo idle").expect("sent");
        let mut length = [0; 1];
        idle.read_exact(&mut length).expect("a length");
        assert_eq!(&length, b"5");
        assert_eq!(server.ask(client, &[], ["echo meanwhile"]).expect(0).text(), "meanwhile\n");
        idle.write_all(b"recv_ready").expect("sent");
        let mut reply = [0; 5];
        idle.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"idle\n");
    }
}

#[test]
fn many_are_served_at_once() {
    for dialect in ASKING {
        let server = Server::start(By::Us, dialect);
        let mut clients: Vec<_> = (0..12).map(|_| server.typed(By::Us, &[])).collect();
        if dialect != "udp" {
            server.program.tells(" connected", 12);
        }
        // The last is served while all the others are connected.
        for (number, client) in clients.iter_mut().enumerate().rev() {
            client.types(&format!("echo {number}"));
            client.shows(format!("{number}\n").as_bytes());
        }
        for client in clients {
            client.finish().expect(0);
        }
        server.ran(12);
    }
}

#[test]
fn a_signal_ends_the_server_and_what_it_runs() {
    for dialect in ASKING {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let server = Server::start(By::Us, dialect);
            let mut client = server.typed(By::Us, &["--wait", "60"]);
            client.types("echo $$ > pid.new && mv pid.new pid; exec sleep 600");
            let pid: i32 = until("the command's start", || {
                fs::read_to_string(server.home().join("pid")).ok()?.trim().parse().ok()
            });
            assert!(lives(pid));
            server.program.signal(signal);
            let Server { program, .. } = server;
            let done = program.finish().expect(code);
            until("the command's end", || (!lives(pid)).then_some(()));
            assert!(!done.stderr.contains("unglue: "), "{dialect}: {done:?}");
            if dialect != "udp" {
                // Its connection is closed without a reply.
                client.finish().expect(125).complains("the peer closed the connection after 0 of ");
            }
        }
    }
}

#[test]
fn a_signal_ends_a_server_whose_clients_are_idle() {
    for dialect in ["raw", "header"] {
        let server = Server::start(By::Us, dialect);
        let mut idle = TcpStream::connect(&server.address).expect("it listens");
        idle.set_read_timeout(Some(DEADLINE)).expect("set");
        server.program.tells(" connected", 1);
        server.program.signal(Signal::TERM);
        let Server { program, .. } = server;
        program.finish().expect(143);
        assert_eq!(idle.read(&mut [0]).expect("the connection's end"), 0, "{dialect}");
    }
}

#[test]
fn the_same_address_can_be_had_again_at_once() {
    for dialect in ["raw", "udp"] {
        let server = Server::start(By::Us, dialect);
        let address = server.address.clone();
        let mut client = server.typed(By::Us, &[]);
        client.types("echo one");
        client.shows(b"one\n");
        // The server closes first, so that its end of the connection lingers.
        server.program.signal(Signal::TERM);
        let Server { program, .. } = server;
        program.finish().expect(143);
        let again = Server::start_with(By::Us, dialect, &["--listen", &address]);
        assert_eq!(again.ask(By::Us, &[], ["echo two"]).expect(0).text(), "two\n", "{dialect}");
    }
}

#[test]
fn everybody_is_served_where_that_is_asked_for() {
    for dialect in ["raw", "udp"] {
        let flags = ["--listen", "0.0.0.0:0", "--i-know-this-runs-commands-for-anyone"];
        let mut server = Server::start_with(By::Us, dialect, &flags);
        let port = server.address.strip_prefix("0.0.0.0:").expect("the address that was asked for").to_owned();
        server.address = format!("127.0.0.1:{port}");
        assert_eq!(server.ask(By::Us, &[], ["echo here"]).expect(0).text(), "here\n", "{dialect}");
    }
}

#[test]
fn ipv6_works_as_well() {
    if TcpListener::bind("[::1]:0").is_err() {
        return eprintln!("skipped: this system has no IPv6");
    }
    for dialect in ASKING {
        for (server, client) in pairings() {
            let server = Server::start_with(server, dialect, &["--listen", "[::1]:0"]);
            assert!(server.address.starts_with("[::1]:"), "{}", server.address);
            assert_eq!(server.ask(client, &[], ["echo six"]).expect(0).text(), "six\n", "{dialect}");
        }
    }
}

#[test]
fn a_port_is_one_servers() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (tcp, udp) = (tcp.expect("a port"), udp.expect("a port"));
    let taken = [("raw", tcp.local_addr()), ("header", tcp.local_addr()), ("udp", udp.local_addr())];
    for (dialect, address) in taken {
        let address = address.expect("it has one").to_string();
        let words = ["lab", "serve", dialect, "--listen", &address];
        super::refusals::unglue(&words).expect(125).complains(&format!("could not bind to {address}"));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = crate::run::clean(crate::run::UNGLUE);
    command.args(["lab", "serve", "len32"]).current_dir(&directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("it starts");
    let mut told = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut told).expect("a line");
    let address = told.trim().rsplit(' ').next().expect("an address").to_owned();
    // More than a pipe holds: 64 KiB.
    let lines = "true\n".repeat(1500) + "echo on\n";
    let mut client = crate::run::clean(crate::run::UNGLUE);
    let done = crate::run::finish_with(client.args(["lab", "connect", "len32", &address]), lines.as_bytes());
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it lives");
    let status = crate::run::until("the server's end", || server.try_wait().expect("a child of ours"));
    assert_eq!(done.expect(0).text(), "on\n");
    assert_eq!(status.code(), Some(143));
}
