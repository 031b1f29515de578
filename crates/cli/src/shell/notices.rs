//! What the system reports a program on a terminal: another size, and that it goes on after a stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use unglue::TerminalSize;

use super::keyboard::with_size;

/// SIGCONT, signal(7).
const CONTINUED: i32 = 18;

/// What the system reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The terminal has another size.
    Resized,
    /// This process goes on after a stop.
    Continued,
}

/// The signals of a terminal.
#[derive(Debug)]
pub(super) struct Notices {
    resized: Signal,
    continued: Signal,
}

impl Notices {
    /// Takes SIGWINCH and SIGCONT over.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn take() -> io::Result<Notices> {
        let continued = signal(SignalKind::from_raw(CONTINUED))?;
        Ok(Notices { resized: signal(SignalKind::window_change())?, continued })
    }

    /// Waits for the next one. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Notice {
        tokio::select! {
            _ = self.continued.recv() => Notice::Continued,
            _ = self.resized.recv() => Notice::Resized,
        }
    }

    /// Waits until this process goes on after a stop.
    pub(super) async fn continued(&mut self) {
        self.continued.recv().await;
    }

    /// Forgets that it went on.
    pub(super) fn forget_continued(&mut self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while self.continued.poll_recv(&mut cx).is_ready() {}
    }

    /// The size of the terminal; `None` if there is none, or if it doesn't know.
    pub(super) fn size() -> Option<TerminalSize> {
        let size = rustix::termios::tcgetwinsize(with_size()?).ok()?;
        let size = TerminalSize::new(size.ws_row, size.ws_col);
        (size.rows > 0 && size.columns > 0).then_some(size)
    }
}
