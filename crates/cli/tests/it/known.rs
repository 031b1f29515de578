//! Which servers are trusted.

use std::fs;

use super::host::Host;
use super::run::finish;

#[test]
fn an_unknown_server_is_refused_with_the_command_that_would_trust_it() {
    let host = Host::start_unknown(&[]);
    let trust = format!("unglue key trust '{}' {}", host.target(), host.fingerprint);
    host.exec(&[], ["touch", "ran"]).expect(125).complains(&trust);
    assert!(!host.root().join("ran").exists());
    finish(host.client(["key", "trust", &host.target(), &host.fingerprint])).expect(0);
    host.exec(&[], ["touch", "ran"]).expect(0);
}

#[test]
fn a_fingerprint_that_is_not_the_servers_is_not_trusted() {
    let host = Host::start_unknown(&[]);
    let other = "SHA256:ImKhPYGmEiSoBBCTuqr/sg6rO0pDFVD1bKhtsbBmFhs";
    finish(host.client(["key", "trust", &host.target(), other])).expect(125).complains(&host.fingerprint);
    host.exec(&[], ["true"]).expect(125);
    let again = finish(host.client(["key", "trust", &host.target(), &host.fingerprint])).expect(0);
    assert!(again.text().contains("is trusted now"), "{again:?}");
    let again = finish(host.client(["key", "trust", &host.target(), &host.fingerprint])).expect(0);
    assert!(again.text().contains("is trusted already"), "{again:?}");
}

#[test]
fn scripts_may_accept_what_is_new_but_nothing_that_has_changed() {
    let host = Host::start_unknown(&[]);
    host.exec(&["--accept-new", "--known-hosts", "k"], ["true"]).expect(0);
    host.exec(&["--known-hosts", "k"], ["true"]).expect(0);
    // Another server at the same place, as far as the client can tell.
    let other = Host::start_unknown(&[]);
    let line = fs::read_to_string(host.home().join("k")).expect("a line");
    let moved = line.replace(&format!("]:{} ", host.port), &format!("]:{} ", other.port));
    fs::write(other.home().join("k"), moved).expect("written");
    for flags in [&["--known-hosts", "k"][..], &["--accept-new", "--known-hosts", "k"]] {
        other.exec(flags, ["touch", "ran"]).expect(125).complains(&other.fingerprint);
    }
    let trusted = finish(other.client(["key", "trust", "--known-hosts", "k", &other.target(), &other.fingerprint]));
    trusted.expect(125).complains("another key");
    assert!(!other.root().join("ran").exists());
}

#[test]
fn a_file_that_is_named_is_the_only_one() {
    let host = Host::start();
    host.exec(&["--known-hosts", "empty"], ["true"]).expect(125);
    finish(host.exec_command(&[], ["true"]).env("UNGLUE_KNOWN_HOSTS", "empty")).expect(125);
    finish(host.exec_command(&[], ["true"])).expect(0);
}

#[test]
fn ports_may_be_written_either_way() {
    let host = Host::start();
    let port = host.port.to_string();
    finish(host.client(["exec", "-P", &port, "127.0.0.1", "--", "true"])).expect(0);
    finish(host.client(["exec", "-P", &port, &host.target(), "--", "true"])).expect(0);
    finish(host.client(["exec", "-P", "1", &host.target(), "--", "true"]))
        .expect(125)
        .complains("leave one of them out");
}

#[test]
fn a_server_serves_its_own_user_alone() {
    let host = Host::start();
    let user = host.exec(&[], ["id", "-un"]).expect(0).text().trim().to_owned();
    finish(host.client(["exec", &format!("{user}@{}", host.target()), "--", "true"])).expect(0);
    let denied = finish(host.client(["exec", &format!("no-such-user@{}", host.target()), "--", "touch", "ran"]));
    denied.expect(125).complains(&format!("serves the user \"{user}\" only, and the login is for \"no-such-user\""));
    assert!(!host.root().join("ran").exists());
}

#[test]
fn a_home_that_cannot_be_written_to_keeps_nobody_from_a_new_server() {
    let host = Host::start_unknown(&[]);
    // A file where a directory would have to be: as unwritable for root as for anybody.
    fs::write(host.home().join("taken"), "").expect("written");
    for file in ["taken/known_hosts", "/proc/unglue/known_hosts"] {
        let done = host.exec(&["--accept-new", "--known-hosts", file], ["echo", "ran"]).expect(0);
        assert_eq!(done.text(), "ran\n");
        done.complains("trusted this time only").complains("--known-hosts FILE");
    }
    host.exec(&["--known-hosts", "taken/known_hosts"], ["true"]).expect(125);
}

#[test]
fn dev_null_knows_nobody_and_learns_nothing() {
    let host = Host::start();
    host.exec(&["--known-hosts", "/dev/null"], ["true"]).expect(125).complains("is not known");
    let done = host.exec(&["--accept-new", "--known-hosts", "/dev/null"], ["echo", "ran"]).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("ran\n", ""));
}

#[test]
fn a_malformed_revocation_is_warned_about() {
    let host = Host::start();
    let file = host.home().join(".config/unglue/known_hosts");
    let text = fs::read_to_string(&file).expect("a line");
    fs::write(&file, format!("nonsense\n@revoked 127.0.0.1\n{text}")).expect("written");
    let done = host.exec(&[], ["true"]).expect(0);
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    done.complains("known_hosts:2 has no effect");
}

#[test]
fn connecting_takes_no_longer_than_it_may() {
    let host = Host::start();
    // Something that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = silent.local_addr().expect("it has one").to_string();
    for words in
        [&["exec", "--connect-timeout", "300ms", &target, "true"][..], &["repl", "--connect-timeout", "0.3", &target]]
    {
        let done = finish(host.client(words)).expect(125);
        assert!(done.took < std::time::Duration::from_secs(8), "{done:?}");
        done.complains("took longer than 0.3 s; check the address");
    }
    let object =
        finish(host.client(["exec", "--connect-timeout", "300ms", "--json", &target, "true"])).expect(125).json();
    // The limit of the whole, or that of the handshake: whichever passes first.
    assert!(object["outcome"]["unreachable"].is_object(), "{object}");
    host.exec(&["--connect-timeout", "20s"], ["true"]).expect(0);
}

#[test]
fn the_log_tells_the_steps_of_connecting() {
    let host = Host::start();
    let done = finish(host.client(["exec", &host.target(), "true"]).env("UNGLUE_LOG", "debug")).expect(0);
    for step in ["login_key", "connecting", "host_key", "trusted", "proving", "welcome"] {
        assert!(done.stderr.contains(&format!("event=\"{step}\"")), "{step}: {done:?}");
    }
    assert!(done.stderr.contains(&host.fingerprint), "{done:?}");
    finish(host.client(["key", "init", "-f", "other"])).expect(0);
    let done = finish(host.client(["exec", "--identity", "other", &host.target(), "true"]).env("UNGLUE_LOG", "debug"))
        .expect(125);
    assert!(done.stderr.contains("event=\"denied\""), "{done:?}");
}
