//! A terminal that answers questions: tmux(1), driven by a script.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::host::Host;
use crate::run::{DEADLINE, UNGLUE, clean, until};

/// A tmux server of its own, with one window.
pub(super) struct Tmux {
    directory: TempDir,
}

/// Whether a program is there; says so if it isn't.
pub(super) fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

impl Tmux {
    /// A shell in a window of 80 x 24, with `U` and `T` for the program under test and its server, and the prompt `here> `;
    /// `None` where there is no tmux.
    pub(super) fn start(host: &Host) -> Option<Tmux> {
        Tmux::to(host, &host.target(), (80, 24))
    }

    /// As [`start`](Self::start), with another way to the server, and another size.
    pub(super) fn to(host: &Host, target: &str, (columns, rows): (u16, u16)) -> Option<Tmux> {
        has("tmux").then_some(())?;
        let tmux = Tmux { directory: tempfile::Builder::new().prefix("unglue-tmux-").tempdir().expect("a directory") };
        let mut command = tmux.command();
        command.args([
            "new-session",
            "-d",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
            "bash --norc --noprofile",
        ]);
        command.env("HOME", host.home()).env("U", UNGLUE).env("T", target).env("PS1", "here> ").env("LANG", "C.UTF-8");
        command.env("SHELL", "/bin/sh").env("UNGLUE_SSH_CONFIG", "none").env("HISTFILE", "/dev/null");
        let started = command.current_dir(host.home()).output().expect("it starts");
        assert!(started.status.success(), "{started:?}");
        tmux.shows("here>");
        Some(tmux)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn command(&self) -> Command {
        let mut command = clean("tmux");
        command.arg("-S").arg(self.socket()).args(["-u", "-f", "/dev/null"]);
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = self.command().args(words).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types this text.
    pub(super) fn types(&self, text: &str) {
        // In hexadecimal, so that no byte means anything to tmux.
        let mut words = vec!["send-keys".to_owned(), "-H".to_owned()];
        words.extend(text.bytes().map(|byte| format!("{byte:02x}")));
        self.ask(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Types a line.
    pub(super) fn line(&self, text: &str) {
        self.types(&format!("{text}\r"));
    }

    /// What the window shows, without blanks at the ends.
    pub(super) fn screen(&self) -> String {
        let text = self.ask(&["capture-pane", "-p", "-J"]);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// What the window shows, row by row.
    pub(super) fn rows(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// What the window shows, with colours, and where the cursor is.
    pub(super) fn picture(&self) -> String {
        let mut text = self.ask(&["capture-pane", "-p", "-e"]).trim_end().to_owned();
        let _ = write!(text, "\ncursor {}", self.says("#{cursor_x} #{cursor_y}"));
        text
    }

    /// What the window has shown, with what has scrolled away.
    pub(super) fn scrollback(&self) -> String {
        self.ask(&["capture-pane", "-p", "-S", "-"])
    }

    /// The value of a format.
    pub(super) fn says(&self, format: &str) -> String {
        self.ask(&["display-message", "-p", format]).trim_end().to_owned()
    }

    /// What programs can leave on, as tmux knows it.
    pub(super) fn modes(&self) -> String {
        self.says(
            "alternate={alternate_on} cursor={cursor_flag} insert={insert_flag} keypad={keypad_flag} arrows={keypad_cursor_flag} \
             mouse={mouse_any_flag} sgr={mouse_sgr_flag} origin={origin_flag} wrap={wrap_flag} region={scroll_region_upper},{scroll_region_lower}"
                .replace('{', "#{")
                .as_str(),
        )
    }

    /// Gives the window another size.
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        self.ask(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Waits until the window shows these words.
    #[track_caller]
    pub(super) fn shows(&self, words: &str) {
        self.becomes(words, |screen| screen.contains(words));
    }

    /// Waits until the last line that the window shows is this one.
    #[track_caller]
    pub(super) fn ends_with(&self, line: &str) {
        self.becomes(line, |screen| screen.lines().next_back() == Some(line));
    }

    #[track_caller]
    pub(super) fn becomes(&self, what: &str, is: impl Fn(&str) -> bool) {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{what:?} does not come true:\n{screen}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the window shows what it once did, and stays so.
    #[track_caller]
    pub(super) fn is_again(&self, before: &str) {
        let again = || (self.picture() == before).then_some(());
        let started = Instant::now();
        while again().is_none() && started.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.settled(), before);
    }

    /// Waits until the window shows the same for a while, and gives that.
    pub(super) fn settled(&self) -> String {
        let mut last = (self.picture(), Instant::now());
        until("a window that stays as it is", || {
            let now = self.picture();
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > Duration::from_millis(250)).then(|| last.0.clone())
        })
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // By its socket; what runs in its window gets SIGHUP.
        let _ = self.command().arg("kill-server").output();
    }
}
