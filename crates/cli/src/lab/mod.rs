//! `unglue lab`: what the lab yields, on the terminal.

mod columns;
mod connect;
mod dissect;
mod drawing;
mod explain;
mod foreground;
mod infer;
mod regress;
mod ruler;
mod scene;
mod serve;
mod tap;
mod torture;

use std::process::ExitCode;

use unglue_lab::LabError;

use crate::args::lab::{LabArgs, LabCommand};
use crate::complaint::Complaint;
use foreground::foreground;

/// Runs a command of the lab.
///
/// # Errors
/// It can't be done.
pub(crate) fn run(args: LabArgs) -> Result<ExitCode, Complaint> {
    match args.command {
        LabCommand::Serve(args) => serve::run(args),
        LabCommand::Connect(args) => connect::run(&args),
        LabCommand::Scene(args) => scene::run(&args),
        LabCommand::Tap(args) => tap::run(args),
        LabCommand::Torture(args) => torture::run(*args),
        LabCommand::Infer(args) => infer::run(&args),
        LabCommand::Explain(args) => explain::run(&args),
        LabCommand::Dissect(args) => dissect::run(&args),
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
