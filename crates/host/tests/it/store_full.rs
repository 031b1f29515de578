//! A store whose file system refuses: the old file stays, nothing is left beside it, and the error says why.
//!
//! These tests run in child processes (this very binary) with a mount namespace, a limit or a tracer of their own.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::io::Errno;
use unglue_host::store::{Op, Problem, Store, StoreError, WriteOptions};
use unglue_proto::message::Time;

use crate::store::{get, names, put, put_with, within};

/// Names the directory that a child's part works in.
const DIRECTORY: &str = "UNGLUE_TEST_STORE_FULL";

/// The directory, if this process is the child that a test has started.
pub(crate) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Runs `part` (its path, or its name in this module) in a child, prepared by a shell script that ends in `exec "$@"` and finds the directory in
/// `$0`. False if `script` ends with 77: what it prepares isn't to be had here.
pub(crate) fn in_child(part: &str, script: &str) -> bool {
    let Some((passes, output)) = try_child(part, script, 60) else { return false };
    assert!(passes, "{output}");
    true
}

/// As [`in_child`], within so many seconds: whether the part passes, and what it printed. `None`: skipped.
pub(crate) fn try_child(part: &str, script: &str, seconds: u64) -> Option<(bool, String)> {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(directory.path()).arg(std::env::current_exe().unwrap());
    let part = if part.contains("::") { part.to_owned() } else { format!("store_full::{part}") };
    command.args(["--exact", &part, "--nocapture"]).env(DIRECTORY, directory.path());
    let Output { status, stdout, stderr } = within(seconds, move || command.output().unwrap());
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.code() == Some(77) {
        eprintln!("skipped: {}", stderr.trim());
        return None;
    }
    let passes = status.success() && stdout.contains("1 passed");
    Some((passes, format!("{status}, {:?}: {stdout}{stderr}", status.signal())))
}

/// Mounts a tmpfs with these options over the directory, then runs the part.
pub(crate) fn on_tmpfs(part: &str, options: &str, then: &str) -> bool {
    let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let script = format!(
        "unshare --mount {root} true 2>/dev/null || {{ echo 'no mount namespaces' >&2; exit 77; }}
         exec unshare --mount {root} sh -c '
            mount -t tmpfs -o mode=0755,{options} tmpfs \"$0\" || exit 77
            {then} exec \"$@\"' \"$0\" \"$@\""
    );
    in_child(part, &script)
}

/// Writes `size` bytes in pieces of 64 KiB.
fn write(store: &Store, path: &str, size: usize, announced: u64) -> Result<(), StoreError> {
    let mut incoming =
        store.write(path.as_ref(), WriteOptions { mode: 0o644, size: Some(announced), ..Default::default() })?;
    for piece in vec![7; size].chunks(64 * 1024) {
        incoming.write_all(piece)?;
    }
    incoming.commit()
}

/// The directory holds `file` with `old` in it, and nothing else.
fn untouched(directory: &Path) {
    assert_eq!(names(directory), ["file"]);
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"old");
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    on_tmpfs("part_full_disk", "size=1m", "");
}

#[test]
fn part_full_disk() {
    let Some(directory) = directory() else { return };
    let store = Store::confined(&directory).unwrap();
    put(&store, "file", b"old").unwrap();

    let late = write(&store, "file", 2 << 20, 0).unwrap_err();
    assert_eq!((late.op(), late.problem()), (Op::Write, &Problem::System(Errno::NOSPC)));
    untouched(&directory);

    let early = write(&store, "file", 2 << 20, 2 << 20).unwrap_err();
    let Problem::NoSpace { needed, available } = *early.problem() else { panic!("{early}") };
    assert_eq!((early.op(), early.errno().as_deref(), needed), (Op::Create, Some("ENOSPC"), 2 << 20));
    assert!(available < 1 << 20, "{available}");
    untouched(&directory);

    write(&store, "file", 500 << 10, 500 << 10).unwrap();
    assert_eq!(get(&store, "file").unwrap().len(), 500 << 10);
}

#[test]
fn no_inode_left_keeps_the_old_file() {
    on_tmpfs("part_no_inode", "nr_inodes=2", "");
}

#[test]
fn part_no_inode() {
    let Some(directory) = directory() else { return };
    let store = Store::confined(&directory).unwrap();
    fs::write(directory.join("file"), "old").unwrap();
    let error = put(&store, "file", b"new").unwrap_err();
    assert_eq!((error.op(), error.problem()), (Op::Create, &Problem::System(Errno::NOSPC)));
    untouched(&directory);
}

#[test]
fn a_used_up_quota_keeps_the_old_file() {
    on_tmpfs("part_quota", "usrquota,usrquota_block_hardlimit=1m", "");
}

#[test]
fn part_quota() {
    let Some(directory) = directory() else { return };
    let store = Store::confined(&directory).unwrap();
    put(&store, "file", b"old").unwrap();
    match write(&store, "file", 2 << 20, 0) {
        Err(error) => assert_eq!(error.errno().as_deref(), Some("EDQUOT")),
        // CAP_SYS_RESOURCE may exceed quotas.
        Ok(()) => return eprintln!("skipped: the quota doesn't bind this user"),
    }
    untouched(&directory);
}

#[test]
fn a_read_only_file_system_keeps_the_old_file() {
    on_tmpfs("part_read_only", "size=1m", "printf old >\"$0\"/file; mount -o remount,bind,ro \"$0\" || exit 77; ");
}

#[test]
fn part_read_only() {
    let Some(directory) = directory() else { return };
    let store = Store::confined(&directory).unwrap();
    for path in ["file", "new"] {
        let error = put(&store, path, b"new").unwrap_err();
        assert_eq!(error.errno().as_deref(), Some("EROFS"), "{error}");
    }
    untouched(&directory);
}

#[test]
fn the_file_size_limit_is_an_error_and_kills_nobody() {
    in_child("part_file_size", "ulimit -f 2048 || exit 77; exec \"$@\"");
}

#[test]
fn part_file_size() {
    let Some(directory) = directory() else { return };
    let store = Store::confined(&directory).unwrap();
    put(&store, "file", b"old").unwrap();
    for announced in [0, 2 << 20] {
        let error = write(&store, "file", 2 << 20, announced).unwrap_err();
        assert!(matches!(error.problem(), Problem::TooLarge { .. }), "{error}");
        assert_eq!(error.errno().as_deref(), Some("EFBIG"));
        untouched(&directory);
    }
}

/// Lets the `when`th call of `syscall` on the directory fail with EIO.
pub(crate) fn with_fault(part: &str, syscall: &str, when: u32) {
    let injection = format!("-e trace={syscall} -e inject={syscall}:error=EIO:when={when}");
    in_child(
        part,
        &format!(
            "strace -o /dev/null true 2>/dev/null || {{ echo 'strace does not work here' >&2; exit 77; }}
             exec strace -f -o /dev/null {injection} \"$@\""
        ),
    );
}

#[test]
fn a_failing_disk_keeps_the_old_file() {
    with_fault("part_sync_fails", "fsync", 1);
    with_fault("part_rename_fails", "renameat,renameat2", 1);
    with_fault("part_directory_sync_fails", "fsync", 2);
}

fn put_on_failing_disk() -> Option<(PathBuf, StoreError)> {
    let directory = directory()?;
    fs::write(directory.join("file"), "old").unwrap();
    let store = Store::confined(&directory).unwrap();
    let options =
        WriteOptions { mode: 0o644, modified: Some(Time { seconds: 0, nanoseconds: 0 }), ..WriteOptions::default() };
    let error = put_with(&store, "file", b"new", options).unwrap_err();
    Some((directory, error))
}

#[test]
fn part_sync_fails() {
    let Some((directory, error)) = put_on_failing_disk() else { return };
    assert_eq!((error.op(), error.problem()), (Op::Sync, &Problem::System(Errno::IO)));
    untouched(&directory);
}

#[test]
fn part_rename_fails() {
    let Some((directory, error)) = put_on_failing_disk() else { return };
    assert_eq!((error.op(), error.problem()), (Op::Rename, &Problem::System(Errno::IO)));
    untouched(&directory);
}

#[test]
fn part_directory_sync_fails() {
    let Some((directory, error)) = put_on_failing_disk() else { return };
    assert_eq!(error.problem(), &Problem::NotDurable(Errno::IO));
    assert_eq!(names(&directory), ["file"]);
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"new");
}
