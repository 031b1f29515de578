//! `unglue lab`: what the lab yields, on the terminal.

mod columns;
mod connect;
mod drawing;
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
