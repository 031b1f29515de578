//! A daemon beside ssh: one journal, whichever way a request comes.

use std::fs;
use std::process::Command;

use super::super::run::{Finished, finish, until};
use super::site::{Account, Site, possible};

/// Starts a daemon as the account's user, by a plain ssh, and returns its port. It ends with the site.
fn start_daemon(site: &Site, account: &str) -> u16 {
    let program = site.version(account).join("unglue");
    let text = format!(
        "mkdir -p -m 700 .ssh; cp {} .ssh/authorized_keys
         setsid {} serve --listen 127.0.0.1:0 --json >announcement 2>daemon.log </dev/null &",
        site.path("id.pub").display(),
        program.display()
    );
    site.ssh(account, &text).expect(0);
    until("the daemon", || {
        let text = fs::read_to_string(site.home(account).join("announcement")).ok()?;
        let line: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
        line["address"].as_str()?.parse::<std::net::SocketAddr>().ok().map(|address| address.port())
    })
}

/// `unglue VERB … TARGET WORDS`, by TCP.
fn by_tcp(site: &Site, port: u16, verb: &str, words: &[&str]) -> Finished {
    let target = format!("ada@127.0.0.1:{port}");
    let mut command: Command = site.client([verb, "--transport", "tcp", "--accept-new", "--identity"]);
    finish(command.arg(site.path("id")).arg(target).args(words))
}

fn by_ssh(site: &Site, verb: &str, words: &[&str]) -> Finished {
    finish(site.client([verb, "--transport", "ssh", "ada@box"]).args(words))
}

const WAITS: &str = "echo one; until test -e go; do sleep 0.02; done; echo two; exit 5";

#[test]
fn a_command_that_was_started_by_ssh_is_found_by_tcp() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let started =
        finish(&mut site.client(["exec", "--detach", "--transport", "ssh", "ada@box", "-c", WAITS])).expect(0);
    let id = started.text().trim();
    // The daemon takes the state over from the process that the first session has started.
    let port = start_daemon(&site, "ada");
    assert!(by_tcp(&site, port, "jobs", &[]).expect(0).text().contains(id));
    fs::write(site.home("ada").join("go"), "").expect("written");
    by_tcp(&site, port, "wait", &[id]).expect(5);
    assert_eq!(by_tcp(&site, port, "logs", &[id]).expect(0).text(), "one\ntwo\n");
    assert_eq!(by_ssh(&site, "logs", &[id]).expect(0).text(), "one\ntwo\n");
}

#[test]
fn a_command_that_was_started_by_tcp_is_found_by_ssh() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let port = start_daemon(&site, "ada");
    let mut command = site.client(["exec", "--detach", "--transport", "tcp", "--accept-new", "--identity"]);
    let started = finish(command.arg(site.path("id")).args([&format!("ada@127.0.0.1:{port}"), "-c", WAITS])).expect(0);
    let id = started.text().trim();
    assert!(by_ssh(&site, "jobs", &[]).expect(0).text().contains(id));
    by_ssh(&site, "signal", &[id, "KILL"]).expect(0);
    by_ssh(&site, "wait", &[id]).expect(137);
    by_tcp(&site, port, "wait", &[id]).expect(137);
    // The daemon serves the sessions of ssh: no other process has been started.
    let processes = site.processes("ada");
    assert!(!processes.iter().any(|line| line.contains(" __own ")), "{processes:?}");
}
