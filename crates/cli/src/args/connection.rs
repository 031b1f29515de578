//! The flags of every command that connects to a server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::span::parse_timeout;

/// How to reach a server, and who asks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Reach the server at its port (tcp), by your own ssh, or by ssh where nothing answers at the port (auto)
    /// [default: auto, or what ~/.config/unglue/config.toml says]
    #[arg(long, value_name = "TRANSPORT", value_enum, hide_possible_values = true)]
    pub(crate) transport: Option<TransportArg>,
    /// Give ssh this option (ssh -o); may be repeated. UNGLUE_SSH names another command than ssh
    #[arg(long, value_name = "OPTION")]
    pub(crate) ssh_option: Vec<OsString>,
    /// The port of the server's own daemon, never ssh's [default: 7227]
    #[arg(short = 'P', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Log in with this private key, and try no other [env: UNGLUE_IDENTITY; default: the ssh-agent's keys; id_ed25519,
    /// id_ecdsa and id_rsa in ~/.ssh; ~/.config/unglue/id_ed25519]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Use only this file of known servers [env: UNGLUE_KNOWN_HOSTS; default: ~/.config/unglue/known_hosts,
    /// ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts]
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// The limit for connecting and logging in (500ms, 3s); time for your answers doesn't count
    #[arg(long, value_name = "DUR", value_parser = parse_timeout)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Read this ssh configuration instead of ~/.ssh/config and /etc/ssh/ssh_config, or `none` [env: UNGLUE_SSH_CONFIG]
    #[arg(short = 'F', long, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// Report each step of the login on standard error
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    /// Add an unknown server without asking; a server whose key has changed is still refused
    #[arg(long)]
    pub(crate) accept_new: bool,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransportArg {
    /// TCP; ssh if there is no TCP connection.
    Auto,
    /// TCP to the server's daemon, with TLS.
    Tcp,
    /// The user's ssh: nothing needs to be installed on the other side.
    Ssh,
}
