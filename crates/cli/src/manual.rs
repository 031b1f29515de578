//! `unglue completions` and `unglue man`: made from the same structures that read the command line.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::CommandLine;
use crate::args::manual::{CompletionsArgs, ManArgs};
use crate::complaint::Complaint;
use crate::standard;

/// Prints a shell's completions.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Complaint> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "unglue", &mut script);
    standard::print(&script).map(|()| ExitCode::SUCCESS)
}

/// Prints the manual page, or writes one for each command.
///
/// # Errors
/// The pages can't be written.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Complaint> {
    match &args.folder {
        Some(folder) => pages(folder),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(CommandLine::command()).render(&mut page);
            rendered.map_err(|error| Complaint::new(format!("the manual page could not be made: {error}")))?;
            standard::print(&page).map(|()| ExitCode::SUCCESS)
        }
    }
}

fn pages(folder: &Path) -> Result<ExitCode, Complaint> {
    let failed = |error: io::Error| Complaint::new(format!("pages can't be written to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(CommandLine::command(), folder).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
