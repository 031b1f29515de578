//! `unglue exec`: one command, its streams, and how it ended.

mod drive;
mod feed;
mod inherited;
mod object;
mod outcome_sink;
pub(crate) mod pump;
pub(crate) mod sink;
pub(crate) mod verdict;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use unglue::{Exec, new_id};

use crate::access::Access;
use crate::args::exec::{ExecArgs, ExecPlan, OutcomeTo};
use crate::complaint::Complaint;
use crate::runtime;
use drive::{Ended, drive, refused};
use object::{Kept, Object};
use outcome_sink::OutcomeSink;
use pump::Destination;
use sink::Sink;

/// Runs the command line.
///
/// # Errors
/// Everything but the command's own end.
pub(crate) fn run(args: &ExecArgs) -> Result<ExitCode, Complaint> {
    let ExecPlan { exec, outcome } = args.plan().map_err(Complaint::new)?;
    let id = new_id();
    let exec = exec.id(&id);
    let access = Access::new(&args.host, &args.connection)?;
    // Before anything else opens a file, and before anything runs.
    let sink = OutcomeSink::open(&outcome)?;
    runtime::run(async {
        let ended = execute(&access, &exec, &outcome).await;
        tell(&id, ended, &outcome, sink).map(ExitCode::from)
    })
}

async fn execute(access: &Access, exec: &Exec, outcome: &OutcomeTo) -> Ended {
    let ready = async { Ok((destinations(outcome).map_err(|error| refused(&error))?, access.connect().await?)) };
    let (destinations, client) = match ready.await {
        Ok(ready) => ready,
        Err(fault) => return Ended::before_it_ran(fault),
    };
    let started = Instant::now();
    let mut ended = drive(&client, exec, destinations).await.unwrap_or_else(Ended::after_the_request);
    if ended.report.wall_us == 0 {
        // The server has not said how long it took.
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
        print(&line()?)?;
    }
    if let Some(sink) = sink {
        sink.write(&line()?)?;
    }
    match ended.complaint {
        Some(complaint) => Err(complaint),
        None => verdict::verdict(&ended.report.outcome),
    }
}

/// Writes to standard output. A reader who went away doesn't want to be told.
fn print(line: &[u8]) -> Result<(), Complaint> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(line).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Complaint::new(format!("the outcome could not be written to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
