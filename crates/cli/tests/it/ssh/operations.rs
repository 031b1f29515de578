//! Every operation by way of ssh.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use unglue_testkit::port::HeldPort;

use super::super::run::{finish, finish_with, until};
use super::site::{Account, Site, possible, start_client};

const WAY: [&str; 2] = ["--transport", "ssh"];

#[test]
fn commands_have_their_outputs_input_and_exit_codes() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let done = site.shell("ada", "echo out; echo err >&2; exit 7").expect(7);
    assert_eq!((done.text(), done.stderr.as_str()), ("out\n", "err\n"));
    let mut command = site.client(["exec", "-i", "--transport", "ssh", "ada@box", "wc", "-c"]);
    let input = vec![0; 3 << 20];
    assert_eq!(finish_with(&mut command, &input).expect(0).text().trim(), (3 << 20).to_string());
    let done = site.shell("ada", "echo $USER $HOME").expect(0);
    assert_eq!(done.text(), format!("ada {}\n", site.home("ada").display()));
    let done = finish(&mut site.client(["exec", "--json", "--transport", "ssh", "ada@box", "-c", "exit 3"]));
    assert_eq!(done.json()["outcome"]["exited"], 3);
}

#[test]
fn files_and_trees_are_copied_and_listed() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let run = |words: &[&str]| {
        let (first, rest) = words.split_first().expect("a command");
        finish(site.client([*first]).args(WAY).args(rest)).expect(0)
    };
    let data: Vec<u8> = (0..2_000_000_u32).map(|number| (number.wrapping_mul(7919) >> 3) as u8).collect();
    fs::create_dir_all(site.path("client/tree/deep")).expect("a directory");
    fs::write(site.path("client/file"), &data).expect("written");
    fs::write(site.path("client/tree/deep/one"), "1").expect("written");
    run(&["cp", "file", "ada@box:there"]);
    assert_eq!(fs::read(site.home("ada").join("there")).expect("it is there"), data);
    run(&["cp", "ada@box:there", "back"]);
    assert_eq!(fs::read(site.path("client/back")).expect("it is there"), data);
    run(&["sync", "-a", "tree/", "ada@box:tree/"]);
    assert_eq!(fs::read_to_string(site.home("ada").join("tree/deep/one")).expect("it is there"), "1");
    assert!(run(&["ls", "ada@box:"]).text().contains("there"));
    run(&["rm", "ada@box:there"]);
    assert!(!site.home("ada").join("there").exists());
}

#[test]
fn the_other_side_s_files_are_managed() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let run = |words: &[&str], code| finish(site.client([words[0]]).args(WAY).args(&words[1..])).expect(code);
    let home = site.home("ada");
    run(&["mkdir", "-p", "ada@box:deep/er"], 0);
    fs::write(home.join("deep/er/file"), "contents").expect("written");
    run(&["mv", "ada@box:deep/er/file", "ada@box:deep/moved"], 0);
    assert_eq!(fs::read_to_string(home.join("deep/moved")).expect("it is there"), "contents");
    let facts = run(&["stat", "--json", "ada@box:deep/moved"], 0).json();
    assert_eq!((facts["kind"].as_str(), facts["size"].as_u64()), (Some("file"), Some(8)), "{facts}");
    let hash = run(&["hash", "ada@box:deep/moved"], 0);
    let digest = blake3::hash(b"contents").to_hex();
    assert!(hash.text().starts_with(digest.as_str()), "{}", hash.text());
    run(&["rm", "-r", "ada@box:deep"], 0);
    assert!(!home.join("deep").exists());
    let missing = run(&["stat", "ada@box:deep"], 1);
    assert!(missing.stderr.contains("deep"), "{}", missing.stderr);
}

#[test]
fn lines_of_a_repl_have_their_replies() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let script = "mkdir sub\ncd sub\npwd\nexit 3\nseq 3\n";
    let done = finish_with(site.client(["repl"]).args(WAY).arg("ada@box"), script.as_bytes()).expect(0);
    assert_eq!(done.text(), format!("{}/sub\n1\n2\n3\n", site.home("ada").display()));
    assert_eq!(done.stderr, "unglue: exit status 3\n");
    assert_eq!(site.log().matches("Accepted publickey for ada").count(), 1);
}

#[test]
fn many_commands_run_on_one_session() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let lines = (0..20).map(|number| format!("{{\"argv\":[\"echo\",\"{number}\"]}}\n")).collect::<String>();
    let done = finish_with(site.client(["run"]).args(WAY).args(["--file", "-", "ada@box"]), lines.as_bytes()).expect(0);
    assert_eq!(done.text().lines().count(), 20, "{done:?}");
    assert_eq!(site.log().matches("Accepted publickey for ada").count(), 1);
}

/// Sends a line through `near`, which the client or the server accepted, to a connection that `service` takes.
#[track_caller]
fn carries(mut near: TcpStream, service: &TcpListener) {
    let (mut far, _) = service.accept().expect("a connection");
    near.write_all(b"by ssh").expect("written");
    let mut read = [0; 6];
    far.read_exact(&mut read).expect("read");
    assert_eq!(&read, b"by ssh");
    far.write_all(b"back").expect("written");
    near.read_exact(&mut read[..4]).expect("read");
    assert_eq!(&read[..4], b"back");
}

#[test]
fn ports_are_forwarded_both_ways_and_by_a_proxy() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let service = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = service.local_addr().expect("an address").port();
    let ports = [HeldPort::any(), HeldPort::any(), HeldPort::any()];
    let [here, there, proxy] = ports.each_ref().map(HeldPort::number);
    let (local, remote) = (format!("{here}:127.0.0.1:{target}"), format!("{there}:127.0.0.1:{target}"));
    let mut command = site.client(["forward"]);
    command.args(WAY).args(["-L", &local, "-R", &remote, "-D", &proxy.to_string(), "ada@box"]);
    let client = start_client(command);
    let reached = |port: u16| until("the forwarded port", || TcpStream::connect(("127.0.0.1", port)).ok());
    carries(reached(here), &service);
    carries(reached(there), &service);
    let mut near = reached(proxy);
    near.write_all(&[5, 1, 0]).expect("written");
    let mut reply = [0; 10];
    near.read_exact(&mut reply[..2]).expect("read");
    let [high, low] = target.to_be_bytes();
    near.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).expect("written");
    near.read_exact(&mut reply).expect("read");
    assert_eq!(reply[..2], [5, 0], "{reply:?}");
    carries(near, &service);
    // One session carries all of them, and nothing listens any more when it has ended.
    assert_eq!(site.log().matches("Accepted publickey for ada").count(), 1);
    client.signal(Signal::INT);
    client.finish();
    until("the end of ssh", || site.processes("ada").iter().all(|line| !line.starts_with("ssh ")).then_some(()));
    until("the end of the listener", || TcpStream::connect(("127.0.0.1", there)).is_err().then_some(()));
}

/// A command under the lease `keep` outlives its ssh, and the client starts another one.
#[test]
fn a_kept_command_outlives_its_ssh() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let text = "echo first; while [ ! -e go ]; do sleep 0.1; done; echo second";
    let client = start_client(site.client(["exec", "--lease", "keep=1m", "--transport", "ssh", "ada@box", "-c", text]));
    client.shown("first");
    let ssh = ssh_of(&site);
    rustix::process::kill_process(ssh, Signal::KILL).expect("it lives");
    until("another ssh", || (ssh_of_any(&site)? != ssh).then_some(()));
    fs::write(site.home("ada").join("go"), "").expect("written");
    assert_eq!(client.finish().expect(0).text(), "first\nsecond\n");
}

#[test]
fn a_detached_command_is_found_by_the_next_session() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let done = finish(&mut site.client([
        "exec",
        "--detach",
        "--transport",
        "ssh",
        "ada@box",
        "-c",
        "sleep 1; echo done; exit 4",
    ]))
    .expect(0);
    let id = done.text().trim().to_owned();
    let run = |command: &str, code| finish(site.client([command]).args(WAY).args(["ada@box", &id])).expect(code);
    run("wait", 4);
    assert_eq!(run("logs", 0).text(), "done\n");
    let jobs = finish(site.client(["jobs"]).args(WAY).arg("ada@box")).expect(0);
    assert!(jobs.text().contains(&id), "{}", jobs.text());
}

#[test]
fn a_command_is_attached_to_and_signalled() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let run = |words: &[&str]| finish(site.client([words[0]]).args(WAY).args(&words[1..]));
    let text = "trap 'echo caught; exit 6' TERM; echo one; while :; do sleep 0.1; done";
    let started = run(&["exec", "--detach", "ada@box", "-c", text]).expect(0);
    let id = started.text().trim();
    let watcher = start_client({
        let mut command = site.client(["attach"]);
        command.args(WAY).args(["--from-start", "ada@box", id]);
        command
    });
    watcher.shown("one");
    run(&["signal", "ada@box", id, "TERM"]).expect(0);
    assert_eq!(watcher.finish().expect(6).text(), "one\ncaught\n");
    run(&["wait", "ada@box", id]).expect(6);
    run(&["rm", "ada@box", id]).expect(0);
    let gone = run(&["logs", "ada@box", id]).expect(125);
    assert!(gone.stderr.contains(id), "{}", gone.stderr);
}

fn ssh_of(site: &Site) -> rustix::process::Pid {
    until("ssh", || ssh_of_any(site))
}

/// The client's ssh.
fn ssh_of_any(site: &Site) -> Option<rustix::process::Pid> {
    let mark = site.path("ssh_config").display().to_string();
    let processes = fs::read_dir("/proc").expect("proc(5)").flatten();
    let mut found = processes.filter_map(|entry| {
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&words);
        let is_ssh = line.starts_with("ssh\0") && line.contains(&mark);
        is_ssh.then(|| entry.file_name().to_str()?.parse().ok().and_then(rustix::process::Pid::from_raw)).flatten()
    });
    found.next()
}
