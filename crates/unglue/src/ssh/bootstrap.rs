//! The steps of a connection by ssh, from its start to a program that serves.

use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use unglue_link::threads::on_thread;
use unglue_link::{BoxedIo, ChildProcess, LOGIN_STEPS};

use super::Ssh;
use super::child::attended;
use super::command::{Marker, Start, remote_command, ssh_command};
use super::conversation::{Break, Conversation};
use super::failure::{Failure, Retry, Scene, Stage};
use super::program::{Packed, Packing, Program, Programs};
use super::stderr::Stderr;
use crate::client::NotConnected;

/// The script that receives the program.
const UPLOAD: &str = include_str!("upload.sh");

/// How long ssh may take to log in where no person can be asked, and where one can: sshd's own limit is 120 s (LoginGraceTime).
const LOGIN: Duration = Duration::from_secs(60);
const LOGIN_BY_HAND: Duration = Duration::from_secs(180);
/// How long the other side may take from its first output to the script's start.
const SCRIPT: Duration = Duration::from_secs(20);
/// How long each answer of the scripts may take, each piece of an upload, and the program's start.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the last line of standard error is waited for once ssh has ended.
const LAST_LINE: Duration = Duration::from_millis(50);

/// Connects: at most three sessions, where the first ones find a restricted shell or a damaged program.
pub(super) async fn connect(ssh: &Ssh) -> Result<BoxedIo, NotConnected> {
    let until = ssh.options.limit.map(|limit| Instant::now() + limit);
    let programs = Programs::new(&ssh.options);
    let (mut start, mut again) = (Start::ByPath, false);
    loop {
        let failure = match Session::open(ssh, &programs, start, again, until) {
            Ok(session) => match session.run().await {
                Ok(io) => return Ok(io),
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        match failure.retry {
            Some(Retry::ByName) if start == Start::ByPath => start = Start::ByName,
            Some(Retry::Again) if !again => again = true,
            _ => return Err(failure.at(&ssh.name())),
        }
        tracing::debug!(target: LOGIN_STEPS, "ssh is tried again in another way");
    }
}

/// One session of ssh.
struct Session<'a> {
    ssh: &'a Ssh,
    programs: &'a Programs,
    talk: Conversation,
    stderr: Stderr,
    marker: Marker,
    again: bool,
    stage: Stage,
}

/// What the other side is, in its own words.
struct System {
    name: String,
    machine: String,
    packing: Packing,
    installed: String,
}

impl<'a> Session<'a> {
    fn open(
        ssh: &'a Ssh,
        programs: &'a Programs,
        start: Start,
        again: bool,
        until: Option<Instant>,
    ) -> Result<Session<'a>, Failure> {
        let marker = Marker::new();
        let mut command = ssh_command(ssh, &remote_command(start, &marker, again, &programs.candidates()));
        attended(&mut command);
        let program = command.get_program().to_owned();
        let started = |error: io::Error| {
            let what = format!("{} could not be started: {error}", program.display());
            Failure::new(Stage::Start, what, "install OpenSSH's client, or name another one in UNGLUE_SSH")
        };
        let (stderr, writer) = Stderr::open(ssh.options.report.clone()).map_err(started)?;
        command.stderr(writer);
        let words: Vec<String> = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .take_while(|word| !word.contains("-c '"))
            .collect();
        tracing::debug!(target: LOGIN_STEPS, "running {} {}", program.display(), words.join(" "));
        let process = ChildProcess::spawn(command).map_err(started)?;
        let talk = Conversation::new(process, marker.whole(), until);
        Ok(Session { ssh, programs, talk, stderr, marker, again, stage: Stage::Login })
    }

    /// To the link, or to why there is none.
    async fn run(mut self) -> Result<BoxedIo, Failure> {
        match self.steps().await {
            Ok(()) => {
                self.stderr.connected();
                let (process, unread) = self.talk.into_parts();
                Ok(Box::new(Joined { process, unread, stderr: self.stderr, broken: None }))
            }
            Err(Stop::Failed(failure)) => {
                end(&self.talk.process);
                Err(failure)
            }
            Err(Stop::Broken(broken)) => Err(self.explain(broken).await),
        }
    }

    async fn explain(self, broken: Break) -> Failure {
        end(&self.talk.process);
        let lines = self.stderr.last().await;
        let noise = self.talk.noise();
        let by_hand = format!("ssh {}", self.ssh.name());
        let scene = Scene { by_hand: &by_hand, lines: &lines, noise: &noise };
        match self.stage {
            Stage::Login => scene.login(broken),
            // Nothing was uploaded now: what is there may be cut short, or of another machine that shares the home.
            Stage::Run if !self.again => scene.later(self.stage, broken).retry(Retry::Again),
            stage => scene.later(stage, broken),
        }
    }

    async fn steps(&mut self) -> Result<(), Stop> {
        let login = if self.ssh.options.interactive { LOGIN_BY_HAND } else { LOGIN };
        let first = self.talk.first(login, SCRIPT).await?;
        tracing::debug!(target: LOGIN_STEPS, "logged in; the other side runs the script");
        match first.split_once(' ').unwrap_or((&first, "")) {
            ("run", path) => self.runs(path),
            _ => self.bring().await?,
        }
        match self.talk.line(ANSWER).await?.as_str() {
            "ready" => Ok(()),
            other => Err(Stop::Failed(Failure::new(self.stage, format!("the program answered {other:?}"), ""))),
        }
    }

    fn runs(&mut self, path: &str) {
        self.stage = Stage::Run;
        tracing::debug!(target: LOGIN_STEPS, "the program on the other side is {path}");
    }

    /// The program isn't there: uploads it, or has one run that is installed.
    async fn bring(&mut self) -> Result<(), Stop> {
        self.stage = Stage::Probe;
        let script = format!("{}\n{UPLOAD}", UPLOAD.len());
        self.talk.send(script.as_bytes(), ANSWER).await?;
        let system = System::read(&self.talk.line(ANSWER).await?);
        tracing::debug!(target: LOGIN_STEPS, "the other side is {} on {}", system.name, system.machine);
        match self.programs.of(&system.name, &system.machine) {
            Ok(program) => self.upload(&program, &system).await,
            Err(failure) => self.installed(&system, failure).await,
        }
    }

    async fn upload(&mut self, program: &Program, system: &System) -> Result<(), Stop> {
        self.stage = Stage::Upload;
        let unreadable =
            |why: String| Failure::new(Stage::Upload, format!("{} can't be read: {why}", program.path.display()), "");
        let (path, packing) = (program.path.clone(), system.packing);
        let packed = on_thread("unglue-pack", move || Packed::of(&path, packing)).await;
        let packed = packed.map_err(|error| unreadable(error.to_string()))?;
        let packed = packed.map_err(|error| unreadable(error.to_string()))?;
        let (size, length) = (packed.size, packed.bytes.len());
        let again = u8::from(self.again);
        let put = format!("put {} {size} {length} {} {again}\n", program.directory, self.marker.part());
        self.talk.send(put.as_bytes(), ANSWER).await?;
        loop {
            let line = self.talk.line(ANSWER).await?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("send", directory) => {
                    let from = program.path.display();
                    tracing::debug!(target: LOGIN_STEPS, "uploading {from} to {directory}: {size} bytes, {length} packed");
                    self.talk.send(&packed.bytes, ANSWER).await?;
                }
                ("run", path) => {
                    self.again = true;
                    self.runs(path);
                    return Ok(());
                }
                ("unfit", why) => {
                    let failure = program.unfit(why, &system.machine);
                    return self.installed(system, failure).await;
                }
                ("nowhere", why) => {
                    let what = format!("there is no place for the program: {why}");
                    let advice =
                        "one of ~/.cache, XDG_RUNTIME_DIR, /dev/shm and /tmp must have room and allow programs";
                    return self.installed(system, Failure::new(Stage::Upload, what, advice)).await;
                }
                (other, _) => {
                    let what = format!("the other side answered {other:?}");
                    return Err(Failure::new(Stage::Upload, what, "").into());
                }
            }
        }
    }

    /// Has the program run that is installed on the other side, whatever its version, if there is one.
    async fn installed(&mut self, system: &System, failure: Failure) -> Result<(), Stop> {
        if system.installed.is_empty() {
            return Err(failure.into());
        }
        self.talk.send(b"installed\n", ANSWER).await?;
        let line = self.talk.line(ANSWER).await?;
        self.again = true;
        self.runs(line.trim_start_matches("run "));
        Ok(())
    }
}

impl System {
    /// `system NAME MACHINE PACKING [INSTALLED]`
    fn read(line: &str) -> System {
        let mut words = line.splitn(5, ' ').skip(1).map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (name, machine, packing) = (word(), word(), word());
        let packing = if packing == "gzip" { Packing::Gzip } else { Packing::Plain };
        let installed = word();
        let installed = if Path::new(&installed).is_absolute() { installed } else { String::new() };
        System { name, machine, packing, installed }
    }
}

/// Why the steps stopped.
enum Stop {
    Failed(Failure),
    Broken(Break),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<Break> for Stop {
    fn from(broken: Break) -> Stop {
        Stop::Broken(broken)
    }
}

/// Ends ssh by the signal on which it puts the terminal back in order.
fn end(process: &ChildProcess) {
    let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    // It may have ended by itself.
    let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
}

/// The session as a link's connection: what had arrived with the last line comes first.
struct Joined {
    process: ChildProcess,
    unread: Vec<u8>,
    /// Read on until the session's end, so that ssh is never held up.
    stderr: Stderr,
    /// How reading ended, while the last line of standard error is waited for.
    broken: Option<(io::Error, Pin<Box<Sleep>>)>,
}

impl Joined {
    /// The error with which reading ended, with what ssh or the program on the other side said last.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((_, timer)) = &mut self.broken else { return Poll::Ready(Ok(())) };
        let (said, complete) = self.stderr.latest();
        if !complete {
            ready!(timer.as_mut().poll(cx));
        }
        let Some((error, _)) = self.broken.take() else { return Poll::Ready(Ok(())) };
        Poll::Ready(Err(match said {
            Some(said) => io::Error::new(error.kind(), format!("{error}: {}", said.trim_start_matches("unglue: "))),
            None => error,
        }))
    }
}

impl AsyncRead for Joined {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            self.unread.drain(..count);
            return Poll::Ready(Ok(()));
        }
        if self.broken.is_none() {
            match ready!(Pin::new(&mut self.process).poll_read(cx, buffer)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => self.broken = Some((error, Box::pin(sleep(LAST_LINE)))),
            }
        }
        self.poll_broken(cx)
    }
}

impl AsyncWrite for Joined {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.process).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.process).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.process.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.process).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.process).poll_shutdown(cx)
    }
}
