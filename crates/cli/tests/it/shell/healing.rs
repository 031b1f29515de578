//! Links that are lost: the screen is the same as without.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::open;
use super::tmux::Tmux;
use crate::host::Host;
use crate::jobs::link::Link;
use crate::run::until;

/// Prints for a second, in colours and with movements, slowly enough to be cut in between.
const PAINT: &str = "stty -echo; clear; for i in $(seq 40); do printf '\\033[%d;%dH\\033[3%dmx%d\\033[0m' $((i/2+1)) $((i*7%70+1)) $((i%8)) $i; sleep 0.02; done; stty echo; echo pain''ted";

#[test]
fn cuts_change_nothing() {
    let host = Host::start();
    let link = Link::to(&host);
    let Some(tmux) = Tmux::to(&host, &link.target(), (80, 24)) else { return };
    open(&tmux, "");
    tmux.line(PAINT);
    tmux.shows("painted");
    let whole = tmux.settled();
    for cuts in [1, 3] {
        tmux.line(PAINT);
        for cut in 0..cuts {
            tmux.shows(&format!("x{}", 5 + cut * 9));
            let connections = link.connections();
            link.cut();
            // Typed without a link.
            tmux.types("#");
            until("another connection", || (link.connections() > connections).then_some(()));
        }
        tmux.shows("painted");
        tmux.becomes("what was typed", |screen| screen.ends_with(&"#".repeat(cuts)));
        tmux.types(&"\x7f".repeat(cuts));
        assert_eq!(tmux.settled(), whole, "after {cuts} cuts");
    }
    tmux.line("exit 3");
    tmux.ends_with("here>");
    assert!(!tmux.screen().contains("unglue:"), "a link that is back at once needs no line");
}

#[test]
fn a_server_that_was_killed_changes_nothing() {
    let mut host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    open(&tmux, "");
    tmux.line(PAINT);
    tmux.shows("painted");
    let whole = tmux.settled();
    tmux.line(PAINT);
    tmux.shows("x9");
    host.crash();
    tmux.shows("unglue: no answer from 127.0.0.1");
    tmux.types("#");
    host.restart();
    tmux.shows("painted");
    tmux.becomes("what was typed", |screen| screen.ends_with('#'));
    tmux.types("\x7f");
    assert_eq!(tmux.settled(), whole);
}

#[test]
fn a_link_that_is_dead_is_told_of_while_somebody_types() {
    let host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    open(&tmux, "");
    tmux.line("clear; printf '\\033[44mtop line\\033[0m\\n\\n'");
    tmux.becomes("a cleared screen", |screen| screen.starts_with("top line"));
    let before = tmux.settled();
    // It is there, and says nothing.
    host.signal(Signal::STOP);
    tmux.types("x");
    let typed = Instant::now();
    tmux.shows("unglue: no answer from");
    let told = typed.elapsed();
    assert!(told < Duration::from_secs(5), "{told:?}, on a machine that has time");
    assert!(tmux.screen().contains("Enter ~. leaves"), "{}", tmux.screen());
    host.signal(Signal::CONT);
    tmux.becomes("no line", |screen| !screen.contains("unglue:"));
    tmux.ends_with("there> x");
    tmux.types("\x7f");
    assert_eq!(tmux.settled(), before);
    // Escape keys need no link.
    host.signal(Signal::STOP);
    tmux.types("\r");
    tmux.shows("unglue: no answer from");
    tmux.types("~.");
    tmux.shows("could not be asked to end the program");
    tmux.ends_with("here>");
    host.signal(Signal::CONT);
}
