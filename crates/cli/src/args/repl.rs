//! `unglue repl`.

use clap::Args;

use super::connection::ConnectionArgs;
use super::target::HostArg;

const EXAMPLES: &str = "\
At the prompt:
  LINE               run the line with sh -c, and show its reply whole
  cd [DIR]           go to a directory; cd - goes back
  put FILE [DST]     copy a file to the server
  get FILE [DST]     fetch a file
  history            list the lines typed so far
  quit, exit         leave; so does the end of input

Ctrl-C interrupts the running command. Each line has a shell of its own, so variables
don't last from one to the next.

Examples:
  unglue repl build.example
  printf 'cd src\\ngit status\\n' | unglue repl build.example";

/// Type commands, one a line, and see each reply whole
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplArgs {
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}
