//! `unglue exec`: what was typed, and what it means.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args};
use unglue::{Compression, Exec, Forward, Lease};

use super::connection::ConnectionArgs;
use super::environment::EnvironmentArgs;
use super::forward::ForwardingArgs;
use super::lease::LeaseArgs;
use super::span::{parse_bytes, parse_timeout};
use super::target::HostArg;

/// How much of each output `--json` holds by default: 8 MiB.
const JSON_CAP: u64 = 8 << 20;

const EXAMPLES: &str = "\
Examples:
  unglue exec build.example uname -a
  unglue exec ada@build.example:7300 cat 'a file'     # no shell splits the arguments
  unglue exec build.example -c 'df -h | tail -n +2'   # sh -c, where a shell is wanted
  tar c src | unglue exec -i build.example tar x      # feed the command's standard input
  unglue exec --timeout 10s --json build.example ./check | jq .outcome
  unglue exec -C build.example cat big.log > big.log  # compressed on the way
  unglue exec --explain build.example cat disk.img > disk.img  # and why it was no faster
  unglue exec --outcome fd:3 build.example make 3>outcome.json
  unglue exec --env LANG --env CC=clang build.example make
  unglue exec -t build.example htop                   # on a terminal, as ssh -t
  unglue exec --lease keep=10m build.example make     # survives a lost connection
  unglue exec --detach --name nightly build.example make
  unglue exec --id deploy-42 build.example ./deploy   # at most once, however often you try
  unglue exec -R 9000:localhost:3000 web.example ./test   # ports, as for unglue forward

The command starts with the first word after HOST that is not an option. You may write --
before it.

The JSON object:
  id           the operation's id; null if no request was sent
  outcome      {\"exited\": CODE} or {\"signalled\": NAME, \"core\": BOOL}: how the command ended
               {\"timed_out\": {\"after_ms\": N}}: it ran for too long and was killed
               {\"spawn_failed\": {\"errno\": NAME, …}}, {\"refused\": FAULT} or
               {\"unreachable\": FAULT}: nothing ran
               {\"cancelled\": FAULT}: the client cancelled it, and it was killed
               {\"output_limit\": {\"bytes\": N}}: it printed more than --limit and was killed
               {\"not_kept\": OUTCOME}: it ran earlier under this id; its output was not kept
               {\"unknown\": FAULT}: it is not known whether it ran, or how it ended
               {\"unkillable\": FAULT}: it could not be killed, and still runs
               {\"link_lost\": FAULT}: the connection ended; it is not known how the command ended
               {\"corrupt\": FAULT}: what arrived is not what was sent
               {\"failed\": FAULT}: unglue itself failed
  stdout, stderr, stdin
               bytes, blake3, and end: eof, held_open (by a descendant), abandoned (by its
               reader), cut (it broke off); with --json also data, as {\"text\": …} or
               {\"base64\": …}, and data_cut_at if data is incomplete
  descendants  processes that still ran after the command: none, killed, left, unkillable
  wall_ms      milliseconds from the request to the outcome
  explained    only with --explain: what the streams waited for, in seconds

--events prints JSON lines, each with event and time:
  started      id, and pid on the server
  output       stream (stdout or stderr), offset in bytes, data as above
  signal       signal: it was sent to the command
  link_lost    why: the connection was lost, and the client connects again
  reattached   the connection is back; no output is missing or repeated
  outcome      the fields of the JSON object; the last line

Exit status:
  the command's own; 128+N if signal N ended it; 124 if it timed out; 126 if the
  program could not be run; 127 if it was not found; 125 if unglue itself failed.";

/// Run a command on another machine
///
/// Standard output and standard error are written as they arrive. Without -i, the command reads /dev/null. It gets the
/// environment of a login.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "unglue exec [OPTIONS] [user@]HOST[:PORT] [--] PROGRAM [ARG]…\n       unglue exec [OPTIONS] [user@]HOST[:PORT] -c TEXT")]
#[command(group(ArgGroup::new("what").args(["command", "shell"])))]
pub(crate) struct ExecArgs {
    /// Print only one JSON object, with the outcome and both outputs
    #[arg(long, conflicts_with = "outcome")]
    json: bool,
    /// Keep at most this much of each output in the JSON object (65536, 64K, 8M) [default: 8M]
    #[arg(long, value_name = "BYTES", requires = "json", value_parser = parse_bytes)]
    json_cap: Option<u64>,
    /// Write the JSON object without the outputs to a file, or to an open file descriptor
    #[arg(long, value_name = "FILE|fd:N")]
    outcome: Option<OsString>,
    /// Print only JSON lines of what happens, the outputs included
    #[arg(long, conflicts_with_all = ["json", "outcome"])]
    events: bool,
    /// Feed standard input to the command
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Compress the streams on the way, where that is faster
    #[arg(short = 'C', long, conflicts_with = "tty")]
    compress: bool,
    /// Say on standard error what the streams waited for
    #[arg(long, conflicts_with_all = ["tty", "lease", "detach"])]
    explain: bool,
    /// Give the command a terminal if standard input is one; -tt does always
    #[arg(short = 't', long = "tty", action = ArgAction::Count, conflicts_with_all = ["json", "outcome", "events"])]
    tty: u8,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// The directory to run in [default: home, or the server's root]
    #[arg(long, value_name = "DIR")]
    cwd: Option<OsString>,
    /// Kill the command after this long (500ms, 10s, 2m, 1h30m)
    #[arg(long, value_name = "DUR", value_parser = parse_timeout)]
    timeout: Option<Duration>,
    /// Don't kill the processes that outlive the command
    #[arg(long)]
    keep_descendants: bool,
    /// Run this text with sh -c
    #[arg(short = 'c', value_name = "TEXT")]
    shell: Option<OsString>,
    #[arg(value_name = "HOST", help = "The server, as [user@]HOST[:PORT]")]
    pub(crate) host: HostArg,
    /// The program and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) lease: LeaseArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    forwarding: ForwardingArgs,
}

/// Where the outcome goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutcomeTo {
    /// Nowhere: the exit code says it.
    Exit,
    /// To standard output, with at most so many bytes of each output in it.
    Stdout { cap: u64 },
    /// To standard output, as the last one of the events.
    Events,
    /// To a file.
    File(PathBuf),
    /// To an open file descriptor.
    Descriptor(i32),
}

/// What a command line of `exec` means.
#[derive(Debug)]
pub(crate) struct ExecPlan {
    pub(crate) exec: Exec,
    pub(crate) id: String,
    pub(crate) lease: Lease,
    pub(crate) outcome: OutcomeTo,
    pub(crate) forwards: Vec<Forward>,
    /// Whether the command gets a terminal.
    pub(crate) terminal: bool,
    /// Whether it is told what the streams waited for.
    pub(crate) explain: bool,
}

impl ExecArgs {
    /// Works out what the command line means.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub(crate) fn plan(&self) -> Result<ExecPlan, String> {
        let mut exec = self.environment.apply(self.command()?)?;
        if let Some(cwd) = &self.cwd {
            exec = exec.cwd(cwd);
        }
        if let Some(limit) = self.timeout {
            exec = exec.timeout(limit);
        }
        if self.stdin {
            exec = exec.with_stdin();
        }
        if self.keep_descendants {
            exec = exec.keep_descendants();
        }
        if self.compress {
            exec = exec.compress(Compression::Auto);
        }
        let (exec, id) = self.lease.apply(exec);
        let forwards = self.forwarding.forwards()?;
        if self.lease.detaches() && !forwards.is_empty() {
            return Err(
                "-L, -R and -D end with this client, and --detach ends it at once; leave one of them out".into()
            );
        }
        Ok(ExecPlan {
            exec,
            id,
            lease: self.lease.lease(),
            outcome: self.outcome_to()?,
            forwards,
            terminal: self.wants_terminal(),
            explain: self.explain,
        })
    }

    /// Whether the command is to have a terminal.
    fn wants_terminal(&self) -> bool {
        match self.tty {
            0 => false,
            1 => io::stdin().is_terminal(),
            _ => true,
        }
    }

    /// Whether a terminal was asked for that the command does not get.
    pub(crate) fn lacks_terminal(&self) -> bool {
        self.tty > 0 && !self.wants_terminal()
    }

    /// The program, if no shell was asked for.
    pub(crate) fn program(&self) -> Option<&OsStr> {
        self.command.first().map(OsString::as_os_str)
    }

    /// Whether the command reads standard input.
    pub(crate) fn feeds_stdin(&self) -> bool {
        self.stdin
    }

    fn command(&self) -> Result<Exec, String> {
        match (&self.shell, self.command.first()) {
            (Some(text), _) => Ok(Exec::shell(text)),
            (None, None) => Err(format!(
                "there is no command for {host}; write it after the host: unglue exec {host} PROGRAM [ARG]…; for a shell: \
                 unglue shell {host}",
                host = self.host
            )),
            (None, Some(program)) if program.is_empty() => Err("the program's name is empty".into()),
            (None, Some(_)) => Ok(Exec::new(&self.command)),
        }
    }

    fn outcome_to(&self) -> Result<OutcomeTo, String> {
        match &self.outcome {
            _ if self.json => Ok(OutcomeTo::Stdout { cap: self.json_cap.unwrap_or(JSON_CAP) }),
            None if self.events => Ok(OutcomeTo::Events),
            None => Ok(OutcomeTo::Exit),
            Some(text) => match text.as_bytes().strip_prefix(b"fd:") {
                Some(number) => descriptor(number),
                None if text.is_empty() => Err("--outcome needs a file's name, or fd:N".into()),
                None => Ok(OutcomeTo::File(PathBuf::from(text))),
            },
        }
    }
}

fn descriptor(number: &[u8]) -> Result<OutcomeTo, String> {
    let shown = number.escape_ascii();
    match std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()) {
        Some(0..=2) => Err(format!("--outcome fd:{shown} would mix the outcome with the streams; open another: fd:3")),
        Some(number @ 3..) => Ok(OutcomeTo::Descriptor(number)),
        _ => Err(format!("--outcome fd:{shown} names no file descriptor; write fd:3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        exec: ExecArgs,
    }

    fn plan(words: &[&str]) -> Result<ExecPlan, String> {
        let line = Line::try_parse_from([&["exec"], words].concat()).map_err(|error| error.to_string())?;
        line.exec.plan()
    }

    #[test]
    fn words_behind_the_dashes_are_the_commands_own() {
        let line =
            Line::try_parse_from(["exec", "h", "--", "printf", "%s", "", "-i", "--json", "a b"]).expect("a line");
        assert_eq!(line.exec.command, ["printf", "%s", "", "-i", "--json", "a b"]);
        assert!(!line.exec.stdin && line.exec.plan().expect("a plan").outcome == OutcomeTo::Exit);
    }

    #[test]
    fn the_outcome_goes_where_it_is_asked_to() {
        let outcome = |words| plan(words).expect("a plan").outcome;
        assert_eq!(outcome(&["--json", "h", "-c", "x"]), OutcomeTo::Stdout { cap: 8 << 20 });
        assert_eq!(outcome(&["--json", "--json-cap", "1K", "h", "-c", "x"]), OutcomeTo::Stdout { cap: 1024 });
        assert_eq!(outcome(&["--outcome", "fd:3", "h", "-c", "x"]), OutcomeTo::Descriptor(3));
        assert_eq!(outcome(&["--outcome", "./fd:3", "h", "-c", "x"]), OutcomeTo::File("./fd:3".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["h"][..],
            &["h", "--"],
            &["h", "-c", "x", "--", "y"],
            &["h", "--", ""],
            &["--json", "--outcome", "f", "h", "--", "x"],
            &["--outcome", "fd:1", "h", "--", "x"],
            &["--outcome", "fd:x", "h", "--", "x"],
            &["--env", "UNGLUE_NOT_SET", "h", "--", "x"],
            &["--env", "=v", "h", "--", "x"],
            &["--timeout", "soon", "h", "--", "x"],
            &["-P", "0", "h", "--", "x"],
        ] {
            assert!(plan(words).is_err(), "{words:?}");
        }
    }
}
