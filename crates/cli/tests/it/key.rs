//! `unglue key`: making, showing and listing keys.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::host::{Host, client};
use super::run::finish;

#[test]
fn a_key_is_made_once() {
    let home = tempfile::tempdir().expect("a directory");
    let made = finish(client(home.path()).args(["key", "init"])).expect(0);
    let path = home.path().join(".config/unglue/id_ed25519");
    assert_eq!(fs::metadata(&path).expect("a key").mode() & 0o777, 0o600);
    let before = fs::read(&path).expect("a key");
    let public = fs::read_to_string(path.with_extension("pub")).expect("its public half");
    assert!(made.text().ends_with(&public), "the line to authorise comes last: {made:?}");
    finish(client(home.path()).args(["key", "init"])).expect(125).complains("never overwritten");
    assert_eq!(fs::read(&path).expect("the same key"), before);
}

#[test]
fn the_shown_line_is_what_authorized_keys_takes() {
    let home = tempfile::tempdir().expect("a directory");
    finish(client(home.path()).args(["key", "show"])).expect(125).complains("unglue key init");
    finish(client(home.path()).args(["key", "init", "--comment", "ada here"])).expect(0);
    let shown = finish(client(home.path()).args(["key", "show"])).expect(0);
    let public = fs::read_to_string(home.path().join(".config/unglue/id_ed25519.pub")).expect("its public half");
    assert_eq!(shown.text(), public);
    assert!(shown.text().ends_with(" ada here\n") && shown.stderr.starts_with("SHA256:"), "{shown:?}");
}

#[test]
fn keys_are_listed_in_the_order_in_which_they_are_tried() {
    let home = tempfile::tempdir().expect("a directory");
    let list = || finish(client(home.path()).args(["key", "list"])).expect(0).text().to_owned();
    assert!(list().contains("none; make one with: unglue key init"));
    finish(client(home.path()).args(["key", "init"])).expect(0);
    finish(client(home.path()).args(["key", "init", "-f", ".ssh/id_ed25519"])).expect(0);
    let listed = list();
    let (ssh, own) = (listed.find("/.ssh/id_ed25519"), listed.find("/.config/unglue/id_ed25519"));
    assert!(ssh.is_some() && ssh < own, "{listed}");
}

#[test]
fn known_servers_are_listed() {
    let host = Host::start();
    let listed = finish(host.client(["key", "list"])).expect(0);
    assert!(listed.text().contains(&format!("  {} [127.0.0.1]:{}\n", host.fingerprint, host.port)), "{listed:?}");
}

#[test]
fn an_identity_may_be_named() {
    let host = Host::start();
    finish(host.client(["key", "init", "-f", "other"])).expect(0);
    let denied = host.exec(&["--identity", "other"], ["true"]).expect(125);
    denied.complains("did not accept your key");
    let denied = finish(host.exec_command(&[], ["true"]).env("UNGLUE_IDENTITY", "other")).expect(125);
    denied.complains("did not accept your key");
    finish(host.exec_command(&["--identity", ".config/unglue/id_ed25519"], ["true"]).env("UNGLUE_IDENTITY", "other"))
        .expect(0);
    host.exec(&["--identity", "missing"], ["true"]).expect(125).complains("missing");
}
