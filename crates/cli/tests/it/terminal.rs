//! What a person at a terminal sees. `script` (util-linux) gives the terminal.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::host::Host;
use super::pty::OnTerminal;
use super::run::{Finished, UNGLUE, clean, finish_with, start, until};

/// A command line on a terminal; `None` where there is no `script`.
fn terminal(host: &Host, line: &str) -> Option<Command> {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal");
        return None;
    }
    let mut command = clean("script");
    command.args(["-qec", line, "/dev/null"]).env("HOME", host.home()).env("U", UNGLUE).env("T", host.target());
    command.env("TERM", "xterm").current_dir(host.home());
    Some(command)
}

/// Runs a command line on a terminal, with `keys` typed ahead: they wait until somebody asks.
fn at_terminal(host: &Host, line: &str, keys: &str) -> Option<Finished> {
    Some(finish_with(&mut terminal(host, line)?, keys.as_bytes()))
}

/// Runs a command line on a terminal, typing each of the keys once the words before them have appeared.
fn converse(host: &Host, line: &str, dialogue: &[(&str, &str)]) -> Option<Finished> {
    let mut running = start(terminal(host, line)?.stdin(Stdio::piped()));
    let mut keyboard = running.keyboard();
    for (words, keys) in dialogue {
        running.shown(words);
        keyboard.write_all(keys.as_bytes()).expect("typed");
    }
    Some(running.finish())
}

#[test]
fn an_unknown_server_is_asked_about_once() {
    let host = Host::start_unknown(&[]);
    let Some(done) = at_terminal(&host, "$U exec $T -- echo ran", "yes\n") else { return };
    let shown = done.text();
    assert!(shown.contains(&format!("256 {} (ED25519)", host.fingerprint)) && shown.contains("ran"), "{shown}");
    assert_eq!(done.code, 0, "{shown}");
    let again = at_terminal(&host, "$U exec $T -- echo ran", "").expect("there was a terminal");
    assert!(!again.text().contains("yes/no"), "{again:?}");
}

#[test]
fn a_pasted_fingerprint_is_a_yes_and_a_typo_is_asked_again() {
    let host = Host::start_unknown(&[]);
    let other = "SHA256:ImKhPYGmEiSoBBCTuqr/sg6rO0pDFVD1bKhtsbBmFhs";
    let keys = format!("yse\n{other}\n{}\n", host.fingerprint);
    let Some(done) = at_terminal(&host, "$U exec $T -- echo ran", &keys) else { return };
    let shown = done.text();
    assert_eq!(shown.matches("Please type yes, no or the fingerprint").count(), 2, "{shown}");
    assert!(shown.contains("not the fingerprint of this server's key") && shown.contains("ran"), "{shown}");
    assert_eq!(done.code, 0, "{shown}");
}

#[test]
fn a_no_is_a_no() {
    let host = Host::start_unknown(&[]);
    let Some(done) = at_terminal(&host, "$U exec $T -- touch ran", "no\n") else { return };
    assert_eq!(done.code, 125, "{done:?}");
    assert!(!host.root().join("ran").exists() && !host.home().join(".config/unglue/known_hosts").exists());
}

#[test]
fn a_transfer_shows_its_progress() {
    let host = Host::start();
    fs::write(host.home().join("large"), vec![7; 30_000_000]).expect("written");
    let Some(done) = at_terminal(&host, "$U cp -P ${T#*:} large 127.0.0.1:", "") else { return };
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.text().contains("large") && done.text().contains("MiB"), "{done:?}");
}

#[test]
fn the_prompt_is_for_people_and_the_history_is_theirs_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let host = Host::start();
    // What is typed is echoed, so what is waited for is what only a reply can say.
    let dialogue = [(">>: ", "echo o''ne\r"), ("one\r\n", "history\r"), ("2  history", "quit\r")];
    let Some(done) = converse(&host, "exec $U repl $T", &dialogue) else { return };
    assert_eq!(done.code, 0, "{done:?}");
    let history = host.home().join(".local/state/unglue/history");
    assert_eq!(fs::read_to_string(&history).expect("a history"), "echo o''ne\nhistory\nquit\n");
    assert_eq!(fs::metadata(&history).expect("a history").mode() & 0o777, 0o600);
}

#[test]
fn an_interrupt_at_the_prompt_ends_the_command_alone() {
    let host = Host::start();
    let dialogue = [
        // A shell may miss a signal that comes just as it forks; this one looks again soon.
        (">>: ", "trap 'exit 5' INT; echo rea''dy; while :; do sleep 0.1; done\r"),
        ("ready\r\n", "\x03"),
        ("exit status 5", "echo sti''ll\r"),
        ("still\r\n", "quit\r"),
    ];
    let Some(done) = converse(&host, "exec $U repl $T", &dialogue) else { return };
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn an_encrypted_key_asks_for_its_passphrase() {
    let host = Host::start();
    let dialogue = [("New passphrase", "open sesame\r"), ("The same again", "open sesame\r")];
    let Some(made) = converse(&host, "$U key init -f locked --passphrase", &dialogue) else { return };
    assert_eq!(made.code, 0, "{made:?}");
    assert!(!made.text().contains("open sesame"), "what is typed is not shown: {made:?}");
    let line = fs::read(host.home().join("locked.pub")).expect("a public key");
    fs::write(host.home().join("authorized_keys"), line).expect("written");
    let asked = converse(&host, "$U exec --identity locked $T -- echo opened", &[("Passphrase for", "open sesame\r")]);
    let asked = asked.expect("there was a terminal");
    assert_eq!(asked.code, 0, "{asked:?}");
    assert!(asked.text().contains("opened"), "{asked:?}");
    let nobody = host.exec(&["--identity", "locked"], ["touch", "ran"]);
    assert!(!host.root().join("ran").exists(), "{nobody:?}");
}

#[test]
fn two_passphrases_that_differ_make_no_key() {
    let host = Host::start();
    let dialogue = [("New passphrase", "one\r"), ("The same again", "other\r")];
    let Some(made) = converse(&host, "$U key init -f locked --passphrase", &dialogue) else { return };
    assert_eq!(made.code, 125, "{made:?}");
    assert!(!host.home().join("locked").exists());
}

/// The repl on a terminal, at its first prompt.
fn prompted(host: &Host) -> OnTerminal {
    let repl = OnTerminal::start(UNGLUE, host.client(["repl", &host.target()]));
    repl.shows(">>: ", 0);
    repl
}

#[test]
fn the_prompt_names_the_server_and_the_directory() {
    let host = Host::start();
    fs::create_dir(host.root().join("src")).expect("made");
    let mut repl = prompted(&host);
    repl.shows(&format!("{}:~/root >>: ", host.target()), 0);
    repl.types("cd src\r");
    repl.shows(&format!("{}:~/root/src >>: ", host.target()), 0);
    repl.types("cd / && echo a''t\r");
    repl.shows("at\r\n", 0);
    repl.shows(&format!("{}:/ >>: ", host.target()), 0);
    repl.types("\x04");
    let (code, screen, restored) = repl.ended();
    assert!(code == 0 && restored, "{code}: {screen}");
}

#[test]
fn the_end_of_the_server_leaves_the_terminal_as_it_was() {
    let host = Host::start();
    let mut repl = prompted(&host);
    repl.types("half a li");
    repl.shows("half a li", 0);
    assert!(!repl.echoes(), "the prompt edits its line itself");
    host.signal(Signal::KILL);
    let (code, screen, restored) = repl.ended();
    assert!(code == 125 && restored, "{code}: {screen}");
    assert!(screen.contains("\nunglue: "), "the complaint has a line of its own: {screen:?}");
}

#[test]
fn sigterm_at_the_prompt_leaves_the_terminal_as_it_was() {
    let host = Host::start();
    let repl = prompted(&host);
    repl.signal(Signal::TERM);
    let (code, screen, restored) = repl.ended();
    assert!(code == 143 && restored, "{code}: {screen}");
}

#[test]
fn a_stopped_prompt_goes_on_where_it_was() {
    let host = Host::start();
    // A shell with job control, which puts its own modes of the terminal back when the job stops.
    let mut shell = clean("bash");
    shell.args(["--norc", "--noprofile", "-i"]).envs([("HOME", host.home()), ("U", UNGLUE.into())]);
    shell.env("T", host.target()).env("PS1", "sh: ").current_dir(host.home());
    let mut shell = OnTerminal::start("bash", &shell);
    shell.shows("sh: ", 0);
    shell.types("$U repl $T\r");
    shell.shows(">>: ", 0);
    for _ in 0..3 {
        shell.types("echo on");
        shell.shows("echo on", 0);
        let seen = shell.screen().len();
        shell.types("\x1a");
        shell.shows("Stopped", seen);
        shell.shows("sh: ", seen);
        let seen = shell.screen().len();
        shell.types("fg\r");
        // The line is shown again, and what is typed now is shown once.
        shell.shows(">>: echo on", seen);
        assert!(until("the prompt", || (!shell.echoes()).then_some(true)));
        let seen = shell.screen().len();
        shell.types("c''e\r");
        shell.shows("once\r\n", seen);
        shell.shows(">>: ", seen);
        let screen = shell.screen();
        assert!(!screen[seen..].contains("c'c'"), "each key is shown once: {:?}", &screen[seen..]);
    }
    shell.types("quit\r");
    let seen = shell.screen().len();
    shell.shows("sh: ", seen.saturating_sub(6));
    shell.types("exit\r");
    let (code, screen, _) = shell.ended();
    assert_eq!(code, 0, "{screen}");
}
