//! A running command between its streams and this process's signals.

use std::io;
use std::pin::pin;

use tokio::task::{AbortHandle, JoinHandle};
use unglue::{Client, Code, Exec, Fault, Outcome, Report, Running, StreamEnd};

use super::feed::feed;
use super::object::Kept;
use super::pump::{Destination, Pumped, pump};
use crate::complaint::{Complaint, INTERRUPTED};
use crate::signals::{Signals, Wish};

/// SIGINT, signal(7).
const SIGINT: i32 = 2;

/// How it ended, seen from this side.
pub(super) struct Ended {
    pub(super) report: Report,
    /// The beginnings of standard output and standard error, if they were to be kept.
    pub(super) kept: Option<(Kept, Kept)>,
    /// What went wrong on this side, if anything did.
    pub(super) complaint: Option<Complaint>,
    /// Whether the request was sent.
    pub(super) ran: bool,
}

/// The streams under way, each on its own task: none holds up another, or a signal.
struct Streams {
    stdin: Option<JoinHandle<io::Result<()>>>,
    stdout: JoinHandle<Pumped>,
    stderr: JoinHandle<Pumped>,
}

/// Ends tasks that nobody waits for any more: what they hold would keep the link open.
struct Guard(Vec<AbortHandle>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Runs the command: moves its streams and passes signals on, until it has ended.
///
/// # Errors
/// The command didn't start, or the link ended first.
pub(super) async fn drive(
    client: &Client,
    exec: &Exec,
    destinations: (Destination, Destination),
) -> Result<Ended, Fault> {
    // Before the request: once the command runs, a Ctrl-C is meant for it.
    let mut signals = Signals::take().map_err(|error| refused(&error))?;
    let mut interrupts = Interrupts::default();
    let mut starting = pin!(client.exec(exec));
    let mut running = loop {
        tokio::select! {
            running = &mut starting => break running?,
            wish = signals.next() => match interrupts.count(wish) {
                Ok(()) => {}
                Err(complaint) => return Ok(Ended::cancelled(complaint)),
            },
        }
    };
    let streams = Streams::start(&mut running, destinations);
    let _guard = streams.guard();
    if let Err(complaint) = until_exited(&mut running, &mut signals, interrupts).await {
        return Ok(Ended::cancelled(complaint));
    }
    tokio::select! {
        ended = streams.end(running) => Ok(ended),
        wish = signals.next() => Ok(Ended::cancelled(leave(wish))),
    }
}

/// What this machine refused, as a fault.
pub(super) fn refused(error: &io::Error) -> Fault {
    Fault::system(Code::System, format!("this machine refused: {error}"))
}

/// Whether somebody has pressed Ctrl-C, and whether the command knows.
#[derive(Default)]
struct Interrupts {
    pressed: bool,
    passed_on: bool,
}

impl Interrupts {
    /// Takes the first Ctrl-C; the second ends the client, as SIGTERM and SIGHUP do.
    fn count(&mut self, wish: Wish) -> Result<(), Complaint> {
        match wish {
            Wish::Interrupt if !self.pressed => {
                self.pressed = true;
                Ok(())
            }
            wish => Err(leave(wish)),
        }
    }
}

async fn until_exited(
    running: &mut Running,
    signals: &mut Signals,
    mut interrupts: Interrupts,
) -> Result<(), Complaint> {
    loop {
        if interrupts.pressed && !interrupts.passed_on {
            interrupts.passed_on = true;
            // If the link has just ended, the outcome says so.
            let _ = running.signal(SIGINT).await;
        }
        tokio::select! {
            _ = running.exited() => return Ok(()),
            wish = signals.next() => interrupts.count(wish)?,
        }
    }
}

fn leave(wish: Wish) -> Complaint {
    match wish {
        Wish::Interrupt => {
            Complaint::new("interrupted; the server kills what is left of the command").exit(INTERRUPTED)
        }
        Wish::End(signal) => {
            let name = unglue::signal::name(signal.into());
            Complaint::new(format!("ended by {name}; the server kills what is left of the command")).exit(128 + signal)
        }
    }
}

impl Streams {
    fn start(running: &mut Running, (stdout, stderr): (Destination, Destination)) -> Streams {
        Streams {
            stdin: running.stdin.take().map(|input| tokio::spawn(feed(input))),
            stdout: tokio::spawn(pump(running.stdout.take(), stdout)),
            stderr: tokio::spawn(pump(running.stderr.take(), stderr)),
        }
    }

    fn guard(&self) -> Guard {
        let stdin = self.stdin.as_ref().map(JoinHandle::abort_handle);
        Guard(stdin.into_iter().chain([self.stdout.abort_handle(), self.stderr.abort_handle()]).collect())
    }

    /// Waits for the outputs' ends, and for the outcome.
    async fn end(self, mut running: Running) -> Ended {
        let unread = match self.stdin {
            Some(stdin) if stdin.is_finished() => stdin.await.map_err(io::Error::other).and_then(|fed| fed).err(),
            Some(stdin) => {
                // The command has ended: nobody reads it any more.
                stdin.abort();
                None
            }
            None => None,
        };
        // The pumps read the streams, and the outcome waits for the streams' ends.
        let mut report = running.outcome().await;
        if running.is_overdue() {
            self.stdout.abort();
            self.stderr.abort();
        }
        let (stdout, stderr) = (finished(self.stdout).await, finished(self.stderr).await);
        for (stream, pumped) in [(&mut report.stdout, &stdout), (&mut report.stderr, &stderr)] {
            if let Some(stream) = stream.as_mut().filter(|_| pumped.given_up.is_some()) {
                stream.end = StreamEnd::Abandoned;
            }
        }
        let complaint = unread
            .map(|error| Complaint::new(format!("standard input could not be read: {error}; the command was ended")))
            .or_else(|| lost("standard output", &stdout))
            .or_else(|| lost("standard error", &stderr));
        Ended { report, kept: stdout.kept.zip(stderr.kept), complaint, ran: true }
    }
}

async fn finished(pumping: JoinHandle<Pumped>) -> Pumped {
    match pumping.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(pumped) => pumped,
        // It was reported when it happened; to go on would be to lose output without a word.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The server never ended the stream.
        Err(Err(_)) => Pumped::default(),
    }
}

/// Bytes that could not be written, though somebody still wanted them.
fn lost(name: &str, pumped: &Pumped) -> Option<Complaint> {
    let error = pumped.failure()?;
    Some(Complaint::new(format!("{name} could not be written: {error}; the rest of what the command printed is lost")))
}

impl Ended {
    /// There is no link: nothing ran, and it is safe to try again.
    pub(super) fn before_it_ran(fault: Fault) -> Ended {
        let outcome = match fault.code {
            // It refused, or something there did not answer as a server does.
            Code::Unreachable | Code::TimedOut => Outcome::Unreachable(fault),
            _ => Outcome::Refused(fault),
        };
        Ended::without_report(outcome, None, false)
    }

    /// The request was on its way when this went wrong.
    pub(super) fn after_the_request(fault: Fault) -> Ended {
        let outcome = match fault.code {
            Code::Denied
            | Code::GoingAway
            | Code::NotAllowed
            | Code::Unsupported
            | Code::LimitExceeded
            | Code::Busy => Outcome::Refused(fault),
            Code::BadMessage | Code::TimedOut => Outcome::Failed(fault),
            _ => Outcome::LinkLost(fault),
        };
        Ended::without_report(outcome, None, true)
    }

    /// This client's user leaves before the command's end is known.
    fn cancelled(complaint: Complaint) -> Ended {
        let fault = Fault::user(Code::Cancelled, complaint.to_string());
        Ended::without_report(Outcome::Cancelled(fault), Some(complaint), true)
    }

    fn without_report(outcome: Outcome, complaint: Option<Complaint>, ran: bool) -> Ended {
        Ended { report: Report::of(outcome), kept: None, complaint, ran }
    }
}
