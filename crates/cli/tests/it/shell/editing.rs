//! Programs that use a terminal: what they show is what they show without unglue.

use std::fs;

use super::tmux::{Tmux, has};
use super::{BASH, open, shell};
use crate::host::Host;
use crate::run::until;

/// The screens of a shell after each of these steps: keys, and what is to be seen then (with `!`: what is to be gone).
fn screens(host: &Host, remote: bool, steps: &[(&str, &str)]) -> Option<Vec<String>> {
    let tmux = Tmux::start(host)?;
    match remote {
        true => open(&tmux, ""),
        false => {
            tmux.line(&format!("cd root; {BASH}"));
            tmux.ends_with("there>");
        }
    }
    // What was typed to get here differs.
    tmux.line("clear");
    tmux.becomes("an empty screen", |screen| screen == "there>");
    let mut screens = Vec::new();
    for (keys, seen) in steps {
        tmux.types(keys);
        match seen.strip_prefix('!') {
            Some(gone) => tmux.becomes(seen, |screen| !screen.contains(gone)),
            None => tmux.shows(seen),
        }
        screens.push(tmux.settled());
    }
    Some(screens)
}

#[track_caller]
fn same_as_here(steps: &[(&str, &str)]) {
    let host = Host::start();
    let text: String = (1..=200).map(|number| format!("line {number} of a text, \u{e9}\u{4f60}\n")).collect();
    fs::write(host.root().join("text"), text).expect("written");
    let Some(here) = screens(&host, false, steps) else { return };
    fs::remove_file(host.root().join("made")).ok();
    let there = screens(&host, true, steps).expect("tmux is there");
    for ((here, there), (keys, _)) in here.iter().zip(&there).zip(steps) {
        assert!(here == there, "after {keys:?}, here:\n{here}\n\nthere:\n{there}");
    }
}

#[test]
fn bash() {
    same_as_here(&[
        ("echo $((40+2))\r", "\n42"),
        ("printf '\\033[1;31mred\\033[0m \\033[38;2;10;200;30mrgb\\033[0m \u{e9}\u{4f60}\\n'\r", "\nred rgb"),
        ("for i in 1 2 3; do\rmpty\x7f\x7f\x7f\x7fecho turn $i; done\r", "\nturn 3"),
        ("ec\x01\x0b\x19ho back\x05 and\x02\x02\x02\x04forth", "back"),
        ("\x03echo wide enough to be wrapped at the end of the line, which needs eighty characters and more", "more"),
        ("\x15\x0c", "there>"),
    ]);
}

#[test]
fn vim() {
    if has("vim") {
        same_as_here(&[
            ("vim -u NONE -i NONE -N made\r", "~"),
            ("ione\rtwo three\r\x1b[200~pasted\x1b[201~", "pasted"),
            ("\x1b", "!-- INSERT"),
            (":%s/two/2/\r", "2 three"),
            ("gg0ix\x1bG:set number\r", "  1 "),
            (":wq\r", "there>"),
            ("cat made\r", "xone"),
        ]);
    }
}

#[test]
fn less() {
    if has("less") {
        same_as_here(&[
            ("less text\r", "line 1 of"),
            (" ", "line 40 of"),
            ("/line 150\r", "line 150 of"),
            ("q", "there>"),
        ]);
    }
}

#[test]
fn a_screen_that_changes_by_itself() {
    let host = Host::start();
    let Some(tmux) = shell(&host) else { return };
    for program in ["top", "htop"] {
        if has(program) {
            tmux.line(&format!("clear; {program} -d 5"));
            tmux.becomes(program, |screen| {
                screen.contains("PID") && screen.contains("COMMAND") || screen.contains("Command")
            });
            tmux.resize(60, 20);
            until("a narrower list", || {
                let rows = tmux.rows();
                let fits = |row: &str| row.trim_end().chars().count() <= 60;
                (rows.contains("PID") && rows.lines().all(fits) && rows.lines().count() <= 20).then_some(())
            });
            tmux.types("q");
            tmux.ends_with("there>");
            tmux.resize(80, 24);
        }
    }
    assert!(tmux.modes().starts_with("alternate=0 cursor=1 insert=0 keypad=0 arrows=0 mouse=0"), "{}", tmux.modes());
}

#[test]
fn signals_of_the_keyboard_and_the_size_are_the_programs() {
    let host = Host::start();
    let Some(tmux) = shell(&host) else { return };
    // Each key comes when the program has the terminal: before, it would be the shell's.
    tmux.line("(trap 'echo back' CONT; trap 'exit 130' INT; echo runs; while :; do sleep 0.1; done)");
    tmux.shows("\nruns");
    tmux.types("\x1a");
    tmux.shows("Stopped");
    tmux.line("fg");
    tmux.shows("\nback");
    tmux.types("\x03");
    tmux.shows("^C");
    tmux.line("echo \"code $?\"");
    tmux.shows("\ncode 130");
    tmux.resize(70, 20);
    // The size comes on its own way.
    tmux.line("until [ \"$(stty size)\" = '20 70' ]; do sleep 0.1; done; stty size; echo $COLUMNS");
    tmux.shows("\n20 70");
    tmux.line("echo $TERM $LANG; tty | tr 0-9 N");
    tmux.shows("C.UTF-8\n/dev/pts/N");
    assert!(
        tmux.screen().contains("\nscreen") || tmux.screen().contains("\ntmux"),
        "the TERM of tmux: {}",
        tmux.screen()
    );
}

#[test]
fn a_flood_is_interrupted_and_loses_nothing_of_what_follows() {
    let host = Host::start();
    let Some(tmux) = shell(&host) else { return };
    tmux.line("yes 0123456789 | cat; echo through");
    tmux.shows("0123456789\n0123456789");
    tmux.types("\x03");
    tmux.ends_with("there>");
    tmux.line("clear; echo \"next $((1+1))\"");
    tmux.shows("next 2");
    assert!(!tmux.scrollback().contains("\nthrough"));
}
