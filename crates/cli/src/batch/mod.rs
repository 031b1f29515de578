//! `unglue run`: many commands on one connection, each with its object as it ends.

mod check;
mod line;
mod one;
mod schedule;
mod source;

use std::process::ExitCode;

use crate::access::Access;
use crate::args::run::RunArgs;
use crate::complaint::Complaint;
use crate::exec::drive::refused;
use crate::exec::sink::Sink;
use crate::signals::{Signals, Wish};
use crate::{runtime, standard};
use schedule::Schedule;
use source::Source;

/// What a run exits with if a command failed.
const SOME_FAILED: u8 = 1;

/// Runs the list.
///
/// # Errors
/// A line is bad, there is no connection, or the objects can't be printed.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Complaint> {
    standard::check_stdout().map_err(|complaint| complaint.with("; nothing was run"))?;
    let access = Access::new(&args.host, &args.connection)?;
    // A file is read and checked before anything else happens.
    let source = Source::open(&args.file)?;
    runtime::run(async {
        let failed = |error| Complaint::from(refused(&error));
        let (mut signals, sink) = (Signals::take().map_err(failed)?, Sink::stdout().map_err(failed)?);
        let client = access.connect().await?;
        // A key that isn't accepted is one failure, rather than one of each command.
        client.welcome().await?;
        let schedule = Schedule::new(client, usize::from(args.at_once), args.json_cap, access);
        tokio::select! {
            ended = schedule.run(source, sink) => ended.map(|all| match all {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(SOME_FAILED),
            }),
            wish = signals.next() => Err(left(wish)),
        }
    })
}

fn left(wish: Wish) -> Complaint {
    let signal = wish.signal();
    let name = unglue::signal::name(signal.into());
    Complaint::new(format!("ended by {name}; the server kills the commands that run")).exit(128 + signal)
}
