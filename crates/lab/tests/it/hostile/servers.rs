//! Hostile clients, against each dialect's server.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use unglue_lab::coding::Coding;
use unglue_lab::dialects::Dialect;
use unglue_lab::server::Settings;
use unglue_lab::shell::Shell;

use crate::served::{PATIENCE, Served, is_closed};
use crate::site::{uninterrupted, within};

const SHORT: Duration = Duration::from_millis(300);
const TCP: [Dialect; 4] = [Dialect::Raw, Dialect::Ack, Dialect::Len32, Dialect::Header];

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The server is there for others.
fn serves(dialect: Dialect, served: &Served) {
    let mut client =
        dialect.connect(served.address, PATIENCE, Coding::Utf8).expect("it listens").expect("it asks commands");
    let mut reply = Vec::new();
    client.ask(b"echo here", &mut reply).expect("it answers");
    assert_eq!(reply, b"here\n");
    client.leave(&mut reply).expect("nothing is late");
}

#[test]
fn a_client_that_stops_before_recv_ready_is_let_go() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Ack, directory.path(), SHORT);
        let mut stalled = served.hears(b"echo hello");
        serves(Dialect::Ack, &served);
        served.tells("closed: timed out after 0.3 s waiting for recv_ready");
        assert!(is_closed(&mut stalled));
    });
}

#[test]
fn something_else_than_recv_ready_is_told() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Ack, directory.path(), PATIENCE);
        let mut wrong = served.hears(b"echo hello");
        let mut length = [0; 1];
        wrong.read_exact(&mut length).expect("the length");
        wrong.write_all(b"please send it").expect("it is sent");
        served.tells("closed: the peer sent \"please sen\" where recv_ready belongs");
        assert!(is_closed(&mut wrong));
        let mut cut = served.hears(b"echo hello");
        cut.read_exact(&mut length).expect("the length");
        cut.write_all(b"recv_").expect("it is sent");
        drop(cut);
        served.tells("closed: the peer closed the connection after 5 of 10 bytes of recv_ready");
        serves(Dialect::Ack, &served);
    });
}

#[test]
fn recv_ready_may_come_in_pieces_and_with_the_next_command_behind_it() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Ack, directory.path(), PATIENCE);
        let mut client = served.hears(b"echo hello");
        client.set_nodelay(true).expect("it is set");
        let mut length = [0; 1];
        client.read_exact(&mut length).expect("the length");
        assert_eq!(&length, b"6");
        client.write_all(b"recv_").expect("it is sent");
        client.write_all(b"readyecho x").expect("it is sent");
        let mut replies = [0; 7];
        client.read_exact(&mut replies).expect("the reply, and the next one's length");
        assert_eq!(&replies, b"hello\n2");
    });
}

#[test]
fn a_client_that_reads_nothing_is_let_go_and_others_are_served() {
    within(60, || {
        for dialect in [Dialect::Raw, Dialect::Len32] {
            let directory = directory();
            let served = Served::start(dialect, directory.path(), SHORT);
            let stalled = served.hears(b"head -c 15000000 /dev/zero");
            serves(dialect, &served);
            served.tells("closed: timed out after 0.3 s waiting for the peer to take the rest of a reply");
            drop(stalled);
        }
    });
}

#[test]
fn a_client_that_vanishes_ends_its_own_connection_only() {
    within(60, || {
        for dialect in TCP {
            let directory = directory();
            let served = Served::start(dialect, directory.path(), PATIENCE);
            for said in [b"".as_slice(), b"seq 100000", b"\xff\xfe\x00"] {
                let gone = served.hears(said);
                // With unread bytes behind it, a close becomes a reset.
                socket2::SockRef::from(&gone).set_linger(Some(Duration::ZERO)).expect("it is set");
            }
            if dialect != Dialect::Header {
                serves(dialect, &served);
            }
        }
    });
}

#[test]
fn garbage_is_a_command_that_fails_and_no_more() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Len32, directory.path(), PATIENCE);
        let mut client = served.hears(&[0, 255, 1, 2, 3]);
        let mut length = [0; 4];
        client.read_exact(&mut length).expect("a length");
        let mut reply = vec![0; i32::from_ne_bytes(length) as usize];
        client.read_exact(&mut reply).expect("a reply");
        assert!(reply.starts_with(b"unglue lab: the command has a zero byte"), "{}", reply.escape_ascii());
        client.write_all(b"echo on").expect("it is sent");
        client.read_exact(&mut length).expect("a length");
        assert_eq!(length, 3_i32.to_ne_bytes());
    });
}

#[test]
fn a_client_too_many_is_refused_and_there_is_room_again() {
    within(60, || {
        let settings = Settings { clients: 2, ..Settings::default() };
        let served = Served::set(Dialect::Raw, settings, Shell::default());
        let first = served.hears(b"");
        let _second = served.hears(b"");
        served.tells("Connected");
        served.tells("Connected");
        assert!(is_closed(&mut served.hears(b"")));
        served.tells("Refused { clients: 2 }");
        drop(first);
        served.tells("left");
        let mut again = served.hears(b"echo hi");
        let mut reply = [0; 3];
        again.read_exact(&mut reply).expect("it is served");
        assert_eq!(&reply, b"hi\n");
    });
}

#[test]
fn a_silent_client_is_let_go_in_the_end() {
    within(60, || {
        let settings = Settings { idle: SHORT, ..Settings::default() };
        let served = Served::set(Dialect::Raw, settings, Shell::default());
        let mut silent = served.hears(b"");
        served.tells("closed: timed out after 0.3 s waiting for the next command");
        assert!(is_closed(&mut silent));
    });
}

#[test]
fn a_command_that_never_ends_is_ended_with_the_server() {
    within(60, || {
        let directory = directory();
        let mark = directory.path().join("mark");
        let served = Served::start(Dialect::Raw, directory.path(), PATIENCE);
        let _client = served.hears(format!("echo $$ > {}; sleep 600", mark.display()).as_bytes());
        let pid = loop {
            let text = std::fs::read_to_string(&mark).unwrap_or_default();
            if text.ends_with('\n') {
                break text.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        drop(served);
        assert!(!std::path::Path::new("/proc").join(&pid).exists(), "{pid} still runs");
    });
}

#[test]
fn datagrams_of_any_size_are_answered_in_two() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Udp, directory.path(), PATIENCE);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        client.connect(served.address).expect("an address");
        let mut buffer = vec![0; 70_000];
        let mut answer = |command: &[u8]| {
            client.send(command).expect("it is sent");
            let stderr = uninterrupted(|| client.recv(&mut buffer)).expect("stderr");
            let stderr = buffer[..stderr].to_vec();
            let stdout = uninterrupted(|| client.recv(&mut buffer)).expect("stdout");
            (stderr, buffer[..stdout].to_vec())
        };
        assert_eq!(answer(b""), (Vec::new(), Vec::new()));
        assert_eq!(answer(b"head -c 65507 /dev/zero").1.len(), 65_507);
        // One byte too many: it isn't sent, and the server goes on.
        assert_eq!(answer(b"head -c 65508 /dev/zero"), (Vec::new(), Vec::new()));
        served.tells("dropped: stdout is not sent: could not send a datagram of 65508 bytes: Message too long");
        // What is longer than the server's buffer is cut off: 1,024 bytes of it are a command.
        let long = format!("echo {}", "x".repeat(2000));
        assert_eq!(answer(long.as_bytes()).1.len(), 1024 - "echo ".len() + 1);
        assert_eq!(answer(b"echo on; echo off >&2"), (b"off\n".to_vec(), b"on\n".to_vec()));
    });
}

#[test]
fn one_clients_datagrams_are_answered_in_order() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Udp, directory.path(), PATIENCE);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        for number in 0..8 {
            client.send_to(format!("echo {number}").as_bytes(), served.address).expect("it is sent");
        }
        let mut buffer = [0; 1024];
        for number in 0..8 {
            assert_eq!(uninterrupted(|| client.recv(&mut buffer)).expect("stderr"), 0);
            let stdout = uninterrupted(|| client.recv(&mut buffer)).expect("stdout");
            assert_eq!(buffer[..stdout], *format!("{number}\n").as_bytes());
        }
    });
}

#[test]
fn the_end_is_seen_by_clients_in_the_middle_of_anything() {
    within(60, || {
        for dialect in TCP {
            let directory = directory();
            let served = Served::start(dialect, directory.path(), PATIENCE);
            let mut idle: Vec<TcpStream> = vec![served.hears(b""), served.hears(b"sleep 100")];
            served.tells("Connected");
            served.tells("Connected");
            drop(served);
            assert!(idle.iter_mut().all(is_closed), "{dialect}");
        }
    });
}

#[test]
fn a_page_in_a_browser_runs_nothing() {
    within(60, || {
        for dialect in [Dialect::Raw, Dialect::Ack, Dialect::Len32] {
            let directory = directory();
            let served = Served::start(dialect, directory.path(), PATIENCE);
            let mark = directory.path().join("mark");
            for method in ["GET", "POST", "HEAD"] {
                let request = format!("{method} /?;touch${{IFS}}{}; HTTP/1.1\r\nHost: a\r\n\r\n", mark.display());
                let mut page = served.hears(request.as_bytes());
                served.tells("closed: the peer sent an HTTP request; it is not run");
                assert!(is_closed(&mut page) && !mark.exists());
            }
            serves(dialect, &served);
        }
    });
}

#[test]
fn a_slow_reader_is_no_stalled_one() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Len32, directory.path(), Duration::from_secs(2));
        let mut slow = served.hears(b"head -c 12000000 /dev/zero");
        let mut buffer = vec![0; 100_000];
        let (mut got, began) = (0, std::time::Instant::now());
        // 400 kB/s for 8 s, four times as long as the server waits for one that takes nothing.
        while began.elapsed() < Duration::from_secs(8) {
            got += uninterrupted(|| slow.read(&mut buffer)).expect("it is served");
            std::thread::sleep(Duration::from_millis(250));
        }
        let rest = std::io::copy(&mut std::io::Read::take(&mut slow, 12_000_004 - got as u64), &mut std::io::sink());
        assert_eq!(rest.expect("it is served") + got as u64, 12_000_004);
    });
}

#[test]
fn a_client_that_breaks_off_ends_its_command() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Raw, directory.path(), PATIENCE);
        let gone = served.hears(format!("echo > {}; sleep 600", directory.path().join("mark").display()).as_bytes());
        while !directory.path().join("mark").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        socket2::SockRef::from(&gone).set_linger(Some(Duration::ZERO)).expect("it is set");
        drop(gone);
        served.tells("closed: the client broke the connection off while its command ran; the command was ended");
    });
}

#[test]
fn the_end_reaches_a_connection_that_is_never_idle() {
    within(60, || {
        let directory = directory();
        let served = Served::start(Dialect::Header, &directory.path().join("in"), PATIENCE);
        let header = br#"{"cmd":"put","filename":"a","filesize":1099511627776}"#;
        let mut eager = served.hears(&[&(header.len() as i32).to_ne_bytes()[..], header].concat());
        let sending = std::thread::spawn(move || while eager.write_all(&[0; 1 << 16]).is_ok() {});
        while !directory.path().join("in").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(served);
        sending.join().expect("its connection was closed");
        assert_eq!(std::fs::read_dir(directory.path().join("in")).expect("a directory").count(), 0);
    });
}
