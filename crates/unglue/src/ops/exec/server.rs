//! The server's half: a command from its request to its report.

use std::ffi::OsString;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use unglue_host::process::{self, Command, Job, JobError, Pipes, SpawnError, Status, Supervisors, errno_name};
use unglue_link::{Link, RecvStream};
use unglue_proto::limits::DRAIN;
use unglue_proto::message::exec::{
    Descendants, Exec, Exit, FromClient, FromServer, Left, Outcome, Report, SpawnFailed, SpawnStep, Started, Stream,
    StreamEnd, TimedOut,
};
use unglue_proto::{Code, Fault, signal};

use super::pump::{self, Drain};
use crate::ops::flow::Meter;
use crate::ops::{Control, Listener, Speaker};

/// Where commands run.
#[derive(Clone)]
pub(crate) struct Host {
    /// The processes that own them.
    pub(crate) supervisors: Supervisors,
    /// What a login's environment holds.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The directory that they start in: the home, or the root's top.
    pub(crate) top: PathBuf,
}

impl Host {
    fn command(&self, exec: &Exec) -> Result<Command, Fault> {
        let argv: Vec<OsString> = exec.argv.iter().cloned().map(OsString::from).collect();
        if argv.is_empty() {
            return Err(Fault::user(Code::BadMessage, "a command without a program").advise("name one"));
        }
        let mut env = self.environment.clone();
        for (name, value) in exec.env.iter().cloned() {
            let name = OsString::from(name);
            env.retain(|(known, _)| *known != name);
            env.push((name, value.into()));
        }
        let cwd = exec.cwd.clone().map(OsString::from).unwrap_or_default();
        Ok(Command { argv, env, cwd: self.top.join(cwd), stdin: exec.stdin.is_some() })
    }
}

/// Runs a command and reports how it ended. A client that goes away takes its command with it.
///
/// # Errors
/// The client has gone; nothing is left of the command.
pub(crate) async fn serve(link: &Link, host: &Host, exec: Exec, control: Control) -> Result<Report, Fault> {
    let began = Instant::now();
    let Control { mut speaker, listener } = control;
    let mut report = run(link, host, &exec, &mut speaker, listener).await?;
    report.wall_us = began.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
    speaker.conclude(&FromServer::Outcome(Box::new(report.clone()))).await?;
    Ok(report)
}

/// The report of a command that never ran.
pub(crate) fn refused(fault: Fault) -> Report {
    ended(Outcome::Refused { refused: fault })
}

async fn run(
    link: &Link,
    host: &Host,
    exec: &Exec,
    speaker: &mut Speaker,
    listener: Listener,
) -> Result<Report, Fault> {
    let stdin = exec.stdin.map(|number| link.claim(number)).transpose()?;
    let command = match host.command(exec) {
        Ok(command) => command,
        Err(fault) => return Ok(refused(fault)),
    };
    let (job, pipes) = match host.supervisors.spawn(&command).await {
        Ok(started) => started,
        Err(error) => return Ok(ended(not_started(&error))),
    };
    let (stdout, stderr) = (link.open_unidirectional().await?, link.open_unidirectional().await?);
    let started = Started { pid: job.pid(), stdout: stdout.number(), stderr: stderr.number() };
    speaker.say(&FromServer::Started(started)).await?;

    let (drain, watch) = watch::channel(Drain::Wait);
    let Pipes { stdin: stdin_pipe, stdout: stdout_pipe, stderr: stderr_pipe } = pipes;
    let (mut stdout_pipe, mut stderr_pipe) = (Some(stdout_pipe), Some(stderr_pipe));
    let outputs = async {
        tokio::join!(
            pump::output(&mut stdout_pipe, stdout, watch.clone()),
            pump::output(&mut stderr_pipe, stderr, watch.clone())
        )
    };
    let execution = Execution {
        job,
        speaker,
        listener: Some(listener),
        drain,
        descendants: exec.descendants,
        timeout: exec.timeout_ms.map(Duration::from_millis),
        exit: None,
        failure: None,
        timed_out: false,
    };
    execution.run(outputs, stdin.zip(stdin_pipe)).await
}

/// A command under way.
struct Execution<'a> {
    job: Job,
    speaker: &'a mut Speaker,
    /// `None` once the client has said all that it will.
    listener: Option<Listener>,
    drain: watch::Sender<Drain>,
    descendants: Descendants,
    timeout: Option<Duration>,
    exit: Option<Exit>,
    failure: Option<Fault>,
    timed_out: bool,
}

impl Execution<'_> {
    async fn run(
        mut self,
        outputs: impl Future<Output = (Stream, Stream)>,
        stdin: Option<(RecvStream, tokio::net::unix::pipe::Sender)>,
    ) -> Result<Report, Fault> {
        let mut meter = Meter::default();
        let has_stdin = stdin.is_some();
        let mut stdin_end = None;
        let streams = {
            let mut outputs = pin!(outputs);
            let mut input = pin!(feed(stdin, &mut meter));
            let mut timeout = pin!(sleep_or_never(self.timeout));
            let mut drained = pin!(sleep_or_never(None));
            let mut streams = None;
            while streams.is_none() || !self.is_over() {
                tokio::select! {
                    both = &mut outputs, if streams.is_none() => streams = Some(both),
                    exit = self.job.exited(), if !self.is_over() => {
                        self.ended(exit).await?;
                        drained.set(sleep_or_never(Some(DRAIN)));
                    }
                    end = &mut input, if has_stdin && stdin_end.is_none() => match end {
                        Ok(end) => stdin_end = Some(end),
                        Err(fault) => {
                            stdin_end = Some(StreamEnd::Cut);
                            self.kill(Some(fault)).await;
                        }
                    },
                    message = next(&mut self.listener) => self.hear(message?),
                    () = &mut timeout, if !self.timed_out && !self.is_over() => {
                        self.timed_out = true;
                        self.kill(None).await;
                    }
                    () = &mut drained, if streams.is_none() => {
                        self.drain.send_replace(Drain::Last);
                        // The outputs see whether they are held open before the holders are killed.
                        streams = poll_once(outputs.as_mut()).await;
                        self.cut_off().await;
                        drained.set(sleep_or_never(None));
                    }
                }
            }
            streams
        };
        let stdin = has_stdin.then(|| Stream { tally: meter.tally(), end: stdin_end.unwrap_or(StreamEnd::Abandoned) });
        Ok(self.report(streams, stdin).await)
    }

    /// Nothing more will be heard of the command's own process.
    fn is_over(&self) -> bool {
        self.exit.is_some() || self.failure.is_some()
    }

    async fn ended(&mut self, exit: Result<process::Exit, JobError>) -> Result<(), Fault> {
        match exit {
            Ok(exit) => {
                let exit = exit_of(exit.status);
                self.exit = Some(exit.clone());
                self.speaker.say(&FromServer::Exited(exit)).await
            }
            Err(error) => {
                self.fail(&error);
                Ok(())
            }
        }
    }

    fn fail(&mut self, error: &JobError) {
        self.failure.get_or_insert(Fault::system(Code::System, error.to_string()));
    }

    /// Kills the whole tree, because of the fault if there is one.
    async fn kill(&mut self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.failure.get_or_insert(fault);
        }
        if let Err(error) = self.job.end_tree(process::Descendants::Kill).await {
            self.fail(&error);
        }
        if self.failure.is_some() {
            self.drain.send_replace(Drain::Last);
        }
    }

    /// The command's own process has ended and a descendant still holds an output: it had its last moment.
    async fn cut_off(&mut self) {
        if self.descendants == Descendants::Kill {
            self.kill(None).await;
        }
    }

    fn hear(&mut self, message: Option<FromClient>) {
        match message {
            None => self.listener = None,
            // A signal that comes too late has nobody to go to; that is no error.
            Some(FromClient::Signal(name)) => {
                let _ = signal::number(&name).map(|number| self.job.signal(number));
            }
        }
    }

    async fn report(mut self, streams: Option<(Stream, Stream)>, stdin: Option<Stream>) -> Report {
        let wanted = match self.descendants {
            Descendants::Leave if !self.timed_out && self.failure.is_none() => process::Descendants::Leave,
            _ => process::Descendants::Kill,
        };
        let left = self.job.end_tree(wanted).await;
        let outcome = match (self.failure, self.exit) {
            (Some(failed), _) => Outcome::Failed { failed },
            (None, _) if self.timed_out => {
                let after_ms = self.timeout.unwrap_or_default().as_millis().try_into().unwrap_or(u64::MAX);
                Outcome::TimedOut { timed_out: TimedOut { after_ms } }
            }
            (None, Some(exit)) => Outcome::Ended(exit),
            (None, None) => Outcome::Failed { failed: Fault::us("a command ended without an exit") },
        };
        if let Some(listener) = self.listener.take() {
            listener.ignore();
        }
        let (stdout, stderr) = streams.unzip();
        Report { outcome, stdout, stderr, stdin, descendants: left.ok().map(left_of), wall_us: 0 }
    }
}

async fn feed(
    stdin: Option<(RecvStream, tokio::net::unix::pipe::Sender)>,
    meter: &mut Meter,
) -> Result<StreamEnd, Fault> {
    match stdin {
        Some((stream, pipe)) => pump::input(stream, pipe, meter).await,
        None => std::future::pending().await,
    }
}

/// Lets a future go on as far as it can now.
async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

async fn sleep_or_never(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

async fn next(listener: &mut Option<Listener>) -> Result<Option<FromClient>, Fault> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

fn ended(outcome: Outcome) -> Report {
    Report { outcome, stdout: None, stderr: None, stdin: None, descendants: None, wall_us: 0 }
}

fn exit_of(status: Status) -> Exit {
    match status {
        Status::Exited { code } => Exit::Exited { exited: code.into() },
        Status::Signalled { signal, core } => Exit::Signalled { signalled: signal::name(signal), core },
    }
}

fn left_of(left: process::Left) -> Left {
    match left {
        process::Left::None => Left::None,
        process::Left::Killed(_) => Left::Killed,
        process::Left::Running(_) | process::Left::Unkillable(_) => Left::Left,
    }
}

fn not_started(error: &SpawnError) -> Outcome {
    let step = match error {
        SpawnError::Invalid { .. } => {
            return Outcome::Refused { refused: Fault::user(Code::BadMessage, error.to_string()) };
        }
        SpawnError::Stillborn | SpawnError::Lost | SpawnError::Deadline { .. } => {
            return Outcome::Failed { failed: Fault::system(Code::System, error.to_string()) };
        }
        SpawnError::Program { .. } => SpawnStep::Program,
        SpawnError::Cwd { .. } => SpawnStep::Cwd,
        SpawnError::System { .. } => SpawnStep::Resources,
    };
    let number = error.errno().unwrap_or_default();
    let errno = errno_name(number).map_or_else(|| format!("E{number}"), str::to_owned);
    Outcome::SpawnFailed { spawn_failed: SpawnFailed { errno, step, what: error.to_string() } }
}
