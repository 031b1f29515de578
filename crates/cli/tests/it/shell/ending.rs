//! However it ends, the terminal is as it was.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::tmux::Tmux;
use super::{BASH, open};
use crate::host::{Host, lives};
use crate::panics::library;
use crate::run::{finish, until};

/// A window with a shell that writes down the terminal's modes before and after each session.
struct Window {
    tmux: Tmux,
    host: Host,
    /// What the terminal's driver and tmux know before anything ran.
    before: (String, String),
}

impl Window {
    fn open() -> Option<Window> {
        let host = Host::start();
        let tmux = Tmux::start(&host)?;
        tmux.line("PROMPT_COMMAND='code=$?; stty -g > modes.new; mv modes.new modes; echo $code > code'");
        tmux.line("clear");
        tmux.becomes("an empty screen", |screen| screen == "here>");
        let modes = until("the modes are written", || fs::read_to_string(host.home().join("modes")).ok());
        let before = (modes, tmux.modes());
        Some(Window { tmux, host, before })
    }

    /// Opens a shell that leaves on whatever a program can leave on, if it is killed.
    fn spoil(&self, flags: &str) {
        open(&self.tmux, flags);
        let modes = "\\033[?1049h\\033[?1000;1002;1006h\\033[?2004h\\033[?25l\\033[?1h\\033=\\033[4h\\033[2;5r\\033[?6h\\033[?7l";
        self.tmux.line(&format!("printf '{modes}\\033[1;44m'; stty -isig; echo spoi''lt"));
        self.tmux.shows("spoilt");
        assert_ne!(self.tmux.modes(), self.before.1);
    }

    /// Checks that this machine's shell has the terminal again, as it was, and that the session exited so.
    #[track_caller]
    fn is_restored(&self, code: i32) {
        self.tmux.becomes("the prompt of this machine", |screen| {
            let last = screen.lines().next_back().unwrap_or_default();
            (last.starts_with("here>") || last.ends_with("here>")) && !last.ends_with("there>")
        });
        let read = |name: &str| fs::read_to_string(self.host.home().join(name)).unwrap_or_default();
        until("the exit code", || (read("code").trim() == code.to_string()).then_some(()));
        let modes = self.tmux.modes();
        assert_eq!(modes, self.before.1, "{}", self.tmux.screen());
        assert_eq!(read("modes"), self.before.0);
    }

    /// The client's process.
    fn client(&self) -> Pid {
        let tty = self.tmux.says("#{pane_tty}").trim_start_matches("/dev/").to_owned();
        let listed = finish(std::process::Command::new("ps").args(["-t", &tty, "-o", "pid=,comm="]));
        let line = listed.text().lines().find(|line| line.ends_with(" unglue")).expect("it runs").trim().to_owned();
        Pid::from_raw(line.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a number")).expect("a process")
    }

    /// The state of the latest command, and how it ended.
    fn job(&self) -> serde_json::Value {
        let listed = finish(self.host.client(["jobs", "--json", &self.host.target()])).expect(0);
        serde_json::from_str(listed.text().lines().next_back().expect("a command")).expect("JSON")
    }

    #[track_caller]
    fn job_becomes(&self, state: &str) {
        until(state, || (self.job()["state"] == state).then_some(()));
    }
}

#[test]
fn by_itself() {
    let Some(window) = Window::open() else { return };
    open(&window.tmux, "");
    window.tmux.line("exit 3");
    window.is_restored(3);
    assert!(!window.tmux.screen().contains("unglue:"), "there is nothing to say");
    // What a killed program has left on goes with the shell.
    window.spoil("");
    window.tmux.line("exit 4");
    window.is_restored(4);
    window.tmux.line(&format!("$U exec -t $T {BASH} -c 'kill -9 $$'"));
    window.is_restored(137);
}

/// A library whose clock fails once when the file `now` is there: Rust's standard library panics then.
const STOPPED_CLOCK: &str = "#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int stopped;
    if (!stopped && clock == CLOCK_MONOTONIC && !access(\"now\", F_OK)) return stopped = 1, -1;
    return syscall(SYS_clock_gettime, clock, time);
}";

#[test]
fn by_a_bug() {
    let Some(window) = Window::open() else { return };
    let Some(library) = library(&window.host, "clock", STOPPED_CLOCK) else { return };
    window.tmux.line(&format!("U=\"env LD_PRELOAD={} $U\"; clear", library.display()));
    window.spoil("--name work");
    fs::write(window.host.home().join("now"), "").expect("written");
    // It looks at its clock for a key, if not before.
    window.tmux.types("\r");
    window.is_restored(125);
    window.tmux.shows("a bug in unglue, at ");
    // The program has done nothing wrong.
    fs::remove_file(window.host.home().join("now")).expect("removed");
    window.job_becomes("running");
    window.tmux.line("clear; $U shell $T --attach work");
    window.tmux.types("\x15printf '\\033c'; stty isig\r");
    window.tmux.line("echo he''re; exit 3");
    window.is_restored(3);
}

#[test]
fn by_leaving() {
    let Some(window) = Window::open() else { return };
    window.spoil("");
    window.tmux.types("\r~.");
    window.is_restored(0);
    window.tmux.shows("left; the program was ended");
    window.job_becomes("ended");
    window.tmux.line("clear");
    window.spoil("--name work");
    window.tmux.types("\r~.");
    window.is_restored(0);
    window.tmux.shows("--attach work");
    assert_eq!((&window.job()["state"], &window.job()["terminal"]), (&"running".into(), &true.into()));
    let listed = finish(window.host.client(["jobs", &window.host.target()])).expect(0);
    let lines: Vec<&str> = listed.text().lines().collect();
    assert!(lines[1].contains(" ended, terminal "), "{lines:?}");
    assert!(lines[2].contains(" running, terminal "), "{lines:?}");
}

#[test]
fn by_detaching_and_back() {
    let Some(window) = Window::open() else { return };
    open(&window.tmux, "--name work");
    window.tmux.line("echo be''fore; cd /tmp");
    window.tmux.types("~?");
    window.tmux.shows("suspend this client");
    window.tmux.types("\r~d");
    window.is_restored(0);
    window.tmux.shows("detached; the program runs on for 24h; come back to it with: unglue shell 127.0.0.1:");
    window.tmux.line("clear");
    window.tmux.line("$U shell $T --attach work");
    window.tmux.shows("before");
    window.tmux.line("pwd; exit 6");
    window.tmux.shows("\n/tmp");
    window.is_restored(6);
    // It has ended since.
    window.tmux.line("clear");
    window.tmux.line("$U shell $T --attach work");
    window.is_restored(6);
}

#[test]
fn while_nobody_is_there() {
    let Some(window) = Window::open() else { return };
    open(&window.tmux, "");
    window.tmux.line("(sleep 0.5; kill -9 $$) & echo in the back''ground");
    window.tmux.shows("in the background");
    window.tmux.types("\r~d");
    window.is_restored(0);
    window.job_becomes("ended");
    let id = window.job()["id"].as_str().expect("an id").to_owned();
    window.tmux.line(&format!("clear; $U shell $T --attach {id}"));
    window.is_restored(137);
}

#[test]
fn by_signals() {
    let Some(window) = Window::open() else { return };
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        window.spoil("");
        kill_process(window.client(), signal).expect("it lives");
        window.is_restored(code);
        window.tmux.shows("the program runs on for 24h");
        assert_eq!(window.job()["state"], "running", "a lost client ends nothing");
        window.tmux.line("clear");
    }
    // The window is closed: what has no name ends.
    window.spoil("");
    kill_process(window.client(), Signal::HUP).expect("it lives");
    window.is_restored(129);
    window.job_becomes("ended");
    window.tmux.line("clear");
    window.spoil("--name work");
    kill_process(window.client(), Signal::HUP).expect("it lives");
    window.is_restored(129);
    assert_eq!(window.job()["state"], "running");
}

#[test]
fn with_the_window() {
    let Some(window) = Window::open() else { return };
    open(&window.tmux, "");
    let client = window.client();
    let Window { tmux, host, before } = window;
    drop(tmux);
    until("the client's end", || (!lives(client.as_raw_nonzero().get())).then_some(()));
    let window = Window { tmux: Tmux::start(&host).expect("tmux is there"), host, before };
    window.job_becomes("ended");
}

#[test]
fn for_a_while() {
    let Some(window) = Window::open() else { return };
    window.spoil("");
    window.tmux.types("\r~\x1a");
    // 128 and SIGTSTP.
    window.is_restored(148);
    window.tmux.shows("suspended; fg continues it");
    window.tmux.line("clear; fg");
    window.tmux.becomes("the modes of before", |_| window.tmux.modes() != window.before.1);
    window.tmux.line("echo it goes o''n; exit 5");
    window.is_restored(5);
    // Without the client's doing.
    open(&window.tmux, "");
    kill_process(window.client(), Signal::STOP).expect("it lives");
    window.tmux.shows("Stopped");
    window.tmux.line("clear; fg");
    window.tmux.line("echo it goes o''n; exit 5");
    window.tmux.shows("it goes on");
    window.is_restored(5);
}

#[test]
fn a_hostile_server_leaves_nothing_behind() {
    let Some(window) = Window::open() else { return };
    // Every sequence that a terminal may know, as far as they are one byte behind these beginnings.
    let script = "import os\nfor start in (b'\\x1b', b'\\x1b[', b'\\x1b[?', b'\\x1b[1;2', b'\\x1b[?1;25;1000;1049', b'\\x1b[>', b'\\x1b]8;;', b'\\x1b]4;1;', b'\\x1bP', b'\\x1b#', b'\\x1b('):\n \
                  for byte in range(256): os.write(1, start + bytes([byte]))\n\
                  os.write(1, b'\\x1b[?1049h\\x1b[?1003h\\x1b]0;a title without an end')";
    fs::write(window.host.root().join("hostile.py"), script).expect("written");
    window.tmux.line("$U shell $T sh -c 'python3 hostile.py; kill -9 $$'");
    window.is_restored(137);
    window.tmux.line("clear; echo still he''re");
    window.tmux.shows("still here");
}
