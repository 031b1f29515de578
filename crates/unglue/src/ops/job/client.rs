//! The client's half of requests about jobs.

use std::time::Duration;

use tokio::time::timeout;
use unglue_link::Link;
use unglue_proto::limits::START;
use unglue_proto::message::exec::{Nothing, TerminalSize};
use unglue_proto::message::{Request, jobs};
use unglue_proto::{Code, Fault, Side, signal as signals};

use super::follow::{Ask, follow};
use crate::client::Dialler;
use crate::ops::Control;
use crate::ops::exec::{Exec, Lease, Running, Seen, followed};

/// How long a lost link is tried for beyond the time that the command is kept.
const BEYOND: Duration = Duration::from_secs(60);
/// How long it is tried for where the command lives on in any case.
const LONG: Duration = Duration::from_secs(3600);

/// How to attach to a command. The default watches what it prints from now on.
///
/// ```
/// use unglue::AttachOptions;
///
/// let options = AttachOptions::default().from_start().hold();
/// ```
#[derive(Debug, Clone)]
pub struct AttachOptions {
    hold: bool,
    take: bool,
    stdin: bool,
    follow: bool,
    outputs: [Option<jobs::From>; 2],
    screen: Option<TerminalSize>,
}

impl Default for AttachOptions {
    fn default() -> AttachOptions {
        let now = || Some(jobs::From::End(Nothing {}));
        AttachOptions { hold: false, take: false, stdin: false, follow: true, outputs: [now(), now()], screen: None }
    }
}

impl AttachOptions {
    /// Sees everything that the command has printed.
    pub fn from_start(self) -> AttachOptions {
        self.stdout_from(0).stderr_from(0)
    }

    /// Sees standard output from this offset on.
    pub fn stdout_from(mut self, offset: u64) -> AttachOptions {
        self.outputs[0] = Some(jobs::From::Offset(offset));
        self
    }

    /// Sees standard error from this offset on.
    pub fn stderr_from(mut self, offset: u64) -> AttachOptions {
        self.outputs[1] = Some(jobs::From::Offset(offset));
        self
    }

    /// Doesn't see standard output.
    pub fn without_stdout(mut self) -> AttachOptions {
        self.outputs[0] = None;
        self
    }

    /// Doesn't see standard error.
    pub fn without_stderr(mut self) -> AttachOptions {
        self.outputs[1] = None;
        self
    }

    /// Doesn't wait for what is still to come.
    pub fn without_waiting(mut self) -> AttachOptions {
        self.follow = false;
        self
    }

    /// Holds the command: feeds its input, sends it signals, and counts for its lease. Only one client can.
    pub fn hold(mut self) -> AttachOptions {
        (self.hold, self.stdin) = (true, true);
        self
    }

    /// Holds the command even if another client does, which is told.
    pub fn take(self) -> AttachOptions {
        AttachOptions { take: true, ..self.hold() }
    }

    /// Sees the command's terminal as it is, on a terminal of this size: [`Running::stdout`] begins with a picture of it (its
    /// scrollback, its screen, its title, its modes), and goes on with what the command prints from there on. Nothing in the
    /// picture asks the terminal for an answer. A client that holds the command gives its terminal this size. For a command
    /// without a terminal it has no effect.
    pub fn screen(self, size: TerminalSize) -> AttachOptions {
        AttachOptions { screen: Some(size), ..self }
    }

    fn request(&self, job: &str) -> jobs::Attach {
        let [stdout, stderr] = self.outputs.clone();
        jobs::Attach {
            job: job.to_owned(),
            hold: self.hold,
            take: self.take,
            // A place for the stream's number.
            stdin: self.stdin.then_some(0),
            stdout,
            stderr,
            screen: self.screen,
            follow: self.follow,
            require: self.screen.map(|_| "screen".to_owned()).into_iter().collect(),
        }
    }

    /// Whether both outputs are seen whole.
    fn is_whole(&self) -> bool {
        self.follow && self.outputs.iter().all(|from| matches!(from, Some(jobs::From::Offset(0))))
    }
}

/// Starts a command that outlives its link.
pub(crate) async fn start_kept(dialler: Dialler, exec: &Exec, lease: Lease) -> Result<Running, Fault> {
    // Before it is asked for the first time, so that a second time can name the same journal.
    let journal = dialler.journal().await?;
    let id = exec.next_id();
    let patience = match lease {
        Lease::Keep(time) => time.saturating_add(BEYOND).min(LONG),
        _ => LONG,
    };
    let ask = Ask::Exec(Box::new(exec.clone()), id.clone());
    followed(follow(dialler, journal, ask, patience), id, exec.limit(), Seen::All).await
}

/// Attaches to a command.
pub(crate) async fn attach(dialler: Dialler, job: &str, options: &AttachOptions) -> Result<Running, Fault> {
    let ask = Ask::Attach(options.request(job));
    let seen = if options.is_whole() { Seen::Outputs } else { Seen::Nothing };
    followed(follow(dialler, None, ask, LONG), job.to_owned(), None, seen).await
}

/// Lists commands.
pub(crate) async fn list(link: &Link, job: Option<&str>) -> Result<Vec<jobs::Entry>, Fault> {
    ask(link, Request::Jobs(jobs::Jobs { job: job.map(str::to_owned), require: Vec::new() })).await
}

/// Sends a signal to a command.
pub(crate) async fn signal(link: &Link, job: &str, number: i32) -> Result<(), Fault> {
    let request = jobs::Signal { job: job.to_owned(), signal: signals::name(number), require: Vec::new() };
    ask(link, Request::Signal(request)).await.map(drop)
}

/// Forgets a command that has ended, and what it printed.
pub(crate) async fn remove(link: &Link, job: &str) -> Result<(), Fault> {
    ask(link, Request::Remove(jobs::Remove { job: job.to_owned(), require: Vec::new() })).await.map(drop)
}

async fn ask(link: &Link, request: Request) -> Result<Vec<jobs::Entry>, Fault> {
    let Control { mut sender, mut receiver } = Control::new(link.open_bidirectional().await?);
    sender.send(&request).await?;
    let mut entries = Vec::new();
    loop {
        let reply = timeout(START, receiver.expect()).await;
        let silent = |_| Fault::peer(Code::TimedOut, format!("the server sent nothing for {} s", START.as_secs()));
        match reply.map_err(silent)?? {
            jobs::Reply::Entry(entry) => entries.push(*entry),
            jobs::Reply::Done(_) => return Ok(entries),
            jobs::Reply::Refused(fault) => return Err(fault.on(Side::Server)),
            jobs::Reply::Unknown(_) => {}
        }
    }
}
