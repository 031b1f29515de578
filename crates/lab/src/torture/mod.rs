//! Torture: runs a client against a server through a proxy that cuts and joins what they send, and looks whether the client
//! comes out as it does without.
//!
//! TCP may deliver bytes in any pieces, so a right program's output and exit code don't depend on them. The proxy makes each
//! piece a read of its own: it sends the bytes behind a cut once the receiver has read those before it, which sock_diag(7) tells.
//! So a finding doesn't depend on how busy the machine is, and can be repeated.
//!
//! ```no_run
//! use unglue_lab::torture::{Settings, Target, Verdict, torture};
//!
//! # fn main() -> Result<(), unglue_lab::LabError> {
//! let server = Target::Command { command: "python3 server.py {port}".into(), keep: false };
//! let settings = Settings::new(["./client", "{port}"].map(Into::into), server);
//! let (_stopper, torture) = torture(settings)?;
//! match torture.search(&mut |_| {})? {
//!     Verdict::Found(finding) => finding.cuts.iter().for_each(|cut| eprintln!("{}", cut.says)),
//!     Verdict::Nothing { runs, .. } => eprintln!("nothing in {runs} runs"),
//! }
//! # Ok(())
//! # }
//! ```

mod describe;
mod judge;
mod lane;
mod places;
mod plan;
mod program;
mod queue;
mod regress;
mod replay;
mod run;
mod search;
mod shrink;
mod transcript;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use unglue_frame::Framing;

pub use judge::Compare;
pub use plan::{Act, Cut, Plan, Towards};
pub use program::Exit;
pub use regress::{Language, regression_test};
pub use replay::Replay;
pub use transcript::{Conversation, ReadEnd, Stream, Transcript};

use crate::LabError;
use crate::stop::{self, Stop, Stopper};
use places::Map;
use run::{Outcome, Ran};

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// It listens there.
    Address(SocketAddr),
    /// A shell command that starts it; `{port}` in it and `UNGLUE_PORT` in its environment are where it must listen.
    Command {
        /// The command.
        command: OsString,
        /// One server for all runs, not one for each.
        keep: bool,
    },
}

/// What is tortured, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The client's words; `{port}` in them and `UNGLUE_PORT` in its environment are where it must connect to.
    pub client: Vec<OsString>,
    /// The server.
    pub target: Target,
    /// What the client sends, where that is known.
    pub framing: Option<Framing>,
    /// What the server sends, where that is known.
    pub reply_framing: Option<Framing>,
    /// Where the random cuts begin.
    pub seed: u64,
    /// How many runs the search has.
    pub runs: u32,
    /// How long a run may take.
    pub timeout: Duration,
    /// How long a pause takes.
    pub stall: Duration,
    /// What must be the same.
    pub compare: Compare,
    /// Whether the server sees its client's end before the client has ended: right clients may need a server that holds this out,
    /// and many servers rightly don't.
    pub half_close: bool,
}

impl Settings {
    /// 40 runs of at most 10 s each, pauses of 600 ms.
    pub fn new(client: impl IntoIterator<Item = OsString>, target: Target) -> Settings {
        Settings {
            client: client.into_iter().collect(),
            target,
            framing: None,
            reply_framing: None,
            seed: 1,
            runs: 40,
            timeout: Duration::from_secs(10),
            stall: Duration::from_millis(600),
            compare: Compare::All,
            half_close: false,
        }
    }

    fn framings(&self) -> [Option<&Framing>; 2] {
        [self.framing.as_ref(), self.reply_framing.as_ref()]
    }

    fn map<'a>(&'a self, clean: &'a Transcript) -> Map<'a> {
        let stall = u64::try_from(self.stall.as_millis()).unwrap_or(u64::MAX).max(1);
        Map { clean, framings: self.framings(), stall, half_close: self.half_close }
    }
}

/// What a search has done so far.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The clean runs came out alike.
    Clean {
        /// How the client ended.
        exit: Exit,
        /// The bytes of its standard output.
        bytes: usize,
        /// What went through the proxy.
        transcript: &'a Transcript,
    },
    /// A run with cuts.
    Tried {
        /// Which.
        run: u32,
        /// Of how many.
        of: u32,
        /// What kind of cuts.
        name: &'static str,
        /// How many of them.
        cuts: usize,
        /// Whether it came out otherwise.
        failed: bool,
    },
    /// A run with some of the cuts that made one fail.
    Shrinking {
        /// How many of them.
        cuts: usize,
        /// Whether it failed too.
        failed: bool,
    },
}

/// Is given what a search has done.
pub type Watcher<'a> = dyn FnMut(&Progress<'_>) + 'a;

/// What a search has come to.
#[derive(Debug)]
pub enum Verdict {
    /// Under some cuts the client doesn't come out as it does without.
    Found(Box<Finding>),
    /// Under none that were tried.
    Nothing {
        /// How many runs had cuts.
        runs: u32,
        /// Where the random ones began.
        seed: u64,
        /// How long they took.
        took: Duration,
        /// Runs that came out otherwise, but not again.
        unrepeated: u32,
        /// How a clean run comes out.
        expected: ClientEnd,
    },
}

/// A cut, and what it did.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// The cut.
    #[serde(flatten)]
    pub cut: Cut,
    /// It in words.
    pub says: String,
    /// The bytes around it in a clean run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<String>,
}

/// How a client came out.
#[derive(Debug, Clone, Serialize)]
pub struct ClientEnd {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    #[serde(serialize_with = "shown")]
    pub stdout: Vec<u8>,
    /// The last line of its standard error.
    pub stderr: String,
}

fn shown<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]))
}

impl From<&Outcome> for ClientEnd {
    fn from(outcome: &Outcome) -> ClientEnd {
        ClientEnd { exit: outcome.exit, stdout: outcome.stdout.clone(), stderr: outcome.stderr.clone() }
    }
}

/// Cuts under which the client doesn't come out as it does without.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Where the random cuts began.
    pub seed: u64,
    /// Which run found it.
    pub run: u32,
    /// What kind of cuts that had.
    pub name: &'static str,
    /// The fewest that are left.
    pub cuts: Vec<Told>,
    /// What differs, one sentence each.
    pub differences: Vec<String>,
    /// How a clean run comes out.
    pub expected: ClientEnd,
    /// How one with these cuts does.
    pub got: ClientEnd,
    /// In how many runs they failed.
    pub failed: u32,
    /// Of how many.
    pub of: u32,
    /// How many runs it took to shrink them.
    pub shrinking_runs: u32,
    /// What a clean run carried.
    #[serde(skip)]
    pub clean: Transcript,
    /// Whether another clean run carried the same bytes.
    #[serde(skip)]
    pub steady: bool,
}

impl Finding {
    fn new(
        settings: &Settings,
        plan: Plan,
        clean: &Ran,
        (ran, without): (Ran, &Ran),
        differences: Vec<String>,
        (failed, of): (u32, u32),
        shrinking_runs: u32,
    ) -> Finding {
        let tell = |cut: Cut| Told {
            says: describe::cut(&cut, &clean.transcript, settings.framings()),
            around: describe::around(&cut, &clean.transcript),
            cut,
        };
        Finding {
            seed: settings.seed,
            run: 0,
            name: "a replay",
            cuts: plan.cuts.into_iter().map(tell).collect(),
            differences,
            expected: (&clean.outcome).into(),
            got: (&ran.outcome).into(),
            failed,
            of,
            shrinking_runs,
            clean: clean.transcript.clone(),
            steady: clean.transcript.carried_as(&without.transcript),
        }
    }
}

/// A search or a replay that can begin.
#[derive(Debug)]
pub struct Torture {
    settings: Settings,
    stop: Stop,
}

/// Makes a search, and what ends it early from another thread.
///
/// # Errors
/// [`LabError::Misuse`] if there is no client; [`LabError::Io`].
pub fn torture(settings: Settings) -> Result<(Stopper, Torture), LabError> {
    if settings.client.is_empty() {
        return Err(LabError::misuse("there is no client to run", "give its command behind --"));
    }
    let (stopper, stop) = stop::pair().map_err(LabError::io("make a pipe"))?;
    Ok((stopper, Torture { settings, stop }))
}

impl Torture {
    /// Searches.
    ///
    /// # Errors
    /// [`LabError`]: a program can't be run, or clean runs don't come out alike; [`LabError::Stopped`].
    pub fn search(&self, watch: &mut Watcher<'_>) -> Result<Verdict, LabError> {
        search::search(&self.settings, &self.stop, watch)
    }

    /// Runs one plan again.
    ///
    /// # Errors
    /// As [`Torture::search`].
    pub fn replay(&self, plan: &Plan, watch: &mut Watcher<'_>) -> Result<Verdict, LabError> {
        let began = std::time::Instant::now();
        let mut runner = search::Runner::new(&self.settings, &self.stop);
        let clean = runner.clean()?;
        let Ran { outcome, transcript, .. } = &clean;
        watch(&Progress::Clean { exit: outcome.exit, bytes: outcome.stdout.len(), transcript });
        let before = runner.runs;
        Ok(match search::confirm(&mut runner, &clean, plan.clone(), before)? {
            Some(finding) => Verdict::Found(Box::new(finding)),
            None => {
                let (seed, took) = (self.settings.seed, began.elapsed());
                let (runs, expected) = (runner.runs - before - 1, (&clean.outcome).into());
                Verdict::Nothing { runs, seed, took, unrepeated: 0, expected }
            }
        })
    }
}
