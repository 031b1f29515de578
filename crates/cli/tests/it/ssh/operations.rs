//! Every operation by way of ssh.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

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

#[test]
fn ports_are_forwarded() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let service = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (here, there) = (free_port(), service.local_addr().expect("an address").port());
    let forward = format!("{here}:127.0.0.1:{there}");
    let client = start_client(site.client(["forward", "--transport", "ssh", "-L", &forward, "ada@box"]));
    let mut near = until("the forwarded port", || TcpStream::connect(("127.0.0.1", here)).ok());
    let (mut far, _) = service.accept().expect("a connection");
    near.write_all(b"by ssh").expect("written");
    let mut read = [0; 6];
    far.read_exact(&mut read).expect("read");
    assert_eq!(&read, b"by ssh");
    client.signal(Signal::INT);
    client.finish();
    until("the end of ssh", || site.processes("ada").iter().all(|line| !line.starts_with("ssh ")).then_some(()));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
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
