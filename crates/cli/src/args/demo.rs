//! `unglue demo`.

use clap::Args;

/// See it work: commands and files over loopback, beside what a bare socket makes of them
///
/// Starts a server with throw-away keys in a temporary directory, and leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue demo
  unglue demo | less")]
pub(crate) struct DemoArgs {}
