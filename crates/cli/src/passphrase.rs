//! Asking for a passphrase, at the terminal itself: standard input may be somebody's data.

use std::fs::File;
use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks, without showing what is typed.
///
/// # Errors
/// There is no terminal.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    // The library shows its question before it turns the echo off; what a quick typist sends in between would show.
    let _silent = Silent::start()?;
    rpassword::prompt_password(question)
}

/// The terminal without echo, for as long as this lives.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn start() -> io::Result<Silent> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
