//! `unglue lab scene`: plays, and draws or prints.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};
use unglue_lab::LabError;
use unglue_lab::scenes::{ALL, Scene, SceneReport};

use super::drawing;
use crate::args::lab::LabSceneArgs;
use crate::complaint::{Complaint, say};
use crate::standard;

/// What came of a scene.
enum Played {
    /// It was played, so often as was asked, with the same result each time.
    Report(Box<SceneReport>),
    /// This machine or this user can't.
    Skipped(String),
}

/// Plays the scenes.
///
/// # Errors
/// One failed, or isn't as it says; one that was asked for by name can't be played here.
pub(crate) fn run(args: &LabSceneArgs) -> Result<ExitCode, Complaint> {
    let scenes = args.scenes();
    if scenes.is_empty() {
        return standard::unless_enough(list(args.json)).map(|()| ExitCode::SUCCESS);
    }
    let (mut shown, mut checked) = (Vec::new(), Ok(()));
    for (index, scene) in scenes.into_iter().enumerate() {
        let played = play(scene, args.repeat)?;
        if let (Played::Skipped(why), false) = (&played, args.all) {
            return Err(Complaint::new(format!("{}: {why}", scene.name)));
        }
        match args.json {
            true => shown.push(object(scene, &played, args.repeat)),
            false => standard::unless_enough(show(index, scene, &played, args.repeat))?,
        }
        if let Played::Report(report) = &played {
            checked = checked.and(check(report));
        }
    }
    if args.json {
        let one = shown.len() == 1 && !args.all;
        let object = if one { shown.remove(0) } else { json!({ "scenes": shown }) };
        standard::print(format!("{object}\n"))?;
    }
    checked.map(|()| ExitCode::SUCCESS)
}

/// Which scenes there are.
fn list(json: bool) -> io::Result<()> {
    let mut stdout = standard::stdout();
    if json {
        let scenes = ALL.map(|scene| json!({ "scene": scene.name, "title": scene.title }));
        writeln!(stdout, "{}", json!({ "scenes": scenes }))?;
    } else {
        ALL.iter().try_for_each(|scene| writeln!(stdout, "{:13} {}", scene.name, scene.title))?;
    }
    stdout.flush()
}

fn play(scene: &Scene, times: u32) -> Result<Played, Complaint> {
    let failed = |error: LabError| Complaint::new(format!("{}: {error}", scene.name));
    let first = match scene.play() {
        Ok(report) => report,
        Err(error @ LabError::Unavailable { .. }) => return Ok(Played::Skipped(error.to_string())),
        Err(error) => return Err(failed(error)),
    };
    for time in 2..=times {
        let report = scene.play().map_err(failed)?;
        if report.result != first.result || report.claims != first.claims {
            return Err(Complaint::new(format!(
                "{}: the result of play {time} is {} where the first was {}; please report it",
                scene.name,
                result(&report),
                result(&first)
            )));
        }
    }
    Ok(Played::Report(Box::new(first)))
}

fn result(report: &SceneReport) -> String {
    let value = serde_json::to_value(report).unwrap_or_default();
    format!("{} with the claims {}", value["result"], value["claims"])
}

fn check(report: &SceneReport) -> Result<(), Complaint> {
    match report.claims.iter().find(|claim| !claim.holds) {
        None => Ok(()),
        Some(claim) => Err(Complaint::new(format!(
            "{}: \"{}\" is not so on this machine; please report it with the output of --json",
            report.scene, claim.says
        ))),
    }
}

fn object(scene: &Scene, played: &Played, times: u32) -> Value {
    match played {
        Played::Skipped(why) => json!({ "scene": scene.name, "skipped": why }),
        Played::Report(report) => {
            let mut object = serde_json::to_value(report).unwrap_or_default();
            object["holds"] = report.holds().into();
            if times > 1 {
                object["played"] = times.into();
            }
            object
        }
    }
}

fn show(index: usize, scene: &Scene, played: &Played, times: u32) -> io::Result<()> {
    let mut screen = standard::styled_stdout();
    match played {
        Played::Skipped(why) => {
            say(&format!("skipped: {}: {why}", scene.name));
        }
        Played::Report(report) if times > 1 => {
            writeln!(screen, "{}: the same result {times} times: {}", scene.name, result(report))?;
        }
        Played::Report(report) => {
            if index > 0 {
                writeln!(screen, "\n")?;
            }
            drawing::draw(report, &mut screen)?;
        }
    }
    screen.flush()
}
