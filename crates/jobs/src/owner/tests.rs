//! Who owns a state directory, and what happens to it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use super::*;

/// Names the state directory that a child takes.
const STATE: &str = "UNGLUE_TEST_STATE";

fn by(owned: Owned) -> Holder {
    match owned {
        Owned::By { holder, .. } => holder,
        Owned::Unusable { .. } => panic!("{owned}"),
    }
}

fn unusable_kind(owned: Owned) -> io::ErrorKind {
    match owned {
        Owned::By { .. } => panic!("{owned}"),
        Owned::Unusable { source, .. } => source.kind(),
    }
}

/// This binary, running a part of this module.
fn child(part: &str, state: &Path, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(state).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("owner::tests::{part}"), "--nocapture"]).env(STATE, state);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_second_process_is_told_who_owns_the_state() {
    let state = tempfile::tempdir().unwrap();
    let mut other = child("part_owner", state.path(), "exec \"$@\"");
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().ends_with("taken")));

    let error = Owner::take(state.path()).unwrap_err();
    let text = error.to_string();
    let directory = of_this_machine(state.path()).unwrap();
    let program = fs::canonicalize(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(text, format!("{} belongs to process {} ({})", directory.display(), other.id(), program.display()));
    assert_eq!(by(error).pid, Some(other.id()));

    other.kill().unwrap();
    other.wait().unwrap();
    let owner = Owner::take(state.path()).unwrap();
    assert_eq!(owner.directory(), directory);
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    drop(owner);
    assert!(directory.join("lock").exists(), "it is never deleted");
}

#[test]
fn part_owner() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let _owner = Owner::take(Path::new(&state)).unwrap();
    println!("taken");
    // Until the test ends this process, or itself.
    let _ = io::stdin().read_line(&mut String::new());
}

#[test]
fn children_do_not_inherit_the_lock() {
    let state = tempfile::tempdir().unwrap();
    let owner = Owner::take(state.path()).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(
        by(Owner::take(state.path()).unwrap_err()).pid,
        Some(std::process::id()),
        "one of this process is enough"
    );
    drop(owner);
    let again = Owner::take(state.path());
    child.kill().unwrap();
    child.wait().unwrap();
    again.unwrap();
}

#[test]
fn the_lock_of_a_dead_owner_is_waited_for() {
    let state = tempfile::tempdir().unwrap();
    let owner = Owner::take(state.path()).unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    fs::write(owner.directory().join("lock"), format!("{}\n/bin/true\n", dead.id())).unwrap();
    let waiting = std::thread::spawn({
        let state = state.path().to_owned();
        move || Owner::take(&state)
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    drop(owner);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_lock_that_was_removed_is_not_one() {
    let state = tempfile::tempdir().unwrap();
    let first = Owner::take(state.path()).unwrap();
    fs::rename(state.path().join("machines"), state.path().join("moved")).unwrap();
    let second = Owner::take(state.path()).unwrap();
    assert_eq!(first.directory(), second.directory(), "it was replaced: the first one owns what was moved");
}

#[test]
fn an_empty_lock_file_belongs_to_somebody_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let owner = Owner::take(state.path()).unwrap();
    fs::write(owner.directory().join("lock"), "").unwrap();
    let error = Owner::take(state.path()).unwrap_err();
    assert!(error.to_string().ends_with("belongs to another process"), "{error}");
    assert_eq!(by(error), Holder { pid: None, program: None });
}

#[test]
fn a_socket_has_a_short_path_wherever_the_state_is() {
    let state = tempfile::tempdir().unwrap();
    let deep = state.path().join("x".repeat(200)).join("y".repeat(200));
    for (state, is_long) in [(state.path(), false), (&deep, true)] {
        let owner = Owner::take(state).unwrap();
        let socket = owner.socket_path().unwrap();
        assert_eq!(socket.path() != socket.real(), is_long);
        let _listener = UnixListener::bind(socket.path()).unwrap();
        assert!(socket.real().exists());
        UnixStream::connect(Owner::socket_of(state).unwrap().path()).unwrap();
    }
    let missing = Owner::socket_of(&state.path().join("missing")).unwrap_err();
    assert_eq!(unusable_kind(missing), io::ErrorKind::NotFound);
}

#[test]
fn a_relative_state_directory_is_made_absolute() {
    assert!(of_this_machine(Path::new("state")).unwrap().is_absolute());
}

#[test]
fn a_directory_that_others_can_write_is_not_trusted() {
    let state = tempfile::tempdir().unwrap();
    let directory = Owner::take(state.path()).unwrap().directory().to_owned();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
    let error = Owner::take(state.path()).unwrap_err();
    assert!(error.to_string().contains("can be written by others, failed"), "{error}");
    assert_eq!(unusable_kind(error), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_link_is_not_taken_for_the_lock() {
    let state = tempfile::tempdir().unwrap();
    let directory = Owner::take(state.path()).unwrap().directory().to_owned();
    fs::remove_file(directory.join("lock")).unwrap();
    std::os::unix::fs::symlink(state.path().join("elsewhere"), directory.join("lock")).unwrap();
    assert!(Owner::take(state.path()).is_err());
    assert!(!state.path().join("elsewhere").exists());
}

#[test]
fn machines_without_an_id_have_a_name() {
    assert_eq!(name_of(b"build.example_\xff-1"), "host-build_example__-1");
    let machine = machine();
    assert!(machine.starts_with("host-") || machine.len() == 32, "{machine}");
}

/// A tmpfs with these options, and a part of this module in it.
fn on_tmpfs(part: &str, options: &str, then: &str) {
    let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let state = tempfile::tempdir().unwrap();
    let script = format!(
        "unshare --mount {root} true 2>/dev/null || {{ echo 'no mount namespaces' >&2; exit 77; }}
         exec unshare --mount {root} sh -c '
            mount -t tmpfs -o mode=0755,{options} tmpfs \"$0\" || exit 77
            {then} exec \"$@\"' \"$0\" \"$@\""
    );
    let output = child(part, state.path(), &script).wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("skipped: tmpfs can't be mounted here");
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", output.status);
}

#[test]
fn a_read_only_state_directory_is_unusable() {
    on_tmpfs("part_read_only", "size=64k", "mount -o remount,ro \"$0\" &&");
}

#[test]
fn part_read_only() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let error = Owner::take(Path::new(&state)).unwrap_err();
    assert!(error.to_string().contains("making the directory failed: Read-only"), "{error}");
    assert_eq!(unusable_kind(error), io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn a_full_state_directory_is_unusable_until_it_was_used_once() {
    on_tmpfs("part_full", "nr_inodes=3", "mkdir \"$0/machines\" && : > \"$0/filler\" &&");
}

#[test]
fn part_full() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    assert_eq!(unusable_kind(Owner::take(state).unwrap_err()), io::ErrorKind::StorageFull);
}
