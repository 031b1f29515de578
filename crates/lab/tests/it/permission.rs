//! Who may have a network, and what those are told who may not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Gid, Uid};
use unglue_lab::LabError;
use unglue_lab::network::Network;

use crate::site::within;

/// The user `nobody` and the group `nogroup` of Debian.
const NOBODY: u32 = 65534;

#[test]
fn without_permission_it_says_what_failed_and_what_helps() {
    within(30, || {
        if rustix::process::geteuid().is_root() {
            // Credentials belong to threads (credentials(7)); a user namespace may have no other user.
            let changed = rustix::thread::set_thread_groups(&[])
                .and_then(|()| rustix::thread::set_thread_gid(Gid::from_raw(NOBODY)))
                .and_then(|()| rustix::thread::set_thread_uid(Uid::from_raw(NOBODY)));
            if let Err(errno) = changed {
                return eprintln!("skipped: there is no ordinary user to become here: {errno}");
            }
        }
        let error = match Network::new(Duration::ZERO, 1500) {
            Ok(_) => return eprintln!("skipped: this ordinary user may make networks"),
            Err(error) => error,
        };
        assert!(matches!(error, LabError::Unavailable { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("unshare(CLONE_NEWNET): Operation not permitted (os error 1);"), "{text}");
        assert!(text.contains("as root, or as `unshare --user --map-root-user unglue lab scene NAME`"), "{text}");
    });
}

#[test]
fn the_advice_works_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become an ordinary user and open the device to all");
    }
    if let Err(error @ LabError::Unavailable { .. }) = Network::new(Duration::ZERO, 1500) {
        return eprintln!("skipped: {error}");
    }
    // The binary may lie where only root may look.
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let binary = directory.path().join("tests");
    fs::copy("/proc/self/exe", &binary).expect("it is copied");
    let as_nobody = |start: &str| run_as_nobody(&format!("{start} {}", binary.display()));
    if let Some(why) = refusal(&as_nobody("true")) {
        return eprintln!("skipped: no ordinary user to become, or no device for all: {why}");
    }
    if let Some(why) = refusal(&as_nobody("unshare --user --map-root-user true")) {
        return eprintln!("skipped: ordinary users have no user namespaces here: {why}");
    }
    let arguments = "network:: counts::with_ --test-threads=1 --nocapture";
    let output = run_as_nobody(&format!("unshare --user --map-root-user {} {arguments}", binary.display()));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !text.contains("skipped"), "{text}");
    assert!(text.contains("with_nagle"), "{text}");
}

/// Runs a command as nobody, where anybody may open `/dev/net/tun`, as on most systems: in a mount namespace of its own.
fn run_as_nobody(command: &str) -> Output {
    let open = "mount -t tmpfs none /mnt && mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun";
    let become_nobody = format!("exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {command}");
    Command::new("timeout")
        .args(["120", "unshare", "--mount", "sh", "-c", &format!("{open} && {become_nobody}")])
        .current_dir("/")
        .output()
        .expect("`timeout` runs")
}

fn refusal(output: &Output) -> Option<String> {
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
