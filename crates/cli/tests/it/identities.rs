//! Which of the user's keys logs in, and what is said about the others.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::host::Host;
use super::run::{UNGLUE, clean, finish, until};

/// Makes an encrypted key where ssh has its own, which comes first; `false` if there is no `ssh-keygen`.
fn encrypted_first(host: &Host) -> bool {
    fs::create_dir(host.home().join(".ssh")).expect("made");
    let mut keygen = clean("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-a", "1", "-N", "secret", "-f", ".ssh/id_ed25519"]).current_dir(host.home());
    let made = keygen.status().is_ok_and(|status| status.success());
    if !made {
        eprintln!("skipped: there is no `ssh-keygen`");
    }
    made
}

/// The client in a session of its own: there is no terminal to ask at.
fn without_terminal(host: &Host) -> Command {
    let mut command = clean("setsid");
    command.args(["--wait", UNGLUE, "exec", &host.target(), "--", "echo", "ran"]);
    command.env("HOME", host.home()).current_dir(host.home());
    command
}

#[test]
fn an_encrypted_key_without_its_passphrase_gives_way_to_the_next() {
    let host = Host::start();
    if !encrypted_first(&host) {
        return;
    }
    let line = fs::read_to_string(host.home().join(".ssh/id_ed25519.pub")).expect("a public key");
    let keys = host.home().join("authorized_keys");
    let both = fs::read_to_string(&keys).expect("the other key") + &line;
    fs::write(&keys, &both).expect("written");
    let done = finish(&mut without_terminal(&host)).expect(0);
    assert_eq!(done.text(), "ran\n");
    done.complains("skipped a key").complains("ssh-add");
    // Where no other key is accepted, the passphrase is what is missing.
    fs::write(&keys, &line).expect("written");
    finish(&mut without_terminal(&host)).expect(125).complains("no passphrase was given");
    // Where none is, it isn't.
    fs::write(&keys, "").expect("written");
    finish(&mut without_terminal(&host)).expect(125).complains("did not accept your key");
}

#[test]
fn an_unusable_key_is_skipped_with_a_note() {
    let host = Host::start();
    fs::create_dir(host.home().join(".ssh")).expect("made");
    let unusable = host.home().join(".ssh/id_ed25519");
    fs::copy(host.home().join(".config/unglue/id_ed25519"), &unusable).expect("copied");
    fs::set_permissions(&unusable, Permissions::from_mode(0o644)).expect("it is ours");
    let done = host.exec(&[], ["echo", "ran"]).expect(0);
    assert_eq!((done.text(), done.stderr.lines().count()), ("ran\n", 1), "{done:?}");
    done.complains("chmod 600");
}

/// Ends a process as a crash does, and says whether it left a core dump.
fn crash(process: &mut Child) -> bool {
    kill_process(Pid::from_child(process), Signal::ABORT).expect("it lives");
    process.wait().expect("it ends").core_dumped()
}

#[test]
fn a_private_key_is_in_no_core_dump() {
    // The processes that are started inherit it.
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: maximum, maximum }).expect("up to the maximum");
    let directory = tempfile::tempdir().expect("a directory");
    let mut sleep = clean("sleep").arg("30").current_dir(directory.path()).spawn().expect("it starts");
    if !crash(&mut sleep) {
        eprintln!("skipped: this machine writes no core dumps");
        return;
    }
    let mut host = Host::start();
    let mut client = host.exec_command(&[], ["sleep", "30"]).stdin(Stdio::null()).spawn().expect("it starts");
    until("the command", || host.log().contains(r#""event":"exec""#).then_some(()));
    assert!(!crash(&mut client), "the client");
    // A command's own core dump is its user's to allow.
    let command = host.exec(&[], ["sh", "-c", "ulimit -c"]).expect(0);
    assert_ne!(command.text(), "0\n");
    assert!(!crash(host.server_process()), "the server");
}
