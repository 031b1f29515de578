//! The servers' steps, one by one and all together.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use unglue_lab::LabError;
use unglue_lab::connection::Connection;
use unglue_lab::dialects::header::{Commands, Header};
use unglue_lab::server::{
    Datagram, DatagramService, Event, Family, ReceivingUdpServer, ServedConnection, Settings, TcpServer, UdpServer,
    Watch,
};

use crate::served::PATIENCE;
use crate::site::{uninterrupted, within};

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn nothing(_: SocketAddr, _: &Event<'_>) {}

/// Says how many bytes one `recv` gave, and leaves.
fn count(session: &mut ServedConnection<'_>) -> Result<(), LabError> {
    let mut buffer = vec![0; session.settings().packet];
    let n = session.recv_command(&mut buffer)?;
    session.connection.send_all(n.to_string().as_bytes(), "a count")
}

fn ask(address: SocketAddr, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    client.write_all(bytes).expect("it is sent");
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a reply, and the end");
    reply
}

#[test]
fn the_defaults_are_the_tutorials() {
    let settings = Settings::default();
    assert_eq!((settings.family, settings.backlog, settings.packet), (Family::V4, 5, 8192));
    assert_eq!(settings.directory, std::path::Path::new("file_upload"));
}

#[test]
fn each_step_can_be_taken_alone() {
    within(60, || {
        let bound = TcpServer::new(Settings::default()).and_then(|server| server.bind(loopback())).expect("a port");
        let address = bound.address();
        // Bound, and not listening yet.
        assert!(TcpStream::connect(address).is_err());
        let server = bound.activate().expect("it listens");
        let asked = thread::spawn(move || ask(address, b"hello"));
        let request = server.accept().expect("it accepts").expect("it wasn't shut down");
        assert!(request.peer.ip().is_loopback());
        server.handle(request, &count, &nothing).expect("it is served");
        assert_eq!(asked.join().expect("no panic"), "5");
        server.shut_down();
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    });
}

#[test]
fn run_takes_them_all_until_it_is_shut_down() {
    within(60, || {
        for (family, address) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            let settings = Settings { family, ..Settings::default() };
            let server =
                match TcpServer::new(settings).and_then(|server| server.bind(address.parse().expect("an address"))) {
                    Err(error) if family == Family::V6 => return eprintln!("skipped: IPv6: {error}"),
                    bound => bound.and_then(|bound| bound.activate()).expect("it listens"),
                };
            let (address, stopper) = (server.address(), server.stopper());
            let running = thread::spawn(move || server.run(&count, &nothing));
            let asked: Vec<_> = (1..20).map(|n| thread::spawn(move || ask(address, &vec![b'x'; n]))).collect();
            for (n, asked) in (1..20).zip(asked) {
                assert_eq!(asked.join().expect("no panic"), n.to_string());
            }
            stopper.shut_down();
            running.join().expect("no panic").expect("it ends in order");
        }
    });
}

#[test]
fn an_accept_that_waits_ends_with_the_server() {
    within(60, || {
        let server = TcpServer::new(Settings::default()).and_then(|server| server.bind(loopback())).expect("a port");
        let server = server.activate().expect("it listens");
        let stopper = server.stopper();
        let waiting = thread::spawn(move || server.accept().map(|request| request.is_none()));
        stopper.shut_down();
        assert!(waiting.join().expect("no panic").expect("it ends in order"));
    });
}

#[test]
fn the_packet_bounds_one_recv() {
    within(60, || {
        let settings = Settings { packet: 3, ..Settings::default() };
        let server = TcpServer::new(settings).and_then(|server| server.bind(loopback())).expect("a port");
        let server = server.activate().expect("it listens");
        let address = server.address();
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(b"hello").expect("it is sent");
        let request = server.accept().expect("it accepts").expect("a client");
        server.handle(request, &count, &nothing).expect("it is served");
        let mut reply = [0; 1];
        client.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"3");
    });
}

#[test]
fn an_address_that_cannot_be_had_is_told() {
    let first = TcpServer::new(Settings::default()).and_then(|server| server.bind(loopback())).expect("a port");
    let first = first.activate().expect("it listens");
    let again = TcpServer::new(Settings::default()).and_then(|server| server.bind(first.address()));
    let error = again.expect_err("it is taken").to_string();
    assert!(error.starts_with(&format!("could not bind to {}: Address already in use", first.address())), "{error}");
    let other =
        TcpServer::new(Settings::default()).and_then(|server| server.bind("[::1]:0".parse().expect("an address")));
    let error = other.expect_err("another family").to_string();
    assert!(error.contains("is not an address of the family V4; set Settings::family"), "{error}");
}

#[test]
fn a_server_can_be_started_again_at_once() {
    within(60, || {
        let start = |address| {
            let server = TcpServer::new(Settings::default()).and_then(|server| server.bind(address));
            server.and_then(|bound| bound.activate()).expect("the address is free")
        };
        let server = start(loopback());
        let address = server.address();
        // The server's end closes first, so it is the one that stays in TIME-WAIT (RFC 9293, section 3.6.1).
        let asked = thread::spawn(move || ask(address, b"x"));
        let request = server.accept().expect("it accepts").expect("a client");
        server.handle(request, &count, &nothing).expect("it is served");
        assert_eq!(asked.join().expect("no panic"), "1");
        server.shut_down();
        start(address).shut_down();
    });
}

struct Mirror(AtomicUsize);

impl DatagramService for Mirror {
    fn answer(&self, datagram: &Datagram, server: &ReceivingUdpServer, _: &Watch<'_>) -> Result<(), LabError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        server.send_to(&datagram.bytes, datagram.peer)
    }
}

#[test]
fn datagrams_have_the_same_steps() {
    within(60, || {
        let settings = Settings { packet: 4, ..Settings::default() };
        let bound = UdpServer::new(settings).and_then(|server| server.bind(loopback())).expect("a port");
        let server = bound.activate().expect("it receives");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        client.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        client.send_to(b"hello", server.address()).expect("it is sent");
        let datagram = server.receive().expect("it receives").expect("it wasn't shut down");
        assert_eq!((datagram.bytes.as_slice(), datagram.length), (b"hell".as_slice(), 5));
        assert_eq!(datagram.peer, client.local_addr().expect("an address"));
        let mirror = Mirror(AtomicUsize::new(0));
        server.handle(&datagram, &mirror, &nothing).expect("it is answered");
        let mut buffer = [0; 10];
        assert_eq!(uninterrupted(|| client.recv(&mut buffer)).expect("the answer"), 4);
        let (address, stopper) = (server.address(), server.stopper());
        thread::scope(|scope| {
            let running = scope.spawn(|| server.run(&mirror, &nothing));
            for _ in 0..5 {
                client.send_to(b"", address).expect("it is sent");
                assert_eq!(uninterrupted(|| client.recv(&mut buffer)).expect("the answer"), 0);
            }
            stopper.shut_down();
            running.join().expect("no panic").expect("it ends in order");
        });
        assert_eq!(mirror.0.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn a_command_of_ones_own_is_called_by_its_name() {
    within(60, || {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a.txt"), "hello").expect("a file");
        let commands = Commands::none().with("size", |call| {
            let bytes = std::fs::metadata(call.directory().join(call.name("filename")?)).map_or(0, |file| file.len());
            call.reply(bytes.to_string().as_bytes())
        });
        let settings = Settings { directory: directory.path().to_owned(), ..Settings::default() };
        let server = TcpServer::new(settings).and_then(|server| server.bind(loopback())).expect("a port");
        let server = server.activate().expect("it listens");
        let header = br#"{"cmd":"size","filename":"/x/a.txt"}"#;
        let wire = [&(header.len() as i32).to_ne_bytes()[..], header].concat();
        let mut client = TcpStream::connect(server.address()).expect("it listens");
        client.write_all(&wire).expect("it is sent");
        client.shutdown(std::net::Shutdown::Write).expect("it ends");
        let request = server.accept().expect("it accepts").expect("a client");
        server.handle(request, &Header { commands }, &nothing).expect("it is served");
        let mut reply = String::new();
        client.read_to_string(&mut reply).expect("a reply");
        assert_eq!(reply, "5");
    });
}

#[test]
fn a_service_that_panics_ends_its_own_client_only() {
    within(60, || {
        let settings = Settings { clients: 3, ..Settings::default() };
        let server = TcpServer::new(settings).and_then(|server| server.bind(loopback())).expect("a port");
        let server = server.activate().expect("it listens");
        let (address, stopper) = (server.address(), server.stopper());
        let panics = AtomicUsize::new(0);
        let told = AtomicUsize::new(0);
        let service = |session: &mut ServedConnection<'_>| match panics.fetch_add(1, Ordering::Relaxed) {
            0..3 => panic!("on purpose"),
            _ => count(session),
        };
        let watch = |_: SocketAddr, event: &Event<'_>| {
            let panicked =
                matches!(event, Event::Ended { error: Some(error) } if error.to_string().contains("panicked"));
            told.fetch_add(usize::from(panicked), Ordering::Relaxed);
        };
        thread::scope(|scope| {
            let running = scope.spawn(|| server.run(&service, &watch));
            for _ in 0..3 {
                assert_eq!(ask(address, b""), "");
            }
            assert_eq!(ask(address, b"hello"), "5");
            stopper.shut_down();
            running.join().expect("no panic").expect("it ends in order");
        });
        assert_eq!(told.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn any_time_is_a_time_to_wait() {
    within(60, || {
        let settings = Settings { idle: Duration::MAX, patience: Duration::MAX, ..Settings::default() };
        let server = TcpServer::new(settings).and_then(|server| server.bind(loopback())).expect("a port");
        let server = server.activate().expect("it listens");
        let (address, stopper) = (server.address(), server.stopper());
        let running = thread::spawn(move || server.run(&count, &nothing));
        assert_eq!(ask(address, b"hello"), "5");
        stopper.shut_down();
        running.join().expect("no panic").expect("it ends in order");
    });
}

#[test]
fn a_connection_reads_and_writes_as_others_do() {
    let server = TcpServer::new(Settings::default()).expect("made").bind("127.0.0.1:0".parse().expect("an address"));
    let server = server.expect("bound").activate().expect("it listens");
    let mut client = Connection::connect(server.address(), Duration::from_millis(200)).expect("it connects");
    let request = server.accept().expect("no error").expect("a client");
    // The connection itself, for whatever the server's steps don't do.
    let peer = request.peer;
    let mut stream = request.into_stream();
    assert_eq!(stream.peer_addr().expect("it has one"), peer);
    client.write_all(b"two\nlines\n").expect("sent");
    let mut bytes = [0; 10];
    stream.read_exact(&mut bytes).expect("they come");
    assert_eq!(&bytes, b"two\nlines\n");
    stream.write_all(b"and back\n").expect("sent");
    let mut lines = BufReader::new(client);
    let mut line = String::new();
    lines.read_line(&mut line).expect("it comes");
    assert_eq!(line, "and back\n");
    // Nothing more comes: that is a time-out, and no end.
    let late = lines.read_line(&mut line).expect_err("nothing comes");
    assert_eq!(late.kind(), std::io::ErrorKind::TimedOut, "{late}");
    drop(stream);
    assert_eq!(lines.read_line(&mut line).expect("the end"), 0);
}

#[test]
fn events_read_as_lines_of_a_log() {
    let error = LabError::Stopped;
    let long = "x".repeat(100);
    let told = [
        Event::Connected.to_string(),
        Event::Ran { command: b"ls", stderr: 0, stdout: 5 }.to_string(),
        Event::Ran { command: long.as_bytes(), stderr: 1, stdout: 0 }.to_string(),
        Event::Ended { error: Some(&error) }.to_string(),
    ];
    let short = format!("ran `{}…`: 1 bytes of stderr, 0 of stdout", "x".repeat(60));
    assert_eq!(
        told,
        ["connected", "ran `ls`: 0 bytes of stderr, 5 of stdout", &short, "closed: the server was shut down"]
    );
}
