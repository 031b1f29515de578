//! All the same as an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The user `nobody` and the group `nogroup` of Debian.
const NOBODY: &str = "65534";

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the tests run as an ordinary user anyway");
        return;
    }
    let found = Command::new("setpriv").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no `setpriv` (util-linux) to become an ordinary user with");
        return;
    }
    // The binary may lie where only root may look.
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let binary = directory.path().join("tests");
    fs::copy("/proc/self/exe", &binary).expect("it is copied");
    let output = Command::new("timeout")
        .args(["300", "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"])
        .arg(&binary)
        .args(["process::", "--skip", "process::ordinary", "--skip", "process::many", "--test-threads=1"])
        .current_dir("/")
        .env("HOME", "/")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("what_escapes_is_killed_at_the_end"), "{text}");
}
