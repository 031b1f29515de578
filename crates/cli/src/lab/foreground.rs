//! What runs in the foreground until it is done or a signal ends it.

use std::process::ExitCode;
use std::thread;

use unglue_lab::{LabError, Stopper};

use crate::complaint::Complaint;
use crate::runtime;
use crate::signals::Signals;

/// Does the work on a thread of its own, and ends it with the first signal: what it started ends with it.
///
/// # Errors
/// As `tell`, which is given what the work came to.
pub(super) fn foreground<T: Send + 'static>(
    stopper: Stopper,
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
    tell: impl FnOnce(Result<T, LabError>) -> Result<ExitCode, Complaint>,
) -> Result<ExitCode, Complaint> {
    runtime::run(async move {
        let mut signals = Signals::take().map_err(|error| Complaint::new(format!("no signals: {error}")))?;
        let (worked, mut working) = tokio::sync::oneshot::channel();
        let started = thread::Builder::new().spawn(move || drop(worked.send(work())));
        started.map_err(|error| Complaint::new(format!("the system gives no thread: {error}")))?;
        let broken = |_| Complaint::new("a bug in unglue: its thread panicked; please report it");
        let wish = tokio::select! {
            done = &mut working => return tell(done.map_err(broken)?),
            wish = signals.next() => wish,
        };
        stopper.shut_down();
        tokio::select! {
            done = working => match done.map_err(broken)? {
                Err(LabError::Stopped) => {}
                done => drop(tell(done)?),
            },
            _ = signals.next() => {}
        }
        Ok(ExitCode::from(128 + wish.signal()))
    })
}
