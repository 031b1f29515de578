//! Commands that outlive the link of their client: finding them, watching them, ending them.
//!
//! ```text
//! client                                          server
//!   attach {stdout: {offset: 100}, stdin: stream} ─▶
//!                                                 ◀─  attached {stdout: stream, …}
//!   stdin, signal …                               ─▶
//!                                                 ◀─  stdout, stderr, taken, exited, outcome: as for exec
//!
//!   jobs                                          ─▶
//!                                                 ◀─  entry, entry, … , done
//!   signal, remove                                ─▶
//!                                                 ◀─  done
//! ```
//!
//! Each may be answered with `refused` instead: nothing was done.

use serde::{Deserialize, Serialize};

use super::exec::{Exit, Lease, Nothing, Outcome, Report, TerminalSize};
use super::{Time, named, tagged};
use crate::{Fault, Octets};

/// What an `attach` may require of a server of this version.
pub const ATTACH_KNOWN: &[&str] = &["stdin", "stdout", "stderr", "hold", "take", "screen", "follow"];

/// Watch a command, or hold it: be the one who types and sends signals, and whose presence counts for the lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attach {
    /// The command's id or its name.
    pub job: String,
    /// Whether to hold it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub hold: bool,
    /// Whether to hold it even if another client does, which is told that it is replaced.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub take: bool,
    /// The client's stream that feeds the command's standard input on; for a holder only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<u64>,
    /// From where on to send standard output; none of it where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<From>,
    /// From where on to send standard error; none of it where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<From>,
    /// The size of the client's terminal. If the command has a terminal, the server sends a picture of it first: its scrollback,
    /// its screen, its modes. Standard output then begins where the picture ends. If `hold`, the command's terminal gets this
    /// size. A request with it requires `screen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<TerminalSize>,
    /// Whether to go on as the command does; otherwise only what it has printed by now is sent, and `done` is the final
    /// message.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub follow: bool,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

tagged! {
    /// A place in an output.
    pub enum From {
        /// So many bytes behind its start: `{"offset": 0}`.
        "offset" => Offset(u64),
        /// Its end as it is now: `{"end": {}}`.
        "end" => End(Nothing),
    }
}

tagged! {
    /// From the server, to one who attaches.
    pub enum FromServer {
        /// The command, and where its streams are.
        "attached" => Attached(Box<Attached>),
        /// The command's own process was reaped; its streams may still hold something.
        "exited" => Exited(Exit),
        /// So many bytes of the input were given to the command.
        "taken" => Taken(u64),
        /// Another client holds the command now: the final message.
        "replaced" => Replaced(Nothing),
        /// The final message, once the command and its streams have ended.
        "outcome" => Outcome(Box<Report>),
        /// The final message of one who doesn't follow: what was there has been sent.
        "done" => Done(Nothing),
        /// The final message of a request that was not accepted: nothing was done.
        "refused" => Refused(Fault),
    }
}

/// A command that somebody attaches to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// Its id.
    pub id: String,
    /// The process id on the server; it may have ended.
    pub pid: u32,
    /// When it started.
    pub since: Time,
    /// How much of the input the command was given before, in bytes.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub taken: u64,
    /// Standard output, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Placed>,
    /// Standard error, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Placed>,
    /// The size of the command's terminal, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// The server's stream of a picture of the terminal, to be shown before standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<u64>,
}

/// An output from some place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The server's stream that carries it.
    pub stream: u64,
    /// The offset of the first byte that it carries.
    pub from: u64,
}

/// List commands, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// Only the one with this id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// Send a signal to a command's process group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The command's id or name.
    pub job: String,
    /// The signal's name: `SIGTERM`.
    pub signal: String,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// Forget a command that has ended, and what it printed. Its id stays used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// The command's id or name.
    pub job: String,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

tagged! {
    /// From the server, for `jobs`, `signal` and `remove`.
    pub enum Reply {
        /// One command of a list.
        "entry" => Entry(Box<Entry>),
        /// The final message.
        "done" => Done(Nothing),
        /// The final message of a request that was not accepted: nothing was done.
        "refused" => Refused(Fault),
    }
}

/// One command of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How far it has come.
    pub state: State,
    /// When the server took the request.
    pub began: Time,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// The program and its arguments; a long list is cut.
    pub command: Vec<Octets>,
    /// How long it may live without a holder.
    pub lease: Lease,
    /// The process id on the server, once it has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Bytes of standard output so far.
    #[serde(default)]
    pub stdout: u64,
    /// Bytes of standard error so far.
    #[serde(default)]
    pub stderr: u64,
    /// Whether a client holds it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub held: bool,
    /// Whether it waits for room for what it prints.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub stalled: bool,
    /// Whether what it printed can be read.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub kept: bool,
    /// Whether it has a terminal, or had one.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub terminal: bool,
}

named! {
    /// How far a command has come.
    pub enum State {
        /// It is about to start.
        "starting" => Starting,
        /// It runs.
        "running" => Running,
        /// It has ended.
        "ended" => Ended,
    }
}
