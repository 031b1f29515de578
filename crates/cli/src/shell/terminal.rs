//! The user's own terminal: raw while a program on the other machine has it, and as it was before in every way of ending.
//!
//! There is one per process, so its state is global: a panic restores it, wherever it happens.
//!
//! 1. [`Raw::enter`] notes the modes and makes the terminal raw. Dropped, it restores them.
//! 2. [`shown`] takes each piece that is written to it.
//! 3. [`Raw::suspend`] and [`Raw::resume`] surround a stop (`~^Z`); [`Raw::again`] follows one that came from outside.
//! 4. [`emergency`] is for panics: it restores what there is to restore.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustix::time::Timespec;

use super::modes::Modes;

static TERMINAL: Mutex<Option<Held>> = Mutex::new(None);

/// How long the bytes that restore a terminal may wait for room: one that was stopped (Ctrl-S) or is gone takes none.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

struct Held {
    descriptor: OwnedFd,
    before: Termios,
    /// What the program has left on.
    modes: Modes,
    /// Whether standard output is this terminal.
    is_shown: bool,
}

/// A terminal in raw mode.
#[derive(Debug)]
pub(super) struct Raw {
    /// Whether the output broke off.
    broke_off: bool,
}

fn held() -> MutexGuard<'static, Option<Held>> {
    // A panic while it was held: it is restored all the same.
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what is written to the terminal.
pub(super) fn shown(written: &[u8]) {
    if let Some(held) = held().as_mut() {
        held.modes.pass(written);
    }
}

/// Restores the terminal, if it is raw; whether it was.
pub(crate) fn emergency() -> bool {
    // A panic in here would be a second one.
    let held = TERMINAL.try_lock().ok().and_then(|mut held| held.take());
    held.inspect(|held| held.restore(true)).is_some()
}

impl Raw {
    /// Makes the terminal of standard input raw.
    ///
    /// # Errors
    /// It can't be done, as where the terminal is gone.
    pub(super) fn enter() -> io::Result<Raw> {
        let descriptor = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let before = tcgetattr(&descriptor)?;
        let is_shown = rustix::termios::isatty(rustix::stdio::stdout());
        let entering = Held { descriptor, before, modes: Modes::default(), is_shown };
        entering.make_raw()?;
        *held() = Some(entering);
        Ok(Raw { broke_off: true })
    }

    /// The program has ended, and all that it printed was shown.
    pub(super) fn ended(&mut self) {
        self.broke_off = false;
    }

    /// Restores the terminal for a stop of this process.
    pub(super) fn suspend(&self) {
        if let Some(held) = held().as_ref() {
            held.restore(false);
        }
    }

    /// Takes the terminal back after a stop, with what the program had switched on.
    ///
    /// # Errors
    /// It can't be done.
    pub(super) fn resume(&self) -> io::Result<()> {
        let held = held();
        let Some(held) = held.as_ref() else { return Ok(()) };
        held.make_raw()?;
        held.write(&held.modes.redo());
        Ok(())
    }

    /// Makes the terminal raw again after a stop that came from outside: the shell may have changed its modes.
    ///
    /// # Errors
    /// It can't be done.
    pub(super) fn again(&self) -> io::Result<()> {
        held().as_ref().map_or(Ok(()), Held::make_raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(held) = held().take() {
            held.restore(self.broke_off);
        }
    }
}

impl Held {
    fn make_raw(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        // What was typed ahead stays.
        Ok(tcsetattr(&self.descriptor, OptionalActions::Now, &raw)?)
    }

    /// The modes of the terminal, and those of its driver. There is nothing to do about errors: the terminal is gone.
    fn restore(&self, broke_off: bool) {
        self.write(&self.modes.undo(broke_off));
        let _ = tcsetattr(&self.descriptor, OptionalActions::Now, &self.before);
    }

    fn write(&self, mut bytes: &[u8]) {
        let stdout = rustix::stdio::stdout();
        while self.is_shown && !bytes.is_empty() {
            let mut room = [PollFd::new(&stdout, PollFlags::OUT)];
            if poll(&mut room, Some(&PATIENCE)) != Ok(1) || !room[0].revents().contains(PollFlags::OUT) {
                return;
            }
            match rustix::io::write(stdout.as_fd(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }
}
