//! `unglue lab`: what the lab yields, on the terminal.

mod columns;
mod connect;
mod dissect;
mod drawing;
mod explain;
mod infer;
mod ruler;
mod scene;
mod serve;

use std::process::ExitCode;

use unglue_lab::LabError;

use crate::args::lab::{LabArgs, LabCommand};
use crate::complaint::Complaint;

/// Runs a command of the lab.
///
/// # Errors
/// It can't be done.
pub(crate) fn run(args: LabArgs) -> Result<ExitCode, Complaint> {
    match args.command {
        LabCommand::Serve(args) => serve::run(args),
        LabCommand::Connect(args) => connect::run(&args),
        LabCommand::Scene(args) => scene::run(&args),
        LabCommand::Infer(args) => infer::run(&args),
        LabCommand::Explain(args) => explain::run(&args),
        LabCommand::Dissect(args) => dissect::run(&args),
    }
}

/// A reader who has seen enough is no failure.
fn unless_closed(shown: std::io::Result<()>) -> Result<(), Complaint> {
    match shown {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Complaint::new(format!("standard output could not be written: {error}")))
        }
        _ => Ok(()),
    }
}

impl From<LabError> for Complaint {
    fn from(error: LabError) -> Complaint {
        match error {
            LabError::Deadline { .. } => Complaint::new(format!("{error}; --wait gives it longer")),
            error => Complaint::new(error.to_string()),
        }
    }
}
