//! `unglue demo`: the main job on loopback, and beside it what a bare socket makes of the same commands.
//!
//! Everything that is shown is measured in that very run.

mod bare;
mod commands;
mod files;
mod screen;
mod stage;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use crate::args::demo::DemoArgs;
use crate::complaint::Complaint;
use crate::runtime;
use crate::signals::{Signals, Wish};
use screen::Screen;
use stage::Stage;

/// What is typed at the prompt: a listing that is longer than one `recv(1024)`, a command that doesn't exist, a short reply,
/// and ten million bytes.
const COMMANDS: [&str; 4] = ["ls -l", "lllll", "pwd", "seq -w 1250000"];

/// Runs the demo. Whatever happens, nothing is left behind.
///
/// # Errors
/// A part of it could not be shown.
pub(crate) fn run(_: &DemoArgs) -> Result<ExitCode, Complaint> {
    runtime::run(async {
        let mut signals =
            Signals::take().map_err(|error| Complaint::new(format!("signals can't be handled: {error}")))?;
        let stage = Stage::set()?;
        let ended = tokio::select! {
            played = play(&stage) => played,
            wish = signals.next() => Err(interrupted(wish)),
        };
        stage.clear()?;
        ended.map(|()| ExitCode::SUCCESS)
    })
}

fn interrupted(wish: Wish) -> Complaint {
    Complaint::new("interrupted; nothing is left behind").exit(128 + wish.signal())
}

async fn play(stage: &Stage) -> Result<(), Complaint> {
    let mut screen = Screen::stdout();
    match acts(stage, &mut screen).await {
        Err(Stopped::Closed) => Ok(()),
        Err(Stopped::Failed(complaint)) => Err(complaint),
        Ok(()) => Ok(()),
    }
}

async fn acts(stage: &Stage, screen: &mut Screen) -> Result<(), Stopped> {
    let started = Instant::now();
    screen.opening(stage)?;
    let client = stage.connect().await?;
    commands::act(&client, screen).await?;
    files::act(&client, stage, screen).await?;
    bare::act(stage, screen).await?;
    screen.closing(started.elapsed())
}

/// Why the demo ends early.
enum Stopped {
    /// Nobody reads standard output any more.
    Closed,
    /// Something went wrong.
    Failed(Complaint),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::Closed,
            _ => Stopped::Failed(Complaint::new(format!("the demo's own files or its output failed: {error}"))),
        }
    }
}

impl From<unglue::Fault> for Stopped {
    fn from(fault: unglue::Fault) -> Stopped {
        Stopped::Failed(fault.into())
    }
}

impl From<Complaint> for Stopped {
    fn from(complaint: Complaint) -> Stopped {
        Stopped::Failed(complaint)
    }
}
