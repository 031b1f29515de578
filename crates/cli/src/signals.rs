//! The signals that a client passes on or obeys.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wants of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Ctrl-C: interrupt what runs.
    Interrupt,
    /// End, closing the link in order; with the signal's number.
    End(u8),
}

/// The signals as they come.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGHUP over from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn take() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Interrupt,
            _ = self.terminate.recv() => Wish::End(15),
            _ = self.hangup.recv() => Wish::End(1),
        }
    }
}
