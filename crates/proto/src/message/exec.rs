//! Running a command: its request, what follows, and how it can end.
//!
//! ```text
//! client                                          server
//!   exec {stdin: stream}                       ─▶
//!   stdin ═══════════════════════════════════  ─▶
//!                                              ◀─  started {stdout: stream, stderr: stream}
//!                                              ◀─  ════════ stdout, stderr
//!   signal …                                   ─▶
//!                                              ◀─  exited (as soon as the process is reaped)
//!                                              ◀─  outcome (once both streams have ended)
//! ```
//!
//! Instead of all that the server may send `refused`: nothing ran. `outcome` or `refused` is the final message. A control
//! stream that ends without one is a lost link, never a success.
//!
//! A command with the lease `keep` or `detach` outlives the link. Its client asks again for it by the same request with
//! [`Exec::again`], which says what it has; the server answers with the same messages from there on. `taken` says how much of
//! the input the command was given, so that the client can forget it; `replaced` says that another client holds the command
//! now, and is a final message.
//!
//! A command with [`Exec::terminal`] has a pseudoterminal in place of its streams. Its standard output carries what the terminal
//! shows, and there is no standard error. `resize` changes the terminal's size.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Compress, Tally, Time, named, tagged};
use crate::{Fault, Octets};

/// What an `exec` may require of a server of this version.
pub const KNOWN: &[&str] = &[
    "argv",
    "env",
    "cwd",
    "stdin",
    "timeout_ms",
    "descendants",
    "stdout",
    "stderr",
    "started",
    "exited",
    "lease",
    "terminal",
    "compress",
];

/// The most arguments, and the most variables, of a command: more than Linux can pass, whose limit of 2 MiB counts ten bytes
/// for the shortest. A parsed string takes more memory than its JSON, so their number needs a limit of its own.
pub const STRINGS: usize = 256 * 1024;

/// Reads a list of at most [`STRINGS`] items.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {STRINGS} strings")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                if items.len() == STRINGS {
                    return Err(A::Error::invalid_length(STRINGS + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items(PhantomData))
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The operation's id, chosen by the client.
    pub id: String,
    /// The program and its arguments, byte for byte; at most [`STRINGS`]. Empty with a terminal: the login shell, started as a
    /// login starts it, with a name that begins with `-`.
    #[serde(deserialize_with = "bounded")]
    pub argv: Vec<Octets>,
    /// Variables on top of the login environment; at most [`STRINGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "bounded")]
    pub env: Vec<(Octets, Octets)>,
    /// The working directory; the home directory, or the root's top, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Octets>,
    /// The client's stream that feeds the command's standard input; `/dev/null` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<u64>,
    /// How long the command may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What becomes of the processes that outlive the command.
    #[serde(default)]
    pub descendants: Descendants,
    /// How long the command may live without its client. A request with another lease than `kill` requires `lease`, which
    /// stands for all the fields that follow.
    #[serde(default, skip_serializing_if = "Lease::is_kill")]
    pub lease: Lease,
    /// A name to find the command by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the id is on the disk before the command starts, so that not even a power cut has it run again.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub durable: bool,
    /// Whether the id has to be recorded: it was chosen by somebody who may use it again.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub recorded: bool,
    /// The most that the command may print to both outputs, in bytes; it is killed when it prints more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<u64>,
    /// Gives the command a terminal of this size in place of pipes. A request with it requires `terminal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// Present where the request may have been made before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// How the server compresses what it sends; not at all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compress>,
    /// The fields that an old server must not ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// The size of a terminal, in character cells: `{"rows": 24, "columns": 80}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl TerminalSize {
    /// So many lines of so many characters.
    pub fn new(rows: u16, columns: u16) -> TerminalSize {
        TerminalSize { rows, columns }
    }
}

tagged! {
    /// How long a command may live without a client that holds it.
    pub enum Lease {
        /// Not at all: `{"kill": {}}`.
        "kill" => Kill(Nothing),
        /// For so long after its last holder has gone: `{"keep": {"ms": 30000}}`.
        "keep" => Keep(Keep),
        /// As long as it runs: `{"detach": {}}`.
        "detach" => Detach(Nothing),
    }
}

/// A body without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// A time without a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// In milliseconds.
    pub ms: u64,
}

impl Default for Lease {
    fn default() -> Lease {
        Lease::Kill(Nothing {})
    }
}

impl Lease {
    /// `keep` for so many milliseconds.
    pub fn keep(ms: u64) -> Lease {
        Lease::Keep(Keep { ms })
    }

    /// `detach`.
    pub fn detach() -> Lease {
        Lease::Detach(Nothing {})
    }

    /// Whether the command dies with its link.
    pub fn is_kill(&self) -> bool {
        matches!(self, Lease::Kill(_))
    }
}

/// What a client that asks again knows of the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The journal of the server that it asked before ([`Welcome::journal`](super::auth::Welcome::journal)); left out where it
    /// doesn't know it. A server that doesn't know the id refuses it as `unknown` unless this is its own journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// How many bytes of standard output it has.
    #[serde(default)]
    pub stdout: u64,
    /// How many bytes of standard error it has.
    #[serde(default)]
    pub stderr: u64,
}

/// What becomes of the processes that outlive the command's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Descendants {
    /// They are killed.
    #[default]
    Kill,
    /// They are left alone.
    Leave,
}

tagged! {
    /// From the client, after the request.
    pub enum FromClient {
        /// Send a signal, by its name, to the command's process group; to the foreground process group of its terminal.
        "signal" => Signal(String),
        /// The size of the holder's terminal: the command's gets the same.
        "resize" => Resize(TerminalSize),
    }
}

tagged! {
    /// From the server.
    pub enum FromServer {
        /// The command runs.
        "started" => Started(Started),
        /// The command's own process was reaped; its streams may still hold something.
        "exited" => Exited(Exit),
        /// So many bytes of the input were given to a command that outlives the link.
        "taken" => Taken(u64),
        /// Another client holds the command now: the final message for this one.
        "replaced" => Replaced(Nothing),
        /// The final message of a command that was accepted.
        "outcome" => Outcome(Box<Report>),
        /// The final message of a request that was not: nothing ran.
        "refused" => Refused(Fault),
    }
}

/// Where the command's outputs are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The process id on the server.
    pub pid: u32,
    /// The server's stream of standard output.
    pub stdout: u64,
    /// The server's stream of standard error; a terminal has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<u64>,
    /// How much of the input the command was given before, in bytes.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub taken: u64,
    /// When the command started, where it was started by an earlier request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The server's stream of a picture of the terminal, where the output from the requested offset on is no longer kept. It ends
    /// where `from` begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<u64>,
    /// Where standard output begins, with `screen`.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub from: u64,
}

tagged! {
    /// How the command's own process ended (wait(2)).
    pub enum Exit {
        /// It returned a code, 0 to 255: `{"exited": 3}`.
        "exited" => Exited(u8),
        /// A signal ended it: `{"signalled": {"signal": "SIGKILL", "core": false}}`.
        "signalled" => Signalled(Signalled),
    }
}

/// The signal that ended a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalled {
    /// Its name.
    pub signal: String,
    /// Whether the process dumped core.
    pub core: bool,
}

tagged! {
    /// How an operation ended: exactly one of these (promise P2).
    pub enum Outcome {
        /// The command ended by itself.
        "ended" => Ended(Exit),
        /// It ran for too long, and its tree was killed: `{"timed_out": {"after_ms": 1000}}`.
        "timed_out" => TimedOut(TimedOut),
        /// It never ran: `{"spawn_failed": {"errno": "ENOENT", …}}`.
        "spawn_failed" => SpawnFailed(SpawnFailed),
        /// The client took the command back before it had ended: it broke its input off, or its user left. The tree was
        /// killed.
        "cancelled" => Cancelled(Fault),
        /// It was to be killed, and the system could not: it changed its user, or hangs in the kernel.
        "unkillable" => Unkillable(Fault),
        /// The server refused the request; nothing ran.
        "refused" => Refused(Fault),
        /// There was no connection; nothing ran. Only a client reports this.
        "unreachable" => Unreachable(Fault),
        /// The link ended first: whether the command finished is not known. Only a client reports this.
        "link_lost" => LinkLost(Fault),
        /// The command ended, but what arrived of it isn't what was sent. Only a client reports this.
        "corrupt" => Corrupt(Fault),
        /// unglue itself failed while the command ran.
        "failed" => Failed(Fault),
        /// It printed more than it was allowed to, and its tree was killed: `{"output_limit": {"bytes": 1000}}`.
        "output_limit" => OutputLimit(OutputLimit),
        /// Whether it started, or how it ended, is not known: the server or the machine went down meanwhile.
        "unknown" => NotKnown(Fault),
        /// It was run before under this id and ended so; what it printed was not kept.
        "not_kept" => NotKept(Box<Outcome>),
    }
}

/// A limit of output that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLimit {
    /// The limit, in bytes of both outputs.
    pub bytes: u64,
}

impl Exit {
    /// The end of a process by a signal of this name.
    pub fn signalled(signal: impl Into<String>, core: bool) -> Exit {
        Exit::Signalled(Signalled { signal: signal.into(), core })
    }
}

impl Outcome {
    /// The outcome of a command that returned this code.
    pub fn exited(code: u8) -> Outcome {
        Outcome::Ended(Exit::Exited(code))
    }
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedOut {
    /// The limit, in milliseconds.
    pub after_ms: u64,
}

/// A program that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnFailed {
    /// The system's name for the error: `ENOENT`.
    pub errno: String,
    /// What it was about: the program, or the working directory.
    pub step: SpawnStep,
    /// One sentence for people.
    pub what: String,
}

named! {
    /// Which step of starting a program failed.
    pub enum SpawnStep {
        /// Executing the program (execve(2)).
        "program" => Program,
        /// Entering the working directory (chdir(2)).
        "cwd" => Cwd,
        /// Making pipes or a process.
        "resources" => Resources,
    }
}

named! {
    /// How one stream of a command ended.
    pub enum StreamEnd {
        /// Every writer closed it: all of it is here.
        "eof" => Eof,
        /// A surviving descendant held it open after the command's end; what the command wrote is here.
        "held_open" => HeldOpen,
        /// Its reader read no more.
        "abandoned" => Abandoned,
        /// It broke off: reading it failed, or the link ended before it did.
        "cut" => Cut,
    }
}

/// One output stream, as the sender saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Its bytes and digest.
    #[serde(flatten)]
    pub tally: Tally,
    /// How it ended.
    pub end: StreamEnd,
}

named! {
    /// What became of the processes that outlived the command's own.
    pub enum Left {
        /// There were none.
        "none" => None,
        /// They were killed.
        "killed" => Killed,
        /// They were left alone, as asked.
        "left" => Left,
        /// Some could not be killed: they changed their user, or hang in the kernel. They still run.
        "unkillable" => Unkillable,
    }
}

/// Everything that is known about a command's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Standard output, if the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StreamReport>,
    /// Standard error, if the command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<StreamReport>,
    /// Standard input, if there was one, as the server received it: `abandoned` where the command didn't take it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<StreamReport>,
    /// What became of the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descendants: Option<Left>,
    /// From the request to the outcome on the server, in microseconds.
    pub wall_us: u64,
    /// What this link's streams carried of the outputs, where that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
}

/// What the streams of one link carried of a command's outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Of standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Tally>,
    /// Of standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Tally>,
}

impl Report {
    /// A report of nothing but how it ended.
    pub fn of(outcome: Outcome) -> Report {
        Report { outcome, stdout: None, stderr: None, stdin: None, descendants: None, wall_us: 0, sent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn round_trip(outcome: Outcome, json: &str) {
        assert_eq!(serde_json::to_string(&outcome).unwrap(), json);
        assert_eq!(serde_json::from_str::<Outcome>(json).unwrap(), outcome);
    }

    #[test]
    fn every_outcome_has_its_own_form() {
        round_trip(Outcome::exited(3), r#"{"ended":{"exited":3}}"#);
        let killed = Exit::signalled("SIGKILL", false);
        round_trip(Outcome::Ended(killed), r#"{"ended":{"signalled":{"signal":"SIGKILL","core":false}}}"#);
        round_trip(Outcome::TimedOut(TimedOut { after_ms: 1000 }), r#"{"timed_out":{"after_ms":1000}}"#);
        let failed = SpawnFailed { errno: "ENOENT".into(), step: SpawnStep::Program, what: "no".into() };
        round_trip(Outcome::SpawnFailed(failed), r#"{"spawn_failed":{"errno":"ENOENT","step":"program","what":"no"}}"#);
        round_trip(
            Outcome::LinkLost(Fault::system(Code::LinkLost, "cut")),
            r#"{"link_lost":{"code":"link_lost","blame":"system","what":"cut"}}"#,
        );
    }

    #[test]
    fn more_arguments_than_any_system_takes_are_refused() {
        let request = |count: usize| format!(r#"{{"id":"a","argv":[{}""]}}"#, r#""","#.repeat(count - 1));
        assert!(serde_json::from_str::<Exec>(&request(STRINGS)).is_ok());
        let error = serde_json::from_str::<Exec>(&request(STRINGS + 1)).unwrap_err();
        assert!(error.to_string().contains("at most 262144"), "{error}");
    }

    #[test]
    fn an_exit_code_that_no_process_has_is_refused() {
        for wrong in [r#"{"exited":256}"#, r#"{"exited":-1}"#, r#"{"exited":3.5}"#] {
            assert!(serde_json::from_str::<Exit>(wrong).is_err(), "{wrong}");
        }
    }
}
