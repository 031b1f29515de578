//! The search: clean runs, then one kind of cuts after the other, then random ones.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::judge;
use super::places::Random;
use super::plan::{Plan, Towards};
use super::program::{Client, Exit, Port, Server, free_port, listens};
use super::run::{Limits, Outcome, Ran, Run, whole};
use super::shrink::shrink;
use super::{Finding, Progress, Settings, Target, Verdict, Watcher};
use crate::LabError;
use crate::stop::{Stop, Woken};

/// How long a run may be silent before it counts as hanging: where both programs can be looked at, and where the server can't.
const IDLE: Duration = Duration::from_millis(150);
const IDLE_UNSEEN: Duration = Duration::from_millis(700);
/// How much longer it may be when a finding is confirmed.
const MORE_IDLE: Duration = Duration::from_millis(500);
/// The least time for which bytes are held for others.
const HOLD: Duration = Duration::from_millis(250);
/// How many ports are tried.
const TRIES: u32 = 3;
/// How long a server of ours may take until it listens, and how often that is looked at.
const START: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(3);
/// How many clean runs there are before anything is done to one.
const CLEAN: u32 = 2;
/// How often a shrunk plan is tried again.
const AGAIN: u32 = 2;

/// Runs the programs, and counts.
pub(super) struct Runner<'a> {
    pub(super) settings: &'a Settings,
    stop: &'a Stop,
    kept: Option<(Server, u16)>,
    idle: Duration,
    hold: Duration,
    pub(super) runs: u32,
}

impl<'a> Runner<'a> {
    pub(super) fn new(settings: &'a Settings, stop: &'a Stop) -> Runner<'a> {
        Runner { settings, stop, kept: None, idle: settings.timeout, hold: HOLD, runs: 0 }
    }

    pub(super) fn run(&mut self, plan: &Plan) -> Result<Ran, LabError> {
        self.runs += 1;
        let limits = Limits { idle: self.idle, whole: whole(plan, self.settings.timeout), hold: self.hold };
        let mut own = None;
        let (target, server) = match &self.settings.target {
            Target::Address(address) => (*address, None),
            Target::Command { command, keep: false } => {
                let (server, port) = own.insert(self.start(command)?);
                (SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), Some(server))
            }
            Target::Command { command, keep: true } => {
                // One that the last run's cuts have ended is started again.
                if self.kept.as_mut().is_none_or(|(server, _)| server.exit().is_some()) {
                    self.kept = Some(self.start(command)?);
                }
                let (server, port) = self.kept.as_mut().expect("it was started");
                (SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), Some(server))
            }
        };
        let run = Run::new(plan, target, limits, self.stop)?;
        let client = Client::start(&self.settings.client, run.port()?)?;
        run.finish(client, server)
    }

    /// Starts a server, and waits until it listens: a client's bytes that had to wait would arrive together.
    fn start(&self, command: &OsStr) -> Result<(Server, u16), LabError> {
        let mut started = self.start_at(command, free_port()?);
        for _ in 1..TRIES {
            // Between the look and the server's bind another program may have taken the port.
            match &started {
                Err(LabError::Broken { what, .. })
                    if what.contains("ddress already in use") || what.contains("EADDRINUSE") =>
                {
                    started = self.start_at(command, free_port()?);
                }
                _ => break,
            }
        }
        started
    }

    fn start_at(&self, command: &OsStr, port: Port) -> Result<(Server, u16), LabError> {
        let mut server = Server::start(command, port)?;
        let port = server.port.number;
        let advice = "the port is {port} in the command, and UNGLUE_PORT in its environment";
        let began = Instant::now();
        while !listens(port) {
            let what = match server.exit() {
                Some(exit) => format!("the server never listened on port {port} ({exit}): {}", server.said()),
                None if began.elapsed() < START => {
                    let woken = Stop::wait(Some(self.stop), &mut [], Instant::now() + LOOK);
                    match woken.map_err(LabError::io("wait for the server"))? {
                        Woken::Stopped => return Err(LabError::Stopped),
                        _ => continue,
                    }
                }
                None => format!("the server doesn't listen on port {port} after {} s", START.as_secs()),
            };
            return Err(LabError::Broken { what, advice: advice.into() });
        }
        Ok((server, port))
    }

    /// Clean runs: all must come out alike, or nothing can be said of others.
    pub(super) fn clean(&mut self) -> Result<Ran, LabError> {
        self.idle = self.settings.timeout;
        let first = self.run(&Plan::default())?;
        self.check(&first)?;
        let mut gap = first.gap;
        for _ in 1..CLEAN {
            let again = self.run(&Plan::default())?;
            gap = gap.max(again.gap);
            if let Some(difference) = self.differs(&first.outcome, &again.outcome)?.first() {
                return Err(flaky(difference));
            }
        }
        let least = if matches!(self.settings.target, Target::Address(_)) { IDLE_UNSEEN } else { IDLE };
        self.idle = least + 2 * gap;
        self.hold = HOLD.max(3 * gap).min(Duration::from_secs(1));
        Ok(first)
    }

    fn check(&self, clean: &Ran) -> Result<(), LabError> {
        let Outcome { exit, stderr, .. } = &clean.outcome;
        if clean.transcript.conversations.is_empty() {
            return Err(match exit {
                Exit::Hung => LabError::misuse(
                    format!("the client did not connect within {} s", self.settings.timeout.as_secs_f64()),
                    "it must connect to 127.0.0.1 at the port that {port} in its arguments and UNGLUE_PORT in its \
                     environment say",
                ),
                exit => LabError::misuse(
                    format!("the client never connected ({exit}): {stderr}"),
                    "it must connect to 127.0.0.1 at the port that {port} in its arguments and UNGLUE_PORT in its \
                     environment say",
                ),
            });
        }
        match exit {
            Exit::Hung => Err(LabError::misuse(
                format!(
                    "the client did not end within {} s, and nothing was done to its bytes: it sent {} bytes, and the server {}",
                    self.settings.timeout.as_secs_f64(),
                    clean.transcript.carried(Towards::Server),
                    clean.transcript.carried(Towards::Client),
                ),
                "give a client that ends by itself, or more time with --timeout; or see whether the server answers",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn differs(&self, clean: &Outcome, got: &Outcome) -> Result<Vec<String>, LabError> {
        judge::differences(&self.settings.compare, clean, got)
    }
}

fn flaky(difference: &str) -> LabError {
    LabError::misuse(
        format!("two clean runs differ, though nothing was done to their bytes: {difference}"),
        "compare something that is the same each time: --compare exit, or --compare CMD with a command that leaves out what \
         changes; or start each run from the same state (--server CMD starts a server for each)",
    )
}

/// Searches for a plan under which the client doesn't come out as in a clean run.
pub(super) fn search(settings: &Settings, stop: &Stop, watch: &mut Watcher<'_>) -> Result<Verdict, LabError> {
    let mut runner = Runner::new(settings, stop);
    let clean = runner.clean()?;
    watch(&Progress::Clean {
        exit: clean.outcome.exit,
        bytes: clean.outcome.stdout.len(),
        transcript: &clean.transcript,
    });
    let map = settings.map(&clean.transcript);
    let mut random = Random(settings.seed);
    let began = Instant::now();
    let (mut tried, mut unrepeated) = (0, 0);
    let mut plans: Vec<(&'static str, Plan)> = vec![
        ("cuts at every place", map.splits()),
        ("bytes that arrive together", map.joins()),
        ("a half-close", map.half_closes()),
        ("little room for the sender", map.narrow()),
        ("requests that arrive together", map.hopeful_joins()),
        ("a pause inside a message", map.stalls(0)),
        ("a pause inside a message", map.stalls(1)),
        ("a pause inside a message", map.stalls(2)),
    ];
    plans.retain(|(_, plan)| !plan.cuts.is_empty());
    plans.reverse();
    while tried < settings.runs {
        let (name, plan) = plans.pop().unwrap_or_else(|| ("random cuts", map.random(&mut random)));
        if plan.cuts.is_empty() {
            break;
        }
        tried += 1;
        let ran = runner.run(&plan)?;
        let differences = runner.differs(&clean.outcome, &ran.outcome)?;
        watch(&Progress::Tried {
            run: tried,
            of: settings.runs,
            name,
            cuts: plan.cuts.len(),
            failed: !differences.is_empty(),
        });
        if differences.is_empty() {
            continue;
        }
        match narrow_down(&mut runner, &clean, &plan, &ran, watch)? {
            Some(found) => {
                return Ok(Verdict::Found(Box::new(Finding { seed: settings.seed, run: tried, name, ..found })));
            }
            None => unrepeated += 1,
        }
    }
    let took = began.elapsed();
    Ok(Verdict::Nothing { runs: tried, seed: settings.seed, took, unrepeated, expected: (&clean.outcome).into() })
}

/// Shrinks a plan that failed, and makes sure that it is the cuts that do it. `None` if it doesn't fail again.
fn narrow_down(
    runner: &mut Runner<'_>,
    clean: &Ran,
    plan: &Plan,
    ran: &Ran,
    watch: &mut Watcher<'_>,
) -> Result<Option<Finding>, LabError> {
    let before = runner.runs;
    let mut applied = ran.applied.clone();
    for patient in [false, true] {
        if patient {
            // Perhaps one of the programs is slow. Then every run gets more time from now on.
            runner.idle += MORE_IDLE;
            let again = runner.run(plan)?;
            if runner.differs(&clean.outcome, &again.outcome)?.is_empty() {
                return Ok(None);
            }
            applied = again.applied;
        }
        let left = shrink(plan, &applied, &mut |plan: &Plan| {
            let ran = runner.run(plan)?;
            let fails = !runner.differs(&clean.outcome, &ran.outcome)?.is_empty();
            watch(&Progress::Shrinking { cuts: plan.cuts.len(), failed: fails });
            Ok(fails)
        })?;
        if let Some(found) = confirm(runner, clean, left, before)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Runs a plan again, more patiently, and once more without it.
pub(super) fn confirm(
    runner: &mut Runner<'_>,
    clean: &Ran,
    plan: Plan,
    before: u32,
) -> Result<Option<Finding>, LabError> {
    let idle = runner.idle;
    runner.idle = idle + MORE_IDLE;
    let (mut failed, mut last) = (0, None);
    for _ in 0..AGAIN {
        let ran = runner.run(&plan)?;
        let differences = runner.differs(&clean.outcome, &ran.outcome)?;
        if !differences.is_empty() {
            failed += 1;
            last = Some((ran, differences));
        }
    }
    let without = runner.run(&Plan::default())?;
    runner.idle = idle;
    if let Some(difference) = runner.differs(&clean.outcome, &without.outcome)?.first() {
        return Err(flaky(difference));
    }
    Ok(last.map(|(ran, differences)| {
        let settings = runner.settings;
        Finding::new(settings, plan, clean, (ran, &without), differences, (failed, AGAIN), runner.runs - before)
    }))
}
