//! `unglue lab torture`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use unglue_frame::Framing;
use unglue_lab::torture::{Compare, Settings, Target};

use super::{parse_address, parse_wait};

const TORTURE: &str = "\
Examples:
  unglue lab torture --to 127.0.0.1:6379 -- redis-cli -p {port} incr counter
  unglue lab torture --server 'python3 server.py {port}' -- ./client {port}
  unglue lab torture --to 127.0.0.1:9000 --frame u32be --test tests/cuts.py -- ./client {port}
  unglue lab torture --server 'slow-server {port}' --keep-server --compare exit -- ./client {port}
  unglue lab torture --replay torture-replay.json

The client connects to 127.0.0.1 at {port} ({address} is 127.0.0.1:{port}; the variable UNGLUE_PORT
has the port, too), where a proxy forwards its bytes to the server: cut at every place that may
matter, several messages together, with pauses inside a message, or through a narrow path. The output
and the exit code of a correct program don't depend on that. A failure is reduced to the fewest
cuts and written to a replay file; --test writes a regression test that needs no unglue, in the
language of the file's name: .rs, .py, .go, .js.

The client must end by itself, with the same result each time: the first two runs have no cuts.
Its standard input is empty; `sh -c '… < FILE'` gives it one.

Exit status: 0 if no bug was found; 1 if one was found; 125 if the runs were not possible.";

/// Run a client and a server with a proxy between them that cuts and joins what they send
#[derive(Debug, Args)]
#[command(after_long_help = TORTURE)]
pub(crate) struct LabTortureArgs {
    /// Where the server listens
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address, required_unless_present_any = ["server", "replay"])]
    pub(crate) to: Option<SocketAddr>,
    /// A shell command that starts the server, anew for each run; it must listen at {port} ($UNGLUE_PORT) of 127.0.0.1
    #[arg(long, value_name = "CMD", conflicts_with = "to")]
    pub(crate) server: Option<OsString>,
    /// Start that server once, for all runs
    #[arg(long, requires = "server")]
    pub(crate) keep_server: bool,
    /// The framing of both directions, such as u32be or lines: then a report names messages
    #[arg(long, value_name = "NOTATION", value_parser = parse_framing)]
    pub(crate) frame: Option<Framing>,
    /// The framing of what the server sends, if it is another one
    #[arg(long, value_name = "NOTATION", value_parser = parse_framing)]
    pub(crate) frame_reply: Option<Framing>,
    /// The seed of the random cuts
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// How many runs with cuts there are
    #[arg(long, value_name = "N", default_value = "40", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// How long a run may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_wait)]
    pub(crate) timeout: Duration,
    /// How long a pause inside a message takes, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0.6", value_parser = parse_wait)]
    pub(crate) stall: Duration,
    /// What must be the same in each run: all (standard output and exit code), stdout, exit, or a shell command that is
    /// given two files with outputs and exits with 0 if they mean the same
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = parse_compare)]
    pub(crate) compare: Compare,
    /// Also show the server its client's end before it has answered, as a client does that ends its own side first
    #[arg(long)]
    pub(crate) half_close: bool,
    /// The file for a failure that was found
    #[arg(long, value_name = "FILE", default_value = "torture-replay.json")]
    pub(crate) save: PathBuf,
    /// Run the programs and cuts of such a file again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "server", "client", "frame", "frame_reply", "half_close"])]
    pub(crate) replay: Option<PathBuf>,
    /// Write a failure as a regression test too, in the language of the file's name: .rs, .py, .go or .js
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The client and its arguments
    #[arg(last = true, value_name = "CLIENT", required_unless_present = "replay")]
    pub(crate) client: Vec<OsString>,
}

impl LabTortureArgs {
    /// What to do; `None` where a replay file says it.
    pub(crate) fn settings(&self) -> Option<Settings> {
        let target = match (&self.to, &self.server) {
            (Some(address), _) => Target::Address(*address),
            (None, Some(command)) => Target::Command { command: command.clone(), keep: self.keep_server },
            (None, None) => return None,
        };
        let mut settings = Settings::new(self.client.clone(), target);
        settings.framing = self.frame.clone();
        settings.reply_framing = self.frame_reply.clone().or_else(|| self.frame.clone());
        settings.seed = self.seed;
        settings.runs = self.runs;
        settings.timeout = self.timeout;
        settings.stall = self.stall;
        settings.compare = self.compare.clone();
        settings.half_close = self.half_close;
        Some(settings)
    }
}

/// A notation, and what is wrong with it, where.
pub(crate) fn parse_framing(notation: &str) -> Result<Framing, String> {
    notation.parse().map_err(|error: unglue_frame::NotationError| {
        format!("{error}, at character {}; unglue frame list shows what there is", error.column)
    })
}

fn parse_compare(what: &str) -> Result<Compare, String> {
    match what {
        "all" => Ok(Compare::All),
        "stdout" => Ok(Compare::Stdout),
        "exit" => Ok(Compare::Exit),
        "" => Err("it is empty; write all, stdout, exit or a command".into()),
        command => Ok(Compare::Command(command.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_is_a_command() {
        assert_eq!(parse_compare("exit"), Ok(Compare::Exit));
        assert_eq!(parse_compare("diff -q"), Ok(Compare::Command("diff -q".into())));
        assert!(parse_compare("").is_err());
    }

    #[test]
    fn a_wrong_notation_is_told_with_its_place() {
        assert!(parse_framing("u32be").is_ok());
        let error = parse_framing("u33be").expect_err("there is none");
        assert!(error.contains("at character 1") && error.contains("unglue frame list"), "{error}");
    }
}
