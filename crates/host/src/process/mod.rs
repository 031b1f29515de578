//! Running commands, each with its whole tree of processes owned from birth.
//!
//! A [`Supervisors`] starts each command ([`Supervisors::spawn`]) in a helper process, its *supervisor*. When the
//! [`Job`] is dropped, or this process is killed, the supervisor kills all that the command started, `setsid` and
//! double forks included. This needs no privileges.
//!
//! The order of things: spawn; read and write the [`Pipes`]; [`Job::exited`]; [`Job::end_tree`].
//!
//! ```no_run
//! use tokio::io::AsyncReadExt;
//! use unglue_host::process::{Command, Descendants, Limits, Status, SupervisorCommand, Supervisors, login_environment};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let supervisors = Supervisors::new(SupervisorCommand::current_exe(), Limits::default())?;
//! let command = Command { env: login_environment(), ..Command::new(["echo", "hi"]) };
//! let (mut job, mut pipes) = supervisors.spawn(&command).await?;
//! let mut printed = Vec::new();
//! pipes.stdout.read_to_end(&mut printed).await?;
//! assert_eq!(job.exited().await?.status, Status::Exited { code: 0 });
//! job.end_tree(Descendants::Kill).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it doesn't hold against: a command that runs as this same user may kill the helpers. Killing its supervisor, or
//! the spawner (the process that forks supervisors), frees nothing; killing both, as `kill -9 -1` does, frees what
//! is left. A process that a command had *another* service start (cron, `systemd-run`, a container engine) is no
//! descendant of it.

mod account;
mod command;
mod detach;
mod error;
mod flow;
mod getent;
mod inlet;
mod input;
mod job;
mod keep;
mod link;
mod output;
mod pipe;
mod pool;
mod socket;
mod spawner;
mod supervise;
mod supervisors;
mod sys;
mod wire;

pub use crate::errno::errno_name;
pub use account::{Account, login_environment, own_home};
pub use command::{Command, Descendants, Exit, Left, Status};
pub use detach::{close_stdout, leave_session};
pub use error::{JobError, SpawnError};
pub use flow::Flow;
pub use input::{InputEnd, InputSource, feed};
pub use job::{Job, JobEvent, Pipes};
pub use keep::{
    FEED, Found, Keep, Kept, KeptEvent, Progress, Resized, STDIN_WINDOW, SpoolLimit, SpoolReader, Trimmed,
    terminal_sizes,
};
pub use output::{LastCall, OutputPump, OutputSink, Pumped, SinkClosed};
pub use pipe::{WIDE_PIPE, widen};
pub use pool::Limits;
pub use spawner::{SupervisorCommand, supervise_if_asked};
pub use supervise::supervise_main;
pub use supervisors::Supervisors;
