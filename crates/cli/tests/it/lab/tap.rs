//! `unglue lab tap`: what goes through, and what is told of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use unglue_testkit::port::HeldPort;

use super::program::Program;
use super::refusals::unglue;
use super::torture::failures::full_listener;
use crate::run::{UNGLUE, clean, until};

/// A tap in front of a server of ours, and the address that it listens on.
struct Tapped {
    program: Program,
    address: String,
    server: TcpListener,
}

impl Tapped {
    fn start(flags: &[&str]) -> Tapped {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let target = server.local_addr().expect("it has one").to_string();
        let program = Program::start(clean(UNGLUE).args(["lab", "tap", "--to", &target]).args(flags));
        let address = until("the tap's announcement", || {
            let shown = String::from_utf8(program.shown()).expect("text");
            let line = shown.lines().next()?;
            let place = line.find("127.0.0.1:")?;
            Some(line[place..].trim_end_matches(|c: char| !c.is_ascii_digit()).split('"').next()?.to_owned())
        });
        Tapped { program, address, server }
    }

    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(&self.address).expect("it listens");
        let (server, _) = self.server.accept().expect("the tap connects");
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("set");
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        }
        (client, server)
    }
}

/// Sends bytes, and waits until they have come through.
fn pass(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    from.write_all(bytes).expect("sent");
    let mut came = vec![0; bytes.len()];
    to.read_exact(&mut came).expect("they come through");
    assert_eq!(came, bytes);
}

/// A conversation in which a read merges, and one cuts, messages behind a length of four bytes.
fn converse(tapped: &Tapped) {
    let (client, server) = tapped.connect();
    pass(&client, &server, b"\0\0\0\x05hello\0\0\0");
    pass(&client, &server, b"\x03egg");
    pass(&server, &client, b"\0\0\0\x01a");
    drop(client);
    drop(server);
}

fn lines(shown: &[u8]) -> Vec<Value> {
    let lines = shown.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("each line is an object")).collect()
}

#[test]
fn messages_that_a_read_cut_or_merged_are_marked() {
    let tapped = Tapped::start(&["--frame", "u32be", "--connections", "1"]);
    converse(&tapped);
    let done = tapped.program.finish().expect(0);
    let shown = done.text();
    for words in [
        "client sent 12 bytes",
        "@0 len=5 \"hello\" shared",
        "3 bytes of a message that goes on",
        "@9 len=3 \"egg\" cut",
        "server sent 5 bytes",
        "@0 len=1 \"a\"\n",
        "client 16 bytes in 2 reads, 2 messages (1 cut, 1 shared); server 5 bytes in 1 reads, 1 messages (0 cut, 0 shared)",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours in a pipe: {shown}");
}

#[test]
fn json_has_all_of_it() {
    let tapped = Tapped::start(&["--frame", "u32be", "--connections", "1", "--json"]);
    converse(&tapped);
    let lines = lines(&tapped.program.finish().expect(0).stdout);
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().expect("a name")).collect();
    assert_eq!((events[0], events[1], events.last()), ("listening", "opened", Some(&"closed")), "{events:?}");
    let reads: Vec<&Value> = lines.iter().filter(|line| line["event"] == "read").collect();
    assert_eq!(reads[0]["messages"][0]["data"]["text"], "hello");
    assert_eq!((&reads[0]["messages"][0]["cut"], &reads[0]["messages"][0]["shared"]), (&false.into(), &true.into()));
    assert_eq!((reads[0]["unfinished"].as_u64(), reads[1]["messages"][0]["cut"].as_bool()), (Some(3), Some(true)));
    assert_eq!(reads[1]["messages"][0]["offset"], 9);
    // As root the kernel shows them: each write here is one.
    if rustix::process::geteuid().is_root() {
        assert!(reads.iter().all(|read| read["segments"].as_array().is_some_and(|s| s.len() == 1)), "{reads:?}");
    } else {
        eprintln!("skipped: segments are shown to root only");
    }
}

#[test]
fn the_capture_holds_the_messages() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("tap.pcap").display().to_string();
    let tapped = Tapped::start(&["--connections", "1", "--pcap", &file]);
    converse(&tapped);
    tapped.program.finish().expect(0);
    let done = unglue(&["lab", "dissect", &file, "--frame", "u32be", "--json"]).expect(0);
    let mut messages = lines(&done.stdout);
    messages.sort_by_key(|message| message["data"]["text"].to_string());
    let data: Vec<&Value> = messages.iter().map(|message| &message["data"]["text"]).collect();
    assert_eq!(data, ["a", "egg", "hello"]);
    assert_eq!((&messages[1]["spans"], &messages[2]["shares"]), (&true.into(), &true.into()), "{messages:?}");
}

#[test]
fn wireshark_opens_the_capture() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("tap.pcap");
    let tapped = Tapped::start(&["--connections", "1", "--pcap", &file.display().to_string()]);
    converse(&tapped);
    tapped.program.finish().expect(0);
    let Some(payloads) = tshark(&file, &["-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.payload"]) else { return };
    let payloads: Vec<&str> = payloads.lines().map(str::trim).collect();
    assert_eq!(payloads, ["0000000568656c6c6f000000", "03656767", "0000000161"]);
    let check = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    let broken =
        [&check[..], &["-Y", "tcp.checksum.status == 0 or ip.checksum.status == 0 or tcp.analysis.flags"]].concat();
    assert_eq!(tshark(&file, &broken).as_deref(), Some(""));
}

/// What tshark prints of a file; `None` where there is none, which is told.
fn tshark(file: &Path, flags: &[&str]) -> Option<String> {
    let Ok(output) = clean("tshark").arg("-r").arg(file).args(flags).output() else {
        eprintln!("skipped: tshark isn't installed");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn large_transfers_come_through_whole_whatever_is_shown() {
    let tapped = Tapped::start(&["--frame", "u32be", "--connections", "1"]);
    let (mut client, mut server) = tapped.connect();
    let frame = [&1024_u32.to_be_bytes()[..], &[7; 1024]].concat();
    let bytes = frame.repeat(20_000);
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || {
        client.write_all(&sent).expect("sent");
        client.shutdown(std::net::Shutdown::Write).expect("ended");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the end");
        rest
    });
    let mut came = Vec::new();
    server.read_to_end(&mut came).expect("all of it");
    assert!(came == bytes, "{} bytes of {}", came.len(), bytes.len());
    server.write_all(b"\0\0\0\x02ok").expect("sent");
    drop(server);
    assert_eq!(sending.join().expect("no panic"), b"\0\0\0\x02ok");
    let done = tapped.program.finish().expect(0);
    assert!(done.text().contains("20000 messages"), "{}", done.text());
}

#[test]
fn a_notation_that_does_not_fit_is_told_once() {
    let tapped = Tapped::start(&["--frame", "u32be", "--connections", "1"]);
    let (client, server) = tapped.connect();
    pass(&client, &server, b"GET / HTTP/1.1\r\n");
    pass(&client, &server, b"Host: x\r\n\r\n");
    drop((client, server));
    let done = tapped.program.finish().expect(0);
    let told = done.text().lines().filter(|line| line.contains("is the peer speaking HTTP?")).count();
    assert_eq!(told, 1, "{}", done.text());
}

#[test]
fn a_target_that_refuses_is_told_and_the_client_let_go() {
    let closed = HeldPort::any();
    let gone = closed.address().to_string();
    let program = Program::start(clean(UNGLUE).args(["lab", "tap", "--to", &gone, "--connections", "1"]));
    let address = until("the tap's announcement", || {
        let shown = String::from_utf8(program.shown()).expect("text");
        Some(shown.lines().next()?.strip_prefix("listening on ")?.to_owned())
    });
    let mut client = TcpStream::connect(&address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "the client sees an end");
    let done = program.finish().expect(0);
    assert!(done.text().contains(&format!("was let go: could not connect to {gone}: Connection refused")), "{done:?}");
}

#[test]
fn a_target_that_drops_what_is_sent_does_not_hold_a_signal_up() {
    let (listener, _queued) = full_listener();
    let target = listener.local_addr().expect("it has one").to_string();
    let program = Program::start(clean(UNGLUE).args(["lab", "tap", "--to", &target]));
    let address = until("the tap's announcement", || {
        let shown = String::from_utf8(program.shown()).expect("text");
        Some(shown.lines().next()?.strip_prefix("listening on ")?.to_owned())
    });
    let _client = TcpStream::connect(&address).expect("it listens");
    // Until it tries: it has a connection to the target that isn't made yet.
    let port = listener.local_addr().expect("it has one").port();
    until("the tap's attempt", || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("it is there");
        table.lines().any(|line| line.contains(&format!(":{port:04X} 02"))).then_some(())
    });
    let began = std::time::Instant::now();
    program.signal(Signal::INT);
    assert_eq!(program.finish().code, 130);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_target_that_resets_is_told() {
    let tapped = Tapped::start(&["--connections", "1"]);
    let (mut client, server) = tapped.connect();
    pass(&client, &server, b"hello");
    rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).expect("set");
    drop(server);
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "the client sees an end");
    drop(client);
    let done = tapped.program.finish().expect(0);
    assert!(done.text().contains("server broke off: Connection reset by peer"), "{}", done.text());
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it has one").to_string();
    let done = unglue(&["lab", "tap", "--listen", &address, "--to", "127.0.0.1:1"]).expect(125);
    done.complains(&format!("could not listen on {address}: another program does; end that program"));
    let done = unglue(&["lab", "tap", "--to", "127.0.0.1:1", "--frame", "len:u32"]).expect(125);
    assert!(done.stderr.contains("unglue frame list shows what there is"), "{done:?}");
    let done = unglue(&["lab", "tap", "--to", "127.0.0.1:1", "--pcap", "/no/such/place"]).expect(125);
    done.complains("/no/such/place can't be written");
}

#[test]
fn a_signal_ends_it_with_clients_connected() {
    let tapped = Tapped::start(&[]);
    let (mut client, _server) = tapped.connect();
    tapped.program.signal(Signal::INT);
    assert_eq!(tapped.program.finish().code, 130);
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "the client sees an end");
}
