//! The client's half: what to run, its streams, and how it ended.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use unglue_link::{Link, RecvStream, SendStream, StreamError};
use unglue_proto::message::exec::{
    self as wire, Descendants, Exit, FromClient, FromServer, Outcome, Report, Stream, StreamEnd,
};
use unglue_proto::message::{Request, Tally};
use unglue_proto::{Code, Fault, signal};

use crate::ops::flow::Meter;
use crate::ops::{Control, Listener, Speaker, fresh_id, unbroken};

/// Bytes that [`Running::collect`] reads at once.
const READ: usize = 64 * 1024;

/// A command to run on the server: exactly these bytes, no shell.
///
/// ```
/// use std::time::Duration;
/// use unglue::Exec;
///
/// let exec = Exec::new(["make", "-j2"]).env("CC", "clang").cwd("src").timeout(Duration::from_secs(600));
/// assert!(exec.id().contains('-'));
/// ```
#[derive(Debug, Clone)]
pub struct Exec {
    id: String,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<OsString>,
    stdin: bool,
    timeout: Option<Duration>,
    descendants: Descendants,
}

impl Exec {
    /// The program and its arguments. The command reads nothing and starts in the home directory or the root's top.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Exec {
        Exec {
            id: fresh_id(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            stdin: false,
            timeout: None,
            descendants: Descendants::Kill,
        }
    }

    /// A line for the shell: `sh -c TEXT`.
    pub fn shell(text: impl Into<OsString>) -> Exec {
        Exec::new([OsString::from("sh"), OsString::from("-c"), text.into()])
    }

    /// The operation's id, fresh for each.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sets a variable on top of the login environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Exec {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The working directory on the server, relative to the home directory or the root's top.
    pub fn cwd(mut self, path: impl AsRef<OsStr>) -> Exec {
        self.cwd = Some(path.as_ref().to_owned());
        self
    }

    /// Gives the command a standard input, to be fed through [`Running::stdin`].
    pub fn with_stdin(mut self) -> Exec {
        self.stdin = true;
        self
    }

    /// How long the command may run before its tree is killed.
    pub fn timeout(mut self, limit: Duration) -> Exec {
        self.timeout = Some(limit);
        self
    }

    /// Leaves alone what outlives the command's own process, instead of killing it.
    pub fn keep_descendants(mut self) -> Exec {
        self.descendants = Descendants::Leave;
        self
    }

    fn request(&self, stdin: Option<u64>) -> Request {
        let mut require = Vec::new();
        if self.timeout.is_some() {
            require.push("timeout_ms".to_owned());
        }
        Request::Exec(Box::new(wire::Exec {
            id: self.id.clone(),
            argv: self.argv.iter().map(|arg| arg.as_os_str().into()).collect(),
            env: self.env.iter().map(|(name, value)| (name.as_os_str().into(), value.as_os_str().into())).collect(),
            cwd: self.cwd.as_deref().map(Into::into),
            stdin,
            timeout_ms: self.timeout.map(|limit| limit.as_millis().try_into().unwrap_or(u64::MAX)),
            descendants: self.descendants,
            require,
        }))
    }
}

/// A command under way.
///
/// The streams may be moved to wherever they are read and written; a stream that is dropped before its end is *given up*,
/// and the report says so. Dropping the whole kills the command.
pub struct Running {
    /// The command's input, if it was asked for. Finish it, or the command waits for more.
    pub stdin: Option<Input>,
    /// What it prints. `None` if it never started.
    pub stdout: Option<Output>,
    /// What it complains about. `None` if it never started.
    pub stderr: Option<Output>,
    speaker: Speaker,
    progress: Progress,
}

/// The part of a running command that waits for its end.
struct Progress {
    listener: Listener,
    exit: Option<Exit>,
    report: Option<Report>,
    seen: Seen,
}

/// What the streams have reported of themselves.
#[derive(Default)]
struct Seen {
    stdin: Witness,
    stdout: Witness,
    stderr: Witness,
}

/// A stream that tells what it saw once it has ended.
#[derive(Default)]
enum Witness {
    /// There is no such stream.
    #[default]
    Absent,
    Awaited(oneshot::Receiver<Sight>),
    Heard(Sight),
}

/// What this end saw of a stream.
struct Sight {
    tally: Tally,
    end: SightEnd,
}

/// How a stream ended for this end.
enum SightEnd {
    /// With its last byte.
    Whole,
    /// Whoever had it let it go.
    GivenUp,
    /// It broke off.
    Cut(StreamError),
}

/// Everything that a command printed, up to a cap, and how it ended.
#[derive(Debug, Clone)]
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
    let Control { mut speaker, mut listener } = Control::new(link.open_bidirectional().await?);
    let stdin = match exec.stdin {
        true => Some(link.open_unidirectional().await?),
        false => None,
    };
    speaker.say(&exec.request(stdin.as_ref().map(SendStream::number))).await?;
    match listener.expect().await? {
        FromServer::Started(started) => {
            let (stdout, stdout_seen) = Output::new(link.claim(started.stdout)?);
            let (stderr, stderr_seen) = Output::new(link.claim(started.stderr)?);
            let seen = Seen {
                stdin: Witness::Absent,
                stdout: Witness::Awaited(stdout_seen),
                stderr: Witness::Awaited(stderr_seen),
            };
            let progress = Progress { listener, exit: None, report: None, seen };
            Ok(Running::started(stdin, stdout, stderr, speaker, progress))
        }
        FromServer::Outcome(report) => {
            let progress = Progress { listener, exit: None, report: Some(*report), seen: Seen::default() };
            Ok(Running { stdin: None, stdout: None, stderr: None, speaker, progress })
        }
        FromServer::Exited(_) => Err(Fault::peer(Code::BadMessage, "a command ended before it started")),
    }
}

impl Running {
    fn started(
        stdin: Option<SendStream>,
        stdout: Output,
        stderr: Output,
        speaker: Speaker,
        mut progress: Progress,
    ) -> Running {
        let stdin = stdin.map(|stream| {
            let (input, seen) = Input::new(stream);
            progress.seen.stdin = Witness::Awaited(seen);
            input
        });
        Running { stdin, stdout: Some(stdout), stderr: Some(stderr), speaker, progress }
    }

    /// Sends a signal to the command's process group.
    ///
    /// # Errors
    /// There is no such signal, or the link has ended.
    pub async fn signal(&mut self, number: i32) -> Result<(), Fault> {
        self.speaker.say(&FromClient::Signal(signal::name(number))).await
    }

    /// Waits until the command's own process has ended; `None` if it never started, or its end isn't known. Its
    /// streams may still hold something. Cancelling it loses nothing.
    pub async fn exited(&mut self) -> Option<Exit> {
        while self.progress.exit.is_none() && self.progress.report.is_none() {
            self.progress.hear().await;
        }
        self.progress.exit.clone()
    }

    /// Waits for the outcome. Streams that are still in here are given up; those that were taken out must be read to
    /// their end or dropped, elsewhere, for this to return. Cancelling it loses nothing.
    ///
    /// An output that was let go is reported as abandoned, even if the command had ended by then.
    pub async fn outcome(&mut self) -> Report {
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
        while self.progress.report.is_none() {
            self.progress.hear().await;
        }
        self.progress.verified().await
    }

    /// Reads both outputs to their end, keeps at most `cap` bytes of each, and waits for the outcome.
    pub async fn collect(mut self, cap: usize) -> Collected {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        if let Some(stdin) = self.stdin.take() {
            stdin.finish();
        }
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
    /// Takes one message. The link's end is an outcome as well.
    async fn hear(&mut self) {
        match self.listener.expect().await {
            Ok(FromServer::Exited(exit)) => self.exit = Some(exit),
            Ok(FromServer::Outcome(report)) => self.report = Some(*report),
            Ok(FromServer::Started(_)) => {
                let fault = Fault::peer(Code::BadMessage, "a command started a second time");
                self.report = Some(unknown(Outcome::Failed { failed: fault }));
            }
            Err(fault) => self.report = Some(unknown(Outcome::LinkLost { link_lost: fault })),
        }
    }

    /// The report, once what arrived was held against what was sent.
    async fn verified(&mut self) -> Report {
        self.seen.stdin.hear().await;
        self.seen.stdout.hear().await;
        self.seen.stderr.hear().await;
        let Seen { stdin, stdout, stderr } = &self.seen;
        let (stdin, stdout, stderr) = (stdin.sight(), stdout.sight(), stderr.sight());
        let Some(report) = &mut self.report else {
            return unknown(Outcome::Failed { failed: Fault::us("there is no report") });
        };
        if matches!(report.outcome, Outcome::LinkLost { .. }) {
            report.stdout = report.stdout.take().or(stdout.map(Sight::cut));
            report.stderr = report.stderr.take().or(stderr.map(Sight::cut));
            return report.clone();
        }
        let checks = [
            check_input(report.stdin.as_ref(), stdin),
            check_output("stdout", &mut report.stdout, stdout),
            check_output("stderr", &mut report.stderr, stderr),
        ];
        if let Some(failed) = checks.into_iter().find_map(Result::err) {
            report.outcome = failed;
        }
        report.clone()
    }
}

impl Sight {
    fn cut(&self) -> Stream {
        Stream { tally: self.tally.clone(), end: StreamEnd::Cut }
    }
}

impl Witness {
    /// Waits until it has spoken. Cancelling it loses nothing.
    async fn hear(&mut self) {
        if let Witness::Awaited(sight) = self {
            *self = sight.await.map_or(Witness::Absent, Witness::Heard);
        }
    }

    fn sight(&self) -> Option<&Sight> {
        match self {
            Witness::Heard(sight) => Some(sight),
            Witness::Absent | Witness::Awaited(_) => None,
        }
    }
}

/// Holds the two ends' figures of the input against each other, unless the command did not take all of it.
fn check_input(theirs: Option<&Stream>, ours: Option<&Sight>) -> Result<(), Outcome> {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs.end == StreamEnd::Eof => verify("stdin", theirs, ours),
        _ => Ok(()),
    }
}

/// Holds the two ends' figures of an output against each other, unless its reader gave it up. The report may overtake
/// the last bytes of an output, so the link may still end between the two: a success is no success then.
fn check_output(name: &str, theirs: &mut Option<Stream>, ours: Option<&Sight>) -> Result<(), Outcome> {
    let Some(ours) = ours else { return Ok(()) };
    let Some(reported) = theirs else {
        let what = format!("the server reports the end of a command and nothing of its {name}");
        return Err(Outcome::Corrupt { corrupt: Fault::peer(Code::BadMessage, what) });
    };
    match &ours.end {
        SightEnd::Whole if reported.end == StreamEnd::Abandoned => Ok(()),
        SightEnd::Whole => verify(name, reported, ours),
        SightEnd::GivenUp => {
            reported.end = StreamEnd::Abandoned;
            Ok(())
        }
        SightEnd::Cut(StreamError::Lost(fault)) => {
            *theirs = Some(ours.cut());
            Err(Outcome::LinkLost { link_lost: fault.clone().into() })
        }
        SightEnd::Cut(StreamError::Reset(_)) => {
            let what = format!("{name} broke off after {} of {} bytes", ours.tally.bytes, reported.tally.bytes);
            *theirs = Some(ours.cut());
            Err(Outcome::Corrupt { corrupt: Fault::peer(Code::Mismatch, what) })
        }
    }
}

fn verify(name: &str, theirs: &Stream, ours: &Sight) -> Result<(), Outcome> {
    ours.tally.verify(&theirs.tally, name).map_err(|corrupt| Outcome::Corrupt { corrupt })
}

fn unknown(outcome: Outcome) -> Report {
    Report { outcome, stdout: None, stderr: None, stdin: None, descendants: None, wall_us: 0 }
}

/// One output of a running command.
pub struct Output {
    stream: RecvStream,
    meter: Meter,
    seen: Option<oneshot::Sender<Sight>>,
}

impl Output {
    fn new(stream: RecvStream) -> (Output, oneshot::Receiver<Sight>) {
        let (sender, seen) = oneshot::channel();
        (Output { stream, meter: Meter::default(), seen: Some(sender) }, seen)
    }

    /// Reads at most `max` bytes, at least one; `None` is the end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The output was cut off: the link ended.
    pub async fn read(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        let data = self.stream.read(max).await;
        match &data {
            Ok(Some(data)) => self.meter.pass(data),
            Ok(None) => self.report(SightEnd::Whole),
            Err(error) => self.report(SightEnd::Cut(error.clone())),
        }
        data
    }

    fn report(&mut self, end: SightEnd) {
        if let Some(seen) = self.seen.take() {
            // Whoever waits for it may be gone.
            let _ = seen.send(Sight { tally: self.meter.tally(), end });
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.report(SightEnd::GivenUp);
    }
}

/// The input of a running command. Dropped without [`Input::finish`], it cuts the input off, which kills the command: a
/// part of its input must not pass for the whole.
pub struct Input {
    stream: Option<SendStream>,
    meter: Meter,
    seen: Option<oneshot::Sender<Sight>>,
}

impl Input {
    fn new(stream: SendStream) -> (Input, oneshot::Receiver<Sight>) {
        let (sender, seen) = oneshot::channel();
        (Input { stream: Some(stream), meter: Meter::default(), seen: Some(sender) }, seen)
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// The command reads no more, or the link has ended.
    pub async fn write_all(&mut self, data: Bytes) -> Result<(), StreamError> {
        let Some(stream) = &mut self.stream else { return Err(StreamError::Reset(Code::Cancelled)) };
        self.meter.pass(&data);
        let written = stream.write_all(data).await;
        if let Err(error) = &written {
            self.report(SightEnd::Cut(error.clone()));
        }
        written
    }

    /// Waits until the command reads no more.
    pub async fn stopped(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.stopped().await;
        }
    }

    /// Ends the input: the command sees its end of file.
    pub fn finish(mut self) {
        if let Some(stream) = self.stream.take() {
            stream.finish();
        }
        self.report(SightEnd::Whole);
    }

    fn report(&mut self, end: SightEnd) {
        if let Some(seen) = self.seen.take() {
            let _ = seen.send(Sight { tally: self.meter.tally(), end });
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.report(SightEnd::GivenUp);
    }
}
