//! A terminal of the tests' own (pty(7)), so that they see what becomes of its modes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::run::{DEADLINE, until};

/// A command to the terminal (ECMA-48, OSC) that no program of these tests gives.
const MARK: &[u8] = b"\x1b]mark\x07";

/// A program on a terminal.
pub(super) struct OnTerminal {
    child: Child,
    /// The end at which a person would sit.
    keyboard: File,
    /// The end of the program, kept so that its modes can be read after the program's end.
    terminal: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    /// Starts a program on a new terminal. It is the leader of a session, with the terminal as its own.
    pub(super) fn start(program: &str, command: &Command) -> OnTerminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("it is ours");
        let name = ptsname(&keyboard, Vec::new()).expect("a name").into_string().expect("text");
        let terminal = OwnedFd::from(File::options().read(true).write(true).open(&name).expect("it opens"));
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let before = tcgetattr(&terminal).expect("modes");
        let end = || terminal.try_clone().expect("a descriptor");
        // setsid(1) gives the program the terminal; bash in between sends the program's stops to us as a shell would see them.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait", program]).args(command.get_args()).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        session.current_dir(command.get_current_dir().expect("a directory"));
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, sink) = (File::from(keyboard.try_clone().expect("a descriptor")), shown.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                sink.lock().expect("no panic").extend_from_slice(&buffer[..n]);
            }
        });
        OnTerminal { child, keyboard: keyboard.into(), terminal, before, shown }
    }

    /// What the screen has got so far.
    pub(super) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no panic")).into_owned()
    }

    /// Waits until the screen has these words, behind what `after` bytes of it hold.
    #[track_caller]
    pub(super) fn shows(&self, words: &str, after: usize) {
        let started = Instant::now();
        while !self.screen().get(after..).is_some_and(|screen| screen.contains(words)) {
            assert!(started.elapsed() < DEADLINE, "{words:?} is not in {:?}", self.screen());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types.
    pub(super) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Types bytes of any kind.
    pub(super) fn types_bytes(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("typed");
    }

    /// Whether the terminal is as it was before the program started.
    pub(super) fn is_restored(&self) -> bool {
        let now = tcgetattr(&self.terminal).expect("modes");
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes
    }

    /// Whether the terminal echoes what is typed.
    pub(super) fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).expect("modes").local_modes.contains(LocalModes::ECHO)
    }

    /// The process that has the terminal in its foreground.
    pub(super) fn foreground(&self) -> Pid {
        rustix::termios::tcgetpgrp(&self.keyboard).expect("a process group")
    }

    /// Sends a signal to the foreground.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.foreground(), signal).expect("it lives");
    }

    /// Waits for the end, and gives the exit code.
    pub(super) fn ended(mut self) -> (i32, String, bool) {
        use std::os::unix::process::ExitStatusExt as _;
        let status = until("the program's end", || self.child.try_wait().expect("a child of ours"));
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("it ended"));
        let restored = self.is_restored();
        // What was written last is on its way through the terminal; this comes behind it.
        let mut terminal = File::from(self.terminal.try_clone().expect("a descriptor"));
        terminal.write_all(MARK).expect("written");
        let shown = || self.shown.lock().expect("no panic");
        let end = until("the screen's end", || shown().windows(MARK.len()).position(|bytes| bytes == MARK));
        shown().truncate(end);
        (code, self.screen(), restored)
    }

    /// Waits for the end, and gives the exit code and every byte of the screen.
    pub(super) fn ended_with_bytes(self) -> (i32, Vec<u8>, bool) {
        let shown = self.shown.clone();
        let (code, _, restored) = self.ended();
        let shown = shown.lock().expect("no panic").clone();
        (code, shown, restored)
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = waitpid(Some(Pid::from_child(&self.child)), WaitOptions::NOHANG);
        let _ = self.child.wait();
    }
}
