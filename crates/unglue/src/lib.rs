//! Run commands and move files on other machines, every message whole.
//!
//! The client's side is [`Client`], the server's is [`Server`]; both speak of operations, each of which ends in exactly
//! one typed outcome (promise P2).
//!
//! ```no_run
//! use unglue::{Client, Exec};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(&"build.example.org".parse()?, &Default::default()).await?;
//! let done = client.exec(&Exec::new(["uname", "-a"])).await?.collect(1 << 20).await;
//! println!("{:?}: {}", done.report.outcome, String::from_utf8_lossy(&done.stdout));
//! # Ok(())
//! # }
//! ```

pub mod client;
pub mod ops;
pub mod owner;
pub mod server;
pub mod ssh;

pub use client::{Address, Client, ClientOptions};
pub use ops::exec::{Collected, Exec, Input, Lease, Output, Running};
pub use ops::forward::{Forward, Forwarded, Listening, Notice, Place};
pub use ops::job::{AttachOptions, LinkState};
pub use ops::new_id;
pub use ops::pace::Pace;
pub use ops::transfer::{Download, Moved, Progress, TransferOptions, Upload};
pub use ops::tree::{TreeListener, TreeMove, TreeUpdate, relay};
pub use ops::watch::{Bottleneck, Explained, Watch};
pub use server::{Ending, Server, ServerOptions, Service};

pub use unglue_host::process::{Flow, close_stdout, leave_session, widen};
pub use unglue_host::process::{SupervisorCommand, supervise_if_asked, supervise_main};
pub use unglue_host::store::tree::{Moving, TreeEvent};
pub use unglue_host::store::{Cause, Facts, Op, Owner, Partials, Problem, Sink, Source, Store, StoreError};
pub use unglue_identity::AskPassphrase;
pub use unglue_identity::{Denial, Forwarding, Passphrase, Policy, Principal, PublicKey};
pub use unglue_link::auth::Gatekeeper;
pub use unglue_link::{
    BoxedIo, ChildProcess, ConnectError, Descriptors, HostTrust, LinkConfig, LinkError, Memory, Peer, SharedMemory,
    StreamError, Target, UnknownHost, stdio,
};
pub use unglue_proto::limits::GO_AWAY_GRACE;
pub use unglue_proto::message::auth::Welcome;
pub use unglue_proto::message::exec::{
    Exit, Left, Outcome, OutputLimit, Report, Sent, Signalled, SpawnFailed, SpawnStep, StreamEnd, StreamReport,
    TerminalSize, TimedOut,
};
pub use unglue_proto::message::exec::{Keep, Lease as JobLease, Nothing};
pub use unglue_proto::message::files;
pub use unglue_proto::message::jobs::{Entry as JobEntry, State as JobState};
pub use unglue_proto::message::tree::{Layout, Summary, TreeOptions};
pub use unglue_proto::message::waits::Waits;
pub use unglue_proto::message::{Tally, Time, Unknown};
pub use unglue_proto::mux::{Compression, ZSTD_LEVELS};
pub use unglue_proto::tree::{Chmod, Rule};
pub use unglue_proto::{Blame, Code, Fault, Meter, Octets, Printable, Side, is_deceptive, signal};

/// Who a client is, and which servers it trusts: keys, the agent, known hosts.
pub use unglue_identity as identity;
/// What a terminal shows, drawn in memory: for a client that writes over it.
pub use unglue_jobs::screen;
/// How bytes travel: what a connection needs besides an operation.
pub use unglue_link as link;
