//! `unglue run`: many commands on one connection.

use std::ffi::OsString;

use clap::Args;

use super::connection::ConnectionArgs;
use super::span::parse_bytes;
use super::target::HostArg;

/// Run many commands, listed in a file, on one connection
///
/// Prints the object of exec --json for each command as it ends, and nothing else.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue run build.example --file jobs.jsonl
  seq 100 | jq -c '{argv: [\"./check\", tostring]}' | unglue run build.example --file - | jq .outcome

Each line is a JSON object; empty lines are skipped:
  argv     the program and its arguments; the only field that is needed
  id       run the command under this id, at most once, as exec --id does
  env      an object of variables: {\"CC\": \"clang\"}
  cwd      the directory to run in
  timeout  kill the command after this long: \"10s\", or seconds as a number
  stdin    the text of its standard input
  needs    a list of ids: the command starts when all of these have succeeded (exit code 0); if one
           fails, it is not run, and its outcome is refused
Texts that are not UTF-8 are written as {\"base64\": …}.

A file is checked before anything runs: bad lines, ids that are used twice, ids in needs that no
line has, and needs in a circle are reported with their line numbers. With -, the lines run as they
arrive, and needs may name earlier lines only; after a bad line, unglue reads no more, and the
commands that already run are not stopped.

A command whose id has run before is not run again: its outcome is not_kept, which counts as a
success if it exited with 0. So a file with ids can be run again after a failure.

Exit status: 0 if all commands succeeded; 1 if any failed; 125 if a line is bad or unglue itself
failed.")]
pub(crate) struct RunArgs {
    /// The list of commands; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: OsString,
    /// Run at most this many commands at the same time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) at_once: u16,
    /// Keep at most this much of each output in an object
    #[arg(long, value_name = "BYTES", default_value = "256K", value_parser = parse_bytes)]
    pub(crate) json_cap: u64,
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}
