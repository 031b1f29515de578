//! `unglue repl`.

use clap::Args;

use super::connection::ConnectionArgs;
use super::target::HostArg;

/// What may be typed, for `help` too.
pub(crate) const AT_THE_PROMPT: &str = "\
At the prompt:
  LINE               run the line with sh -c, and show its whole reply
  cd [DIR]           change the directory for all following lines; also cd -, and cd DIR && LINE
  put FILE [DST]     copy a file to the server; FILE may be a pattern, and may start with ~
  get FILE [DST]     copy a file from the server
  history            list the lines typed so far
  help               show this list
  quit, exit         leave; so does the end of input

Ctrl-C interrupts the running command. Each line runs in a new shell, so variables don't
last.";

fn after_help() -> String {
    format!(
        "{AT_THE_PROMPT}\n\n\
Examples:
  unglue repl build.example
  printf 'cd src\\ngit status\\n' | unglue repl build.example"
    )
}

/// Type commands, one per line, and see each whole reply
#[derive(Debug, Args)]
#[command(after_long_help = after_help())]
pub(crate) struct ReplArgs {
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}
