//! Login shells, and what stands in their place.

use std::fs;

use super::super::run::{Finished, finish};
use super::site::{Account, Site, mode, possible};

#[test]
fn commands_run_under_every_login_shell() {
    if !possible() {
        return;
    }
    let shells = [
        ("bash", "/bin/bash"),
        ("dash", "/bin/dash"),
        ("tcsh", "/usr/bin/tcsh"),
        ("fish", "/usr/bin/fish"),
        ("rbash", "/bin/rbash"),
    ];
    let (there, missing): (Vec<_>, Vec<_>) =
        shells.into_iter().partition(|(_, path)| std::path::Path::new(path).exists());
    let accounts: Vec<Account> = there.iter().map(|(name, path)| Account::with_shell(name, path)).collect();
    let site = Site::start(&accounts);
    for (name, _) in there {
        site.works(name, "it works");
    }
    assert!(missing.is_empty(), "not installed: {missing:?}; scripts/test installs them");
}

/// The same, where the program has to be uploaded first.
#[test]
fn the_program_arrives_under_every_login_shell() {
    if !possible() {
        return;
    }
    let shells = [("tcsh", "/usr/bin/tcsh"), ("fish", "/usr/bin/fish"), ("rbash", "/bin/rbash")];
    let accounts: Vec<Account> = shells.iter().map(|(name, path)| Account::with_shell(name, path).fresh()).collect();
    let site = Site::start(&accounts);
    for (name, _) in shells {
        site.works(name, "it works");
        assert!(site.version(name).join("unglue").is_file(), "{name}");
    }
}

#[track_caller]
fn fails(done: Finished, stage: &str, words: &[&str]) {
    let done = done.expect(125).complains(stage);
    for words in words {
        assert!(done.stderr.contains(words), "{words:?} is not in {}", done.stderr);
    }
}

#[test]
fn shells_that_run_nothing_are_named() {
    if !possible() {
        return;
    }
    let accounts = [Account::with_shell("nologin", "/usr/sbin/nologin"), Account::with_shell("idle", "/bin/true")];
    let site = Site::start(&accounts);
    fails(site.shell("nologin", "true"), "ssh to nologin@box, logging in:", &["status 1", "not available", "nologin?"]);
    fails(site.shell("idle", "true"), "ssh to idle@box, logging in:", &["status 0 and ran nothing", "ForceCommand"]);
}

#[test]
fn what_a_login_script_prints_does_no_harm() {
    if !possible() {
        return;
    }
    let megabytes = "head -c 5000000 /dev/zero | tr '\\0' x; echo; yes line | head -n 100000";
    let accounts = [
        Account::named("talker").file(".bashrc", "echo Welcome; printf 'no newline: '"),
        Account::named("flood").file(".bashrc", megabytes),
        Account::named("echoing").file(".bashrc", "set -x; printf '%s\\n' \"$BASH_EXECUTION_STRING\""),
        Account::named("bare").file(".bashrc", "unset PATH"),
    ];
    let site = Site::start(&accounts);
    for name in ["talker", "flood", "echoing", "bare"] {
        let done = site.shell(name, "echo it works").expect(0);
        assert_eq!(done.text(), "it works\n", "{name}");
    }
}

/// The program is also uploaded where there is no `PATH`.
#[test]
fn the_program_arrives_without_a_path() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("bare").file(".bashrc", "unset PATH").fresh()]);
    site.works("bare", "it works");
}

#[test]
fn a_login_script_that_asks_a_question_is_named() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("asker").file(".bashrc", "echo 'Continue?'; read -r answer")]);
    let mut command = site.client(["exec", "--transport", "ssh", "--connect-timeout", "10s", "asker@box", "true"]);
    fails(finish(&mut command), "ssh to asker@box, logging in:", &["printed \"Continue?\"", "[ -t 0 ]"]);
    site.quiet("asker");
}

#[test]
fn a_forced_command_is_named_and_one_that_obeys_works() {
    if !possible() {
        return;
    }
    let config = "Match User obeys\n ForceCommand sh -c \"$SSH_ORIGINAL_COMMAND\"\nMatch User forced\n ForceCommand echo maintenance today\nMatch all";
    let site = Site::start_with(&[Account::named("obeys"), Account::named("forced")], config, "");
    site.works("obeys", "it works");
    fails(site.shell("forced", "true"), "logging in:", &["maintenance today", "ForceCommand"]);
}

/// A job of the login script holds ssh's pipes open: neither a command nor a failure waits for it.
#[test]
fn a_background_job_of_the_login_script_holds_nothing_up() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("holder").file(".bashrc", "sleep 40 &")]);
    let done = site.shell("holder", "echo it works").expect(0);
    assert_eq!(done.text(), "it works\n");
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
    // The command itself leaves one behind, too.
    let done = site.shell("holder", "setsid sleep 40 & echo left").expect(0);
    assert_eq!(done.text(), "left\n");
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
}

#[test]
fn a_shell_that_fails_is_told_with_its_words() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("broken").file(".shell", "#!/bin/sh\necho 'disk on fire' >&2\nexit 9\n")]);
    mode(&site.home("broken").join(".shell"), 0o755);
    let passwd = fs::read_to_string(site.path("passwd")).expect("it is there");
    let shell = site.home("broken").join(".shell");
    let line = format!("{}:/bin/bash", site.home("broken").display());
    fs::write(site.path("passwd"), passwd.replace(&line, &line.replace("/bin/bash", &shell.display().to_string())))
        .expect("written");
    fails(site.shell("broken", "true"), "logging in:", &["status 9", "disk on fire"]);
}
