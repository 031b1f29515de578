//! `unglue jobs`, `attach`, `logs`, `wait` and `signal`: commands that were started before.

use clap::Args;
use unglue::signal;

use super::connection::ConnectionArgs;
use super::lease::parse_id;
use super::target::HostArg;

/// List the commands that the server remembers, the latest last
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue jobs build.example
  unglue jobs --json build.example | jq 'select(.state == \"running\") | .id'

With --json, each line is an object: id, name, state (starting, running or ended), began, ended,
command, lease, pid, outcome, stdout and stderr (bytes so far), held (a client holds it), stalled
(it waits for space for its output), kept (its output can be read).")]
pub(crate) struct JobsArgs {
    /// Print one JSON object for each command, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// A command on a server.
#[derive(Debug, Args)]
pub(crate) struct JobArg {
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    /// The command's id, or its name
    #[arg(value_name = "ID|NAME", value_parser = parse_id)]
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Come back to a command: see what it prints, type input for it, and send it Ctrl-C
///
/// Exits as the command does.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue attach build.example nightly
  unglue attach --from-start build.example nightly    # everything that it has printed, too
  unglue attach --read-only build.example nightly     # watch; type nothing
  unglue attach --take build.example nightly          # from another client, which then ends

If standard input is a terminal, what you type goes to the command, and Ctrl-D ends its input.
Otherwise standard input is not read, unless -i is given. Ctrl-C sends SIGINT to the command; the
second Ctrl-C ends the client. On a terminal, Ctrl-\\ ends the client at once: the command runs on,
and its input stays open.

One client at a time holds a command: it sends input and signals, and keeps a command with the
lease keep alive. Any number of clients may watch with --read-only; their Ctrl-C sends no signal.

Exit status: as for unglue exec; 0 after Ctrl-\\.")]
pub(crate) struct AttachArgs {
    /// See everything that the command has printed, not only what comes from now on
    #[arg(long)]
    pub(crate) from_start: bool,
    /// Hold the command even if another client does; that client ends
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) take: bool,
    /// Only watch
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Feed standard input to the command even if it is not a terminal
    #[arg(short = 'i', long, conflicts_with = "read_only")]
    pub(crate) stdin: bool,
    #[command(flatten)]
    pub(crate) job: JobArg,
}

/// Print what a command has printed
///
/// Writes the bytes of its standard output, or of its standard error, to standard output.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue logs build.example nightly
  unglue logs --follow build.example nightly          # and go on until it ends
  unglue logs --stderr --from 1000 build.example nightly

Exit status: 0 if everything was printed, however the command ended; 125 if not.")]
pub(crate) struct LogsArgs {
    /// Go on until the command has ended
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,
    /// Its standard error, instead of its standard output
    #[arg(long)]
    pub(crate) stderr: bool,
    /// Skip this many bytes
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    pub(crate) from: u64,
    #[command(flatten)]
    pub(crate) job: JobArg,
}

/// Wait until a command has ended, and exit as it did
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue wait build.example nightly && echo done
  unglue wait --json build.example nightly | jq .outcome

Exit status: as for unglue exec.")]
pub(crate) struct WaitArgs {
    /// Print one JSON object with the outcome, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) job: JobArg,
}

/// Send a signal to a command that runs
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  unglue signal build.example nightly TERM
  unglue signal build.example nightly 9

The signal goes to the command's process group. Whether another client holds the command doesn't
matter.

Exit status: 0 if it was sent; 125 if not, for example because the command has ended.")]
pub(crate) struct SignalArgs {
    #[command(flatten)]
    pub(crate) job: JobArg,
    /// The signal's name or number: TERM, SIGKILL, 2
    #[arg(value_name = "SIGNAL", value_parser = parse_signal, help_heading = None::<&'static str>)]
    pub(crate) signal: i32,
}

/// Reads `TERM`, `SIGTERM`, `term` or `15`.
fn parse_signal(text: &str) -> Result<i32, String> {
    let name = text.to_ascii_uppercase();
    let named = || signal::number(&name).or_else(|| signal::number(&format!("SIG{name}")));
    match text.parse::<i32>() {
        Ok(number @ 1..=64) => Ok(number),
        Ok(_) => Err("signals have the numbers 1 to 64".into()),
        Err(_) => named().ok_or_else(|| "it is not a signal; write TERM, KILL, INT, HUP, USR1, or a number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_every_usual_form() {
        for (text, number) in [("TERM", 15), ("SIGTERM", 15), ("term", 15), ("9", 9), ("Int", 2)] {
            assert_eq!(parse_signal(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "-9", "TERMINATE", "SIG"] {
            assert!(parse_signal(text).is_err(), "{text:?}");
        }
    }
}
