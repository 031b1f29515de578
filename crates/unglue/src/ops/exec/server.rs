//! The server's half: a command from its request to its report.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use unglue_host::process::{Command, InputSource, OutputSink, SinkClosed, SpoolLimit, Supervisors};
use unglue_jobs::{
    Asking, Attachment, Begun, Event, Job, Known, New, NotStarted, Order, Registry, Started, Stdio, keep, start,
};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::life::Terms;
use unglue_proto::message::Compress;
use unglue_proto::message::exec::{self as wire, Exec, FromClient, FromServer, Lease, Outcome, Report, StreamEnd};
use unglue_proto::mux::Compression;
use unglue_proto::{Code, Fault, signal};

use crate::ops::job::{Beginning, Jobs, Wants, attend, not_kept, without_output};
use crate::ops::{Control, ControlError, ControlReceiver, ControlSender};
use crate::server::Leaving;

/// Bytes that are read from an input stream at once.
const READ: usize = 64 * 1024;

/// What runs commands.
#[derive(Clone)]
pub(crate) struct Runner {
    /// The processes that own them.
    pub(crate) supervisors: Supervisors,
    /// What a login's environment holds.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The directory that they start in: the home, or the root's top.
    pub(crate) top: PathBuf,
}

impl Runner {
    fn command(&self, exec: &Exec) -> Result<Command, Fault> {
        let mut argv: Vec<OsString> = exec.argv.iter().cloned().map(OsString::from).collect();
        let login = argv.is_empty() && exec.terminal.is_some();
        if login {
            argv.push(self.login_shell());
        }
        if argv.is_empty() {
            return Err(Fault::user(Code::BadMessage, "a command without a program").advise("name one"));
        }
        let asked = exec.env.iter().cloned().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let env = merged(self.environment.iter().cloned().chain(asked));
        let cwd = exec.cwd.clone().map(OsString::from).unwrap_or_default();
        let (stdin, terminal) = (exec.stdin.is_some(), exec.terminal);
        Ok(Command { argv, env, cwd: self.top.join(cwd), stdin, terminal, login })
    }

    fn login_shell(&self) -> OsString {
        let shell = self.environment.iter().find(|(name, _)| name == "SHELL");
        shell.map_or_else(|| "/bin/sh".into(), |(_, shell)| shell.clone())
    }

    fn terms(exec: &Exec) -> Terms {
        Terms { timeout: exec.timeout_ms.map(Duration::from_millis), descendants: exec.descendants }
    }

    /// Starts a command that lives as long as its client. What can't start is recorded so.
    async fn start(&self, exec: &Exec, new: New) -> Result<Started, Outcome> {
        let command = match self.command(exec) {
            Ok(command) => command,
            Err(fault) => return Err(not_begun(new, fault)),
        };
        start(&self.supervisors, &command, Self::terms(exec), new).await.map_err(recorded)
    }

    /// Starts a command that outlives its client and this server; see [`unglue_jobs::keep`].
    async fn keep(&self, registry: &Registry, exec: &Exec, limit: SpoolLimit, new: New) -> Result<Arc<Job>, Outcome> {
        let command = match self.command(exec) {
            Ok(command) => command,
            Err(fault) => return Err(not_begun(new, fault)),
        };
        let (supervisors, terms, durable) = (self.supervisors.clone(), Self::terms(exec), is_durable(exec));
        let registry = registry.clone();
        // On a task of its own: it goes on if the client goes.
        let starting = tokio::spawn(async move {
            let new = synced(&registry, durable, new).await?;
            keep(&supervisors, command, terms, limit, durable, new).await.map_err(recorded)
        });
        starting.await.unwrap_or_else(|error| Err(Outcome::Failed(Fault::us(format!("a start ended badly: {error}")))))
    }
}

/// Whether its id has to be on the disk before the command starts.
fn is_durable(exec: &Exec) -> bool {
    exec.durable || matches!(exec.lease, Lease::Detach(_))
}

/// Has the id on the disk, if that is asked for.
async fn synced(registry: &Registry, durable: bool, new: New) -> Result<New, Outcome> {
    match if durable { registry.sync().await } else { Ok(()) } {
        Ok(()) => Ok(new),
        Err(fault) => Err(not_begun(new, fault)),
    }
}

/// Nothing of it ran, and its id is free.
fn not_begun(new: New, fault: Fault) -> Outcome {
    new.claim.never_started();
    Outcome::Refused(fault)
}

/// Records that a command did not start, and why.
fn recorded(failed: NotStarted) -> Outcome {
    let outcome = failed.error.outcome();
    match &outcome {
        Outcome::Refused(_) => failed.claim.never_started(),
        outcome => failed.claim.conclude(Report::of(outcome.clone())),
    }
    outcome
}

/// The variables in the order of their first appearance, each with its last value.
fn merged(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut places: HashMap<OsString, usize> = HashMap::new();
    let mut merged: Vec<(OsString, OsString)> = Vec::new();
    for (name, value) in variables {
        match places.entry(name) {
            Entry::Occupied(place) => merged[*place.get()].1 = value,
            Entry::Vacant(free) => {
                merged.push((free.key().clone(), value));
                free.insert(merged.len() - 1);
            }
        }
    }
    merged
}

/// Runs a command and reports how it ended. When this is dropped, a command with the lease `kill` is killed.
///
/// # Errors
/// The client has gone; what is left of a command with the lease `kill` is killed.
pub(crate) async fn serve(
    link: &Link,
    runner: &Runner,
    jobs: Jobs<'_>,
    exec: Exec,
    control: Control,
) -> Result<Report, Fault> {
    let began = Instant::now();
    let Jobs { registry, asking, leaving, .. } = jobs;
    // What ends with its client can't go on over a link to another server.
    let leaving = (!exec.lease.is_kill()).then_some(leaving);
    let stdin = exec.stdin.map(|number| link.claim(number)).transpose()?;
    let begun = match begin(registry, asking, &exec).await {
        Ok(begun) => begun,
        Err(fault) => return refuse(control.sender, fault).await,
    };
    match begun {
        // A terminal has a keeper with every lease.
        Begun::New(new) => match exec.lease.is_kill() && exec.terminal.is_none() {
            true => match synced(registry, exec.durable, new).await {
                Ok(new) => run(link, runner, exec, new, stdin, control, began).await,
                Err(Outcome::Refused(fault)) => refuse(control.sender, fault).await,
                Err(outcome) => conclude(control.sender, began, Report::of(outcome)).await,
            },
            false => {
                let limit = exec.output_limit.map_or(SpoolLimit::Stall(registry.room()), SpoolLimit::End);
                match runner.keep(registry, &exec, limit, new).await {
                    Ok(job) => hold(link, &Known::Live(job), &exec, stdin, (control, leaving), false).await,
                    Err(Outcome::Refused(fault)) => refuse(control.sender, fault).await,
                    Err(outcome) => conclude(control.sender, began, Report::of(outcome)).await,
                }
            }
        },
        Begun::Runs(job) if job.directory().is_none() => {
            conclude(control.sender, began, without_output(&job).await).await
        }
        Begun::Ended(ended) if ended.directory.is_none() => {
            conclude(control.sender, began, not_kept(&ended.report)).await
        }
        Begun::Runs(job) => hold(link, &Known::Live(job), &exec, stdin, (control, leaving), true).await,
        Begun::Ended(ended) => hold(link, &Known::Ended(ended), &exec, stdin, (control, leaving), true).await,
    }
}

/// Takes the request. A command that an earlier server was to start, and didn't, is a new one.
async fn begin(registry: &Registry, asking: Asking<'_>, exec: &Exec) -> Result<Begun, Fault> {
    known_lease(exec)?;
    loop {
        match registry.begin(asking, exec)? {
            Begun::Runs(job) if job.never_started().await => {}
            begun => return Ok(begun),
        }
    }
}

/// A lease that this version doesn't know can't be kept.
fn known_lease(exec: &Exec) -> Result<(), Fault> {
    match &exec.lease {
        Lease::Unknown(unknown) => {
            let what = format!("this version of unglue doesn't know the lease {:?}", unknown.kind);
            Err(Fault::user(Code::Unsupported, what).advise("nothing ran; update the server"))
        }
        _ => Ok(()),
    }
}

/// Runs a command that lives as long as its client.
async fn run(
    link: &Link,
    runner: &Runner,
    exec: Exec,
    new: New,
    stdin: Option<RecvStream>,
    control: Control,
    began: Instant,
) -> Result<Report, Fault> {
    let Control { mut sender, receiver } = control;
    let job = new.job.clone();
    let started = match runner.start(&exec, new).await {
        Ok(started) => started,
        Err(Outcome::Refused(fault)) => return refuse(sender, fault).await,
        Err(outcome) => return conclude(sender, began, Report::of(outcome)).await,
    };
    let (mut stdout, mut stderr) = (link.open_unidirectional().await?, link.open_unidirectional().await?);
    for stream in [&mut stdout, &mut stderr] {
        stream.compress(Compress::asked(exec.compress.as_ref()));
    }
    let (pid, numbers) = (started.pid(), (stdout.number(), stderr.number()));
    let message =
        wire::Started { pid, stdout: numbers.0, stderr: Some(numbers.1), taken: 0, since: None, screen: None, from: 0 };
    sender.send(&FromServer::Started(message)).await?;
    let stdin = stdin.map(FromStream);
    let limit = exec.output_limit.map(|limit| Arc::new(Limit { limit, left: AtomicU64::new(limit), job }));
    let to_stream = |stream| ToStream { stream, limit: limit.clone() };
    let job = started.run(Stdio { stdin, stdout: to_stream(stdout), stderr: to_stream(stderr) });
    let report = follow(job, &mut sender, receiver).await?;
    conclude(sender, began, report).await
}

/// Has the client hold a command that outlives it. `before`: the command was started by an earlier request.
async fn hold(
    link: &Link,
    known: &Known,
    exec: &Exec,
    stdin: Option<RecvStream>,
    control: (Control, Option<Leaving>),
    before: bool,
) -> Result<Report, Fault> {
    let hold = match known {
        // Whoever asks by the same request is the same client: its former link may not have ended yet.
        Known::Live(job) => Some(job.hold(true).await?),
        Known::Ended(_) => None,
    };
    let again = exec.again.clone().unwrap_or_default();
    let stderr = exec.terminal.is_none().then_some(again.stderr);
    // Little of a terminal's output may be on its way.
    let compression = match exec.terminal {
        None => Compress::asked(exec.compress.as_ref()),
        Some(_) => Compression::Off,
    };
    let wants = Wants { stdin, outputs: [Some(again.stdout), stderr], screen: None, follow: true, compression };
    attend(link, known, hold, wants, control, |mut sender, beginning| async move {
        let Beginning { pid, since, taken, streams, view } = beginning;
        let [stdout, stderr] = streams;
        let (stdout, since) = (stdout.unwrap_or_default(), before.then_some(since));
        let (screen, from) = view.and_then(|view| view.picture).unzip();
        let from = from.unwrap_or_default();
        let started = wire::Started { pid, stdout, stderr, taken, since, screen, from };
        sender.send(&FromServer::Started(started)).await?;
        Ok(sender)
    })
    .await
}

/// Passes on the messages between the job and its holder, until the job has ended.
async fn follow(mut job: Attachment, sender: &mut ControlSender, receiver: ControlReceiver) -> Result<Report, Fault> {
    let mut receiver = Some(receiver);
    loop {
        tokio::select! {
            event = job.event() => match event? {
                Event::Exited(exit) => sender.send(&FromServer::Exited(exit)).await?,
                Event::Ended(report) => {
                    receiver.into_iter().for_each(ControlReceiver::ignore);
                    return Ok(*report);
                }
            },
            message = next(&mut receiver) => match message {
                Ok(None) => receiver = None,
                Ok(Some(FromClient::Resize(_) | FromClient::Unknown(_))) => {}
                // Nothing that follows can be understood.
                Err(ControlError::Message(fault)) => {
                    receiver = None;
                    job.job().order(Order::Cancel(fault.advise("the command was killed"))).await;
                }
                Err(ControlError::Stream(error)) => return Err(error.into()),
                Ok(Some(FromClient::Signal(name))) => {
                    if let Some(number) = signal::number(&name) {
                        job.job().order(Order::Signal(number)).await;
                    }
                }
            }
        }
    }
}

async fn next(receiver: &mut Option<ControlReceiver>) -> Result<Option<FromClient>, ControlError> {
    match receiver {
        Some(receiver) => receiver.next().await,
        None => std::future::pending().await,
    }
}

async fn conclude(sender: ControlSender, began: Instant, mut report: Report) -> Result<Report, Fault> {
    report.wall_us = began.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
    sender.send_final(&FromServer::Outcome(Box::new(report.clone()))).await?;
    Ok(report)
}

/// Says that nothing ran.
pub(crate) async fn refuse(sender: ControlSender, fault: Fault) -> Result<Report, Fault> {
    crate::ops::refuse(sender, fault.clone()).await?;
    Ok(Report::of(Outcome::Refused(fault)))
}

/// An output's way to the client.
struct ToStream {
    stream: SendStream,
    limit: Option<Arc<Limit>>,
}

/// How much a command may print to both outputs. What it prints until it is killed is sent, too.
struct Limit {
    limit: u64,
    left: AtomicU64,
    job: Arc<Job>,
}

impl Limit {
    async fn count(&self, bytes: u64) {
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(bytes)));
        if left.is_ok_and(|left| left < bytes) {
            self.job.order(Order::OutputLimit(self.limit)).await;
        }
    }
}

impl OutputSink for ToStream {
    async fn write(&mut self, data: Bytes) -> Result<(), SinkClosed> {
        if let Some(limit) = &self.limit {
            limit.count(data.len() as u64).await;
        }
        self.stream.write_all(data).await.map_err(|_| SinkClosed)
    }

    fn close(self, end: &StreamEnd) {
        match end {
            StreamEnd::Eof | StreamEnd::HeldOpen => self.stream.finish(),
            StreamEnd::Cut => self.stream.reset(Code::System),
            _ => self.stream.reset(Code::Cancelled),
        }
    }
}

/// An input's way from the client.
struct FromStream(RecvStream);

impl InputSource for FromStream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.0.read(READ).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_its_place_and_gets_its_last_value() {
        let pairs = [("A", "1"), ("B", "2"), ("A", "3")].map(|(name, value)| (name.into(), value.into()));
        let expected = [("A", "3"), ("B", "2")].map(|(name, value)| (OsString::from(name), OsString::from(value)));
        assert_eq!(merged(pairs.into_iter()), expected);
    }

    #[test]
    fn a_hundred_thousand_variables_take_no_time() {
        let began = Instant::now();
        let many = (0..100_000).map(|number| (format!("V{number}").into(), "x".into()));
        assert_eq!(merged(many).len(), 100_000);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
