//! Running one line: its reply whole, then how it ended if that is worth a word.

use std::ffi::OsString;
use std::io;

use unglue::{Exec, Fault, Outcome, Running};

use super::{Repl, ended_by};
use crate::complaint::{Complaint, say};
use crate::exec::pump::{Destination, pump};
use crate::exec::sink::Sink;
use crate::exec::verdict;
use crate::signals::{Signals, Wish};

/// What the first, the second and every further Ctrl-C sends: SIGINT, SIGTERM, SIGKILL (signal(7)).
const INTERRUPTS: [i32; 3] = [2, 15, 9];

impl Repl {
    /// Runs a line through the shell. Only the link's end is an error.
    pub(super) async fn reply(&mut self, text: OsString) -> Result<(), Complaint> {
        let exec = self.directory.enter(Exec::shell(text));
        let running = self.client.exec(&exec).await?;
        let sinks = sinks().map_err(|error| Complaint::new(format!("this machine refused: {error}")))?;
        let outcome = see_through(running, sinks, &mut self.signals).await?;
        match outcome {
            Outcome::LinkLost(link_lost) => Err(link_lost.into()),
            outcome => {
                tell(&outcome);
                Ok(())
            }
        }
    }
}

fn sinks() -> io::Result<(Destination, Destination)> {
    Ok((Destination::Sink(Sink::stdout()?), Destination::Sink(Sink::stderr()?)))
}

/// Moves the outputs until their end, while Ctrl-C interrupts the command alone.
///
/// # Errors
/// A signal ends the conversation, or a reply could not be written.
async fn see_through(
    mut running: Running,
    sinks: (Destination, Destination),
    signals: &mut Signals,
) -> Result<Outcome, Complaint> {
    let stdout = tokio::spawn(pump(running.stdout.take(), sinks.0));
    let stderr = tokio::spawn(pump(running.stderr.take(), sinks.1));
    let mut interrupts = INTERRUPTS.iter().copied();
    loop {
        let wish = tokio::select! {
            _ = running.exited() => break,
            wish = signals.next() => wish,
        };
        match wish {
            // If the link has just ended, the outcome says so.
            Wish::Interrupt => drop(running.signal(interrupts.next().unwrap_or(9)).await),
            wish => return Err(ended_by(wish)),
        }
    }
    for output in [stdout, stderr] {
        let pumped = output.await.map_err(|error| Complaint::new(format!("the reply was not shown: {error}")))?;
        if let Some(error) = pumped.failure() {
            return Err(Complaint::new(format!(
                "the reply could not be written: {error}; the next lines were not run"
            )));
        }
    }
    Ok(running.outcome().await.outcome)
}

/// Says how a command ended, unless that was with 0.
fn tell(outcome: &Outcome) {
    match (outcome, verdict::verdict(outcome)) {
        (_, Ok(0)) => {}
        (Outcome::Ended(unglue::Exit::Signalled(by)), _) => say(&format!("ended by {}", by.signal)),
        (_, Ok(code)) => say(&format!("exit status {code}")),
        (_, Err(complaint)) => say(&complaint.to_string()),
    }
}

/// A link that ended is the end of the conversation; anything else is reported, and the prompt comes back.
pub(super) fn unless_lost(fault: Fault) -> Result<(), Complaint> {
    if matches!(fault.code, unglue::Code::LinkLost | unglue::Code::GoingAway) {
        return Err(fault.into());
    }
    say(&fault.to_string());
    Ok(())
}
