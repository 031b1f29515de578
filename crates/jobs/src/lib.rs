//! Jobs: a command's run on the host, from its request to its report.
//!
//! An operation doesn't own the work that it asks for. The server's [`Registry`] does: it knows every job by its user and
//! id, and the [`journal`] knows them when this process is gone. [`Registry::begin`] takes a request: it is new, or its command
//! runs already, or has run.
//!
//! A command with the lease `kill` is started by [`start()`]. [`Started::run`] spawns the task that carries it to its end, and gives
//! an [`Attachment`]: the operation's hold on it. Dropped, it ends the job. What the task does is decided by
//! [`unglue_proto::life`]; it decides nothing itself.
//!
//! A command with another lease is started by [`keep()`]: a keeper, a process of its own, carries it to its end, and writes what
//! it prints to files. The server's task (the *warden*) only talks to the keeper. Any number of clients read the files.
//!
//! A command with a terminal has a keeper with every lease. [`screen`] draws what its terminal shows.
//!
//! Nothing here knows what a link is: outputs go to an [`unglue_host::process::OutputSink`], input comes from an
//! [`unglue_host::process::InputSource`].

mod claim;
mod clock;
mod job;
pub mod journal;
mod listing;
mod outputs;
mod owner;
mod registry;
mod request;
pub mod screen;
pub mod spools;
mod start;
mod task;
mod trimmer;
mod warden;

pub use claim::{Claim, Transfer};
pub use job::{Hold, Job, Order, Snapshot, Turn};
pub use journal::{Index, Journal, JournalError, Record, Retention};
pub use owner::{Holder, Owned, OwnedSocket, Owner, SocketPath};
pub use registry::{Asking, Begun, Ended, InUse, Known, New, OwnedByAnother, Registry};
pub use start::{NotStarted, Started, Stdio, keep, start};
pub use task::{Attachment, Event};
