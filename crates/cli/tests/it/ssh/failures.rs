//! ssh failing at each stage, and sessions that are hard to get.

use std::fs;

use super::super::run::{finish, until};
use super::site::{Account, Site, mode, possible, start_client};

#[test]
fn ssh_that_is_not_there() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let mut command = site.command("ada", "true");
    let done = finish(command.env("UNGLUE_SSH", "/nonexistent/ssh")).expect(125);
    let done = done.complains("ssh to ada@box, starting ssh: /nonexistent/ssh could not be started: No such file");
    assert!(done.stderr.contains("install OpenSSH's client, or name another one in UNGLUE_SSH"), "{}", done.stderr);
    let done = finish(site.command("ada", "true").env("UNGLUE_SSH", "ssh 'open")).expect(125);
    done.complains("UNGLUE_SSH: ssh 'open has a ' that is not closed");
}

#[test]
fn ssh_that_can_not_log_in_says_why_and_what_to_do() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let says = |flags: &[&str], words: &[&str]| {
        let mut command = site.client(["exec", "--transport", "ssh"]);
        let done = finish(command.args(flags).args(["ada@box", "true"])).expect(125);
        let done = done.complains("ssh to ada@box, logging in: ssh ended with status 255");
        for words in words {
            assert!(done.stderr.contains(words), "{words:?} is not in {}", done.stderr);
        }
    };
    says(&["--ssh-option", "PubkeyAuthentication=no"], &["Permission denied", "authorized_keys"]);
    says(&["--ssh-option", "UserKnownHostsFile=/dev/null"], &["Host key verification failed", "run ssh ada@box once"]);
    says(&["--ssh-option", "Port=1"], &["Connection refused", "ssh ada@box true shows the same"]);
    says(&["--ssh-option", "HostName=host.invalid"], &["Could not resolve hostname", "check the host's name"]);
    // The key of another host under the same name.
    let other = fs::read_to_string(site.path("id.pub")).expect("a key");
    fs::write(site.path("known_hosts"), format!("[127.0.0.1]:{} {other}", site.port)).expect("written");
    says(&[], &["another one than in ssh's known_hosts"]);
}

/// A program in the place of ssh that ends itself when it has passed on so many bytes of the other side's answers.
fn cut_after(site: &Site, bytes: u32) -> String {
    let script = site.path(&format!("cut-{bytes}"));
    let text = format!(
        "#!/bin/bash\nexec 3< <(exec ssh \"$@\" <&0)\ndd bs=1 count={bytes} status=none <&3\nkill -9 $!\nexit 255\n"
    );
    fs::write(&script, text).expect("written");
    mode(&script, 0o755);
    format!("{} -F {}", script.display(), site.path("ssh_config").display())
}

#[test]
fn ssh_that_breaks_off_at_each_stage_leaves_nothing() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").fresh()]);
    let marker = "unglue-01234567-89ab-7cde-8f01-23456789abcd ".len() as u32;
    for (bytes, stage) in [
        (0, "logging in"),
        (marker - 2, "logging in"),
        (marker + 5, "looking at the other side"),
        (marker + 5 + marker + 40, "uploading the program"),
    ] {
        let mut command = site.command("ada", "true");
        let done = finish(command.env("UNGLUE_SSH", cut_after(&site, bytes))).expect(125).complains("ssh to ada@box, ");
        assert!(done.stderr.contains(stage), "{bytes}: {}", done.stderr);
        site.quiet("ada");
    }
    site.works("ada", "it works");
}

#[test]
fn the_wrong_program_in_the_place_of_ssh() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    for (program, words, limit) in
        [("true", "status 0 and ran nothing", "30s"), ("false", "status 1 and ran nothing", "30s"), ("yes", "", "2s")]
    {
        let mut command = site.client(["exec", "--transport", "ssh", "--connect-timeout", limit, "ada@box", "true"]);
        let done = finish(command.env("UNGLUE_SSH", program)).expect(125).complains("logging in");
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

#[test]
fn a_jump_host_leads_to_the_other_side() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("gate"), Account::named("ada")]);
    site.configure("Host far\n ProxyJump gate@box\n");
    let done = finish(&mut site.client(["exec", "--transport", "ssh", "ada@far", "-c", "echo $USER"])).expect(0);
    assert_eq!(done.text(), "ada\n");
    assert!(site.log().contains("Accepted publickey for gate"), "{}", site.log());
    site.quiet("gate");
}

fn one_session_is_free(site: &Site) {
    until("the session's end", || site.processes("ada").iter().all(|line| !line.contains("serve")).then_some(()));
}

/// One session for each connection is all that unglue needs, also through a master that has it already.
#[test]
fn a_server_that_allows_one_session() {
    if !possible() {
        return;
    }
    let site = Site::start_with(&[Account::named("ada").fresh()], "MaxSessions 1", "");
    site.works("ada", "it works");
    let control = site.path("control");
    site.configure(&format!("Host box\n ControlMaster auto\n ControlPath {}\n ControlPersist 20\n", control.display()));
    site.works("ada", "by a new master");
    until("the master", || control.exists().then_some(()));
    one_session_is_free(&site);
    site.works("ada", "by the master");
    one_session_is_free(&site);
    // A second session at the same time isn't granted; ssh makes a connection of its own.
    let running = start_client(site.command("ada", "touch started; while [ ! -e stop ]; do sleep 0.1; done"));
    until("the command", || site.home("ada").join("started").exists().then_some(()));
    assert_eq!(site.shell("ada", "echo beside it").expect(0).text(), "beside it\n");
    fs::write(site.home("ada").join("stop"), "").expect("written");
    running.finish().expect(0);
    let mut exit = std::process::Command::new("ssh");
    finish(exit.arg("-F").arg(site.path("ssh_config")).args(["-O", "exit", "ada@box"])).expect(0);
}

#[test]
fn a_clock_in_1970_and_one_in_the_future() {
    if !possible() {
        return;
    }
    let Some(library) = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"]
        .into_iter()
        .find(|path| fs::exists(path).is_ok_and(|is| is))
    else {
        eprintln!("skipped: libfaketime is needed for another clock");
        return;
    };
    let clock = |time: &str| format!("export LD_PRELOAD={library} FAKETIME='{time}' NO_FAKE_STAT=1");
    let site = Site::start(&[
        Account::named("early").fresh().file(".bashrc", clock("1970-01-01 00:10:00")),
        Account::named("late").fresh().file(".bashrc", clock("2037-01-01 00:00:00")),
    ]);
    for (name, year) in [("early", "1970"), ("late", "2037")] {
        assert_eq!(site.ssh(name, "date +%Y").text().trim(), year);
        site.works(name, "the first time");
        site.works(name, "again");
    }
}
