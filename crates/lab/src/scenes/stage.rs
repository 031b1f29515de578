//! What a scene is played on.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scene;
use super::report::{Bar, Claim, Fact, SceneReport};
use crate::LabError;
use crate::record::{Excerpt, Flow, Recording};

/// How long a scene waits for a fact.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How often it looks.
const GLANCE: Duration = Duration::from_micros(200);

/// The recording, and what is found out.
#[derive(Debug, Default)]
pub(super) struct Stage {
    pub(super) recording: Recording,
    ways: Vec<(&'static str, &'static str)>,
    result: Vec<Fact>,
    measured: Vec<Fact>,
    claims: Vec<Claim>,
    bars: Vec<Bar>,
}

impl Stage {
    /// The bytes from one to the other shall be drawn.
    pub(super) fn way(&mut self, from: &'static str, to: &'static str) {
        self.ways.push((from, to));
    }

    /// What is the same in every run.
    pub(super) fn result(&mut self, name: &'static str, value: impl Into<Value>) {
        self.result.push(Fact { name, value: value.into() });
    }

    /// What may differ.
    pub(super) fn measured(&mut self, name: &'static str, value: impl Into<Value>) {
        self.measured.push(Fact { name, value: value.into() });
    }

    /// A number to compare with those beside it.
    pub(super) fn bar(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.bars.push(Bar { name, value, unit });
    }

    /// What the scene says.
    pub(super) fn claim(&mut self, says: &'static str, holds: bool) {
        self.claims.push(Claim { says, holds });
    }

    pub(super) fn report(self, scene: &Scene) -> SceneReport {
        let calls = self.recording.taken();
        let flows = self.ways.iter().map(|&(from, to)| Flow::among(&calls, from, to)).collect();
        SceneReport {
            scene: scene.name,
            title: scene.title,
            calls,
            flows,
            bars: self.bars,
            result: self.result,
            measured: self.measured,
            claims: self.claims,
            why: scene.why,
            fix: scene.fix,
        }
    }
}

/// Waits until something is so. It is a fact that is waited for, not a time.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> Result<bool, LabError>) -> Result<(), LabError> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > PATIENCE {
            return Err(LabError::Deadline { what: what.into(), after: PATIENCE });
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// What was received, as a report shows it.
pub(super) fn text(bytes: &[u8]) -> String {
    Excerpt::of(bytes).text().into_owned()
}
