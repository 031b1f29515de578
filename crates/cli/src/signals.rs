//! The signals that a client passes on or obeys.

use std::future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody wants of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Ctrl-C: interrupt what runs.
    Interrupt,
    /// Ctrl-\\: leave what runs to itself.
    Detach,
    /// End, closing the link in order; with the signal's number.
    End(u8),
}

impl Wish {
    /// The number of the signal that it came by.
    pub(crate) fn signal(self) -> u8 {
        match self {
            Wish::Interrupt => 2,
            Wish::Detach => 3,
            Wish::End(signal) => signal,
        }
    }
}

/// The signals as they come; those that were ignored from the start stay so.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
    quit: Option<Signal>,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGHUP over from now on, unless the process that started this one has it ignore them, as
    /// nohup(1) does, and a shell without job control for what it runs in the background.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn take() -> io::Result<Signals> {
        let ignored = ignored();
        let take = |kind: SignalKind| match ignored >> (kind.as_raw_value() - 1) & 1 {
            0 => signal(kind).map(Some),
            _ => Ok(None),
        };
        Ok(Signals {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
            quit: None,
        })
    }

    /// Takes SIGQUIT over as well, the signal of Ctrl-\\ on a terminal.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn take_detach(&mut self) -> io::Result<()> {
        self.quit = Some(signal(SignalKind::quit())?);
        Ok(())
    }

    /// Waits for the next one. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            () = received(&mut self.interrupt) => Wish::Interrupt,
            () = received(&mut self.terminate) => Wish::End(15),
            () = received(&mut self.hangup) => Wish::End(1),
            () = received(&mut self.quit) => Wish::Detach,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    // `None`: it is ignored, or there will be no more.
    if came.is_none() {
        future::pending::<()>().await;
    }
}

/// The ignored signals, bit 0 for signal 1 (proc(5), `SigIgn` of `/proc/pid/status`); none where that can't be read.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_ignored_signal_is_seen() {
        // SIGPIPE is 13; Rust's runtime ignores it.
        assert_eq!(super::ignored() >> 12 & 1, 1);
    }
}
