//! The server's half: a command from its request to its report.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;
use unglue_host::process::{Command, InputSource, OutputSink, SinkClosed, SpawnError, Supervisors, errno_name};
use unglue_jobs::{Attachment, Claim, Event, Kind, Registry, Started, Stdio, start};
use unglue_link::{Link, RecvStream, SendStream};
use unglue_proto::life::Terms;
use unglue_proto::limits::TURN;
use unglue_proto::message::exec::{
    self as wire, Exec, FromClient, FromServer, Outcome, Report, SpawnFailed, SpawnStep, StreamEnd,
};
use unglue_proto::{Code, Fault, signal};

use crate::ops::{Control, ControlError, ControlReceiver, ControlSender};

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
        let argv: Vec<OsString> = exec.argv.iter().cloned().map(OsString::from).collect();
        if argv.is_empty() {
            return Err(Fault::user(Code::BadMessage, "a command without a program").advise("name one"));
        }
        let asked = exec.env.iter().cloned().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let env = merged(self.environment.iter().cloned().chain(asked));
        let cwd = exec.cwd.clone().map(OsString::from).unwrap_or_default();
        Ok(Command { argv, env, cwd: self.top.join(cwd), stdin: exec.stdin.is_some() })
    }

    async fn start(&self, exec: &Exec, claim: Claim) -> Result<Started, Outcome> {
        let command = self.command(exec).map_err(Outcome::Refused)?;
        let terms = Terms { timeout: exec.timeout_ms.map(Duration::from_millis), descendants: exec.descendants };
        let starting = timeout(TURN, start(&self.supervisors, &command, terms, claim)).await;
        starting.map_err(|_| Outcome::Refused(crowded()))?.map_err(|error| not_started(&error))
    }
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

/// Runs a command and reports how it ended. When this is dropped, the command is killed.
///
/// # Errors
/// The client has gone; what is left of the command is killed.
pub(crate) async fn serve(
    link: &Link,
    runner: &Runner,
    (registry, user): (&Registry, &str),
    exec: Exec,
    control: Control,
) -> Result<Report, Fault> {
    let began = Instant::now();
    let stdin = exec.stdin.map(|number| link.claim(number)).transpose()?;
    let Control { mut sender, receiver } = control;
    let claim = registry.claim(user, &exec.id, Kind::Job);
    let claim = match claim.map_err(|in_use| Fault::user(Code::IdInUse, in_use.to_string())) {
        Ok(claim) => claim,
        Err(fault) => return refuse(sender, fault.advise("give each command an id of its own")).await,
    };
    let started = match runner.start(&exec, claim).await {
        Ok(started) => started,
        Err(Outcome::Refused(fault)) => return refuse(sender, fault).await,
        Err(outcome) => return conclude(sender, began, Report::of(outcome)).await,
    };
    let (stdout, stderr) = (link.open_unidirectional().await?, link.open_unidirectional().await?);
    let message = wire::Started { pid: started.pid(), stdout: stdout.number(), stderr: stderr.number() };
    sender.send(&FromServer::Started(message)).await?;
    let stdin = stdin.map(FromStream);
    let job = started.run(Stdio::Direct { stdin, stdout: ToStream(stdout), stderr: ToStream(stderr) });
    let report = follow(job, &mut sender, receiver).await?;
    conclude(sender, began, report).await
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
                Ok(Some(FromClient::Unknown(_))) => {}
                // Nothing that follows can be understood.
                Err(ControlError::Message(fault)) => {
                    receiver = None;
                    job.cancel(fault.advise("the command was killed")).await;
                }
                Err(ControlError::Stream(error)) => return Err(error.into()),
                Ok(Some(FromClient::Signal(name))) => {
                    if let Some(number) = signal::number(&name) {
                        job.signal(number).await;
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
struct ToStream(SendStream);

impl OutputSink for ToStream {
    async fn write(&mut self, data: Bytes) -> Result<(), SinkClosed> {
        self.0.write_all(data).await.map_err(|_| SinkClosed)
    }

    fn close(self, end: &StreamEnd) {
        match end {
            StreamEnd::Eof | StreamEnd::HeldOpen => self.0.finish(),
            StreamEnd::Cut => self.0.reset(Code::System),
            _ => self.0.reset(Code::Cancelled),
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

fn crowded() -> Fault {
    let seconds = TURN.as_secs();
    Fault::system(Code::Busy, format!("as many commands run as this server allows, and none ended within {seconds} s"))
        .advise("nothing ran; try again later")
}

fn not_started(error: &SpawnError) -> Outcome {
    let step = match error {
        SpawnError::Invalid { .. } => return Outcome::Refused(Fault::user(Code::BadMessage, error.to_string())),
        SpawnError::NeverReady | SpawnError::Lost | SpawnError::Deadline { .. } => {
            return Outcome::Failed(Fault::system(Code::System, error.to_string()));
        }
        SpawnError::Program { .. } => SpawnStep::Program,
        SpawnError::Cwd { .. } => SpawnStep::Cwd,
        SpawnError::System { .. } => SpawnStep::Resources,
    };
    let number = error.errno().unwrap_or_default();
    let errno = errno_name(number).map_or_else(|| format!("E{number}"), str::to_owned);
    Outcome::SpawnFailed(SpawnFailed { errno, step, what: error.to_string() })
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
