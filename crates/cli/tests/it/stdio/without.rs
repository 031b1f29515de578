//! Where the state can't be used: plain commands run all the same, so that a full disk can be cleaned.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use unglue::{Client, Exec, Lease, Outcome};

use super::{Home, sh, within};
use crate::run::{UNGLUE, clean};

/// A plain command runs, and one that would outlive its link is refused, for a reason that holds `words`.
async fn serves_without_state(command: impl Fn() -> Command + Send + Sync + 'static, words: &str) {
    let client = Client::connect_command(command, None, &Default::default()).await.expect("it starts");
    let done = sh(&client, "echo x").await;
    assert_eq!(done.stdout, b"x\n", "{:?}", done.report);
    let kept = client.exec(&Exec::new(["true"]).lease(Lease::Detach)).await.expect("a link");
    match kept.collect(1).await.report.outcome {
        Outcome::Refused(fault) => assert!(fault.what.contains(words), "{fault}"),
        outcome => panic!("{outcome:?}"),
    }
}

/// A process with another file system at its home; nothing where the system allows none.
fn mounted(home: &Home, mount: &str) -> Option<impl Fn() -> Command + Send + Sync + 'static> {
    let root = if rustix::process::geteuid().is_root() { "--propagation=private" } else { "--map-root-user" };
    let path = home.path();
    let mount = mount.to_owned();
    let command = move |text: &str| {
        let mut command = clean("unshare");
        command.args(["--mount", root, "sh", "-c", text, UNGLUE]).env("HOME", &path).current_dir(&path);
        command
    };
    let tried = command(&mount).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: nothing can be mounted here");
        return None;
    }
    Some(move || command(&format!("{mount} && cd \"$HOME\" && exec \"$0\" serve --stdio")))
}

#[test]
fn a_home_that_is_missing() {
    let as_nobody = || {
        let mut command = clean(UNGLUE);
        command.env("HOME", "/nonexistent").current_dir("/").uid(65534).gid(65534);
        command
    };
    let runs = as_nobody().arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !rustix::process::geteuid().is_root() || !runs {
        return eprintln!("skipped: nobody can't run {UNGLUE} here");
    }
    let command = move || {
        let mut command = as_nobody();
        command.args(["serve", "--stdio"]);
        command
    };
    within(serves_without_state(command, "home directory"));
    assert!(!std::path::Path::new("/nonexistent").exists(), "it is not made");
}

#[test]
fn a_home_on_a_full_disk() {
    let home = Home::new();
    let Some(command) = mounted(&home, "mount -t tmpfs -o nr_inodes=1 tmpfs \"$HOME\"") else { return };
    within(serves_without_state(command, "No space left"));
}

#[test]
fn a_home_that_is_read_only() {
    let home = Home::new();
    let Some(command) = mounted(&home, "mount -t tmpfs -o size=64k,ro tmpfs \"$HOME\"") else { return };
    within(serves_without_state(command, "Read-only file system"));
}
