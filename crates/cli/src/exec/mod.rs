//! `unglue exec`: one command, its streams, and how it ended.

pub(crate) mod drive;
mod events;
pub(crate) mod feed;
pub(crate) mod held;
pub(crate) mod hint;
mod inherited;
pub(crate) mod object;
mod outcome_sink;
pub(crate) mod pump;
pub(crate) mod sink;
pub(crate) mod verdict;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use unglue::{Report, StreamReport};

use crate::access::Access;
use crate::args::exec::{ExecArgs, ExecPlan, OutcomeTo};
use crate::complaint::{Complaint, say};
use crate::explain::{self, Moved};
use crate::forward::{beside, beside_terminal};
use crate::{runtime, shell, standard};
use drive::{Ended, drive, refused};
use events::{Event, Events};
use held::Held;
use hint::shell_hint;
use object::{Kept, Object};
use outcome_sink::OutcomeSink;
use pump::Destination;
use sink::Sink;

/// Runs the command line.
///
/// # Errors
/// Everything but the command's own end.
pub(crate) fn run(args: &ExecArgs) -> Result<ExitCode, Complaint> {
    let mut plan = args.plan().map_err(Complaint::new)?;
    check_streams(args, &plan.outcome)?;
    if args.lacks_terminal() {
        say("standard input is not a terminal, so the command gets none; -tt gives it one in any case");
    }
    let access = Access::new(&args.host, &args.connection)?;
    plan.exec = access.with_variables(plan.exec);
    if plan.terminal {
        plan.exec = shell::on_terminal(plan.exec);
    }
    if args.lease.detaches() {
        return runtime::run(start_and_leave(&access, &plan, args)).map(ExitCode::from);
    }
    if plan.terminal {
        return runtime::run(on_terminal(&access, &plan, args)).map(ExitCode::from);
    }
    // Before anything else opens a file, and before anything runs.
    let sink = OutcomeSink::open(&plan.outcome)?;
    runtime::run(async {
        let events = match plan.outcome {
            OutcomeTo::Events => Some(Events::to_stdout().map_err(|error| Complaint::from(refused(&error)))?),
            _ => None,
        };
        let (host, job) = (args.host.to_string(), plan.id.clone());
        let held = Held { host, job, after: plan.lease.into(), passes_signals: true, events };
        let ended = execute(&access, &plan, &held).await;
        let hint = shell_hint(args.program(), &ended.report.outcome);
        tell(&plan, ended, &held, sink).await.map(ExitCode::from).map_err(|complaint| complaint.with(&hint))
    })
}

/// Starts the command, prints its id, and leaves it to itself.
async fn start_and_leave(access: &Access, plan: &ExecPlan, args: &ExecArgs) -> Result<u8, Complaint> {
    let client = access.connect().await?;
    let mut running = client.exec(&plan.exec).await?;
    if running.pid().is_none() {
        let outcome = running.outcome().await.outcome;
        return verdict::verdict(&outcome).map_err(|complaint| complaint.with(&shell_hint(args.program(), &outcome)));
    }
    let printed = standard::print(format!("{}\n", plan.id));
    running.detach();
    printed.map(|()| 0).map_err(|complaint| complaint.with(&format!("; the command {} runs", plan.id)))
}

/// Runs the command on a terminal, and stays with it.
async fn on_terminal(access: &Access, plan: &ExecPlan, args: &ExecArgs) -> Result<u8, Complaint> {
    let client = access.connect().await?;
    // Before the command: it may use the ports at once.
    let _forwarded = beside_terminal(&client, &plan.forwards, Duration::ZERO).await?;
    let to = (&args.host, &args.connection);
    shell::execute(client, &plan.exec, args.program(), to, (&plan.id, plan.lease)).await
}

/// What would only fail once the command has run is found out before.
fn check_streams(args: &ExecArgs, outcome: &OutcomeTo) -> Result<(), Complaint> {
    if args.lease.detaches() || matches!(outcome, OutcomeTo::Stdout { .. } | OutcomeTo::Events) {
        standard::check_stdout().map_err(|complaint| complaint.with("; nothing was run"))?;
    }
    let unreadable =
        |error| format!("standard input can't be fed to the command: {error}; nothing was run. Leave -i out");
    match args.feeds_stdin() {
        true => standard::check_stdin().map_err(|error| Complaint::new(unreadable(error))),
        false => Ok(()),
    }
}

async fn execute(access: &Access, plan: &ExecPlan, held: &Held) -> Ended {
    let ready = async {
        let destinations = destinations(&plan.outcome, held).map_err(|error| refused(&error))?;
        let client = access.connect().await?;
        access.tell_compression(&client, plan.exec.compression()).await;
        Ok((destinations, client))
    };
    let (destinations, client) = match ready.await {
        Ok(ready) => ready,
        Err(fault) => return Ended::before_it_ran(fault),
    };
    // Before the command: it may use the ports at once.
    let _forwarded = match beside(&client, &plan.forwards).await {
        Ok(forwarded) => forwarded,
        Err(fault) => return Ended::before_it_ran(fault),
    };
    let watch = match plan.explain {
        true => match client.watch().await {
            Ok(watch) => Some(watch),
            Err(fault) => return Ended::before_it_ran(fault),
        },
        false => None,
    };
    let started = Instant::now();
    let mut ended = drive(&client, &plan.exec, destinations, held).await.unwrap_or_else(Ended::after_the_request);
    if ended.report.wall_us == 0 {
        // The server has not reported how long it took.
        ended.report.wall_us = started.elapsed().as_micros() as u64;
    }
    match ended.complaint {
        None => ended.explained = explain::end(watch, bytes(&ended.report)).await,
        // A command that is just starting holds the link open.
        Some(_) => client.close(),
    }
    ended
}

/// The bytes of the direction that had more, and whether it was the command's input.
fn bytes(report: &Report) -> (u64, bool) {
    let of = |stream: &Option<StreamReport>| stream.as_ref().map_or(0, |stream| stream.tally.bytes);
    let (input, output) = (of(&report.stdin), of(&report.stdout) + of(&report.stderr));
    (input.max(output), input > output)
}

fn destinations(outcome: &OutcomeTo, held: &Held) -> io::Result<(Destination, Destination)> {
    match (outcome, &held.events) {
        (_, Some(events)) => {
            let to = |stream| Destination::Events(events.clone(), stream);
            Ok((to("stdout"), to("stderr")))
        }
        (OutcomeTo::Stdout { cap }, _) => {
            Ok((Destination::Keep(Kept::up_to(*cap)), Destination::Keep(Kept::up_to(*cap))))
        }
        _ => Ok((Destination::Sink(Sink::stdout()?), Destination::Sink(Sink::stderr()?))),
    }
}

/// Says how it ended, wherever that was asked for, and gives the exit code.
async fn tell(plan: &ExecPlan, ended: Ended, held: &Held, sink: Option<OutcomeSink>) -> Result<u8, Complaint> {
    let object =
        Object::new(ended.ran.then_some(&plan.id), &ended.report, ended.kept).explained(ended.explained.as_ref());
    let line = || object.to_line().map_err(|error| Complaint::new(format!("the outcome has no JSON form: {error}")));
    if let OutcomeTo::Stdout { .. } = plan.outcome {
        standard::print(line()?)?;
    } else if let Some(explained) = &ended.explained
        && held.events.is_none()
    {
        explain::tell(explained, Moved::Streams);
    }
    if let Some(events) = &held.events {
        standard::unless_enough(events.tell(&Event::Outcome(&object)).await)?;
    }
    if let Some(sink) = sink {
        sink.write(&line()?)?;
    }
    match ended.complaint {
        Some(complaint) => Err(complaint),
        None => verdict::verdict(&ended.report.outcome),
    }
}
