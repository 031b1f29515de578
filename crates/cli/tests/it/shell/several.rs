//! Several clients of one program.

use super::open;
use super::tmux::Tmux;
use crate::host::Host;

#[test]
fn one_types_and_others_watch() {
    let host = Host::start();
    let (Some(first), Some(second)) = (Tmux::start(&host), Tmux::to(&host, &host.target(), (60, 20))) else {
        return;
    };
    open(&first, "--name work");
    first.line("clear; echo shared scr''een");
    first.shows("shared screen");
    second.line("clear; $U shell $T --attach work");
    second.shows("another client holds");
    second.line("clear; $U shell $T --attach work --read-only");
    second.shows("shared screen");
    second.types("watcher");
    first.line("stty size; echo li''ve");
    first.shows("24 80\nlive");
    second.shows("live");
    assert!(!first.screen().contains("watcher"), "{}", first.screen());
    second.types("\x03");
    second.shows("no longer watching");
    second.line("clear; $U shell $T --attach work --take");
    first.shows("another client has taken the program over; take it back with: unglue shell 127.0.0.1");
    first.ends_with("here>");
    second.ends_with("there>");
    second.line("clear; stty size");
    second.shows("20 60");
    // From a larger terminal again.
    first.line("clear; $U shell $T --attach work --take");
    first.shows("20 60");
    first.line("stty size");
    first.shows("24 80");
    first.line("exit 2");
    first.ends_with("here>");
    second.ends_with("here>");
}

#[test]
fn a_terminal_is_listed_and_attach_says_what_to_type() {
    let host = Host::start();
    let Some(tmux) = Tmux::start(&host) else { return };
    open(&tmux, "--name work");
    tmux.types("\r~d");
    tmux.ends_with("here>");
    tmux.line("clear; $U jobs $T");
    let is_listed = |screen: &str| ["work", "running", "bash --norc"].iter().all(|word| screen.contains(word));
    tmux.becomes("a list", is_listed);
    tmux.line("clear; $U attach $T work");
    tmux.shows("unglue shell 127.0.0.1");
    tmux.shows("--attach work");
    tmux.ends_with("here>");
}
