//! A running command between its streams and this process's signals.

use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use unglue::{Client, Code, Exec, Explained, Fault, Outcome, Report, Running, StreamEnd};

use super::events::Event;
use super::feed::feed;
use super::held::Held;
use super::object::Kept;
use super::pump::{Destination, Pumped, pump};
use crate::complaint::Complaint;
use crate::signals::{Signals, Wish};

/// SIGINT, signal(7).
const SIGINT: i32 = 2;
/// How long a line about the link may take once the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How it ended, seen from this side.
pub(crate) struct Ended {
    pub(crate) report: Report,
    /// The beginnings of standard output and standard error, if they were to be kept.
    pub(crate) kept: Option<(Kept, Kept)>,
    /// What went wrong on this side, if anything did.
    pub(crate) complaint: Option<Complaint>,
    /// Whether the request was sent.
    pub(crate) ran: bool,
    /// What the streams waited for, if that was asked for.
    pub(crate) explained: Option<Explained>,
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
    held: &Held,
) -> Result<Ended, Fault> {
    let feeding = Feeding::All;
    conduct(client.exec(exec), destinations, held, feeding).await
}

/// What becomes of this process's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feeding {
    /// It goes to the command, if that has an input for it.
    All,
    /// It is left alone, and the command's input stays as it is.
    Nothing,
}

/// Starts a command or attaches to one, and goes on as [`drive`] does.
///
/// # Errors
/// As for [`drive`].
pub(crate) async fn conduct(
    starting: impl Future<Output = Result<Running, Fault>>,
    destinations: (Destination, Destination),
    held: &Held,
    feeding: Feeding,
) -> Result<Ended, Fault> {
    // Before the request: once the command runs, a Ctrl-C is meant for it.
    let mut signals = Signals::take().map_err(|error| refused(&error))?;
    if held.can_detach() && io::stdin().is_terminal() {
        signals.take_detach().map_err(|error| refused(&error))?;
    }
    let mut interrupts = Interrupts::default();
    let mut starting = pin!(starting);
    let mut running = loop {
        tokio::select! {
            running = &mut starting => break running?,
            wish = signals.next() => match interrupts.count(wish, held) {
                Ok(()) => {}
                Err(complaint) => return Ok(Ended::left(complaint, held)),
            },
        }
    };
    held.report_start(&running).await;
    let mut link = tokio::spawn(held.clone().watch_link(running.link_state()));
    let streams = Streams::start(&mut running, destinations, feeding);
    let _guard = streams.guard(link.abort_handle());
    if let Err(complaint) = until_exited(&mut running, &mut signals, interrupts, held).await {
        return Ok(Ended::left(complaint, held));
    }
    let ending = async {
        let ended = streams.end(running).await;
        // What became of the link is told before what became of the command, unless standard error takes no line.
        let _ = timeout(LAST_WORDS, &mut link).await;
        ended
    };
    tokio::select! {
        ended = ending => Ok(ended),
        wish = signals.next() => Ok(Ended::left(held.leave(wish), held)),
    }
}

/// What this machine refused, as a fault.
pub(crate) fn refused(error: &io::Error) -> Fault {
    Fault::system(Code::System, format!("this machine refused: {error}"))
}

/// Whether somebody has pressed Ctrl-C, and whether the command knows.
#[derive(Default)]
struct Interrupts {
    pressed: bool,
    passed_on: bool,
}

impl Interrupts {
    /// Takes the first Ctrl-C; the second ends the client, as SIGTERM and SIGHUP do. One who only watches is ended by the first.
    fn count(&mut self, wish: Wish, held: &Held) -> Result<(), Complaint> {
        match wish {
            Wish::Interrupt if !self.pressed && held.passes_signals => {
                self.pressed = true;
                Ok(())
            }
            wish => Err(held.leave(wish)),
        }
    }
}

async fn until_exited(
    running: &mut Running,
    signals: &mut Signals,
    mut interrupts: Interrupts,
    held: &Held,
) -> Result<(), Complaint> {
    loop {
        if interrupts.pressed && !interrupts.passed_on {
            interrupts.passed_on = true;
            // If the link has just ended, the outcome says so. A command that outlives it gets the signal over the next one.
            let _ = running.signal(SIGINT).await;
            held.report(Event::Signal { signal: "SIGINT" }).await;
        }
        tokio::select! {
            _ = running.exited() => return Ok(()),
            wish = signals.next() => interrupts.count(wish, held)?,
        }
    }
}

impl Streams {
    fn start(running: &mut Running, (stdout, stderr): (Destination, Destination), feeding: Feeding) -> Streams {
        // One that is dropped stays open for the next client that holds the command.
        let input = running.stdin.take().filter(|_| feeding == Feeding::All);
        Streams {
            stdin: input.map(|input| tokio::spawn(feed(input))),
            stdout: tokio::spawn(pump(running.stdout.take(), stdout)),
            stderr: tokio::spawn(pump(running.stderr.take(), stderr)),
        }
    }

    fn guard(&self, link: AbortHandle) -> Guard {
        let stdin = self.stdin.as_ref().map(JoinHandle::abort_handle);
        Guard(stdin.into_iter().chain([self.stdout.abort_handle(), self.stderr.abort_handle(), link]).collect())
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
        Ended { report, kept: stdout.kept.zip(stderr.kept), complaint, ran: true, explained: None }
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
    pub(crate) fn before_it_ran(fault: Fault) -> Ended {
        let outcome = match fault.code {
            // It refused, or something there did not answer as a server does.
            Code::Unreachable | Code::TimedOut => Outcome::Unreachable(fault),
            _ => Outcome::Refused(fault),
        };
        Ended::without_report(outcome, None, false)
    }

    /// The request was on its way when this went wrong.
    pub(crate) fn after_the_request(fault: Fault) -> Ended {
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
    fn left(complaint: Complaint, held: &Held) -> Ended {
        let outcome = held.outcome_of_leaving(&complaint);
        Ended::without_report(outcome, Some(complaint), true)
    }

    fn without_report(outcome: Outcome, complaint: Option<Complaint>, ran: bool) -> Ended {
        Ended { report: Report::of(outcome), kept: None, complaint, ran, explained: None }
    }
}
