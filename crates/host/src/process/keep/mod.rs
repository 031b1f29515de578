//! Commands that outlive this process.
//!
//! [`Supervisors::keep`](super::Supervisors::keep) starts a command like [`spawn`](super::Supervisors::spawn) does, but
//! its supervisor becomes its *keeper*: it holds the command's pipes itself, appends what the command prints to files (its
//! *spools*), feeds it its input, and decides by [`unglue_proto::life`] when and how the job ends. It outlives this process,
//! and whatever happens to it, the job has exactly one outcome.
//!
//! All of this is in a directory of the job's own, which the caller makes (mode 0700) and removes:
//!
//! | name | what it is |
//! |---|---|
//! | `claimed` | made once, by the keeper before it starts the command, or by [`Kept::find`] as proof that the command never starts. The keeper holds a lock on it (`flock(2)`) for its life, and notes in it when it starts the command |
//! | `socket` | where the keeper accepts a connection (`SOCK_SEQPACKET`) |
//! | `stdout`, `stderr` | the spools: the bytes that the command printed, and nothing else |
//! | `sizes` | the sizes that the command's terminal has had, if it has one |
//! | `screen` | a picture of the terminal at the offset where its spool begins, once what is older was dropped |
//! | `outcome` | the job's [`Report`] as JSON, put there in one step |
//!
//! The order of things: [`Supervisors::keep`](super::Supervisors::keep), or in a later process [`Kept::find`]; then
//! [`Kept::event`] until [`KeptEvent::Ended`]. Meanwhile [`SpoolReader`]s read what was printed. Dropping a [`Kept`] leaves the
//! job alone, but nobody holds it then: with a `keep` time, its keeper ends it after that time.

mod directory;
mod found;
mod kept;
mod message;
mod reader;
mod sizes;
mod trimmed;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unglue_proto::life::Terms;
use unglue_proto::message::exec::{Exit, Report, StreamEnd};

use super::command::Command;

pub(super) use directory::{Claimed, JobDirectory};
pub use found::Found;
pub use kept::Kept;
pub(super) use message::{FEED_TAG, FromKeeper, KeepRequest, ToKeeper, UNSEEN};
pub use reader::SpoolReader;
pub(super) use sizes::Sizes;
pub use sizes::{Resized, terminal_sizes};
pub use trimmed::Trimmed;

/// Input that a keeper takes beyond what the command was given: the sender may send up to [`Progress::stdin`] and so much more.
pub const STDIN_WINDOW: u64 = 64 * 1024;

/// The most bytes of input that one [`Kept::feed`] passes.
pub const FEED: usize = 31 * 1024;

/// A command to run under a keeper, and for how long.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The job's own directory: it is there, empty, and only this user may enter it.
    pub directory: PathBuf,
    /// What to run.
    pub command: Command,
    /// Its timeout, and what becomes of its descendants.
    pub terms: Terms,
    /// How long it may run without a holder; `None` for ever. With a terminal and zero, a client has to hold it within 10 s,
    /// and it is ended when that holder goes.
    pub keep: Option<Duration>,
    /// Whether the claim survives a power cut before the command starts, and the outcome before it is reported.
    pub durable: bool,
    /// How much of its output is stored.
    pub spool: SpoolLimit,
}

/// How much a job may print, in bytes of both outputs together, and what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpoolLimit {
    /// Its pipes are read no further, so that it waits in its next write. So it does, too, while the disk is full. What was
    /// dropped of a terminal's output ([`Kept::trimmed`]) doesn't count.
    ///
    /// What the pipes hold when the command has ended is stored all the same: up to a megabyte each.
    Stall(u64),
    /// Its tree is killed as soon as it prints more.
    End(u64),
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The command's process id, which is its process group's and session's too.
    pub pid: u32,
    /// Bytes of standard output that its spool holds.
    pub stdout: u64,
    /// Bytes of standard error that its spool holds.
    pub stderr: u64,
    /// Bytes of standard input that the command's pipe has taken.
    pub stdin: u64,
    /// Bytes of standard input that its keeper has: those, and what waits for the pipe.
    pub received: u64,
    /// How its input ended, if it had one and that has ended: nothing more of it is wanted then.
    pub stdin_end: Option<StreamEnd>,
    /// How the command's own process ended.
    pub exit: Option<Exit>,
    /// Whether its output waits: at the limit of its spools, or for room on the disk.
    pub stalled: bool,
}

/// What happens to a job.
#[derive(Debug)]
pub enum KeptEvent {
    /// It has come further.
    Progress(Progress),
    /// The command's own process has ended; its outputs may not have. This is given once, before the end of a command that ended by
    /// itself; but not if the [`Progress`] of [`Found::Running`] already had it.
    Exited(Exit),
    /// The job has ended, and its spools are whole. Nothing follows.
    Ended(Box<Report>),
}
