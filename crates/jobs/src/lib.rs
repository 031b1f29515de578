//! Jobs: a command's run on the host, from its start to its report.
//!
//! An operation doesn't own the work that it asks for. The server's [`Registry`] does: it knows every job by its user and
//! id. [`start`] runs a command; [`Started::run`] spawns the task that carries it to its end, and gives an [`Attachment`]: the
//! operation's hold on it. What the task does is decided by [`unglue_proto::life`]; it decides nothing itself.
//!
//! Dropping an attachment ends a job, since every job has the lease `kill`. A lease that outlives its attachment is a matter
//! of what the task does when its holder has gone; where the job's output goes then is another variant of [`Stdio`].
//!
//! Nothing here knows what a link is: outputs go to an [`unglue_host::process::OutputSink`], input comes from an
//! [`unglue_host::process::InputSource`].

pub mod journal;
mod outputs;
mod owner;
mod registry;
mod start;
mod task;

pub use journal::{Index, Journal, JournalError, Record, Retention};
pub use owner::{Holder, Owned, Owner, SocketPath};
pub use registry::{Claim, InUse, Kind, Registry};
pub use start::{Started, Stdio, start};
pub use task::{Attachment, Event};
