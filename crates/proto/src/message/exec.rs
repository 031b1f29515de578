//! Running a command: its request, what follows, and how it can end.
//!
//! ```text
//! client                                          server
//!   exec {stdin: stream}                       ─▶
//!   stdin ═══════════════════════════════════  ─▶
//!                                              ◀─  started {stdout: stream, stderr: stream}
//!                                              ◀─  ════════ stdout, stderr
//!   signal …                                   ─▶
//!                                              ◀─  exited (as soon as the process is reaped)
//!                                              ◀─  outcome (once both streams have ended)
//! ```
//!
//! The outcome is the last message. A control stream that ends without one is a lost link, never a success.

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::{Fault, Octets};

/// What an `exec` may require of a server of this version.
pub const KNOWN: &[&str] =
    &["argv", "env", "cwd", "stdin", "timeout_ms", "descendants", "stdout", "stderr", "started", "exited"];

/// A command to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// The program and its arguments, as the program shall get them.
    pub argv: Vec<Octets>,
    /// Variables on top of the login environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(Octets, Octets)>,
    /// The working directory; the home directory, or the root's top, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Octets>,
    /// The client's stream that feeds the command's standard input; `/dev/null` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<u64>,
    /// How long the command may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What becomes of the processes that outlive the command.
    #[serde(default)]
    pub descendants: Descendants,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// What becomes of the processes that outlive the command's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Descendants {
    /// They are killed.
    #[default]
    Kill,
    /// They are left alone.
    Leave,
}

/// From the client, after the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromClient {
    /// Send a signal, by its name, to the command's process group.
    Signal(String),
}

/// From the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromServer {
    /// The command runs.
    Started(Started),
    /// The command's own process was reaped; its streams may still hold something.
    Exited(Exit),
    /// The last word.
    Outcome(Box<Report>),
}

/// Where the command's outputs are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The process id on the server.
    pub pid: u32,
    /// The server's stream of standard output.
    pub stdout: u64,
    /// The server's stream of standard error.
    pub stderr: u64,
}

/// How the command's own process ended (wait(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Exit {
    /// It returned a code: `{"exited": 3}`.
    Exited {
        /// The exit code, 0 to 255.
        exited: i32,
    },
    /// A signal ended it: `{"signalled": "SIGKILL", "core": false}`.
    Signalled {
        /// The signal's name.
        signalled: String,
        /// Whether it dumped core.
        core: bool,
    },
}

/// How an operation ended: exactly one of these (promise P2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The command ended by itself.
    Ended(Exit),
    /// It ran for too long, and its tree was killed: `{"timed_out": {"after_ms": 1000}}`.
    TimedOut {
        /// The deadline that passed.
        timed_out: TimedOut,
    },
    /// It never ran: `{"spawn_failed": {"errno": "ENOENT", …}}`.
    SpawnFailed {
        /// What the system said.
        spawn_failed: SpawnFailed,
    },
    /// The server refused the request; nothing ran.
    Refused {
        /// Why.
        refused: Fault,
    },
    /// The link ended first: whether the command finished is not known.
    LinkLost {
        /// What became of the link.
        link_lost: Fault,
    },
    /// The command ended, but what arrived of it isn't what was sent.
    Corrupt {
        /// Which stream, with both figures.
        corrupt: Fault,
    },
    /// unglue itself failed while the command ran.
    Failed {
        /// What happened.
        failed: Fault,
    },
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedOut {
    /// The limit, in milliseconds.
    pub after_ms: u64,
}

/// A program that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnFailed {
    /// The system's name for the error: `ENOENT`.
    pub errno: String,
    /// What it was about: the program, or the working directory.
    pub step: SpawnStep,
    /// One sentence for people.
    pub what: String,
}

/// Which step of starting a program failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnStep {
    /// Executing the program (execve(2)).
    Program,
    /// Entering the working directory (chdir(2)).
    Cwd,
    /// Making pipes or a process.
    Resources,
}

/// How one output stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// Every writer closed it: all of it is here.
    Eof,
    /// A surviving descendant held it open after the command's end; what the command wrote is here.
    HeldOpen,
    /// Its reader gave it up.
    Abandoned,
    /// The link ended before it did; only a client says this.
    Cut,
}

/// One output stream, as the sender saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its bytes and digest.
    #[serde(flatten)]
    pub tally: Tally,
    /// How it ended.
    pub end: StreamEnd,
}

/// What became of the processes that outlived the command's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// There were none.
    None,
    /// They were killed.
    Killed,
    /// They were left alone, as asked.
    Left,
}

/// The last message of an exec: everything that is known about its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Standard output, if the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Stream>,
    /// Standard error, if the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Stream>,
    /// Standard input, if there was one, as the server received it: `abandoned` where the command didn't take it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stream>,
    /// What became of the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descendants: Option<Left>,
    /// From the request to the outcome on the server, in microseconds.
    pub wall_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn round_trip(outcome: Outcome, json: &str) {
        assert_eq!(serde_json::to_string(&outcome).unwrap(), json);
        assert_eq!(serde_json::from_str::<Outcome>(json).unwrap(), outcome);
    }

    #[test]
    fn every_outcome_has_its_own_form() {
        round_trip(Outcome::Ended(Exit::Exited { exited: 3 }), r#"{"exited":3}"#);
        let killed = Exit::Signalled { signalled: "SIGKILL".into(), core: false };
        round_trip(Outcome::Ended(killed), r#"{"signalled":"SIGKILL","core":false}"#);
        round_trip(Outcome::TimedOut { timed_out: TimedOut { after_ms: 1000 } }, r#"{"timed_out":{"after_ms":1000}}"#);
        let failed = SpawnFailed { errno: "ENOENT".into(), step: SpawnStep::Program, what: "no".into() };
        round_trip(
            Outcome::SpawnFailed { spawn_failed: failed },
            r#"{"spawn_failed":{"errno":"ENOENT","step":"program","what":"no"}}"#,
        );
        round_trip(
            Outcome::LinkLost { link_lost: Fault::system(Code::LinkLost, "cut") },
            r#"{"link_lost":{"code":"link_lost","blame":"system","what":"cut"}}"#,
        );
    }
}
