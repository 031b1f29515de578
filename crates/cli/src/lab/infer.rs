//! `unglue lab infer`: which framing bytes have.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use unglue_lab::infer::{Inference, Stream, Verdict, gather, infer};

use crate::args::lab::infer::LabInferArgs;
use crate::complaint::{Complaint, printable, say};
use crate::standard;

/// Streams that are looked at together.
const TOGETHER: usize = 12;
/// Streams that are told one by one.
const ALONE: usize = 8;

/// Reads, finds out, and tells.
///
/// # Errors
/// A file can't be read.
pub(crate) fn run(args: &LabInferArgs) -> Result<ExitCode, Complaint> {
    let mut streams = Vec::new();
    for path in &args.files {
        streams.extend(read(path, args.raw)?);
    }
    streams.retain(|stream| !stream.bytes.is_empty());
    if streams.is_empty() {
        say("there is no stream with bytes in it; a capture needs TCP packets with data");
        return Ok(ExitCode::from(1));
    }
    if streams.len() > TOGETHER {
        say(&format!("{} streams: the {TOGETHER} longest are looked at", streams.len()));
        streams.sort_by_key(|stream| std::cmp::Reverse(stream.bytes.len()));
        streams.truncate(TOGETHER);
    }
    let mut together = infer(&streams);
    let alone: Vec<(&str, Inference)> = match streams.len() {
        1 => Vec::new(),
        _ => streams.iter().take(ALONE).map(|stream| (&stream.name[..], infer(std::slice::from_ref(stream)))).collect(),
    };
    let sure_alone = alone.iter().any(|(_, inference)| inference.verdict == Verdict::Certain);
    if together.verdict == Verdict::Ambiguous || (together.verdict == Verdict::Likely && sure_alone) {
        together = best_alone(&alone).unwrap_or(together);
    }
    let shown = if args.json { write_json(&together, &alone) } else { write_text(&together, &alone) };
    standard::unless_enough(shown).map(|()| ExitCode::SUCCESS)
}

/// Where no framing fits all streams, the surest of one of them: it may be that of one direction.
fn best_alone(alone: &[(&str, Inference)]) -> Option<Inference> {
    let score = |inference: &Inference| inference.candidates.first().map_or(0.0, |candidate| candidate.score);
    let (name, best) = alone
        .iter()
        .filter(|(_, inference)| inference.verdict > Verdict::Ambiguous)
        .max_by(|(_, a), (_, b)| a.verdict.cmp(&b.verdict).then(score(a).total_cmp(&score(b))))?;
    let mut best = best.clone();
    best.verdict = best.verdict.min(Verdict::Likely);
    for candidate in &mut best.candidates {
        candidate.evidence.insert(0, format!("in one stream alone ({name}); the others don't parse so"));
    }
    Some(best)
}

fn read(path: &Path, raw: bool) -> Result<Vec<Stream>, Complaint> {
    let name = if path.as_os_str() == "-" { "stdin".into() } else { path.display().to_string() };
    let failed = |error: &dyn std::fmt::Display| Complaint::new(format!("{name}: {error}"));
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(standard::stdin().map_err(|error| failed(&error))?),
        false => Box::new(File::open(path).map_err(|error| failed(&error))?),
    };
    let gathered = gather(&name, io::BufReader::new(input), raw).map_err(|error| failed(&error))?;
    if let Some(damage) = &gathered.damage {
        say(&format!("{name}: {damage}"));
    }
    if gathered.lost > 0 {
        say(&format!("{name}: the capture lacks {} bytes; streams are looked at up to their first gap", gathered.lost));
    }
    Ok(gathered.streams)
}

fn write_json(together: &Inference, alone: &[(&str, Inference)]) -> io::Result<()> {
    let mut object = serde_json::to_value(together).unwrap_or_default();
    if !alone.is_empty() {
        let one = |(name, inference): &(&str, Inference)| {
            let mut object = json!({ "stream": name });
            if let (Value::Object(object), Ok(Value::Object(more))) = (&mut object, serde_json::to_value(inference)) {
                object.extend(more);
            }
            object
        };
        object["streams"] = alone.iter().map(one).collect();
    }
    let mut out = standard::stdout();
    writeln!(out, "{object}")?;
    out.flush()
}

fn write_text(together: &Inference, alone: &[(&str, Inference)]) -> io::Result<()> {
    let mut out = standard::styled_stdout();
    show(&mut out, together)?;
    for (name, inference) in alone {
        let verdict = word(inference.verdict);
        let first = inference.candidates.first().map_or("nothing fits", |candidate| &candidate.notation[..]);
        writeln!(out, "{}: {verdict}: {first}", printable(name))?;
    }
    out.flush()
}

fn show(out: &mut impl io::Write, inference: &Inference) -> io::Result<()> {
    writeln!(out, "{}{}", word(inference.verdict), meaning(inference))?;
    for candidate in &inference.candidates {
        writeln!(out, "\n{}    {:.1} bits", candidate.notation, candidate.score)?;
        for line in &candidate.evidence {
            writeln!(out, "  {}", printable(line))?;
        }
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Certain => "certain",
        Verdict::Likely => "likely",
        Verdict::Ambiguous => "ambiguous",
    }
}

fn meaning(inference: &Inference) -> &'static str {
    match (inference.verdict, inference.candidates.is_empty()) {
        (Verdict::Certain, _) => "",
        (Verdict::Likely, _) => ": the first fits best; more frames would make it certain",
        (Verdict::Ambiguous, false) => ": these fit, but chance would do so too; more frames would tell",
        (Verdict::Ambiguous, true) => {
            ": no framing explains these bytes; they may be compressed, encrypted, or of no frames"
        }
    }
}
