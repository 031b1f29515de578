//! `unglue demo`.

use clap::Args;

/// Show unglue at work on this machine, and the same commands over a bare socket
///
/// Starts a server with temporary keys in a temporary directory, and removes everything at the end.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue demo
  unglue demo | less")]
pub(crate) struct DemoArgs {}
