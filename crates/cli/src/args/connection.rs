//! The flags of every command that connects to a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::span::parse_timeout;

/// How to reach a server, and who asks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The server's port [default: 7227]
    #[arg(short = 'P', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The private key to log in with; only this one is tried [env: UNGLUE_IDENTITY; default: the ssh-agent's keys,
    /// ~/.ssh/id_ed25519, ~/.config/unglue/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The known servers; only this file is read [env: UNGLUE_KNOWN_HOSTS; default: ~/.config/unglue/known_hosts,
    /// ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// How long connecting and logging in may take (500ms, 3s); questions to you don't count
    #[arg(long, value_name = "DUR", value_parser = parse_timeout)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Trust a server that isn't known yet, without asking; one whose key has changed is refused all the same
    #[arg(long)]
    pub(crate) accept_new: bool,
}
