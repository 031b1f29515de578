//! `unglue jobs`: the commands that a server remembers.

use std::process::ExitCode;

use serde::Serialize;
use unglue::{Exit, JobEntry, JobState, Octets, Outcome};

use crate::access::Access;
use crate::args::jobs::JobsArgs;
use crate::args::lease::span;
use crate::clock::rfc3339;
use crate::complaint::{Complaint, printable};
use crate::exec::object::OutcomeObject;
use crate::{runtime, standard};

/// The most characters of a command that a line shows.
const COMMAND: usize = 60;

/// Prints the list.
///
/// # Errors
/// The server refused, or the list can't be printed.
pub(crate) fn list(args: &JobsArgs) -> Result<ExitCode, Complaint> {
    standard::check_stdout()?;
    let access = Access::new(&args.host, &args.connection)?;
    runtime::run(async {
        let entries = access.connect().await?.jobs(None).await?;
        let text = match args.json {
            true => objects(&entries)?,
            false => table(&entries),
        };
        standard::print(text).map(|()| ExitCode::SUCCESS)
    })
}

/// One command as `--json` prints it.
#[derive(Serialize)]
struct JobObject<'a> {
    id: &'a str,
    name: Option<&'a str>,
    state: &'a JobState,
    began: String,
    ended: Option<String>,
    command: &'a [Octets],
    lease: String,
    pid: Option<u32>,
    outcome: Option<OutcomeObject<'a>>,
    stdout: u64,
    stderr: u64,
    held: bool,
    stalled: bool,
    kept: bool,
    terminal: bool,
}

fn objects(entries: &[JobEntry]) -> Result<String, Complaint> {
    let mut text = String::new();
    for entry in entries {
        let object = JobObject {
            id: &entry.id,
            name: entry.name.as_deref(),
            state: &entry.state,
            began: rfc3339(&entry.began),
            ended: entry.ended.as_ref().map(rfc3339),
            command: &entry.command,
            lease: lease(entry),
            pid: entry.pid,
            outcome: entry.outcome.as_ref().map(OutcomeObject::from),
            stdout: entry.stdout,
            stderr: entry.stderr,
            held: entry.held,
            stalled: entry.stalled,
            kept: entry.kept,
            terminal: entry.terminal,
        };
        let line = serde_json::to_string(&object);
        text += &line.map_err(|error| Complaint::new(format!("the list has no JSON form: {error}")))?;
        text.push('\n');
    }
    Ok(text)
}

/// The lease as it is typed. What only a later version knows keeps its own form.
pub(super) fn lease(entry: &JobEntry) -> String {
    let value = serde_json::to_value(&entry.lease).unwrap_or_default();
    let kept = value.pointer("/keep/ms").and_then(serde_json::Value::as_u64);
    match (kept, value.as_object().and_then(|object| object.keys().next())) {
        (Some(ms), _) => format!("keep={}", span(std::time::Duration::from_millis(ms))),
        (None, Some(kind)) => kind.clone(),
        (None, None) => "kill".into(),
    }
}

fn table(entries: &[JobEntry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let titles = ["ID", "NAME", "STATE", "STARTED", "OUTPUT", "OUTCOME", "COMMAND"].map(String::from);
    let rows: Vec<[String; 7]> = [titles].into_iter().chain(entries.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn row(entry: &JobEntry) -> [String; 7] {
    let state = serde_json::to_value(&entry.state).unwrap_or_default();
    let mut state = state.as_str().unwrap_or("?").to_owned();
    for (is, what) in [(entry.held, ", held"), (entry.stalled, ", stalled"), (entry.terminal, ", terminal")] {
        state += if is { what } else { "" };
    }
    let words: Vec<String> = entry.command.iter().map(ToString::to_string).collect();
    let mut command = printable(&words.join(" "));
    if let Some((cut, _)) = command.char_indices().nth(COMMAND) {
        command.truncate(cut);
        command.push('…');
    }
    [
        printable(&entry.id),
        entry.name.as_deref().map_or_else(|| "-".into(), printable),
        state,
        rfc3339(&entry.began).replace('T', " ").split('.').next().unwrap_or_default().to_owned(),
        (entry.stdout + entry.stderr).to_string(),
        entry.outcome.as_ref().map_or_else(|| "-".into(), outcome),
        command,
    ]
}

/// How a command ended, in a word or two.
fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ended(Exit::Exited(code)) => format!("exit {code}"),
        Outcome::Ended(Exit::Signalled(by)) => by.signal.clone(),
        Outcome::SpawnFailed(failed) => format!("not started: {}", printable(&failed.errno)),
        other => {
            let value = serde_json::to_value(other).unwrap_or_default();
            let kind = value.as_object().and_then(|object| object.keys().next()).cloned();
            printable(&kind.unwrap_or_default().replace('_', " "))
        }
    }
}
