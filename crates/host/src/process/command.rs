//! What to run, and how it ended.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use unglue_proto::life::Tree;
use unglue_proto::message::exec::{self, TerminalSize};
use unglue_proto::signal;

/// A command to run: exactly these bytes, no shell, nothing inherited.
///
/// The program is `argv[0]`. Without a slash it is searched along the `PATH` of *this* environment, as
/// `execvp(3)` does; with one it is relative to `cwd`. No string may hold a NUL byte.
///
/// ```
/// use unglue_host::process::{Command, login_environment};
///
/// let command = Command { env: login_environment(), ..Command::new(["printf", "%s", "a b"]) };
/// assert_eq!(command.argv.len(), 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; at least one.
    pub argv: Vec<OsString>,
    /// The whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// The directory that the command starts in.
    pub cwd: PathBuf,
    /// Whether the command gets a pipe as its standard input; otherwise it reads `/dev/null`. With a terminal: whether it is typed
    /// on.
    pub stdin: bool,
    /// The size of its terminal, if it gets one in place of pipes. Only a keeper gives one.
    pub terminal: Option<TerminalSize>,
    /// Whether it is started as a login starts a shell: `argv[0]` is the path of the program, and the program sees the file's name
    /// with `-` before it.
    pub login: bool,
}

impl Command {
    /// A command with an empty environment, in `/`, that reads `/dev/null`.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            stdin: false,
            terminal: None,
            login: false,
        }
    }
}

/// How the command's own process ended, as `wait4(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The status it left.
    pub status: Status,
    /// CPU time spent in user mode, by it and by the children that it waited for.
    pub user: Duration,
    /// CPU time spent in the kernel, likewise.
    pub system: Duration,
}

/// A process's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: u8,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel dumped its core.
        core: bool,
    },
}

/// What is to become of a command's descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descendants {
    /// Kill every one of them, and the command itself if it still runs.
    Kill,
    /// Leave them running. Their supervisor stays to reap them, and kills them no longer.
    Leave,
}

/// What became of a command's descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There were none any more.
    None,
    /// So many were killed, and all of them are gone. The command's own process isn't counted.
    Killed(u32),
    /// So many still run, as asked. The command's own process is counted if it is one of them.
    Running(u32),
    /// So many could not be killed: they changed their user (a set-uid program), or hang in the kernel.
    /// The supervisor stays and goes on trying.
    Unkillable(u32),
}

impl Status {
    /// Reads a status of `wait4(2)`.
    pub(super) fn of_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signalled { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
        } else {
            Self::Exited { code: libc::WEXITSTATUS(status) as u8 }
        }
    }
}

impl From<Status> for exec::Exit {
    fn from(status: Status) -> Self {
        match status {
            Status::Exited { code } => Self::Exited(code),
            Status::Signalled { signal, core } => Self::signalled(signal::name(signal), core),
        }
    }
}

impl From<exec::Descendants> for Descendants {
    fn from(asked: exec::Descendants) -> Self {
        match asked {
            exec::Descendants::Kill => Self::Kill,
            exec::Descendants::Leave => Self::Leave,
        }
    }
}

impl From<Left> for Tree {
    fn from(left: Left) -> Self {
        match left {
            Left::None => Self::Empty,
            Left::Killed(count) => Self::Killed(count),
            Left::Running(count) => Self::Left(count),
            Left::Unkillable(count) => Self::Unkillable(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_wait_writes_them() {
        assert_eq!(Status::of_wait(0), Status::Exited { code: 0 });
        assert_eq!(Status::of_wait(0xff00), Status::Exited { code: 255 });
        assert_eq!(Status::of_wait(libc::SIGKILL), Status::Signalled { signal: libc::SIGKILL, core: false });
        assert_eq!(Status::of_wait(libc::SIGABRT | 0x80), Status::Signalled { signal: libc::SIGABRT, core: true });
    }
}
