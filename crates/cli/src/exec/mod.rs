//! `unglue exec`: one command, its streams, and how it ended.

mod drive;
mod feed;
mod hint;
mod inherited;
mod object;
mod outcome_sink;
pub(crate) mod pump;
pub(crate) mod sink;
pub(crate) mod verdict;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use unglue::{Exec, Forward, new_id};

use crate::access::Access;
use crate::args::exec::{ExecArgs, ExecPlan, OutcomeTo};
use crate::complaint::Complaint;
use crate::forward::beside;
use crate::{runtime, standard};
use drive::{Ended, drive, refused};
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
    let ExecPlan { exec, outcome, forwards } = args.plan().map_err(Complaint::new)?;
    check_streams(args, &outcome)?;
    let id = new_id();
    let exec = exec.id(&id);
    let access = Access::new(&args.host, &args.connection)?;
    // Before anything else opens a file, and before anything runs.
    let sink = OutcomeSink::open(&outcome)?;
    runtime::run(async {
        let ended = execute(&access, (&exec, &forwards), &outcome).await;
        let hint = shell_hint(args.program(), &ended.report.outcome);
        tell(&id, ended, &outcome, sink).map(ExitCode::from).map_err(|complaint| complaint.with(&hint))
    })
}

/// What would only fail once the command has run is found out before.
fn check_streams(args: &ExecArgs, outcome: &OutcomeTo) -> Result<(), Complaint> {
    if let OutcomeTo::Stdout { .. } = outcome {
        standard::check_stdout().map_err(|complaint| complaint.with("; nothing was run"))?;
    }
    let unreadable =
        |error| format!("standard input can't be fed to the command: {error}; nothing was run. Leave -i out");
    match args.feeds_stdin() {
        true => standard::check_stdin().map_err(|error| Complaint::new(unreadable(error))),
        false => Ok(()),
    }
}

async fn execute(access: &Access, (exec, forwards): (&Exec, &[Forward]), outcome: &OutcomeTo) -> Ended {
    let ready = async { Ok((destinations(outcome).map_err(|error| refused(&error))?, access.connect().await?)) };
    let (destinations, client) = match ready.await {
        Ok(ready) => ready,
        Err(fault) => return Ended::before_it_ran(fault),
    };
    // Before the command: it may use the ports at once.
    let _forwarded = match beside(&client, forwards).await {
        Ok(forwarded) => forwarded,
        Err(fault) => return Ended::before_it_ran(fault),
    };
    let started = Instant::now();
    let mut ended = drive(&client, exec, destinations).await.unwrap_or_else(Ended::after_the_request);
    if ended.report.wall_us == 0 {
        // The server has not reported how long it took.
        ended.report.wall_us = started.elapsed().as_micros() as u64;
    }
    ended
}

fn destinations(outcome: &OutcomeTo) -> io::Result<(Destination, Destination)> {
    match outcome {
        OutcomeTo::Stdout { cap } => Ok((Destination::Keep(Kept::up_to(*cap)), Destination::Keep(Kept::up_to(*cap)))),
        _ => Ok((Destination::Sink(Sink::stdout()?), Destination::Sink(Sink::stderr()?))),
    }
}

/// Says how it ended, wherever that was asked for, and gives the exit code.
fn tell(id: &str, ended: Ended, outcome: &OutcomeTo, sink: Option<OutcomeSink>) -> Result<u8, Complaint> {
    let object = Object::new(ended.ran.then_some(id), &ended.report, ended.kept);
    let line = || object.to_line().map_err(|error| Complaint::new(format!("the outcome has no JSON form: {error}")));
    if let OutcomeTo::Stdout { .. } = outcome {
        standard::print(line()?)?;
    }
    if let Some(sink) = sink {
        sink.write(&line()?)?;
    }
    match ended.complaint {
        Some(complaint) => Err(complaint),
        None => verdict::verdict(&ended.report.outcome),
    }
}
