//! A person at the terminal: what ssh asks, and Ctrl-C at each stage.

use std::net::TcpListener;

use rustix::process::Signal;

use super::super::pty::OnTerminal;
use super::super::run::{UNGLUE, until};
use super::site::{Account, Site, mode, possible, socket_with_a_full_queue, start_client};

#[test]
fn a_password_is_asked_on_the_terminal() {
    if !possible() {
        return;
    }
    let site = Site::start_with(&[Account::named("ada").password("correct horse")], "PasswordAuthentication yes", "");
    let words =
        ["exec", "--transport", "ssh", "--ssh-option", "PubkeyAuthentication=no", "ada@box", "-c", "echo logged in"];
    let mut terminal = OnTerminal::start(UNGLUE, &site.client(words));
    terminal.shows("ada@127.0.0.1's password:", 0);
    terminal.types("wrong\n");
    terminal.shows("Permission denied, please try again.", 0);
    let asked = terminal.screen().len();
    until("the second question", || (terminal.screen().matches("password:").count() == 2).then_some(()));
    terminal.types("correct horse\n");
    terminal.shows("logged in", asked);
    let (code, screen, restored) = terminal.ended();
    assert!(code == 0 && restored, "{code} {screen}");
    assert!(!screen.contains("correct horse"), "{screen}");
}

#[test]
fn an_unknown_host_key_is_asked_about_by_ssh() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let hosts = site.path("new_hosts");
    let flags = [format!("UserKnownHostsFile={}", hosts.display()), "StrictHostKeyChecking=ask".into()];
    let mut command = site.client(["exec", "--transport", "ssh"]);
    for flag in &flags {
        command.args(["--ssh-option", flag]);
    }
    command.args(["ada@box", "-c", "echo logged in"]);
    let mut terminal = OnTerminal::start(UNGLUE, &command);
    terminal.shows("Are you sure you want to continue connecting", 0);
    terminal.types("yes\n");
    terminal.shows("logged in", 0);
    assert_eq!(terminal.ended().0, 0);
    assert!(hosts.is_file());
}

/// Presses Ctrl-C when the screen or the other side shows that a stage is reached; nothing may be left, here or there.
fn interrupted(site: &Site, words: &[&str], reached: impl Fn(&OnTerminal)) -> String {
    let mut terminal = OnTerminal::start(UNGLUE, &site.client(words));
    reached(&terminal);
    terminal.types("\u{3}");
    let (code, screen, restored) = terminal.ended();
    assert!(code == 130 && restored, "{code} {restored} {screen}");
    screen
}

#[test]
fn ctrl_c_at_the_password_prompt_leaves_nothing_and_the_terminal_in_order() {
    if !possible() {
        return;
    }
    let site = Site::start_with(&[Account::named("ada").password("secret")], "PasswordAuthentication yes", "");
    let words = ["exec", "--transport", "ssh", "--ssh-option", "PubkeyAuthentication=no", "ada@box", "true"];
    interrupted(&site, &words, |terminal| terminal.shows("password:", 0));
    site.quiet("ada");
}

#[test]
fn ctrl_c_while_the_login_script_waits_leaves_nothing() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada").file(".bashrc", "touch waiting; read -r answer")]);
    let waiting = site.home("ada").join("waiting");
    let words = ["exec", "--transport", "ssh", "ada@box", "true"];
    interrupted(&site, &words, |_| until("the script", || waiting.exists().then_some(())));
    site.quiet("ada");
}

#[test]
fn ctrl_c_during_the_upload_leaves_nothing() {
    if !possible() {
        return;
    }
    let slow = "#!/bin/sh\ntouch \"$HOME/begun\"; head -c 1000; sleep 2; cat";
    let account = Account::named("ada").fresh().file(".bashrc", "PATH=$HOME/bin:$PATH").file("bin/gzip", slow);
    let site = Site::start(&[account]);
    mode(&site.home("ada").join("bin/gzip"), 0o755);
    let begun = site.home("ada").join("begun");
    let words = ["exec", "--transport", "ssh", "ada@box", "true"];
    interrupted(&site, &words, |_| until("the upload", || begun.exists().then_some(())));
    site.quiet("ada");
    let left = std::fs::read_dir(site.cache("ada")).into_iter().flatten().count();
    assert_eq!(left, 0);
}

/// A port that doesn't answer, and one whose owner takes the connection and says nothing.
#[test]
fn ctrl_c_while_ssh_connects_leaves_nothing() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let (full, _held) = socket_with_a_full_queue();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address").port();
    for port in [full, silent] {
        let option = format!("Port={port}");
        let words = ["exec", "--transport", "ssh", "--ssh-option", &option, "ada@box", "true"];
        interrupted(&site, &words, |_| until("ssh", || (!site.processes("ada").is_empty()).then_some(())));
        site.quiet("ada");
    }
}

/// The program is there and does not get to its first word.
#[test]
fn ctrl_c_while_the_program_starts_leaves_nothing() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let program = site.version("ada").join("unglue");
    std::fs::remove_file(&program).expect("it was there");
    std::fs::write(&program, "#!/bin/sh\ntouch ~/begun; exec cat >/dev/null\n").expect("written");
    mode(&program, 0o755);
    let begun = site.home("ada").join("begun");
    let words = ["exec", "--transport", "ssh", "ada@box", "true"];
    interrupted(&site, &words, |_| until("the program", || begun.exists().then_some(())));
    site.quiet("ada");
}

/// A client that ends otherwise takes its ssh with it, too.
#[test]
fn a_client_that_is_killed_while_ssh_connects_leaves_nothing() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let option = format!("Port={}", silent.local_addr().expect("an address").port());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let client =
            start_client(site.client(["exec", "--transport", "ssh", "--ssh-option", &option, "ada@box", "true"]));
        until("ssh", || (!site.processes("ada").is_empty()).then_some(()));
        client.signal(signal);
        assert_eq!(client.finish().code, 128 + signal.as_raw());
        site.quiet("ada");
    }
}

#[test]
fn an_unknown_host_key_that_is_not_accepted_ends_it() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let hosts = format!("UserKnownHostsFile={}", site.path("new_hosts").display());
    let mut command = site.client(["exec", "--transport", "ssh", "--ssh-option", &hosts]);
    command.args(["--ssh-option", "StrictHostKeyChecking=ask", "ada@box", "true"]);
    let mut terminal = OnTerminal::start(UNGLUE, &command);
    terminal.shows("Are you sure you want to continue connecting", 0);
    terminal.types("no\n");
    let (code, screen, restored) = terminal.ended();
    assert!(code == 125 && restored && screen.contains("Host key verification failed"), "{code} {screen}");
    assert!(!site.path("new_hosts").exists());
    site.quiet("ada");
}

/// Once the command runs, Ctrl-C is the command's.
#[test]
fn ctrl_c_goes_to_the_command_and_not_to_ssh() {
    if !possible() {
        return;
    }
    let site = Site::start(&[Account::named("ada")]);
    let text = "trap 'echo caught; exit 9' INT; echo runs; while :; do sleep 0.1; done";
    let mut terminal = OnTerminal::start(UNGLUE, &site.command("ada", text));
    terminal.shows("runs", 0);
    terminal.types("\u{3}");
    let (code, screen, _) = terminal.ended();
    assert!(code == 9 && screen.contains("caught"), "{code} {screen}");
    until("the end of ssh", || site.processes("ada").iter().all(|line| !line.starts_with("ssh ")).then_some(()));
}
