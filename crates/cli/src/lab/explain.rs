//! `unglue lab explain`: what a number is.

use std::io::{self, Write};
use std::process::ExitCode;

use unglue_lab::explain::{Explanation, Sure, explain};

use crate::args::lab::explain::LabExplainArgs;
use crate::complaint::Complaint;
use crate::standard;

/// Explains.
///
/// # Errors
/// There is no number.
pub(crate) fn run(args: &LabExplainArgs) -> Result<ExitCode, Complaint> {
    let found = explain(&args.words.join(" ")).map_err(|error| Complaint::new(error.to_string()))?;
    standard::unless_enough(if args.json { json(&found) } else { text(&found) })?;
    Ok(if found.readings.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn json(found: &Explanation) -> io::Result<()> {
    let mut out = standard::stdout();
    writeln!(out, "{}", serde_json::to_string(found).unwrap_or_default())?;
    out.flush()
}

fn text(found: &Explanation) -> io::Result<()> {
    let mut out = standard::stdout();
    show(&mut out, found)?;
    out.flush()
}

fn show(out: &mut impl Write, found: &Explanation) -> io::Result<()> {
    write!(out, "{} = {}", found.value, found.bytes)?;
    if let Some(source) = &found.source {
        write!(out, ", from a message of {source}")?;
    }
    if let Some(limit) = found.limit {
        write!(out, ", where {limit} was the limit")?;
    }
    writeln!(out)?;
    if found.readings.is_empty() {
        return writeln!(
            out,
            "It resembles nothing known: show the bytes around it with unglue lab tap, or with unglue lab infer."
        );
    }
    for reading in &found.readings {
        let sure = match reading.sure {
            Sure::Certain => "certain ",
            Sure::Likely => "likely  ",
            Sure::Possible => "possible",
        };
        writeln!(out, "  {sure}  {}", reading.what)?;
        writeln!(out, "            {}", reading.next)?;
    }
    Ok(())
}
