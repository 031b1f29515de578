//! `unglue logs`: what a command has printed, byte for byte.

use std::io;
use std::process::ExitCode;

use unglue::{AttachOptions, Fault, Output, Report, StreamError};

use super::on;
use crate::args::jobs::LogsArgs;
use crate::complaint::Complaint;
use crate::exec::drive::refused;
use crate::exec::sink::Sink;
use crate::standard;

/// Bytes taken at once, at most.
const PIECE: usize = 256 * 1024;

/// Prints an output of a command.
///
/// # Errors
/// Not all of it was printed. A reader that has enough is not an error.
pub(crate) fn logs(args: &LogsArgs) -> Result<ExitCode, Complaint> {
    standard::check_stdout()?;
    on(&args.job, async |client| {
        let mut sink = Sink::stdout().map_err(|error| Complaint::from(refused(&error)))?;
        let mut running = client.attach(&args.job.job, &options(args)).await?;
        let output = if args.stderr { running.stderr.take() } else { running.stdout.take() };
        let copied = match output {
            Some(output) => copy(output, &mut sink).await,
            None => Copied::All,
        };
        match copied {
            Copied::All => {}
            Copied::Enough => return Ok(ExitCode::SUCCESS),
            Copied::Unwritten(error) => return Err(standard::unwritten(&error)),
            Copied::Cut(error) => {
                let why = lost(running.outcome().await).map_or_else(|| error.to_string(), |fault| fault.to_string());
                return Err(Complaint::new(format!("the output broke off: {why}")));
            }
        }
        match lost(running.outcome().await) {
            Some(fault) => Err(fault.into()),
            None => Ok(ExitCode::SUCCESS),
        }
    })
}

fn options(args: &LogsArgs) -> AttachOptions {
    let options = match args.stderr {
        true => AttachOptions::default().without_stdout().stderr_from(args.from),
        false => AttachOptions::default().without_stderr().stdout_from(args.from),
    };
    if args.follow { options } else { options.without_waiting() }
}

/// How the copying of an output ended.
enum Copied {
    All,
    /// Its reader has gone.
    Enough,
    Unwritten(io::Error),
    Cut(StreamError),
}

async fn copy(mut output: Output, sink: &mut Sink) -> Copied {
    loop {
        match output.read(PIECE).await {
            Ok(Some(data)) => match sink.write_all(data).await {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Copied::Enough,
                Err(error) => return Copied::Unwritten(error),
                Ok(()) => {}
            },
            Ok(None) => return Copied::All,
            Err(error) => return Copied::Cut(error),
        }
    }
}

/// Why this client did not see the end, if it didn't. How the command itself ended is not what was asked for.
fn lost(report: Report) -> Option<Fault> {
    use unglue::Outcome::{Corrupt, LinkLost, Refused, Unreachable};
    match report.outcome {
        Corrupt(fault) | LinkLost(fault) | Refused(fault) | Unreachable(fault) => Some(fault),
        _ => None,
    }
}
