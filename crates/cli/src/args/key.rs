//! `unglue key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use unglue::identity::Fingerprint;

use super::connection::ConnectionArgs;
use super::target::HostArg;

const EXAMPLES: &str = "\
Examples:
  unglue key init                          # make a key pair, if you have none
  unglue key show | ssh build.example 'cat >> ~/.ssh/authorized_keys'
  unglue key list
  unglue key trust build.example SHA256:…  # the fingerprint that `unglue serve` printed there";

/// Show and make keys, and trust servers
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

impl KeyArgs {
    /// Whether the steps of a login are wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        matches!(&self.command, KeyCommand::Trust(args) if args.connection.verbose)
    }
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Init(InitArgs),
    Show(ShowArgs),
    List(ListArgs),
    Trust(TrustArgs),
}

/// Make an ed25519 key pair; existing files are never overwritten
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue key init
  unglue key init -f ~/.ssh/id_ed25519 --passphrase")]
pub(crate) struct InitArgs {
    /// The file for the private key; the public key goes to the same name with .pub [default: ~/.config/unglue/id_ed25519]
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Ask for a passphrase to encrypt it with
    #[arg(long)]
    pub(crate) passphrase: bool,
    #[arg(long, value_name = "TEXT", help = "A comment for the public key [default: user@machine]")]
    pub(crate) comment: Option<String>,
}

/// Print the public key that would be tried first, as a line for authorized_keys
#[derive(Debug, Args)]
#[command(after_long_help = "\
The key's fingerprint and location go to standard error, so a pipe gets the line only.

Examples:
  unglue key show >> ~/.ssh/authorized_keys
  unglue key show --identity ~/.ssh/work")]
pub(crate) struct ShowArgs {
    /// The private key to show [env: UNGLUE_IDENTITY]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

/// List the keys in the order in which they are tried, those that are not tried and why, and the known servers
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue key list
  unglue key list build.example                    # with its settings in ~/.ssh/config
  unglue key list --known-hosts ./known_hosts")]
pub(crate) struct ListArgs {
    #[arg(value_name = "HOST", help = "A server, whose settings in the ssh configuration apply")]
    pub(crate) host: Option<HostArg>,
    /// Read this ssh configuration instead of ~/.ssh/config and /etc/ssh/ssh_config [env: UNGLUE_SSH_CONFIG]
    #[arg(short = 'F', long, value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// The private key to log in with [env: UNGLUE_IDENTITY]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// The known servers; only this file is read [env: UNGLUE_KNOWN_HOSTS]
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,
}

/// Trust a server, if its key has this fingerprint
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue key trust build.example SHA256:ImKhPYGmEiSoBBCTuqr/sg6rO0pDFVD1bKhtsbBmFhs
  unglue key trust '[::1]:7300' SHA256:ImKhPYGmEiSoBBCTuqr/sg6rO0pDFVD1bKhtsbBmFhs")]
pub(crate) struct TrustArgs {
    #[arg(value_name = "HOST", help = "The server, as HOST[:PORT]")]
    pub(crate) host: HostArg,
    /// The key's fingerprint, as `unglue serve` prints it, or `ssh-keygen -lf` on the server
    #[arg(value_name = "SHA256:…", value_parser = parse_fingerprint)]
    pub(crate) fingerprint: Fingerprint,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

fn parse_fingerprint(text: &str) -> Result<Fingerprint, String> {
    text.parse().map_err(|_| "a fingerprint is SHA256: and 43 characters of base64, as `unglue serve` prints it".into())
}
