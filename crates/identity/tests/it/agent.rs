//! The agent's client, against OpenSSH's ssh-agent and against agents that misbehave.

use super::{has, tool};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use unglue_identity::proof;
use unglue_identity::{Agent, Identity, IdentityError, IdentitySearch, Signer as _, make_key_file};

/// A running ssh-agent, ended when dropped.
pub(super) struct RunningAgent {
    process: Child,
    directory: tempfile::TempDir,
}

impl RunningAgent {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("socket");
        // Not through timeout(1): the process that is killed must be the agent.
        let process = std::process::Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-agent starts");
        let agent = Self { process, directory };
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "ssh-agent does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    pub(super) fn client(&self) -> Agent {
        Agent::at(self.directory.path().join("socket"))
    }

    pub(super) fn add(&self, arguments: &[&str], key: &Path) {
        let mut command = tool("ssh-add", arguments);
        let output = command.arg("-q").arg(key).env("SSH_AUTH_SOCK", self.client().socket()).output().expect("runs");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn installed() -> bool {
    ["ssh-agent", "ssh-add", "ssh-keygen"].into_iter().all(has)
}

#[test]
fn the_agents_keys_are_listed_and_sign() {
    if !installed() {
        return;
    }
    let agent = RunningAgent::start();
    assert!(agent.client().keys().expect("listed").usable.is_empty());
    let directory = tempfile::tempdir().expect("a directory");
    let rsa = directory.path().join("rsa");
    super::keygen(["-q", "-t", "rsa", "-N", "", "-f", rsa.to_str().expect("UTF-8")]);
    agent.add(&[], &rsa);
    let path = directory.path().join("id");
    let public = make_key_file(&path, "ada's", None).expect("made").public_key();
    agent.add(&[], &path);
    let keys = agent.client().keys().expect("listed");
    assert_eq!((keys.usable.len(), keys.other_kinds.len()), (2, 0), "{keys:?}");
    let keys = &keys.usable[1..];
    assert_eq!((keys[0].public_key(), keys[0].comment()), (public.clone(), "ada's"));
    let blob = proof::prove(&keys[0], b"ada", &[5; 32]).expect("signed");
    assert_eq!(proof::check(&blob, b"ada", &[5; 32]).map(|proven| proven.key), Ok(public));
}

#[test]
fn a_key_that_the_agent_holds_no_longer_is_an_error() {
    if !installed() {
        return;
    }
    let agent = RunningAgent::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    make_key_file(&path, "", None).expect("made");
    agent.add(&[], &path);
    let keys = agent.client().keys().expect("listed").usable;
    agent.add(&["-d"], &path);
    let error = keys[0].sign(b"data").expect_err("gone").to_string();
    assert!(error.contains("refused") && error.contains("socket"), "{error}");
}

#[test]
fn an_encrypted_file_is_used_through_the_agent_that_holds_its_key() {
    if !installed() {
        return;
    }
    let agent = RunningAgent::start();
    let home = tempfile::tempdir().expect("a home");
    let path = home.path().join(".ssh/id_ed25519");
    make_key_file(&path, "", None).expect("made");
    agent.add(&[], &path);
    let search =
        IdentitySearch { agent: Some(agent.client()), home: Some(home.path().to_owned()), ..Default::default() };
    let found = search.find().expect("found");
    assert!(matches!(found[..], [Identity::File(_)]), "the plain file costs nobody anything: {found:?}");
    super::keygen(["-q", "-p", "-a", "2", "-N", "secret", "-f", path.to_str().expect("UTF-8")]);
    for file in [None, Some(path)] {
        let found = IdentitySearch { file, ..search.clone() }.find().expect("found");
        assert!(matches!(found[..], [Identity::Agent(_)]), "{found:?}");
        let blob = found[0].prove(b"ada", &[5; 32], &|_| panic!("nobody is asked")).expect("signed");
        assert_eq!(proof::check(&blob, b"ada", &[5; 32]).map(|proven| proven.key), Ok(found[0].public_key()));
    }
}

/// An agent that answers its first request with `reply`, and then does nothing for as long as the client waits.
fn misbehaving(directory: &Path, reply: Vec<u8>) -> Agent {
    let socket = directory.join("socket");
    let listener = UnixListener::bind(&socket).expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(&reply);
        let _ = stream.read(&mut [0; 64]);
    });
    Agent::at(socket)
}

fn list_error(reply: &[u8]) -> (String, Duration) {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = misbehaving(directory.path(), reply.to_vec());
    let started = Instant::now();
    let error = agent.keys().expect_err("nonsense");
    assert!(matches!(error, IdentityError::Agent { .. }), "{error}");
    (error.to_string(), started.elapsed())
}

#[test]
fn nonsense_is_refused_and_huge_announcements_are_not_believed() {
    for (reply, why) in [
        (&[0, 4, 0, 1, 12][..], "longer than 262144"),
        (&[0xff, 0xff, 0xff, 0xff, 12], "longer than 262144"),
        (&[0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff], "malformed"),
        (&[0, 0, 0, 6, 12, 0, 0, 0, 0, 0], "malformed"),
        (&[0, 0, 0, 1, 5], "refused"),
        (&[0, 0, 0, 1, 99], "message Some(99)"),
        (&[0, 0, 0, 0], "message None"),
    ] {
        let (error, took) = list_error(reply);
        assert!(error.contains(why), "{reply:?}: {error}");
        assert!(took < Duration::from_secs(2), "{reply:?}: {took:?}");
    }
}

#[test]
fn a_silent_agent_and_a_slow_one_end_at_the_deadline() {
    // Nothing at all, and a reply that stops after its first bytes.
    for reply in [&[][..], &[0, 0, 1, 0, 12, 0]] {
        let (error, took) = list_error(reply);
        assert!(error.contains("did not answer within 2 s"), "{error}");
        assert!((1..8).contains(&took.as_secs()), "{took:?}");
    }
}

#[test]
fn an_agent_that_accepts_nobody_does_not_hold_us() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("bound");
    // Fill the queue of connections that wait to be accepted, until the kernel takes no more.
    let mut waiting = Vec::new();
    while let Some(stream) = connect_at_once(&socket) {
        waiting.push(stream);
        if waiting.len() > 10_000 {
            eprintln!("skipped: this system's queue of connections has no end");
            return;
        }
    }
    let started = Instant::now();
    let error = Agent::at(&socket).keys().expect_err("nobody accepts").to_string();
    assert!(error.contains("did not answer within 2 s"), "{error}");
    assert!((1..8).contains(&started.elapsed().as_secs()));
}

/// Connects without waiting; `None` if the queue is full.
fn connect_at_once(socket: &Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket).expect("an address")).ok().map(|()| fd)
}

#[test]
fn an_agent_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = Agent::at(directory.path().join("gone")).keys().expect_err("nobody listens").to_string();
    assert!(error.contains("gone") && error.contains("ssh-add -l"), "{error}");
    let too_long = Agent::at("x".repeat(200)).keys().expect_err("no such address");
    assert!(matches!(too_long, IdentityError::Agent { .. }));
}
