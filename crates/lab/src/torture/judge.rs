//! Whether a run came out as a clean one does.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::program::{Exit, last_line};
use super::run::Outcome;
use crate::LabError;

/// What must not depend on how bytes arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// The client's standard output and its exit code.
    #[default]
    All,
    /// Its standard output.
    Stdout,
    /// Its exit code.
    Exit,
    /// A shell command, which is given two files, a clean run's standard output and this one's, and exits with 0 if they mean
    /// the same. The exit code is compared too.
    Command(String),
}

/// What differs from a clean run, one sentence each; none if nothing does.
pub(super) fn differences(compare: &Compare, clean: &Outcome, got: &Outcome) -> Result<Vec<String>, LabError> {
    let mut found = Vec::new();
    let hangs = got.exit == Exit::Hung && clean.exit != Exit::Hung;
    if hangs {
        found.push("the client hung: both ends had read everything, and nothing happened any more".into());
    } else if got.exit != clean.exit && *compare != Compare::Stdout {
        found.push(format!("the client: {}, where a clean run has {}", got.exit, clean.exit));
    }
    match compare {
        Compare::All | Compare::Stdout => found.extend(output(&clean.stdout, &got.stdout)),
        Compare::Exit => {}
        Compare::Command(_) if hangs => {}
        Compare::Command(command) => found.extend(judged(command, clean, got)?),
    }
    // One that has served its client, and ends in order, is as right as one that lives on.
    if let Some((exit, said)) = got.server.as_ref().filter(|(exit, _)| *exit != Exit::Code(0)) {
        match &clean.server {
            None => found.push(format!("the server ended before its client ({exit}): {said}")),
            Some((clean, _)) if clean != exit => {
                found.push(format!("the server: {exit}, where a clean run has {clean}: {said}"));
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

fn output(clean: &[u8], got: &[u8]) -> Option<String> {
    if clean == got {
        return None;
    }
    let at = clean.iter().zip(got).take_while(|(clean, got)| clean == got).count();
    let from = |bytes: &[u8]| bytes[at..].iter().take(60).copied().collect::<Vec<u8>>().escape_ascii().to_string();
    Some(format!(
        "standard output: {} bytes where a clean run has {}; from byte {at} on \"{}\" where \"{}\" belongs",
        got.len(),
        clean.len(),
        from(got),
        from(clean)
    ))
}

fn judged(command: &str, clean: &Outcome, got: &Outcome) -> Result<Option<String>, LabError> {
    let file = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        Ok::<_, std::io::Error>(file)
    };
    let files = file(&clean.stdout).and_then(|clean| Ok((clean, file(&got.stdout)?)));
    let (clean, got) = files.map_err(LabError::io("write an output to a temporary file"))?;
    let words: [OsString; 5] = [
        "-c".into(),
        format!("{command} \"$1\" \"$2\"").into(),
        "compare".into(),
        clean.path().into(),
        got.path().into(),
    ];
    let done = Command::new("/bin/sh").args(words).stdin(Stdio::null()).output();
    let done = done.map_err(LabError::io(format!("run the comparison `{command}`")))?;
    match done.status.code() {
        Some(0) => Ok(None),
        Some(126 | 127) => Err(LabError::misuse(
            format!("the comparison `{command}` could not be run: {}", last_line(&done.stderr)),
            "give --compare a command that takes two files and exits with 0 if they mean the same",
        )),
        _ => {
            let said = if done.stdout.is_empty() { &done.stderr } else { &done.stdout };
            Ok(Some(format!("`{command}` says that standard output differs: {}", last_line(said))))
        }
    }
}
