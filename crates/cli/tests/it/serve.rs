//! `unglue serve`: its announcement, what it allows, and its end.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::host::{Host, client, lives};
use super::run::{finish, start, until};

#[test]
fn it_says_where_it_listens() {
    let home = tempfile::tempdir().expect("a directory");
    let mut server = client(home.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--state", "state", "--root", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it lives");
    let status = until("the server's end", || server.try_wait().expect("a child of ours"));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.len(), 5, "{line:?}");
    assert_eq!((words[0], words[1], words[3]), ("listening", "on", "host-key"));
    assert!(words[2].starts_with("127.0.0.1:") && words[4].starts_with("SHA256:"), "{line:?}");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn it_refuses_what_it_does_not_allow() {
    let files = Host::start_with(&["--allow", "files"]);
    std::fs::write(files.home().join("f"), "x").expect("written");
    files
        .exec(&[], ["touch", "ran"])
        .expect(125)
        .complains("this server runs no commands; its owner can start it with --allow exec");
    files.cp(["f", "127.0.0.1:"]).expect(0);
    assert!(files.root().join("f").exists() && !files.root().join("ran").exists());
    let commands = Host::start_with(&["--allow", "exec"]);
    std::fs::write(commands.home().join("f"), "x").expect("written");
    commands.exec(&[], ["true"]).expect(0);
    let refused = commands.cp(["f", "127.0.0.1:"]).complains("this server moves no files");
    assert_eq!(refused.code, 125, "no other file has a chance either: {refused:?}");
    assert!(!commands.root().join("f").exists());
}

#[test]
fn the_first_signal_lets_commands_end() {
    let mut host = Host::start();
    let text = "touch started; sleep 1; echo finished";
    let running = start(host.client(["exec", &host.target(), "-c", text]).stdin(Stdio::null()));
    until("the command's start", || host.root().join("started").exists().then_some(()));
    host.signal(Signal::TERM);
    let done = running.finish().expect(0);
    assert_eq!(done.text(), "finished\n");
    assert_eq!(host.ended(), Some(0));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let mut host = Host::start();
    let text = "echo $$ > pid.new; mv pid.new pid; sleep 60 & sleep 60";
    let words = ["exec", "--outcome", "outcome", &host.target(), "-c", text];
    let running = start(host.client(words).stdin(Stdio::null()));
    let pid: i32 = until("the command", || std::fs::read_to_string(host.root().join("pid")).ok()?.trim().parse().ok());
    host.signal(Signal::TERM);
    until("the first signal's line", || host.log().contains("stopping").then_some(()));
    let signalled = Instant::now();
    host.signal(Signal::TERM);
    assert_eq!(host.ended(), Some(0));
    assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    running.finish().expect(125);
    let outcome = std::fs::read(host.home().join("outcome")).expect("a file");
    let outcome: serde_json::Value = serde_json::from_slice(&outcome).expect("JSON");
    let lost = &outcome["outcome"]["link_lost"];
    let what = lost["what"].as_str().unwrap_or_else(|| panic!("the end is not known: {outcome}"));
    assert!(!what.contains("without a close"), "the server closed the link in order: {outcome}");
    until("the command's end", || (!lives(pid)).then_some(()));
}

#[test]
fn the_second_signal_leaves_no_temporary_file() {
    let mut host = Host::start();
    std::fs::File::create(host.home().join("f")).and_then(|file| file.set_len(64 << 30)).expect("a large file");
    let port = host.port.to_string();
    let client = start(host.client(["cp", "-P", &port, "f", "127.0.0.1:"]).stdin(Stdio::null()));
    let names = || std::fs::read_dir(host.root()).expect("a directory").count();
    until("the temporary file", || (names() > 0).then_some(()));
    host.signal(Signal::TERM);
    until("the first signal's line", || host.log().contains("stopping").then_some(()));
    host.signal(Signal::TERM);
    // Which of the two it hears first, the good-bye or the end, is chance.
    let done = client.finish().complains("copy it again");
    assert!([1, 125].contains(&done.code), "{done:?}");
    until("the temporary file's end", || (names() == 0).then_some(()));
    assert_eq!(host.ended(), Some(0));
}

#[test]
fn every_event_is_one_line_of_the_log() {
    let host = Host::start();
    host.exec(&[], ["printf", "a\nb\x1b[31m"]).expect(0);
    finish(host.client(["key", "init", "-f", "other"])).expect(0);
    host.exec(&["--identity", "other"], ["true"]).expect(125);
    let log = until("the log", || Some(host.log()).filter(|log| log.contains("authentication")));
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
        assert!(!line.contains('\x1b'), "{line:?}");
    }
}

#[test]
fn a_taken_address_is_reported() {
    let host = Host::start();
    let mut second = client(&host.home());
    second.args(["serve", "--state", "second", "--root", "root", "--listen", &host.target()]);
    finish(&mut second).expect(125).complains(&host.target());
}

#[test]
fn files_without_a_root_are_warned_about() {
    let home = tempfile::tempdir().expect("a directory");
    let log = |flags: &[&str]| {
        let mut command = client(home.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--state", "state"]).args(flags);
        let server = start(command.stdin(Stdio::null()));
        server.shown("listening on");
        server.signal(Signal::TERM);
        server.finish().expect(0).stderr
    };
    let warning = "WARN event=\"unconfined_files\" why=\"--allow files without --root is not a boundary";
    assert!(log(&["--allow", "files"]).contains(warning));
    for flags in [&["--allow", "files", "--root", "."][..], &[]] {
        assert!(!log(flags).contains("unconfined"), "{flags:?}");
    }
}

#[test]
fn a_name_is_listened_at_with_all_its_addresses() {
    use std::net::{TcpStream, ToSocketAddrs as _};
    let home = tempfile::tempdir().expect("a directory");
    let mut command = client(home.path());
    command.args(["serve", "--listen", "localhost:0", "--state", "state", "--root", ".", "--json"]);
    let server = start(command.stdin(Stdio::null()));
    server.shown("}\n");
    let port = server.port();
    for address in ("localhost", port).to_socket_addrs().expect("it has addresses") {
        // A name may have addresses that this machine has not.
        if std::net::TcpListener::bind((address.ip(), 0)).is_ok() {
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    }
    server.signal(Signal::TERM);
    let done = server.finish().expect(0);
    assert_eq!(done.text().lines().count(), 1, "one line, with one address: {done:?}");
    assert!(done.json()["address"].is_string(), "{done:?}");
}
