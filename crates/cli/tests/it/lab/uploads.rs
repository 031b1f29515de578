//! `header`: uploads arrive byte for byte, or not at all.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::peers::{By, Server, names, pairings};
use crate::run::{DEADLINE, Finished, until};

/// Bytes that look the same nowhere, as many as are asked for.
fn contents(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// A directory of files to send, each with so many bytes.
fn files(sizes: &[(&str, u64)]) -> TempDir {
    let directory = tempfile::Builder::new().prefix("unglue-lab-files-").tempdir().expect("a directory");
    for (name, bytes) in sizes {
        fs::write(directory.path().join(name), contents(*bytes)).expect("written");
    }
    directory
}

/// A server that stores below its home, in a directory that isn't there yet.
fn server(by: By) -> (Server, PathBuf) {
    let server = Server::start_with(by, "header", &["--dir", "up/loads"]);
    let directory = server.home().join("up/loads");
    (server, directory)
}

/// Waits until the server has told of each of these files, and fails unless they are what its directory holds.
#[track_caller]
fn stored(server: &Server, directory: &PathBuf, files: &[(&str, u64)]) {
    for (name, bytes) in files {
        server.program.tells(&format!("stored {name}: {bytes} bytes"), 1);
        assert!(fs::read(directory.join(name)).expect("it is there") == contents(*bytes), "{name} is another file");
    }
    let mut wanted: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    assert_eq!(names(directory), wanted);
}

/// A `put` for each of the files.
fn puts<'a>(directory: &'a TempDir, files: &'a [(&str, u64)], flag: &'a str) -> impl Iterator<Item = String> + 'a {
    files.iter().map(move |(name, _)| format!("put {flag}{}", directory.path().join(name).display()))
}

/// Our client tells what it sent, Python's nothing; neither complains.
#[track_caller]
fn sent(done: &Finished, by: By, files: &[(&str, u64)]) {
    let told = files.iter().filter(|(name, bytes)| done.text().contains(&format!("{name}: {bytes} bytes sent")));
    let (wanted, lines) = if by == By::Us { (files.len(), files.len()) } else { (0, 0) };
    assert_eq!((told.count(), done.text().lines().count(), done.stderr.as_str()), (wanted, lines, ""), "{done:?}");
}

const FILES: &[(&str, u64)] = &[
    ("empty", 0),
    ("one byte", 1),
    ("ten megabytes", 10_000_000),
    ("文件 一.txt", 70_001),
    ("it's \"quoted\"; $HOME *", 8193),
];

#[test]
fn files_over_one_connection_arrive_whole() {
    for (server_by, client_by) in pairings() {
        let ((server, directory), source) = (server(server_by), files(FILES));
        let done = server.ask(client_by, &[], puts(&source, FILES, "").chain(["quit".into()])).expect(0);
        sent(&done, client_by, FILES);
        stored(&server, &directory, FILES);
        assert_eq!(names(server.home()), ["up"]);
    }
}

#[test]
fn the_fuller_headers_files_arrive_whole() {
    for (server_by, client_by) in pairings().into_iter().filter(|(_, client)| *client == By::Python) {
        let ((server, directory), source) = (server(server_by), files(FILES));
        let done = server.ask(client_by, &[], puts(&source, FILES, "--md5 ")).expect(0);
        sent(&done, client_by, FILES);
        stored(&server, &directory, FILES);
    }
}

#[test]
fn names_are_spelt_in_gbk_between_ends_that_translate() {
    let gbk = ["--encoding", "gbk"];
    for (server_by, client) in pairings() {
        let server = Server::start_with(server_by, "header", &["--dir", "up", "--encoding", "gbk"]);
        let source = files(&FILES[3..4]);
        server.ask(client, &gbk, puts(&source, &FILES[3..4], "")).expect(0);
        stored(&server, &server.home().join("up"), &FILES[3..4]);
    }
}

#[test]
fn a_file_that_is_sent_again_takes_the_firsts_place() {
    for (server_by, client) in pairings() {
        let ((server, directory), older, newer) = (server(server_by), files(&[("a", 5000)]), files(&[("a", 70)]));
        let lines = puts(&older, &[("a", 5000)], "").chain(puts(&newer, &[("a", 70)], "")).collect::<Vec<_>>();
        server.ask(client, &[], lines).expect(0);
        stored(&server, &directory, &[("a", 70)]);
    }
}

#[test]
fn clients_upload_at_the_same_time() {
    let sizes = [("a", 3_000_000), ("b", 2_000_001), ("c", 1_000_002), ("d", 0)];
    for (server_by, client) in pairings() {
        let ((server, directory), source) = (server(server_by), files(&sizes));
        // All of them stay until the last has sent its file.
        let mut clients: Vec<_> = sizes.iter().map(|_| server.typed(client, &[])).collect();
        for (client, line) in clients.iter_mut().zip(puts(&source, &sizes, "")) {
            client.types(&line);
        }
        stored(&server, &directory, &sizes);
        for client in clients {
            client.finish().expect(0);
        }
    }
}

#[test]
fn what_can_not_be_sent_is_told_and_the_rest_goes_on() {
    let ((server, directory), source) = (server(By::Us), files(&[("a", 10)]));
    let lines = ["put missing", "ls -l", "put", "put ."].map(String::from).into_iter();
    let done = server.ask(By::Us, &[], lines.chain(puts(&source, &[("a", 10)], ""))).expect(125);
    stored(&server, &directory, &[("a", 10)]);
    let told: Vec<&str> = done.stderr.lines().collect();
    let words = [
        "missing: can't be read",
        "`ls -l` is not a command",
        "`put` is not a command",
        ".: is not a regular file",
        "not every",
    ];
    assert_eq!(told.len(), words.len(), "{told:?}");
    assert!(
        told.iter().zip(words).all(|(line, words)| line.starts_with("unglue: ") && line.contains(words)),
        "{told:?}"
    );
}

/// Sends a header and bytes by hand, and waits for the server to close.
fn by_hand(server: &Server, header: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let length = i32::try_from(header.len()).expect("short").to_ne_bytes();
    stream.write_all(&[&length, header.as_bytes(), bytes].concat()).expect("sent");
    let mut answer = Vec::new();
    // A server that closes before it has read everything resets the connection.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
}

#[test]
fn what_is_not_whole_or_not_right_is_not_stored() {
    let (server, directory) = server(By::Us);
    let md5_of_abc = "900150983cd24fb0d6963f7d28e17f72";
    by_hand(&server, r#"{"cmd":"put","filename":"cut","filesize":10}"#, b"five.");
    server.program.tells(" closed: ", 1);
    by_hand(&server, &format!(r#"{{"file_name":"/a/b/wrong","file_size":3,"md5":"{md5_of_abc}"}}"#), b"abd");
    server.program.tells(" closed: ", 2);
    by_hand(&server, r#"{"cmd":"__init__","filename":"a","filesize":1}"#, b"a");
    server.program.tells(" closed: ", 3);
    by_hand(&server, r#"{"cmd":"put","filename":"a/..","filesize":1}"#, b"a");
    server.program.tells(" closed: ", 4);
    assert_eq!(names(&directory), [""; 0]);
    by_hand(&server, &format!(r#"{{"file_name":"/a/b/right","file_size":3,"md5":"{md5_of_abc}"}}"#), b"abc");
    server.program.tells("stored right: 3 bytes", 1);
    assert_eq!(fs::read(directory.join("right")).expect("it is there"), b"abc");
}

#[test]
fn a_name_leads_nowhere_else() {
    let (server, directory) = server(By::Us);
    for path in ["../../escaped", "/tmp/escaped", r"C:\\Users\\escaped"] {
        by_hand(&server, &format!(r#"{{"cmd":"put","filename":"{path}","filesize":1}}"#), b"a");
    }
    server.program.tells("stored escaped: 1 bytes", 3);
    assert_eq!((names(&directory), names(server.home())), (vec!["escaped".into()], vec!["up".into()]));
}

#[test]
fn half_a_file_is_never_seen_under_its_name() {
    let (server, directory) = server(By::Us);
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let header = r#"{"cmd":"put","filename":"a","filesize":10}"#;
    let length = i32::try_from(header.len()).expect("short").to_ne_bytes();
    stream.write_all(&[&length, header.as_bytes(), b"five."].concat()).expect("sent");
    until("the file's beginning", || directory.is_dir().then(|| names(&directory)).filter(|names| !names.is_empty()));
    assert!(!directory.join("a").exists());
    // Meanwhile others are served.
    let source = files(&[("b", 10)]);
    let done = server.ask(By::Us, &[], puts(&source, &[("b", 10)], "")).expect(0);
    assert!(done.took < Duration::from_secs(9), "it waited for the other: {:?}", done.took);
    stream.write_all(b"five.").expect("sent");
    server.program.tells("stored a: 10 bytes", 1);
    assert_eq!(names(&directory), ["a", "b"]);
}
