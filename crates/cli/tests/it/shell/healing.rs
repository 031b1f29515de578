//! Links that are lost: the screen is the same as without.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use unglue_testkit::relay::Towards;

use super::open;
use super::tmux::Tmux;
use crate::host::Host;
use crate::jobs::link::Link;
use crate::run::until;

/// Prints for a second, in colours and with movements, slowly enough to be cut in between.
const PAINT: &str = "stty -echo; clear; for i in $(seq 40); do printf '\\033[%d;%dH\\033[3%dmx%d\\033[0m' $((i/2+1)) $((i*7%70+1)) $((i%8)) $i; sleep 0.02; done; stty echo; echo pain''ted";

/// What was painted before is not on the screen any more.
fn paint_again(tmux: &Tmux) {
    tmux.line("clear");
    tmux.becomes("an empty screen", |screen| screen == "there>");
    tmux.line(PAINT);
}

#[test]
fn cuts_change_nothing() {
    let host = Host::start();
    let link = Link::to(&host);
    let Some(tmux) = Tmux::to(&host, &link.target(), (80, 24)) else { return };
    open(&tmux, "");
    tmux.line(PAINT);
    tmux.becomes("painted, with a prompt", |screen| screen.contains("painted") && screen.ends_with("there>"));
    let whole = tmux.settled();
    for cuts in [1, 3] {
        paint_again(&tmux);
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
        tmux.is_again(&whole);
    }
    tmux.line("exit 3");
    tmux.ends_with("here>");
    assert!(!tmux.screen().contains("unglue:"), "a link that is back at once needs no line");
}

/// The same without pauses: a few kilobytes, on the other screen, too.
const QUICK: &str = "stty -echo; clear; for i in $(seq 60); do printf '\\033[%d;%dH\\033[3%dmx%d\\033[0m' $((i/3+1)) $((i*7%70+1)) $((i%8)) $i; done; printf '\\033[?1049h\\033[2Jother\\033[?1049l\\033[22;1H'; stty echo; echo pain''ted";

/// How many places a cut is tried at in each direction; with `UNGLUE_SOAK=1` many more.
fn places() -> u64 {
    if std::env::var_os("UNGLUE_SOAK").is_some_and(|value| value == "1") { 60 } else { 3 }
}

#[test]
fn a_cut_at_any_byte_leaves_the_same_screen() {
    let host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    // A session whose link is cut when so many bytes more have gone in this direction: its screen, and whether there was a cut.
    let session = |cut: Option<(Towards, u64)>| {
        let link = Link::to(&host);
        let before = [Towards::Server, Towards::Client].map(|towards| link.carried(towards));
        tmux.line(&format!("T={}; clear", link.target()));
        tmux.becomes("an empty screen", |screen| screen == "here>");
        open(&tmux, "");
        let connections = link.connections();
        if let Some((towards, bytes)) = cut {
            link.cut_after(towards, link.carried(towards) - before[towards as usize] + bytes);
        }
        tmux.line(QUICK);
        tmux.shows("painted");
        tmux.ends_with("there>");
        let (screen, was_cut) = (tmux.settled(), link.connections() > connections);
        tmux.line("exit 3");
        let is_prompt = |screen: &str| screen.lines().next_back().is_some_and(|line| line.starts_with("here>"));
        tmux.becomes("the prompt of this machine", is_prompt);
        (screen, was_cut)
    };
    let (whole, _) = session(None);
    // So much the session takes at least; it takes more if it goes in smaller pieces.
    for (towards, least) in [(Towards::Client, 900), (Towards::Server, QUICK.len() as u64)] {
        for number in 0..places() {
            let place = least * number / places();
            let (screen, was_cut) = session(Some((towards, place)));
            assert_eq!(screen, whole, "{towards:?}, cut at {place}");
            assert!(was_cut, "{towards:?}: there was no cut at {place}");
        }
    }
}

#[test]
fn a_server_that_was_killed_changes_nothing() {
    let mut host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    open(&tmux, "");
    tmux.line(PAINT);
    tmux.becomes("painted, with a prompt", |screen| screen.contains("painted") && screen.ends_with("there>"));
    let whole = tmux.settled();
    paint_again(&tmux);
    tmux.shows("x9");
    host.crash();
    tmux.shows("unglue: no answer from 127.0.0.1");
    tmux.types("#");
    host.restart();
    tmux.shows("painted");
    tmux.becomes("what was typed", |screen| screen.ends_with('#'));
    tmux.types("\x7f");
    tmux.is_again(&whole);
}

#[test]
fn a_link_that_is_dead_is_told_of_while_somebody_types() {
    let host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    open(&tmux, "");
    tmux.line("clear; printf '\\033[44mtop line\\033[0m\\n\\n'");
    tmux.becomes("a cleared screen", |screen| screen.starts_with("top line") && screen.ends_with("there>"));
    let before = tmux.settled();
    // It is there, and says nothing.
    host.stop();
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
    tmux.is_again(&before);
    // Escape keys need no link.
    host.stop();
    tmux.types("\r");
    tmux.shows("unglue: no answer from");
    tmux.types("~.");
    tmux.shows("could not be asked to end the program");
    tmux.ends_with("here>");
    host.signal(Signal::CONT);
}
