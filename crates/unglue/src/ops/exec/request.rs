//! What to run.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use unglue_proto::message::exec::{self as wire, Descendants, TerminalSize};
use unglue_proto::message::{Compress, Request};
use unglue_proto::mux::Compression;

/// A command to run on the server: exactly these bytes, no shell.
///
/// ```
/// use std::time::Duration;
/// use unglue::Exec;
///
/// let exec = Exec::new(["make", "-j2"]).env("CC", "clang").cwd("src").timeout(Duration::from_secs(600));
/// ```
#[derive(Debug, Clone)]
pub struct Exec {
    id: Option<String>,
    /// Whether the id is the user's, who may use it again.
    recorded: bool,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<OsString>,
    pub(in crate::ops) stdin: bool,
    pub(super) timeout: Option<Duration>,
    descendants: Descendants,
    lease: Lease,
    name: Option<String>,
    durable: bool,
    output_limit: Option<u64>,
    terminal: Option<TerminalSize>,
    retry: Option<Option<String>>,
    compression: Compression,
}

/// How long a command may live without a client that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lease {
    /// Not at all: its whole tree is killed when its link is lost.
    #[default]
    Kill,
    /// For so long after its last holder has gone. What it prints is kept, so that the client goes on by itself after a lost
    /// link.
    Keep(Duration),
    /// As long as it runs. Its id is on the server's disk before it starts.
    Detach,
}

impl Exec {
    /// The program and its arguments. The command reads nothing and starts in the home directory or the root's top.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Exec {
        Exec {
            id: None,
            recorded: false,
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            stdin: false,
            timeout: None,
            descendants: Descendants::Kill,
            lease: Lease::Kill,
            name: None,
            durable: false,
            output_limit: None,
            terminal: None,
            retry: None,
            compression: Compression::Off,
        }
    }

    /// A line for the shell: `sh -c TEXT`.
    pub fn shell(text: impl Into<OsString>) -> Exec {
        Exec::new([OsString::from("sh"), OsString::from("-c"), text.into()])
    }

    /// The login shell, as a login starts it, in the home directory. Give it a [`terminal`](Self::terminal): a server refuses it
    /// without one. What it leaves running in the background when it ends is left alone, as ssh does.
    ///
    /// ```
    /// use unglue::{Exec, TerminalSize};
    ///
    /// let shell = Exec::login_shell().terminal(TerminalSize::new(24, 80)).env("TERM", "xterm-256color");
    /// ```
    pub fn login_shell() -> Exec {
        Exec::new([] as [OsString; 0]).keep_descendants()
    }

    /// Gives the command a terminal of this size, and an input. [`Running::stdout`](crate::Running::stdout) is what the terminal
    /// shows, and there is no standard error. What is written to [`Running::stdin`](crate::Running::stdin) is typed; its
    /// end is typed as the terminal's end-of-file character. `TERM` and the locale are variables, for the caller to set.
    pub fn terminal(mut self, size: TerminalSize) -> Exec {
        (self.terminal, self.stdin) = (Some(size), true);
        self
    }

    /// Runs it under this id, at most once: the server records it before the command starts. The same request under the same
    /// id later holds that command, or gets how it ended; another request under it is refused. Without an id each start makes
    /// one of its own ([`new_id`](crate::new_id)).
    pub fn id(mut self, id: impl Into<String>) -> Exec {
        (self.id, self.recorded) = (Some(id.into()), true);
        self
    }

    /// Runs it under an id of [`new_id`](crate::new_id) that nobody asks for again: the server needn't record it, so that the
    /// command runs where it can't. With it the id is known before the command starts.
    pub fn fresh_id(mut self, id: impl Into<String>) -> Exec {
        (self.id, self.recorded) = (Some(id.into()), false);
        self
    }

    /// Asks again for the command with this id. `journal` is the [`Welcome::journal`](crate::Welcome::journal) of the server
    /// that it was asked of before: where another one answers, where `journal` is `None`, or where the record is
    /// gone, an id that isn't known is refused as [`Code::Unknown`](crate::Code::Unknown) rather than run a second time.
    pub fn retry(mut self, id: impl Into<String>, journal: Option<String>) -> Exec {
        (self.id, self.recorded, self.retry) = (Some(id.into()), true, Some(journal));
        self
    }

    /// How long it may live without a client that holds it.
    pub fn lease(mut self, lease: Lease) -> Exec {
        self.lease = lease;
        self
    }

    /// A name to find it by.
    pub fn name(mut self, name: impl Into<String>) -> Exec {
        self.name = Some(name.into());
        self
    }

    /// Has its id on the server's disk before it starts, so that not even a power cut has it run twice.
    pub fn durable(mut self) -> Exec {
        self.durable = true;
        self
    }

    /// The most that it may print to both outputs, in bytes: it is killed when it prints more.
    pub fn output_limit(mut self, bytes: u64) -> Exec {
        self.output_limit = Some(bytes);
        self
    }

    /// Compresses its input and its outputs on their way. Off by default: the lengths of what is sent then tell something
    /// about the content, where another person chooses a part of it.
    pub fn compress(mut self, compression: Compression) -> Exec {
        self.compression = compression;
        self
    }

    /// How its streams are compressed. Those of a terminal are not.
    pub fn compression(&self) -> Compression {
        match self.terminal {
            None => self.compression,
            Some(_) => Compression::Off,
        }
    }

    /// Sets a variable on top of the login environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Exec {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets variables that are not set yet.
    pub fn env_defaults(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Exec {
        self.env.splice(0..0, variables);
        self
    }

    /// The working directory on the server, relative to the home directory or the root's top.
    pub fn cwd(mut self, path: impl AsRef<OsStr>) -> Exec {
        self.cwd = Some(path.as_ref().to_owned());
        self
    }

    /// Gives the command a standard input, to be fed through [`Running::stdin`](crate::Running::stdin).
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

    /// The id of the next start.
    pub(in crate::ops) fn next_id(&self) -> String {
        self.id.clone().unwrap_or_else(crate::ops::new_id)
    }

    /// How long it may run.
    pub(in crate::ops) fn limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// The size of its terminal, if it has one.
    pub(in crate::ops) fn size(&self) -> Option<TerminalSize> {
        self.terminal
    }

    /// What a lost link comes to; `None` if the command ends with its link.
    pub(crate) fn kept(&self) -> Option<Lease> {
        Some(self.lease).filter(|lease| *lease != Lease::Kill)
    }

    /// Whether the user asks for it again, and the journal of the server that was asked before.
    pub(in crate::ops) fn retried(&self) -> Option<Option<String>> {
        self.retry.clone()
    }

    pub(in crate::ops) fn request(&self, id: &str, stdin: Option<u64>, again: Option<wire::Again>) -> Request {
        let mut require = Vec::new();
        let new = self.lease != Lease::Kill || self.name.is_some() || self.durable || self.output_limit.is_some();
        if new || self.recorded {
            require.push("lease".to_owned());
        }
        if self.terminal.is_some() {
            require.push("terminal".to_owned());
        }
        if self.timeout.is_some() {
            require.push("timeout_ms".to_owned());
        }
        Request::Exec(Box::new(wire::Exec {
            id: id.to_owned(),
            argv: self.argv.iter().map(|arg| arg.as_os_str().into()).collect(),
            env: self.env.iter().map(|(name, value)| (name.as_os_str().into(), value.as_os_str().into())).collect(),
            cwd: self.cwd.as_deref().map(Into::into),
            stdin,
            timeout_ms: self.timeout.map(|limit| limit.as_millis().try_into().unwrap_or(u64::MAX)),
            descendants: self.descendants,
            lease: match self.lease {
                Lease::Kill => wire::Lease::default(),
                Lease::Keep(time) => wire::Lease::keep(time.as_millis().try_into().unwrap_or(u64::MAX)),
                Lease::Detach => wire::Lease::detach(),
            },
            name: self.name.clone(),
            durable: self.durable,
            recorded: self.recorded,
            output_limit: self.output_limit,
            terminal: self.terminal,
            again,
            compress: Compress::request(self.compression()),
            require,
        }))
    }
}
