//! A server on a unix socket, and every command that takes it for a host.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::host::{client, working_in};
use super::run::{Finished, UNGLUE, finish, until};

/// A server on the socket `s` in its home.
struct Server {
    directory: TempDir,
    child: Child,
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        let directory = tempfile::Builder::new().prefix("unglue-unix-").tempdir().expect("a directory");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let mut command = client(directory.path());
        command.args(["serve", "--listen", "unix:s", "--json"]).args(flags);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("an announcement");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("an object");
        let server = Server { directory, child };
        assert_eq!(announced, serde_json::json!({ "address": format!("unix:{}", server.home().join("s").display()) }));
        server
    }

    fn home(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn run(&self, words: &[&str]) -> Finished {
        finish(client(&self.home()).args(words))
    }

    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it lives");
        assert!(until("its end", || self.child.try_wait().expect("ours")).success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in working_in(self.directory.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn every_command_takes_a_socket_for_a_host() {
    let server = Server::start(&[]);
    assert_eq!(server.run(&["exec", "unix:s", "--", "sh", "-c", "echo out; exit 3"]).expect(3).text(), "out\n");
    let absolute = format!("unix:{}", server.home().join("s").display());
    assert_eq!(server.run(&["exec", &absolute, "-c", "echo $0"]).expect(0).stderr, "");
    fs::write(server.home().join("a:b"), "text").expect("written");
    server.run(&["cp", "./a:b", "unix:s:copy:1"]).expect(0);
    assert_eq!(fs::read(server.home().join("copy:1")).expect("it is there"), b"text");
    server.run(&["cp", "unix:s:copy:1", "back"]).expect(0);
    assert_eq!(fs::read(server.home().join("back")).expect("it is there"), b"text");
    fs::create_dir(server.home().join("tree")).expect("made");
    fs::write(server.home().join("tree/file"), "in it").expect("written");
    server.run(&["sync", "-a", "tree/", "unix:s:other/"]).expect(0);
    assert_eq!(fs::read(server.home().join("other/file")).expect("it is there"), b"in it");
    assert!(server.run(&["ls", "unix:s:other"]).expect(0).text().contains("file"));
    server.run(&["mv", "unix:s:back", "forth"]).expect(0);
    server.run(&["rm", "unix:s:forth"]).expect(0);
    assert!(!server.home().join("forth").exists());

    let id = "one:two:3";
    server.run(&["exec", "--detach", "--id", id, "unix:s", "-c", "echo kept"]).expect(0);
    server.run(&["wait", "unix:s", id]).expect(0);
    assert_eq!(server.run(&["logs", "unix:s", id]).expect(0).text(), "kept\n");
    assert_eq!(server.run(&["attach", "--from-start", "unix:s", id]).expect(0).text(), "kept\n");
    assert!(server.run(&["jobs", "unix:s"]).expect(0).text().contains(id));
    server.run(&["rm", "unix:s", id]).expect(0);
    let listed = server.run(&["jobs", "unix:s"]).expect(0);
    assert!(!listed.text().contains(id), "an id with colons is forgotten like any other: {listed:?}");
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_the_server() {
    let mut server = Server::start(&[]);
    let path = server.home().join("s");
    let metadata = fs::symlink_metadata(&path).expect("a socket");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    server.stop();
    assert!(!path.exists());
    server.run(&["exec", "unix:s", "true"]).expect(125).complains("No such file or directory");
    assert!(!server.home().join(".local/state/unglue/host_key").exists(), "no key is needed");
}

#[test]
fn what_a_server_allows_holds_on_its_socket() {
    let server = Server::start(&["--allow", "files", "--root", "."]);
    server.run(&["exec", "unix:s", "true"]).expect(125).complains("runs no commands");
    fs::write(server.home().join("file"), "text").expect("written");
    server.run(&["cp", "unix:s:file", "copy"]).expect(0);
}

#[test]
fn another_user_is_refused_whatever_the_modes_are() {
    let server = Server::start(&[]);
    let as_nobody = |words: &[&str]| {
        let mut command = client(&server.home());
        command.env("HOME", "/nonexistent").current_dir("/").args(words).uid(65534).gid(65534);
        command
    };
    let runs = as_nobody(&["--version"]).stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !rustix::process::geteuid().is_root() || !runs {
        return eprintln!("skipped: nobody can't run {UNGLUE} here");
    }
    let host = format!("unix:{}", server.home().join("s").display());
    finish(&mut as_nobody(&["exec", &host, "true"])).expect(125).complains("Permission denied");
    let open = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    open(server.home(), 0o755);
    open(server.home().join("s"), 0o666);
    // The client itself trusts its own user's servers and root's; the server looks at the client.
    let refused = finish(&mut as_nobody(&["exec", &host, "true"])).expect(125);
    assert!(refused.stderr.contains("serves the user with the number 0, and you are number 65534"), "{refused:?}");
}

/// It would be the server's own user that asks.
#[test]
fn a_server_does_not_serve_what_it_forwards_to_itself() {
    let server = Server::start(&[]);
    let home = server.home();
    let mut forward =
        client(&home).args(["forward", "-L", "./l:./s", "unix:s"]).stdin(Stdio::null()).spawn().expect("it starts");
    until("the forwarded socket", || home.join("l").exists().then_some(()));
    let refused = server.run(&["exec", "unix:l", "true"]).expect(125);
    assert!(refused.stderr.contains("that it forwards to itself"), "{refused:?}");
    forward.kill().expect("killed");
    forward.wait().expect("ended");
}

#[test]
fn paths_that_can_not_be_sockets_are_named() {
    let server = Server::start(&[]);
    let long = format!("unix:{}", "x".repeat(120));
    server.run(&["exec", &long, "true"]).expect(125).complains("107 bytes at most");
    let refused = server.run(&["serve", "--listen", &long]).expect(125);
    assert!(refused.stderr.contains("107 bytes at most"), "{refused:?}");
    fs::write(server.home().join("file"), "").expect("written");
    server.run(&["exec", "unix:file", "true"]).expect(125).complains("can't connect to unix:file");
    server.run(&["exec", "unix:", "true"]).expect(125).complains("needs the path of a socket");
    server.run(&["exec", "-P", "1", "unix:s", "true"]).expect(125).complains("has no port");
    server.run(&["cp", "file", "unix:s"]).expect(125).complains("unix:SOCKET:PATH");
    server
        .run(&["key", "trust", "unix:s", "SHA256:ImKhPYGmEiSoBBCTuqr/sg6rO0pDFVD1bKhtsbBmFhs"])
        .expect(125)
        .complains("has no host key");
}
