//! What can't be tortured: one line says why, within seconds, and the exit code is 125.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use unglue_testkit::port::HeldPort;

use super::{home, json, python, text, torture};
use crate::lab::program::Program;
use crate::lab::refusals::unglue;
use crate::run::{UNGLUE, clean, until};

/// A server that answers each connection with `hello`, and a client that prints what comes.
const SERVER: &str = "import socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\nwhile True:\n c=l.accept()[0]\n c.recv(10)\n c.sendall(b'hello')\n c.close()\n";
const CLIENT: &str = "import socket,sys\nc=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\nc.sendall(b'hi')\nwhile d:=c.recv(10):\n sys.stdout.write(d.decode())\n";

/// Runs a client, given as a shell script, against [`SERVER`], and gives what is said.
#[track_caller]
fn refused(flags: &[&str], client: &str, words: &str) {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return;
    };
    let home = home();
    fs::write(home.path().join("server.py"), SERVER).expect("written");
    fs::write(home.path().join("client.py"), CLIENT).expect("written");
    fs::write(home.path().join("client.sh"), client.replace("PYTHON", python)).expect("written");
    let began = Instant::now();
    let output = torture(home.path(), flags, &format!("exec {python} server.py {{port}}"), "sh client.sh {port}");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    assert!(text(&output).contains(words), "{}", text(&output));
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_never_connects() {
    refused(&[], "echo no server >&2; exit 3", "the client never connected (exit code 3): no server");
    refused(&["--timeout", "1"], "exec sleep 60", "the client did not connect within 1 s");
}

#[test]
fn a_client_that_never_ends() {
    let client = "PYTHON client.py $1; exec sleep 60";
    refused(&["--timeout", "5"], client, "the client did not end within 5 s, and nothing was done to its bytes");
}

#[test]
fn a_client_that_comes_out_otherwise_each_time() {
    let client = "PYTHON client.py $1; echo $$";
    refused(&[], client, "two clean runs differ, though nothing was done to their bytes: standard output");
    let done = "the comparison `no-such-program` could not be run";
    refused(&["--compare", "no-such-program"], "PYTHON client.py $1", done);
}

#[test]
fn what_changes_can_be_left_out_of_the_comparison() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return;
    };
    let home = home();
    fs::write(home.path().join("server.py"), SERVER).expect("written");
    fs::write(home.path().join("client.py"), CLIENT).expect("written");
    let client = format!("{python} client.py $1; echo; echo pid $$");
    fs::write(home.path().join("client.sh"), client).expect("written");
    let server = format!("exec {python} server.py {{port}}");
    for compare in ["exit", "diff -I ^pid"] {
        let flags = ["--json", "--runs", "3", "--compare", compare];
        let output = torture(home.path(), &flags, &server, "sh client.sh {port}");
        assert_eq!(output.status.code(), Some(0), "{compare}: {}", text(&output));
        assert_eq!(json(&output)["runs"], 3);
    }
}

#[test]
fn a_server_that_the_cuts_end_is_a_finding() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return;
    };
    let home = home();
    // It ends when the first read doesn't hold all.
    let fragile = SERVER.replace("c.recv(10)", "assert c.recv(10)==b'hi'");
    fs::write(home.path().join("server.py"), fragile).expect("written");
    fs::write(home.path().join("client.py"), CLIENT).expect("written");
    let (server, client) = (format!("exec {python} server.py {{port}}"), format!("{python} client.py {{port}}"));
    for keep in [&["--json"][..], &["--json", "--keep-server"]] {
        let output = torture(home.path(), keep, &server, &client);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let report = json(&output);
        assert_eq!(report["cuts"][0]["says"], "cut after byte 1 of the client's 1st write", "{report:#}");
        assert!(report["differences"].to_string().contains("AssertionError"), "{report:#}");
    }
}

#[test]
fn a_server_that_the_cuts_end_says_how_though_its_client_ends_first() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return;
    };
    let home = home();
    // It closes the connection a while before it ends, and computes in between.
    let slow = "import time
  c.close()
  until=time.process_time()+0.3
  while time.process_time()<until: pass
  sys.exit('out of step')";
    let fragile = SERVER.replace("c.recv(10)", &format!("if c.recv(10)!=b'hi':\n  {slow}"));
    // One that serves one client and ends with 0, and one that serves many.
    for (name, server) in [("many", fragile.clone()), ("one", fragile.replace("while True:", "if True:"))] {
        fs::write(home.path().join("server.py"), server).expect("written");
        fs::write(home.path().join("client.py"), CLIENT).expect("written");
        let (server, client) = (format!("exec {python} server.py {{port}}"), format!("{python} client.py {{port}}"));
        let output = torture(home.path(), &["--json", "--compare", "exit"], &server, &client);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output));
        let report = json(&output);
        let differences = report["differences"].to_string();
        assert!(differences.contains("exit code 1") && differences.contains("out of step"), "{name}: {report:#}");
    }
}

#[test]
fn a_half_close_is_made_only_when_asked_for() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return;
    };
    let home = home();
    // It answers a while later, and not to a client that has ended.
    let server = SERVER.replace(
        "c.sendall",
        "c.settimeout(0.1)\n try:\n  if not c.recv(1): continue\n except OSError: pass\n c.sendall",
    );
    fs::write(home.path().join("server.py"), server).expect("written");
    fs::write(home.path().join("client.py"), CLIENT).expect("written");
    let (server, client) = (format!("exec {python} server.py {{port}}"), format!("{python} client.py {{port}}"));
    let output = torture(home.path(), &["--json", "--runs", "4"], &server, &client);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = torture(home.path(), &["--json", "--half-close"], &server, &client);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let says = json(&output)["cuts"][0]["says"].clone();
    assert_eq!(says, "an end behind the client's last write, before the client has ended");
}

#[test]
fn a_target_that_refuses() {
    let closed = HeldPort::any();
    let target = closed.address().to_string();
    let client = "exec 3<>/dev/tcp/127.0.0.1/$UNGLUE_PORT; cat <&3";
    let done = unglue(&["lab", "torture", "--to", &target, "--", "bash", "-c", client]).expect(125);
    done.complains(&format!("could not connect to {target}: Connection refused"));
}

#[test]
fn a_target_that_drops_what_is_sent() {
    let (listener, _queued) = full_listener();
    let target = listener.local_addr().expect("it has one").to_string();
    let client = "exec 3<>/dev/tcp/127.0.0.1/$UNGLUE_PORT; cat <&3";
    let done = unglue(&["lab", "torture", "--to", &target, "--", "bash", "-c", client]).expect(125);
    done.complains(&format!("could not connect to {target}: no answer within 5 s; a firewall may drop the packets"));
}

#[test]
fn a_server_that_never_answers() {
    let mute = "keep=[]\nwhile True:\n keep.append(l.accept()[0])\n";
    let output = against(mute, &["--timeout", "5"], "PYTHON client.py $1");
    let Some(output) = output else { return };
    assert_eq!(output.status.code(), Some(125), "{}", text(&output));
    let words =
        "the client did not end within 5 s, and nothing was done to its bytes: it sent 2 bytes, and the server 0";
    assert!(text(&output).contains(words), "{}", text(&output));
}

#[test]
fn a_server_that_resets() {
    let reset = "import struct\nwhile True:\n c=l.accept()[0]\n c.recv(1)\n \
                 c.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack('ii',1,0))\n c.close()\n";
    let Some(output) = against(reset, &["--runs", "3"], "PYTHON client.py $1 || echo reset") else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing found in 3 runs"), "{}", text(&output));
}

#[test]
fn a_search_that_can_say_little_says_so() {
    let serving = "while True:\n c=l.accept()[0]\n c.recv(10)\n c.sendall(b'hello')\n c.close()\n";
    let client = "PYTHON client.py $1; echo no such key >&2; exit 3";
    let Some(output) = against(serving, &["--runs", "2"], client) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let words = "the client fails in clean runs too (exit code 3), its last line: no such key";
    assert!(text(&output).contains(words), "{}", text(&output));
    let closing = "while True:\n l.accept()[0].close()\n";
    let client = "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/$UNGLUE_PORT; cat <&3'";
    let Some(output) = against(closing, &[], client) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing was tried: less than two bytes"), "{}", text(&output));
}

/// A listener whose queue is full: the kernel drops what more clients send (listen(2)).
pub(crate) fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    rustix::net::listen(&listener, 0).expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
    let queued = (0..8).map_while(connect).collect();
    (listener, queued)
}

/// Tortures a client, given as a shell script, against a server that does this with its listener `l`. `None` without Python.
fn against(server: &str, flags: &[&str], client: &str) -> Option<Output> {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 for the server");
        return None;
    };
    let home = home();
    let listening = SERVER.split("while").next().expect("its beginning");
    fs::write(home.path().join("server.py"), format!("{listening}{server}")).expect("written");
    fs::write(home.path().join("client.py"), CLIENT).expect("written");
    fs::write(home.path().join("client.sh"), client.replace("PYTHON", python)).expect("written");
    Some(torture(home.path(), flags, &format!("exec {python} server.py {{port}}"), "sh client.sh {port}"))
}

#[test]
fn a_server_that_never_listens() {
    let client = ["--", "true"];
    let server = ["lab", "torture", "--server", "echo no port >&2; exit 4"];
    let done = unglue(&[&server[..], &client].concat()).expect(125);
    assert!(done.stderr.contains("the server never listened on port") && done.stderr.contains("no port"), "{done:?}");
}

#[test]
fn wrong_usage_is_one_line() {
    let cases: [(&[&str], &str); 8] = [
        (&["--to", "127.0.0.1:1"], "<CLIENT>"),
        (&["--", "true"], "--to"),
        (&["--to", "127.0.0.1", "--", "true"], "it has no port"),
        (&["--to", "127.0.0.1:1", "--frame", "u33", "--", "true"], "unglue frame list shows what there is"),
        (&["--to", "127.0.0.1:1", "--runs", "0", "--", "true"], "--runs"),
        (&["--to", "127.0.0.1:1", "--server", "x", "--", "true"], "--server"),
        (&["--to", "127.0.0.1:1", "--test", "a.rb", "--", "true"], "name it .rs, .py, .go or .js"),
        (&["--replay", "/nowhere"], "/nowhere can't be read"),
    ];
    for (words, why) in cases {
        let done = unglue(&[&["lab", "torture"], words].concat()).expect(125);
        assert!(done.stdout.is_empty(), "{words:?}: {done:?}");
        done.complains(why);
    }
    let home = home();
    let file = home.path().join("replay.json");
    for (text, why) in [("", "it isn't a replay file"), ("{\"unglue_torture\":1}", "it isn't a replay file")] {
        fs::write(&file, text).expect("written");
        unglue(&["lab", "torture", "--replay", &file.display().to_string()]).expect(125).complains(why);
    }
    let done = unglue(&["lab", "torture", "--to", "127.0.0.1:1", "--", "/no/such/program"]).expect(125);
    done.complains("could not start the client `/no/such/program`");
}

#[test]
fn a_signal_ends_both_programs() {
    let home = home();
    let mark = home.path().join("begun");
    let server = format!("touch {}; exec sleep 61.25", mark.display());
    let mut command = clean(UNGLUE);
    command.args(["lab", "torture", "--server", &server, "--", "sleep", "61.25"]).current_dir(home.path());
    let torture = Program::start(&mut command);
    until("the server's start", || mark.exists().then_some(()));
    torture.signal(Signal::TERM);
    assert_eq!(torture.finish().code, 143);
    let processes = fs::read_dir("/proc").expect("it is there").flatten();
    let left =
        processes.filter(|one| fs::read(one.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x0061.25\0"));
    assert_eq!(left.count(), 0, "a program outlives its run");
}
