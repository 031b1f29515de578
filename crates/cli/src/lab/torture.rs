//! `unglue lab torture`: the search on the terminal, and what it found in files.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde_json::json;
use unglue_lab::torture::{ClientEnd, Exit, Finding, Language, Progress, Replay, Settings, Verdict, torture};

use super::{foreground, regress};
use crate::args::lab::LabTortureArgs;
use crate::complaint::{Complaint, printable, say};
use crate::standard;

const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const CUT: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();
/// The exit code of a finding.
const FOUND: u8 = 1;
/// How much of an output is shown.
const SHOWN: usize = 200;

/// Searches, or runs a replay file again, until it is done or a signal ends it.
///
/// # Errors
/// A program can't be run, clean runs differ, or a file can't be read or written.
pub(crate) fn run(args: LabTortureArgs) -> Result<ExitCode, Complaint> {
    let replay = args.replay.as_deref().map(read).transpose()?;
    let settings = match (&replay, args.settings()) {
        (Some(replay), _) => replay.settings()?,
        (None, Some(settings)) => settings,
        (None, None) => return Err(Complaint::new("neither --to nor --server says where the server is")),
    };
    // Before a long search, not after it.
    args.test.iter().try_for_each(|path| Language::of(path).map(drop))?;
    let (stopper, torture) = torture(settings.clone())?;
    let quiet = args.json;
    let search = move || {
        let mut progress = Shown { live: !quiet && io::stderr().is_terminal() };
        match &replay {
            Some(replay) => torture.replay(&replay.cuts, &mut |event| progress.show(event)),
            None => torture.search(&mut |event| progress.show(event)),
        }
    };
    foreground(stopper, search, move |verdict| tell(&verdict?, &settings, &args))
}

fn read(path: &Path) -> Result<Replay, Complaint> {
    let text = fs::read(path)
        .map_err(|error| Complaint::new(format!("{} can't be read: {error}; check the path", path.display())))?;
    Replay::parse(&text).map_err(|error| Complaint::new(format!("{}: {error}", path.display())))
}

/// One line that is overwritten, on a terminal.
struct Shown {
    live: bool,
}

impl Shown {
    fn show(&mut self, event: &Progress<'_>) {
        if !self.live {
            return;
        }
        let line = match event {
            Progress::Clean { exit, bytes, transcript } => format!(
                "clean runs agree: {} connections, {exit}, {bytes} bytes of standard output",
                transcript.conversations.len()
            ),
            Progress::Tried { run, of, name, cuts, failed } => {
                format!("run {run} of {of}: {name} ({cuts}){}", if *failed { ": it fails" } else { "" })
            }
            Progress::Shrinking { cuts, failed } => {
                format!("shrinking: {cuts} cuts {}", if *failed { "fail" } else { "don't" })
            }
            _ => return,
        };
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
    }
}

fn tell(verdict: &Verdict, settings: &Settings, args: &LabTortureArgs) -> Result<ExitCode, Complaint> {
    if !args.json && io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    match verdict {
        Verdict::Nothing { runs, seed, took, unrepeated, expected } => {
            let seconds = took.as_secs_f64();
            if args.json {
                let object = json!({
                    "found": false, "runs": runs, "seed": seed, "seconds": seconds, "unrepeated": unrepeated,
                    "expected": expected,
                });
                standard::print(format!("{object}\n"))?;
            } else {
                let line = format!("nothing found in {runs} runs with cuts ({seconds:.1} s, seed {seed})");
                standard::unless_enough(writeln!(standard::styled_stdout(), "{GOOD}{line}{GOOD:#}"))?;
            }
            if *unrepeated > 0 {
                say(&format!(
                    "{unrepeated} runs came out otherwise, but not again with the same cuts: the programs may depend on time"
                ));
            }
            let ClientEnd { exit, stderr, .. } = expected;
            if *exit != Exit::Code(0) {
                let last = if stderr.is_empty() { String::new() } else { format!(", its last line: {stderr}") };
                say(&format!("the client fails in clean runs too ({exit}){last}; check that its command is right"));
            }
            if *runs == 0 {
                say("nothing was tried: less than two bytes went through the proxy in each direction");
            }
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Found(finding) => {
            let saved = match args.replay {
                Some(_) => None,
                None => Some(save(settings, finding, &args.save)?),
            };
            let mut tests = Vec::new();
            for path in &args.test {
                if regress::write(settings, finding, path)? {
                    tests.push(path.display().to_string());
                }
            }
            match args.json {
                true => standard::print(format!("{}\n", object(finding, &tests, saved.as_deref())))?,
                false => standard::unless_enough(draw(finding, &tests, saved.as_deref()))?,
            }
            Ok(ExitCode::from(FOUND))
        }
    }
}

fn save(settings: &Settings, finding: &Finding, path: &Path) -> Result<String, Complaint> {
    let text = Replay::of(settings, finding).to_json()?;
    fs::write(path, text + "\n").map_err(|error| {
        Complaint::new(format!("{} can't be written: {error}; --save names another file", path.display()))
    })?;
    Ok(path.display().to_string())
}

fn object(finding: &Finding, tests: &[String], saved: Option<&str>) -> serde_json::Value {
    let mut object = serde_json::to_value(finding).unwrap_or_default();
    object["found"] = true.into();
    object["replay"] = saved.into();
    object["tests"] = tests.into();
    object
}

fn draw(finding: &Finding, tests: &[String], saved: Option<&str>) -> io::Result<()> {
    let mut screen = standard::styled_stdout();
    writeln!(screen, "{BAD}found{BAD:#}: the client's result depends on how bytes arrive")?;
    writeln!(screen, "{FAINT}{} in run {}, seed {}{FAINT:#}\n", finding.name, finding.run, finding.seed)?;
    for told in &finding.cuts {
        writeln!(screen, "  {CUT}{}{CUT:#}", printable(&told.says))?;
        if let Some(around) = &told.around {
            writeln!(screen, "      {FAINT}{}{FAINT:#}", printable(around))?;
        }
    }
    writeln!(screen)?;
    for difference in &finding.differences {
        writeln!(screen, "  {}", printable(difference))?;
    }
    writeln!(screen, "\n  expected  {}", shown(&finding.expected))?;
    writeln!(screen, "  got       {}", shown(&finding.got))?;
    let Finding { failed, of, shrinking_runs, .. } = finding;
    writeln!(screen, "  it failed {failed} of {of} times with these cuts, and not without ({shrinking_runs} runs)")?;
    if let Some(saved) = saved {
        writeln!(screen, "\n  again:  unglue lab torture --replay {saved}")?;
    }
    tests.iter().try_for_each(|path| writeln!(screen, "  test:   {path}"))?;
    screen.flush()
}

fn shown(end: &ClientEnd) -> String {
    let beginning = &end.stdout[..end.stdout.len().min(SHOWN)];
    let more = if end.stdout.len() > SHOWN { "…" } else { "" };
    let stderr = if end.stderr.is_empty() { String::new() } else { format!("; stderr: {}", end.stderr) };
    printable(&format!("{}, \"{}{more}\"{stderr}", end.exit, beginning.escape_ascii()))
}
