//! The client's hold on a command.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use unglue_link::{Link, SendStream};
use unglue_proto::limits;
use unglue_proto::message::exec::{Again, Exit, FromClient, FromServer, Outcome, Report, Started, TerminalSize};
use unglue_proto::{Code, Fault, Side, signal};

use super::check::{Observation, Observations};
use super::request::Exec;
use super::streams::{Input, Output};
use super::talk::{Hearing, Speaking};
use crate::ops::job::{Followed, LinkState};
use crate::ops::{Control, ControlError, unbroken};

/// See [`limits`]; the tests of this module don't wait that long.
const START: Duration = if cfg!(test) { Duration::from_millis(400) } else { limits::START };
const OUTCOME: Duration = if cfg!(test) { Duration::from_millis(400) } else { limits::OUTCOME };

/// Bytes that [`Running::collect`] reads at once.
const READ: usize = 64 * 1024;

/// A command under way.
///
/// The streams may be moved to wherever they are read and written. Dropping the whole kills the command.
pub struct Running {
    /// The command's input, if it was asked for. Finish it, or the command waits for more.
    pub stdin: Option<Input>,
    /// What it prints. `None` if it never started.
    pub stdout: Option<Output>,
    /// What it prints to standard error. `None` if it never started, or has a terminal.
    pub stderr: Option<Output>,
    id: String,
    sender: Speaking,
    progress: Progress,
    /// Whether there is a link, where the command outlives it.
    state: Option<watch::Receiver<LinkState>>,
    started: Option<Started>,
    terminal: Option<TerminalSize>,
}

/// The part of a running command that waits for its end.
struct Progress {
    receiver: Hearing,
    observations: Observations,
    exit: Option<Exit>,
    report: Option<Report>,
    /// The report is final: figures were compared, or there are none to compare.
    checked: bool,
    deadlines: Deadlines,
}

/// When a server must have reported how the command ended. It answers pings, so the link does not end by itself.
#[derive(Default)]
struct Deadlines {
    /// The command's timeout, and some time to report it.
    timeout: Option<Instant>,
    /// Set once the command has exited and both outputs have ended here.
    outcome: Option<Instant>,
    passed: bool,
}

/// Everything that a command printed, up to a cap, and how it ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Collected {
    /// How it ended.
    pub report: Report,
    /// The first bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The first bytes of its standard error.
    pub stderr: Vec<u8>,
}

/// Sends the request and waits until the command runs or has failed to. Cancelled, it kills the command.
pub(crate) async fn start(link: &Link, exec: &Exec) -> Result<Running, Fault> {
    unbroken(begin(link.clone(), exec.clone())).await
}

async fn begin(link: Link, exec: Exec) -> Result<Running, Fault> {
    let Control { mut sender, receiver } = Control::new(link.open_bidirectional().await?);
    let stdin = match exec.stdin {
        true => {
            let mut stdin = link.open_unidirectional().await?;
            stdin.compress(exec.compression());
            Some(stdin)
        }
        false => None,
    };
    let id = exec.next_id();
    let again = exec.retried().map(|journal| Again { journal, ..Again::default() });
    sender.send(&exec.request(&id, stdin.as_ref().map(SendStream::number), again)).await?;
    let mut receiver = Hearing::Direct(Box::new(receiver));
    let answer = timeout(START, answer(&mut receiver)).await;
    let answer = answer.unwrap_or_else(|_| Err(silent(START, "whether the command started")))?;
    let mut running = Running::new(id, Speaking::Direct(sender), receiver, None);
    if let Some(started) = running.take(answer, exec.timeout) {
        running.terminal = exec.size();
        running.attach(&link, &started, stdin)?;
    }
    Ok(running)
}

/// What a client sees of a command from its beginning, and can compare with the server's figures of the whole.
pub(in crate::ops) enum Seen {
    /// Its outputs and its input.
    All,
    /// Its outputs; another client may have fed it before.
    Outputs,
    Nothing,
}

/// Takes hold of a command that outlives its link, once the server has said what is to be said of it first.
pub(in crate::ops) async fn followed(
    followed: Followed,
    id: String,
    limit: Option<Duration>,
    whole: Seen,
) -> Result<Running, Fault> {
    let Followed { messages, orders, outputs: [stdout, stderr], input, state, terminal } = followed;
    let mut receiver = Hearing::Followed(messages);
    // The task that follows has its own deadlines.
    let answer = answer(&mut receiver).await?;
    let mut running = Running::new(id, Speaking::Followed(orders), receiver, Some(state));
    if running.take(answer, limit).is_some() {
        let mut seen = Observations::default();
        running.stdout = stdout.map(|pieces| watched(Output::followed(pieces), &mut seen.stdout));
        running.terminal = terminal.get().copied();
        // A terminal has one output.
        let stderr = stderr.filter(|_| running.terminal.is_none());
        running.stderr = stderr.map(|pieces| watched(Output::followed(pieces), &mut seen.stderr));
        running.stdin = input.map(|replay| watched(Input::followed(replay), &mut seen.stdin));
        running.progress.observations = match whole {
            Seen::All => seen,
            Seen::Outputs => Observations { stdin: Observation::default(), ..seen },
            Seen::Nothing => Observations::default(),
        };
    }
    Ok(running)
}

fn watched<T>((stream, observation): (T, Observation), place: &mut Observation) -> T {
    *place = observation;
    stream
}

enum Answer {
    Started(Started),
    /// It ran no longer than this, or not at all.
    Ended(Box<Report>),
}

async fn answer(receiver: &mut Hearing) -> Result<Answer, Fault> {
    loop {
        match receiver.expect().await? {
            FromServer::Started(started) => return Ok(Answer::Started(started)),
            FromServer::Outcome(report) => return Ok(Answer::Ended(Box::new(from_server(*report)))),
            FromServer::Refused(fault) => {
                return Ok(Answer::Ended(Box::new(Report::of(Outcome::Refused(fault.on(Side::Server))))));
            }
            FromServer::Exited(_) => return Err(Fault::peer(Code::BadMessage, "a command ended before it started")),
            FromServer::Taken(_) | FromServer::Replaced(_) | FromServer::Unknown(_) => {}
        }
    }
}

impl Running {
    fn new(id: String, sender: Speaking, receiver: Hearing, state: Option<watch::Receiver<LinkState>>) -> Running {
        let progress = Progress {
            receiver,
            observations: Observations::default(),
            exit: None,
            report: None,
            checked: false,
            deadlines: Deadlines::default(),
        };
        Running { stdin: None, stdout: None, stderr: None, id, sender, progress, state, started: None, terminal: None }
    }

    /// Takes the server's first answer; gives where the streams are, if the command runs.
    fn take(&mut self, answer: Answer, limit: Option<Duration>) -> Option<Started> {
        match answer {
            Answer::Ended(report) => {
                self.progress.report = Some(*report);
                None
            }
            Answer::Started(started) => {
                let now = Instant::now();
                self.progress.deadlines.timeout = limit.and_then(|limit| now.checked_add(limit)?.checked_add(OUTCOME));
                self.started = Some(started.clone());
                Some(started)
            }
        }
    }

    /// The process id of the command on the server, if it started.
    pub fn pid(&self) -> Option<u32> {
        self.started.as_ref().map(|started| started.pid)
    }

    /// Whether an earlier request started the command.
    pub fn was_running(&self) -> bool {
        self.started.as_ref().is_some_and(|started| started.since.is_some())
    }

    /// Whether there is a link, now and when that changes; `None` for a command that ends with its link.
    pub fn link_state(&self) -> Option<watch::Receiver<LinkState>> {
        self.state.clone()
    }

    /// Lets go of a command that outlives its link. Its lease counts from now on, and its input stays open. A command with
    /// the lease [`Lease::Kill`](crate::Lease::Kill) is killed.
    pub fn detach(self) {}

    /// Takes the streams of a command that has started.
    fn attach(&mut self, link: &Link, started: &Started, stdin: Option<SendStream>) -> Result<(), Fault> {
        let stdout = link.claim(started.stdout)?;
        if self.terminal.is_some() {
            stdout.narrow();
        }
        let stderr = started.stderr.map(|number| link.claim(number)).transpose()?;
        let observations = &mut self.progress.observations;
        let stdout = watched(Output::new(stdout), &mut observations.stdout);
        let stderr = stderr.map(|stderr| watched(Output::new(stderr), &mut observations.stderr));
        self.stdin = stdin.map(|stream| {
            let (input, observation) = Input::new(stream);
            observations.stdin = observation;
            input
        });
        (self.stdout, self.stderr) = (Some(stdout), stderr);
        Ok(())
    }

    /// The operation's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the command's terminal this size; the program gets SIGWINCH. Without a terminal, or without the hold on the command,
    /// it has no effect. Cancelled, it may have been sent or not. After a lost link, the last size is sent again.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), Fault> {
        self.sender.send(FromClient::Resize(size)).await
    }

    /// The size that the command's terminal had when the server answered; `None` if it has none.
    pub fn terminal(&self) -> Option<TerminalSize> {
        self.terminal
    }

    /// Sends a signal to the command's process group; if it has a terminal, to the foreground process group. Cancelled, it may
    /// have been sent or not.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn signal(&mut self, number: i32) -> Result<(), Fault> {
        self.sender.send(FromClient::Signal(signal::name(number))).await
    }

    /// Waits until the command's own process has ended; `None` if it never started, or its end isn't known. Its
    /// streams may still hold something. Cancelling it loses nothing.
    pub async fn exited(&mut self) -> Option<Exit> {
        while self.progress.exit.is_none() && self.progress.report.is_none() {
            self.progress.receive().await;
        }
        self.progress.exit.clone()
    }

    /// Waits for the outcome. An input that is still in here is finished, as by [`Running::collect`]; outputs that are still
    /// in here are dropped, and so abandoned. Streams that were taken out must be read to their end or dropped, elsewhere,
    /// for this to return. Cancelling it loses nothing.
    ///
    /// An output that was dropped is reported as abandoned, even if the command had ended by then.
    pub async fn outcome(&mut self) -> Report {
        if let Some(stdin) = self.stdin.take() {
            stdin.finish();
        }
        (self.stdout, self.stderr) = (None, None);
        while self.progress.report.is_none() {
            self.progress.receive().await;
        }
        self.progress.checked().await
    }

    /// Whether the outcome is that the server didn't report how the command ended within the time that it has for that. The
    /// streams may then never end.
    pub fn is_overdue(&self) -> bool {
        self.progress.deadlines.passed
    }

    /// Reads both outputs to their end, keeps at most `cap` bytes of each, and waits for the outcome. The input is finished.
    /// Cancelled, it kills the command.
    pub async fn collect(mut self, cap: usize) -> Collected {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr, report) = tokio::join!(gather(stdout, cap), gather(stderr, cap), self.outcome());
        Collected { report, stdout, stderr }
    }
}

async fn gather(output: Option<Output>, cap: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut output) = output else { return kept };
    // How it ended is in the report.
    while let Ok(Some(data)) = output.read(READ).await {
        let room = cap - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    kept
}

impl Progress {
    /// Takes one message. The link's end is an outcome as well, and so is a server that sends nothing more.
    async fn receive(&mut self) {
        let exited = self.exit.is_some();
        let message = tokio::select! {
            message = self.receiver.expect() => message,
            fault = self.deadlines.pass(&mut self.observations, exited) => {
                return self.fail(fault);
            }
        };
        match message {
            Ok(FromServer::Exited(exit)) => self.exit = Some(exit),
            Ok(FromServer::Outcome(report)) => self.report = Some(from_server(*report)),
            Ok(FromServer::Replaced(_)) => {
                let fault = Fault::user(Code::Held, "another client has taken the command over");
                // There are no figures to compare.
                self.checked = true;
                self.report = Some(Report::of(Outcome::Cancelled(fault.advise("it runs on"))));
            }
            Ok(FromServer::Taken(_) | FromServer::Unknown(_)) => {}
            Ok(FromServer::Started(_) | FromServer::Refused(_)) => {
                self.fail(Fault::peer(Code::BadMessage, "the server answered a request a second time"));
            }
            Err(ControlError::Message(fault)) => self.fail(fault),
            Err(ControlError::Stream(error)) => self.report = Some(Report::of(Outcome::LinkLost(error.into()))),
        }
    }

    /// The server broke the protocol: there are no figures to compare.
    fn fail(&mut self, fault: Fault) {
        (self.report, self.checked) = (Some(Report::of(Outcome::Failed(fault))), true);
    }

    /// The report, once the streams have ended here too and their figures were compared.
    async fn checked(&mut self) -> Report {
        if !self.checked {
            self.observations.all_end().await;
        }
        let Some(report) = &mut self.report else {
            return Report::of(Outcome::Failed(Fault::us("there is no report")));
        };
        if !std::mem::replace(&mut self.checked, true) {
            self.observations.check(report);
        }
        report.clone()
    }
}

impl Deadlines {
    /// Returns once one of them has passed. Cancelling it loses nothing.
    async fn pass(&mut self, observations: &mut Observations, exited: bool) -> Fault {
        let fault = if exited {
            observations.outputs_end().await;
            let due = *self.outcome.get_or_insert_with(|| Instant::now() + OUTCOME);
            sleep_until(due.into()).await;
            silent(OUTCOME, "how the command ended, though it has exited")
        } else {
            match self.timeout {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
            silent(OUTCOME, "how the command ended, though its timeout has passed")
        };
        self.passed = true;
        fault
    }
}

fn silent(limit: Duration, what: &str) -> Fault {
    let seconds = limit.as_secs_f64();
    Fault::peer(Code::TimedOut, format!("the server did not say within {seconds} s {what}"))
        .advise("the link is alive: look into the server's log")
}

/// A report as it came; its faults happened on the server.
fn from_server(mut report: Report) -> Report {
    let fault = match &mut report.outcome {
        Outcome::Cancelled(fault)
        | Outcome::Unkillable(fault)
        | Outcome::Failed(fault)
        | Outcome::Refused(fault)
        | Outcome::NotKnown(fault) => fault,
        _ => return report,
    };
    *fault = fault.clone().on(Side::Server);
    report
}
