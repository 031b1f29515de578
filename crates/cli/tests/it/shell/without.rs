//! Command lines that are about terminals, where there may be none.

use std::fs;

use super::super::pty::OnTerminal;
use crate::host::Host;
use crate::run::{UNGLUE, finish};

#[test]
fn a_command_gets_a_terminal_only_where_it_is_asked_for() {
    let host = Host::start();
    let target = host.target();
    let done = finish(host.client(["exec", &target, "tty"])).expect(1);
    assert_eq!(done.text(), "not a tty\n");
    let done = finish(host.client(["exec", "-t", &target, "tty"])).expect(1);
    assert!(done.text() == "not a tty\n" && done.stderr.contains("-tt gives it one"), "{done:?}");
    let done = finish(host.client(["exec", "-tt", &target, "tty"])).expect(0);
    assert!(done.text().starts_with("/dev/pts/") && done.text().ends_with("\r\n"), "{done:?}");
    let terminal = OnTerminal::start(UNGLUE, host.client(["exec", "-t", &target, "sh", "-c", "stty size; exit 7"]));
    let (code, screen, restored) = terminal.ended();
    assert!(code == 7 && restored && screen.contains("24 100\r\n"), "{code} {screen:?}");
}

#[test]
fn programs_that_can_not_be_run_say_so() {
    let host = Host::start();
    finish(host.client(["shell", &host.target(), "no-such-program"])).expect(127).complains("no-such-program");
    finish(host.client(["exec", "-tt", &host.target(), "/etc/passwd"])).expect(126).complains("/etc/passwd");
    finish(host.client(["shell", "--attach", "nothing", &host.target()])).expect(125).complains("nothing");
    finish(host.client(["exec", "-t", "--json", &host.target(), "ls"])).expect(125).complains("--json");
}

#[test]
fn a_single_word_is_a_server_for_a_person_only() {
    let host = Host::start();
    // A program that calls a command wrongly must connect nowhere.
    finish(host.client([&host.target()])).expect(125).complains("unglue shell 127.0.0.1");
    let mut terminal = OnTerminal::start(UNGLUE, host.client([&host.target()]));
    terminal.types("echo a $((20+22)) b; exit 4\r");
    terminal.shows("a 42 b", 0);
    let (code, _, restored) = terminal.ended();
    assert!(code == 4 && restored);
    let terminal = OnTerminal::start(UNGLUE, host.client(["exce"]));
    let (code, screen, _) = terminal.ended();
    assert!(code == 125 && screen.contains("there is no command exce; did you mean exec?"), "{screen}");
}

#[test]
fn a_login_shell_is_one() {
    let host = Host::start();
    let mut terminal = OnTerminal::start(UNGLUE, host.client(["shell", &host.target()]));
    terminal.types("case $0 in -*) echo it is a log''in shell;; esac; exit\r");
    terminal.shows("it is a login shell", 0);
    assert_eq!(terminal.ended().0, 0);
}

#[test]
fn variables_are_sent() {
    let host = Host::start();
    fs::write(host.home().join("config"), "Host *\n SendEnv CONFIG_*\n").expect("written");
    let command = |words: &[&str]| {
        let command = host.client(words).env("CONFIG_A", "1").env("SENT_B", "2").env("OTHER", "3").env("LC_TIME", "C");
        command.env("COLORTERM", "truecolor").env("TERM", "vt220");
        command
    };
    let target = host.target();
    let script = "echo $CONFIG_A-$SENT_B-$OTHER-$LC_TIME-$COLORTERM-$TERM";
    let words = ["shell", "-F", "config", "--send-env", "SENT_*", &target, "sh", "-c", script];
    assert_eq!(finish(command(&words)).expect(0).text(), "1-2--C-truecolor-vt220\r\n");
    let words = ["exec", "-F", "config", "--send-env", "SENT_*", &target, "sh", "-c", script];
    assert_eq!(finish(command(&words)).expect(0).text(), "1-2----\n");
    fs::write(host.home().join("jobs"), format!("{{\"argv\": [\"sh\", \"-c\", \"{script}\"]}}\n")).expect("written");
    let done = finish(command(&["run", "-F", "config", "--file", "jobs", &target])).expect(0);
    assert_eq!(done.json()["stdout"]["data"]["text"], "1-----\n");
}
