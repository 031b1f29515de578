//! What to run.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use unglue_proto::message::Request;
use unglue_proto::message::exec::{self as wire, Descendants};

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
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<OsString>,
    pub(super) stdin: bool,
    pub(super) timeout: Option<Duration>,
    descendants: Descendants,
}

impl Exec {
    /// The program and its arguments. The command reads nothing and starts in the home directory or the root's top.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Exec {
        Exec {
            id: None,
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

    /// Runs it under this id. Without one each start makes an id of its own ([`new_id`](crate::new_id)). The server refuses
    /// an id under which something of the same user is under way.
    pub fn id(mut self, id: impl Into<String>) -> Exec {
        self.id = Some(id.into());
        self
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
    pub(super) fn next_id(&self) -> String {
        self.id.clone().unwrap_or_else(crate::ops::new_id)
    }

    pub(super) fn request(&self, id: &str, stdin: Option<u64>) -> Request {
        let mut require = Vec::new();
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
            require,
        }))
    }
}
