//! `unglue key`: making, showing and listing keys.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

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

#[test]
fn keys_that_are_not_tried_are_listed_with_the_reason() {
    let home = tempfile::tempdir().expect("a directory");
    finish(client(home.path()).args(["key", "init", "-f", ".ssh/id_ed25519"])).expect(0);
    let unusable = home.path().join(".ssh/id_rsa");
    fs::write(&unusable, "-----BEGIN DSA PRIVATE KEY-----\n").expect("written");
    fs::set_permissions(&unusable, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let listed = finish(client(home.path()).args(["key", "list"])).expect(0);
    let (tried, others) = listed.text().split_once("keys that are not tried:\n").expect("two lists");
    assert!(tried.contains("  ED25519 SHA256:") && tried.contains(".ssh/id_ed25519 (file)"), "{tried}");
    assert!(others.contains(".ssh/id_rsa") && others.contains("DSA"), "{others}");
    // What the ssh configuration says about a host counts for that host.
    let path = home.path().join(".ssh/config");
    fs::write(&path, "Host build\n IdentityFile ~/.ssh/work\n").expect("written");
    finish(client(home.path()).args(["key", "init", "-f", ".ssh/work"])).expect(0);
    let listed = |host: &str| finish(client(home.path()).args(["key", "list", host])).expect(0).text().to_owned();
    assert!(listed("build").contains(".ssh/work (file)") && !listed("build").contains("id_ed25519"));
    assert!(listed("other").contains("id_ed25519") && !listed("other").contains(".ssh/work"));
}

#[test]
fn the_steps_of_a_login_are_reported_in_ten_lines() {
    let host = Host::start();
    let done = host.exec(&["-v"], ["echo", "ran"]).expect(0);
    assert_eq!(done.text(), "ran\n");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(lines.len() <= 10 && lines.iter().all(|line| line.starts_with("unglue: ")), "{done:?}");
    for (step, words) in [
        "connecting to 127.0.0.1:",
        "connected to 127.0.0.1:",
        "a key to try: ssh-ed25519 SHA256:",
        "the host key ssh-ed25519 SHA256:",
        "the host key is known: /",
        "signing this connection's own value",
        "logged in as ",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(lines[step].contains(words), "{step}: {done:?}");
    }
    let quiet = host.exec(&[], ["echo", "ran"]).expect(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn the_ssh_configuration_is_heeded() {
    let host = Host::start();
    fs::create_dir(host.home().join(".ssh")).expect("made");
    let path = host.home().join(".ssh/config");
    let target = format!("build:{}", host.port);
    let exec = |flags: &[&str]| {
        finish(host.client(["exec"]).args(flags).args([&target, "--", "printenv", "SENT"]).env("SENT", "yes"))
    };
    let config =
        "Host build\n HostName 127.0.0.1\n IdentityFile ~/.config/unglue/%k\n HostKeyAlias id_ed25519\n SendEnv SEN?\n";
    // The alias names the server in known_hosts, and so another key would be known by it.
    fs::write(&path, config.replace(" HostKeyAlias id_ed25519\n", "").replace("%k", "id_ed25519")).expect("written");
    assert_eq!(exec(&[]).expect(0).text(), "yes\n");
    fs::write(&path, config).expect("written");
    exec(&[]).expect(125).complains("is not known");
    assert_eq!(exec(&["--accept-new"]).expect(0).text(), "yes\n");
    let known = fs::read_to_string(host.home().join(".config/unglue/known_hosts")).expect("read");
    assert!(known.contains("\nid_ed25519 ssh-ed25519 "), "{known}");
    fs::write(&path, "Host *\n User\n").expect("written");
    exec(&[]).expect(125).complains("config:2: ");
    // A name that nothing resolves.
    exec(&["-F", "none", "--connect-timeout", "5s"]).expect(125).complains("can't connect to build:");
    fs::write(host.home().join("mine"), "Host build\n HostName 127.0.0.1\n").expect("written");
    exec(&["-F", "mine"]).expect(1);
    exec(&["-F", "missing"]).expect(125).complains("there is no ssh configuration missing");
}
