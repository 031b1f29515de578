//! `unglue completions` and `unglue man`, for packagers.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue completions bash > ~/.local/share/bash-completion/completions/unglue
  unglue completions fish > ~/.config/fish/completions/unglue.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Print the manual page, or write a page for each command into a directory
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue man | man -l -
  unglue man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where to write unglue.1, unglue-exec.1 and so on
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
