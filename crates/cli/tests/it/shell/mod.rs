//! A terminal on another machine, as a person in front of one sees it.

mod bytes;
mod editing;
mod ending;
mod healing;
mod several;
mod tmux;
mod without;

use crate::host::Host;
use tmux::Tmux;

/// A shell with the prompt `there> `, which reads nobody's files.
const BASH: &str = "env PS1='there> ' HISTFILE=/dev/null bash --norc --noprofile";

/// A window with a shell on the server; `None` where there is no tmux.
fn shell(host: &Host) -> Option<Tmux> {
    let tmux = Tmux::start(host)?;
    open(&tmux, "");
    Some(tmux)
}

/// Opens a shell on the server.
fn open(tmux: &Tmux, flags: &str) {
    tmux.line(&format!("$U shell {flags} $T {BASH}"));
    tmux.ends_with("there>");
}
